//! The driver of settlement for one chain: reads the views, asks for the next step, sends it, and
//! looks again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::{BlockNumber, ChainId};
use zklink_chain::client::{Call, ChainClient, ClientError, Hash, Receipt, hex0x};
use zklink_chain::contracts::ReadError;
use zklink_chain::sender::{SendError, Sender};
use zklink_mechanism::driver::{ask, pause};
use zklink_mechanism::port::Port;
use zklink_mechanism::timestamp::Timestamp;

use super::book::{Deliverable, WhatNext};
use super::views::read_oracle_view;
use super::{
    ChainView, Contracts, Diverged, Failing, HubView, RefundSearch, Retries, SettlementSource,
    Situation, Step, call_of, next_steps, read_chain_view, read_hub_view, revert_call,
};

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

    /// What `pick` makes of the steps, oldest first, without a copy of them all.
    pub fn pick<T>(&self, pick: impl FnMut(&Done) -> Option<T>) -> Vec<T> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(pick).collect()
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
    /// Looks in a row that failed: the chain or the hub could not be read, or takes nothing.
    pub failures: u32,
    /// What the last of these failures said.
    pub last_error: Option<String>,
    /// Steps that the chain does not take, with the reason; the others go on meanwhile.
    pub failing: Vec<Failing>,
    /// Set when the contracts and the archive differ; nothing more is sent.
    pub diverged: Option<Diverged>,
    /// The last block that the chain paid to the end, as it was last read.
    pub paid: BlockNumber,
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
    /// What the step needs of the chain was not found there.
    #[error("{step}: {error}")]
    NotFound {
        /// The step.
        step: Step,
        /// What is missing.
        error: String,
    },
    /// The contracts and the archive differ.
    #[error(transparent)]
    Diverged(#[from] Diverged),
}

impl RoundError {
    /// Whether another step may fare better at once: this one was refused, and the chain answers.
    fn is_of_step(&self) -> bool {
        match self {
            RoundError::Send { error, .. } => match error {
                SendError::Reverted { .. } => true,
                SendError::Client(error) => matches!(
                    error,
                    ClientError::Refused { .. }
                        | ClientError::TooLarge { .. }
                        | ClientError::Malformed { .. }
                ),
                _ => false,
            },
            RoundError::NotFound { .. } => true,
            RoundError::Read(_) | RoundError::Diverged(_) => false,
        }
    }
}

/// Whether a step shall rest after this. An endpoint that answers everything but the estimate of
/// one heavy step must not stop the others; what befalls every transaction of the sender is no
/// fault of the step.
fn blames_step(error: &SendError) -> bool {
    match error {
        SendError::Reverted { .. } | SendError::Client(_) => true,
        SendError::TooExpensive { .. }
        | SendError::Overtaken(_)
        | SendError::Displaced { .. }
        | SendError::Stuck { .. } => false,
    }
}

/// What was read for one round.
struct Known<'a> {
    view: &'a ChainView,
    hub: &'a HubView,
    deliverable: &'a [Deliverable],
    refunds: &'a [BlockNumber],
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
    /// The most blocks in one question for events.
    pub max_log_range: u64,
}

