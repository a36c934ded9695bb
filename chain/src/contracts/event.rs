//! Events of the contracts, decoded with suspicion: everything that does not fit exactly is an
//! error.

use alloy_sol_types::SolEvent;
use zklink::amount::Amount;
use zklink::hash::fr_from_be_bytes;
use zklink::id::{ChainId, Nonce, Owner, Serial, SubAccountId, TokenId};
use zklink::key::PublicKey;
use zklink::token::Address;

use super::{KeyRecorder, LightOracle, Rollup};
use crate::client::Log;

/// The longest payload of a message that is taken, bytes. Ours have 128.
pub const MAX_PAYLOAD: usize = 1024;

/// What a rollup contract and its key recorder tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollupEvent {
    /// A deposit waits in the queue.
    Deposit {
        /// Its place in the queue.
        serial: Serial,
        /// The token.
        token: TokenId,
        /// Who paid.
        payer: Owner,
        /// Who gets it on L2.
        owner: Owner,
        /// The owner's sub-account.
        sub_account: SubAccountId,
        /// How much, in 18 decimals.
        amount: Amount,
    },
    /// An owner authorised a key.
    Key {
        /// The owner.
        owner: Owner,
        /// The account nonce that it is for.
        nonce: Nonce,
        /// The key, or nothing: anybody can send coordinates that are no key, and those have no
        /// meaning.
        key: Option<PublicKey>,
    },
}

/// A message that left a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// Where it goes.
    pub destination: ChainId,
    /// Its number among the messages to there.
    pub sequence: u64,
    /// What it says.
    pub payload: Vec<u8>,
}

/// An event that our contract cannot have emitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event at block {block}, place {index}, is none of our contract: {what}")]
pub struct BadEvent {
    /// Height of its block.
    pub block: u64,
    /// Its place there.
    pub index: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// The contracts of a chain whose events a watcher reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchedContracts {
    /// The chain, which is the home of its contracts.
    pub chain: ChainId,
    /// Tells of deposits.
    pub rollup: Address,
    /// Tells of keys.
    pub recorder: Address,
}

/// The first topics of the events that a watcher reads.
pub fn rollup_events() -> Vec<[u8; 32]> {
    vec![Rollup::DepositQueued::SIGNATURE_HASH.0, KeyRecorder::AuthPubKeySet::SIGNATURE_HASH.0]
}

/// The first topic of the event that an attester reads.
pub fn sent_event() -> [u8; 32] {
    LightOracle::MessageSent::SIGNATURE_HASH.0
}

fn decode<E: SolEvent>(log: &Log) -> Result<E, BadEvent> {
    let topics = log.topics.iter().map(alloy_primitives::B256::from);
    E::decode_raw_log_validate(topics, &log.data).map_err(|_| bad(log, E::SIGNATURE))
}

fn bad(log: &Log, what: &'static str) -> BadEvent {
    BadEvent { block: log.block, index: log.index, what }
}

impl RollupEvent {
    /// Reads an event of one of the contracts.
    ///
    /// # Errors
    /// [`BadEvent`]; also when the other of the two contracts says what it cannot say.
    pub fn decode(log: &Log, by: &WatchedContracts) -> Result<RollupEvent, BadEvent> {
        match log.topics.first() {
            Some(topic) if *topic == Rollup::DepositQueued::SIGNATURE_HASH.0 => deposit(log, by),
            Some(topic) if *topic == KeyRecorder::AuthPubKeySet::SIGNATURE_HASH.0 => key(log, by),
            _ => Err(bad(log, "an event that was not asked for")),
        }
    }
}

fn deposit(log: &Log, by: &WatchedContracts) -> Result<RollupEvent, BadEvent> {
    if log.address != by.rollup {
        return Err(bad(log, "a deposit that the rollup does not tell"));
    }
    let event: Rollup::DepositQueued = decode(log)?;
    let sub_account = SubAccountId(event.subAccount);
    if !sub_account.is_valid() {
        return Err(bad(log, "the sub-account is out of range"));
    }
    if event.amount == 0 || event.owner.is_zero() {
        return Err(bad(log, "a deposit of nothing or for nobody"));
    }
    let owner = Owner { home: ChainId(event.home), address: event.owner.0 };
    if !owner.is_valid() {
        return Err(bad(log, "the owner's home is no chain"));
    }
    Ok(RollupEvent::Deposit {
        serial: Serial(event.serial),
        token: TokenId(event.token),
        payer: Owner::from_evm(event.payer.into_array()),
        owner,
        sub_account,
        amount: Amount(event.amount),
    })
}

fn key(log: &Log, by: &WatchedContracts) -> Result<RollupEvent, BadEvent> {
    if log.address != by.recorder {
        return Err(bad(log, "a key that the key recorder does not tell"));
    }
    let event: KeyRecorder::AuthPubKeySet = decode(log)?;
    let home = ChainId(event.home);
    if home != ChainId(0) && home != by.chain {
        return Err(bad(log, "the owner is a contract of another chain"));
    }
    let x = fr_from_be_bytes(event.keyX.to_be_bytes());
    let y = fr_from_be_bytes(event.keyY.to_be_bytes());
    let key = x.zip(y).and_then(|(x, y)| PublicKey::from_coordinates(x, y).ok());
    let owner = Owner::contract(home, event.owner.into_array());
    Ok(RollupEvent::Key { owner, nonce: Nonce(event.nonce), key })
}

impl SentMessage {
    /// Reads an event of a light oracle.
    ///
    /// # Errors
    /// [`BadEvent`].
    pub fn decode(log: &Log) -> Result<SentMessage, BadEvent> {
        let event: LightOracle::MessageSent = decode(log)?;
        let destination = ChainId(event.destination);
        if !destination.is_valid() {
            return Err(bad(log, "the destination is no chain"));
        }
        if event.payload.len() > MAX_PAYLOAD {
            return Err(bad(log, "the payload is too long"));
        }
        Ok(SentMessage { destination, sequence: event.sequence, payload: event.payload.to_vec() })
    }
}
