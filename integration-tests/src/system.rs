//! The system: a node in the World, on simulated chains, with users and an auditor.

mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zklink::id::ChainId;
use zklink_mechanism::platform::Reach;
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::world::{Seed, Verdict, World, WorldHost};
use zklink_node::builder::{self, ViewReader};
use zklink_node::node::RESTARTS;
use zklink_node::node::wiring::{Wired, wire};
use zklink_settlement::driver::{Done, Report};
use zklink_store::archive::ArchiveReader;
use zklink_store::journal::segment::SegmentLog;
use zklink_store::simulation::SimDisk;
use zklink_store::simulation::SimStore;

use crate::auditor::Auditor;
use crate::network::{self, DEPLOYMENT, User};
use crate::requests::{NodeAccess, Requests};
use crate::simulated::{
    Character, SimulatedChain, SimulatedChainHandle, SimulatedEndpoint, Verifier,
};

/// Endpoints of each chain: the node pairs the first two, each attester has its own.
pub const ENDPOINTS: usize = 3;
/// How often outsiders look whether they have something to do, virtual milliseconds.
const BEAT_MS: u64 = 10;
/// Bytes after which the journal begins a new segment: few, so that restarts meet several.
const SEGMENT_BYTES: u64 = 16 << 10;

/// Somebody who does not belong to the node.
pub trait Outsider: Send + 'static {
    /// Does the next bit of work, if there is one; never waits.
    fn beat(&mut self, now: Timestamp);
}

/// The node that runs.
struct Life {
    host: WorldHost,
    node: Wired<WorldHost>,
}

type Faults = Arc<Mutex<Vec<String>>>;

/// What a system is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything that looks like chance follows from it.
    pub seed: u64,
    /// How far the final block of a chain lies below its tip.
    pub lag: u64,
    /// The time between blocks of a chain, virtual milliseconds.
    pub block_ms: u64,
    /// How often chains are asked, virtual milliseconds.
    pub poll_ms: u64,
    /// The builder's bounds.
    pub builder: builder::Config,
    /// Records between two snapshots of the state.
    pub snapshot_records: u64,
    /// Messages that may wait before the journal and the builder.
    pub mailbox: usize,
    /// The provers.
    pub provers: Vec<Character>,
    /// Whether a proof is believed by the hub.
    pub verifier: Verifier,
    /// Everybody with a wallet.
    pub users: Vec<User>,
}

impl Config {
    /// A small and quick system.
    pub fn new(seed: u64) -> Config {
        let names = ["alice", "bob", "carol", "dave", "erin"];
        Config {
            seed,
            lag: 3,
            block_ms: 1_000,
            poll_ms: 250,
            builder: builder::Config {
                block_age_max_ms: 700,
                pace: Some(builder::PaceLimits::default()),
                ..builder::Config::default()
            },
            // Few, so that a node that dies in a short story starts from one.
            snapshot_records: 8,
            mailbox: 1024,
            provers: vec![Character::Honest(300)],
            verifier: Verifier::simulated(),
            users: names.map(User::new).into(),
        }
    }
}

/// See the module.
pub struct System {
    /// Time, mailboxes, the log of events.
    pub world: World,
    /// What it is made of.
    pub config: Config,
    /// The chains.
    pub chains: BTreeMap<ChainId, SimulatedChainHandle>,
    /// Their endpoints.
    pub endpoints: BTreeMap<ChainId, Vec<SimulatedEndpoint>>,
    /// The journal's disk.
    pub disk: SimDisk,
    /// The archive's store.
    pub store: SimStore,
    /// What users sent.
    pub requests: Requests,
    /// What crashes draw from.
    pub chance: Seed,
    report: Report,
    refused: Mutex<BTreeSet<(ChainId, String)>>,
    auditor: Arc<Mutex<Auditor>>,
    faults: Faults,
    executed: Arc<Mutex<Option<ViewReader>>>,
    life: Option<Life>,
    story: Vec<String>,
}

impl System {
    /// Chains and users, and a node that has just started.
    pub fn start(config: Config) -> System {
        let mut system = System::without_node(config);
        system.restart().expect("an empty journal can be opened");
        system
    }

