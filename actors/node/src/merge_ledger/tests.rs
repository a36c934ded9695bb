//! A merge ledger in front of a builder, in the World.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use zklink::id::{Owner, SubAccountId};
use zklink_mechanism::platform::Reach;
use zklink_mechanism::port::{Deliver, Envelope};
use zklink_mechanism::probe::Sink;
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::supervisor;
use zklink_mechanism::world::{MachineRef, Verdict, World};
use zklink_store::journal::segment::{SEGMENT_BYTES, SegmentLog};
use zklink_store::journal::{Durable, Journal};
use zklink_store::simulation::SimDisk;

use super::*;
use crate::builder::fixture::{HUB, SPOKE, UNIT, USD, deposit, ledger, network};
use crate::builder::{Builder, HubProgress, ViewReader};

/// Pools of the builder's view, and those of blocks as the test says.
#[derive(Clone, Default)]
struct TestPools {
    view: Option<ViewReader>,
    after: Arc<Mutex<BTreeMap<BlockNumber, Amount>>>,
}

impl Pools for TestPools {
    fn executed(&self, chain: ChainId, token: TokenId) -> (Amount, Serial) {
        let Some(view) = &self.view else { return Default::default() };
        let view = view.read();
        (view.state.pool(chain, token), view.state.cursor(chain))
    }

    fn after(&self, _: ChainId, _: TokenId, block: BlockNumber) -> Option<Amount> {
        self.after.lock().unwrap().get(&block).copied()
    }
}

fn config() -> Config {
    let network = network();
    let chain = |(chain, token): (&ChainId, &L1Token)| {
        (*chain, ChainConfig { token: *token, cap: Amount(1_000 * UNIT) })
    };
    Config {
        token: USD,
        chains: network.tokens[&USD].chains.iter().map(chain).collect(),
        merge_cap: Amount(1_500 * UNIT),
        kept_max: 8,
    }
}

struct Scene {
    world: World,
    builder: Port<Credit>,
    hub: Port<HubProgress>,
    ledger: MachineRef<MergeLedger>,
    view: ViewReader,
    pools: TestPools,
    reports: MachineRef<Sink<Discrepancy>>,
}

fn scene(config: Config) -> Scene {
    scene_with(config, None)
}

fn scene_with(config: Config, pace: Option<crate::builder::PaceLimits>) -> Scene {
    let limits = supervisor::Config {
        backoff_first_ms: 10,
        backoff_max_ms: 100,
        failures_max: 3,
        window_ms: 1_000,
    };
    let world = World::new(5, limits);
    let opened = SegmentLog::open(SimDisk::new(), b"test", SEGMENT_BYTES);
    let (log, _) = opened.expect("an empty disk");
    let archive = world.start("archive", 1_024, Origin::Once(Sink::<Durable>(Vec::new())));
    let journal = Journal::new(Box::new(log), archive.port());
    let journal = world.start("journal", 1_024, Origin::Once(journal));
    let of_builder = crate::builder::Config { pace, ..Default::default() };
    let builder = Builder::new(of_builder, ledger(), journal.port());
    let view = builder.reader();
    let builder = world.start("builder", 1_024, Origin::Once(builder));
    world.tick_every(50, builder.port());
    let reports = world.start("reports", 64, Origin::Once(Sink::<Discrepancy>(Vec::new())));
    let pools = TestPools { view: Some(view.clone()), ..TestPools::default() };
    let out = reports.port();
    let ledger = MergeLedger::new(config, pools.clone(), builder.port(), out);
    let ledger = world.start("merge ledger", 64, Origin::Once(ledger));
    world.tick_every(50, ledger.port());
    let hub = builder.port();
    Scene { world, builder: builder.port(), hub, ledger, view, pools, reports }
}

impl Scene {
    fn deposit(&self, deposit: FinalDeposit) {
        self.ledger.port().tell(DepositFinal(deposit)).expect("room");
        self.world.run_for(500);
    }

    fn read(&self, reading: Reading) {
        self.ledger.port().tell(reading).expect("room");
        self.world.run_for(500);
    }

    fn pool(&self, chain: ChainId) -> Amount {
        self.view.read().state.pool(chain, USD)
    }

    fn faults(&self) -> Vec<Fault> {
        let faults = |sink: &Sink<Discrepancy>| {
            sink.0.iter().map(|discrepancy| discrepancy.fault.clone()).collect()
        };
        self.reports.inspect(faults).expect("a sink does not fall")
    }
}

fn owner() -> Owner {
    Owner::from_evm([9; 20])
}

fn reading() -> Reading {
    // The hub's token has six decimals: 100 dollars are there, 10 promised, 20 in the queue.
    Reading {
        chain: HUB,
        token: USD,
        at_block: 77,
        balance: 100_000_000,
        locked: 100_000_000,
        pending: 10_000_000,
        unconsumed: 20_000_000,
        committed: BlockNumber(4),
    }
}

