//! What everything costs, in constraints: pinned, so that no change of a cost goes unnoticed.
//!
//! `cargo test --release -p zklink-circuit --test budget -- --nocapture` prints the tables.
//!
//! A change that is meant changes the figures here, in `docs/circuit.md`, and the keys of all shapes.

#[path = "support/count.rs"]
mod count;

use bellman::ConstraintSystem;
use count::Count;
use zklink::hash::{Domain, Fr};
use zklink::id::{AccountId, ShapeId};
use zklink::op::SlotKind::{self, ChangePubKey, Deposit, Transfer, TransferToNew, Withdraw};
use zklink::shape::{Shape, shapes};
use zklink_circuit::block::BlockCircuit;
use zklink_circuit::check::CheckSystem;
use zklink_circuit::gadget::schnorr::SignatureWitness;
use zklink_circuit::gadget::select::Digit;
use zklink_circuit::gadget::{
    Bit, Expression, bits, edwards, float, merkle, poseidon2, schnorr, zero,
};
use zklink_circuit::groth16::R1cs;

/// A name, its figure, and the bound that was set before it was built, where there is one.
type Row = (&'static str, usize, Option<usize>);

fn pinned(title: &str, expected: &[Row], found: &[(&'static str, usize)]) {
    println!("\n{title}");
    for (name, figure) in found {
        println!("  {name:<58} {figure:>8}");
    }
    let pinned: Vec<_> = expected.iter().map(|(name, figure, _)| (*name, *figure)).collect();
    assert_eq!(found, pinned);
    for (name, figure, bound) in expected {
        assert!(bound.is_none_or(|bound| *figure <= bound), "{name} is above its bound");
    }
}

/// The constraints of a gadget over given values.
fn gadget(
    build: impl FnOnce(&mut CheckSystem, &mut dyn FnMut(&mut CheckSystem, u64) -> Expression),
) -> usize {
    let mut cs = CheckSystem::new();
    let mut given = 0;
    let mut give = |cs: &mut CheckSystem, value: u64| {
        given += 1;
        let variable = cs.alloc_input(|| format!("given {given}"), || Ok(Fr::from(value)));
        Expression::variable(variable.expect("it has a value"), Some(Fr::from(value)))
    };
    build(&mut cs, &mut give);
    cs.constraint_count()
}

const GADGETS: &[Row] = &[
    ("Poseidon2, 4 elements to 1", 264, None),
    ("Poseidon2, 8 elements to 1", 363, None),
    ("range of 128 bits", 129, None),
    ("decimal float of 16 bits, bits not included", 5, None),
    ("is it zero", 2, None),
    ("level of a 4-ary tree, opened and updated", 534, None),
    ("path of an account (12 levels), opened and updated", 6408, None),
    ("key of prime order", 19, None),
    ("Schnorr signature", 2063, Some(5000)),
];

fn merkle_cost(depth: usize) -> usize {
    gadget(|cs, give| {
        let digits: Vec<Bit> = (0..2 * depth).map(|_| Bit::assumed(give(cs, 0))).collect();
        let (root, old, new) = (give(cs, 1), give(cs, 2), give(cs, 3));
        let path = merkle::Path::known(&vec![[Fr::zero(); 4]; depth]);
        merkle::update(cs, &root, &Digit::of_bits(&digits), &path, &old, &new)
            .expect("all values are there");
    })
}

#[test]
fn gadgets_cost_what_they_should() {
    const DONE: &str = "all values are there";
    let compress4 = gadget(|cs, give| {
        let lanes = std::array::from_fn(|lane| give(cs, lane as u64));
        poseidon2::compress4(cs, Domain::Node, &lanes).expect(DONE);
    });
    let compress8 = gadget(|cs, give| {
        let lanes = std::array::from_fn(|lane| give(cs, lane as u64));
        poseidon2::compress8(cs, Domain::PublicData, &lanes).expect(DONE);
    });
    let range = gadget(|cs, give| {
        let number = give(cs, 77);
        bits::to_bits(cs, &number, 128).expect(DONE);
    });
    let fee = gadget(|cs, give| {
        let bits: Vec<Bit> = (0..16).map(|_| Bit::assumed(give(cs, 1))).collect();
        float::decode(cs, &bits).expect(DONE);
    });
    let is_zero = gadget(|cs, give| {
        let number = give(cs, 0);
        zero::is_zero(cs, &number).expect(DONE);
    });
    let point = |cs: &mut CheckSystem,
                 give: &mut dyn FnMut(&mut CheckSystem, u64) -> Expression| {
        edwards::Point { x: give(cs, 1), y: give(cs, 2) }
    };
    let order = gadget(|cs, give| {
        let point = point(cs, give);
        point.enforce_prime_order(cs, Some((Fr::one(), Fr::one()))).expect(DONE);
    });
    let signature = gadget(|cs, give| {
        let (key, message) = (point(cs, give), give(cs, 3));
        let enabled = Bit::assumed(give(cs, 1));
        let signature = SignatureWitness::dummy(Fr::one());
        schnorr::verify(cs, &key, &message, &signature, &enabled).expect(DONE);
    });
    let figures = [
        compress4,
        compress8,
        range,
        fee,
        is_zero,
        merkle_cost(1),
        merkle_cost(AccountId::DEPTH),
        order,
        signature,
    ];
    let names = GADGETS.iter().map(|row| row.0);
    pinned("Gadgets", GADGETS, &names.zip(figures).collect::<Vec<_>>());
}

/// A shape with groups of one balance and chains of one pool.
fn of(slots: &[SlotKind], accounts: usize, chains: usize) -> usize {
    Count::of(&local(slots, accounts, chains)).total()
}

fn local(slots: &[SlotKind], accounts: usize, chains: usize) -> Shape {
    Shape {
        id: ShapeId(0x7777),
        name: "budget",
        slots: slots.to_vec(),
        accounts: vec![vec![1]; accounts],
        chains: vec![1; chains],
    }
}

const OPERATIONS: &[Row] = &[
    ("an empty block", 1763, Some(10_000)),
    ("account with one balance, opened and closed", 14167, None),
    ("further balance of it", 4415, None),
    ("chain with one pool, opened and closed", 6551, None),
    ("Transfer between accounts that nothing else touches", 31090, Some(36_000)),
    ("Transfer between accounts that are open", 2667, Some(8_000)),
    ("TransferToNew between accounts that nothing else touches", 31365, Some(36_000)),
    ("Withdraw with account and chain of its own", 23931, Some(28_000)),
    ("Withdraw where both are open", 3170, Some(8_000)),
    ("Deposit with account and chain of its own", 21299, Some(22_000)),
    ("Deposit where both are open", 546, Some(2_000)),
    ("ChangePubKey with an account of its own", 17104, Some(22_000)),
    ("ChangePubKey of an open account", 2904, Some(8_000)),
];

/// What one more operation costs in a block of two operations like it, over the fee account and what they touch.
#[test]
fn operations_cost_what_they_should() {
    // `one` operation with its leaves, then a second with leaves of its own, then a second over the same leaves.
    let marginal = |kind: SlotKind, accounts: usize, chains: usize| {
        let one = of(&[kind], 1 + accounts, chains);
        let apart = of(&[kind; 2], 1 + 2 * accounts, 2 * chains) - one;
        let together = of(&[kind; 2], 1 + accounts, chains) - one;
        (apart, together)
    };
    let wide = Shape { accounts: vec![vec![2]], ..local(&[], 1, 0) };
    let balance = Count::of(&wide).total() - of(&[], 1, 0);
    let (transfer, transfer_open) = marginal(Transfer, 2, 0);
    let (to_new, _) = marginal(TransferToNew, 2, 0);
    let (withdraw, withdraw_open) = marginal(Withdraw, 1, 1);
    let (deposit, deposit_open) = marginal(Deposit, 1, 1);
    let (change, change_open) = marginal(ChangePubKey, 1, 0);
    let figures = [
        of(&[], 0, 0),
        of(&[], 1, 0) - of(&[], 0, 0),
        balance,
        of(&[], 0, 1) - of(&[], 0, 0),
        transfer,
        transfer_open,
        to_new,
        withdraw,
        withdraw_open,
        deposit,
        deposit_open,
        change,
        change_open,
    ];
    let names = OPERATIONS.iter().map(|row| row.0);
    pinned("Operations", OPERATIONS, &names.zip(figures).collect::<Vec<_>>());
    println!("\nBeside them, per operation:");
    println!("  zkSync Lite, transfer (2 chunks)                            200,726  derived");
    println!("  zkSync Lite, withdrawal, deposit, key change (6 chunks)     602,178  derived");
    println!("  Loopring 3.6, slot for any operation                        143,864  counted");
    println!(
        "  Hermez, transfer (2,048 a batch, 32 levels)                  59,450  their formula"
    );
}

const NANO_PARTS: &[Row] = &[
    ("system", 855, None),
    ("open", 359, None),
    ("slot 0", 552, None),
    ("slot 1", 2551, None),
    ("slot 2", 2666, None),
    ("slot 2/signature", 2317, Some(5000)),
    ("slot 3", 2932, None),
    ("slot 4", 3180, None),
    ("close", 48708, None),
    ("close/account 0", 14059, None),
    ("close/chain 0", 6531, None),
    ("old root", 264, None),
    ("new root", 264, None),
    ("statement", 754, None),
];

#[test]
fn the_parts_of_a_nano_block_cost_what_they_should() {
    let nano = &shapes()[0];
    let count = Count::of(nano);
    let parts = NANO_PARTS.iter().map(|(name, _, _)| (*name, count.part(name)));
    pinned("A block of shape nano", NANO_PARTS, &parts.collect::<Vec<_>>());
    let slots: usize = (0..nano.slots.len()).map(|at| count.part(&format!("slot {at}"))).sum();
    let rest = ["system", "open", "close", "old root", "new root", "statement"];
    let rest: usize = rest.iter().map(|name| count.part(name)).sum();
    assert_eq!(slots + rest, count.total(), "no part is missing");
}

#[test]
fn published_words_cost_little() {
    let words = |shape: &Shape| shape.onchain_words() + shape.data_words();
    let statement = |slots: &[SlotKind]| {
        let shape = local(slots, 2, 1);
        (words(&shape), Count::of(&shape).part("statement"))
    };
    // Seven words are one step of the digest.
    let few = statement(&[Transfer; 7]);
    let more = statement(&[Transfer; 70]);
    let data = more.1 - few.1;
    let (few, more) = (statement(&[Deposit; 7]), statement(&[Deposit; 70]));
    let onchain = more.1 - few.1;
    println!("\nPublished words of 31 bytes");
    println!("  data: {:.2} constraints each", data as f64 / 63.0);
    println!("  on-chain: {:.2} constraints each", onchain as f64 / 126.0);
    assert_eq!((data, onchain), (3330, 6660));
    assert!(data <= 80 * 63 && onchain <= 80 * 126);
}

/// Name, constraints, and the digest of the constraint system that key files carry.
const SHAPES: &[(&str, usize, &str)] = &[
    ("nano", 63085, "0e7f5240a18fc036f254f767ccc25de18d058339f8861dd99a733a45ac21045a"),
    ("small", 128673, "07c16744597ad4885303e18383c766ca28363faebe71629b0e6110fca8f1e929"),
];

#[test]
fn shapes_are_pinned() {
    println!("\nShapes");
    let mut found = Vec::new();
    for shape in shapes() {
        let system = R1cs::of(BlockCircuit { shape, witness: None }).expect("it records");
        let constraints = Count::of(shape).total();
        assert_eq!(system.rows(), constraints + system.inputs());
        let digest = hex::encode(system.digest());
        println!("  {:<8} {constraints:>8} of 2^{}  {digest}", shape.name, system.log_domain());
        found.push((shape.name, constraints, digest));
    }
    let found: Vec<_> =
        found.iter().map(|(name, count, digest)| (*name, *count, &digest[..])).collect();
    assert_eq!(found, SHAPES);
}
