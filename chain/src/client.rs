//! What the node asks of a chain, in plain types: one trait, so that no other file knows the
//! library behind it.
//!
//! Implementations: [`Endpoint`](super::endpoint::Endpoint) for one RPC server, and
//! [`Paired`](super::pair::Paired) for two that must agree.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use zklink::token::Address;

use super::blob::{BlobError, Blobs};

/// A hash of a block or of a transaction.
pub type Hash = [u8; 32];

/// An answer to come. Boxed, so that clients of different kinds fit one driver.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ClientError>> + Send + 'a>>;

/// A block, as far as a watcher needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
    /// The hash of the block before it.
    pub parent: Hash,
    /// Unix time in seconds.
    pub timestamp: u64,
}

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The tip, which may be taken back: for sending and for choosing steps, never for money.
    Latest,
    /// What the chain calls safe.
    Safe,
    /// What the chain calls final.
    Finalized,
    /// The block of this height, close to the tip: several questions about one state. As [`At::Latest`] it is for
    /// choosing steps and never for money, and any one endpoint answers it.
    Near(u64),
    /// The block of this height.
    Number(u64),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Latest => f.write_str("latest"),
            At::Safe => f.write_str("safe"),
            At::Finalized => f.write_str("finalized"),
            At::Near(number) | At::Number(number) => write!(f, "{number}"),
        }
    }
}

/// An event of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The contract.
    pub address: Address,
    /// At most four; the first names the event.
    pub topics: Vec<[u8; 32]>,
    /// The fields that are not indexed.
    pub data: Vec<u8>,
    /// Height of its block.
    pub block: u64,
    /// Hash of its block.
    pub block_hash: Hash,
    /// The transaction that made it.
    pub tx_hash: Hash,
    /// Its place in the block.
    pub index: u64,
}

/// Which events are wanted: of these contracts, with one of these first topics, in a range with
/// both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// The first block.
    pub from: u64,
    /// The last block.
    pub to: u64,
    /// The contracts.
    pub addresses: Vec<Address>,
    /// The events.
    pub events: Vec<[u8; 32]>,
}

/// A call of a contract, or a transaction before it is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Who calls; the zero address for a mere question.
    pub from: Address,
    /// The contract, or nothing to create one.
    pub to: Option<Address>,
    /// Native coins that go along, in wei.
    pub value: u128,
    /// The call data, or the code and arguments of a new contract.
    pub data: Vec<u8>,
    /// The gas that it is given; what is estimated where nothing is said.
    pub gas: Option<u64>,
    /// Blobs that go along, of which the contract sees the hashes. Only a call with a receiver can have some.
    pub blobs: Option<Blobs>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction.
    pub tx_hash: Hash,
    /// Height of its block.
    pub block: u64,
    /// Hash of its block.
    pub block_hash: Hash,
    /// Whether it did what it should; a failed one changed nothing and still cost gas.
    pub success: bool,
    /// The gas that it used.
    pub gas_used: u64,
    /// What a unit of it cost, wei.
    pub gas_price: u128,
    /// The contract that it created.
    pub created: Option<Address>,
}

/// What gas costs now, wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeMarket {
    /// The base fee of the next block.
    pub base_fee: u128,
    /// What recent blocks paid on top.
    pub priority_fee: u128,
}

/// Why a chain did not answer. Endpoints are named by host only: paths of RPC addresses often hold
/// secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No connection, no answer in time, or an HTTP error. May pass: try again.
    #[error("{endpoint} does not answer: {reason}")]
    Unreachable {
        /// The host.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// It answers, and cannot serve the question now: a limit of requests, a method that it lacks, a state that it
    /// has thrown away or does not have yet. It says nothing of the chain: ask another endpoint, or again.
    #[error("{endpoint} cannot serve this: {reason}")]
    Unavailable {
        /// The host.
        endpoint: String,
        /// Its words, shortened.
        reason: String,
    },
    /// The answer is longer than a sound one can be. Ask for less, or use another endpoint.
    #[error("{endpoint} sent more than {limit} bytes or items")]
    TooLarge {
        /// The host.
        endpoint: String,
        /// The bound.
        limit: usize,
    },
    /// The endpoint gives no answer that is so long or took so much work. Ask for a shorter range.
    #[error("{endpoint} answers only smaller questions: {reason}")]
    TooMuch {
        /// The host.
        endpoint: String,
        /// Its words, shortened.
        reason: String,
    },
    /// The answer makes no sense.
    #[error("{endpoint} sent something that is not {what}")]
    Malformed {
        /// The host.
        endpoint: String,
        /// What was wanted.
        what: String,
    },
    /// The endpoint understood and refused: a contract reverted, or a transaction cannot be taken as it is.
    #[error("{endpoint} refused: {message} (code {code})")]
    Refused {
        /// The host.
        endpoint: String,
        /// The JSON-RPC error code.
        code: i64,
        /// The endpoint's words, shortened.
        message: String,
        /// What a reverting contract returned.
        data: Vec<u8>,
    },
    /// The blobs of a transaction cannot be sent to this chain as they are.
    #[error("{endpoint} cannot be sent these blobs: {reason}")]
    Blobs {
        /// The host.
        endpoint: String,
        /// What is wrong with them.
        reason: BlobError,
    },
    /// The endpoint serves another chain: correct the configuration.
    #[error("{endpoint} serves chain {found}, wanted {expected}: correct the configured address")]
    WrongChain {
        /// The host.
        endpoint: String,
        /// The chain id of the configuration.
        expected: u64,
        /// The chain id of the endpoint.
        found: u64,
    },
    /// Two endpoints say different things about a fixed height. Nothing is taken from either of
    /// them.
    #[error("the endpoints disagree on {what}: {first} against {second}")]
    Disagreement {
        /// What was asked.
        what: String,
        /// The first answer, shortened.
        first: String,
        /// The second answer, shortened.
        second: String,
    },
}

