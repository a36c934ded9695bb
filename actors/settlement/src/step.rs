//! What can be done next on a chain.

use std::fmt;

use zklink::id::{BlockNumber, ChainId};

/// Blocks that go into one transaction: both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first block.
    pub first: BlockNumber,
    /// The last block.
    pub last: BlockNumber,
}

impl Range {
    /// One block.
    pub fn one(number: BlockNumber) -> Range {
        Range { first: number, last: number }
    }

    /// Whether the block is one of them.
    pub fn contains(&self, number: BlockNumber) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// All numbers in it.
    pub(super) fn numbers(self) -> impl Iterator<Item = BlockNumber> {
        (self.first.0..=self.last.0).map(BlockNumber)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "block {}", self.first)
        } else {
            write!(f, "blocks {} to {}", self.first, self.last)
        }
    }
}

/// Some chunks of the withdrawals of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The block.
    pub number: BlockNumber,
    /// The first chunk; those before it are paid.
    pub first: usize,
    /// How many chunks. None for a block without withdrawals on the chain.
    pub chunks: usize,
}

/// The next transaction for a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Publish blocks on the hub.
    CommitBlocks(Range),
    /// Give a chain its own operations of all its blocks in the range.
    Commit(Range),
    /// Have a chain tell the hub what it holds.
    Ack(BlockNumber),
    /// Prove blocks on the hub.
    ProveBlocks(Range),
    /// Mark blocks released: all that were not up to the last one.
    ReleaseBlocks(Range),
    /// Tell a chain which of its blocks are released.
    SendRelease {
        /// The chain.
        chain: ChainId,
        /// Its last released block.
        number: BlockNumber,
    },
    /// Hand over messages of another chain.
    Deliver {
        /// The chain that sent them.
        source: ChainId,
        /// Number of the first one there.
        first: u64,
        /// How many.
        count: usize,
    },
    /// Turn the refused deposits of a block into claims of their payers.
    Refund(BlockNumber),
    /// Make payouts.
    Pay(Vec<Part>),
    /// Take back a chain's records above a block: they are not what the archive has, and not acked.
    RevertCommits(BlockNumber),
}

impl Step {
    /// The blocks that it is about, if it is about blocks.
    pub fn blocks(&self) -> Option<Range> {
        match self {
            Step::CommitBlocks(range)
            | Step::Commit(range)
            | Step::ProveBlocks(range)
            | Step::ReleaseBlocks(range) => Some(*range),
            Step::Ack(number)
            | Step::SendRelease { number, .. }
            | Step::Refund(number)
            | Step::RevertCommits(number) => Some(Range::one(*number)),
            Step::Pay(parts) => {
                let (first, last) = (parts.first()?.number, parts.last()?.number);
                Some(Range { first, last })
            }
            Step::Deliver { .. } => None,
        }
    }

    /// What people and reports call it.
    pub fn name(&self) -> &'static str {
        match self {
            Step::CommitBlocks(_) => "commitBlocks",
            Step::Commit(_) => "commit",
            Step::Ack(_) => "ack",
            Step::ProveBlocks(_) => "proveBlocks",
            Step::ReleaseBlocks(_) => "releaseBlocks",
            Step::SendRelease { .. } => "sendRelease",
            Step::Deliver { .. } => "deliver",
            Step::Refund(_) => "refund",
            Step::Pay(_) => "pay",
            Step::RevertCommits(_) => "revertCommits",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::CommitBlocks(range) => write!(f, "commit {range} on the hub"),
            Step::Commit(range) => write!(f, "commit the chain's part of {range}"),
            Step::Ack(number) => write!(f, "ack block {number}"),
            Step::ProveBlocks(range) => write!(f, "prove {range}"),
            Step::ReleaseBlocks(range) => write!(f, "release {range}"),
            Step::SendRelease { chain, number } => {
                write!(f, "tell chain {chain} that block {number} is released")
            }
            Step::Deliver { source, first, count: 1 } => {
                write!(f, "deliver message {first} of chain {source}")
            }
            Step::Deliver { source, first, count } => {
                write!(f, "deliver {count} messages of chain {source} from number {first} on")
            }
            Step::Refund(number) => write!(f, "refund the refused deposits of block {number}"),
            Step::Pay(_) => match self.blocks() {
                Some(range) => write!(f, "pay {range}"),
                None => f.write_str("pay nothing"),
            },
            Step::RevertCommits(number) => write!(f, "take back commits above block {number}"),
        }
    }
}
