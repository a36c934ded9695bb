//! The driver of settlement for one chain: reads the views, asks for the next step, sends it, and
//! looks again.
//!
//! The chain is asked only when there is a reason. While nothing is to be done, the archive tells when that changes,
//! and the chain is looked at once in a quiet period, for what strangers and reorganisations do. While something is
//! to be
//! done, its views are read again when it has a new block.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::{BlockNumber, ChainId};
use zklink_chain::client::{Call, ClientError, Hash, Receipt, hex0x};
use zklink_chain::sender::{SendError, Sender};
use zklink_mechanism::driver::{pause, rest};
use zklink_mechanism::timestamp::Timestamp;

use super::book::Deliverable;
use super::hub::is_open;
use super::periods::elapsed;
use super::views::read_head;
use super::{
    ChainView, Contracts, Diverged, Failing, HubNews, HubView, Periods, Publication, RefundSearch,
    Retries, Routes, SettlementSource, Situation, Step, Suspicion, ViewError, call_of, next_steps,
    read_chain_view, revert_call,
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
    /// Set when the contracts and the archive differ for long enough to believe it. Nothing is sent from the first
    /// look on that shows it; until it is believed, `last_error` says it.
    pub diverged: Option<Diverged>,
    /// The last block that the chain paid to the end, as it was last read.
    pub paid: BlockNumber,
}

/// Why a round did nothing.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The chain's view could not be read.
    #[error(transparent)]
    Read(#[from] ViewError),
    /// The hub's could not.
    #[error("the hub: {0}")]
    Hub(ViewError),
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
            RoundError::Read(_) | RoundError::Hub(_) | RoundError::Diverged(_) => false,
        }
    }
}

