//! An attester of the light oracle network: signs what left a chain, once it is final there.
//!
//! One machine per attester, each with its own key, its own endpoints and its own memory of what it
//! signed. It signs at most one payload for each (source, destination, sequence), for ever: the
//! history is on disk before a signature leaves. Signatures go to the
//! [`AttestationBook`](crate::settlement::book::AttestationBook), and are offered again until the
//! destination has taken the message.

pub mod driver;
pub mod history;

use std::collections::{BTreeMap, VecDeque};

use zklink::id::ChainId;
use zklink::state::DeploymentId;
use zklink::token::Address;

use crate::chain::account::EthKey;
use crate::chain::client::Log;
use crate::chain::contracts::{BadEvent, SentMessage, sent_event};
use crate::chain::finality::Finality;
use crate::chain::scan::{Progress, Question, ScanConfig, Scanner, Told};
use crate::machine::{Handle, Machine};
use crate::port::{Message, Port};
use crate::settlement::book::{Attestation, message_digest};
use crate::timestamp::Timestamp;
use crate::turn::Turn;
use history::{History, HistoryError, Signed};

/// Attestations that are kept in memory; beyond it reading pauses.
const OFFERS_MAX: usize = 16_384;
/// Attestations of one channel that are offered in one go.
const OFFER: usize = 256;
/// So many delivered messages stay on offer, for the case that the destination takes a delivery
/// back.
const KEPT: u64 = 256;

/// What an attester watches.
#[derive(Clone, Debug)]
pub struct AttesterConfig {
    /// Binds signatures to the deployment.
    pub deployment: DeploymentId,
    /// The chains.
    pub chains: BTreeMap<ChainId, AttestedChain>,
    /// How often what is not delivered is offered again, milliseconds.
    pub offer_ms: u64,
}

/// A chain that an attester watches.
#[derive(Clone, Debug)]
pub struct AttestedChain {
    /// The light oracle there.
    pub oracle: Address,
    /// The block that it was deployed in.
    pub first_block: u64,
    /// When a block is final.
    pub finality: Finality,
    /// The most blocks in one question for events.
    pub max_range: u64,
    /// How many ends of ranges are kept to go back to.
    pub checkpoints: usize,
    /// How often the chain is asked, milliseconds.
    pub poll_ms: u64,
}

/// Something to ask a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A question of the scanner.
    Scan(Question),
    /// How many messages the chain's oracle has taken from each other chain.
    Delivered,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To [`Request::Scan`].
    Scan(Told),
    /// To [`Request::Delivered`].
    Delivered(BTreeMap<ChainId, u64>),
    /// The chain did not answer, or its endpoints disagree.
    Failed(String),
}

/// Why an attester signs nothing more of a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It signed another payload with this number before.
    #[error(
        "message {sequence} to chain {destination} is another one than was signed before: the \
         finality rule is too weak"
    )]
    Equivocation {
        /// Where it goes.
        destination: ChainId,
        /// Its number.
        sequence: u64,
    },
    /// Messages are missing.
    #[error(
        "message {expected} to chain {destination} is missing, the chain goes on with {found}: \
         check the endpoints"
    )]
    Gap {
        /// Where it goes.
        destination: ChainId,
        /// The next number.
        expected: u64,
        /// What the chain has instead.
        found: u64,
    },
    /// An event that our contract cannot emit.
    #[error("{0}; check the oracle's address and the endpoints")]
    Event(#[from] BadEvent),
    /// The chain was rewound too far.
    #[error(
        "the chain was rewound below every block that is remembered: the finality rule is too weak"
    )]
    Lost,
    /// The history cannot be written.
    #[error("the history of signatures cannot be written: {0}")]
    History(String),
}

/// How an attester is doing on one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttesterStatus {
    /// The chain.
    pub chain: ChainId,
    /// The height up to which messages were read.
    pub scanned: Option<u64>,
    /// Messages on offer, of all chains.
    pub offered: usize,
    /// When the chain last answered.
    pub last_contact: Option<Timestamp>,
    /// Requests in a row that failed.
    pub failures: u32,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// Why nothing more of the chain is signed.
    pub refusal: Option<Refusal>,
}

