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
                cs.enforce(|| "boolean", |lc| lc + CS::one() - boolean, |lc| lc + boolean, |lc| lc);
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

#[test]
fn a_false_statement_names_its_first_row() {
    let circuit = RandomCircuit::new(9, 1, 31);
    let system = R1cs::of(circuit.clone()).unwrap();
    let parameters = generate(&system, &mut rng()).unwrap();
    let key = ProvingKey::from_parameters(&parameters, &system).unwrap();
    let wrong = RandomCircuit { error: Some(1), ..circuit };
    // Step 30 is the last; seven of the steps bring two more constraints, step 30's come later.
    let error = prove(&key, &system, wrong, quiet).unwrap_err();
    assert!(matches!(error, ProveError::Unsatisfied { row: 42 }), "{error}");
}

#[test]
fn a_missing_witness_or_another_shape_is_refused() {
    let circuit = RandomCircuit::new(9, 1, 20);
    let system = R1cs::of(circuit.clone()).unwrap();
    let parameters = generate(&system, &mut rng()).unwrap();
    let key = ProvingKey::from_parameters(&parameters, &system).unwrap();
    let error = prove(&key, &system, without_witness(&circuit), quiet).unwrap_err();
    assert!(matches!(error, ProveError::Synthesis(SynthesisError::AssignmentMissing)), "{error}");
    let longer = RandomCircuit::new(9, 1, 21);
    let error = prove(&key, &system, longer.clone(), quiet).unwrap_err();
    assert!(matches!(error, ProveError::Shape { aux: 31, expected_aux: 28, .. }), "{error}");
    let other = R1cs::of(longer.clone()).unwrap();
    let error = prove(&key, &other, longer, quiet).unwrap_err();
    assert!(matches!(error, ProveError::WrongSystem { .. }), "{error}");
}

#[test]
fn a_key_of_other_coefficients_is_found_out() {
    let circuit = RandomCircuit::new(9, 1, 4);
    let system = R1cs::of(circuit.clone()).unwrap();
    let lengths =
        |system: &R1cs| [system.a(), system.b()].map(|matrix| system.dense_columns(matrix).len());
    // Another circuit whose queries are as long.
    let other = (10..10_000)
        .map(|seed| R1cs::of(RandomCircuit::new(seed, 1, 4)).unwrap())
        .find(|other| lengths(other) == lengths(&system))
        .unwrap();
    let parameters = generate(&other, &mut rng()).unwrap();
    let key = ProvingKey::from_parameters(&parameters, &system).unwrap();
    let error = prove(&key, &system, circuit, quiet).unwrap_err();
    assert!(matches!(error, ProveError::Rejected), "{error}");
}

#[test]
fn degenerate_and_misfit_parameters_are_refused() {
    let system = R1cs::of(RandomCircuit::new(2, 1, 6)).unwrap();
    let good = generate(&system, &mut rng()).unwrap();
    let refused = |parameters| ProvingKey::from_parameters(&parameters, &system).err().unwrap();
    let mut bad = good.clone();
    bad.vk.delta_g2 = bls12_381::G2Affine::identity();
    assert_eq!(refused(bad), KeyError::Degenerate { point: "delta_g2" });
    let mut bad = good.clone();
    bad.vk.gamma_g2 = bls12_381::G2Affine::identity();
    assert_eq!(refused(bad), KeyError::Degenerate { point: "gamma_g2" });
    let mut bad = good.clone();
    bad.vk.ic[1] = bls12_381::G1Affine::identity();
    assert_eq!(refused(bad), KeyError::Degenerate { point: "ic" });
    let mut bad = good.clone();
    std::sync::Arc::make_mut(&mut bad.a)[0] = bls12_381::G1Affine::identity();
    assert_eq!(refused(bad), KeyError::Degenerate { point: "a" });
    let mut bad = good.clone();
    std::sync::Arc::make_mut(&mut bad.b_g2).pop();
    let found = good.b_g2.len() - 1;
    let expected = good.b_g2.len();
    assert_eq!(refused(bad), KeyError::Shape { query: "b_g2", expected, found });
}

/// `x` in no constraint at all.
struct Loose;