/// Whether a step shall rest after this. An endpoint that answers everything but the estimate of
/// one heavy step must not stop the others; what befalls every transaction of the sender is no
/// fault of the step.
fn blames_step(error: &SendError) -> bool {
    match error {
        // Without coins no step can be sent. It counts all the same: the alarm of a refused step is what people see
        // of it.
        SendError::Reverted { .. } | SendError::Client(_) | SendError::NoCoins { .. } => true,
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
    /// The contracts of the chain.
    pub contracts: Contracts,
    /// Sends on the chain, with the validator's key.
    pub sender: Sender,
    /// What the hub says.
    pub hub: HubNews,
    /// The archive.
    pub source: Arc<dyn SettlementSource>,
    /// How messages come to the chain.
    pub routes: Routes,
    /// How data come to the hub.
    pub publication: Arc<dyn Publication>,
    /// Where steps are written down.
    pub report: Report,
    /// The most blocks in one question for events.
    pub max_log_range: u64,
    /// How often the chain is asked.
    pub periods: Periods,
}

/// What a settler remembers from round to round: nothing that a restart could lose.
#[derive(Debug)]
pub struct Memory {
    /// Which steps rest.
    pub retries: Retries,
    refunds: RefundSearch,
    suspicion: Suspicion,
    look: Option<Look>,
    /// The block that could not be read whole the last time.
    failed_at: Option<u64>,
    /// Whether this settler changed the hub since it heard of it.
    hub_changed: bool,
    /// When it looked last and found nothing to do; nothing while there is something.
    quiet_since: Option<Timestamp>,
}

impl Memory {
    /// Nothing yet.
    pub fn new(periods: Periods) -> Memory {
        Memory {
            retries: Retries::new(periods.poll_ms),
            refunds: RefundSearch::default(),
            suspicion: Suspicion::default(),
            look: None,
            failed_at: None,
            hub_changed: false,
            quiet_since: None,
        }
    }
}

/// What a chain said at one block.
#[derive(Clone, Debug)]
struct Look {
    head: Hash,
    view: ChainView,
    delivered: BTreeMap<ChainId, u64>,
    refunds: Vec<BlockNumber>,
}

impl Settler {
    /// Takes at most one step, and returns it. `now` is the clock of `memory`.
    ///
    /// # Errors
    /// [`RoundError`]; a step that failed rests in `memory`, so that the next round takes another.
    pub async fn round(
        &self,
        memory: &mut Memory,
        now: Timestamp,
        status: &watch::Sender<SettlementStatus>,
    ) -> Result<Option<Done>, RoundError> {
        memory.quiet_since = None;
        let hub = if memory.hub_changed { self.hub.fresh().await } else { self.hub.latest().await };
        let hub = hub.map_err(RoundError::Hub)?.view;
        memory.hub_changed = false;
        let Look { view, delivered, refunds, .. } = self.look(memory).await?;
        status.send_modify(|status| status.paid = view.paid);
        let mut deliverable = Vec::new();
        for (source, taken) in delivered {
            if let Some(route) = self.routes.get(&source) {
                deliverable.extend(route.ready(taken).await);
            }
        }
        let known = Known { view: &view, hub: &hub, deliverable: &deliverable, refunds: &refunds };
        let chosen = self.choose(&mut memory.retries, now, &known);
        match &chosen {
            Ok(_) => memory.suspicion.end(),
            Err(error) => memory.suspicion.saw(error.clone(), (view.height, hub.height), now),
        }
        let Some((step, call)) = chosen? else {
            let rests = !memory.retries.failing().is_empty();
            let quiet = !rests && !self.is_open(view.paid);
            memory.quiet_since = quiet.then_some(now);
            return Ok(None);
        };
        let call = match call {
            Some(call) => call,
            None => self.revert(&step, &view, memory, now).await?,
        };
        status.send_modify(|status| status.sending = Some(step.clone()));
        let sent = self.sender.send(call).await;
        status.send_modify(|status| status.sending = None);
        // Whatever became of it: what the hub said before may be over.
        memory.hub_changed = self.chain == self.hub_id;
        match sent {
            Ok(receipt) => {
                memory.retries.done(&step);
                Ok(Some(self.write_down(step, &receipt)))
            }
            Err(error) => {
                if blames_step(&error) {
                    memory.retries.failed(&step, error.to_string(), now);
                }
                Err(RoundError::Send { step, error })
            }
        }
    }

    /// The chain at its tip; what is known already when that has not changed.
    async fn look(&self, memory: &mut Memory) -> Result<Look, ViewError> {
        let client = &**self.sender.client();
        let contracts = self.contracts;
        let tip = read_head(client, memory.failed_at).await?;
        if let Some(look) = memory.look.as_ref().filter(|look| look.head == tip.hash) {
            return Ok(look.clone());
        }
        let height = tip.number;
        memory.failed_at = Some(height);
        let view = read_chain_view(client, contracts.rollup, height).await?;
        let mut delivered = BTreeMap::new();
        for (source, route) in &self.routes {
            delivered.insert(*source, route.taken(client, height).await?);
        }
        let source = &*self.source;
        let due = memory.refunds.due(client, contracts.rollup, source, self.chain, &view);
        let refunds = due.await?;
        let look = Look { head: tip.hash, view, delivered, refunds };
        (memory.look, memory.failed_at) = (Some(look.clone()), None);
        Ok(look)
    }

    /// Whether a sealed block is not at its end on this chain; the hub is also open while another chain waits for it.
    fn is_open(&self, paid: BlockNumber) -> bool {
        let of_chain = self.source.next_of_chain(self.chain, paid).is_some();
        let hub = || self.hub.seen().is_none_or(|tip| is_open(&tip.view, &*self.source));
        of_chain || (self.chain == self.hub_id && hub())
    }

    /// Whether the chain shall be asked now.
    pub fn is_due(&self, memory: &Memory, now: Timestamp) -> bool {
        let (Some(since), Some(look)) = (memory.quiet_since, &memory.look) else { return true };
        now >= since.after(self.periods.quiet_ms) || self.is_open(look.view.paid)
    }

    /// The transaction of a step that needs what only the chain knows.
    async fn revert(
        &self,
        step: &Step,
        view: &ChainView,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<Call, RoundError> {
        let (client, contracts) = (&**self.sender.client(), self.contracts);
        let call = revert_call(client, contracts, view, self.max_log_range).await;
        call.map_err(|error| {
            let error = error.to_string();
            memory.retries.failed(step, error.clone(), now);
            RoundError::NotFound { step: step.clone(), error }
        })
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
        let (routes, publication) = (&self.routes, &*self.publication);
        let situation =
            Situation { chain, hub_id, view, hub, deliverable, refunds, routes, publication };
        let steps = next_steps(&situation, &*self.source)?;
        // Each turn makes a step rest or ends the loop, so there are no more turns than steps.
        while let Some(step) = retries.choose(&steps, now) {
            if matches!(step, Step::RevertCommits(_)) {
                return Ok(Some((step, None)));
            }
            let contracts = self.contracts;
            if let Some(call) = call_of(&step, &situation, &*self.source, contracts) {
                return Ok(Some((step, Some(call))));
            }
            retries.failed(&step, "what it needs is not in the archive".to_owned(), now);
        }
        Ok(None)
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
    /// work, and after failures, it pauses. A step that is refused rests, while the others go on.
    pub async fn run(
        self,
        status: watch::Sender<SettlementStatus>,
        mut stop: watch::Receiver<bool>,
    ) {
        let start = tokio::time::Instant::now();
        let period = Duration::from_millis(self.periods.poll_ms);
        let mut memory = Memory::new(self.periods);
        loop {
            let at_once = tokio::select! {
                biased;
                // A transaction that is under way is found by the next start: the views say what it
                // did.
                stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
                at_once = self.beat(&mut memory, elapsed(start), &status) => at_once,
            };
            let failures = status.borrow().failures;
            if !at_once && rest(pause(period, failures), &mut stop).await {
                return;
            }
        }
    }

    /// Makes a round if it is time. To be called each [`Periods::poll_ms`]; returns whether the next one is due at
    /// once.
    pub async fn beat(
        &self,
        memory: &mut Memory,
        now: Timestamp,
        status: &watch::Sender<SettlementStatus>,
    ) -> bool {
        if !self.is_due(memory, now) {
            return false;
        }
        let round = self.round(memory, now, status).await;
        let at_once = match &round {
            Ok(done) => done.is_some(),
            Err(error) => error.is_of_step(),
        };
        self.tell(status, round.err(), memory);
        at_once
    }

    fn tell(
        &self,
        status: &watch::Sender<SettlementStatus>,
        error: Option<RoundError>,
        memory: &Memory,
    ) {
        if let Some(error) = &error {
            tracing::warn!(chain = %self.chain, %error, "no step was taken");
        }
        // A refused step is told among those that fail; it says nothing against the chain.
        let failed = error.filter(|error| !error.is_of_step());
        status.send_modify(|status| {
            status.failing = memory.retries.failing().to_vec();
            status.failures = failed.as_ref().map_or(0, |_| status.failures.saturating_add(1));
            status.last_error = failed.as_ref().map(ToString::to_string);
            status.diverged = memory.suspicion.believed().cloned();
        });
    }
}
