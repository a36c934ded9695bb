//! Seats the machines and starts the drivers of a node, in the order in which they depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use zklink::amount::Amount;
use zklink::hash::Fr;
use zklink::id::{BlockNumber, ChainId, Serial, ShapeId, TokenId};
use zklink::token::Network;
use zklink_circuit::proving::ShapeKeys;
use zklink_circuit::witness::Witness;

use super::alarms::Bell;
use super::follow::{ArchivedBlocks, HubStages, NodePools, groth16_form};
use super::hub::HubFollower;
use super::{Alarms, ChainSetup, Health, Node, ReadAlarms, Setup, StartError, supervise};
use crate::archive::parity::ParityStore;
use crate::archive::{Archive, ArchiveReader};
use crate::attester::history::History;
use crate::attester::{AttestedChain, Attester, AttesterConfig, AttesterStatus};
use crate::builder::{Builder, ViewReader, fold};
use crate::chain::watcher::{ChainStatus, Outlets, WatchConfig, Watcher};
use crate::chain::{bookmark, driver as chain_driver, sender::Sender};
use crate::clock::{Clock, SystemClock, Tick};
use crate::deploy::{DeployedChain, Deployment};
use crate::events::{Event, Events};
use crate::feed::{self, Feed, Job, ProverId};
use crate::gateway::{About, Api, Gateway, Sources};
use crate::journal::Journal;
use crate::journal::disk::FileDisk;
use crate::journal::segment::SegmentLog;
use crate::merge_ledger::{ChainConfig, Config as MergeConfig, MergeLedger};
use crate::pool_history::PoolHistory;
use crate::port::Port;
use crate::settlement::book::{Attestation, AttestationBook, WhatNext};
use crate::settlement::driver::{Done, Report, SettlementStatus, Settler};
use crate::settlement::{Contracts, HubView, Step};
use crate::shell::{Address, Thread};
use crate::snapshot::{Base, Restored, SnapshotMaker, WitnessStart, maker, restore};
use crate::supervisor::crew::Crew;
use crate::supervisor::seat::Origin;
use crate::supervisor::{Config as SupervisorConfig, Fault, RetoldBy, Supervisor};
use crate::witness_maker::WitnessMaker;
use crate::{attester, builder, clock, prover, witness_maker};

/// Bytes after which the journal begins a new segment.
const SEGMENT_BYTES: u64 = 64 << 20;
/// How long the RPC stays closed for a hub that does not answer.
const HUB_PATIENCE: Duration = Duration::from_secs(5);
/// Messages that may wait before a machine.
const MAILBOX: usize = 1024;
/// How often it is kept how far the chains were read.
const BOOKMARK: Duration = Duration::from_secs(5);
/// How often machines are told that time has passed.
const TICK: Duration = Duration::from_millis(50);
/// Supervision: wait before a rebuild, the longest wait, failures in a window, the window.
const RESTARTS: SupervisorConfig = SupervisorConfig {
    backoff_first_ms: 100,
    backoff_max_ms: 10_000,
    failures_max: 5,
    window_ms: 60_000,
};

/// The bounds of the prover feed.
const FEED: feed::Config = feed::Config {
    jobs_max: 64,
    witness_bytes_max: 64 << 20,
    proof_bytes_max: 1024,
    provers_max: 64,
    lease_ms: 300_000,
    alive_ms: 60_000,
    strikes_max: 3,
    bar_ms: 600_000,
};

/// Name of the watcher of a chain.
fn watcher_name(chain: ChainId) -> String {
    format!("watcher-{chain}")
}

/// Name of the merge ledger of a token.
pub(super) fn ledger_name(token: TokenId) -> String {
    format!("merge-ledger-{token}")
}

/// What is there after the core was started.
struct Core {
    crew: Crew,
    clock: Arc<dyn Clock>,
    archive: ArchiveReader,
    keep: Port<crate::archive::Keep>,
    builder: Address<Builder>,
    view: ViewReader,
    ticks: Vec<Port<Tick>>,
    supervisor: Address<Supervisor>,
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
    let Settling { status: settlement, attesters, report, mut hub } =
        start_settlement(&setup, &mut core, &mut drivers, &events).await?;
    // The builder takes nothing before it has heard of the hub; a hub that is down must not keep readers out for long.
    if tokio::time::timeout(HUB_PATIENCE, hub.changed()).await.is_err() {
        tracing::warn!("the hub does not answer: nothing is executed until it does");
    }
    let stages = Arc::new(HubStages { hub, report: report.clone() });
    let gateway = start_gateway(&setup, &network, &core, proving, stages).await?;