    /// Chains and users only.
    pub fn without_node(config: Config) -> System {
        let world = World::new(config.seed, RESTARTS);
        let mut delays = Seed(config.seed ^ 0xde7a);
        let store = SimStore::new();
        let mut chains = BTreeMap::new();
        let mut endpoints = BTreeMap::new();
        for (id, chain) in &network::network().chains {
            let contracts = network::contracts(*id, &config.verifier, &config.users);
            let handle = SimulatedChainHandle::new(SimulatedChain::new(config.lag, contracts));
            let servers = (0..ENDPOINTS).map(|number| {
                let name = format!("simulated-{id}-{number}");
                let seed = Seed(delays.draw());
                SimulatedEndpoint::new(&name, handle.clone(), chain.evm_chain_id, seed)
            });
            endpoints.insert(*id, servers.collect());
            chains.insert(*id, handle);
        }
        let archive = ArchiveReader::new(Arc::new(store.clone()));
        let auditor = Arc::new(Mutex::new(Auditor::new(archive, chains.clone())));
        let system = System {
            world,
            chains,
            endpoints,
            disk: SimDisk::new(),
            store,
            requests: Requests::default(),
            chance: Seed(config.seed ^ 0x5eed),
            report: Report::default(),
            refused: Mutex::default(),
            auditor,
            faults: Faults::default(),
            executed: Arc::default(),
            life: None,
            story: Vec::new(),
            config,
        };
        system.start_outside();
        system
    }

    /// What does not depend on the node: miners, the auditor, users.
    fn start_outside(&self) {
        let (chains, auditor) = (self.chains.clone(), Arc::clone(&self.auditor));
        let faults = Arc::clone(&self.faults);
        self.world.every(self.config.block_ms, move |now| {
            for chain in chains.values() {
                chain.lock().mine(now);
                let checked = auditor.lock().unwrap_or_else(PoisonError::into_inner).check();
                if let Err(wrong) = checked {
                    faults.lock().unwrap_or_else(PoisonError::into_inner).push(wrong);
                }
            }
        });
        let requests = self.requests.clone();
        self.world.every(BEAT_MS, move |now| requests.beat(now));
        self.watch_cursors();
    }

    /// At every beat: no deposit is executed that the final part of its chain does not have.
    fn watch_cursors(&self) {
        let (chains, executed) = (self.chains.clone(), Arc::clone(&self.executed));
        let (faults, auditor) = (Arc::clone(&self.faults), self.shared_auditor());
        self.world.every(BEAT_MS, move |_| {
            let executed = executed.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(view) = &*executed else { return };
            let holds = auditor.lock().is_ok_and(|auditor| auditor.finality_holds);
            for (id, chain) in &chains {
                let cursor = view.read().state.cursor(*id).0;
                let queued = chain.lock().final_contracts().queue.len() as u64;
                if holds && cursor > queued {
                    let text =
                        format!("chain {id}: {cursor} deposits executed, {queued} are final");
                    faults.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                }
            }
        });
    }

    /// Adds somebody who does not belong to the node.
    pub fn outsider(&self, mut outsider: impl Outsider) {
        self.world.every(BEAT_MS, move |now| outsider.beat(now));
    }

    /// Lets every hundredth message be late, and with it all behind it in the same mailbox.
    pub fn delay_messages(&self) {
        let mut seed = Seed(self.config.seed ^ 0xde1a);
        self.world.filter(move |_| match seed.below(100) {
            0 => Verdict::Delay(seed.below(500)),
            _ => Verdict::Pass,
        });
    }

    /// The auditor.
    pub fn auditor(&self) -> MutexGuard<'_, Auditor> {
        self.auditor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The auditor, for actors.
    pub fn shared_auditor(&self) -> Arc<Mutex<Auditor>> {
        Arc::clone(&self.auditor)
    }

