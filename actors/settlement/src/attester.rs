//! An attester of the light oracle network: signs what left a chain, once it is final there.
//!
//! One machine per attester, each with its own key and its own memory of what it signed. It signs a
//! message when an event below the finality line says it and the source's contract, asked at a final
//! height, has its hash; and it counts there, so that a hidden message is missed. What does not fit
//! is read again until it does. It signs at most one payload for each (source, destination,
//! sequence), for ever: the history is on disk before a signature leaves. Signatures go to the
//! [`AttestationBook`](crate::book::AttestationBook), and are offered again until the
//! destination has taken the message.

pub mod driver;
pub mod history;
mod offers;
mod places;
mod source;

use std::collections::BTreeMap;

use history::{History, HistoryError, Signed};
use offers::Offers;
use source::{Found, Source};
use zklink::id::ChainId;
use zklink::state::DeploymentId;
use zklink::token::Address;
use zklink_chain::account::EthKey;
use zklink_chain::client::Hash;
use zklink_chain::contracts::{BadEvent, SentMessage};
use zklink_chain::finality::Finality;
use zklink_chain::scan::{Question, Told};
use zklink_mechanism::machine::{Handle, Machine};
use zklink_mechanism::port::{Message, Port};
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;

use crate::Periods;
use crate::book::{Attestation, message_digest};

/// What an attester watches.
#[derive(Clone, Debug)]
pub struct AttesterConfig {
    /// Binds signatures to the deployment.
    pub deployment: DeploymentId,
    /// The chains.
    pub chains: BTreeMap<ChainId, AttestedChain>,
    /// How often what is not delivered is offered again, milliseconds. Where nothing waits, the chain is asked in its
    /// quiet period.
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
    /// How often the chain is asked.
    pub periods: Periods,
}

/// Something to ask a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A question of the scanner.
    Scan(Question),
    /// The hashes that the oracle has of messages that it sent: destination and number of each.
    Hashes {
        /// The final height to ask at.
        height: u64,
        /// The messages.
        messages: Vec<(ChainId, u64)>,
    },
    /// How many messages the oracle has sent to each partner.
    Counts {
        /// The final height to ask at.
        height: u64,
    },
    /// How many messages the chain's oracle has taken from each partner.
    Delivered {
        /// A final height at which to ask as well, if one is known.
        settled: Option<u64>,
    },
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To [`Request::Scan`].
    Scan(Told),
    /// To [`Request::Hashes`], in its order.
    Hashes(Vec<Hash>),
    /// To [`Request::Counts`].
    Counts(BTreeMap<ChainId, u64>),
    /// To [`Request::Delivered`].
    Delivered {
        /// At the tip.
        latest: BTreeMap<ChainId, u64>,
        /// At the final height.
        settled: BTreeMap<ChainId, u64>,
    },
    /// The chain did not answer, or its endpoints disagree.
    Failed(String),
    /// The question asks for more than the endpoint gives in one answer.
    TooMuch(String),
}