    let ticks = clock::drive(core.ticks.clone(), TICK, drivers.stop.clone());
    drivers.start("clock".to_owned(), ticks);
    let crew = Arc::new(core.crew);
    let supervision = supervise(Arc::clone(&crew), core.supervisor.port());
    Ok(Node {
        crew,
        address: gateway.address(),
        gateway: Some(gateway),
        stop,
        drivers: drivers.tasks,
        supervision,
        request_stop: core.supervisor.port(),
        provers,
        events,
        health: Health { chains, settlement, attesters, report, discrepancies },
        view: core.view,
        archive: core.archive,
        tokens: network.tokens.keys().copied().collect(),
    })
}

/// Archive, journal and builder, with everything that the journal holds.
async fn start_core(
    setup: &Setup,
    network: &Arc<Network>,
) -> Result<(Core, WitnessStart, SnapshotMaker), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (mut crew, supervisor) = Crew::start(Arc::clone(&clock), Supervisor::new(RESTARTS)).await?;
    let data = &setup.data;
    std::fs::create_dir_all(data)
        .map_err(|source| StartError::Folder { path: data.clone(), source })?;
    let disk = FileDisk::open(&data.join("journal"))?;
    let identity = setup.deployment.deployment_id.0;
    let (mut log, opened) = SegmentLog::open(disk, &identity, SEGMENT_BYTES)?;
    if let Some(cut) = &opened.cut {
        tracing::warn!(?cut, "the last write was torn and is cut off; nobody was told of it");
    }
    let store = Arc::new(ParityStore::open(&data.join("archive"))?);
    let meaning = Box::new(|record: &crate::journal::Record| fold::fold(&record.payload));
    let (archive, caught_up) = Archive::open(store, meaning, &mut log)?;
    tracing::info!(records = opened.records, caught_up, "journal and archive are open");
    let reader = archive.reader();
    let archive = crew.seat(&Thread::start(), "archive", MAILBOX, Origin::Once(archive)).await?;

    let shapes: Vec<ShapeId> = setup.deployment.shapes.iter().map(|shape| shape.id).collect();
    let config = builder::Config {
        block_age_max_ms: setup.block_max_age_ms,
        pace: Some(setup.terms.pace),
        ..builder::Config::default()
    };
    let base = Base { network: Arc::clone(network), shapes, genesis: setup.genesis.clone() };
    let restored = restore(&base, config, setup.snapshot_records, &reader, &mut log)?;
    let Restored { builder: mut machine, witness, snapshots, from, replayed } = restored;
    tracing::info!(snapshot = ?from, replayed, "the state is read");
    let journal = Journal::new(log, archive.port());
    let journal =
        crew.seat(&Thread::start(), "journal", 4 * MAILBOX, Origin::Once(journal)).await?;
    machine.connect(journal.port());
    machine.ask_fees(setup.terms.fees.clone());

    let view = machine.reader();
    let builder =
        crew.seat(&Thread::start(), "builder", 4 * MAILBOX, Origin::Once(machine)).await?;
    let ticks = vec![builder.port()];
    let keep = archive.port();
    let archive = reader;
    let core = Core { crew, clock, archive, keep, builder, view, ticks, supervisor };
    Ok((core, witness, snapshots))
}

/// The prover feed, the witness maker, and the provers of this process.
async fn start_proving(
    setup: &Setup,
    core: &mut Core,
    drivers: &mut Drivers,
    events: &Events,
    maker: WitnessMaker,
) -> Result<(Port<feed::ReadProgress>, prover::Ports), StartError> {
    let (keys, keep) = (Arc::clone(&setup.keys), core.keep.clone());
    let origin = Origin::rebuilt(move || {
        let keys = Arc::clone(&keys);
        let check = Box::new(move |job: &Job, proof: &[u8]| check_proof(&keys, job, proof));
        Ok(Feed::new(FEED, check, keep.clone()))
    });
    let feed = core.crew.seat(&Thread::start(), "feed", MAILBOX, origin).await?;
    core.ticks.push(feed.port());

    let (port, heard, stop) = (feed.port(), events.clone(), drivers.stop.clone());
    let supervisor: Port<Fault> = core.supervisor.port();
    drivers.start("witness-maker".to_owned(), async move {
        if let Err(error) = witness_maker::drive(maker, port, heard, stop).await {
            let (machine, reason) = ("witness-maker".to_owned(), error.to_string());
            drop(supervisor.tell(Fault { machine, reason, fatal: true }));
        }
    });
    let ports = prover::Ports { lease: feed.port(), submit: feed.port() };
    for number in 0..setup.provers {
        let name = ProverId::new(&format!("local-{number}")).expect("a plain name");
        let (keys, ports) = (Arc::clone(&setup.keys), ports.clone());
        let driver = prover::drive(name.clone(), keys, ports, events.clone(), drivers.stop.clone());
        drivers.start(format!("prover {name}"), driver);
    }
    Ok((feed.port(), ports))
}

