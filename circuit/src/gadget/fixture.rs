//! What the tests of all gadgets need: a check system with given inputs.

use ff::Field;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zklink::hash::Fr;

use super::{Bit, Expression};
use crate::check::CheckSystem;

/// No surviving variable.
pub(crate) const NONE: &[&str] = &[];

/// A check system whose given values are public inputs, so that tampering spares them.
pub(crate) struct Fixture {
    pub(crate) cs: CheckSystem,
    given: usize,
    rng: ChaCha20Rng,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { cs: CheckSystem::new(), given: 0, rng: ChaCha20Rng::seed_from_u64(7) }
    }

    /// A value that the gadget under test is given.
    pub(crate) fn given(&mut self, value: Fr) -> Expression {
        use bellman::ConstraintSystem;
        self.given += 1;
        let path = format!("given{}", self.given);
        let variable = self.cs.alloc_input(|| path, || Ok(value)).unwrap();
        Expression::variable(variable, Some(value))
    }

    pub(crate) fn given_bit(&mut self, value: bool) -> Bit {
        Bit::assumed(self.given(Fr::from(u64::from(value))))
    }

    pub(crate) fn random(&mut self) -> Fr {
        Fr::random(&mut self.rng)
    }

    pub(crate) fn cost(&self) -> usize {
        self.cs.constraint_count()
    }

    pub(crate) fn survivors(&mut self) -> Vec<String> {
        self.cs.survivors()
    }
}