impl ClientError {
    /// Whether the endpoint itself failed, so that another one may be asked. Nonsense is as good as silence: a page
    /// of a provider's gate says no more of the chain than a closed connection.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            ClientError::Unreachable { .. }
                | ClientError::Unavailable { .. }
                | ClientError::Malformed { .. }
        )
    }

    /// Whether a smaller question, such as a shorter range of blocks, may be answered. It is no outage: were it one,
    /// the endpoint with the longer patience would be believed alone for as long as the questions are long.
    pub fn asks_too_much(&self) -> bool {
        matches!(self, ClientError::TooLarge { .. } | ClientError::TooMuch { .. })
    }

    /// The host that is at fault, where it is one.
    pub fn endpoint(&self) -> Option<&str> {
        match self {
            ClientError::Unreachable { endpoint, .. }
            | ClientError::Unavailable { endpoint, .. }
            | ClientError::TooLarge { endpoint, .. }
            | ClientError::TooMuch { endpoint, .. }
            | ClientError::Malformed { endpoint, .. }
            | ClientError::Refused { endpoint, .. }
            | ClientError::Blobs { endpoint, .. }
            | ClientError::WrongChain { endpoint, .. } => Some(endpoint),
            ClientError::Disagreement { .. } => None,
        }
    }
}

/// A chain. Reads that name a height are the same whenever they are asked, as long as the chain is
/// not rewound.
pub trait ChainClient: Send + Sync {
    /// The EIP-155 chain id.
    fn chain_id(&self) -> Answer<'_, u64>;
    /// A block, or nothing when there is none yet.
    fn header(&self, at: At) -> Answer<'_, Option<Header>>;
    /// The events of a range, in the order of the chain.
    fn logs(&self, query: LogQuery) -> Answer<'_, Vec<Log>>;
    /// What a contract answers.
    fn call(&self, call: Call, at: At) -> Answer<'_, Vec<u8>>;
    /// The code at an address.
    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>>;
    /// Native coins of an address, wei.
    fn balance(&self, address: Address, at: At) -> Answer<'_, u128>;
    /// Number of mined transactions of an address.
    fn nonce(&self, address: Address) -> Answer<'_, u64>;
    /// Gas that a transaction needs, without a margin.
    fn estimate_gas(&self, call: Call) -> Answer<'_, u64>;
    /// What gas costs.
    fn fee_market(&self) -> Answer<'_, FeeMarket>;
    /// What a unit of blob gas costs in the next block, wei, or nothing on a chain without blobs. Asked only for a
    /// transaction that has some; a client that knows nothing of them says that there are none.
    fn blob_base_fee(&self) -> Answer<'_, Option<u128>> {
        Box::pin(async { Ok(None) })
    }
    /// Hands in a signed transaction; returns its hash.
    fn send_raw(&self, raw: Vec<u8>) -> Answer<'_, Hash>;
    /// What became of a transaction; nothing while it is not mined.
    fn receipt(&self, tx_hash: Hash) -> Answer<'_, Option<Receipt>>;
    /// The call data of a transaction, or nothing when the chain does not know it.
    fn input(&self, tx_hash: Hash) -> Answer<'_, Option<Vec<u8>>>;
    /// The same chain where every endpoint must answer and agree, if this client would otherwise believe one of them
    /// alone while another is away; nothing when it is strict already.
    fn strict(&self) -> Option<Arc<dyn ChainClient>> {
        None
    }
    /// The host behind this client, for people.
    fn name(&self) -> String {
        "an endpoint".to_owned()
    }
    /// What is wrong with the endpoints behind this client, for people: nothing while all is well.
    fn complaints(&self) -> Vec<Complaint> {
        Vec::new()
    }
}

/// What is wrong with one endpoint of a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// The host.
    pub endpoint: String,
    /// What it does, such as `does not answer` or `stands 40 blocks behind`.
    pub fault: String,
}

/// At most 200 characters of somebody else's text, for logs and errors.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// A hash in the usual notation.
pub fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