    /// A chain.
    pub fn chain(&self, id: ChainId) -> MutexGuard<'_, SimulatedChain> {
        self.chains[&id].lock()
    }

    /// The node that runs.
    pub fn node(&self) -> &Wired<WorldHost> {
        &self.life().node
    }

    fn life(&self) -> &Life {
        self.life.as_ref().expect("a node runs")
    }

    /// The machines that the supervisor builds again when they panic.
    pub fn followers(&self) -> Vec<String> {
        self.life().host.followers().to_vec()
    }

    /// The steps of settlement on all chains, over restarts.
    pub fn settled(&self) -> Vec<Done> {
        self.report.done()
    }

    /// Steps that a chain refused, each once.
    pub fn refused(&self) -> BTreeSet<(ChainId, String)> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes down what a test does, for the report of a failure.
    pub fn note(&mut self, text: impl Into<String>) {
        self.story.push(format!("{} {}", self.world.now(), text.into()));
    }

    /// The node dies: machines, drivers and unsynced bytes are gone, the store falls back to an earlier batch.
    pub fn crash(&mut self) {
        let Some(life) = self.life.take() else { return };
        self.requests.set_node(None);
        self.show(None);
        life.host.kill();
        self.disk.crash(&mut self.chance);
        let kept = self.chance.below_usize(self.store.batches() + 1);
        self.note(format!("crash; {kept} of {} batches are kept", self.store.batches()));
        self.store.lose_after(kept);
    }

    fn show(&self, view: Option<ViewReader>) {
        *self.executed.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// The node is started on another disk and store from now on.
    pub fn move_to(&mut self, disk: SimDisk, store: SimStore) {
        assert!(self.life.is_none(), "a node that runs does not move");
        self.note("moves to another disk");
        self.auditor().turn_to(ArchiveReader::new(Arc::new(store.clone())));
        (self.disk, self.store) = (disk, store);
    }

    /// A follower of the node panics.
    pub fn panic(&mut self, name: &str) {
        self.note(format!("{name} panics"));
        self.world.panic(name);
    }

    /// Starts a node on what disk and store hold.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn restart(&mut self) -> Result<(), String> {
        assert!(self.life.is_none(), "a node runs already");
        let opened = SegmentLog::open(self.disk.clone(), &DEPLOYMENT.0, SEGMENT_BYTES);
        let (log, _) = opened.map_err(|error| error.to_string())?;
        let mut host = WorldHost::new(&self.world, RESTARTS);
        let wired = self.world.at_once(wire(&mut host, Box::new(log), self.parts()));
        let node = wired.map_err(|error| {
            host.kill();
            error.to_string()
        })?;
        let (submit, view) = (node.builder.port(), node.view.clone());
        self.show(Some(view.clone()));
        self.requests.set_node(Some(NodeAccess { submit, view }));
        self.life = Some(Life { host, node });
        self.check_acknowledged();
        Ok(())
    }

    /// Everything that was acknowledged is there: called after every start.
    ///
    /// # Panics
    /// When something is missing.
    pub fn check_acknowledged(&self) {
        let node = self.node();
        for receipt in self.requests.accepted() {
            let place = node.archive_reader.transaction(&receipt.hash.0);
            let place = place.expect("the simulated store reads");
            if place.is_none() {
                self.fail(&format!("{} was acknowledged and is lost", receipt.hash));
            }
        }
        let (auditor, view) = (self.auditor(), node.view.read());
        if view.state.system.number < auditor.state().system.number {
            drop(view);
            self.fail("an archived block is lost");
        }
    }

    /// Whether a machine that owns truth fell, so that the node must be started again.
    pub fn has_fallen(&self) -> bool {
        self.life.as_ref().is_some_and(|Life { node, .. }| {
            let gone = [
                node.builder.inspect(|_| ()).is_none(),
                node.journal.inspect(|_| ()).is_none(),
                node.archive.inspect(|_| ()).is_none(),
            ];
            gone.contains(&true)
        })
    }

    /// Runs until something holds, and checks everything.
    ///
    /// # Panics
    /// When it does not hold in time, or the auditor found something.
    pub fn until(&mut self, what: &str, max_ms: u64, mut done: impl FnMut(&System) -> bool) {
        let limit = self.world.now().after(max_ms);
        while !done(self) {
            if self.world.now() >= limit {
                self.fail(&format!("not within {max_ms} virtual ms: {what}"));
            }
            self.world.run_for(100);
            self.check();
        }
    }

    /// Runs for a while, and checks everything.
    ///
    /// # Panics
    /// When the auditor found something.
    pub fn run_for(&mut self, ms: u64) {
        self.world.run_for(ms);
        self.check();
    }

    /// Nothing is wrong so far.
    ///
    /// # Panics
    /// When something is; the text has the seed and the last events.
    pub fn check(&self) {
        let found = self.faults.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
        if let Some(fault) = found {
            self.fail(&fault);
        }
        let Some(life) = &self.life else { return };
        let (fallen, stopped) = (life.host.faults(), life.host.stopped());
        if !fallen.is_empty() || stopped.is_some() {
            self.fail(&format!("machines or drivers fell: {fallen:?}; stopped: {stopped:?}"));
        }
        for (chain, status) in &life.node.health.settlement {
            let status = status.borrow();
            if let Some(diverged) = &status.diverged {
                self.fail(&format!("settlement of chain {chain}: {diverged}"));
            }
            let refused = status.failing.iter();
            let refused =
                refused.map(|failing| (*chain, format!("{}: {}", failing.step, failing.error)));
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).extend(refused);
        }
    }

    /// Fails the test with everything that helps to find out why.
    ///
    /// # Panics
    /// Always.
    pub fn fail(&self, what: &str) -> ! {
        let log = self.world.log();
        let lines: Vec<&str> = log.lines().collect();
        let mut text = format!("{what}\nseed {}\n", self.config.seed);
        for line in &self.story {
            let _ = writeln!(text, "  {line}");
        }
        for done in self.settled().iter().rev().take(20).rev() {
            let _ = writeln!(text, "  chain {}, block {}: {}", done.chain, done.block, done.step);
        }
        for (chain, refused) in self.refused() {
            let _ = writeln!(text, "  chain {chain} refused to {refused}");
        }
        for line in &lines[lines.len().saturating_sub(60)..] {
            let _ = writeln!(text, "    {line}");
        }
        panic!("{text}");
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // What a failing test leaves behind is gone with its process.
        if !std::thread::panicking() {
            self.world.end();
        }
    }
}
