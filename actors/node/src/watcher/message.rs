//! What a watcher is made of, asked for and told.

use std::collections::BTreeMap;

use zklink::id::{BlockNumber, ChainId, Serial, TokenId};
use zklink::token::Address;
use zklink_chain::contracts::BadEvent;
use zklink_chain::finality::Finality;
use zklink_chain::scan::{Question, Told};
use zklink_mechanism::port::{Message, Port};
use zklink_mechanism::timestamp::Timestamp;
use zklink_store::archive::Watched;
use zklink_store::record::KeyAuthorised;

use crate::merge_ledger::{DepositFinal, Reading};

/// What is watched.
#[derive(Clone, Debug)]
pub struct WatchConfig {
    /// The chain.
    pub chain: ChainId,
    /// The rollup's contract there.
    pub rollup: Address,
    /// The contract that records keys there.
    pub recorder: Address,
    /// The block that the contract was deployed in.
    pub first_block: u64,
    /// When a block is final.
    pub finality: Finality,
    /// The most blocks in one question for events.
    pub max_range: u64,
    /// How many ends of ranges are kept to go back to when the chain is rewound.
    pub checkpoints: usize,
    /// How often the chain is asked, milliseconds.
    pub poll_ms: u64,
    /// How often the contract's books are read, milliseconds.
    pub reading_ms: u64,
    /// Deposits and keys that may wait for their ports; beyond it reading pauses.
    pub held_max: usize,
    /// The unified tokens that the chain has.
    pub tokens: Vec<TokenId>,
    /// The first deposit that the builder has not executed.
    pub resume: Serial,
}

/// Where the watcher tells what it saw.
#[derive(Clone, Debug)]
pub struct Outlets {
    /// The merge ledger of each token.
    pub deposits: BTreeMap<TokenId, Port<DepositFinal>>,
    /// The same ledgers, for the contract's books.
    pub readings: BTreeMap<TokenId, Port<Reading>>,
    /// The builder.
    pub keys: Port<KeyAuthorised>,
}

/// Something to ask the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A question of the scanner.
    Scan(Question),
    /// The contract's books at a height.
    Books(u64),
    /// The contract's books at the tip: where servers have thrown the state of older blocks away.
    BooksAtTip,
}

/// The contract's books at one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// The height.
    pub at: u64,
    /// The next deposit that a commit must take.
    pub queue_head: Serial,
    /// The number of deposits ever made.
    pub queue_tail: Serial,
    /// The last block of the rollup that is committed there.
    pub committed: BlockNumber,
    /// The books of each token: what it says that the contract has, locked, pending, unconsumed.
    pub tokens: BTreeMap<TokenId, [u128; 4]>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To [`Request::Scan`].
    Scan(Told),
    /// To [`Request::Books`] and [`Request::BooksAtTip`].
    Books(Books),
    /// The chain did not answer, or its endpoints disagree.
    Failed(String),
    /// The question asks for more than the endpoint gives in one answer.
    TooMuch(String),
}

/// Why a watcher has stopped. A person has to look; the other chains go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// Deposits are missing between two that were seen, or before the contract's own count.
    #[error("deposit {expected} is missing, the chain goes on with {found}: check the endpoints")]
    Gap {
        /// The next deposit.
        expected: Serial,
        /// What the chain has instead.
        found: Serial,
    },
    /// A deposit of a token that is not in the deployment file.
    #[error(
        "deposit {serial} is of token {token}, which is unknown here: check the deployment file"
    )]
    UnknownToken {
        /// The deposit.
        serial: Serial,
        /// Its token.
        token: TokenId,
    },
    /// An event that our contract cannot emit.
    #[error("{0}; check the contract's address and the endpoints")]
    Event(#[from] BadEvent),
    /// A deposit that was handed on looks different now.
    #[error("deposit {0} was credited and is another one now: the finality rule is too weak")]
    Changed(Serial),
    /// A deposit that was handed on is gone.
    #[error("deposit {0} was credited and is gone from the chain: the finality rule is too weak")]
    Vanished(Serial),
    /// The chain was rewound further than the watcher remembers.
    #[error(
        "the chain was rewound below every block that is remembered: the finality rule is too weak"
    )]
    Lost,
}

/// How a watcher is doing, for people and for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainStatus {
    /// The chain.
    pub chain: ChainId,
    /// The highest final height that was seen.
    pub goal: Option<u64>,
    /// The height up to which events were read.
    pub scanned: Option<u64>,
    /// The next deposit of the queue that will be handed on.
    pub next: Serial,
    /// Deposits and keys that wait for their ports.
    pub held: usize,
    /// When the chain last answered.
    pub last_contact: Option<Timestamp>,
    /// When everything that was final had been read, and the contract's books fitted.
    pub in_step: Option<Timestamp>,
    /// Requests in a row that failed.
    pub failures: u32,
    /// What the last one that failed said.
    pub last_error: Option<String>,
    /// Key authorisations that name no key, and were left out.
    pub bad_keys: u64,
    /// What is being read again because it contradicts itself, and since when.
    pub doubt: Option<(Halt, Timestamp)>,
    /// Why the watcher stopped, if it did.
    pub halted: Option<Halt>,
    /// Up to where everything was handed on, and the contract's count says that it is everything; nothing while
    /// something waits.
    pub handed: Option<Watched>,
}

/// Asks a watcher what to ask the chain next.
#[derive(Clone, Copy, Debug)]
pub struct NextRequest;

impl Message for NextRequest {
    type Reply = Option<Request>;
}

/// Tells a watcher what the chain answered; returns how the watcher is doing.
#[derive(Clone, Debug)]
pub struct Outcome(pub Response);

impl Message for Outcome {
    type Reply = ChainStatus;
}
