//! Seats the machines and starts the drivers of a node, in the order in which they depend on each other.

pub(super) mod attesting;
mod core;
mod proving;
mod settling;
mod watching;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proving::start_proving;
use settling::{Settling, start_settlement};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use watching::{start_ledgers, start_watchers};
use zklink::id::{BlockNumber, TokenId};
use zklink::token::Network;
use zklink_client::AlarmView;
use zklink_mechanism::clock;
use zklink_mechanism::port::Port;
use zklink_mechanism::supervised::Fault;
use zklink_prover::{feed, prover};
use zklink_settlement::book::Attestation;
use zklink_transport::{Listener, Ports};

use self::core::{Core, start_core};
use super::follow::HubStages;
use super::health::Watched;
use super::{ChainSetup, Health, Node, STOP_LIMIT, Setup, StartError, supervise};
use crate::events::Events;
use crate::gateway::{About, Api, Gateway, Sources};
use crate::pool_history::PoolHistory;
use crate::snapshot::maker;
use crate::witness_maker::WitnessMaker;

/// How long the RPC stays closed for a hub that does not answer.
const HUB_PATIENCE: Duration = Duration::from_secs(5);
/// Messages that may wait before a machine.
const MAILBOX: usize = 1024;
/// How often alarms are looked for.
const ALARM_PERIOD: Duration = Duration::from_secs(5);
/// How often machines are told that time has passed.
const TICK: Duration = Duration::from_millis(50);

/// Name of the merge ledger of a token.
fn ledger_name(token: TokenId) -> String {
    format!("merge-ledger-{token}")
}

/// The drivers that were started.
struct Drivers {
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Receiver<bool>,
    faults: Port<Fault>,
}

/// Ends a driver together with the task that watches it.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drivers {
    /// Starts a driver. Its panic stops the node: a node that goes on without one would acknowledge what it cannot
    /// settle.
    fn start(&mut self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        let faults = self.faults.clone();
        let inner = tokio::spawn(task);
        let guard = AbortOnDrop(inner.abort_handle());
        self.tasks.push(tokio::spawn(async move {
            let ended = inner.await;
            drop(guard);
            if ended.is_err_and(|error| error.is_panic()) {
                let reason = "panicked".to_owned();
                drop(faults.tell(Fault { machine: name, reason, fatal: true }));
            }
        }));
    }
}

/// See [`Node::start`].
pub(super) async fn start(setup: Setup) -> Result<Node, StartError> {
    let network = Arc::new(setup.deployment.network());
    let (mut core, witness, snapshots) = start_core(&setup, &network).await?;
    let (stop, stopped) = watch::channel(false);
    let mut drivers = Drivers { tasks: Vec::new(), stop: stopped, faults: core.supervisor.port() };
    let events = Events::new();
    let history = PoolHistory::default();
    let snapshots = maker::drive(snapshots, core.keep.clone(), drivers.stop.clone());
    drivers.start("snapshot-maker".to_owned(), snapshots);
    let maker = WitnessMaker::new(core.archive.clone(), witness, history.clone());
    let (proving, provers) = start_proving(&setup, &mut core, &mut drivers, &events, maker).await?;
    let (ledgers, discrepancies) = start_ledgers(&network, &mut core, &history).await?;
    let chains = start_watchers(&setup, &mut core, &mut drivers, &ledgers, &events).await?;
    let Settling { status: settlement, attesters, attest, report, mut hub } =
        start_settlement(&setup, &mut core, &mut drivers, &events).await?;
    let workers = let_workers_in(&setup, &provers, attest, &events).await?;
    // The builder takes nothing before it has heard of the hub; a hub that is down must not keep readers out for long.
    if tokio::time::timeout(HUB_PATIENCE, hub.first()).await.is_err() {
        tracing::warn!("the hub does not answer: nothing is executed until it does");
    }
    let (hub_told, settled) = (hub.clone(), settlement.clone());
    let stages = HubStages { hub, settlement: settled, report: report.clone() };
    let (views, alarm_views) = watch::channel(Vec::new());
    let sources = sources(&setup, &core, proving.clone(), stages, alarm_views);
    let gateway = start_gateway(&setup, &network, &core, sources).await?;

    let (told, alarms) = watch::channel(Vec::new());
    let health = Health { chains, settlement, attesters, report, alarms };
    let (clients, view) = (setup.clients(), core.view.clone());
    let watched = Watched {
        health: health.clone(),
        clients,
        held_back: discrepancies,
        proving,
        sealed: Box::new(move || view.read().head.map_or(BlockNumber(0), |head| head.number)),
        hub: Box::new(move || hub_told.seen().map(|tip| tip.view).unwrap_or_default()),
        clock: Arc::clone(&core.clock),
        bounds: setup.alarms,
        views,
    };
    drivers.start("alarms".to_owned(), watched.run(told, ALARM_PERIOD, drivers.stop.clone()));
    let ticks = clock::drive(core.ticks.clone(), TICK, drivers.stop.clone());
    drivers.start("clock".to_owned(), ticks);
    let host = Arc::new(core.host);
    let supervision = supervise(Arc::clone(&host), core.supervisor.port());
    Ok(Node {
        host,
        address: gateway.address(),
        gateway: Some(gateway),
        workers,
        stop,
        drivers: drivers.tasks,
        supervision,
        request_stop: core.supervisor.port(),
        provers,
        events,
        health,
        view: core.view,
        archive: core.archive,
    })
}

/// The listener for provers and attesters of other processes.
async fn let_workers_in(
    setup: &Setup,
    provers: &prover::Ports,
    attest: Port<Attestation>,
    events: &Events,
) -> Result<Option<Listener>, StartError> {
    let Some((address, workers)) = setup.workers.clone() else { return Ok(None) };
    let (lease, submit) = (provers.lease.clone(), provers.submit.clone());
    let ports = Ports { lease, submit, attest, watching: events.of_provers() };
    let listening = Listener::start(address, workers, ports).await;
    listening.map(Some).map_err(|source| StartError::Listen { address, source })
}

fn sources(
    setup: &Setup,
    core: &Core,
    proving: Port<feed::ReadProgress>,
    stages: HubStages,
    alarms: watch::Receiver<Vec<AlarmView>>,
) -> Sources {
    Sources {
        view: core.view.clone(),
        archive: core.archive.clone(),
        submit: core.builder.port(),
        proving: Some(proving),
        stages: Arc::new(stages),
        alarms,
        faucet: setup.faucet.clone(),
    }
}

async fn start_gateway(
    setup: &Setup,
    network: &Arc<Network>,
    core: &Core,
    sources: Sources,
) -> Result<Gateway, StartError> {
    let about = About {
        network: Arc::clone(network),
        fees: setup.terms.fees.clone(),
        shapes: setup.deployment.shapes.iter().map(|shape| shape.id).collect(),
        confirmations: BTreeMap::new(),
        key_chain: setup.deployment.hub,
    };
    let api = Api::new(sources, about, setup.limits.request_timeout);
    let (address, limits) = (setup.rpc, setup.limits.clone());
    Gateway::start(address, limits, Arc::clone(&core.clock), api)
        .await
        .map_err(|source| StartError::Listen { address, source })
}
