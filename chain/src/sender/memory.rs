//! What a sender remembers between its transactions.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{SendError, SendPolicy};
use crate::client::{Call, FeeMarket};
use crate::transaction::SignedTransaction;

/// More nonces than this are never open at a time.
const NONCES_MAX: usize = 16;
/// A least tip that an endpoint demanded is forgotten after so long: most come from a rush that ends.
const LEARNT_FOR: Duration = Duration::from_secs(3600);

/// What a transaction offers for a unit of gas, wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The most that it pays.
    pub(super) max_fee: u128,
    /// Of that, what goes to the block's producer.
    pub(super) tip: u128,
}

/// A transaction that was handed in.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// What it does.
    pub(super) call: Call,
    pub(super) transaction: SignedTransaction,
    pub(super) offer: Offer,
}

/// What was sent with each nonce, and what was learnt of the chain.
#[derive(Debug, Default)]
pub(super) struct Memory {
    sent: BTreeMap<u64, Vec<Sent>>,
    least_tip: Option<(u128, Instant)>,
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

    /// What to offer next with a nonce: what the market asks, and a quarter above what was sent with it, where nodes
    /// ask for a tenth to replace a transaction. Nothing when the limit leaves no room above what was sent.
    ///
    /// Twice the base fee keeps a transaction valid for six full blocks.
    pub(super) fn offer(
        &self,
        policy: &SendPolicy,
        market: FeeMarket,
        nonce: u64,
    ) -> Result<Option<Offer>, SendError> {
        let limit = policy.max_fee_per_gas;
        let least = policy.min_priority_fee_per_gas.max(self.learnt()).max(1);
        let mut tip = market.priority_fee.max(least);
        let needed = market.base_fee.saturating_add(tip);
        if needed > limit {
            return Err(SendError::TooExpensive { needed, limit });
        }
        let mut max_fee = market.base_fee.saturating_mul(2).saturating_add(tip);
        if let Some(last) = self.sent(nonce).last().map(|sent| sent.offer) {
            if plus(last.max_fee, 8) > limit {
                return Ok(None);
            }
            tip = tip.max(plus(last.tip, 4));
            max_fee = max_fee.max(plus(last.max_fee, 4));
        }
        let max_fee = max_fee.min(limit);
        Ok(Some(Offer { max_fee, tip: tip.min(max_fee) }))
    }

    /// What would have to be offered above what was sent with a nonce.
    pub(super) fn above(&self, nonce: u64) -> u128 {
        self.sent(nonce).last().map_or(0, |sent| plus(sent.offer.max_fee, 8))
    }
}

/// A part of the fee more, rounded up.
fn plus(fee: u128, part: u128) -> u128 {
    fee.saturating_add(fee / part + 1)
}
