//! How many requests a network costs in which nothing happens: the figures of `docs/operations.md`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use tokio::sync::watch;
use zklink::id::{BlockNumber, ChainId};
use zklink::state::DeploymentId;
use zklink_chain::account::EthKey;
use zklink_chain::client::ChainClient;
use zklink_chain::finality::Finality;
use zklink_chain::sender::{SendPolicy, Sender};
use zklink_mechanism::port::Port;
use zklink_mechanism::probe::{Direct, Inbox};
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;

use crate::attester::driver::{OracleReader, answer};
use crate::attester::history::History;
use crate::attester::{AttestedChain, Attester, AttesterConfig, Response};
use crate::book::AttestationBook;
use crate::driver::{Memory, Report, SettlementStatus, Settler};
use crate::replicas::{CONTRACTS, Replicas, rolling, root};
use crate::{Calldata, Diverged, HubReader, Periods, SealedBlock, SettlementSource, routes_to};

const HUB: ChainId = ChainId(1);
/// The default of the configuration.
const POLL_MS: u64 = 4_000;
const HOUR_MS: u64 = 3_600_000;
/// The blocks of the rollup; all are at their end everywhere.
const SEALED: BlockNumber = BlockNumber(9);

/// An archive in which the last block has operations of all chains.
struct Ended;

impl SettlementSource for Ended {
    fn sealed(&self) -> BlockNumber {
        SEALED
    }

    fn block(&self, number: BlockNumber) -> Option<SealedBlock> {
        Some(SealedBlock {
            number,
            shape: 1,
            timestamp: 0,
            new_root: root(number.0),
            inputs: [[0; 32]; 4],
            onchain: Vec::new(),
            data: Vec::new(),
            chains: BTreeMap::new(),
        })
    }

    fn proof(&self, _: BlockNumber) -> Option<Vec<u8>> {
        None
    }

    fn next_of_chain(&self, _: ChainId, after: BlockNumber) -> Option<BlockNumber> {
        (after < SEALED).then_some(SEALED)
    }

    fn rolling(&self, _: ChainId, through: BlockNumber) -> Option<[u8; 32]> {
        Some(rolling(through.0))
    }
}

/// A network of so many chains with a block every twelve seconds, one attester, and a settler for each chain.
struct Idle {
    chains: BTreeMap<ChainId, Arc<Replicas>>,
    hub: HubReader,
    settlers: Vec<(Settler, Memory)>,
    status: watch::Sender<SettlementStatus>,
    attester: Attester,
    lines: Vec<OracleReader>,
}

