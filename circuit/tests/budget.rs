//! What everything costs, in constraints: pinned, so that no change of a cost goes unnoticed.
//!
//! `cargo test --release -p zklink-circuit --test budget -- --nocapture` prints the tables.
//!
//! A change that is meant changes the figures here, in `docs/circuit.md`, and the keys of all shapes.

use bellman::ConstraintSystem;
use zklink::hash::{Domain, Fr};
use zklink::id::{AccountId, ShapeId};
use zklink::shape::{Counts, NANO, SMALL, Shape, shape, shapes};
use zklink_circuit::block::BlockCircuit;
use zklink_circuit::check::CheckSystem;
use zklink_circuit::count::Count;
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

/// The constraints of a block with so much room.
fn of(room: Counts) -> usize {
    Count::of(&Shape { id: ShapeId(0x7777), name: "budget", room }).total()
}

/// What so many more cost, over a block that has some already: packed numbers and hashes fill up together.
fn more(base: Counts, add: usize, field: impl Fn(&mut Counts) -> &mut usize) -> usize {
    let mut larger = base;
    *field(&mut larger) += add;
    of(larger) - of(base)
}

/// Twenty-eight more of each but for queue slots, of which there are thirty-five: the words of so many fill whole steps
/// of the digest.
const PARTS: &[Row] = &[
    ("an empty block", 2293, Some(10_000)),
    ("28 signed slots", 108433, Some(28 * 4_000)),
    ("35 queue slots", 33308, Some(35 * 1_000)),
    ("28 accounts", 163042, Some(28 * 9_000)),
    ("28 sub-accounts", 68906, Some(28 * 3_000)),
    ("28 account pages", 60592, Some(28 * 3_000)),
    ("28 balance pages", 81590, Some(28 * 4_000)),
    ("28 balances", 55634, Some(28 * 5_000)),
    ("28 chains", 60648, Some(28 * 3_000)),
    ("28 pools", 54262, Some(28 * 5_000)),
    ("28 fee tokens", 4730, Some(28 * 300)),
];

#[test]
fn parts_cost_what_they_should() {
    let none = Counts::default();
    // So many that the times of the larger block have as many bits.
    let many = |count: usize| Counts {
        accounts: count,
        account_pages: count,
        sub_accounts: count,
        balances: count,
        balance_pages: count,
        chains: count,
        pools: count,
        fee_tokens: count,
        ..none
    };
    let figures = [
        of(none),
        more(Counts { signed: 200, ..none }, 28, |room| &mut room.signed),
        more(Counts { queue: 130, ..none }, 35, |room| &mut room.queue),
        more(many(35), 28, |room| &mut room.accounts),
        more(many(35), 28, |room| &mut room.sub_accounts),
        more(many(35), 28, |room| &mut room.account_pages),
        more(many(35), 28, |room| &mut room.balance_pages),
        more(many(35), 28, |room| &mut room.balances),
        more(many(35), 28, |room| &mut room.chains),
        more(many(35), 28, |room| &mut room.pools),
        more(many(35), 28, |room| &mut room.fee_tokens),
    ];
    let names = PARTS.iter().map(|row| row.0);
    pinned("More of one kind", PARTS, &names.zip(figures).collect::<Vec<_>>());
    println!("\nEach:");
    for ((name, _, _), figure) in PARTS.iter().zip(figures).skip(1) {
        let (count, what) = name.split_once(' ').expect("a number and what is counted");
        let count: f64 = count.parse().expect("a number");
        println!("  {what:<58} {:>8.1}", figure as f64 / count);
    }
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
    ("open", 1643, None),
    ("fee tokens", 17, None),
    ("signed", 13212, None),
    ("signed/slot 0", 3302, Some(4_000)),
    ("signed/slot 0/signature", 2330, None),
    ("queue", 2532, None),
    ("queue/slot 1", 636, None),
    ("credit fees", 7, None),
    ("close", 53565, None),
    ("close/account 0", 5445, None),
    ("close/sub-account 0", 2179, None),
    ("close/balance 0", 1743, None),
    ("close/chain 0", 2142, None),
    ("close/pool 0", 1743, None),
    ("old root", 264, None),
    ("new root", 264, None),
    ("digest", 1452, None),
    ("memory", 5058, None),
    ("statement", 88, None),
];

#[test]
fn the_parts_of_a_nano_block_cost_what_they_should() {
    let nano = &shapes()[0];
    let count = Count::of(nano);
    let parts = NANO_PARTS.iter().map(|(name, _, _)| (*name, count.part(name)));
    pinned("A block of shape nano", NANO_PARTS, &parts.collect::<Vec<_>>());
    let top = NANO_PARTS.iter().filter(|(name, _, _)| !name.contains('/'));
    let sum: usize = top.map(|(name, _, _)| count.part(name)).sum();
    assert_eq!(sum, count.total(), "no part is missing");
}

/// A published word: its share of the digest and of the values at `z`.
#[test]
fn published_words_cost_little() {
    let words = |queue: usize, signed: usize| {
        let shape = Shape {
            id: ShapeId(0x7777),
            name: "budget",
            room: Counts { queue, signed, ..Counts::default() },
        };
        let count = Count::of(&shape);
        count.part("digest") + count.part("statement")
    };
    let queue = words(42, 0) - words(7, 0);
    let signed = words(0, 35) - words(0, 7);
    println!("\nPublished words of 31 bytes");
    println!("  of a queue slot: {:.2} constraints each", queue as f64 / 70.0);
    println!("  of a signed slot: {:.2} constraints each", signed as f64 / 112.0);
    assert_eq!((queue, signed), WORDS);
    assert!(queue <= 80 * 70 && signed <= 80 * 112);
}

/// 70 words of queue slots, 112 of signed slots.
const WORDS: (usize, usize) = (3770, 6200);

/// Name and constraints.
const SHAPES: &[(&str, usize)] = &[
    ("nano", 78957),
    ("small", 160980),
    ("medium", 753044),
    ("wide", 2978275),
    ("deep", 682021),
    ("deepest", 2297531),
];

/// Digests of the constraint system, which key files carry.
const DIGESTS: &[(ShapeId, &str)] = &[
    (NANO, "3e2dc4322a18bc579ce68ab759974c4e564aefdf100be4f5fea86b8482c717c9"),
    (SMALL, "6a2446a9d06f436df6f67ffe119e29b3b1a3cdb421f4f6fc6a8847c3bc23e608"),
];

#[test]
fn shapes_are_pinned() {
    println!("\nShapes");
    let mut found = Vec::new();
    for shape in shapes() {
        let constraints = Count::of(shape).total();
        let log = (constraints + 5).next_power_of_two().trailing_zeros();
        println!("  {:<8} {constraints:>9} of 2^{log}", shape.name);
        found.push((shape.name, constraints));
    }
    assert_eq!(found, SHAPES);
}

#[test]
fn constraint_systems_are_pinned() {
    for (id, pinned) in DIGESTS {
        let shape = shape(*id).expect("a known shape");
        let system = R1cs::of(BlockCircuit { shape, witness: None }).expect("it records");
        assert_eq!(system.rows(), Count::of(shape).total() + system.inputs());
        let digest = hex::encode(system.digest());
        println!("  {:<8} {digest}", shape.name);
        assert_eq!(digest, *pinned, "{}", shape.name);
    }
}
