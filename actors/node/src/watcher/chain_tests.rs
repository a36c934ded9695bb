//! A watcher against development chains.

use std::sync::Arc;

use zklink::id::{Nonce, Owner, Serial, SubAccountId};
use zklink::key::SecretKey;
use zklink_chain::client::ChainClient;
use zklink_chain::finality::{Anchor, Finality};
use zklink_chain::pair::Paired;
use zklink_chain::testing::{HUB, SPOKE, Testnet, USD, endpoint, lying_proxy, shape_plan};
use zklink_mechanism::driver::pull;
use zklink_mechanism::port::Port;
use zklink_mechanism::probe::{Direct, Inbox};
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;

use super::driver::{self, Contract, answer};
use super::*;

async fn testnet(finality_lag: u64) -> Testnet {
    Testnet::start(finality_lag, &shape_plan(1, 20, 30)).await
}

struct Watch {
    watcher: Watcher,
    client: Arc<dyn ChainClient>,
    contract: Contract,
    deposits: Inbox<DepositFinal>,
    readings: Inbox<Reading>,
    keys: Inbox<KeyAuthorised>,
    now: u64,
}

impl Watch {
    fn new(net: &Testnet, anchor: Anchor, resume: u64) -> Watch {
        let of_chain = net.deployment.chain(HUB).unwrap();
        let tokens: Vec<_> = of_chain.tokens.iter().map(|token| token.id).collect();
        let (deposits, deposit_port) = Inbox::new(100);
        let (readings, reading_port) = Inbox::new(100);
        let (keys, key_port) = Inbox::new(100);
        let config = WatchConfig {
            chain: HUB,
            rollup: of_chain.rollup,
            recorder: of_chain.key_recorder,
            first_block: of_chain.first_block,
            finality: Finality { anchor, min_age_seconds: 0 },
            max_range: 5,
            checkpoints: 64,
            poll_ms: 1,
            reading_ms: 1,
            held_max: 100,
            tokens: tokens.clone(),
            resume: Serial(resume),
        };
        let outlets = Outlets {
            deposits: tokens.iter().map(|token| (*token, deposit_port.clone())).collect(),
            readings: tokens.iter().map(|token| (*token, reading_port.clone())).collect(),
            keys: key_port,
        };
        let contract = Contract {
            rollup: of_chain.rollup,
            tokens: of_chain.tokens.iter().map(|token| (token.id, token.address)).collect(),
        };
        let (watcher, client) = (Watcher::new(config, outlets, None), net.clients[&HUB].clone());
        Watch { watcher, client, contract, deposits, readings, keys, now: 0 }
    }

    async fn poll(&mut self) {
        self.now += 1_000_000;
        let mut turn = Turn::at(Timestamp(self.now));
        while let Some(request) = self.watcher.next(&mut turn) {
            let response = answer(&*self.client, &self.contract, &request).await;
            self.watcher.outcome(response, &mut turn);
            if self.watcher.status().failures > 0 {
                return;
            }
        }
    }

