//! Seats the machines of a node in the World and starts their drivers: the same machines in the same order as the node.

mod settlement;

use std::collections::BTreeMap;
use std::sync::Arc;

use zklink::amount::Amount;
use zklink::id::{BlockNumber, ChainId, Serial, TokenId};
use zklink::token::Address;
use zklink_chain::finality::Finality;
use zklink_chain::pair::Paired;
use zklink_mechanism::machine::Machine;
use zklink_mechanism::port::Port;
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::world::{MachineRef, World};
use zklink_node::builder::{Builder, ViewReader};
use zklink_node::merge_ledger::{ChainConfig, Config as MergeConfig, MergeLedger};
use zklink_node::node::follow::{ArchivedBlocks, NodePools};
use zklink_node::node::{HeldBack, rebuild};
use zklink_node::pool_history::PoolHistory;
use zklink_node::snapshot::{Base, Restored, SnapshotMaker, WitnessStart, restore};
use zklink_node::watcher::driver::Contract;
use zklink_node::watcher::{Outlets, WatchConfig, Watcher};
use zklink_node::witness_maker::WitnessMaker;
use zklink_node::witness_maker::unproven::Unproven;
use zklink_prover::feed::{self, Feed, ProverId};
use zklink_settlement::book::AttestationBook;
use zklink_store::archive::{Archive, ArchiveReader, Keep};
use zklink_store::fold;
use zklink_store::journal::Journal;
use zklink_store::journal::segment::SegmentLog;

use super::System;
use crate::drivers::hub::HubLoop;
use crate::drivers::prove::{ProverLoop, WitnessLoop, check_simulated_proof};
use crate::drivers::read::{ReadLoop, SharedStatus, WatcherReader};
use crate::drivers::start::{BookmarkLoop, SnapshotLoop};
use crate::drivers::{Running, start as start_driver};
use crate::network::{DEPLOYMENT, HUB, HUB_CONTRACT, genesis, network, recorder, shape_ids};

/// Bytes after which the journal begins a new segment: few, so that restarts meet several.
const SEGMENT_BYTES: u64 = 16 << 10;
/// Messages that may wait before a follower.
const FOLLOWER_MAILBOX: usize = 1024;
/// How often machines are told that time has passed, as in the node.
const TICK_MS: u64 = 50;
/// The bounds of the prover feed; leases are short, so that tests see them run out.
const FEED: feed::Config = feed::Config {
    jobs_max: 64,
    witness_bytes_max: 64 << 20,
    proof_bytes_max: 1024,
    provers_max: 64,
    lease_ms: 5_000,
    alive_ms: 10_000,
    strikes_max: 3,
    bar_ms: 30_000,
};

/// The machines of one life of a node.
pub struct Seated {
    /// Owns the state.
    pub builder: MachineRef<Builder>,
    /// Owns the truth.
    pub journal: MachineRef<Journal>,
    /// Writes the store.
    pub archive: MachineRef<Archive>,
    /// Has proofs made.
    pub feed: MachineRef<Feed>,
    /// Collects signatures.
    pub book: MachineRef<AttestationBook>,
    /// What a person must look at.
    pub alarms: MachineRef<HeldBack>,
    /// One for each token.
    pub ledgers: BTreeMap<TokenId, MachineRef<MergeLedger>>,
    /// One for each chain.
    pub watchers: BTreeMap<ChainId, MachineRef<Watcher>>,
    /// How the watchers are doing.
    pub health: BTreeMap<ChainId, SharedStatus>,
    /// The executed state.
    pub view: ViewReader,
    /// The archive, for reading.
    pub archive_reader: ArchiveReader,
    /// The block of the snapshot from which it started.
    pub started_from: Option<BlockNumber>,
    running: Running,
    names: Vec<String>,
}

impl Seated {
    /// Drops everything at once.
    pub(super) fn kill(&self, world: &World) {
        self.running.end();
        self.names.iter().for_each(|name| world.bury(name));
    }

