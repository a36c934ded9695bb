//! Counts the constraints of a circuit by their namespaces: what the figures of this project are made of.

use std::collections::BTreeMap;

use bellman::{Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use zklink::hash::Fr;
use zklink::shape::Shape;

use crate::block::BlockCircuit;

/// Numbers of constraints; no values are computed.
#[derive(Debug, Default)]
pub struct Count {
    scope: Vec<String>,
    variables: (usize, usize),
    parts: BTreeMap<String, usize>,
    total: usize,
}

impl Count {
    /// Counts the block circuit of a shape.
    ///
    /// # Panics
    /// When the circuit asks for a value: it needs none to be counted.
    #[must_use]
    pub fn of(shape: &Shape) -> Self {
        let mut count = Self::default();
        BlockCircuit { shape, witness: None }.synthesize(&mut count).expect("it needs no values");
        count
    }

    /// All constraints.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Constraints in the namespaces whose path begins like this.
    #[must_use]
    pub fn part(&self, path: &str) -> usize {
        let inside = |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        self.parts.iter().filter(|(name, _)| inside(name)).map(|(_, count)| count).sum()
    }
}

impl ConstraintSystem<Fr> for Count {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.variables.1 += 1;
        Ok(Variable::new_unchecked(Index::Aux(self.variables.1 - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        // The constant one is input zero.
        self.variables.0 += 1;
        Ok(Variable::new_unchecked(Index::Input(self.variables.0)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, _: LA, _: LB, _: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LB: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LC: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
    {
        // Three names are as deep as the tables go.
        let mut path: String = self.scope.iter().take(3).map(|name| format!("{name}/")).collect();
        path.push('.');
        *self.parts.entry(path).or_default() += 1;
        self.total += 1;
    }

    fn push_namespace<NR, N>(&mut self, name: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
        self.scope.push(name().into());
    }

    fn pop_namespace(&mut self) {
        self.scope.pop();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}
