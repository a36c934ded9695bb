//! How the node is doing, in one place: what each driver said last, and what of it is an alarm.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::{BlockNumber, ChainId};
use zklink_chain::client::ChainClient;
use zklink_client::AlarmView;
use zklink_mechanism::clock::Clock;
use zklink_mechanism::port::{Message, Port};
use zklink_prover::feed::ReadProgress;
use zklink_settlement::HubView;
use zklink_settlement::attester::AttesterStatus;
use zklink_settlement::driver::{Report, SettlementStatus};
use zklink_transport::{Presence, Role, Workers};

use super::ReadHeldBack;
use super::alarm::{Alarm, Bounds, Condition, Kind, Lasting};
use crate::watcher::ChainStatus;

/// How long a machine may take for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Refusals of one step in a row after which a person must look: some minutes' worth, since the pauses in between grow.
const REFUSALS: u32 = 10;

/// How the drivers are doing, for people and for tests.
#[derive(Clone)]
pub struct Health {
    /// The watcher of each chain.
    pub chains: BTreeMap<ChainId, watch::Receiver<Option<ChainStatus>>>,
    /// Settlement on each chain.
    pub settlement: BTreeMap<ChainId, watch::Receiver<SettlementStatus>>,
    /// Each attester of this process, on each chain.
    pub attesters: BTreeMap<(usize, ChainId), watch::Receiver<Option<AttesterStatus>>>,
    /// The steps that settlement took.
    pub report: Report,
    /// What a person must look at now. `docs/operations.md` says what to do.
    pub alarms: watch::Receiver<Vec<Alarm>>,
}

/// Where alarms come from.
pub(super) struct Watched {
    pub(super) health: Health,
    /// The clients of all chains.
    pub(super) clients: BTreeMap<ChainId, Arc<dyn ChainClient>>,
    /// What the merge ledgers hold back.
    pub(super) held_back: Port<ReadHeldBack>,
    /// The jobs of the provers.
    pub(super) proving: Port<ReadProgress>,
    /// The last sealed block.
    pub(super) sealed: Box<dyn Fn() -> BlockNumber + Send + Sync>,
    /// Provers, attesters and replicas with processes of their own.
    pub(super) workers: Workers,
    /// What is wrong with the room on the disk.
    pub(super) disk: watch::Receiver<Option<String>>,
    /// What the hub has.
    pub(super) hub: Box<dyn Fn() -> HubView + Send + Sync>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bounds: Bounds,
    /// The alarms for the RPC.
    pub(super) views: watch::Sender<Vec<AlarmView>>,
}

impl Watched {
    /// Looks each `period` until `stop` becomes true, and tells of the alarms when they change.
    pub(super) async fn run(
        self,
        alarms: watch::Sender<Vec<Alarm>>,
        period: Duration,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut lasting = Lasting::default();
        loop {
            let round = async {
                let conditions = self.conditions().await;
                let found = lasting.alarms(conditions, &self.bounds, self.clock.now());
                self.views.send_replace(found.iter().map(Alarm::view).collect());
                tell_changes(&alarms, found);
                tokio::time::sleep(period).await;
            };
            tokio::select! {
                biased;
                stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
                () = round => {}
            }
        }
    }

    /// What is so now and must not stay so.
    async fn conditions(&self) -> Vec<Condition> {
        let mut found = Vec::new();
        for discrepancy in asked(&self.held_back, ReadHeldBack).await.unwrap_or_default() {
            let text = discrepancy.to_string();
            found.push(of(Kind::HeldBack, Some(discrepancy.chain), text.clone(), text));
        }
        for (chain, status) in &self.health.chains {
            found.extend(of_chain(*chain, status.borrow().as_ref()));
        }
        for (chain, client) in &self.clients {
            found.extend(client.complaints().into_iter().map(|complaint| {
                let text = format!("{} {}", complaint.endpoint, complaint.fault);
                of(Kind::EndpointFails, Some(*chain), complaint.endpoint, text)
            }));
        }
        for (chain, status) in &self.health.settlement {
            found.extend(of_settlement(*chain, &status.borrow()));
        }
        for ((attester, chain), status) in &self.health.attesters {
            found.extend(of_attester(*attester, *chain, status.borrow().as_ref()));
        }
        found.extend(self.of_proofs().await);
        found.extend(of_hub((self.sealed)(), &(self.hub)()));
        found.extend(self.workers.presence().iter().filter_map(of_worker));
        let low = self.disk.borrow().clone();
        found.extend(low.map(|text| of(Kind::DiskLow, None, String::new(), text)));
        found
    }

    async fn of_proofs(&self) -> Option<Condition> {
        let progress = asked(&self.proving, ReadProgress).await?;
        let oldest = progress.jobs.iter().min_by_key(|job| job.block)?;
        let by =
            oldest.prover.as_ref().map_or("by nobody".to_owned(), |prover| format!("by {prover}"));
        let text = format!("block {} has no proof; it is worked on {by}", oldest.block);
        Some(of(Kind::ProofMissing, None, oldest.block.to_string(), text))
    }
}

