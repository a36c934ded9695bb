//! What can be wrong with a chain's token.

use zklink::amount::Amount;
use zklink::id::{BlockNumber, ChainId, Serial, TokenId};

use zklink_mechanism::port::Message;

/// A chain's token is not what the rollup believes. Its deposits are held back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token {token} on chain {chain}: {fault}; its deposits are held back until a restart")]
pub struct Discrepancy {
    /// The chain.
    pub chain: ChainId,
    /// The unified token.
    pub token: TokenId,
    /// What is wrong.
    pub fault: Fault,
}

impl Message for Discrepancy {
    type Reply = ();
}

/// What is wrong with a chain's token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The token is not registered there, or the message is for another ledger.
    #[error("the token is not registered: check the deployment file")]
    Unregistered,
    /// A deposit is not a whole number of the chain's units.
    #[error("deposit {serial} of {amount} is below the {decimals} decimals of the token")]
    Dust {
        /// Its place in the queue.
        serial: Serial,
        /// Its amount.
        amount: Amount,
        /// Decimals of the token there.
        decimals: u8,
    },
    /// Two different deposits claim one place in the queue.
    #[error("two different deposits were reported with serial {serial}: check the endpoints")]
    Conflict {
        /// The place.
        serial: Serial,
    },
    /// The chain would owe more than it may.
    #[error("deposit {serial} would raise the chain's pool to {pool}, its cap is {cap}")]
    ChainCap {
        /// The deposit.
        serial: Serial,
        /// What the chain would owe.
        pool: Amount,
        /// What it may owe.
        cap: Amount,
    },
    /// All chains together would owe more than they may.
    #[error("deposit {serial} would raise the token's supply to {supply}, its cap is {cap}")]
    MergeCap {
        /// The deposit.
        serial: Serial,
        /// What the chains would owe.
        supply: Amount,
        /// What they may owe.
        cap: Amount,
    },
    /// The contract holds less than it says: the token took a fee, rebased, or was drained.
    #[error("at block {at_block} the contract holds {balance}, but counts {locked} as locked")]
    Balance {
        /// The block of the chain.
        at_block: u64,
        /// What it holds.
        balance: u128,
        /// What it counts.
        locked: u128,
    },
    /// The contract has promised more than it has locked.
    #[error(
        "at block {at_block} the contract has {locked} locked, less than pending {pending} and \
         unconsumed {unconsumed} together"
    )]
    Books {
        /// The block of the chain.
        at_block: u64,
        /// What it counts as locked.
        locked: u128,
        /// What it owes to receivers.
        pending: u128,
        /// What waits in its queue.
        unconsumed: u128,
    },
    /// The rollup counts on more than is there.
    #[error("after block {committed} the rollup counts on {pool}, the contract has {free} free")]
    Pool {
        /// The last committed block.
        committed: BlockNumber,
        /// What the chain owed after it.
        pool: Amount,
        /// What the contract has for it, in 18 decimals.
        free: Amount,
    },
    /// A deposit does not come for long, and those that wait for it fill the ledger: perhaps its own token is held
    /// back.
    #[error("{waiting} deposits wait for deposit {missing}, which was not credited")]
    Backlog {
        /// The deposit that does not come.
        missing: Serial,
        /// How many wait for it.
        waiting: usize,
    },
    /// The builder cannot execute a deposit.
    #[error("the builder refuses deposit {serial}: {reason}")]
    Refused {
        /// The deposit.
        serial: Serial,
        /// Why.
        reason: String,
    },
}
