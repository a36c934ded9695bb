//! Operations that find in the memory what nobody left there, and values that are chosen after the challenges.

use std::collections::BTreeSet;

use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::Nonce;
use zklink::layout::power_of_two;
use zklink::op::Op;
use zklink_circuit::check::CheckSystem;

use super::{HONEST, MEMORY, USDC_ONLY, block, over};
use crate::blocks::{FEE, full, idle, synthesize, witness, world};
use crate::cheat::{Cheat, Subs};
use crate::ops::{Said, deposit, transfer};

fn units(amount: u128) -> Fr {
    zklink::commitment::amount_to_fr(zklink::amount::Amount(amount))
}

/// What user 1 holds.
const HELD: u128 = 5 * ONE;
/// What one payment takes from him.
const TAKEN: u128 = ONE + FEE;
/// His balance.
const LEAF: &str = "close/balance 1/new";

/// A block of `count` payments of user 1.
fn payments(world: &Scenario, count: u32) -> Cheat {
    let op = Op::Transfer(transfer(2, 3, ONE));
    let said = Said::next(world, &op);
    (0..count).fold(block(world), |cheat, at| {
        let said = Said { nonce: Nonce(said.nonce.0 + at), ..said };
        cheat.saying(1, op.clone(), said)
    })
}

/// Lets the payer of the slot find this amount, left at this time.
fn finds(cheat: Cheat, rank: usize, amount: u128, before: u64) -> Cheat {
    let (payer, moment) = (format!("signed/slot {rank}/payer"), cheat.moment(rank));
    cheat
        .choose(&format!("{payer}/value 0/held"), units(amount))
        .choose_before(&payer, moment, before)
}

#[test]
fn payments_in_a_row_pass() {
    assert_eq!(payments(&world(), 3).caught(), HONEST);
}

#[test]
fn a_stale_value_is_refused() {
    // The second payment finds what was there before the first, and the first is forgotten.
    let honest = payments(&world(), 2);
    let last = honest.moment(1);
    let cheat = finds(honest, 1, HELD, 0).touch(LEAF, &[units(HELD - TAKEN)], last);
    assert_eq!(cheat.caught(), MEMORY);
    // With the time of the first.
    let honest = payments(&world(), 2);
    let first = honest.moment(0);
    let cheat = finds(honest, 1, HELD, first).touch(LEAF, &[units(HELD - TAKEN)], last);
    assert_eq!(cheat.caught(), MEMORY);
}

#[test]
fn a_value_that_was_never_written_is_refused() {
    let rich = 1 << 100;
    let honest = payments(&world(), 1);
    let last = honest.moment(0);
    let cheat = finds(honest, 0, rich, 0).touch(LEAF, &[units(rich - TAKEN)], last);
    assert_eq!(cheat.caught(), MEMORY);
}

#[test]
fn an_access_cannot_be_skipped() {
    // The leaf takes what was there before the last access, or before all.
    let honest = payments(&world(), 2);
    let first = honest.moment(0);
    let cheat = honest.clone().touch(LEAF, &[units(HELD - TAKEN)], first);
    assert_eq!(cheat.caught(), MEMORY);
    assert_eq!(honest.touch(LEAF, &[units(HELD)], 0).caught(), MEMORY);
}

#[test]
fn what_was_left_is_found_once() {
    // Two payments find what the first left.
    let honest = payments(&world(), 3);
    let (first, last) = (honest.moment(0), honest.moment(2));
    let cheat = finds(honest, 2, HELD - TAKEN, first);
    let cheat = cheat.touch(LEAF, &[units(HELD - 2 * TAKEN)], last);
    assert_eq!(cheat.caught(), MEMORY);
}

#[test]
fn the_time_of_the_last_access_counts() {
    let honest = payments(&world(), 2);
    for time in [0, honest.moment(0), honest.moment(1) + 1] {
        let cheat = honest.clone().touch(LEAF, &[units(HELD - 2 * TAKEN)], time);
        assert_eq!(cheat.caught(), MEMORY, "{time}");
    }
    let last = honest.moment(1);
    assert_eq!(honest.touch(LEAF, &[units(HELD - 2 * TAKEN)], last).caught(), HONEST);
}