/// Asks an attester what to ask a chain next.
#[derive(Clone, Copy, Debug)]
pub struct NextRequest(pub ChainId);

impl Message for NextRequest {
    type Reply = Option<Request>;
}

/// Tells an attester what a chain answered.
#[derive(Clone, Debug)]
pub struct Outcome(pub ChainId, pub Response);

impl Message for Outcome {
    type Reply = Option<AttesterStatus>;
}

/// One chain, as source and as destination.
#[derive(Debug)]
struct Source {
    scanner: Scanner,
    /// The next number of each channel.
    next: BTreeMap<ChainId, u64>,
    /// The same after each range that was read.
    marks: VecDeque<(u64, BTreeMap<ChainId, u64>)>,
    checkpoints: usize,
    offer_due: Timestamp,
    last_contact: Option<Timestamp>,
    failures: u32,
    last_error: Option<String>,
    refusal: Option<Refusal>,
}

/// An attester.
#[derive(Debug)]
pub struct Attester {
    deployment: DeploymentId,
    key: EthKey,
    history: History,
    book: Port<Attestation>,
    offer_ms: u64,
    sources: BTreeMap<ChainId, Source>,
    /// Everything signed that may still be needed, by source, destination and number.
    offers: BTreeMap<(ChainId, ChainId, u64), Attestation>,
    /// What the book did not take yet.
    outbox: VecDeque<(ChainId, ChainId, u64)>,
}

impl Attester {
    /// An attester with its history.
    pub fn new(
        config: AttesterConfig,
        key: EthKey,
        history: History,
        book: Port<Attestation>,
    ) -> Self {
        let sources = config.chains.into_iter().map(|(chain, of_chain)| {
            let scanner = Scanner::new(ScanConfig {
                first_block: of_chain.first_block,
                finality: of_chain.finality,
                max_range: of_chain.max_range,
                checkpoints: of_chain.checkpoints,
                poll_ms: of_chain.poll_ms,
                addresses: vec![of_chain.oracle],
                events: vec![sent_event()],
            });
            let source = Source {
                scanner,
                next: BTreeMap::new(),
                marks: VecDeque::new(),
                checkpoints: of_chain.checkpoints.max(1),
                offer_due: Timestamp(0),
                last_contact: None,
                failures: 0,
                last_error: None,
                refusal: None,
            };
            (chain, source)
        });
        Self {
            deployment: config.deployment,
            key,
            history,
            book,
            offer_ms: config.offer_ms,
            sources: sources.collect(),
            offers: BTreeMap::new(),
            outbox: VecDeque::new(),
        }
    }

    /// What to ask a chain next.
    pub fn next(&mut self, chain: ChainId, turn: &mut Turn) -> Option<Request> {
        self.deliver();
        let full = self.offers.len() >= OFFERS_MAX;
        let offer_ms = self.offer_ms;
        let source = self.sources.get_mut(&chain)?;
        if turn.now >= source.offer_due {
            source.offer_due = turn.now.after(offer_ms);
            return Some(Request::Delivered);
        }
        if source.refusal.is_some() || full {
            return None;
        }
        source.scanner.next(turn.now).map(Request::Scan)
    }

    /// Takes what became of the last request to a chain.
    pub fn outcome(&mut self, chain: ChainId, response: Response, turn: &mut Turn) {
        let Some(source) = self.sources.get_mut(&chain) else { return };
        source.failures = match response {
            Response::Failed(_) => source.failures.saturating_add(1),
            Response::Scan(_) | Response::Delivered(_) => 0,
        };
        let taken = match response {
            Response::Failed(error) => {
                source.last_error = Some(error);
                source.scanner.failed(turn.now);
                return;
            }
            Response::Scan(told) => {
                source.last_contact = Some(turn.now);
                self.progress(chain, told, turn.now)
            }
            Response::Delivered(delivered) => {
                source.last_contact = Some(turn.now);
                self.offer_again(chain, &delivered);
                Ok(())
            }
        };
        if let Err(refusal) = taken {
            tracing::error!(%chain, %refusal, "the attester signs nothing more of this chain");
            if let Some(source) = self.sources.get_mut(&chain) {
                source.refusal = Some(refusal);
            }
        }
        self.deliver();
    }

