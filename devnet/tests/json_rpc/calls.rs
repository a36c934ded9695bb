//! Calls and estimates.

use serde_json::{Value, json};
use web3::types::{Address, BlockNumber, Bytes, CallRequest, TransactionParameters, U64, U256};

use crate::client::{Client, config, text, to};
use crate::code;

fn request(to: Address, data: Vec<u8>) -> CallRequest {
    CallRequest { to: Some(to), data: Some(Bytes(data)), ..CallRequest::default() }
}

fn word(number: u64) -> Vec<u8> {
    let mut word = vec![0; 24];
    word.extend(number.to_be_bytes());
    word
}

/// The generators of BLS12-381, and the first one's inverse, in the encoding of EIP-2537.
fn point(coordinates: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for coordinate in coordinates {
        bytes.extend([0; 16]);
        bytes.extend(alloy_primitives::hex::decode(coordinate).unwrap());
    }
    bytes
}

const G1_X: &str = "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58\
                    6c55e83ff97a1aeffb3af00adb22c6bb";
const G1_Y: &str = "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3ed\
                    d03cc744a2888ae40caa232946c5e7e1";
const G1_Y_NEGATED: &str = "114d1d6855d545a8aa7d76c8cf2e21f267816aef1db507c96655b9d5caac4236\
                            4e6f38ba0ecb751bad54dcd6b939c2ca";
const G2: [&str; 4] = [
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d177\
     0bac0326a805bbefd48056c8c121bdb8",
    "13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049\
     334cf11213945d57e5ac7d055d042b7e",
    "0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c\
     923ac9cc3baca289e193548608b82801",
    "0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab\
     3f370d275cec1da1aaa9075ff05f79be",
];

#[tokio::test]
async fn the_pairing_precompile_of_eip_2537_answers() {
    let client = Client::start(config()).await;
    let pairing = async |data: Vec<u8>| {
        client.web3.eth().call(request(Address::from_low_u64_be(0x0f), data), None).await
    };
    let one = [point(&[G1_X, G1_Y]), point(&G2)].concat();
    let inverse = [point(&[G1_X, G1_Y_NEGATED]), point(&G2)].concat();
    // e(g, h) is not 1, and e(g, h) e(-g, h) is.
    assert_eq!(pairing(one.clone()).await.unwrap().0, word(0));
    assert_eq!(pairing([one.clone(), inverse].concat()).await.unwrap().0, word(1));
    // Input of a wrong length, or that is no point, fails instead of returning nothing.
    assert!(text(pairing(one[1..].to_vec()).await).starts_with("execution halted: "));
    let mut off_curve = one;
    off_curve[127] ^= 1;
    assert!(text(pairing(off_curve).await).starts_with("execution halted: "));
}

#[tokio::test]
async fn a_revert_carries_its_data_and_its_reason() {
    let client = Client::start(config()).await;
    let counter = client.deploy(&code::counter()).await;
    let reason =
        [vec![0x08, 0xc3, 0x79, 0xa0], word(32), word(4), b"oops".to_vec(), vec![0; 28]].concat();
    let eth = client.web3.eth();
    let encoded = json!(Bytes(reason.clone()));
    let call = eth.call(request(counter, reason.clone()), None).await.map(|_| ());
    let estimate = eth.estimate_gas(request(counter, reason), None).await.map(|_| ());
    for result in [call, estimate] {
        let Err(web3::Error::Rpc(error)) = result else { panic!("no JSON-RPC error: {result:?}") };
        assert_eq!(error.code.code(), 3);
        assert_eq!(error.message, "execution reverted: oops");
        assert_eq!(error.data, Some(encoded.clone()));
    }
    let custom = eth.call(request(counter, vec![0xde, 0xad, 0xbe, 0xef]), None).await;
    let Err(web3::Error::Rpc(error)) = custom else { panic!("no JSON-RPC error: {custom:?}") };
    assert_eq!(error.message, "execution reverted");
    assert_eq!(error.data, Some(json!("0xdeadbeef")));
}

