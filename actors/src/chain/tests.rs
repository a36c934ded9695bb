//! Tests against development chains.

use std::sync::Arc;

use zklink::hash::fr_to_be_bytes;
use zklink::id::{KeyVersion, Nonce, Owner, Serial, SubAccountId};
use zklink::key::SecretKey;
use zklink_devnet::Mining;

use super::client::{At, Call, ChainClient, ClientError, LogQuery};
use super::contracts::rollup_events;
use super::driver::{Contract, answer};
use super::endpoint::{Endpoint, EndpointError, EndpointLimits};
use super::finality::{Anchor, Finality};
use super::pair::Paired;
use super::sender::{SendError, SendPolicy, Sender};
use super::testing::{
    COIN, Direct, HUB, Inbox, SPOKE, Testnet, USD, dev_chain, endpoint, key, lying_proxy, quick,
    shape_plan,
};
use super::watcher::{ChainStatus, Halt, Outlets, WatchConfig, Watcher};
use crate::builder::KeyAuthorised;
use crate::merge_ledger::{DepositFinal, Reading};
use crate::port::Port;
use crate::timestamp::Timestamp;
use crate::turn::Turn;
use crate::wallet::{UserContracts, Wallet, WalletError};

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
    watch.poll().await;
    watch.poll().await;
    assert_eq!(watch.watcher.status().halted, Some(Halt::Vanished(Serial(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_contract_comes_in_words_and_costs_nothing() {
    let net = testnet(1).await;
    let alice = net.wallet(HUB, "alice");
    let before = alice.balance([0; 20], alice.address()).await.unwrap();
    let refused = alice.deposit_native(0, alice.owner(), SubAccountId(0)).await.unwrap_err();
    let reverted = |reason: &str| {
        WalletError::Send(SendError::Reverted { reason: reason.to_owned(), tx_hash: None })
    };
    assert_eq!(refused, reverted("BelowLeast(least 1, given 0)"));
    let refused = alice.deposit_native(1, alice.owner(), SubAccountId(32)).await.unwrap_err();
    assert_eq!(refused, reverted("BadSubAccount(subAccount 32)"));
    let nothing = format!("NothingToClaim(owner 0x{}, token {COIN})", hex_of(&alice.address()));
    assert_eq!(alice.claim(COIN).await.unwrap_err(), reverted(&nothing));
    assert_eq!(alice.claim_to(COIN, [9; 20]).await.unwrap_err(), reverted(&nothing));
    assert_eq!(alice.balance([0; 20], alice.address()).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_key_change_is_what_the_contract_recovers() {
    let net = testnet(1).await;
    let alice = key("alice");
    let network = net.deployment.network();
    let l2 = SecretKey::from_seed(b"alice").public();
    let mut tx = zklink::tx::ChangePubKeyTx {
        chain_id: SPOKE,
        account_id: zklink::id::AccountId(5),
        sub_account_id: SubAccountId(0),
        new_pub_key: l2,
        fee_token: COIN,
        fee: zklink::amount::Fee(0),
        nonce: Nonce(2),
        key_version: KeyVersion(2),
        eth_auth_data: zklink::tx::KeyAuth::Onchain,
    };
    let wallet = net.wallet(SPOKE, "alice");
    wallet.authorise(&mut tx, &network.chains[&SPOKE]);
    let digest = tx.eth_digest(&network.chains[&SPOKE]);
    let zklink::tx::KeyAuth::EthEcdsa { signature } = tx.eth_auth_data else { panic!() };
    assert_eq!(zklink::tx::recover(&digest, &signature), Some(alice.address()));
    // The same domain as the contract's.
    let separator = super::contracts::KeyRecorder::domainSeparatorCall {};
    let recorder = net.deployment.chain(SPOKE).unwrap().key_recorder;
    let client = &*net.clients[&SPOKE];
    let found = super::contracts::read(client, recorder, &separator, At::Latest).await.unwrap();
    let inner = zklink::tx::keccak(&[
        &zklink::tx::keccak(&[
            b"ChangePubKey(uint256 keyX,uint256 keyY,uint32 accountId,uint32 nonce)",
        ]),
        &fr_to_be_bytes(l2.x()),
        &fr_to_be_bytes(l2.y()),
        &[[0; 31].as_slice(), &[5]].concat(),
        &[[0; 31].as_slice(), &[2]].concat(),
    ]);
    assert_eq!(zklink::tx::keccak(&[b"\x19\x01", &found.0, &inner]), digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_another_chain_is_refused() {
    let chain = dev_chain(9101, 1).await;
    let refused = Endpoint::connect(&chain.http_url(), 9102, EndpointLimits::default()).await;
    let Err(EndpointError::Client(ClientError::WrongChain { expected, found, .. })) = refused
    else {
        panic!("it was taken")
    };
    assert_eq!((expected, found), (9102, 9101));
    for url in ["ftp://host", "nothing", "http://"] {
        let refused = Endpoint::new(url, EndpointLimits::default()).err();
        assert_eq!(refused, Some(EndpointError::Url), "{url}");
    }
}

fn hex_of(bytes: &[u8]) -> String {
    hex::encode(bytes)
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
async fn a_lie_about_a_block_is_a_disagreement_and_a_lag_is_not() {
    let chain = dev_chain(9103, 2).await;
    chain.mine(6).unwrap();
    let honest = endpoint(&chain.http_url());
    let header = honest.header(At::Finalized).await.unwrap().unwrap();
    assert_eq!(header.number, 4);
    let wrong = (hex_of(&header.hash), hex_of(&[0xab; 32]));
    let liar = endpoint(&lying_proxy(chain.http_url(), vec![wrong]).await);
    let pair = Paired::new(honest.clone(), liar, true);
    for at in [At::Finalized, At::Number(4)] {
        let error = pair.header(at).await.unwrap_err();
        assert!(matches!(error, ClientError::Disagreement { .. }), "{error}");
    }
    // The second endpoint is one block behind: the lower block is taken.
    let before = honest.header(At::Number(3)).await.unwrap().unwrap();
    let behind = Arc::new(Behind(honest.clone()));
    let pair = Paired::new(honest.clone(), behind, false);
    assert_eq!(pair.header(At::Finalized).await.unwrap(), Some(before));

    let dead = endpoint("http://127.0.0.1:9");
    let strict = Paired::new(honest.clone(), dead.clone(), false);
    assert!(strict.header(At::Number(4)).await.unwrap_err().is_outage());
    assert!(strict.strict().is_none(), "it is strict already");
    let lenient = Paired::new(dead, honest, true);
    assert_eq!(lenient.header(At::Number(4)).await.unwrap(), Some(header));
    let strict = lenient.strict().unwrap();
    assert!(strict.header(At::Number(4)).await.unwrap_err().is_outage());
}

/// A client whose final block is one behind.
struct Behind(Arc<dyn ChainClient>);

macro_rules! same {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $kind),*) -> $crate::chain::client::Answer<'_, $out> {
            self.0.$name($($arg),*)
        })*
    };
}

impl ChainClient for Behind {
    fn header(&self, at: At) -> super::client::Answer<'_, Option<super::client::Header>> {
        self.0.header(if at == At::Finalized { At::Number(3) } else { at })
    }

    same! {
        chain_id() -> u64;
        logs(query: LogQuery) -> Vec<super::client::Log>;
        call(call: Call, at: At) -> Vec<u8>;
        code(address: [u8; 20], at: At) -> Vec<u8>;
        balance(address: [u8; 20], at: At) -> u128;
        nonce(address: [u8; 20]) -> u64;
        estimate_gas(call: Call) -> u64;
        fee_market() -> super::client::FeeMarket;
        send_raw(raw: Vec<u8>) -> super::client::Hash;
        receipt(tx_hash: super::client::Hash) -> Option<super::client::Receipt>;
        input(tx_hash: super::client::Hash) -> Option<Vec<u8>>;
    }
}

// Below the macro that it uses.
mod sending;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_are_errors() {
    let chain = dev_chain(9104, 1).await;
    let small = EndpointLimits { max_response_bytes: 100, ..EndpointLimits::default() };
    let bounded = Endpoint::new(&chain.http_url(), small).unwrap();
    let error = bounded.header(At::Latest).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { limit: 100, .. }), "{error}");
    for (truth, lie) in [
        ("\"number\":\"0x0\"", "\"number\":\"0x1\""),
        ("\"number\":\"0x0\"", "\"number\":[]"),
        ("\"timestamp\":\"0x", "\"timestamp\":\"0xffffffffffffffffffff"),
        ("{\"jsonrpc\"", "<html>"),
    ] {
        let lies = vec![(truth.to_owned(), lie.to_owned())];
        let liar = endpoint(&lying_proxy(chain.http_url(), lies).await);
        let error = liar.header(At::Number(0)).await.unwrap_err();
        assert!(matches!(error, ClientError::Malformed { .. }), "{lie}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_not_asked_for_is_malformed() {
    let net = testnet(1).await;
    let alice = net.wallet(HUB, "alice");
    alice.deposit_native(7, alice.owner(), SubAccountId(0)).await.unwrap();
    let tip = net.chains[&HUB].latest().unwrap();
    let rollup = net.rollup(HUB);
    let query = LogQuery { from: 0, to: tip, addresses: vec![rollup], events: rollup_events() };
    let url = net.chains[&HUB].http_url();
    assert_eq!(endpoint(&url).logs(query.clone()).await.unwrap().len(), 1);
    for (truth, lie) in [
        (hex_of(&rollup), hex_of(&[1; 20])),
        (format!("\"blockNumber\":\"{tip:#x}\""), "\"blockNumber\":\"0xffff\"".to_owned()),
        ("\"removed\":false".to_owned(), "\"removed\":true".to_owned()),
        (hex_of(&rollup_events()[0]), hex_of(&[2; 32])),
    ] {
        let liar = endpoint(&lying_proxy(url.clone(), vec![(truth, lie.clone())]).await);
        let error = liar.logs(query.clone()).await.unwrap_err();
        assert!(matches!(error, ClientError::Malformed { .. }), "{lie}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_silent_about_its_key() {
    let nowhere = UserContracts { rollup: [0; 20], key_recorder: [0; 20] };
    let wallet =
        Wallet::new(Sender::new(endpoint("http://127.0.0.1:9"), key("alice"), 1, quick()), nowhere);
    let error = wallet.claim(USD).await.unwrap_err();
    assert!(matches!(error, WalletError::Send(SendError::Client(_))), "{error}");
    assert!(!error.to_string().contains("http://"), "endpoints are named by host: {error}");
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
    let driver = tokio::spawn(super::driver::run(
        client,
        contract,
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

#[test]
fn the_pause_grows_with_failures_and_has_an_end() {
    use std::time::Duration;
    let pause = |failures| super::driver::pause(Duration::from_secs(1), failures);
    assert_eq!(pause(0), Duration::from_secs(1));
    assert_eq!(pause(3), Duration::from_secs(8));
    assert_eq!(pause(u32::MAX), Duration::from_secs(30));
}
