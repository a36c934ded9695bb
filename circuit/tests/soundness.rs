//! What a cheating operator tries, and what catches him.
//!
//! Each test makes everything right that the operator can make right by himself (paths, roots, published words), and
//! asserts the exact list of constraints that fail. A list of one says that this constraint alone stands between
//! him and the theft: without it, the system would be satisfied.
//!
//! The faults that zkSync Lite had to mend, each tried here:
//!
//! | Fault | Test |
//! |---|---|
//! | change of key not bound to the key that signs | `signer::the_new_key_must_sign` |
//! | high bits of an index left free | `leaves::ids_above_the_tree_do_not_alias` |
//! | a condition computed, but not joined to validity | `amounts::*`, `signer::a_skipped_nonce_is_refused` |
//! | two witnesses assumed equal: receiver redirected | `signer::a_receiver_cannot_be_redirected` |
//! | siblings before and after an update not the same | `leaves::a_sibling_cannot_change`, file `tamper.rs` |
//!
//! Classes of under-constraint, and where each is tried:
//!
//! | Class | Test |
//! |---|---|
//! | K1 missing boolean | `tamper.rs`: every bit set to another value |
//! | K2 missing range | `amounts::an_amount_of_129_bits_is_refused`, `scaled_amount_...`, `amounts::scales_...` |
//! | K3 difference that wraps | `amounts::more_than_the_balance_...`, `more_than_the_pool_...`, `statement::time_...` |
//! | K4 comparison of unranged inputs | `statement::time_does_not_go_back`, `statement::the_last_number_is_the_end` |
//! | K5 index bits, duplicate leaves | `leaves::the_same_*_twice_is_refused`, `leaves::ids_above_...` |
//! | K6 path of another account, chain, token | `leaves::*`, `slots::*_of_another_*` |
//! | K7 selector not one-hot, two operations active | `slots::two_cells_cannot_be_selected`, `tamper.rs` |
//! | K8 an idle slot changes the state | `slots::an_idle_slot_touches_nothing`, `tamper.rs` |
//! | K9 published words not those of the operation | `statement::every_published_word_is_bound`, `slots::*` |
//! | K10 public input not used | `statement::every_public_input_is_bound` |
//! | K11 padding | `leaves::padding_is_a_real_leaf` |
//! | K12 signature check switched off | `signer::an_operation_cannot_use_the_dummy_key` |
//! | K13 leaf taken for a node | one domain for each; `leaves::a_node_is_not_a_leaf` |
//! | K14 constant as a witness | digest of the constraint system in `budget.rs` |
//! | K15 time and price not public | `statement::every_published_word_is_bound` (there are no prices yet) |

#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/cheat.rs"]
mod cheat;
#[path = "support/ops.rs"]
mod ops;

#[path = "soundness/amounts.rs"]
mod amounts;
#[path = "soundness/leaves.rs"]
mod leaves;
#[path = "soundness/signer.rs"]
mod signer;
#[path = "soundness/slots.rs"]
mod slots;
#[path = "soundness/statement.rs"]
mod statement;

use cheat::{Cheat, Subs};
use zklink::fixtures::{Scenario, USDC};
use zklink::op::{Op, SlotKind};

/// Sub-account 0 with its USDC.
const USDC_ONLY: Subs<'_> = &[(0, &[USDC])];

/// Nothing is caught: the operation is an honest one.
const HONEST: &[&str] = &[];

/// A signature that does not verify differs from its commitment by more than a point of small order.
const BAD_SIGNATURE: [&str; 1] = ["slot 0/signature/T/small order"];

/// What fails when the on-chain words are not those that the circuit computes.
const OTHER_ONCHAIN: [&str; 2] = ["statement/d is the digest", "statement/y onchain is the value"];

/// What fails when the data words are not those that the circuit computes.
const OTHER_DATA: [&str; 2] = ["statement/d is the digest", "statement/data/y data is the value"];

/// A block of one slot over accounts 0 (fees), 2, 3 and 4 and the pool of USDC on chain 1.
fn block(world: &Scenario) -> Cheat {
    let accounts = [(0, USDC_ONLY), (2, USDC_ONLY), (3, USDC_ONLY), (4, USDC_ONLY)];
    Cheat::open(world, &accounts, &[(1, &[USDC])])
}

/// A block of one transfer by user 1 with his signature for the receiver that the operation says.
fn transfer_of(world: &Scenario, op: zklink::op::Transfer) -> Cheat {
    let known = world.state.account(op.to_account).map(|account| account.owner);
    let to = op.new_owner.or(known).unwrap_or_default();
    let nonce = world.nonce(op.account);
    let op = Op::Transfer(op);
    let kind = op.slot_kind().expect("not a Noop");
    let signature = ops::signed(world, 1, &op, to, nonce);
    block(world).slot(kind, op, signature)
}

/// A block of one withdrawal by user 1 with his signature.
fn withdraw_of(world: &Scenario, op: zklink::op::Withdraw) -> Cheat {
    let op = Op::Withdraw(op);
    let nonce = world.nonce(world.account(1));
    let signature = ops::signed(world, 1, &op, zklink::id::Owner::NONE, nonce);
    block(world).slot(SlotKind::Withdraw, op, signature)
}
