use std::sync::Mutex;

use zklink::id::{Serial, TokenId};
use zklink_chain::client::{
    Answer, At, Call, Complaint, FeeMarket, Hash, Header, Log, LogQuery, Receipt,
};
use zklink_chain::testing::endpoint;
use zklink_mechanism::port::{Deliver, Envelope, Refused};
use zklink_mechanism::timestamp::Timestamp;
use zklink_prover::feed::{JobId, JobProgress, Progress};
use zklink_settlement::attester::Refusal;
use zklink_settlement::{Diverged, Failing, Step};

use super::*;
use crate::merge_ledger::{Discrepancy, Fault};
use crate::watcher::Halt;

const CHAIN: ChainId = ChainId(2);

/// Answers at once.
struct Answers<R>(R);

impl<M: Message> Deliver<M> for Answers<M::Reply>
where
    M::Reply: Clone + Sync,
{
    fn deliver(&self, envelope: Envelope<M>) -> Result<(), Refused<M>> {
        if let Some(reply) = envelope.reply {
            reply.answer(self.0.clone());
        }
        Ok(())
    }
}

/// A clock that a test moves.
#[derive(Default)]
struct Hand(Mutex<u64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.lock().unwrap())
    }
}

fn status() -> ChainStatus {
    ChainStatus {
        chain: CHAIN,
        goal: Some(40),
        scanned: Some(30),
        next: Serial(0),
        held: 0,
        last_contact: None,
        in_step: None,
        failures: 1,
        last_error: Some("429".into()),
        bad_keys: 0,
        doubt: None,
        halted: None,
        handed: None,
    }
}

/// A client that is only there to complain.
struct Complains(Arc<dyn ChainClient>);

macro_rules! same {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $kind),*) -> Answer<'_, $out> { self.0.$name($($arg),*) })*
    };
}

impl ChainClient for Complains {
    fn complaints(&self) -> Vec<Complaint> {
        vec![Complaint { endpoint: "host".into(), fault: "does not answer".into() }]
    }

    same! {
        chain_id() -> u64;
        header(at: At) -> Option<Header>;
        logs(query: LogQuery) -> Vec<Log>;
        call(call: Call, at: At) -> Vec<u8>;
        code(address: [u8; 20], at: At) -> Vec<u8>;
        balance(address: [u8; 20], at: At) -> u128;
        nonce(address: [u8; 20]) -> u64;
        estimate_gas(call: Call) -> u64;
        fee_market() -> FeeMarket;
        send_raw(raw: Vec<u8>) -> Hash;
        receipt(tx_hash: Hash) -> Option<Receipt>;
        input(tx_hash: Hash) -> Option<Vec<u8>>;
    }
}

struct Scene {
    clock: Arc<Hand>,
    chain: watch::Sender<Option<ChainStatus>>,
    settlement: watch::Sender<SettlementStatus>,
    attester: watch::Sender<Option<AttesterStatus>>,
    hub: watch::Sender<HubView>,
    disk: watch::Sender<Option<String>>,
    watched: Watched,
}

fn scene() -> Scene {
    let (chain, chains) = watch::channel(Some(status()));
    let (settlement, settled) = watch::channel(SettlementStatus::default());
    let (attester, attested) = watch::channel(None);
    let (hub, hub_heard) = watch::channel(HubView::default());
    let (_, alarms) = watch::channel(Vec::new());
    let clock = Arc::new(Hand::default());
    let fault = Fault::Balance { at_block: 7, balance: 1, locked: 2 };
    let held = vec![Discrepancy { chain: CHAIN, token: TokenId(17), fault }];
    let shape = zklink::id::ShapeId(1);
    let (job, block) = (JobId([1; 32]), BlockNumber(9));
    let job = JobProgress { job, block, shape, attempts: 1, prover: None, deadline: None };
    let progress = Progress { jobs: vec![job], proven: 0, provers: Vec::new() };
    let (disk, disk_heard) = watch::channel(None);
    let watched = Watched {
        health: Health {
            chains: [(CHAIN, chains)].into(),
            settlement: [(CHAIN, settled)].into(),
            attesters: [((1, CHAIN), attested)].into(),
            report: Report::default(),
            alarms,
        },
        clients: [(CHAIN, Arc::new(Complains(endpoint("http://127.0.0.1:9"))) as _)].into(),
        held_back: Port::new(Answers(held)),
        proving: Port::new(Answers(progress)),
        workers: Workers::default(),
        disk: disk_heard,
        sealed: Box::new(|| BlockNumber(9)),
        hub: Box::new(move || hub_heard.borrow().clone()),
        views: watch::Sender::default(),
        clock: Arc::clone(&clock) as _,
        bounds: Bounds::default(),
    };
    Scene { clock, chain, settlement, attester, hub, disk, watched }
}