#[test]
fn deposits_of_two_chains_become_one_token() {
    let scene = scene(config());
    // The second of the hub's queue comes first.
    scene.deposit(deposit(HUB, 1, owner(), 2 * UNIT));
    assert_eq!(scene.pool(HUB), Amount::ZERO);
    scene.deposit(deposit(SPOKE, 0, owner(), 3 * UNIT));
    scene.deposit(deposit(HUB, 0, owner(), UNIT));
    scene.deposit(deposit(HUB, 0, owner(), UNIT));
    assert_eq!((scene.pool(HUB), scene.pool(SPOKE)), (Amount(3 * UNIT), Amount(3 * UNIT)));
    let state = scene.view.read().state.clone();
    let account = state.account_of(owner()).expect("it was made");
    assert_eq!(state.balance(account, zklink::id::SubAccountId(0), USD), Amount(6 * UNIT));
    let left = scene.ledger.inspect(|ledger| ledger.kept.len());
    assert_eq!(left, Some(0), "what was executed is not kept");
    assert_eq!(scene.faults(), []);
}

#[test]
fn caps_hold_back_the_deposit_that_breaks_them() {
    let scene = scene(config());
    scene.deposit(deposit(HUB, 0, owner(), 900 * UNIT));
    scene.deposit(deposit(HUB, 1, owner(), 101 * UNIT));
    assert_eq!(scene.pool(HUB), Amount(900 * UNIT));
    let cap = Amount(1_000 * UNIT);
    let fault = Fault::ChainCap { serial: Serial(1), pool: Amount(1_001 * UNIT), cap };
    assert_eq!(scene.faults(), std::slice::from_ref(&fault));
    scene.deposit(deposit(HUB, 2, owner(), UNIT));
    assert_eq!(scene.pool(HUB), Amount(900 * UNIT), "the chain stands still");
    scene.deposit(deposit(SPOKE, 0, owner(), 600 * UNIT));
    scene.deposit(deposit(SPOKE, 1, owner(), 400 * UNIT));
    assert_eq!(scene.pool(SPOKE), Amount(600 * UNIT), "exactly the cap of all chains");
    let cap = Amount(1_500 * UNIT);
    let merge = Fault::MergeCap { serial: Serial(1), supply: Amount(1_900 * UNIT), cap };
    assert_eq!(scene.faults(), [fault, merge]);
}

#[test]
fn deposits_that_cannot_be_are_reported() {
    let cases: [(FinalDeposit, Fault); 3] = [
        (FinalDeposit { chain: ChainId(3), ..deposit(HUB, 0, owner(), UNIT) }, Fault::Unregistered),
        (FinalDeposit { token: TokenId(2), ..deposit(HUB, 0, owner(), UNIT) }, Fault::Unregistered),
        (
            deposit(HUB, 0, owner(), UNIT + 1),
            Fault::Dust { serial: Serial(0), amount: Amount(UNIT + 1), decimals: 6 },
        ),
    ];
    for (deposit, fault) in cases {
        let scene = scene(config());
        scene.deposit(deposit);
        assert_eq!(scene.faults(), [fault]);
        assert_eq!(scene.view.read().state.accounts().count(), 2, "nobody was credited");
    }
}

#[test]
fn two_deposits_in_one_place_are_reported() {
    let scene = scene(config());
    scene.deposit(deposit(HUB, 5, owner(), UNIT));
    scene.deposit(deposit(HUB, 5, owner(), 2 * UNIT));
    assert_eq!(scene.faults(), [Fault::Conflict { serial: Serial(5) }]);
}

#[test]
fn what_the_builder_refuses_is_reported() {
    let scene = scene(config());
    // No contract of ours lets such a sub-account into its queue.
    let strange = FinalDeposit { sub_account: SubAccountId(32), ..deposit(HUB, 0, owner(), UNIT) };
    scene.deposit(strange);
    let faults = scene.faults();
    assert!(matches!(&faults[..], [Fault::Refused { serial: Serial(0), .. }]), "{faults:?}");
}

#[test]
fn a_deposit_that_cannot_be_credited_stops_nothing() {
    let scene = scene(config());
    scene.deposit(deposit(HUB, 0, Owner::NONE, UNIT));
    scene.deposit(deposit(HUB, 1, owner(), UNIT));
    assert_eq!(scene.faults(), []);
    assert_eq!(scene.pool(HUB), Amount(UNIT));
    assert_eq!(scene.view.read().state.cursor(HUB), Serial(2));
}