/// Whether a proof proves the statement of its job: the public inputs come from the job's own witness.
fn check_proof(keys: &ShapeKeys, job: &Job, proof: &[u8]) -> Result<(), String> {
    let shape = zklink::shape::shape(job.shape).ok_or("an unknown shape")?;
    let witness = Witness::decode(&job.witness, shape).map_err(|error| error.to_string())?;
    let inputs: [Fr; 4] = witness.public.public_inputs();
    keys.check(job.shape, &inputs, proof).map_err(|error| error.to_string())
}

type Ledgers = BTreeMap<TokenId, Address<MergeLedger>>;
type ChainHealth = BTreeMap<ChainId, watch::Receiver<Option<ChainStatus>>>;

/// For each token its merge ledger; and who knows what they hold back.
async fn start_ledgers(
    network: &Network,
    core: &mut Core,
    history: &PoolHistory,
) -> Result<(Ledgers, Port<ReadAlarms>), StartError> {
    let alarms = Origin::rebuilt(|| Ok(Alarms::default()));
    let alarms = core.crew.seat(&Thread::start(), "alarms", MAILBOX, alarms).await?;
    let thread = Thread::start();
    let mut ledgers = BTreeMap::new();
    for (id, token) in &network.tokens {
        let chains = token
            .chains
            .iter()
            .map(|(chain, l1)| (*chain, ChainConfig { token: *l1, cap: Amount(1 << 120) }));
        let config = MergeConfig {
            token: *id,
            chains: chains.collect(),
            merge_cap: Amount(1 << 126),
            kept_max: MAILBOX,
        };
        let pools = NodePools { view: core.view.clone(), history: history.clone() };
        let (credit, alarm) = (core.builder.port(), Bell::new(alarms.port()));
        let rung = alarm.rung();
        let alarm = Port::new(alarm);
        let origin = Origin::rebuilt(move || {
            if rung.load(SeqCst) {
                return Err("it held deposits back, and a person must look first".to_owned());
            }
            Ok(MergeLedger::new(config.clone(), pools.clone(), credit.clone(), alarm.clone()))
        });
        let name = ledger_name(*id);
        let seat = core.crew.seat(&thread, &name, MAILBOX, origin).await?;
        // A ledger that was built anew knows no deposit: the watchers read them again.
        let sources = token.chains.keys().map(|chain| watcher_name(*chain)).collect();
        let retold: Port<RetoldBy> = core.supervisor.port();
        drop(retold.tell(RetoldBy { machine: name, sources }));
        core.ticks.push(seat.port());
        ledgers.insert(*id, seat);
    }
    Ok((ledgers, alarms.port()))
}

/// For each chain its watcher with a driver.
async fn start_watchers(
    setup: &Setup,
    core: &mut Core,
    drivers: &mut Drivers,
    ledgers: &Ledgers,
    events: &Events,
) -> Result<ChainHealth, StartError> {
    let mut health = BTreeMap::new();
    for chain in &setup.deployment.chains {
        let of_chain = &setup.chains[&chain.id];
        let tokens: Vec<TokenId> = chain.tokens.iter().map(|token| token.id).collect();
        let outlets = Outlets {
            deposits: tokens
                .iter()
                .map(|id| (*id, events.of_deposits(ledgers[id].port())))
                .collect(),
            readings: tokens.iter().map(|id| (*id, ledgers[id].port())).collect(),
            keys: core.builder.port(),
        };
        let config = watch_config(chain, of_chain, tokens);
        let (view, archive, id) = (core.view.clone(), core.archive.clone(), chain.id);
        let origin = Origin::rebuilt(move || {
            // First what was watched: the cursor, which only grows, is then not below it.
            let watched = archive.watched(id).unwrap_or_else(|error| {
                tracing::warn!(chain = %id, %error, "events are read from the beginning");
                None
            });
            let resume = view.read().state.cursor(id);
            let config = WatchConfig { resume, ..config.clone() };
            Ok(Watcher::new(config, outlets.clone(), watched))
        });
        let name = watcher_name(chain.id);
        let seat = core.crew.seat(&Thread::start(), &name, MAILBOX, origin).await?;
        let contract = chain_driver::Contract {
            rollup: chain.rollup,
            tokens: chain.tokens.iter().map(|token| (token.id, token.address)).collect(),
        };
        let (status, heard) = watch::channel(None);
        health.insert(chain.id, heard);
        let driver = chain_driver::run(
            Arc::clone(&of_chain.client),
            contract,
            seat.port(),
            seat.port(),
            status,
            Duration::from_millis(of_chain.poll_ms),
            drivers.stop.clone(),
        );
        drivers.start(format!("driver of {name}"), driver);
    }
    let stop = drivers.stop.clone();
    let (asked, keep) = (core.builder.port(), core.keep.clone());
    let bookmarks = bookmark::drive(health.clone(), asked, keep, BOOKMARK, stop);
    drivers.start("bookmarks".to_owned(), bookmarks);
    Ok(health)
}