    /// The machines that the supervisor builds again when they panic.
    pub fn followers(&self) -> Vec<String> {
        let owners = ["archive@", "journal@", "builder@", "alarms@"];
        let is_owner = |name: &&String| owners.iter().any(|owner| name.starts_with(owner));
        self.names.iter().filter(|name| !is_owner(name)).cloned().collect()
    }

    /// Whether a machine that owns truth is gone.
    pub(super) fn has_fallen(&self) -> bool {
        let gone = [
            self.builder.inspect(|_| ()).is_none(),
            self.journal.inspect(|_| ()).is_none(),
            self.archive.inspect(|_| ()).is_none(),
        ];
        gone.contains(&true)
    }
}

/// A node under construction.
struct Seating<'a> {
    system: &'a System,
    generation: u32,
    running: Running,
    names: Vec<String>,
}

impl Seating<'_> {
    /// The name of a machine in this life of the node.
    fn name(&self, name: &str) -> String {
        format!("{name}@{}", self.generation)
    }

    fn seat<A: Machine>(
        &mut self,
        name: &str,
        capacity: usize,
        origin: Origin<A>,
    ) -> MachineRef<A> {
        let name = self.name(name);
        let place = self.system.world.start(&name, capacity, origin);
        self.names.push(name);
        place
    }

    /// Seats a machine that owns truth.
    fn seat_owner<A: Machine>(&mut self, name: &str, machine: A) -> MachineRef<A> {
        self.seat(name, self.system.config.mailbox, Origin::Once(machine))
    }

    /// Seats a machine that is built again when it panics.
    fn seat_follower<A: Machine>(
        &mut self,
        name: &str,
        mut build: impl FnMut() -> A + Send + 'static,
    ) -> MachineRef<A> {
        self.seat(name, FOLLOWER_MAILBOX, Origin::rebuilt(move || Ok(build())))
    }

    fn tick(&self, port: Port<zklink_mechanism::clock::Tick>) {
        let running = self.running.clone();
        let mut port = Some(port);
        self.system.world.every(TICK_MS, move |_| {
            if !running.is_up() {
                port = None;
            }
            if let Some(port) = &port {
                drop(port.tell(zklink_mechanism::clock::Tick));
            }
        });
    }
}

/// Archive, journal and builder, with everything that the journal holds.
struct Core {
    archive: MachineRef<Archive>,
    journal: MachineRef<Journal>,
    builder: MachineRef<Builder>,
    reader: ArchiveReader,
    view: ViewReader,
    from: Option<BlockNumber>,
}

/// Starts a node on the system's disk and store.
///
/// # Errors
/// Why it does not start.
pub(super) fn start(system: &System, generation: u32) -> Result<Seated, String> {
    let (running, names) = (Running::yes(), Vec::new());
    let mut seating = Seating { system, generation, running, names };
    let (core, witness, snapshots) = start_core(&mut seating)?;
    let faults = Arc::clone(&system.faults);
    let snapshots = SnapshotLoop::new(snapshots, core.archive.port(), faults);
    start_driver(&system.world, &seating.running, snapshots);
    let pools = PoolHistory::default();
    let feed = start_proving(&mut seating, &core, witness, &pools);
    let alarms = seating.seat_owner("alarms", HeldBack::default());
    let ledgers = start_ledgers(&mut seating, &core, &pools, &alarms);
    let (watchers, health) = start_watchers(&mut seating, &core, &ledgers);
    let bookmarks = BookmarkLoop::new(health.clone(), core.builder.port(), core.archive.port());
    start_driver(&system.world, &seating.running, bookmarks);
    let book = settlement::start(&mut seating, &core.reader);
    follow_hub(&seating, &core);
    watch_cursors(&seating, core.view.clone());
    let Core { archive, journal, builder, reader, view, from, .. } = core;
    let Seating { running, names, .. } = seating;
    Ok(Seated {
        builder,
        journal,
        archive,
        feed,
        book,
        alarms,
        ledgers,
        watchers,
        health,
        view,
        archive_reader: reader,
        started_from: from,
        running,
        names,
    })
}