#[test]
fn a_contract_that_agrees_is_believed() {
    let scene = scene(config());
    scene.pools.after.lock().unwrap().insert(BlockNumber(4), Amount(70 * UNIT));
    scene.read(reading());
    scene.deposit(deposit(HUB, 0, owner(), UNIT));
    assert_eq!(scene.pool(HUB), Amount(UNIT));
    assert_eq!(scene.faults(), []);
    assert_eq!(scene.ledger.inspect(|ledger| ledger.reading(HUB).copied()), Some(Some(reading())));
}

#[test]
fn a_contract_that_disagrees_stops_its_chain() {
    let cases = [
        (
            Reading { balance: 99_999_999, ..reading() },
            Fault::Balance { at_block: 77, balance: 99_999_999, locked: 100_000_000 },
        ),
        (
            Reading { pending: 80_000_001, ..reading() },
            Fault::Books {
                at_block: 77,
                locked: 100_000_000,
                pending: 80_000_001,
                unconsumed: 20_000_000,
            },
        ),
        (
            Reading { unconsumed: 20_000_001, ..reading() },
            Fault::Pool {
                committed: BlockNumber(4),
                pool: Amount(70 * UNIT),
                free: Amount(69_999_999 * 10u128.pow(12)),
            },
        ),
        (Reading { token: TokenId(9), ..reading() }, Fault::Unregistered),
    ];
    for (reading, fault) in cases {
        let scene = scene(config());
        scene.pools.after.lock().unwrap().insert(BlockNumber(4), Amount(70 * UNIT));
        (0..4).for_each(|_| scene.read(reading));
        assert_eq!(scene.faults(), [fault], "reported once");
        scene.deposit(deposit(HUB, 0, owner(), UNIT));
        scene.deposit(deposit(SPOKE, 0, owner(), UNIT));
        assert_eq!(scene.pool(HUB), Amount::ZERO, "held back");
        assert_eq!(scene.pool(SPOKE), Amount(UNIT), "the other chain goes on");
    }
}

#[test]
fn one_reading_that_does_not_fit_holds_deposits_up_until_the_next_one_fits() {
    let scene = scene(config());
    let wrong = Reading { balance: 99_999_999, ..reading() };
    for round in 0..4 {
        scene.read(wrong);
        scene.read(wrong);
        scene.deposit(deposit(HUB, round, owner(), UNIT));
        scene.deposit(deposit(SPOKE, round, owner(), UNIT));
        let pools = [scene.pool(HUB), scene.pool(SPOKE)];
        let (held, goes_on) = (u128::from(round), u128::from(round) + 1);
        assert_eq!(pools, [Amount(held * UNIT), Amount(goes_on * UNIT)], "it waits");
        scene.read(reading());
        assert_eq!((scene.pool(HUB), scene.faults()), (Amount(goes_on * UNIT), vec![]));
    }
}

#[test]
fn a_quarantine_holds_also_what_waited_for_another_token() {
    let scene = scene(config());
    // The first of the queue is of another token, whose ledger is slow.
    scene.deposit(deposit(HUB, 1, owner(), UNIT));
    (0..3).for_each(|_| scene.read(Reading { balance: 99_999_999, ..reading() }));
    assert_eq!(scene.faults().len(), 1);
    let first = FinalDeposit { token: crate::builder::fixture::ETH, ..deposit(HUB, 0, owner(), 1) };
    let asked = scene.builder.ask(Credit(first)).expect("room");
    assert_eq!(scene.world.answer(asked, 1_000), Ok(Credited::Executed));
    scene.world.run_for(1_000);
    assert_eq!(scene.view.read().state.cursor(HUB), Serial(1));
    assert_eq!(scene.pool(HUB), Amount::ZERO, "its token is held back");
}

#[test]
fn deposits_that_waited_for_another_token_are_told_again_when_their_turn_has_come() {
    let scene = scene(config());
    for serial in [1, 2, 4] {
        scene.deposit(deposit(HUB, serial, owner(), UNIT));
    }
    let other = |serial| FinalDeposit {
        token: crate::builder::fixture::ETH,
        ..deposit(HUB, serial, owner(), 1)
    };
    for (serial, pool) in [(0, 2), (3, 3)] {
        let asked = scene.builder.ask(Credit(other(serial))).expect("room");
        assert_eq!(scene.world.answer(asked, 1_000), Ok(Credited::Executed));
        scene.world.run_for(200);
        assert_eq!(scene.pool(HUB), Amount(pool * UNIT));
    }
    assert_eq!(scene.faults(), []);
}

