//! Every variable of a block, changed one at a time: each change must break a constraint.
//!
//! Six changes are tried on each (one more, one minus it, its negation, zero, one, far away). What survives is listed
//! here with the reason why it harms nobody. Changes of several variables at once, with all that follows from them, are
//! the subject of `soundness.rs`; some that need no recomputation stand at the end.

#[path = "support/blocks.rs"]
mod blocks;

use std::collections::BTreeMap;

use blocks::{check, full, full_small, idle};
use zklink::hash::Fr;
use zklink::layout::power_of_two;
use zklink::shape::NANO;

/// Names of survivors, with `#` for their numbers.
fn kinds(survivors: &[String]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for path in survivors {
        let mut kind = String::new();
        for letter in path.chars() {
            match (letter.is_ascii_digit(), kind.ends_with('#')) {
                (false, _) => kind.push(letter),
                (true, false) => kind.push('#'),
                (true, true) => {}
            }
        }
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// Checks that only these kinds survive.
fn only(survivors: &[String], expected: &[(&str, usize)]) {
    let found = kinds(survivors);
    let found: Vec<_> = found.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(found, expected);
}

// What survives, and why:
//
// - `inverse`: a zero has no inverse, and a test for zero needs none. Its witness is free, and nothing depends on it.
//   The home and the first byte of the address of an EVM key pair are zero; a payment has no chain; nobody's owner is
//   zero.
// - Numbers of an idle queue slot that only make addresses: chain, account, sub-account, token. The accesses are off
//   and do not count (`soundness/memory.rs`), and the words of the slot are zero whatever it says. Its other numbers
//   are as free, but some product of theirs would have to follow.

#[test]
fn every_variable_of_a_full_block_is_pinned() {
    let mut cs = check(&full());
    assert!(cs.aux_count() > 70_000);
    let expected = [
        ("close/account #/kept/nobody after/head/inverse", 3),
        ("close/account #/kept/nobody before/head/inverse", 3),
        ("close/account #/kept/nobody before/low/inverse", 1),
        ("queue/slot #/owner/no top/inverse", 4),
        ("signed/slot #/change key/no chain/inverse", 2),
        ("signed/slot #/party/no top/inverse", 4),
    ];
    only(&cs.survivors(), &expected);
}

/// Five of its eight queue slots and one of its accounts are idle.
#[test]
fn every_variable_of_a_block_of_shape_small_is_pinned() {
    let mut cs = check(&full_small());
    assert!(cs.aux_count() > 150_000);
    let expected = [
        ("close/account #/kept/nobody after/head/inverse", 5),
        ("close/account #/kept/nobody after/low/inverse", 2),
        ("close/account #/kept/nobody before/head/inverse", 6),
        ("close/account #/kept/nobody before/low/inverse", 3),
        ("queue/slot #/chain/bit#/bit", 5 * 6),
        ("queue/slot #/owner/no low/inverse", 5),
        ("queue/slot #/owner/no top/inverse", 8),
        ("queue/slot #/to/account/bit#/bit", 5 * 24),
        ("queue/slot #/to/sub/bit#/bit", 5 * 5),
        ("queue/slot #/token/bit#/bit", 5 * 16),
        ("signed/slot #/change key/no chain/inverse", 4),
        ("signed/slot #/party/no low/inverse", 1),
        ("signed/slot #/party/no top/inverse", 8),
    ];
    only(&cs.survivors(), &expected);
}

#[test]
fn every_variable_of_an_idle_block_is_pinned() {
    let expected = [
        ("close/account #/kept/nobody after/head/inverse", 3),
        ("close/account #/kept/nobody after/low/inverse", 3),
        ("close/account #/kept/nobody before/head/inverse", 3),
        ("close/account #/kept/nobody before/low/inverse", 3),
        ("queue/slot #/chain/bit#/bit", 4 * 6),
        ("queue/slot #/owner/no low/inverse", 4),
        ("queue/slot #/owner/no top/inverse", 4),
        ("queue/slot #/to/account/bit#/bit", 4 * 24),
        ("queue/slot #/to/sub/bit#/bit", 4 * 5),
        ("queue/slot #/token/bit#/bit", 4 * 16),
        ("signed/slot #/change key/no chain/inverse", 4),
        ("signed/slot #/party/no low/inverse", 4),
        ("signed/slot #/party/no top/inverse", 4),
    ];
    only(&check(&idle(NANO)).survivors(), &expected);
}

#[test]
fn a_carry_between_packed_numbers_is_refused() {
    // Two numbers share a lane of a hash. Taking 2^32 of one and one of the other leaves the lane as it is, and so does
    // one of the first and a fraction of the second: only the ranges keep them apart.
    let pairs = [("system/fee account", "system/insurance"), ("system/number", "system/old time")];
    let fraction = power_of_two(32).invert().expect("the field is odd");
    for (low, high) in pairs {
        for (by, carry, catches) in
            [(power_of_two(32), Fr::one(), low), (Fr::one(), fraction, high)]
        {
            let mut cs = check(&full());
            let (low_value, high_value) = (cs.value(low), cs.value(high));
            cs.tamper(low, low_value + by);
            cs.tamper(high, high_value - carry);
            let failures = cs.failures();
            let expected = format!("{catches} range/recomposed");
            assert!(failures.contains(&expected.as_str()), "{expected}: {failures:?}");
            // The hashes do not notice.
            let hashed = |path: &&&str| path.contains("system/old/box");
            assert_eq!(failures.iter().find(hashed), None);
        }
    }
}

#[test]
fn a_digit_of_two_is_no_bit() {
    // 2 * 2^k instead of 2^(k + 1): the sum is the same.
    let mut cs = check(&full());
    for number in ["queue/slot 0/amount", "signed/slot 0/amount"] {
        let bit = |at: usize| format!("{number}/bit{at}/bit");
        let bits: Vec<Fr> = (0..128).map(|at| cs.value(&bit(at))).collect();
        let at = (1..128).find(|at| bits[*at] == Fr::one() && bits[*at - 1] == Fr::zero());
        let at = at.expect("the amount is not 2^k - 1");
        cs.tamper(&bit(at), Fr::zero());
        cs.tamper(&bit(at - 1), Fr::from(2));
        assert_eq!(cs.failures(), [bit(at - 1)]);
        cs.tamper(&bit(at), Fr::one());
        cs.tamper(&bit(at - 1), Fr::zero());
    }
}

#[test]
fn the_eighth_of_a_key_has_eight_values() {
    // Why a key is of prime order is shown by a point whose eightfold it is. Adding a point of small order gives
    // another such point: the witness is ambiguous, and the key is not.
    let mut cs = check(&full());
    for slot in 0..4 {
        for coordinate in ["x", "y"] {
            let path = format!("signed/slot {slot}/change key/prime order/eighth/{coordinate}");
            let value = cs.value(&path);
            cs.tamper(&path, -value);
        }
    }
    assert_eq!(cs.first_failure(), None);
}