#[test]
fn an_access_does_not_find_what_comes_later() {
    // Two accesses that find what the other left: the sum comes out, and the leaf stays as it was.
    let world = world();
    let (pay, back) = (Op::Transfer(transfer(2, 3, ONE)), Op::Transfer(transfer(3, 2, TAKEN)));
    let honest = block(&world).by(&world, 1, pay).by(&world, 2, back);
    assert_eq!(honest.clone().caught(), HONEST);
    let rich = 1 << 100;
    let (first, second) = (honest.moment(0), honest.moment(1) + 1);
    let (payer, bits) = ("signed/slot 0/payer", honest.time_bits());
    let cheat = honest
        .choose(&format!("{payer}/value 0/held"), units(rich))
        .choose_bits(&format!("{payer}/access before"), 0, bits)
        .choose(&format!("{payer}/access before/bit0/bit"), Fr::from(first - 1) - Fr::from(second))
        .choose("signed/slot 1/other/value 0/held", units(rich - TAKEN))
        .choose_before("signed/slot 1/other", second, first)
        .touch(LEAF, &[units(HELD)], 0);
    assert_eq!(cheat.caught(), [format!("{payer}/access before/bit0/bit")]);
}

#[test]
fn an_access_does_not_find_what_it_leaves_itself() {
    // Of two tuples that are equal nothing remains; then anybody could find anything. It would have to be at its own
    // time.
    let world = world();
    let mut op = transfer(2, 3, 0);
    op.fee = zklink::amount::Fee::ZERO;
    let honest = block(&world).by(&world, 1, Op::Transfer(op));
    let (first, bits) = (honest.moment(0), honest.time_bits());
    let access = "signed/slot 0/payer/access before";
    let cheat = honest
        .choose("signed/slot 0/payer/value 0/held", units(1 << 100))
        .choose_bits(access, 0, bits)
        .choose(&format!("{access}/bit0/bit"), Fr::from(first - 1) - Fr::from(first))
        .touch(LEAF, &[units(HELD)], 0);
    assert_eq!(cheat.caught(), [format!("{access}/bit0/bit")]);
}

#[test]
fn cells_do_not_exchange_their_values() {
    // Accounts 3 and 4 hold as much; each gets the other's time, or a nonce takes the place of another.
    let honest = payments(&world(), 1);
    let second = honest.moment(0) + 1;
    let cheat = honest.touch("close/balance 2/new", &[units(HELD)], 0).touch(
        "close/balance 3/new",
        &[units(HELD + ONE)],
        second,
    );
    assert_eq!(cheat.caught(), MEMORY);
    let honest = payments(&world(), 1);
    let first = honest.moment(0);
    let settled = honest.synthesize();
    let nonce =
        |at: usize| settled.value(&format!("close/sub-account {at}/new nonce/value 0/held"));
    let cheat = honest.touch("close/sub-account 1/new nonce", &[nonce(2)], 0).touch(
        "close/sub-account 2/new nonce",
        &[nonce(1)],
        first,
    );
    assert_eq!(cheat.caught(), MEMORY);
}

#[test]
fn roots_between_leaves_follow_each_other() {
    // The second balance of a sub-account is put into the page before the first one changed: its change is lost.
    let world = world();
    let both: Subs<'_> = &[(0, &[USDC, COIN])];
    let accounts = [(0, USDC_ONLY), (2, both), (3, USDC_ONLY)];
    let open = || {
        let cheat = Cheat::open(&world, &accounts, &[]);
        cheat.by(&world, 1, Op::Transfer(transfer(2, 3, ONE)))
    };
    let honest = open().settle();
    assert_eq!(honest.failures(), HONEST);
    let mut cheat = honest.clone();
    cheat.witness.balances[2].leaf.path = open().witness.balances[2].leaf.path.clone();
    let old_node = honest.witness.balance_pages[1].node.node;
    let cheat = cheat.choose("close/balance 2/parent/value 0/held", old_node).choose_before(
        "close/balance 2/parent",
        3,
        0,
    );
    let lost = cheat.synthesize().value("close/balance 2/level2/new parent/box84/next");
    assert_eq!(lost, old_node, "coins did not move, and dollars are as before");
    let old_root = honest.witness.sub_accounts[1].roots[0];
    let mut cheat = cheat
        .choose("close/balance page 1/new/value 0/held", lost)
        .choose("close/sub-account 1/new balances/value 0/held", old_root);
    cheat.publish_honestly();
    assert_eq!(cheat.failures(), MEMORY);
    // And a root that was never there does not lead to the leaf.
    let caught = honest.choose("close/balance 2/parent/value 0/held", Fr::from(7)).failures();
    let path = "close/balance 2/level2/old parent/";
    assert!(caught.iter().any(|name| name.starts_with(path)), "{caught:?}");
}