#[test]
fn deposits_that_wait_for_ever_hold_back_their_chain_only() {
    let scene = scene(Config { kept_max: 2, ..config() });
    // All wait for serial 0, which may belong to a token that is held back.
    for serial in 1..=2 {
        scene.deposit(deposit(HUB, serial, owner(), UNIT));
    }
    let other = || DepositFinal(deposit(SPOKE, 0, owner(), UNIT));
    assert!(matches!(scene.ledger.port().tell(other()), Err(Refused::Full(_))));
    scene.world.run_for(50_000);
    assert_eq!(scene.faults(), [], "it may still come");
    scene.world.run_for(15_000);
    let fault = Fault::Backlog { missing: Serial(0), waiting: 2 };
    assert_eq!(scene.faults(), [fault]);
    scene.deposit(other().0);
    assert_eq!(scene.pool(SPOKE), Amount(UNIT));
}

#[test]
fn a_builder_that_takes_nothing_is_waited_for_however_long() {
    let pace = Some(crate::builder::PaceLimits::default());
    let scene = scene_with(Config { kept_max: 2, ..config() }, pace);
    // The second waits for one of another ledger; but nothing at all is taken, because the hub is not known.
    for serial in [0, 2] {
        scene.deposit(deposit(HUB, serial, owner(), UNIT));
    }
    scene.world.run_for(3_600_000);
    assert_eq!((scene.faults(), scene.pool(HUB)), (vec![], Amount::ZERO));
    scene
        .hub
        .tell(HubProgress {
            committed: BlockNumber(0),
            proven: BlockNumber(0),
            time: 0,
            oldest: None,
        })
        .expect("room");
    scene.world.run_for(1_000);
    assert_eq!((scene.faults(), scene.pool(HUB)), (vec![], Amount(UNIT)));
}

#[test]
fn a_busy_builder_fills_the_ledger_and_then_empties_it() {
    let scene = scene(Config { kept_max: 2, ..config() });
    scene.world.filter(
        |delivery| {
            if delivery.to == "builder" { Verdict::Drop } else { Verdict::Pass }
        },
    );
    scene.deposit(deposit(HUB, 0, owner(), UNIT));
    scene.deposit(deposit(HUB, 1, owner(), UNIT));
    let more = || DepositFinal(deposit(HUB, 2, owner(), UNIT));
    assert!(matches!(scene.ledger.port().tell(more()), Err(Refused::Full(_))));
    scene.world.filter(|_| Verdict::Pass);
    scene.world.run_for(500);
    assert_eq!(scene.pool(HUB), Amount(2 * UNIT), "said again after it was lost");
    scene.deposit(more().0);
    assert_eq!(scene.pool(HUB), Amount(3 * UNIT));
}

/// A builder that misses a deposit before all that it is told of, or is full.
struct Misses(Arc<AtomicBool>);

impl Deliver<Credit> for Misses {
    fn deliver(&self, envelope: Envelope<Credit>) -> Result<(), Refused<Credit>> {
        if self.0.load(SeqCst) {
            return Err(Refused::Full(envelope.message));
        }
        envelope.reply.expect("it is asked").answer(Credited::Waiting);
        Ok(())
    }
}

/// Knows whether it was told of anything.
struct Heard(Arc<AtomicBool>);

impl Deliver<Discrepancy> for Heard {
    fn deliver(&self, _: Envelope<Discrepancy>) -> Result<(), Refused<Discrepancy>> {
        self.0.store(true, SeqCst);
        Ok(())
    }
}

/// A ledger of two deposits at most, whether its builder is full, and whether it has reported something.
fn alone() -> (MergeLedger, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (full, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let builder = Port::new(Misses(Arc::clone(&full)));
    let supervisor = Port::new(Heard(Arc::clone(&heard)));
    let config = Config { kept_max: 2, ..config() };
    (MergeLedger::new(config, TestPools::default(), builder, supervisor), full, heard)
}

#[test]
fn a_builder_that_is_full_is_waited_for_however_long() {
    let (mut ledger, full, _) = alone();
    for serial in 1..=2 {
        let told = DepositFinal(deposit(HUB, serial, owner(), UNIT));
        ledger.handle(told, &mut Turn::at(Timestamp(0)));
    }
    let mut run = |seconds: std::ops::Range<u64>| {
        (seconds.start * 20..seconds.end * 20)
            .for_each(|beat| ledger.idle(&mut Turn::at(Timestamp(beat * 50))));
        ledger.quarantined().len()
    };
    assert_eq!(run(1..40), 0);
    full.store(true, SeqCst);
    assert_eq!(run(40..400), 0, "what is not taken is no answer");
    full.store(false, SeqCst);
    assert_eq!(run(400..440), 0, "the time begins anew");
    assert_eq!(run(440..480), 1);
}

#[test]
fn a_quarantine_is_known_outside_before_the_ledger_can_fall() {
    let (mut ledger, _, heard) = alone();
    let stranger = DepositFinal(deposit(ChainId(200), 0, owner(), UNIT));
    ledger.handle(stranger, &mut Turn::at(Timestamp(0)));
    assert!(heard.load(SeqCst));
}
