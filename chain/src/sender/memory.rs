//! What a sender remembers between its transactions.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Price, SendError, SendPolicy};
use crate::blob::{BlobProofs, Blobs};
use crate::client::{Call, FeeMarket, Hash};
use crate::transaction::Terms;

/// More nonces than this are never open at a time.
const NONCES_MAX: usize = 16;
/// A least tip that an endpoint demanded is forgotten after so long: most come from a rush that ends.
const LEARNT_FOR: Duration = Duration::from_secs(3600);

/// What a transaction meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Market {
    /// The price of gas.
    pub(super) gas: FeeMarket,
    /// The base fee of blob gas, for a call with blobs.
    pub(super) blob_base_fee: Option<u128>,
}

impl Market {
    /// The least that it takes.
    pub(super) fn least(self) -> Offer {
        let FeeMarket { base_fee, priority_fee: tip } = self.gas;
        let blob_fee = self.blob_base_fee.map_or(0, |fee| fee.max(1));
        Offer { max_fee: base_fee.saturating_add(tip), tip, blob_fee }
    }
}

/// What a transaction offers, wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The most that it pays for a unit of gas.
    pub(super) max_fee: u128,
    /// Of that, what goes to the block's producer.
    pub(super) tip: u128,
    /// The most that it pays for a unit of blob gas; zero without blobs.
    pub(super) blob_fee: u128,
}

impl Offer {
    /// What is offered above this one. Nodes ask for a tenth to replace a transaction, and for twice of everything to
    /// replace one with blobs.
    fn raised(self, part: u128) -> Offer {
        let blobs = self.blob_fee > 0;
        let up = |fee| if blobs { twice(fee) } else { plus(fee, part) };
        Offer { max_fee: up(self.max_fee), tip: up(self.tip), blob_fee: twice(self.blob_fee) }
    }

    /// No less than another one of everything.
    fn at_least(self, other: Offer) -> Offer {
        Offer {
            max_fee: self.max_fee.max(other.max_fee),
            tip: self.tip.max(other.tip),
            // Without blobs there is nothing to pay for them, whatever was sent before.
            blob_fee: if self.blob_fee > 0 { self.blob_fee.max(other.blob_fee) } else { 0 },
        }
    }
}

impl SendPolicy {
    /// Whether a price is within the limits.
    pub(super) fn allows(&self, offer: Offer) -> Result<(), SendError> {
        for (of, needed, limit) in [
            (Price::Gas, offer.max_fee, self.max_fee_per_gas),
            (Price::BlobGas, offer.blob_fee, self.max_fee_per_blob_gas),
        ] {
            if needed > limit {
                return Err(SendError::TooExpensive { of, needed, limit });
            }
        }
        Ok(())
    }
}

/// A transaction that was handed in. It is signed again where its bytes are needed: they are many with blobs.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// What it does.
    pub(super) call: Call,
    pub(super) terms: Terms,
    pub(super) hash: Hash,
}

impl Sent {
    /// What it may cost at most, wei.
    pub(super) fn cost(&self) -> u128 {
        let offer = self.offer();
        let blob_gas = self.call.blobs.as_ref().map_or(0, Blobs::gas);
        let gas = u128::from(self.terms.gas).saturating_mul(offer.max_fee);
        let blobs = u128::from(blob_gas).saturating_mul(offer.blob_fee);
        gas.saturating_add(blobs).saturating_add(self.call.value)
    }

    fn offer(&self) -> Offer {
        let Terms { max_fee, priority_fee: tip, .. } = self.terms;
        let blob_fee = if self.call.blobs.is_some() { self.terms.blob_fee } else { 0 };
        Offer { max_fee, tip, blob_fee }
    }
}

/// What was sent with each nonce, and what was learnt of the chain.
#[derive(Debug, Default)]
pub(super) struct Memory {
    sent: BTreeMap<u64, Vec<Sent>>,
    least_tip: Option<(u128, Instant)>,
    /// What was taken where the policy's form was not.
    proofs: Option<BlobProofs>,
}

impl Memory {
    /// What was sent with a nonce.
    pub(super) fn sent(&self, nonce: u64) -> &[Sent] {
        self.sent.get(&nonce).map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes down what is about to be handed in: an endpoint may take it and its answer be lost.
    pub(super) fn note(&mut self, nonce: u64, sent: Sent) {
        self.sent.entry(nonce).or_default().push(sent);
        while self.sent.len() > NONCES_MAX {
            self.sent.pop_first();
        }
    }

    /// The last one was not taken.
    pub(super) fn refused(&mut self, nonce: u64) {
        if let Some(sent) = self.sent.get_mut(&nonce) {
            sent.pop();
        }
    }

    /// The least tip that an endpoint demanded; never less than was known before.
    pub(super) fn learn(&mut self, tip: u128) {
        self.least_tip = Some((self.learnt().max(tip), Instant::now()));
    }

    fn learnt(&self) -> u128 {
        let recent = self.least_tip.filter(|(_, when)| when.elapsed() < LEARNT_FOR);
        recent.map_or(0, |(tip, _)| tip)
    }

    /// The form in which blobs are proven.
    pub(super) fn proofs(&self, policy: &SendPolicy) -> BlobProofs {
        self.proofs.unwrap_or(policy.blob_proofs)
    }

    /// The other form of proofs was refused.
    pub(super) fn prove_by(&mut self, proofs: BlobProofs) {
        self.proofs = Some(proofs);
    }

    /// What to offer next with a nonce: what the market asks, and what is above what was sent with it by a quarter, or
    /// by all of it with blobs. Nothing when the limits leave no room above what was sent.
    ///
    /// Twice the base fees keep a transaction valid for six full blocks.
    pub(super) fn offer(
        &self,
        policy: &SendPolicy,
        mut market: Market,
        nonce: u64,
    ) -> Result<Option<Offer>, SendError> {
        let least = policy.min_priority_fee_per_gas.max(self.learnt()).max(1);
        market.gas.priority_fee = market.gas.priority_fee.max(least);
        let needed = market.least();
        policy.allows(needed)?;
        let mut offer = Offer {
            max_fee: needed.max_fee.saturating_add(market.gas.base_fee),
            blob_fee: twice(needed.blob_fee),
            ..needed
        };
        if let Some(last) = self.sent(nonce).last().map(Sent::offer) {
            if policy.allows(last.raised(8)).is_err() {
                return Ok(None);
            }
            offer = offer.at_least(last.raised(4));
        }
        let max_fee = offer.max_fee.min(policy.max_fee_per_gas);
        let blob_fee = offer.blob_fee.min(policy.max_fee_per_blob_gas);
        Ok(Some(Offer { max_fee, tip: offer.tip.min(max_fee), blob_fee }))
    }

    /// Whether the limits leave room above what was sent with a nonce.
    pub(super) fn room_above(&self, policy: &SendPolicy, nonce: u64) -> Result<(), SendError> {
        self.sent(nonce).last().map_or(Ok(()), |sent| policy.allows(sent.offer().raised(8)))
    }
}

fn twice(fee: u128) -> u128 {
    fee.saturating_mul(2)
}

/// A part of the fee more, rounded up.
fn plus(fee: u128, part: u128) -> u128 {
    fee.saturating_add(fee / part + 1)
}
