//! What the builder is told, and what it answers.

use zklink::id::{BlockNumber, ChainId, Serial};
use zklink::reject::Reject;
use zklink::tx::{CheckedTx, TxHash};
use zklink_mechanism::port::{Message, ReplyTo};
use zklink_store::record::FinalDeposit;

use super::ledger::{Denied, Place};

/// A transaction was executed, and that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its hash.
    pub hash: TxHash,
    /// Where it stands.
    pub place: Place,
}

/// A transaction was not executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rule of the protocol forbids it.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// No shape of this deployment has room for it.
    #[error("no block of this deployment has room for it: use other sub-accounts")]
    NoShape,
    /// The node has as much work as it may hold.
    #[error("the node is overloaded: send the same transaction again in a moment")]
    Overloaded,
    /// Settlement lags: what is accepted now would be settled nobody knows when.
    #[error(
        "{waiting} sealed blocks wait for their proof on the hub and at most {max} may: send the \
         same transaction again in some minutes"
    )]
    SettlementBehind {
        /// Sealed blocks that the hub has not proven.
        waiting: u64,
        /// How many there may be.
        max: u64,
    },
    /// A sealed block is not taken by the hub, and time runs out: it takes no block that is older than 14 days.
    #[error(
        "a sealed block has waited {age_s} s for the hub, and nothing is accepted above {max_s} s: send the same \
         transaction again when the operator has mended settlement"
    )]
    SettlementStuck {
        /// By the hub's clock, seconds.
        age_s: u64,
        /// How long it may wait, seconds.
        max_s: u64,
    },
    /// The hub has blocks that this node does not: it runs on another store, or on an older copy. Whatever it sealed
    /// would be another block of the same number.
    #[error(
        "the hub has block {hub} and this node only {sealed}: it takes nothing. Its operator must start it on the data \
         folder that has those blocks"
    )]
    StoreBehind {
        /// The last block that the hub has.
        hub: BlockNumber,
        /// The last block that is sealed here.
        sealed: BlockNumber,
    },
    /// The hub did not answer since the node was started, so that nobody knows how far settlement is.
    #[error("the node has not reached its hub yet: send the same transaction again in a moment")]
    HubUnknown,
    /// There is hardly any room on the node's disk.
    #[error(
        "the disk of the node is nearly full: send the same transaction again when its operator has made room"
    )]
    DiskLow,
    /// The node cannot go on.
    #[error("the node is stopping: send the same transaction again when it is back")]
    Stopping,
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Refusal {
        match denied {
            Denied::Rejected(reject) => Refusal::Rejected(reject),
            Denied::NoShape => Refusal::NoShape,
            Denied::Broken(_) => Refusal::Stopping,
        }
    }
}

/// Execute this transaction. The reply comes when the record is on disk.
#[derive(Debug)]
pub struct Submit {
    /// The transaction.
    pub tx: Box<CheckedTx>,
    /// Who waits.
    pub reply: ReplyTo<Result<Receipt, Refusal>>,
}

impl Message for Submit {
    type Reply = ();
}

/// Execute this deposit, which is final on its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit(pub FinalDeposit);

impl Message for Credit {
    type Reply = Credited;
}

/// What became of a deposit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credited {
    /// It was executed, now or before.
    Executed,
    /// A deposit before it is missing: say it again later.
    Waiting,
    /// There is no room for it now: say it again later.
    Overloaded,
    /// It cannot be executed; until a person has looked at it the chain stands still.
    Refused(String),
}

/// What is the next deposit of this chain, once everything that the builder was told before is on disk?
#[derive(Debug)]
pub struct DurableCursor {
    /// The chain.
    pub chain: ChainId,
    /// Who waits.
    pub reply: ReplyTo<Serial>,
}

impl Message for DurableCursor {
    type Reply = ();
}

/// How much room there is on the disk: told by the driver that looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskRoom {
    /// Whether there is too little to take more.
    pub low: bool,
}

impl Message for DiskRoom {
    type Reply = ();
}

/// Seal the open block now. For development networks and for tests.
#[derive(Clone, Copy, Debug)]
pub struct SealNow;

impl Message for SealNow {
    type Reply = Option<BlockNumber>;
}
