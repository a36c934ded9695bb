//! Our Groth16 backend beside bellman's, on one circuit, in one run.
//!
//! `cargo bench -p zklink-circuit --bench groth16 -- [log2 of constraints, default 14]`
//!
//! Figures are user and system CPU seconds of the whole process, all threads, from the kernel's
//! accounting: on a machine with other work they say more than the clock. Read the ratios.

#[path = "support/cpu.rs"]
mod cpu;

use bellman::groth16::{create_random_proof, generate_random_parameters};
use bellman::{Circuit, ConstraintSystem, LinearCombination, SynthesisError, Variable};
use bls12_381::{Bls12, Scalar};
use cpu::{cpu_seconds, timed};
use ff::Field;
use rand_core::OsRng;
use zklink_circuit::groth16::{
    Blinding, PointCheck, Provenance, ProvingKey, R1cs, generate, prove_blinded, verify,
};

/// A chain of three-wide rounds: x^5 on every element, then a dense 3 by 3 layer.
#[derive(Clone)]
struct PowerChain {
    rounds: usize,
}

const START: [u64; 3] = [3, 1, 4];

fn layer(row: usize, column: usize) -> Scalar {
    Scalar::from((1 + row * row + 3 * column * (row + 1)) as u64)
}

impl PowerChain {
    /// Nine constraints a round, and one for each input.
    fn of_constraints(count: usize) -> Self {
        Self { rounds: (count - 3) / 9 }
    }

    fn result(&self) -> Scalar {
        let mut state = START.map(Scalar::from);
        for _ in 0..self.rounds {
            state = mixed(state.map(|x| x.square().square() * x));
        }
        state[0]
    }
}

fn mixed(powers: [Scalar; 3]) -> [Scalar; 3] {
    [0, 1, 2].map(|row| (0..3).map(|column| layer(row, column) * powers[column]).sum())
}

type Element = (LinearCombination<Scalar>, Scalar);

fn product<CS: ConstraintSystem<Scalar>>(
    cs: &mut CS,
    a: &Element,
    b: &Element,
) -> Result<(Variable, Scalar), SynthesisError> {
    let value = a.1 * b.1;
    let variable = cs.alloc(|| "product", || Ok(value))?;
    cs.enforce(|| "product", |lc| lc + &a.0, |lc| lc + &b.0, |lc| lc + variable);
    Ok((variable, value))
}

fn element(product: (Variable, Scalar)) -> Element {
    (LinearCombination::zero() + product.0, product.1)
}

impl Circuit<Scalar> for PowerChain {
    fn synthesize<CS: ConstraintSystem<Scalar>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        let out = cs.alloc_input(|| "result", || Ok(self.result()))?;
        let mut state: Vec<Element> = START
            .iter()
            .map(|&x| (LinearCombination::zero() + (Scalar::from(x), CS::one()), Scalar::from(x)))
            .collect();
        for _ in 0..self.rounds {
            let mut powers = Vec::with_capacity(3);
            for x in &state {
                let square = element(product(cs, x, x)?);
                let fourth = element(product(cs, &square, &square)?);
                // The wide combination stands on the left: points of B cost more.
                powers.push(product(cs, x, &fourth)?);
            }
            state = (0..3)
                .map(|row| {
                    let mut sum = (LinearCombination::zero(), Scalar::ZERO);
                    for (column, (variable, value)) in powers.iter().enumerate() {
                        let factor = layer(row, column);
                        sum = (sum.0 + (factor, *variable), sum.1 + factor * value);
                    }
                    sum
                })
                .collect();
        }
        cs.enforce(|| "result", |lc| lc + &state[0].0, |lc| lc + CS::one(), |lc| lc + out);
        Ok(())
    }
}

fn row(what: &str, seconds: f64, reference: f64) {
    println!("{what:<34} {seconds:>9.2} {:>9.2}", reference / seconds);
}

fn main() {
    let log = std::env::args().find_map(|argument| argument.parse::<u32>().ok()).unwrap_or(14);
    let circuit = PowerChain::of_constraints(1 << log);
    let public = [circuit.result()];
    let (system, recording) = timed(|| R1cs::of(circuit.clone()).expect("the circuit records"));
    println!(
        "{} constraints, {} variables, terms A {} B {} C {}",
        system.rows(),
        system.columns(),
        system.a().nonzeros(),
        system.b().nonzeros(),
        system.c().nonzeros()
    );
    println!("{:<34} {:>9} {:>9}", "", "CPU s", "bellman/x");

    let (theirs, their_keygen) =
        timed(|| generate_random_parameters::<Bls12, _, _>(circuit.clone(), &mut OsRng));
    drop(theirs.expect("bellman makes parameters"));
    let (parameters, our_keygen) =
        timed(|| generate(&system, &mut OsRng).expect("we make parameters"));
    row("key generation, bellman", their_keygen, their_keygen);
    row("key generation, ours", recording + our_keygen, their_keygen);

    let (key, preparing) =
        timed(|| ProvingKey::from_parameters(&parameters, &system).expect("the key fits"));
    let (proof, their_prove) =
        timed(|| create_random_proof(circuit.clone(), &parameters, &mut OsRng));
    verify(&parameters.vk, &public, &proof.expect("bellman proves")).expect("its proof verifies");
    row("proof, bellman", their_prove, their_prove);
    for (name, blinding) in
        [("proof, ours, hiding", Blinding::Hiding), ("proof, ours, public", Blinding::Public)]
    {
        let mut stages = vec![];
        let (proof, seconds) = timed(|| {
            prove_blinded(&key, &system, circuit.clone(), blinding, |stage, _| {
                stages.push((stage, cpu_seconds()));
            })
        });
        proof.expect("we prove");
        row(name, seconds, their_prove);
        stages.push((stages[0].0, cpu_seconds()));
        for pair in stages.windows(2) {
            println!("    {:<30} {:>9.2}", format!("{:?}", pair[0].0), pair[1].1 - pair[0].1);
        }
    }
    row("recording the circuit (once)", recording, their_prove);
    row("preparing the key (once)", preparing, their_prove);
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let path = folder.path().join("chain.key");
    let (saved, saving) = timed(|| key.save(&path, "chain", Provenance::Dev));
    assert!(saved.expect("the key is saved"));
    let (loaded, loading) = timed(|| ProvingKey::load(&path, "chain", &system, PointCheck::Curve));
    assert_eq!(loaded.expect("the key loads").key.digest(), system.digest());
    let bytes = std::fs::metadata(&path).expect("the file is there").len();
    row(&format!("saving the key ({bytes} bytes)"), saving, their_prove);
    row("loading the key", loading, their_prove);
}
