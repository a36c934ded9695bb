//! The book of attestations: what attesters signed, until a chain has taken it.
//!
//! A machine with bounded storage. It keeps a window of messages per channel (source and
//! destination), counts only signatures that recover to an attester of the deployment, and keeps
//! two contradicting payloads of one message apart: only signatures over the same bytes add up.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zklink::id::ChainId;
use zklink::state::DeploymentId;
use zklink::token::Address;
use zklink::tx::{keccak, recover};
use zklink_chain::contracts::MAX_PAYLOAD;
use zklink_mechanism::machine::{Handle, Machine};
use zklink_mechanism::port::Message;
use zklink_mechanism::turn::Turn;

/// Messages per channel that are kept, beginning with the next one to deliver.
const WINDOW: u64 = 256;
/// Messages per channel that one answer names.
const TOLD_MAX: usize = 16;

/// What an attester signs for a message: as `LightOracle.digest` has it. `oracle` is the light oracle that delivers it,
/// so that the signature is worth nothing in any other one.
pub fn message_digest(
    deployment: DeploymentId,
    oracle: Address,
    (source, destination, sequence): (ChainId, ChainId, u64),
    payload: &[u8],
) -> [u8; 32] {
    let mut words = [[0; 32]; 7];
    words[0] = keccak(&[b"zkLink LightOracle"]);
    words[1][1..].copy_from_slice(&deployment.0);
    words[2][12..].copy_from_slice(&oracle);
    words[3][31] = source.0;
    words[4][31] = destination.0;
    words[5][24..].copy_from_slice(&sequence.to_be_bytes());
    words[6] = keccak(&[payload]);
    keccak(&[words.concat().as_slice()])
}

/// An attester's word that a message left a chain, finally.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The chain that sent it.
    pub source: ChainId,
    /// The chain that it goes to.
    pub destination: ChainId,
    /// Its number.
    pub sequence: u64,
    /// What it says.
    #[serde(with = "hex")]
    pub payload: Vec<u8>,
    /// Over [`message_digest`]: r, s, v.
    #[serde(with = "signature_hex")]
    pub signature: [u8; 65],
}

impl Message for Attestation {
    type Reply = Result<(), BadAttestation>;
}

/// A signature as hex. The library does it for common lengths only, and 65 is none.
mod signature_hex {
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 65], to: S) -> Result<S::Ok, S::Error> {
        hex::serialize(bytes, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 65], D::Error> {
        let bytes: Vec<u8> = hex::deserialize(from)?;
        bytes.try_into().map_err(|_| de::Error::custom("a signature has 65 bytes"))
    }
}

/// An attestation was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum BadAttestation {
    /// It names a chain that is none of the deployment, or the same chain twice.
    #[error("there is no channel between these chains")]
    Channel,
    /// The message was delivered, or lies too far ahead. An attester offers it again later.
    #[error("the message is outside of the window")]
    Window,
    /// The payload is too long.
    #[error("the payload is too long")]
    Payload,
    /// The signature is not of an attester.
    #[error("the signature is not of an attester of this deployment")]
    Signer,
    /// The attester signed another payload of this message before.
    #[error(
        "the attester signed another payload of this message before: its key serves two, or a liar"
    )]
    Contradiction,
}

/// A message with enough signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliverable {
    /// The chain that sent it.
    pub source: ChainId,
    /// Its number.
    pub sequence: u64,
    /// What it says.
    pub payload: Vec<u8>,
    /// In ascending order of the signers' addresses.
    pub signatures: Vec<[u8; 65]>,
}

/// Asks what a chain's oracle would take next, given how many messages it has taken from each
/// source: of each the next ones, in order. What it has taken is forgotten.
#[derive(Clone, Debug)]
pub struct WhatNext {
    /// The chain.
    pub destination: ChainId,
    /// The next message of each source.
    pub delivered: BTreeMap<ChainId, u64>,
}

impl Message for WhatNext {
    type Reply = Vec<Deliverable>;
}

/// The signatures over one payload, by signer.
type Signed = BTreeMap<Address, [u8; 65]>;