fn idle(count: u8) -> Idle {
    let ids: Vec<ChainId> = (1..=count).map(ChainId).collect();
    let chain = |id: &ChainId| (*id, Replicas::new(&[0], 100, Arc::new(|_| SEALED.0)));
    let chains: BTreeMap<ChainId, Arc<Replicas>> = ids.iter().map(chain).collect();
    let periods = Periods::new(POLL_MS);
    let source: Arc<dyn SettlementSource> = Arc::new(Ended);
    let client = |id: ChainId| -> Arc<dyn ChainClient> { chains[&id].clone() };
    let contract = CONTRACTS.hub.unwrap();
    let (hub, news) = HubReader::new(client(HUB), contract, ids.clone(), source.clone(), periods);
    let deployment = DeploymentId([7; 31]);
    let oracles = ids.iter().map(|id| (*id, CONTRACTS.oracle)).collect();
    let book = AttestationBook::new(deployment, oracles, Default::default(), 1);
    let book = Port::new(Direct(Arc::new(std::sync::Mutex::new(book))));
    let settlers = ids.iter().map(|id| {
        let key = EthKey::from_seed("validator");
        let settler = Settler {
            chain: *id,
            hub_id: HUB,
            contracts: CONTRACTS,
            sender: Sender::new(client(*id), key, 1, SendPolicy::default()),
            hub: news.clone(),
            source: source.clone(),
            routes: routes_to(*id, HUB, ids.iter().copied(), CONTRACTS.oracle, &book),
            publication: Arc::new(Calldata),
            report: Report::default(),
            max_log_range: 1_000,
            periods,
        };
        (settler, Memory::new(periods))
    });
    let attested = AttestedChain {
        oracle: CONTRACTS.oracle,
        first_block: 1,
        finality: Finality::FINALIZED,
        max_range: 1_000,
        checkpoints: 256,
        periods,
    };
    let config = AttesterConfig {
        deployment,
        chains: ids.iter().map(|id| (*id, attested.clone())).collect(),
        offer_ms: 1_000,
    };
    let (key, port) = (EthKey::from_seed("attester"), Inbox::new(10).1);
    let attester = Attester::new(config, key, History::in_memory(), port);
    let lines = ids.iter().map(|id| {
        let others = ids.iter().copied().filter(|other| other != id);
        let partners = others.filter(|other| [*other, *id].contains(&HUB)).collect();
        OracleReader { chain: *id, client: client(*id), oracle: CONTRACTS.oracle, partners }
    });
    let (settlers, lines) = (settlers.collect(), lines.collect());
    let (status, _) = watch::channel(SettlementStatus::default());
    Idle { hub, settlers, status, attester, lines, chains }
}

impl Idle {
    /// What the drivers do each usual period, from one time to another.
    async fn run(&mut self, from_ms: u64, to_ms: u64) {
        for now in (from_ms..to_ms).step_by(POLL_MS as usize) {
            self.chains.values().for_each(|chain| chain.tip.store(100 + now / 12_000, SeqCst));
            self.hub.beat(Timestamp(now)).await;
            for (settler, memory) in &mut self.settlers {
                while settler.beat(memory, Timestamp(now), &self.status).await {}
            }
            for line in &self.lines {
                let mut turn = Turn::at(Timestamp(now));
                while let Some(request) = self.attester.next(line.chain, &mut turn) {
                    let response = answer(line, &request).await;
                    let failed = matches!(response, Response::Failed(_));
                    self.attester.outcome(line.chain, response, &mut turn);
                    if failed {
                        break;
                    }
                }
            }
        }
    }

    /// Requests of a day, by chain, from what an hour takes after the first one.
    async fn of_a_day(mut self) -> Vec<u64> {
        self.run(0, HOUR_MS).await;
        self.chains.values().for_each(|chain| chain.asked.store(0, SeqCst));
        self.run(HOUR_MS, 2 * HOUR_MS).await;
        assert_eq!(self.status.borrow().last_error, None);
        self.chains.values().map(|chain| 24 * chain.asked.load(SeqCst)).collect()
    }
}

#[tokio::test]
async fn an_idle_chain_costs_few_requests_and_the_hub_a_few_more_for_each_chain() {
    let mut of_hub = Vec::new();
    for count in [1, 2, 4] {
        let days = idle(count).of_a_day().await;
        println!("{count} chains: {days:?} requests a day");
        // Other chains cost the same however many there are.
        assert!(days[1..].iter().all(|day| *day == days[days.len() - 1]), "{days:?}");
        assert!(days[1..].iter().all(|day| *day <= 30_000), "{days:?}");
        of_hub.push(days[0]);
    }
    let each = of_hub[1] - of_hub[0];
    assert_eq!(of_hub[2] - of_hub[1], 2 * each, "it grows by the same for each chain: {of_hub:?}");
    assert!(of_hub[0] <= 35_000 && each <= 10_000, "{of_hub:?}");
}