/// Publishes the alarms, and logs those that are new. What was mended and comes back is told of again.
fn tell_changes(alarms: &watch::Sender<Vec<Alarm>>, found: Vec<Alarm>) {
    let is_known = |known: &[Alarm], alarm: &Alarm| {
        known.iter().any(|k| (k.kind, k.chain, k.since) == (alarm.kind, alarm.chain, alarm.since))
    };
    alarms.send_if_modified(|known| {
        for alarm in found.iter().filter(|alarm| !is_known(known, alarm)) {
            tracing::error!(%alarm, "alarm");
        }
        let changed = *known != found;
        *known = found;
        changed
    });
}

/// Asks a machine; nothing while it does not answer, which the supervisor reports.
async fn asked<M: Message>(port: &Port<M>, message: M) -> Option<M::Reply> {
    port.ask(message).ok()?.wait(PATIENCE).await.ok()
}

fn of(kind: Kind, chain: Option<ChainId>, subject: String, text: String) -> Condition {
    Condition { kind, chain, subject, text }
}

fn of_chain(chain: ChainId, status: Option<&ChainStatus>) -> Vec<Condition> {
    let of = |kind, subject: String, text| of(kind, Some(chain), subject, text);
    let Some(status) = status else {
        return vec![of(Kind::ChainUnread, String::new(), "it never answered".to_owned())];
    };
    if let Some(halt) = &status.halted {
        let text = format!("the watcher has halted: {halt}");
        return vec![of(Kind::WatcherHalted, halt.to_string(), text)];
    }
    let mut found = Vec::new();
    if let Some((halt, since)) = &status.doubt {
        let text = format!("it contradicts itself and is read again: {halt}");
        found.push(of(Kind::ChainInDoubt, since.to_string(), text));
    }
    let goal = status.goal.map_or("no block".to_owned(), |goal| format!("block {goal}"));
    let text = format!("its final part ends at {goal} and does not grow");
    found.push(of(Kind::ChainStandsStill, goal.clone(), text));
    let in_step = status.in_step.map(|time| time.to_string()).unwrap_or_default();
    let scanned =
        status.scanned.map_or("nothing".to_owned(), |to| format!("what is before block {to}"));
    let error = status.last_error.as_ref().filter(|_| status.failures > 0);
    let error = error.map(|error| format!(": {error}")).unwrap_or_default();
    found.push(of(
        Kind::ChainUnread,
        in_step,
        format!("{scanned} of it is read, its final part ends at {goal}{error}"),
    ));
    found
}

fn of_settlement(chain: ChainId, status: &SettlementStatus) -> Vec<Condition> {
    let of = |kind, subject: String, text| of(kind, Some(chain), subject, text);
    let mut found = Vec::new();
    if let Some(diverged) = &status.diverged {
        let text = format!("settlement has stopped: {diverged}");
        found.push(of(Kind::SettlementDiverged, diverged.to_string(), text));
    }
    for failing in status.failing.iter().filter(|failing| failing.failures >= REFUSALS) {
        let text = format!("cannot {}: {}", failing.step, failing.error);
        found.push(of(Kind::StepRefused, failing.step.to_string(), text));
    }
    if status.failures > 0 {
        let error = status.last_error.clone().unwrap_or_default();
        found.push(of(Kind::SettlementFails, String::new(), format!("nothing is sent: {error}")));
    }
    if let Some(step) = &status.sending {
        let text = format!("the transaction to {step} is not mined");
        found.push(of(Kind::TransactionStuck, step.to_string(), text));
    }
    found
}

fn of_attester(
    attester: usize,
    chain: ChainId,
    status: Option<&AttesterStatus>,
) -> Option<Condition> {
    let status = status?;
    if let Some(refusal) = &status.refusal {
        let text = format!("attester {attester} signs nothing more of it: {refusal}");
        return Some(of(Kind::AttesterStopped, Some(chain), attester.to_string(), text));
    }
    let error = status.last_error.as_ref().filter(|_| status.failures > 0)?;
    let text = format!("attester {attester} cannot read it: {error}");
    Some(of(Kind::AttesterFails, Some(chain), attester.to_string(), text))
}

/// Blocks that are sealed and not released, and how far they are; or blocks of the hub that are not here.
fn of_hub(sealed: BlockNumber, hub: &HubView) -> Option<Condition> {
    let HubView { committed, proven, released, .. } = hub;
    if *committed > sealed {
        let text = format!(
            "the hub has block {committed} and this node only {sealed}: its folder is an older copy, and it takes \
             nothing"
        );
        return Some(of(Kind::StoreBehind, None, String::new(), text));
    }
    let text = format!(
        "block {sealed} is sealed; the hub has {committed}, has proven {proven} and released {released}"
    );
    let subject = format!("{committed} {proven} {released}");
    (*released < sealed).then(|| of(Kind::SettlementStandsStill, None, subject, text))
}

fn of_worker(worker: &Presence) -> Option<Condition> {
    let Presence { name, role, processes } = worker;
    let who = format!("{} {name}", role.name());
    let (kind, text) = match processes {
        0 if *role == Role::Replica => {
            (Kind::WorkerAway, format!("{who} does not read the journal"))
        }
        0 => (Kind::WorkerAway, format!("{who} is not connected")),
        1 => return None,
        _ => (Kind::WorkerTwice, format!("{processes} processes show the token of {who}")),
    };
    Some(of(kind, None, name.clone(), text))
}

#[cfg(test)]
mod tests;
