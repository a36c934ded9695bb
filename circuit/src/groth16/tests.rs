//! Our prover and generator against bellman's.

use bellman::groth16::{create_random_proof, generate_random_parameters};
use bellman::{Circuit, ConstraintSystem, LinearCombination, SynthesisError, Variable};
use ff::Field;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::*;

/// A chain of random constraints with variables that miss A or B, merged terms and constants.
#[derive(Clone)]
pub(super) struct RandomCircuit {
    pub(super) seed: u64,
    pub(super) inputs: usize,
    pub(super) steps: usize,
    /// Added to the last product, to make the statement false.
    pub(super) error: Option<u64>,
    pub(super) with_witness: bool,
}

impl RandomCircuit {
    pub(super) fn new(seed: u64, inputs: usize, steps: usize) -> Self {
        Self { seed, inputs, steps, error: None, with_witness: true }
    }

    fn value(&self, value: Scalar) -> Result<Scalar, SynthesisError> {
        if self.with_witness { Ok(value) } else { Err(SynthesisError::AssignmentMissing) }
    }

    /// Values of the public inputs.
    pub(super) fn public(&self) -> Vec<Scalar> {
        let mut rng = ChaCha20Rng::seed_from_u64(self.seed);
        (0..self.inputs).map(|_| Scalar::random(&mut rng)).collect()
    }
}

type Known = (Variable, Scalar);

fn combine(rng: &mut ChaCha20Rng, known: &[Known]) -> (LinearCombination<Scalar>, Scalar) {
    let mut sum = (LinearCombination::zero(), Scalar::ZERO);
    for _ in 0..1 + rng.next_u32() % 4 {
        let (variable, value) = known[rng.next_u32() as usize % known.len()];
        let coefficient = match rng.next_u32() % 4 {
            0 => Scalar::ONE,
            // Never the negative of another sum: bellman's prover counts a term that cancels in
            // its densities, its generator does not, and its own proofs then fail.
            1 => -Scalar::from(1000),
            2 => Scalar::from(u64::from(rng.next_u32() % 5 + 2)),
            _ => Scalar::random(&mut *rng),
        };
        sum = (sum.0 + (coefficient, variable), sum.1 + coefficient * value);
    }
    sum
}

impl Circuit<Scalar> for RandomCircuit {
    fn synthesize<CS: ConstraintSystem<Scalar>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        let mut rng = ChaCha20Rng::seed_from_u64(self.seed ^ 0xc0ff_ee00);
        let mut known: Vec<Known> = vec![(CS::one(), Scalar::ONE)];
        for value in self.public() {
            let variable = cs.alloc_input(|| "input", || self.value(value))?;
            known.push((variable, value));
        }
        for step in 0..self.steps {
            let (a, a_value) = combine(&mut rng, &known);
            let (b, b_value) = combine(&mut rng, &known);
            let mut product = a_value * b_value;
            if let (Some(error), true) = (self.error, step + 1 == self.steps) {
                product += Scalar::from(error);
            }
            let variable = cs.alloc(|| "product", || self.value(product))?;
            cs.enforce(|| "step", |_| a, |_| b, |lc| lc + variable);
            known.push((variable, product));
            if step % 5 == 0 {
                // A boolean that occurs in A and B, and one that occurs in A only.
                let bit = Scalar::from(u64::from(step % 2 == 0));
                let boolean = cs.alloc(|| "bit", || self.value(bit))?;
                cs.enforce(
                    || "boolean",
                    |lc| lc + CS::one() - boolean,
                    |lc| lc + boolean,
                    |lc| lc,
                );
                let copy = cs.alloc(|| "copy", || self.value(bit))?;
                cs.enforce(|| "copy", |lc| lc + copy - boolean, |lc| lc + CS::one(), |lc| lc);
            }
        }
        Ok(())
    }
}

pub(super) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn quiet(_: Stage, _: f32) {}

fn without_witness(circuit: &RandomCircuit) -> RandomCircuit {
    RandomCircuit { with_witness: false, ..circuit.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn proofs_of_random_circuits_verify(seed: u64, inputs in 0usize..6, steps in 0usize..70) {
        let circuit = RandomCircuit::new(seed, inputs, steps);
        let system = R1cs::of(without_witness(&circuit)).unwrap();
        let parameters = generate(&system, &mut rng()).unwrap();
        let key = ProvingKey::from_parameters(&parameters, &system).unwrap();
        let public = circuit.public();
        for blinding in [Blinding::Public, Blinding::Hiding] {
            let proof =
                prove_blinded(&key, &system, circuit.clone(), blinding, quiet).unwrap();
            verify(&parameters.vk, &public, &proof).unwrap();
            let mut other = public.clone();
            if let Some(first) = other.first_mut() {
                *first += Scalar::ONE;
                prop_assert!(verify(&parameters.vk, &other, &proof).is_err());
            }
        }
        let theirs = create_random_proof(circuit, &parameters, &mut rng()).unwrap();
        prop_assert!(verify(&parameters.vk, &public, &theirs).is_ok());
    }
}

#[test]
fn our_prover_accepts_bellmans_parameters() {
    let circuit = RandomCircuit::new(3, 2, 40);
    let system = R1cs::of(circuit.clone()).unwrap();
    let parameters =
        generate_random_parameters::<Bls12, _, _>(circuit.clone(), &mut rng()).unwrap();
    let key = ProvingKey::from_parameters(&parameters, &system).unwrap();
    let proof = prove(&key, &system, circuit.clone(), quiet).unwrap();
    verify(&parameters.vk, &circuit.public(), &proof).unwrap();
}
