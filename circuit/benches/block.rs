//! What a block costs a prover: witness, synthesis, proof, and the key that is made once.
//!
//! `cargo bench -p zklink-circuit --bench block -- [nano or small, default nano]`
//!
//! Figures are CPU milliseconds of all threads: on a machine with other work they say more than the clock.

#[path = "../tests/support/blocks.rs"]
mod blocks;
#[path = "support/cpu.rs"]
mod cpu;

use bellman::Circuit;
use cpu::{cpu_seconds, peak_mebibytes, timed};
use rand_core::OsRng;
use zklink::amount::Amount;
use zklink::commitment::StateTree;
use zklink::fixtures::{ONE, Scenario, Sealed, USDC};
use zklink::id::{ChainId, Owner, SubAccountId};
use zklink::op::{Deposit, Op};
use zklink::shape::{NANO, SMALL, Shape, shapes};
use zklink_circuit::block::BlockCircuit;
use zklink_circuit::check::CheckSystem;
use zklink_circuit::groth16::{self, ProvingKey, R1cs};
use zklink_circuit::witness::Witness;

/// Short work is done so many times.
const TIMES: u32 = 20;

fn row(what: &str, seconds: f64) {
    println!("{what:<46} {:>9.1}", 1000.0 * seconds);
}

/// CPU seconds of work that is too short for the ticks of the kernel.
fn short<T>(mut work: impl FnMut() -> T) -> (T, f64) {
    let (mut value, first) = timed(&mut work);
    if first > 1.0 {
        return (value, first);
    }
    let (last, seconds) = timed(|| {
        for _ in 1..TIMES {
            value = work();
        }
        work()
    });
    drop(value);
    (last, seconds / f64::from(TIMES))
}

/// A block of one payment after so many deposits that make accounts.
fn in_a_state_of(accounts: u32) -> Sealed {
    let mut world = blocks::world();
    for number in 0..accounts {
        let mut address = [0xcc; 20];
        address[..4].copy_from_slice(&number.to_be_bytes());
        let deposit = Deposit {
            chain: ChainId(1),
            account: world.state.next_account().expect("the tree has room"),
            sub_account: SubAccountId(0),
            token: USDC,
            amount: Amount(ONE),
            owner: Owner::from_evm(address),
            refused: false,
        };
        Op::Deposit(deposit).apply(&mut world.state).expect("a deposit");
    }
    world.tree = StateTree::of(&world.state);
    world.seal(SMALL);
    let tx = world.transfer(1, Scenario::owner(2), ONE, blocks::FEE);
    world.send(1, tx).expect("between users");
    world.seal(NANO)
}

/// What a witness costs must not grow with the state.
fn state_rows() {
    for accounts in [1_000, 100_000] {
        let sealed = in_a_state_of(accounts);
        let (mut state, mut tree) = (sealed.before.clone(), sealed.tree.clone());
        let (witness, seconds) = timed(|| {
            Witness::build(&sealed.block, &sealed.signed, &mut state, &mut tree)
                .expect("what execution accepts has a witness")
        });
        row(&format!("witness of a payment among {accounts} accounts"), seconds);
        drop(witness);
    }
}

fn witness_rows(shape: &Shape, sealed: &Sealed) -> Witness {
    let before = || (sealed.before.clone(), sealed.tree.clone());
    let (_, copying) = short(before);
    let (witness, seconds) = short(|| {
        let (mut state, mut tree) = before();
        Witness::build(&sealed.block, &sealed.signed, &mut state, &mut tree)
            .expect("what execution accepts has a witness")
    });
    row("witness from the state", (seconds - copying).max(0.0));
    let (bytes, seconds) = short(|| witness.encode());
    row(&format!("witness to {} bytes", bytes.len()), seconds);
    let (_, seconds) = short(|| Witness::decode(&bytes, shape).expect("it was just encoded"));
    row("witness from bytes", seconds);
    let circuit = || BlockCircuit { shape, witness: Some(&witness) };
    let synthesize = || groth16::Witness::of(circuit()).expect("all values are there");
    let (assignment, seconds) = short(synthesize);
    row(&format!("assignment of {} variables", assignment.aux().len()), seconds);
    let (satisfied, seconds) = timed(|| {
        let mut cs = CheckSystem::new();
        circuit().synthesize(&mut cs).expect("all values are there");
        cs.is_satisfied()
    });
    assert!(satisfied);
    row("check of all constraints, as the tests do it", seconds);
    witness
}

fn prove_rows(shape: &Shape, sealed: &Sealed, witness: &Witness) {
    let record = || R1cs::of(BlockCircuit { shape, witness: None }).expect("the circuit records");
    let (system, seconds) = timed(record);
    row("recording the circuit (once)", seconds);
    let (parameters, seconds) = timed(|| groth16::generate(&system, &mut OsRng));
    let parameters = parameters.expect("a key can be made");
    row("making the key (once)", seconds);
    let (key, seconds) = timed(|| ProvingKey::from_parameters(&parameters, &system));
    let key = key.expect("the key fits");
    row("preparing the key (once)", seconds);
    let mut stages = Vec::new();
    let (proof, seconds) = timed(|| {
        let circuit = BlockCircuit { shape, witness: Some(witness) };
        groth16::prove(&key, &system, circuit, |stage, _| {
            if stages.last().is_none_or(|(last, _)| *last != stage) {
                stages.push((stage, cpu_seconds()));
            }
        })
    });
    let proof = proof.expect("the block is provable");
    row("proof", seconds);
    if let Some((last, _)) = stages.last().copied() {
        stages.push((last, cpu_seconds()));
    }
    for pair in stages.windows(2) {
        row(&format!("    {:?}", pair[0].0), pair[1].1 - pair[0].1);
    }
    let inputs = sealed.block.public_inputs().expect("it fits");
    let verify = || groth16::verify(&parameters.vk, &inputs, &proof).expect("the proof is right");
    let ((), seconds) = short(verify);
    row("check of the proof by bellman", seconds);
}

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = wanted.unwrap_or_else(|| "nano".to_owned());
    let shape = shapes().iter().find(|shape| shape.name == wanted).expect("a shape has this name");
    let sealed = if wanted == "nano" { blocks::full() } else { blocks::full_small() };
    println!("{:<46} {:>9}", format!("Shape {}", shape.name), "CPU ms");
    let witness = witness_rows(shape, &sealed);
    state_rows();
    prove_rows(shape, &sealed, &witness);
    println!("most memory held: {} MiB", peak_mebibytes());
}