    fn serials(&self) -> Vec<u64> {
        self.deposits.take().iter().map(|deposit| deposit.0.serial.0).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deposits_and_keys_arrive_after_the_finality_lag_and_not_before() {
    let net = testnet(4).await;
    let alice = net.wallet(HUB, "alice");
    let usd = net.token(HUB, USD);
    let mut watch = Watch::new(&net, Anchor::Finalized, 0);
    alice.mint(usd, alice.address(), 5_000_000).await.unwrap();
    alice.approve(usd, 5_000_000).await.unwrap();
    alice.deposit_native(7, alice.owner(), SubAccountId(0)).await.unwrap();
    let contract = Owner::contract(SPOKE, [9; 20]);
    let receipt = alice.deposit_erc20(USD, 2_000_000, contract, SubAccountId(31)).await.unwrap();
    let l2 = SecretKey::from_seed(b"alice").public();
    alice.set_auth_pub_key(&l2, Nonce(3)).await.unwrap();
    watch.poll().await;
    assert_eq!(watch.serials(), Vec::<u64>::new());
    // The first deposit lies two blocks below the tip, so two more make it final.
    for expected in [vec![], vec![0], vec![1]] {
        net.mine(HUB, 1);
        watch.poll().await;
        let told = watch.deposits.take();
        let serials: Vec<u64> = told.iter().map(|deposit| deposit.0.serial.0).collect();
        assert_eq!(serials, expected);
        if let Some(DepositFinal(deposit)) = told.first().filter(|d| d.0.serial.0 == 1) {
            assert_eq!((deposit.token, deposit.owner), (USD, contract));
            assert_eq!(deposit.payer, alice.owner());
            assert_eq!(deposit.amount.0, 2_000_000 * 10u128.pow(12), "six decimals become 18");
            assert_eq!((deposit.l1_tx, deposit.l1_block), (receipt.tx_hash, receipt.block));
        }
    }
    assert_eq!(watch.keys.take(), vec![]);
    net.mine(HUB, 1);
    watch.poll().await;
    let owner = alice.owner();
    let authorised = KeyAuthorised { chain: HUB, owner, nonce: Nonce(3), key: l2 };
    assert_eq!(watch.keys.take(), vec![authorised]);
    let readings = watch.readings.take();
    let last = readings.iter().rfind(|reading| reading.token == USD).unwrap();
    assert_eq!((last.balance, last.locked, last.unconsumed), (2_000_000, 2_000_000, 2_000_000));
    assert_eq!(watch.watcher.status().halted, None);

    let mut restarted = Watch::new(&net, Anchor::Finalized, 1);
    restarted.poll().await;
    assert_eq!(restarted.serials(), vec![1], "what the builder has does not come again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_below_the_rule_is_read_again_or_stops_the_chain() {
    let net = testnet(60).await;
    let alice = net.wallet(HUB, "alice");
    net.mine(HUB, 3);
    let mut watch = Watch::new(&net, Anchor::Confirmations(1), 0);
    alice.deposit_native(7, alice.owner(), SubAccountId(0)).await.unwrap();
    net.mine(HUB, 1);
    watch.poll().await;
    assert_eq!(watch.serials(), vec![0]);
    // Two blocks are replaced, with the same deposit in another block.
    net.chains[&HUB].reorg(2).unwrap();
    net.mine(HUB, 2);
    watch.poll().await;
    watch.poll().await;
    alice.deposit_native(8, alice.owner(), SubAccountId(0)).await.unwrap();
    net.mine(HUB, 1);
    watch.poll().await;
    assert_eq!((watch.serials(), watch.watcher.status().halted), (vec![1], None));
    // Now the second deposit is lost for good.
    net.chains[&HUB].rollback(2).unwrap();
    net.mine(HUB, 4);
    for _ in 0..12 {
        watch.poll().await;
    }
    assert_eq!(watch.watcher.status().halted, Some(Halt::Vanished(Serial(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_lies_stops_the_reading_and_credits_nothing() {
    let net = testnet(1).await;
    let alice = net.wallet(HUB, "alice");
    alice.deposit_native(7, alice.owner(), SubAccountId(0)).await.unwrap();
    net.mine(HUB, 2);
    let honest = net.chains[&HUB].http_url();
    let amount = |n: u8| format!("{}{n:02x}", "0".repeat(62));
    // The lie: a deposit of 7 wei becomes one of 200.
    let liar = lying_proxy(honest.clone(), vec![(amount(7), amount(200))]).await;
    let pair = Paired::new(endpoint(&honest), endpoint(&liar), true);
    let mut watch = Watch::new(&net, Anchor::Finalized, 0);
    watch.client = Arc::new(pair);
    watch.poll().await;
    let status = watch.watcher.status();
    assert!(status.last_error.as_deref().unwrap().contains("disagree on events"), "{status:?}");
    assert_eq!((watch.serials(), status.halted), (Vec::<u64>::new(), None));
    // With two honest endpoints it goes on.
    watch.client = Arc::new(Paired::new(endpoint(&honest), endpoint(&honest), false));
    watch.poll().await;
    assert_eq!(watch.serials(), vec![0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_reads_until_it_is_stopped_and_shows_outages() {
    let net = testnet(1).await;
    let alice = net.wallet(HUB, "alice");
    alice.deposit_native(7, alice.owner(), SubAccountId(0)).await.unwrap();
    net.mine(HUB, 2);
    let Watch { watcher, client, contract, deposits, .. } = Watch::new(&net, Anchor::Finalized, 0);
    let watcher = Arc::new(std::sync::Mutex::new(watcher));
    let (health, mut seen) = tokio::sync::watch::channel(None);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let driver = tokio::spawn(pull(
        driver::ChainReader { client, contract },
        Port::new(Direct(Arc::clone(&watcher))),
        Port::new(Direct(watcher)),
        health,
        std::time::Duration::from_millis(2),
        stopped,
    ));
    let found = seen.wait_for(|status| {
        status.as_ref().is_some_and(|status: &ChainStatus| status.next == Serial(1))
    });
    drop(found.await.unwrap());
    assert_eq!(deposits.take().len(), 1);
    stop.send(true).unwrap();
    driver.await.unwrap();
}