impl Settler {
    /// Takes at most one step, and returns it. `now` is the clock of `retries`.
    ///
    /// # Errors
    /// [`RoundError`]; a step that failed rests in `retries`, so that the next round takes another.
    pub async fn round(
        &self,
        retries: &mut Retries,
        refunds: &mut RefundSearch,
        now: Timestamp,
        status: &watch::Sender<SettlementStatus>,
    ) -> Result<Option<Done>, RoundError> {
        let contracts = self.contracts[&self.chain];
        let client = &**self.sender.client();
        let chains = self.contracts.keys().copied();
        let hub_contract = self.contracts[&self.hub_id].hub.unwrap_or_default();
        let hub = read_hub_view(&*self.hub, hub_contract, chains).await?;
        let view = read_chain_view(client, contracts.rollup).await?;
        status.send_modify(|status| status.paid = view.paid);
        let deliverable = self.deliverable(client, contracts).await?;
        let source = &*self.source;
        let refunds = refunds.due(client, contracts.rollup, source, self.chain, &view).await?;
        let known = Known { view: &view, hub: &hub, deliverable: &deliverable, refunds: &refunds };
        let Some((step, call)) = self.choose(retries, now, &known)? else {
            return Ok(None);
        };
        let call = match call {
            Some(call) => call,
            None => match revert_call(client, contracts, &view, self.max_log_range).await {
                Ok(call) => call,
                Err(error) => {
                    let error = error.to_string();
                    retries.failed(&step, error.clone(), now);
                    return Err(RoundError::NotFound { step, error });
                }
            },
        };
        status.send_modify(|status| status.sending = Some(step.clone()));
        let sent = self.sender.send(call).await;
        status.send_modify(|status| status.sending = None);
        match sent {
            Ok(receipt) => {
                retries.done(&step);
                Ok(Some(self.write_down(step, &receipt)))
            }
            Err(error) => {
                if blames_step(&error) {
                    retries.failed(&step, error.to_string(), now);
                }
                Err(RoundError::Send { step, error })
            }
        }
    }

    /// The first step that is due and can be made, with its transaction; without it for the one that needs what only
    /// the chain knows.
    fn choose(
        &self,
        retries: &mut Retries,
        now: Timestamp,
        known: &Known<'_>,
    ) -> Result<Option<(Step, Option<Call>)>, Diverged> {
        let (chain, hub_id) = (self.chain, self.hub_id);
        let Known { view, hub, deliverable, refunds } = *known;
        let situation = Situation { chain, hub_id, view, hub, deliverable, refunds };
        let steps = next_steps(&situation, &*self.source)?;
        // Each turn makes a step rest or ends the loop, so there are no more turns than steps.
        while let Some(step) = retries.choose(&steps, now) {
            if matches!(step, Step::RevertCommits(_)) {
                return Ok(Some((step, None)));
            }
            let contracts = self.contracts[&self.chain];
            if let Some(call) = call_of(&step, &situation, &*self.source, contracts) {
                return Ok(Some((step, Some(call))));
            }
            retries.failed(&step, "what it needs is not in the archive".to_owned(), now);
        }
        Ok(None)
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
    /// work, and after failures, it pauses; the archive's nudge is not needed. A step that is refused
    /// rests, while the others go on.
    pub async fn run(
        self,
        status: watch::Sender<SettlementStatus>,
        period: Duration,
        mut stop: watch::Receiver<bool>,
    ) {
        let start = tokio::time::Instant::now();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut retries = Retries::new(millis(period));
        let mut refunds = RefundSearch::default();
        loop {
            let now = Timestamp(millis(start.elapsed()));
            let round = tokio::select! {
                round = self.round(&mut retries, &mut refunds, now, &status) => round,
                // A transaction that is under way is found by the next start: the views say what it
                // did.
                stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
            };
            let at_once = match &round {
                Ok(done) => done.is_some(),
                Err(error) => error.is_of_step(),
            };
            self.tell(&status, round.err(), &retries);
            if at_once {
                continue;
            }
            let failures = status.borrow().failures;
            tokio::select! {
                () = tokio::time::sleep(pause(period, failures)) => {}
                stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
            }
        }
    }

    fn tell(
        &self,
        status: &watch::Sender<SettlementStatus>,
        error: Option<RoundError>,
        retries: &Retries,
    ) {
        if let Some(error) = &error {
            tracing::warn!(chain = %self.chain, %error, "no step was taken");
        }
        // A refused step is told among those that fail; it says nothing against the chain.
        let failed = error.filter(|error| !error.is_of_step());
        status.send_modify(|status| {
            status.failing = retries.failing().to_vec();
            status.failures = failed.as_ref().map_or(0, |_| status.failures.saturating_add(1));
            status.last_error = failed.as_ref().map(ToString::to_string);
            status.diverged = match failed {
                Some(RoundError::Diverged(diverged)) => Some(diverged),
                _ => None,
            };
        });
    }
}