impl Circuit<Scalar> for Loose {
    fn synthesize<CS: ConstraintSystem<Scalar>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        let used = cs.alloc(|| "used", || Ok(Scalar::ONE))?;
        cs.alloc(|| "loose", || Ok(Scalar::ONE))?;
        cs.enforce(|| "one", |lc| lc + used, |lc| lc + used, |lc| lc + used);
        Ok(())
    }
}

#[test]
fn unconstrained_variables_are_refused_as_bellman_does() {
    let system = R1cs::of(Loose).unwrap();
    let error = generate(&system, &mut rng()).err().unwrap();
    assert_eq!(error, KeygenError::Unconstrained { index: 1 });
    let theirs = generate_random_parameters::<Bls12, _, _>(Loose, &mut rng());
    assert!(matches!(theirs, Err(SynthesisError::UnconstrainedVariable)));
}

/// `x · 1 = y` with terms that cancel and repeat, and an input after the variables.
#[derive(Clone)]
struct Cancelling {
    coefficient: u64,
}

impl Circuit<Scalar> for Cancelling {
    fn synthesize<CS: ConstraintSystem<Scalar>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        let factor = Scalar::from(self.coefficient);
        let x = cs.alloc(|| "x", || Ok(Scalar::from(5)))?;
        let y = cs.alloc_input(|| "y", || Ok(Scalar::from(15)))?;
        cs.enforce(
            || "cancel",
            |lc| lc + x + (factor, x) + x - y + y,
            |lc| lc + CS::one() + x - x,
            |lc| lc + y,
        );
        Ok(())
    }
}

#[test]
fn cancelling_terms_are_dropped() {
    let circuit = Cancelling { coefficient: 1 };
    let system = R1cs::of(circuit.clone()).unwrap();
    // x; then the three columns' own rows: 1, y.
    assert_eq!((system.rows(), system.a().nonzeros(), system.b().nonzeros()), (3, 3, 1));
    let parameters = generate(&system, &mut rng()).unwrap();
    let key = ProvingKey::from_parameters(&parameters, &system).unwrap();
    let proof = prove(&key, &system, circuit, quiet).unwrap();
    verify(&parameters.vk, &[Scalar::from(15)], &proof).unwrap();
}

#[test]
fn the_digest_is_of_the_system_and_not_of_the_witness() {
    let digest = |circuit: Cancelling| R1cs::of(circuit).unwrap().digest();
    assert_ne!(digest(Cancelling { coefficient: 1 }), digest(Cancelling { coefficient: 2 }));
    let circuit = RandomCircuit::new(1, 2, 9);
    let system = R1cs::of(circuit.clone()).unwrap();
    assert_eq!(system.digest(), R1cs::of(without_witness(&circuit)).unwrap().digest());
    let more = RandomCircuit::new(1, 3, 9);
    assert_ne!(system.digest(), R1cs::of(more).unwrap().digest());
}

/// No variables besides the constant: a domain of one point and empty queries.
struct Nothing;

impl Circuit<Scalar> for Nothing {
    fn synthesize<CS: ConstraintSystem<Scalar>>(self, _: &mut CS) -> Result<(), SynthesisError> {
        Ok(())
    }
}

#[test]
fn the_empty_circuit_is_no_exception() {
    let system = R1cs::of(Nothing).unwrap();
    assert_eq!(system.log_domain(), 0);
    let parameters = generate(&system, &mut rng()).unwrap();
    let key = ProvingKey::from_parameters(&parameters, &system).unwrap();
    let proof = prove(&key, &system, Nothing, quiet).unwrap();
    verify(&parameters.vk, &[], &proof).unwrap();
}

#[test]
fn progress_goes_through_all_stages_in_order() {
    let circuit = RandomCircuit::new(4, 1, 8);
    let system = R1cs::of(circuit.clone()).unwrap();
    let parameters = generate(&system, &mut rng()).unwrap();
    let key = ProvingKey::from_parameters(&parameters, &system).unwrap();
    let mut heard = vec![];
    prove(&key, &system, circuit, |stage, share| heard.push((stage, share))).unwrap();
    assert_eq!(heard.len(), 7);
    assert!(heard.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
}