#[test]
fn leaves_take_the_roots_that_were_left() {
    let world = world();
    let cheat = || block(&world).by(&world, 1, Op::Transfer(transfer(2, 3, ONE))).settle();
    let honest = cheat().synthesize();
    for (leaf, last) in [
        ("close/sub-account 1/new balances", 0),
        ("close/account 3/new sub-accounts", 0),
        ("close/chain 0/new pools", 0),
    ] {
        let root = honest.value(&format!("{leaf}/value 0/held")) + Fr::one();
        let mut cheat = cheat().touch(leaf, &[root], last);
        cheat.publish_honestly();
        assert_eq!(cheat.failures(), MEMORY, "{leaf}");
    }
}

/// The challenges of a block.
fn challenges(cs: &CheckSystem) -> [Fr; 2] {
    ["memory/a", "memory/g"].map(|name| cs.value(&format!("{name}/box84/next")))
}

#[test]
fn what_is_chosen_after_the_challenges_does_not_count_in_an_access_that_is_off() {
    // Nothing binds what an idle slot says. Its owner is chosen so that the divisor of the tuple is zero, whose
    // quotient is then anything, such as what is missing for an invented balance.
    let world = world();
    let honest = block(&world).idle_queue();
    let cheat = honest.touch(LEAF, &[units(1 << 100)], 0).settle();
    assert_eq!(cheat.failures(), MEMORY);
    let cs = cheat.synthesize();
    let [a, g] = challenges(&cs);
    let time = Fr::from(cheat.queue_moment(0, 0));
    let cell = Fr::from(4) * power_of_two(64);
    let inverse = (a * a * a).invert().expect("a is not zero");
    let low_of = |head: u64| (g - cell - a * time - a * a * Fr::from(head)) * inverse;
    let (head, low) = (0..1 << 14)
        .map(|head| (head, low_of(head)))
        .find(|(_, low)| low.to_bytes()[31] == 0)
        .expect("one of 116 lows has 248 bits");
    let owner = "queue/slot 0/owner";
    let mut cheat = cheat;
    for (number, bits, value) in
        [("top", 8, Fr::from(head & 255)), ("home", 6, Fr::from(head >> 8)), ("low", 248, low)]
    {
        let bytes = value.to_bytes();
        for bit in 0..bits {
            let digit = Fr::from(u64::from(bytes[bit / 8] >> (bit % 8) & 1));
            cheat = cheat.choose(&format!("{owner}/{number}/bit{bit}/bit"), digit);
        }
    }
    let cs = cheat.synthesize();
    assert_eq!(challenges(&cs), [a, g], "nothing of it is bound");
    assert_eq!(cheat.failures(), MEMORY);
    // The tuple is that of the last access before those of the leaves: the quotient becomes what is missing.
    let access = access_of(&cs, "queue/slot 0/owner/low/bit0/bit");
    let missing = missing(&cs);
    let quotient = format!("{access}/put in/quotient");
    assert_eq!(cheat.clone().choose(&quotient, missing).failures(), MEMORY);
    let cheat = cheat.choose(&quotient, missing).choose(&format!("{access}/counted"), missing);
    assert_eq!(cheat.failures(), [format!("{access}/counted")]);
}

/// The access that puts this variable in as its second value.
fn access_of(cs: &CheckSystem, variable: &str) -> String {
    let has = |access: &String| {
        let path = format!("{access}/put in/value 1/weighted");
        cs.has_constraint(&path) && cs.sides_of(&path)[0].iter().any(|name| name == variable)
    };
    let mut accesses = (0..100).map(|access| format!("memory/access {access}"));
    accesses.find(has).expect("an access has it")
}

/// What the sum of the memory lacks.
fn missing(cs: &CheckSystem) -> Fr {
    -cs.side_c(MEMORY[0])
}

