//! Every variable of a block, changed one at a time: each change must break a constraint.
//!
//! Six changes are tried on each (one more, one minus it, its negation, zero, one, far away). What survives is listed
//! here with the reason why it harms nobody. Changes of several variables at once, with everything that follows from
//! them, are the subject of `soundness.rs`; some that need no recomputation stand at the end.

#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/cheat.rs"]
mod cheat;
#[path = "support/ops.rs"]
mod ops;

use blocks::{check, full, idle, world};
use cheat::Cheat;
use zklink::fixtures::{ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, Owner};
use zklink::op::{Op, SlotKind, Transfer};
use zklink::shape::NANO;
use zklink_circuit::check::CheckSystem;

fn assert_pinned(cs: &mut CheckSystem, expected: &[&str]) {
    let survivors = cs.survivors();
    assert_eq!(survivors, expected, "of {} variables", cs.aux_count());
}

#[test]
fn every_variable_of_a_full_block_is_pinned() {
    let mut cs = check(&full());
    assert_pinned(&mut cs, &[]);
}

#[test]
fn every_variable_of_an_idle_block_is_pinned() {
    let mut cs = check(&idle(NANO));
    assert_pinned(&mut cs, &[]);
}
