//! The hub as everybody in the process knows it: one reader asks it, all others hear what it said.
//!
//! Each chain's settler needs the hub's view, and so do the builder and the RPC. If each asked, the hub would get as
//! many questions as the square of the number of chains.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::{BlockNumber, ChainId};
use zklink::token::Address;
use zklink_chain::client::{ChainClient, Hash};
use zklink_mechanism::driver::pause;
use zklink_mechanism::timestamp::Timestamp;

use super::periods::elapsed;
use super::views::read_head;
use super::{HubView, Periods, SettlementSource, ViewError, read_hub_view};

/// The hub at one of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubTip {
    /// What its contract says there.
    pub view: HubView,
    /// The time of the block, Unix seconds.
    pub time: u64,
}

/// What the reader said last.
#[derive(Clone, Debug, Default)]
struct Told {
    tip: Option<HubTip>,
    /// What failed, if the last reading did.
    error: Option<ViewError>,
    /// Readings that were asked for before this one began.
    answers: u64,
}

/// Where the hub's state is heard. Clones hear the same reader.
#[derive(Clone, Debug)]
pub struct HubNews {
    told: watch::Receiver<Told>,
    asked: Arc<watch::Sender<u64>>,
}

impl HubNews {
    /// What was read last, however old; nothing before the first time.
    pub fn seen(&self) -> Option<HubTip> {
        self.told.borrow().tip.clone()
    }

    /// Waits until the hub was read once.
    pub async fn first(&mut self) {
        // Without a reader nobody waits for it any more.
        drop(self.told.wait_for(|told| told.tip.is_some()).await);
    }

    /// What was read last; waits for the first time, and for ever when the reader has ended: that is the end of the
    /// node, and no word about the hub.
    ///
    /// # Errors
    /// That of the last reading, if it failed.
    pub async fn latest(&self) -> Result<HubTip, ViewError> {
        self.heard(0).await
    }

    /// What is read after this call: for somebody who has just changed it. Waits as [`HubNews::latest`] does.
    ///
    /// # Errors
    /// That of the reading, if it failed.
    pub async fn fresh(&self) -> Result<HubTip, ViewError> {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked = asked.saturating_add(1);
            number = *asked;
        });
        self.heard(number).await
    }

    async fn heard(&self, number: u64) -> Result<HubTip, ViewError> {
        let mut told = self.told.clone();
        let whole =
            |told: &Told| told.answers >= number && (told.tip.is_some() || told.error.is_some());
        let Ok(told) = told.wait_for(whole).await else { return std::future::pending().await };
        match (&told.error, &told.tip) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(tip)) => Ok(tip.clone()),
            (None, None) => Err(ViewError::Empty),
        }
    }
}

/// Reads the hub for everybody.
pub struct HubReader {
    client: Arc<dyn ChainClient>,
    contract: Address,
    chains: Vec<ChainId>,
    source: Arc<dyn SettlementSource>,
    periods: Periods,
    told: watch::Sender<Told>,
    asked: watch::Receiver<u64>,
    /// The block that was read last.
    head: Option<Hash>,
    /// The block that could not be read whole the last time.
    failed_at: Option<u64>,
    /// When it was asked last.
    pub(super) asked_at: Option<Timestamp>,
    failures: u32,
}

impl HubReader {
    /// A reader of this contract, which serves these chains.
    pub fn new(
        client: Arc<dyn ChainClient>,
        contract: Address,
        chains: Vec<ChainId>,
        source: Arc<dyn SettlementSource>,
        periods: Periods,
    ) -> (HubReader, HubNews) {
        let (told, heard) = watch::channel(Told::default());
        let (asking, asked) = watch::channel(0);
        let (head, failed_at, asked_at, failures) = (None, None, None, 0);
        let reader = HubReader {
            client,
            contract,
            chains,
            source,
            periods,
            told,
            asked,
            head,
            failed_at,
            asked_at,
            failures,
        };
        (reader, HubNews { told: heard, asked: Arc::new(asking) })
    }

    /// Asks the hub if it is time. To be called each [`Periods::poll_ms`] and when somebody asked; it costs nothing
    /// while nothing is to be done on the hub.
    pub async fn beat(&mut self, now: Timestamp) {
        let answers = *self.asked.borrow_and_update();
        if !self.is_due(answers, now) {
            return;
        }
        self.asked_at = Some(now);
        let read = self.read().await;
        self.failures = if read.is_ok() { 0 } else { self.failures.saturating_add(1) };
        self.told.send_modify(|told| {
            told.answers = answers;
            match read {
                Ok(Some(tip)) => (told.tip, told.error) = (Some(tip), None),
                Ok(None) => told.error = None,
                Err(error) => {
                    tracing::debug!(%error, "the hub could not be read");
                    told.error = Some(error);
                }
            }
        });
    }

    fn is_due(&self, asked: u64, now: Timestamp) -> bool {
        let told = self.told.borrow();
        let Some(tip) = &told.tip else { return true };
        let quiet = self.asked_at.is_none_or(|at| now >= at.after(self.periods.quiet_ms));
        quiet || told.error.is_some() || asked > told.answers || is_open(&tip.view, &*self.source)
    }

    /// The hub at its tip; nothing when that is the block that was read last.
    async fn read(&mut self) -> Result<Option<HubTip>, ViewError> {
        let tip = read_head(&*self.client, self.failed_at).await?;
        if self.head == Some(tip.hash) {
            return Ok(None);
        }
        self.failed_at = Some(tip.number);
        let chains = self.chains.iter().copied();
        let view = read_hub_view(&*self.client, self.contract, chains, tip.number).await?;
        (self.head, self.failed_at) = (Some(tip.hash), None);
        Ok(Some(HubTip { view, time: tip.timestamp }))
    }

    /// Beats until `stop` becomes true or its sender is gone. After each time `heard` gets what is known, although it
    /// may be the same: whoever could not take it hears it again.
    pub async fn run(
        mut self,
        mut heard: impl FnMut(&HubTip) + Send,
        mut stop: watch::Receiver<bool>,
    ) {
        let start = tokio::time::Instant::now();
        let mut asked = self.asked.clone();
        let period = Duration::from_millis(self.periods.poll_ms);
        loop {
            asked.mark_unchanged();
            tokio::select! {
                biased;
                stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
                () = self.beat(elapsed(start)) => {}
            }
            if let Some(tip) = &self.told.borrow().tip {
                heard(tip);
            }
            // Whoever asks after a failure waits like all others: the hub shall not be asked more often then.
            let rest = tokio::time::sleep(pause(period, self.failures));
            let wanted = async {
                if self.failures > 0 || asked.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
                () = wanted => {}
                () = rest => {}
            }
        }
    }
}

/// Whether something is to be done on the hub: a sealed block is not released there, or a chain was not told.
pub(super) fn is_open(view: &HubView, source: &dyn SettlementSource) -> bool {
    let untold = view.releases.values().any(|(released, sent)| released > sent);
    let unread = |number: BlockNumber| number != source.sealed();
    untold || unread(view.released)
}
