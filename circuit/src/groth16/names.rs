//! Names of constraints, for reading errors.

use bellman::{Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use bls12_381::Scalar;

/// The name of constraint `row` with its namespaces, as in `transfer 3/balance/bit 7`.
///
/// Runs the circuit again, so that recording and proving need not carry names. `None` if the
/// circuit has fewer constraints; rows after the last belong to the public inputs.
///
/// # Errors
/// Those of the circuit, which needs no witness here.
pub fn constraint_name<C: Circuit<Scalar>>(
    circuit: C,
    row: usize,
) -> Result<Option<String>, SynthesisError> {
    let mut names = Names { namespaces: Vec::new(), inputs: 1, aux: 0, before: row, found: None };
    circuit.synthesize(&mut names)?;
    Ok(names.found)
}

struct Names {
    namespaces: Vec<String>,
    inputs: usize,
    aux: usize,
    /// Constraints still to come before the one wanted.
    before: usize,
    found: Option<String>,
}

impl ConstraintSystem<Scalar> for Names {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.aux += 1;
        Ok(Variable::new_unchecked(Index::Aux(self.aux - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs += 1;
        Ok(Variable::new_unchecked(Index::Input(self.inputs - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, name: A, _: LA, _: LB, _: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LB: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LC: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
    {
        if self.found.is_some() {
            return;
        }
        match self.before.checked_sub(1) {
            Some(before) => self.before = before,
            None => {
                let mut path = self.namespaces.clone();
                path.push(name().into());
                self.found = Some(path.join("/"));
            }
        }
    }

    fn push_namespace<NR, N>(&mut self, name: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
        self.namespaces.push(name().into());
    }

    fn pop_namespace(&mut self) {
        self.namespaces.pop();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nested;

    impl Circuit<Scalar> for Nested {
        fn synthesize<CS: ConstraintSystem<Scalar>>(
            self,
            cs: &mut CS,
        ) -> Result<(), SynthesisError> {
            cs.enforce(|| "first", |lc| lc, |lc| lc, |lc| lc);
            let mut transfer = cs.namespace(|| "transfer 3");
            transfer.namespace(|| "balance").enforce(|| "bit", |lc| lc, |lc| lc, |lc| lc);
            transfer.enforce(|| "sum", |lc| lc, |lc| lc, |lc| lc);
            Ok(())
        }
    }

    #[test]
    fn names_are_paths() {
        let name = |row| constraint_name(Nested, row).unwrap();
        assert_eq!(name(0).as_deref(), Some("first"));
        assert_eq!(name(1).as_deref(), Some("transfer 3/balance/bit"));
        assert_eq!(name(2).as_deref(), Some("transfer 3/sum"));
        assert_eq!(name(3), None);
    }
}