/// Why an attester signs nothing more of a chain until what it reads fits again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It signed another payload with this number before.
    #[error(
        "message {sequence} to chain {destination} is another one than was signed before: the \
         finality rule is too weak, or every endpoint lied then or lies now"
    )]
    Equivocation {
        /// Where it goes.
        destination: ChainId,
        /// Its number.
        sequence: u64,
    },
    /// A message goes to a chain that is none of the deployment.
    #[error("there is a message to chain {destination}, which is none of the deployment")]
    Stranger {
        /// Where it goes.
        destination: ChainId,
    },
    /// The contract does not know a message that an event tells.
    #[error(
        "the events tell message {sequence} to chain {destination}, which the contract did not send: check the \
         endpoints"
    )]
    Invented {
        /// Where it would go.
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
    /// The contract has sent another number of messages than the events tell.
    #[error(
        "the contract has sent {sent} messages to chain {destination}, the events tell {read}: check the endpoints"
    )]
    Hidden {
        /// Where they go.
        destination: ChainId,
        /// Messages that were read.
        read: u64,
        /// Messages that were sent.
        sent: u64,
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
    /// The height up to which messages were read and confirmed.
    pub scanned: Option<u64>,
    /// Messages on offer, of all chains.
    pub offered: usize,
    /// When the chain last answered. While its contract cannot be asked, blocks and events do not count: nothing is
    /// signed since then.
    pub last_contact: Option<Timestamp>,
    /// Requests in a row that failed, counted in the same way.
    pub failures: u32,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// What did not fit when it was read last; nothing once everything fits again.
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
struct Chain {
    source: Source,
    periods: Periods,
    /// When it was asked last what it has taken.
    offered_at: Option<Timestamp>,
    /// Whether the contract did not answer when it was asked last about what was read.
    mute: bool,
    last_contact: Option<Timestamp>,
    failures: u32,
    last_error: Option<String>,
}

/// An attester.
#[derive(Debug)]
pub struct Attester {
    deployment: DeploymentId,
    key: EthKey,
    history: History,
    offer_ms: u64,
    chains: BTreeMap<ChainId, Chain>,
    /// The light oracle of each chain.
    oracles: BTreeMap<ChainId, Address>,
    offers: Offers,
}

impl Attester {
    /// An attester with its history.
    pub fn new(
        config: AttesterConfig,
        key: EthKey,
        history: History,
        book: Port<Attestation>,
    ) -> Self {
        let offers = Offers::new(book, config.chains.len());
        let oracles = config.chains.iter().map(|(id, chain)| (*id, chain.oracle)).collect();
        let chains: BTreeMap<ChainId, Chain> = config
            .chains
            .iter()
            .map(|(id, of_chain)| {
                let place = history.places.of(*id, (config.deployment, of_chain.oracle));
                let chain = Chain {
                    source: Source::new(of_chain, place),
                    periods: of_chain.periods,
                    offered_at: None,
                    mute: false,
                    last_contact: None,
                    failures: 0,
                    last_error: None,
                };
                (*id, chain)
            })
            .collect();
        Self {
            deployment: config.deployment,
            key,
            history,
            offer_ms: config.offer_ms,
            chains,
            oracles,
            offers,
        }
    }

    /// What to ask a chain next.
    pub fn next(&mut self, id: ChainId, turn: &mut Turn) -> Option<Request> {
        self.offers.deliver();
        let to = |destination| self.offers.waits(self.chains.keys().copied(), destination);
        let (waits, expected) = (to(id), self.chains.keys().any(|destination| to(*destination)));
        let chain = self.chains.get_mut(&id)?;
        let pause = if waits { self.offer_ms } else { chain.periods.quiet_ms };
        if chain.offered_at.is_none_or(|at| turn.now >= at.after(pause)) {
            chain.offered_at = Some(turn.now);
            return Some(Request::Delivered { settled: chain.source.whole() });
        }
        if self.offers.is_full() {
            return None;
        }
        // Where a message is under way, another one often follows.
        chain.source.next(turn.now, expected)
    }

    /// Takes what became of the last request to a chain.
    pub fn outcome(&mut self, id: ChainId, response: Response, turn: &mut Turn) {
        let Some(chain) = self.chains.get_mut(&id) else { return };
        if matches!(response, Response::TooMuch(_)) && chain.source.asks_less() {
            return;
        }
        if let Response::Failed(error) | Response::TooMuch(error) = response {
            chain.failures = chain.failures.saturating_add(1);
            chain.last_error = Some(error);
            chain.mute |= chain.source.confirms();
            chain.source.failed(turn.now);
            return;
        }
        chain.mute &= !matches!(response, Response::Hashes(_) | Response::Counts(_));
        if !chain.mute {
            chain.failures = 0;
            chain.last_contact = Some(turn.now);
        }
        let taken = match response {
            Response::Failed(_) | Response::TooMuch(_) => Ok(()),
            Response::Scan(told) => {
                let (history, deployment, oracles) =
                    (&self.history, self.deployment, &self.oracles);
                let signed = |message: &SentMessage| {
                    let oracle = oracles.get(&message.destination).copied();
                    oracle.is_some_and(|to| was_signed(history, (deployment, to), id, message))
                };
                let known = chain.source.told(told, turn.now, signed);
                known.and_then(|found| found.into_iter().try_for_each(|f| self.sign(id, f)))
            }
            Response::Hashes(hashes) => {
                let confirmed = chain.source.hashes(&hashes);
                confirmed.and_then(|found| found.into_iter().try_for_each(|f| self.sign(id, f)))
            }
            Response::Counts(counts) => {
                let refused = chain.source.refusal().is_some();
                let counted = chain.source.counts(&counts);
                if refused && chain.source.refusal().is_none() {
                    tracing::info!(chain = %id, "an attester signs again what it had refused");
                }
                counted
            }
            Response::Delivered { latest, settled } => {
                self.delivered(id, &latest, &settled, turn.now);
                Ok(())
            }
        };
        if let Err(refusal) = taken {
            self.refuse(id, refusal, turn.now);
        }
        self.keep_places(turn.now);
        self.offers.deliver();
    }

    /// Keeps how far each chain was read, for the next start.
    fn keep_places(&mut self, now: Timestamp) {
        for (id, chain) in &self.chains {
            let taken = |to, next| self.offers.taken_for_good((*id, to)) >= next;
            let Some(place) = chain.source.settled(taken) else { continue };
            let Some(oracle) = self.oracles.get(id) else { continue };
            self.history.places.keep(*id, (self.deployment, *oracle), place, now);
        }
    }

    fn refuse(&mut self, id: ChainId, refusal: Refusal, now: Timestamp) {
        let Some(chain) = self.chains.get_mut(&id) else { return };
        // Once in words; it comes again as long as it lasts.
        if chain.source.refusal() != Some(&refusal) {
            tracing::error!(chain = %id, %refusal, "an attester signs nothing of this chain until that is right");
        }
        chain.source.refuse(refusal, now);
    }

    /// Signs a message that the source's contract knows.
    fn sign(&mut self, source: ChainId, found: Found) -> Result<(), Refusal> {
        let SentMessage { destination, sequence, payload } = found.message;
        let id = (source, destination, sequence);
        let Some(oracle) = self.oracles.get(&destination).copied() else {
            return Err(Refusal::Stranger { destination });
        };
        let digest = message_digest(self.deployment, oracle, id, &payload);
        let signed = Signed { height: found.block, block_hash: found.block_hash, digest };
        match self.history.sign(id, signed) {
            Ok(()) => {}
            Err(HistoryError::Other) => {
                return Err(Refusal::Equivocation { destination, sequence });
            }
            Err(error) => return Err(Refusal::History(error.to_string())),
        }
        if self.offers.wants(id) {
            let signature = self.key.sign_digest(&digest);
            self.offers.add(Attestation { source, destination, sequence, payload, signature });
        }
        Ok(())
    }

    /// Offers again what a chain has not taken, and forgets what it took for good.
    fn delivered(
        &mut self,
        destination: ChainId,
        latest: &BTreeMap<ChainId, u64>,
        settled: &BTreeMap<ChainId, u64>,
        now: Timestamp,
    ) {
        for (id, count) in latest {
            let Some(chain) = self.chains.get_mut(id) else { continue };
            let next = chain.source.next_to(destination);
            let channel = (*id, destination);
            if self.offers.taken(channel, *count, settled.get(id).copied(), next) {
                tracing::warn!(source = %id, %destination, count, "a message is missing and is read again");
                chain.source.begin_again(now);
            }
        }
    }

    /// How it is doing on a chain.
    pub fn status(&self, id: ChainId) -> Option<AttesterStatus> {
        let chain = self.chains.get(&id)?;
        Some(AttesterStatus {
            chain: id,
            scanned: chain.source.scanned(),
            offered: self.offers.len(),
            last_contact: chain.last_contact,
            failures: chain.failures,
            last_error: chain.last_error.clone(),
            refusal: chain.source.refusal().cloned(),
        })
    }
}

/// Whether exactly this message was signed before: then the contract had its hash, and the same signature again tells
/// nobody anything new.
fn was_signed(
    history: &History,
    (deployment, oracle): (DeploymentId, Address),
    source: ChainId,
    message: &SentMessage,
) -> bool {
    let SentMessage { destination, sequence, payload } = message;
    let id = (source, *destination, *sequence);
    let signed = history.signed(id);
    signed.is_some_and(|signed| signed.digest == message_digest(deployment, oracle, id, payload))
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