#[test]
fn the_parts_of_a_packed_leaf_are_not_chosen_together() {
    // The owner's head, the version of the key and the nonce share a word of the leaf. If one of them had no range, the
    // new root would bind their sum only; with enough accounts, sets of such sums are found that make any sum of
    // quotients.
    let cheat = payments(&world(), 1).settle();
    let cs = cheat.synthesize();
    let before = challenges(&cs);
    let [_, of_head, _, _, _, of_version, of_nonce] = zklink::commitment::ACCOUNT_WORD.weights();
    let value = |name: &str| cs.value(&format!("close/account 1/{name}/held"));
    let ratio = |low: Fr, high: Fr| low * high.invert().expect("weights are not zero");
    let (head, version, nonce) = ("new owner/value 0", "new key/value 0", "new key/value 1");
    for (low, high, factor, caught) in [
        (version, head, ratio(of_version, of_head), "head range"),
        (nonce, head, ratio(of_nonce, of_head), "head range"),
        (nonce, version, ratio(of_nonce, of_version), "version range"),
    ] {
        let cheat = cheat
            .clone()
            .choose(&format!("close/account 1/{low}/held"), value(low) + Fr::one())
            .choose(&format!("close/account 1/{high}/held"), value(high) - factor);
        assert_eq!(challenges(&cheat.synthesize()), before, "the root does not notice");
        let caught = format!("close/account 1/{caught}/recomposed");
        assert_eq!(cheat.failures(), [caught, MEMORY[0].to_owned()]);
    }
}

/// About so many variables of each block are tried.
const SAMPLE: usize = 24;

/// The variables of all tuples that count, by their names: of a number by its bits the lowest one only.
fn variables_in_memory(cs: &CheckSystem) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for access in 0.. {
        let counted = |side: &str| format!("memory/access {access}/{side}/divided");
        let sides: Vec<&str> = ["put in", "taken out"]
            .into_iter()
            .filter(|side| cs.has_constraint(&counted(side)))
            .collect();
        if sides.is_empty() {
            break;
        }
        for side in sides {
            if cs.side_c(&counted(side)) != Fr::one() {
                continue;
            }
            let tuple = format!("memory/access {access}/{side}");
            let products = (0..4).map(|at| format!("{tuple}/value {at}/weighted"));
            let products = products.chain([format!("{tuple}/time")]);
            let parts = products.filter(|path| cs.has_constraint(path));
            found.extend(parts.flat_map(|path| cs.sides_of(&path)).flatten());
            let [_, divisor, on] = cs.sides_of(&counted(side));
            found.extend(divisor);
            found.extend(on);
        }
    }
    found.retain(|path| !path.starts_with("memory/"));
    found.retain(|path| !path.ends_with("/bit") || path.ends_with("/bit0/bit"));
    found
}

/// Whatever is in a tuple that counts: if it is changed together with all that follows from it, then the challenges
/// change or another constraint fails than those of the memory.
///
/// Following a change takes seconds, so some of the variables are tried, others in each shape of block.
#[test]
fn whatever_is_in_the_memory_is_bound_before_the_challenges() {
    for sealed in [full(), idle(zklink::shape::NANO)] {
        let shape = sealed.block.shape().expect("a known shape");
        let mut cs = synthesize(shape, &witness(&sealed));
        let before = challenges(&cs);
        let variables = variables_in_memory(&cs);
        assert!(variables.len() > 60, "{}", variables.len());
        let mut free = Vec::new();
        for path in variables.iter().step_by(variables.len() / SAMPLE) {
            let honest = cs.tamper(path, Fr::zero());
            let other =
                if path.ends_with("/bit") { Fr::one() - honest } else { honest + Fr::one() };
            cs.tamper(path, other);
            cs.follow(&[path]);
            // What others determine, such as the output of a hash, cannot be changed alone.
            let changed = cs.value(path) != honest;
            let elsewhere = cs.failures().iter().any(|path| !path.starts_with("memory/"));
            if changed && challenges(&cs) == before && !elsewhere {
                free.push(path.clone());
            }
            cs.tamper(path, honest);
            cs.follow(&[path]);
        }
        assert_eq!(free, Vec::<String>::new());
    }
}

#[test]
fn an_idle_slot_has_variables_that_nothing_binds() {
    // Which is why what is off must not count: see above.
    let world = world();
    let honest = over(&world, &[2]).idle_queue().settle();
    let before = challenges(&honest.synthesize());
    let cheat = honest.choose_bits("queue/slot 0/owner/low", 7, 248);
    assert_eq!(cheat.failures(), HONEST);
    assert_eq!(challenges(&cheat.synthesize()), before);
    let op = deposit(2, ONE, Scenario::owner(1));
    assert_ne!(challenges(&over(&world, &[2]).queue(op, 0).settle().synthesize()), before);
}
