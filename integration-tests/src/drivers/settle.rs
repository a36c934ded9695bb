//! The driver of settlement for one chain: reads the views, asks for the next step, sends it, looks again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use zklink::id::ChainId;
use zklink::token::Address;
use zklink_chain::client::{Call, ChainClient, Hash};
use zklink_mechanism::port::{Pending, Port};
use zklink_mechanism::timestamp::Timestamp;
use zklink_settlement::book::{Deliverable, WhatNext};
use zklink_settlement::{
    Calldata, Contracts, Diverged, RefundSearch, Retries, Routes, SettlementSource, Situation,
    Step, ViewError, call_of, next_steps, read_chain_view, read_hub_view, read_tip, revert_call,
};

use super::{Driver, at_once, pause_ms};
use crate::simulated::SimulatedChainHandle;

/// How long a transaction may wait to be mined before the next step is chosen anew, virtual milliseconds.
const PATIENCE_MS: u64 = 10_000;
/// Blocks in one question for events.
const LOG_RANGE: u64 = 8;

/// What settlement did, for tests: all chains, over restarts.
#[derive(Clone, Debug, Default)]
pub struct SettlementLog(Arc<Mutex<Vec<SettlementEntry>>>);

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettlementEntry {
    /// A transaction did its step.
    Done(ChainId, Step),
    /// A transaction was refused; the text is the contract's.
    Refused(ChainId, Step, String),
    /// Contracts and archive differ.
    Diverged(ChainId, Diverged),
}

impl SettlementLog {
    fn add(&self, entry: SettlementEntry) {
        self.0.lock().expect("no holder of this lock panics").push(entry);
    }

    /// All entries.
    pub fn entries(&self) -> Vec<SettlementEntry> {
        self.0.lock().expect("no holder of this lock panics").clone()
    }
}

/// Everything that settlement of one chain needs.
pub struct SettleLoop {
    /// The chain.
    pub chain: ChainId,
    /// The hub's number.
    pub hub_id: ChainId,
    /// All chains of the deployment with their contracts.
    pub contracts: BTreeMap<ChainId, Contracts>,
    /// Reads the chain.
    pub client: Arc<dyn ChainClient>,
    /// Reads the hub.
    pub hub: Arc<dyn ChainClient>,
    /// Takes transactions.
    pub pool: SimulatedChainHandle,
    /// Who sends them.
    pub validator: Address,
    /// The archive.
    pub source: Arc<dyn SettlementSource + Send + Sync>,
    /// How messages come to the chain.
    pub routes: Routes,
    /// The book of attestations.
    pub book: Port<WhatNext>,
    /// Where steps are written down.
    pub log: SettlementLog,
    /// Which steps rest.
    pub retries: Retries,
    /// Which refunds are made.
    pub refunds: RefundSearch,
    /// The pause when there is nothing to do.
    pub period_ms: u64,
    /// What it waits for.
    pub stage: Stage,
    /// When it looks again.
    pub due: Timestamp,
    /// Failures in a row.
    pub failures: u32,
}

/// What a settlement driver waits for.
#[derive(Debug, Default)]
pub enum Stage {
    /// For the next look.
    #[default]
    Idle,
    /// For the book.
    Asked(Pending<Vec<Deliverable>>),
    /// For the chain.
    Sent(Step, Hash, Timestamp),
}

impl SettleLoop {
    fn delivered(&self) -> Result<BTreeMap<ChainId, u64>, ViewError> {
        let height = at_once(read_tip(&*self.client))?.number;
        let mut delivered = BTreeMap::new();
        for (source, route) in self.routes.iter().filter(|(source, _)| **source != self.chain) {
            delivered.insert(*source, at_once(route.taken(&*self.client, height))?);
        }
        Ok(delivered)
    }