/// The messages of one channel.
#[derive(Debug, Default)]
struct Channel {
    next: u64,
    messages: BTreeMap<u64, BTreeMap<Vec<u8>, Signed>>,
}

/// The book.
#[derive(Debug)]
pub struct AttestationBook {
    deployment: DeploymentId,
    /// The chains with their light oracles.
    oracles: BTreeMap<ChainId, Address>,
    attesters: BTreeSet<Address>,
    threshold: usize,
    channels: BTreeMap<(ChainId, ChainId), Channel>,
}

impl AttestationBook {
    /// An empty book for a deployment.
    pub fn new(
        deployment: DeploymentId,
        oracles: BTreeMap<ChainId, Address>,
        attesters: BTreeSet<Address>,
        threshold: usize,
    ) -> Self {
        Self { deployment, oracles, attesters, threshold, channels: BTreeMap::new() }
    }

    fn take(&mut self, attestation: Attestation) -> Result<(), BadAttestation> {
        let Attestation { source, destination, sequence, payload, signature } = attestation;
        let oracle = self.oracles.get(&destination).copied();
        let known = self.oracles.contains_key(&source) && source != destination;
        let oracle = oracle.filter(|_| known).ok_or(BadAttestation::Channel)?;
        if payload.len() > MAX_PAYLOAD {
            return Err(BadAttestation::Payload);
        }
        let channel = self.channels.entry((source, destination)).or_default();
        if !(channel.next..channel.next.saturating_add(WINDOW)).contains(&sequence) {
            return Err(BadAttestation::Window);
        }
        let message = (source, destination, sequence);
        let digest = message_digest(self.deployment, oracle, message, &payload);
        let signer = recover(&digest, &signature);
        let signer = signer.filter(|signer| self.attesters.contains(signer));
        let signer = signer.ok_or(BadAttestation::Signer)?;
        let payloads = channel.messages.entry(sequence).or_default();
        // One payload of each attester: so liars cannot fill the place that the others need.
        if payloads.iter().any(|(other, by)| *other != payload && by.contains_key(&signer)) {
            return Err(BadAttestation::Contradiction);
        }
        payloads.entry(payload).or_default().insert(signer, signature);
        Ok(())
    }

    fn what_next(&mut self, asked: &WhatNext) -> Vec<Deliverable> {
        let mut found = Vec::new();
        for (source, delivered) in &asked.delivered {
            let Some(channel) = self.channels.get_mut(&(*source, asked.destination)) else {
                // The window must move although nothing was signed yet: the book may have been made
                // anew.
                if self.oracles.contains_key(source)
                    && self.oracles.contains_key(&asked.destination)
                {
                    let channel = Channel { next: *delivered, messages: BTreeMap::new() };
                    self.channels.insert((*source, asked.destination), channel);
                }
                continue;
            };
            // A reorganisation of the destination may make the count smaller again; attesters offer
            // anew then.
            channel.next = *delivered;
            channel.messages = channel.messages.split_off(delivered);
            let next = (*delivered..).map_while(|sequence| {
                let payloads = channel.messages.get(&sequence)?;
                let mut enough = payloads.iter().filter(|(_, by)| by.len() >= self.threshold);
                let (payload, signed) = enough.next()?;
                Some(Deliverable {
                    source: *source,
                    sequence,
                    payload: payload.clone(),
                    signatures: signed.values().take(self.threshold).copied().collect(),
                })
            });
            found.extend(next.take(TOLD_MAX));
        }
        found
    }
}

impl Machine for AttestationBook {}

impl Handle<Attestation> for AttestationBook {
    fn handle(&mut self, attestation: Attestation, _: &mut Turn) -> Result<(), BadAttestation> {
        self.take(attestation)
    }
}

impl Handle<WhatNext> for AttestationBook {
    fn handle(&mut self, asked: WhatNext, _: &mut Turn) -> Vec<Deliverable> {
        self.what_next(&asked)
    }
}

#[cfg(test)]
mod tests;
