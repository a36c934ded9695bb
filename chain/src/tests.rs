//! Tests against development chains.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use zklink::hash::fr_to_be_bytes;
use zklink::id::{KeyVersion, Nonce, SubAccountId};
use zklink::key::SecretKey;
use zklink_devnet::Mining;

use super::client::{At, Call, ChainClient, ClientError, LogQuery};
use super::contracts::rollup_events;
use super::endpoint::{Endpoint, EndpointError, EndpointLimits};
use super::pair::Paired;
use super::sender::{SendError, SendPolicy, Sender};
use super::testing::{
    COIN, HUB, SPOKE, Testnet, USD, dev_chain, endpoint, key, lying_proxy, quick, shape_plan,
};
use crate::wallet::{UserContracts, Wallet, WalletError};

async fn testnet(finality_lag: u64) -> Testnet {
    Testnet::start(finality_lag, &shape_plan(1, 20, 30)).await
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
        $(fn $name(&self, $($arg: $kind),*) -> $crate::client::Answer<'_, $out> {
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
        blob_base_fee() -> Option<u128>;
        send_raw(raw: Vec<u8>) -> super::client::Hash;
        receipt(tx_hash: super::client::Hash) -> Option<super::client::Receipt>;
        input(tx_hash: super::client::Hash) -> Option<Vec<u8>>;
    }
}

mod blobs;
mod fees;
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