#[tokio::test]
async fn a_failing_transaction_is_mined_as_failed_and_pays() {
    let client = Client::start(config()).await;
    let counter = client.deploy(&code::counter()).await;
    let tx = TransactionParameters { nonce: Some(1.into()), data: Bytes(vec![1]), ..to(counter) };
    let hash = client.send(tx).await.unwrap();
    client.chain.mine(1).unwrap();
    let receipt = client.receipt(hash).await.unwrap();
    assert_eq!(receipt.status, Some(U64::zero()));
    assert!(receipt.logs.is_empty());
    assert!(receipt.gas_used.unwrap() > U256::from(21_000));
    assert_eq!(receipt.contract_address, None);
}

#[tokio::test]
async fn an_estimate_is_enough_for_nested_calls_and_not_much_more() {
    let client = Client::start(config()).await;
    let nested = client.deploy(&code::nested()).await;
    for depth in [0, 1, 40] {
        let call = CallRequest { from: Some(client.me()), ..request(nested, word(depth)) };
        let gas = client.web3.eth().estimate_gas(call, None).await.unwrap();
        let snapshot = client.chain.snapshot().unwrap();
        let send = async |gas: U256| {
            let nonce = client.web3.eth().transaction_count(client.me(), None).await.unwrap();
            let data = Bytes(word(depth));
            let tx = TransactionParameters { nonce: Some(nonce), data, gas, ..to(nested) };
            let hash = client.send(tx).await.unwrap();
            client.chain.mine(1).unwrap();
            client.receipt(hash).await.unwrap()
        };
        let short = send(gas * 98 / 100 - 1).await;
        assert_eq!(short.status, Some(U64::zero()), "{depth} deep with less than {gas}");
        let enough = send(gas).await;
        assert_eq!(enough.status, Some(U64::one()), "{depth} deep with {gas}");
        if depth == 40 {
            // Each call keeps a 64th of the gas back, so much more must be given than is used.
            assert!(gas > enough.gas_used.unwrap() * 11 / 10);
        }
        assert!(client.chain.revert(snapshot).unwrap());
    }
    let transfer = CallRequest { from: Some(client.me()), ..request(Address::zero(), vec![]) };
    let gas = client.web3.eth().estimate_gas(transfer, None).await.unwrap();
    assert_eq!(gas, U256::from(21_000));
}

#[tokio::test]
async fn calls_see_the_block_that_they_ask_for_and_need_no_money() {
    let client = Client::start(config()).await;
    let counter = client.deploy(&code::counter()).await;
    let eth = client.web3.eth();
    let call = |at| eth.call(request(counter, vec![]), at);
    client.send(TransactionParameters { nonce: Some(1.into()), ..to(counter) }).await.unwrap();
    client.chain.mine(1).unwrap();
    let at = |number: u64| Some(BlockNumber::Number(number.into()).into());
    assert_eq!(call(None).await.unwrap().0, word(2));
    assert_eq!(call(at(1)).await.unwrap().0, word(1));
    // Before there was code, a call returns nothing.
    assert_eq!(call(at(0)).await.unwrap().0, Vec::<u8>::new());
    assert_eq!(text(call(at(9)).await), "header not found: 9");
    // A contract as the sender is fine in a call (EIP-3607 is about transactions).
    let from_code = CallRequest { from: Some(counter), ..request(counter, vec![]) };
    assert_eq!(eth.call(from_code, None).await.unwrap().0, word(2));
    // Value and a fee must be there, as with other nodes.
    let rich = CallRequest { value: Some(1.into()), ..request(counter, vec![]) };
    assert!(text(eth.call(rich, None).await).starts_with("insufficient funds"));
    let short = CallRequest { gas: Some(20_000.into()), ..request(counter, vec![]) };
    assert!(text(eth.call(short, None).await).starts_with("intrinsic gas too low"));
    let starved = CallRequest { gas: Some(22_000.into()), ..request(counter, vec![]) };
    assert_eq!(text(eth.call(starved.clone(), None).await), "out of gas");
    assert_eq!(
        text(eth.estimate_gas(starved, None).await),
        "gas required exceeds allowance (22000)"
    );
    let overrides = vec![json!({ "to": counter }), json!("latest"), json!({})];
    let refused = client.rpc("eth_call", overrides).await;
    assert!(text(refused).contains("overrides of state or block are not supported"));
    let empty = vec![json!({ "to": counter }), json!("latest"), Value::Null];
    client.rpc("eth_call", empty).await.unwrap();
}