impl Scene {
    async fn kinds(&self, lasting: &mut Lasting, seconds: u64) -> Vec<Kind> {
        *self.clock.0.lock().unwrap() = seconds * 1_000;
        let conditions = self.watched.conditions().await;
        let alarms = lasting.alarms(conditions, &self.watched.bounds, self.clock.now());
        alarms.iter().map(|alarm| alarm.kind).collect()
    }
}

#[tokio::test]
async fn what_stands_still_is_an_alarm_once_its_bound_is_over() {
    let (scene, mut lasting) = (scene(), Lasting::default());
    assert_eq!(scene.kinds(&mut lasting, 0).await, [Kind::HeldBack]);
    assert_eq!(scene.kinds(&mut lasting, 300).await, [Kind::HeldBack, Kind::EndpointFails]);
    let unread = [Kind::HeldBack, Kind::ChainUnread, Kind::EndpointFails];
    assert_eq!(scene.kinds(&mut lasting, 600).await, unread);
    // The chain is read on, but does not grow; the hub moves on.
    let read = ChainStatus { in_step: Some(Timestamp(600_000)), failures: 0, ..status() };
    scene.chain.send_replace(Some(read.clone()));
    scene.hub.send_modify(|hub| hub.committed = BlockNumber(9));
    assert_eq!(scene.kinds(&mut lasting, 601).await, [Kind::HeldBack, Kind::EndpointFails]);
    let found = scene.kinds(&mut lasting, 1_800).await;
    assert!(found.contains(&Kind::ChainStandsStill) && found.contains(&Kind::ProofMissing));
    scene.chain.send_replace(Some(ChainStatus { goal: Some(41), ..read }));
    let found = scene.kinds(&mut lasting, 1_801).await;
    assert!(!found.contains(&Kind::ChainStandsStill), "{found:?}");
    assert!(!scene.kinds(&mut lasting, 4_200).await.contains(&Kind::SettlementStandsStill));
    assert!(scene.kinds(&mut lasting, 4_201).await.contains(&Kind::SettlementStandsStill));
    scene.hub.send_modify(|hub| hub.released = BlockNumber(9));
    assert!(!scene.kinds(&mut lasting, 4_202).await.contains(&Kind::SettlementStandsStill));
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_an_alarm_at_once() {
    let (scene, mut lasting) = (scene(), Lasting::default());
    scene.disk.send_replace(Some("3 MiB are free".to_owned()));
    assert!(scene.kinds(&mut lasting, 0).await.contains(&Kind::DiskLow));
    scene.disk.send_replace(None);
    assert!(!scene.kinds(&mut lasting, 1).await.contains(&Kind::DiskLow));
}

#[tokio::test]
async fn what_the_drivers_say_is_an_alarm_of_its_kind() {
    let (scene, mut lasting) = (scene(), Lasting::default());
    let halt = Halt::Vanished(Serial(3));
    let doubt = Some((halt.clone(), Timestamp(5)));
    scene.chain.send_replace(Some(ChainStatus { doubt, ..status() }));
    scene.settlement.send_modify(|status| {
        status.failures = 1;
        status.sending = Some(Step::Ack(BlockNumber(4)));
        status.diverged = Some(Diverged::Root(BlockNumber(4)));
    });
    let silent = AttesterStatus {
        chain: CHAIN,
        scanned: None,
        offered: 0,
        last_contact: None,
        failures: 3,
        last_error: Some("no answer".into()),
        refusal: None,
    };
    scene.attester.send_replace(Some(silent.clone()));
    let at_once = [Kind::HeldBack, Kind::SettlementDiverged];
    assert_eq!(scene.kinds(&mut lasting, 0).await, at_once);
    let found = scene.kinds(&mut lasting, 900).await;
    for kind in
        [Kind::ChainInDoubt, Kind::SettlementFails, Kind::TransactionStuck, Kind::AttesterFails]
    {
        assert!(found.contains(&kind), "{kind:?}");
    }
    scene.chain.send_replace(Some(ChainStatus { halted: Some(halt), ..status() }));
    scene.attester.send_replace(Some(AttesterStatus { refusal: Some(Refusal::Lost), ..silent }));
    let step = Step::Ack(BlockNumber(4));
    for (failures, alarmed) in [(REFUSALS - 1, false), (REFUSALS, true)] {
        let failing =
            Failing { step: step.clone(), failures, error: "no".into(), again: Timestamp(0) };
        scene.settlement.send_modify(|status| status.failing = vec![failing]);
        let found = scene.kinds(&mut lasting, 901).await;
        assert_eq!(found.contains(&Kind::StepRefused), alarmed, "{failures}");
        assert!(found.contains(&Kind::WatcherHalted) && found.contains(&Kind::AttesterStopped));
        assert!(!found.contains(&Kind::ChainUnread), "a halt says it all");
    }
}

#[tokio::test]
async fn a_hub_that_is_ahead_is_an_alarm_at_once_and_not_one_of_settlement() {
    let (scene, mut lasting) = (scene(), Lasting::default());
    scene.hub.send_modify(|hub| hub.committed = BlockNumber(10));
    let at_once = [Kind::HeldBack, Kind::StoreBehind];
    assert_eq!(scene.kinds(&mut lasting, 0).await, at_once);
    let found = scene.kinds(&mut lasting, 4_000).await;
    assert!(!found.contains(&Kind::SettlementStandsStill), "{found:?}");
}

#[tokio::test]
async fn a_worker_that_is_not_there_or_there_twice_is_an_alarm() {
    let (mut scene, mut lasting) = (scene(), Lasting::default());
    let token = zklink_transport::Token::from_hex(&"5a".repeat(32)).unwrap();
    scene.watched.workers.add("copy", Role::Replica, &token).unwrap();
    for (seconds, alarmed) in [(0, false), (299, false), (300, true)] {
        let found = scene.kinds(&mut lasting, seconds).await;
        assert_eq!(found.contains(&Kind::WorkerAway), alarmed, "{seconds}");
    }
    let condition = |role, processes| {
        let condition = of_worker(&Presence { name: "one".into(), role, processes })?;
        Some((condition.kind, condition.text))
    };
    let away = |text: &str| Some((Kind::WorkerAway, text.to_owned()));
    assert_eq!(condition(Role::Replica, 0), away("replica one does not read the journal"));
    assert_eq!(condition(Role::Prover, 0), away("prover one is not connected"));
    assert_eq!(condition(Role::Attester, 1), None);
    let twice = "2 processes show the token of attester one".to_owned();
    assert_eq!(condition(Role::Attester, 2), Some((Kind::WorkerTwice, twice)));
}

#[tokio::test]
async fn alarms_are_published_when_they_come_and_when_they_go() {
    let scene = scene();
    let (alarms, mut heard) = watch::channel(Vec::new());
    let (stop, stopped) = watch::channel(false);
    let Scene { watched, chain, .. } = scene;
    let driver = tokio::spawn(watched.run(alarms, Duration::from_millis(1), stopped));
    let kinds = |alarms: &[Alarm]| alarms.iter().map(|alarm| alarm.kind).collect::<Vec<_>>();
    heard.changed().await.unwrap();
    assert_eq!(kinds(&heard.borrow_and_update()), [Kind::HeldBack]);
    let halted = Some(Halt::Lost);
    chain.send_replace(Some(ChainStatus { halted, ..status() }));
    heard.changed().await.unwrap();
    assert_eq!(kinds(&heard.borrow_and_update()), [Kind::HeldBack, Kind::WatcherHalted]);
    chain.send_replace(Some(status()));
    heard.changed().await.unwrap();
    assert_eq!(kinds(&heard.borrow_and_update()), [Kind::HeldBack]);
    stop.send(true).unwrap();
    driver.await.unwrap();
}
