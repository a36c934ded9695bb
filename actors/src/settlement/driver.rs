//! The driver of settlement for one chain: reads the views, asks for the next step, sends it, and
//! looks again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::ChainId;

use super::book::{Deliverable, WhatNext};
use super::views::read_oracle_view;
use super::{
    Contracts, Diverged, SettlementSource, Situation, Step, call_of, next_step, read_chain_view,
    read_hub_view,
};
use crate::chain::client::{ChainClient, Hash, Receipt, hex0x};
use crate::chain::contracts::ReadError;
use crate::chain::driver::{ask, pause};
use crate::chain::sender::{SendError, Sender};
use crate::port::Port;

/// Steps that the report keeps.
const REPORT_MAX: usize = 4096;

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Where.
    pub chain: ChainId,
    /// What.
    pub step: Step,
    /// The transaction.
    pub tx_hash: Hash,
    /// The block of the chain.
    pub block: u64,
    /// The gas that it used.
    pub gas_used: u64,
    /// What a unit of it cost, wei.
    pub gas_price: u128,
}

/// Who hears of every step.
pub type Listener = Arc<dyn Fn(&Done) + Send + Sync>;

/// The last steps of all chains, for people. Shared by the drivers.
#[derive(Clone, Default)]
pub struct Report {
    done: Arc<Mutex<VecDeque<Done>>>,
    listener: Option<Listener>,
}

impl Report {
    /// A report that also tells a listener.
    pub fn with_listener(listener: Listener) -> Self {
        Self { done: Arc::default(), listener: Some(listener) }
    }

    /// The steps, oldest first; the oldest fall out when there are too many.
    pub fn done(&self) -> Vec<Done> {
        // A list is whole even if a thread died while it held it.
        self.done.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn add(&self, done: Done) {
        if let Some(listener) = &self.listener {
            listener(&done);
        }
        let mut list = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() >= REPORT_MAX {
            list.pop_front();
        }
        list.push_back(done);
    }
}

/// How settlement of a chain is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettlementStatus {
    /// What is being sent now.
    pub sending: Option<Step>,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// Set when the contracts and the archive differ; nothing more is sent.
    pub diverged: Option<Diverged>,
}

/// Why a round did nothing.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The views could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The step could not be sent.
    #[error("{step}: {error}")]
    Send {
        /// The step.
        step: Step,
        /// What happened.
        error: SendError,
    },
    /// The contracts and the archive differ.
    #[error(transparent)]
    Diverged(#[from] Diverged),
}

/// Everything that settlement of one chain needs.
pub struct Settler {
    /// The chain.
    pub chain: ChainId,
    /// The hub's number.
    pub hub_id: ChainId,
    /// All chains of the deployment with their contracts.
    pub contracts: BTreeMap<ChainId, Contracts>,
    /// Sends on the chain, with the validator's key.
    pub sender: Sender,
    /// Reads the hub.
    pub hub: Arc<dyn ChainClient>,
    /// The archive.
    pub source: Arc<dyn SettlementSource>,
    /// The book of attestations.
    pub book: Port<WhatNext>,
    /// Where steps are written down.
    pub report: Report,
}

impl Settler {
    /// Takes at most one step; returns it.
    ///
    /// # Errors
    /// [`RoundError`].
    pub async fn round(
        &self,
        status: &watch::Sender<SettlementStatus>,
    ) -> Result<Option<Done>, RoundError> {
        let contracts = self.contracts[&self.chain];
        let client = &**self.sender.client();
        let hub_rollup = self.contracts[&self.hub_id].rollup;
        let chains = self.contracts.keys().copied();
        // The hub first: of every block that this view has, the later question finds the content,
        // too.
        let hub = read_hub_view(&*self.hub, hub_rollup, chains).await?;
        let view =
            read_chain_view(self.chain, client, contracts.rollup, &*self.hub, hub_rollup).await?;
        let deliverable = self.deliverable(client, contracts).await?;
        let situation = Situation {
            chain: self.chain,
            hub_id: self.hub_id,
            view: &view,
            hub: &hub,
            deliverable: &deliverable,
        };
        let Some(step) = next_step(&situation, &*self.source)? else { return Ok(None) };
        let Some(call) = call_of(&step, &situation, &*self.source, contracts) else {
            return Ok(None);
        };
        status.send_modify(|status| status.sending = Some(step.clone()));
        let sent = self.sender.send(call).await;
        status.send_modify(|status| status.sending = None);
        match sent {
            Ok(receipt) => Ok(Some(self.write_down(step, &receipt))),
            Err(error) => Err(RoundError::Send { step, error }),
        }
    }

    async fn deliverable(
        &self,
        client: &dyn ChainClient,
        contracts: Contracts,
    ) -> Result<Vec<Deliverable>, ReadError> {
        let others = self.contracts.keys().copied().filter(|chain| *chain != self.chain);
        let partners = others.filter(|chain| [*chain, self.chain].contains(&self.hub_id));
        let view = read_oracle_view(client, contracts.oracle, partners).await?;
        let asked = WhatNext { destination: self.chain, delivered: view.delivered };
        Ok(ask(&self.book, asked).await.unwrap_or_default())
    }

    fn write_down(&self, step: Step, receipt: &Receipt) -> Done {
        let done = Done {
            chain: self.chain,
            step,
            tx_hash: receipt.tx_hash,
            block: receipt.block,
            gas_used: receipt.gas_used,
            gas_price: receipt.gas_price,
        };
        tracing::info!(
            chain = %done.chain, step = %done.step, gas = done.gas_used, tx = hex0x(&done.tx_hash),
            "settled"
        );
        self.report.add(done.clone());
        done
    }

    /// Takes step after step until `stop` becomes true or its sender is gone. Between steps without
    /// work, and after failures, it pauses; the archive's nudge is not needed.
    pub async fn run(
        self,
        status: watch::Sender<SettlementStatus>,
        period: Duration,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let round = tokio::select! {
                round = self.round(&status) => round,
                // A transaction that is under way is found by the next start: the views say what it
                // did.
                stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
            };
            match round {
                Ok(Some(_)) => {
                    status.send_replace(SettlementStatus::default());
                    continue;
                }
                Ok(None) => drop(status.send_replace(SettlementStatus::default())),
                Err(error) => self.fail(&status, error),
            }
            let failures = status.borrow().failures;
            tokio::select! {
                () = tokio::time::sleep(pause(period, failures)) => {}
                stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
            }
        }
    }

    fn fail(&self, status: &watch::Sender<SettlementStatus>, error: RoundError) {
        tracing::warn!(chain = %self.chain, %error, "no step was taken");
        status.send_modify(|status| {
            status.failures = status.failures.saturating_add(1);
            status.last_error = Some(error.to_string());
            status.diverged = match error {
                RoundError::Diverged(diverged) => Some(diverged),
                RoundError::Read(_) | RoundError::Send { .. } => None,
            };
        });
    }
}