/// What the status of a hub alone says at each beat, when it claims one block too many for so long.
async fn told_of_a_difference(millis: u64) -> Vec<(u64, Option<String>, Option<Diverged>)> {
    let mut idle = idle(1);
    let chain = idle.chains[&HUB].clone();
    let mut told = Vec::new();
    for now in (0..600_000).step_by(POLL_MS as usize) {
        let wrong = (120_000..120_000 + millis).contains(&now);
        *chain.committed.lock().unwrap() = Arc::new(move |_| SEALED.0 + u32::from(wrong));
        idle.run(now, now + POLL_MS).await;
        let status = idle.status.borrow().clone();
        told.push((now, status.last_error, status.diverged));
    }
    told
}

#[tokio::test]
async fn a_difference_is_an_alarm_only_when_it_lasts_and_ends_by_itself() {
    let told = told_of_a_difference(300_000).await;
    let first = told.iter().find(|(_, error, _)| error.is_some()).unwrap();
    let alarm = told.iter().find(|(_, _, diverged)| diverged.is_some()).unwrap();
    assert!(first.0 <= 184_000 && first.1.as_ref().unwrap().contains("is this the right store"));
    // Seven blocks of twelve seconds after the first look.
    assert!((72_000..=88_000).contains(&(alarm.0 - first.0)), "{first:?} {alarm:?}");
    let (committed, sealed) = (BlockNumber(SEALED.0 + 1), SEALED);
    assert_eq!(alarm.2, Some(Diverged::Ahead { committed, sealed }));
    assert_eq!(told.last().unwrap(), &(596_000, None, None));
    let told = told_of_a_difference(60_000).await;
    assert!(told.iter().any(|(_, error, _)| error.is_some()));
    assert!(told.iter().all(|(_, _, diverged)| diverged.is_none()), "{told:?}");
}

#[tokio::test]
async fn one_reading_serves_everybody_and_whoever_changed_the_hub_waits_for_the_next() {
    let mut idle = idle(4);
    let (chain, news) = (idle.chains[&HUB].clone(), idle.settlers[3].0.hub.clone());
    idle.hub.beat(Timestamp(0)).await;
    let asked = chain.asked.load(SeqCst);
    assert_eq!(asked, 1 + 4 + 4);
    chain.tip.store(105, SeqCst);
    for (settler, _) in &idle.settlers {
        assert_eq!(settler.hub.latest().await.unwrap().view.height, 100);
    }
    idle.hub.beat(Timestamp(1)).await;
    assert_eq!(chain.asked.load(SeqCst), asked, "nothing is to be done there");
    let (fresh, ()) = tokio::join!(news.fresh(), idle.hub.beat(Timestamp(2)));
    assert_eq!(fresh.unwrap().view.height, 105);
    // The same block is not read twice.
    let asked = chain.asked.load(SeqCst);
    let (fresh, ()) = tokio::join!(news.fresh(), idle.hub.beat(Timestamp(3)));
    assert_eq!((fresh.unwrap().view.height, chain.asked.load(SeqCst)), (105, asked + 1));
}

/// It goes on by itself, at the same places.
#[tokio::test]
async fn a_server_without_the_state_of_final_blocks_makes_an_attester_wait_and_nothing_else() {
    let mut idle = idle(2);
    let chain = idle.chains[&HUB].clone();
    idle.run(0, 120_000).await;
    let before = idle.attester.status(HUB).unwrap();
    assert_eq!((before.failures, &before.refusal), (0, &None));
    chain.stateless.store(true, SeqCst);
    idle.run(120_000, 600_000).await;
    let during = idle.attester.status(HUB).unwrap();
    assert_eq!(during.refusal, None);
    assert!(during.failures > 3 && during.last_contact <= Some(Timestamp(180_000)), "{during:?}");
    assert!(during.last_error.unwrap().contains("missing trie node"));
    chain.stateless.store(false, SeqCst);
    idle.run(600_000, 720_000).await;
    let after = idle.attester.status(HUB).unwrap();
    assert_eq!((after.failures, &after.refusal), (0, &None));
    assert!(after.scanned > before.scanned && after.last_contact > Some(Timestamp(600_000)));
}