fn watch_config(chain: &DeployedChain, setup: &ChainSetup, tokens: Vec<TokenId>) -> WatchConfig {
    WatchConfig {
        chain: chain.id,
        rollup: chain.rollup,
        first_block: chain.first_block,
        finality: setup.finality,
        max_range: setup.max_log_range,
        checkpoints: 256,
        poll_ms: setup.poll_ms,
        reading_ms: 10 * setup.poll_ms,
        held_max: MAILBOX,
        tokens,
        resume: Serial(0),
    }
}

type AttesterHealth = BTreeMap<(usize, ChainId), watch::Receiver<Option<AttesterStatus>>>;

/// What settlement shows to others.
struct Settling {
    status: BTreeMap<ChainId, watch::Receiver<SettlementStatus>>,
    attesters: AttesterHealth,
    report: Report,
    hub: watch::Receiver<HubView>,
}

/// The attestation book, the attesters of this process, and a settler for each chain.
async fn start_settlement(
    setup: &Setup,
    core: &mut Core,
    drivers: &mut Drivers,
    events: &Events,
) -> Result<Settling, StartError> {
    let deployment = &setup.deployment;
    let ids: BTreeSet<ChainId> = deployment.chains.iter().map(|chain| chain.id).collect();
    let attesters = deployment.attesters.iter().map(|address| address.0).collect();
    let threshold = usize::try_from(deployment.threshold).unwrap_or(usize::MAX);
    let (id, attesters): (_, BTreeSet<_>) = (deployment.deployment_id, attesters);
    // The attesters offer again what a chain has not taken, so a new book fills by itself.
    let origin = Origin::rebuilt(move || {
        Ok(AttestationBook::new(id, ids.clone(), attesters.clone(), threshold))
    });
    let book = core.crew.seat(&Thread::start(), "attestation-book", MAILBOX, origin).await?;
    let attestations: Port<Attestation> = book.port();
    let mut attesters = AttesterHealth::new();
    for (number, key) in setup.attesters.iter().enumerate() {
        let started = start_attester(setup, core, drivers, number, key, attestations.clone());
        attesters.extend(started.await?);
    }
    let heard = events.clone();
    let report = Report::with_listener(Arc::new(move |done: &Done| heard.tell(settled(done))));
    let source = Arc::new(ArchivedBlocks::new(core.archive.clone(), groth16_form));
    let contracts: BTreeMap<ChainId, Contracts> = deployment
        .chains
        .iter()
        .map(|chain| (chain.id, Contracts { rollup: chain.rollup, oracle: chain.oracle }))
        .collect();
    let hub_client = Arc::clone(&setup.chains[&deployment.hub].client);
    let mut health = BTreeMap::new();
    for chain in &deployment.chains {
        let of_chain = &setup.chains[&chain.id];
        let sender = Sender::new(
            Arc::clone(&of_chain.client),
            of_chain.sender_key.clone(),
            chain.evm_chain_id,
            of_chain.send.clone(),
        );
        let settler = Settler {
            chain: chain.id,
            hub_id: deployment.hub,
            contracts: contracts.clone(),
            sender,
            hub: Arc::clone(&hub_client),
            source: source.clone(),
            book: {
                let port: Port<WhatNext> = book.port();
                port
            },
            report: report.clone(),
        };
        let (status, status_heard) = watch::channel(SettlementStatus::default());
        health.insert(chain.id, status_heard);
        let period = Duration::from_millis(of_chain.poll_ms);
        let driver = settler.run(status, period, drivers.stop.clone());
        drivers.start(format!("settlement on chain {}", chain.id), driver);
    }
    let (view, view_heard) = watch::channel(HubView::default());
    let rollup = contracts[&deployment.hub].rollup;
    let chains: Vec<ChainId> = contracts.keys().copied().collect();
    let period = Duration::from_millis(setup.chains[&deployment.hub].poll_ms);
    let builder = core.builder.port();
    let follower = HubFollower { client: hub_client, rollup, chains, view, builder };
    drivers.start("hub follower".to_owned(), follower.run(period, drivers.stop.clone()));
    Ok(Settling { status: health, attesters, report, hub: view_heard })
}

