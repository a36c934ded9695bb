//! Synthesis without a witness: variables are counted, and each constraint is told to a listener.

use bellman::{Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use bls12_381::Scalar;

/// What wants to know the constraints of a circuit.
pub(super) trait Listener {
    /// The next constraint. `name` and `sides` (A, B and C) cost something, and are called only where they are wanted.
    fn constraint(
        &mut self,
        counts: Counts,
        name: impl FnOnce() -> String,
        sides: impl FnOnce() -> [LinearCombination<Scalar>; 3],
    );

    /// A namespace begins.
    fn enter(&mut self, name: impl FnOnce() -> String);

    /// The innermost namespace ends.
    fn leave(&mut self);
}

/// Variables so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// Public inputs, the constant 1 included.
    pub(super) inputs: usize,
    /// Auxiliary variables.
    pub(super) aux: usize,
}

/// The constraint system: numbers for variables, and a listener. Assignment closures are never called.
pub(super) struct Outline<L> {
    pub(super) counts: Counts,
    pub(super) listener: L,
}

impl<L: Listener> Outline<L> {
    /// Runs `circuit`; its first input is the constant 1.
    ///
    /// # Errors
    /// Those of the circuit, which needs no witness here.
    pub(super) fn of<C: Circuit<Scalar>>(circuit: C, listener: L) -> Result<Self, SynthesisError> {
        let mut outline = Self { counts: Counts { inputs: 1, aux: 0 }, listener };
        circuit.synthesize(&mut outline)?;
        Ok(outline)
    }
}

impl<L: Listener> ConstraintSystem<Scalar> for Outline<L> {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.counts.aux += 1;
        Ok(Variable::new_unchecked(Index::Aux(self.counts.aux - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.counts.inputs += 1;
        Ok(Variable::new_unchecked(Index::Input(self.counts.inputs - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, name: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LB: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LC: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
    {
        let zero = LinearCombination::zero;
        let sides = || [a(zero()), b(zero()), c(zero())];
        self.listener.constraint(self.counts, || name().into(), sides);
    }

    fn push_namespace<NR, N>(&mut self, name: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
        self.listener.enter(|| name().into());
    }

    fn pop_namespace(&mut self) {
        self.listener.leave();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}