fn start_core(seating: &mut Seating<'_>) -> Result<(Core, WitnessStart, SnapshotMaker), String> {
    let System { disk, store, config, .. } = seating.system;
    let text = |error: &dyn std::error::Error| error.to_string();
    let opened = SegmentLog::open(disk.clone(), &DEPLOYMENT.0, SEGMENT_BYTES);
    let (mut log, _) = opened.map_err(|error| text(&error))?;
    let meaning = Box::new(|record: &zklink_store::journal::Record| fold::fold(&record.payload));
    let archive = Archive::open(Arc::new(store.clone()), meaning, &mut log);
    let (archive, _) = archive.map_err(|error| text(&error))?;
    let reader = archive.reader();
    let archive = seating.seat_owner("archive", archive);
    let base = Base { network: network(), shapes: shape_ids(), genesis: genesis() };
    let records = config.snapshot_records;
    let restored = restore(&base, config.builder, records, &reader, &mut log);
    let restored = restored.map_err(|error| text(&error))?;
    let Restored { builder: mut machine, witness, snapshots, from, .. } = restored;
    let journal = seating.seat_owner("journal", Journal::new(log, archive.port()));
    machine.connect(journal.port());
    let view = machine.reader();
    let builder = seating.seat_owner("builder", machine);
    seating.tick(builder.port());
    let core = Core { archive, journal, builder, reader, view, from };
    Ok((core, witness, snapshots))
}

fn start_proving(
    seating: &mut Seating<'_>,
    core: &Core,
    start: WitnessStart,
    pools: &PoolHistory,
) -> MachineRef<Feed> {
    let system = seating.system;
    let keep: Port<Keep> = core.archive.port();
    let build = move || Feed::new(FEED, Box::new(check_simulated_proof), keep.clone());
    let feed = seating.seat_follower("feed", build);
    seating.tick(feed.port());
    let maker = WitnessMaker::new(core.reader.clone(), start, pools.clone());
    let unproven = Unproven::new(core.reader.clone());
    let witness = WitnessLoop::new(maker, unproven, feed.port(), Arc::clone(&system.faults));
    start_driver(&system.world, &seating.running, witness);
    for (number, character) in system.config.provers.iter().enumerate() {
        let name = ProverId::new(&format!("simulated-{number}")).expect("a plain name");
        let verdicts = Arc::clone(&system.verdicts);
        let prover = ProverLoop::new(name, *character, feed.port(), feed.port(), verdicts);
        start_driver(&system.world, &seating.running, prover);
    }
    feed
}

fn start_ledgers(
    seating: &mut Seating<'_>,
    core: &Core,
    pools: &PoolHistory,
    alarms: &MachineRef<HeldBack>,
) -> BTreeMap<TokenId, MachineRef<MergeLedger>> {
    let mut ledgers = BTreeMap::new();
    for (id, token) in &network().tokens {
        let cap = Amount(1 << 120);
        let chains =
            token.chains.iter().map(|(chain, l1)| (*chain, ChainConfig { token: *l1, cap }));
        let config = MergeConfig {
            token: *id,
            chains: chains.collect(),
            merge_cap: Amount(1 << 126),
            kept_max: 1024,
        };
        let (view, archive) = (core.view.clone(), core.reader.clone());
        let pools = NodePools { view, history: pools.clone(), archive };
        let name = format!("merge-ledger-{id}");
        let (credit, alarm) = (core.builder.port(), alarms.port());
        let origin = rebuild::merge_ledger(config, pools, credit, alarm);
        let place = seating.seat(&name, FOLLOWER_MAILBOX, origin);
        let watchers = token.chains.keys().map(|chain| seating.name(&format!("watcher-{chain}")));
        seating.system.world.retold_by(seating.name(&name), watchers.collect());
        seating.tick(place.port());
        ledgers.insert(*id, place);
    }
    ledgers
}

