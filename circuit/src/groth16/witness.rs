//! Synthesis that computes assignments only.

use bellman::{Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use bls12_381::Scalar;
use ff::Field;

/// Values of all variables of a circuit.
///
/// `enforce` closures are never called: the constraints are in the recorded matrices.
#[derive(Clone, Debug)]
pub struct Witness {
    inputs: Vec<Scalar>,
    aux: Vec<Scalar>,
}

impl Witness {
    /// Runs `circuit` for its assignments.
    ///
    /// # Errors
    /// What the circuit returns, `AssignmentMissing` above all.
    pub fn of<C: Circuit<Scalar>>(circuit: C) -> Result<Self, SynthesisError> {
        let mut witness = Self { inputs: vec![Scalar::ONE], aux: Vec::new() };
        circuit.synthesize(&mut witness)?;
        Ok(witness)
    }

    /// Public inputs, the constant 1 first.
    pub fn inputs(&self) -> &[Scalar] {
        &self.inputs
    }

    /// Auxiliary values.
    pub fn aux(&self) -> &[Scalar] {
        &self.aux
    }

    /// The assignment in the order of the matrices' columns.
    pub fn into_columns(self) -> Vec<Scalar> {
        let mut columns = self.inputs;
        columns.extend(self.aux);
        columns
    }
}

impl ConstraintSystem<Scalar> for Witness {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.aux.push(value()?);
        Ok(Variable::new_unchecked(Index::Aux(self.aux.len() - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs.push(value()?);
        Ok(Variable::new_unchecked(Index::Input(self.inputs.len() - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, _: LA, _: LB, _: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LB: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LC: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
    {
    }

    fn push_namespace<NR, N>(&mut self, _: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
    }

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}
