//! What a cheating operator tries, and what catches him.
//!
//! Each test makes everything right that the operator can make right by himself (paths, roots, quotients, published
//! words), and asserts the exact list of constraints that fail. A list of one says that this constraint alone stands
//! between him and the theft: without it, the system would be satisfied. Where the list is [`MEMORY`], an operation
//! reaches for what no other one left there, and the sum over the memory does not come out.
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
//! | K7 selector not one-hot, two operations active | `order::two_types_*`, `fees::*`, `tamper.rs` |
//! | K8 an idle slot changes the state | `order::an_idle_slot_*`, `memory::*_that_is_off_*`, `tamper.rs` |
//! | K9 published words not those of the operation | `statement::every_published_word_is_bound`, `slots::*` |
//! | K10 public input not used | `statement::every_public_input_is_bound` |
//! | K11 padding | `leaves::padding_is_a_real_leaf` |
//! | K12 signature check switched off | `signer::an_operation_cannot_use_the_dummy_key` |
//! | K13 leaf taken for a node | one domain for each; `leaves::a_node_is_not_a_leaf` |
//! | K14 constant as a witness | digest of the constraint system in `budget.rs` |
//! | K15 time and price not public | `statement::every_published_word_is_bound` (there are no prices yet) |
//! | K16 a value that is chosen after the challenges | `memory::whatever_is_in_the_memory_is_bound_*`,
//! `memory::*after*` |

#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/cheat.rs"]
mod cheat;
#[path = "support/ops.rs"]
mod ops;

#[path = "soundness/amounts.rs"]
mod amounts;
#[path = "soundness/fees.rs"]
mod fees;
#[path = "soundness/leaves.rs"]
mod leaves;
#[path = "soundness/memory.rs"]
mod memory;
#[path = "soundness/order.rs"]
mod order;
#[path = "soundness/owners.rs"]
mod owners;
#[path = "soundness/signer.rs"]
mod signer;
#[path = "soundness/slots.rs"]
mod slots;
#[path = "soundness/statement.rs"]
mod statement;

use cheat::{Cheat, Subs};
use ops::Said;
use zklink::fixtures::{Scenario, USDC};
use zklink::op::{ChangePubKey, Deposit, Op, Transfer, Withdraw};

/// Sub-account 0 with its USDC.
const USDC_ONLY: Subs<'_> = &[(0, &[USDC])];

/// Nothing is caught: the operation is an honest one.
const HONEST: &[&str] = &[];

/// Something was taken out of the memory that was not put in, or the other way round.
const MEMORY: [&str; 1] = ["memory/all that was put in"];

/// A signature that does not verify differs from its commitment by more than a point of small order.
const BAD_SIGNATURE: [&str; 1] = ["signed/slot 0/signature/T/small order"];

/// What fails when the words of the slots are not those of the digest.
const OTHER_DIGEST: &str = "statement/d is the digest";

/// What fails when the on-chain vector is not that of the slots.
const OTHER_ONCHAIN: &str = "statement/y onchain is the value";

/// What fails when the data vector is not that of the slots.
const OTHER_DATA: &str = "statement/data/y data is the value";

/// A block without slots over accounts 0 (fees), 2, 3 and 4 and the pool of USDC on chain 1.
fn block(world: &Scenario) -> Cheat {
    over(world, &[0, 2, 3, 4])
}

/// A block without slots over the USDC of these accounts and the pool of USDC on chain 1.
fn over(world: &Scenario, accounts: &[u32]) -> Cheat {
    let accounts: Vec<_> = accounts.iter().map(|id| (*id, USDC_ONLY)).collect();
    Cheat::open(world, &accounts, &[(1, &[USDC])])
}

impl Cheat {
    /// Adds an operation that user `n` signed for the receiver that it names.
    fn by(self, world: &Scenario, n: u8, op: Op) -> Cheat {
        let said = Said::next(world, &op);
        self.saying(n, op, said)
    }

    /// Adds an operation that user `n` signed with these words.
    fn saying(self, n: u8, op: Op, said: Said) -> Cheat {
        let signature = said.by(n, &op);
        self.signed(op, signature, said.to)
    }
}

/// A block of one transfer by user 1 with his signature for the receiver that the operation says.
fn transfer_of(world: &Scenario, op: Transfer) -> Cheat {
    block(world).by(world, 1, Op::Transfer(op))
}

/// A block of one withdrawal by user 1 with his signature.
fn withdraw_of(world: &Scenario, op: Withdraw) -> Cheat {
    block(world).by(world, 1, Op::Withdraw(op))
}

/// A block of one key change of account 2, signed by this user.
fn change_of(world: &Scenario, op: ChangePubKey, signer: u8) -> Cheat {
    block(world).by(world, signer, Op::ChangePubKey(op))
}

/// A block of one deposit.
fn deposit_of(world: &Scenario, op: Deposit) -> Cheat {
    block(world).queue(op, 0)
}