    fn choose(
        &mut self,
        deliverable: &[Deliverable],
        now: Timestamp,
    ) -> Result<Option<(Step, Call)>, ViewError> {
        let contracts = self.contracts[&self.chain];
        let hub_contract = self.contracts[&self.hub_id].hub.unwrap_or_default();
        let chains = self.contracts.keys().copied();
        let height = at_once(read_tip(&*self.hub))?.number;
        let hub = at_once(read_hub_view(&*self.hub, hub_contract, chains, height))?;
        let height = at_once(read_tip(&*self.client))?.number;
        let view = at_once(read_chain_view(&*self.client, contracts.rollup, height))?;
        let (client, source) = (&*self.client, &*self.source);
        let due = self.refunds.due(client, contracts.rollup, source, self.chain, &view);
        let refunds = at_once(due)?;
        let situation = Situation {
            chain: self.chain,
            hub_id: self.hub_id,
            view: &view,
            hub: &hub,
            deliverable,
            refunds: &refunds,
            routes: &self.routes,
            publication: &Calldata,
        };
        match next_steps(&situation, &*self.source) {
            Ok(steps) => {
                let Some(step) = self.retries.choose(&steps, now) else { return Ok(None) };
                let call = match step {
                    Step::RevertCommits(_) => {
                        at_once(revert_call(client, contracts, &view, LOG_RANGE)).ok()
                    }
                    _ => call_of(&step, &situation, source, contracts),
                };
                Ok(call.map(|call| (step, call)))
            }
            Err(diverged) => {
                self.log.add(SettlementEntry::Diverged(self.chain, diverged));
                Ok(None)
            }
        }
    }

    /// Lets a step rest that was refused, and looks at once whether another one is due.
    fn refused(&mut self, step: Step, text: String, now: Timestamp) {
        self.retries.failed(&step, text.clone(), now);
        self.log.add(SettlementEntry::Refused(self.chain, step, text));
        self.due = now;
    }

    fn rest(&mut self, now: Timestamp, failed: bool) {
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
        self.due = now.after(pause_ms(self.period_ms, self.failures));
        self.stage = Stage::Idle;
    }

    fn look(&mut self, now: Timestamp) {
        let Ok(delivered) = self.delivered() else { return self.rest(now, true) };
        match self.book.ask(WhatNext { destination: self.chain, delivered }) {
            Ok(pending) => self.stage = Stage::Asked(pending),
            Err(_) => self.rest(now, true),
        }
    }

    fn answered(&mut self, deliverable: &[Deliverable], now: Timestamp) {
        match self.choose(deliverable, now) {
            Ok(Some((step, call))) => {
                let mut pool = self.pool.lock();
                // As the node's sender does: a refusal is found by the estimate, and costs nothing then.
                let estimate = pool.estimate(self.validator, &call);
                let sent = estimate.map(|()| pool.submit_next(self.validator, call));
                drop(pool);
                match sent {
                    Ok(hash) => self.stage = Stage::Sent(step, hash, now.after(PATIENCE_MS)),
                    Err(refused) => self.refused(step, refused.to_string(), now),
                }
            }
            Ok(None) => self.rest(now, false),
            Err(_) => self.rest(now, true),
        }
    }
}

impl Driver for SettleLoop {
    fn beat(&mut self, now: Timestamp) {
        match std::mem::take(&mut self.stage) {
            Stage::Idle if now >= self.due => self.look(now),
            Stage::Idle => {}
            Stage::Asked(mut pending) => match pending.poll_now() {
                None => self.stage = Stage::Asked(pending),
                Some(reply) => self.answered(&reply.unwrap_or_default(), now),
            },
            Stage::Sent(step, hash, deadline) => {
                let outcome = self.pool.lock().outcome(hash);
                match outcome {
                    Some((_, Ok(()))) => {
                        self.retries.done(&step);
                        self.log.add(SettlementEntry::Done(self.chain, step));
                        self.failures = 0;
                        self.due = now;
                    }
                    Some((_, Err(refused))) => self.refused(step, refused.to_string(), now),
                    None if now >= deadline => self.rest(now, true),
                    None => self.stage = Stage::Sent(step, hash, deadline),
                }
            }
        }
    }
}