    fn progress(&mut self, chain: ChainId, told: Told, now: Timestamp) -> Result<(), Refusal> {
        let Some(source) = self.sources.get_mut(&chain) else { return Ok(()) };
        match source.scanner.told(told, now) {
            Progress::None => Ok(()),
            Progress::Lost => Err(Refusal::Lost),
            Progress::Rewound { to } => {
                while source.marks.back().is_some_and(|(number, _)| *number > to) {
                    source.marks.pop_back();
                }
                // What comes again is held against the history.
                source.next = source.marks.back().map(|(_, next)| next.clone()).unwrap_or_default();
                Ok(())
            }
            Progress::Read { logs, to, .. } => {
                for log in &logs {
                    self.message(chain, log)?;
                }
                if let Some(source) = self.sources.get_mut(&chain) {
                    source.marks.push_back((to.number, source.next.clone()));
                    if source.marks.len() > source.checkpoints {
                        source.marks.pop_front();
                    }
                }
                Ok(())
            }
        }
    }

    fn message(&mut self, chain: ChainId, log: &Log) -> Result<(), Refusal> {
        let SentMessage { destination, sequence, payload } = SentMessage::decode(log)?;
        let Some(source) = self.sources.get_mut(&chain) else { return Ok(()) };
        let next = source.next.entry(destination).or_default();
        if sequence != *next {
            return Err(Refusal::Gap { destination, expected: *next, found: sequence });
        }
        let digest = message_digest(self.deployment, chain, destination, sequence, &payload);
        let signed = Signed { height: log.block, block_hash: log.block_hash, digest };
        match self.history.sign((chain, destination, sequence), signed) {
            Ok(()) => {}
            Err(HistoryError::Other) => {
                return Err(Refusal::Equivocation { destination, sequence });
            }
            Err(error) => return Err(Refusal::History(error.to_string())),
        }
        *next = sequence.saturating_add(1);
        let signature = self.key.sign_digest(&digest);
        let attestation = Attestation { source: chain, destination, sequence, payload, signature };
        self.offers.insert((chain, destination, sequence), attestation);
        self.outbox.push_back((chain, destination, sequence));
        Ok(())
    }

    /// Offers again what a chain has not taken, and forgets what it took long ago.
    fn offer_again(&mut self, destination: ChainId, delivered: &BTreeMap<ChainId, u64>) {
        for (source, count) in delivered {
            let channel = |sequence| (*source, destination, sequence);
            let stale: Vec<_> = self
                .offers
                .range(channel(0)..channel(count.saturating_sub(KEPT)))
                .map(|(key, _)| *key)
                .collect();
            for key in stale {
                self.offers.remove(&key);
            }
            let wanted = self.offers.range(channel(*count)..=channel(u64::MAX)).take(OFFER);
            let wanted: Vec<_> = wanted.map(|(key, _)| *key).collect();
            // What waits already is not offered twice.
            self.outbox.retain(|key| !wanted.contains(key));
            self.outbox.extend(wanted);
        }
    }

    fn deliver(&mut self) {
        while let Some(key) = self.outbox.front() {
            // What was delivered meanwhile is on offer no more.
            if let Some(attestation) = self.offers.get(key)
                && self.book.tell(attestation.clone()).is_err()
            {
                return;
            }
            self.outbox.pop_front();
        }
    }

    fn status(&self, chain: ChainId) -> Option<AttesterStatus> {
        let source = self.sources.get(&chain)?;
        Some(AttesterStatus {
            chain,
            scanned: source.scanner.scanned().map(|header| header.number),
            offered: self.offers.len(),
            last_contact: source.last_contact,
            failures: source.failures,
            last_error: source.last_error.clone(),
            refusal: source.refusal.clone(),
        })
    }
}

impl Machine for Attester {}

impl Handle<NextRequest> for Attester {
    fn handle(&mut self, NextRequest(chain): NextRequest, turn: &mut Turn) -> Option<Request> {
        self.next(chain, turn)
    }
}

impl Handle<Outcome> for Attester {
    fn handle(
        &mut self,
        Outcome(chain, response): Outcome,
        turn: &mut Turn,
    ) -> Option<AttesterStatus> {
        self.outcome(chain, response, turn);
        self.status(chain)
    }
}

#[cfg(test)]
mod tests;
