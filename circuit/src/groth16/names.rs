//! Names of constraints, for reading errors.

use bellman::{Circuit, LinearCombination, SynthesisError};
use bls12_381::Scalar;

use super::outline::{Counts, Listener, Outline};

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
    let names = Names { namespaces: Vec::new(), before: row, found: None };
    Ok(Outline::of(circuit, names)?.listener.found)
}

struct Names {
    namespaces: Vec<String>,
    /// Constraints still to come before the one wanted.
    before: usize,
    found: Option<String>,
}

impl Listener for Names {
    fn constraint(
        &mut self,
        _: Counts,
        name: impl FnOnce() -> String,
        _: impl FnOnce() -> [LinearCombination<Scalar>; 3],
    ) {
        if self.found.is_some() {
            return;
        }
        match self.before.checked_sub(1) {
            Some(before) => self.before = before,
            None => {
                let mut path = self.namespaces.clone();
                path.push(name());
                self.found = Some(path.join("/"));
            }
        }
    }

    fn enter(&mut self, name: impl FnOnce() -> String) {
        self.namespaces.push(name());
    }

    fn leave(&mut self) {
        self.namespaces.pop();
    }
}

#[cfg(test)]
mod tests {
    use bellman::ConstraintSystem;

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
