//! Transactions that wait, nonce gaps included.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{Transaction, TxEnvelope};
use alloy_primitives::{Address, B256, U256};

use crate::config::Limits;
use crate::error::ChainError;

/// A transaction that was checked and waits, with its place in the order of arrival.
#[derive(Clone, Debug)]
struct Waiting {
    transaction: Recovered<TxEnvelope>,
    arrival: u64,
}

/// All that waits, by sender and nonce.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    senders: BTreeMap<Address, BTreeMap<u64, Waiting>>,
    by_hash: BTreeMap<B256, (Address, u64)>,
    arrivals: u64,
}

impl Pool {
    pub(crate) fn get(&self, hash: &B256) -> Option<&Recovered<TxEnvelope>> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        Some(&self.senders.get(sender)?.get(nonce)?.transaction)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Adds a transaction that was checked against the state, or replaces the one of its sender
    /// with the same nonce if it offers at least a tenth more in both fees (as geth wants).
    pub(crate) fn insert(
        &mut self,
        transaction: Recovered<TxEnvelope>,
        limits: &Limits,
    ) -> Result<(), ChainError> {
        let (sender, nonce) = (transaction.signer(), transaction.nonce());
        let of_sender = self.senders.get(&sender);
        match of_sender.and_then(|queue| queue.get(&nonce)) {
            Some(old) => check_replacement(&old.transaction, &transaction)?,
            None => self.check_room(of_sender.map_or(0, BTreeMap::len), limits)?,
        }
        let hash = *transaction.tx_hash();
        let waiting = Waiting { transaction, arrival: self.arrivals };
        self.arrivals += 1;
        if let Some(old) = self.senders.entry(sender).or_default().insert(nonce, waiting) {
            self.by_hash.remove(old.transaction.tx_hash());
        }
        self.by_hash.insert(hash, (sender, nonce));
        Ok(())
    }

    fn check_room(&self, of_sender: usize, limits: &Limits) -> Result<(), ChainError> {
        if of_sender >= limits.pool_transactions_per_sender {
            return Err(ChainError::PoolFull { waiting: of_sender, whose: "this sender" });
        }
        if self.len() >= limits.pool_transactions {
            return Err(ChainError::PoolFull { waiting: self.len(), whose: "all senders" });
        }
        Ok(())
    }

    /// Most that the waiting transactions of a sender can cost in all, wei, without the one of
    /// the given nonce.
    pub(crate) fn cost(&self, sender: &Address, except_nonce: u64) -> U256 {
        let queue = self.senders.get(sender).into_iter().flatten();
        let others = queue.filter(|(nonce, _)| **nonce != except_nonce);
        others.fold(U256::ZERO, |sum, (_, waiting)| {
            sum.saturating_add(largest_cost(&waiting.transaction))
        })
    }

    /// The first nonce from `next` on for which nothing waits.
    pub(crate) fn next_nonce(&self, sender: &Address, next: u64) -> u64 {
        let Some(queue) = self.senders.get(sender) else { return next };
        let consecutive = (next..).zip(queue.range(next..));
        let run = consecutive.take_while(|(expected, (nonce, _))| expected == *nonce).count();
        next.saturating_add(run as u64)
    }

    /// Whether a block of this base fee could take something, given the nonces of the accounts.
    pub(crate) fn is_ready(&self, base_fee: u64, nonce_of: impl Fn(&Address) -> u64) -> bool {
        self.senders.iter().any(|(sender, queue)| {
            let head = queue.get(&nonce_of(sender));
            head.is_some_and(|waiting| tip(waiting, base_fee).is_some())
        })
    }

    /// The order in which a block takes what waits.
    pub(crate) fn order(&self, base_fee: u64, nonce_of: impl Fn(&Address) -> u64) -> Order<'_> {
        let mut order = Order { pool: self, base_fee, heads: BinaryHeap::new() };
        for sender in self.senders.keys() {
            order.push(*sender, nonce_of(sender));
        }
        order
    }

    pub(crate) fn remove(&mut self, sender: &Address, nonce: u64) {
        let Some(queue) = self.senders.get_mut(sender) else { return };
        if let Some(waiting) = queue.remove(&nonce) {
            self.by_hash.remove(waiting.transaction.tx_hash());
        }
        if queue.is_empty() {
            self.senders.remove(sender);
        }
    }

    /// Drops what can never be included any more because its nonce is used.
    pub(crate) fn drop_below(&mut self, sender: &Address, nonce: u64) {
        let Some(queue) = self.senders.get(sender) else { return };
        let stale: Vec<u64> = queue.range(..nonce).map(|(nonce, _)| *nonce).collect();
        for nonce in stale {
            self.remove(sender, nonce);
        }
    }
}

/// Most that a transaction can cost its sender: gas limit times largest fee, and its value.
pub(crate) fn largest_cost(transaction: &TxEnvelope) -> U256 {
    let gas = U256::from(transaction.gas_limit());
    let fees = gas.saturating_mul(U256::from(transaction.max_fee_per_gas()));
    fees.saturating_add(transaction.value())
}

fn tip(waiting: &Waiting, base_fee: u64) -> Option<u128> {
    waiting.transaction.effective_tip_per_gas(base_fee)
}

fn check_replacement(old: &TxEnvelope, new: &TxEnvelope) -> Result<(), ChainError> {
    let bumped = |fee: u128| fee.saturating_add((fee / 10).max(1));
    let fee = bumped(old.max_fee_per_gas());
    let least_tip = bumped(old.priority_fee_or_price());
    if new.max_fee_per_gas() < fee || new.priority_fee_or_price() < least_tip {
        return Err(ChainError::Underpriced { fee, tip: least_tip });
    }
    Ok(())
}

/// Hands out transactions by tip, then by arrival, each sender's in the order of their nonces.
pub(crate) struct Order<'a> {
    pool: &'a Pool,
    base_fee: u64,
    heads: BinaryHeap<(u128, Reverse<u64>, Address, u64)>,
}

impl<'a> Order<'a> {
    fn push(&mut self, sender: Address, nonce: u64) {
        let queue = self.pool.senders.get(&sender);
        let Some(waiting) = queue.and_then(|queue| queue.get(&nonce)) else { return };
        if let Some(tip) = tip(waiting, self.base_fee) {
            self.heads.push((tip, Reverse(waiting.arrival), sender, nonce));
        }
    }

    /// The next transaction. The one after it of the same sender is offered only once
    /// [`Order::included`] says that this one was taken.
    pub(crate) fn next(&mut self) -> Option<&'a Recovered<TxEnvelope>> {
        let (_, _, sender, nonce) = self.heads.pop()?;
        Some(&self.pool.senders.get(&sender)?.get(&nonce)?.transaction)
    }

    /// Offers the sender's next transaction.
    pub(crate) fn included(&mut self, sender: Address, nonce: u64) {
        self.push(sender, nonce.saturating_add(1));
    }
}