type Watchers = (BTreeMap<ChainId, MachineRef<Watcher>>, BTreeMap<ChainId, SharedStatus>);

fn start_watchers(
    seating: &mut Seating<'_>,
    core: &Core,
    ledgers: &BTreeMap<TokenId, MachineRef<MergeLedger>>,
) -> Watchers {
    let system = seating.system;
    let (mut watchers, mut health) = (BTreeMap::new(), BTreeMap::new());
    for (id, chain) in &network().chains {
        let tokens: Vec<TokenId> = ledgers.keys().copied().collect();
        let outlets = Outlets {
            deposits: ledgers.iter().map(|(token, place)| (*token, place.port())).collect(),
            readings: ledgers.iter().map(|(token, place)| (*token, place.port())).collect(),
            keys: core.builder.port(),
        };
        let config = WatchConfig {
            chain: *id,
            rollup: chain.contract,
            recorder: recorder(*id),
            first_block: 1,
            finality: Finality::FINALIZED,
            max_range: 8,
            checkpoints: 256,
            poll_ms: system.config.poll_ms,
            reading_ms: 10 * system.config.poll_ms,
            held_max: 1024,
            tokens,
            resume: Serial(0),
        };
        let (view, archive) = (core.view.clone(), core.reader.clone());
        let origin = rebuild::watcher(config, outlets, view, archive);
        let place = seating.seat(&format!("watcher-{id}"), FOLLOWER_MAILBOX, origin);
        let endpoints = &system.endpoints[id];
        let (first, second) = (endpoints[0].clone(), endpoints[1].clone());
        let client = Arc::new(Paired::new(Arc::new(first), Arc::new(second), false));
        let contract = Contract { rollup: chain.contract, tokens: token_addresses(*id) };
        let status = SharedStatus::default();
        health.insert(*id, Arc::clone(&status));
        let reader = WatcherReader { client, contract, status };
        let period = system.config.poll_ms;
        let driver = ReadLoop::new(reader, place.port(), place.port(), period);
        start_driver(&system.world, &seating.running, driver);
        watchers.insert(*id, place);
    }
    (watchers, health)
}

/// How far settlement is, for the builder.
fn follow_hub(seating: &Seating<'_>, core: &Core) {
    let (system, network) = (seating.system, network());
    let follower = HubLoop {
        client: Arc::new(system.endpoints[&HUB][0].clone()),
        contract: HUB_CONTRACT,
        chains: network.chains.keys().copied().collect(),
        source: Arc::new(ArchivedBlocks::new(core.reader.clone(), |proof| Ok(proof.to_vec()))),
        builder: core.builder.port(),
        period_ms: system.config.poll_ms,
        due: Timestamp(0),
    };
    start_driver(&system.world, &seating.running, follower);
}

fn token_addresses(chain: ChainId) -> BTreeMap<TokenId, Address> {
    let network = network();
    let tokens = network.tokens.iter();
    tokens.filter_map(|(id, token)| Some((*id, token.chains.get(&chain)?.address))).collect()
}

/// At every beat: no deposit is executed that the final part of its chain does not have.
fn watch_cursors(seating: &Seating<'_>, view: ViewReader) {
    let (chains, running) = (seating.system.chains.clone(), seating.running.clone());
    let (faults, auditor) = (Arc::clone(&seating.system.faults), seating.system.shared_auditor());
    let mut view = Some(view);
    seating.system.world.every(crate::drivers::BEAT_MS, move |_| {
        if !running.is_up() {
            view = None;
        }
        let Some(view) = &view else { return };
        let holds = auditor.lock().is_ok_and(|auditor| auditor.finality_holds);
        for (id, chain) in &chains {
            let cursor = view.read().state.cursor(*id).0;
            let queued = chain.lock().final_contracts().queue.len() as u64;
            if holds && cursor > queued {
                let text = format!("chain {id}: {cursor} deposits executed, {queued} are final");
                faults.lock().expect("no holder panics").push(text);
            }
        }
    });
}