fn settled(done: &Done) -> Event {
    let (step, number): (&str, Option<BlockNumber>) = match &done.step {
        Step::CommitBlock(number) => ("commitBlock", Some(*number)),
        Step::Commit(number) => ("commit", Some(*number)),
        Step::Ack(number) => ("ack", Some(*number)),
        Step::ProveBlock(number) => ("proveBlock", Some(*number)),
        Step::ReleaseBlock(number) => ("releaseBlock", Some(*number)),
        Step::Deliver { .. } => ("deliver", None),
        Step::Pay(number) => ("pay", Some(*number)),
        Step::RevertCommits(number) => ("revertCommits", Some(*number)),
    };
    Event::Settled {
        chain: done.chain,
        step: step.to_owned(),
        number,
        hash: done.tx_hash,
        gas: done.gas_used,
        success: true,
    }
}

async fn start_attester(
    setup: &Setup,
    core: &mut Core,
    drivers: &mut Drivers,
    number: usize,
    key: &crate::chain::account::EthKey,
    book: Port<Attestation>,
) -> Result<AttesterHealth, StartError> {
    let (config, key) = (attester_config(setup), key.clone());
    let path = setup.data.join(format!("attester-{number}.history"));
    // A history that cannot be opened is reported here; later it stops the node by and by.
    drop(open_history(&path)?);
    let origin = Origin::rebuilt(move || {
        let history = History::open(&path).map_err(|error| error.to_string())?;
        Ok(Attester::new(config.clone(), key.clone(), history, book.clone()))
    });
    let name = format!("attester-{number}");
    let seat = core.crew.seat(&Thread::start(), &name, MAILBOX, origin).await?;
    let mut health = AttesterHealth::new();
    for chain in &setup.deployment.chains {
        let of_chain = &setup.chains[&chain.id];
        let others = setup.deployment.chains.iter().map(|other| other.id);
        let hub = setup.deployment.hub;
        let partners = others
            .filter(|other| *other != chain.id && [*other, chain.id].contains(&hub))
            .collect();
        // A signature releases tokens elsewhere, so it never rests on one endpoint where there are two.
        let client = of_chain.client.strict().unwrap_or_else(|| Arc::clone(&of_chain.client));
        let line =
            attester::driver::Line { chain: chain.id, client, oracle: chain.oracle, partners };
        let (status, heard) = watch::channel(None);
        health.insert((number, chain.id), heard);
        let driver = attester::driver::run(
            line,
            seat.port(),
            seat.port(),
            status,
            Duration::from_millis(of_chain.poll_ms),
            drivers.stop.clone(),
        );
        drivers.start(format!("{name} on chain {}", chain.id), driver);
    }
    Ok(health)
}

fn open_history(path: &Path) -> Result<History, StartError> {
    History::open(path).map_err(|error| StartError::Setup(error.to_string()))
}

fn attester_config(setup: &Setup) -> AttesterConfig {
    let Deployment { deployment_id, chains, .. } = &setup.deployment;
    let chains = chains.iter().map(|chain| {
        let of_chain = &setup.chains[&chain.id];
        let attested = AttestedChain {
            oracle: chain.oracle,
            first_block: chain.first_block,
            finality: of_chain.finality,
            max_range: of_chain.max_log_range,
            checkpoints: 256,
            poll_ms: of_chain.poll_ms,
        };
        (chain.id, attested)
    });
    AttesterConfig { deployment: *deployment_id, chains: chains.collect(), offer_ms: 1_000 }
}

async fn start_gateway(
    setup: &Setup,
    network: &Arc<Network>,
    core: &Core,
    proving: Port<feed::ReadProgress>,
    stages: Arc<HubStages>,
) -> Result<Gateway, StartError> {
    let sources = Sources {
        view: core.view.clone(),
        archive: core.archive.clone(),
        submit: core.builder.port(),
        proving: Some(proving),
        stages,
        faucet: setup.faucet.clone(),
    };
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
