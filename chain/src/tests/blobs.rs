//! Transactions with blobs: what is signed, what is offered, and what chains say to it.

use std::sync::Mutex;

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction, TxEip4844Variant, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_eips::eip4844::env_settings::EnvKzgSettings;
use serde_json::{Value, json};

use super::*;
use crate::account::EthKey;
use crate::blob::{BLOBS_MAX, BlobError, BlobProofs, Blobs, ELEMENTS_PER_BLOB};
use crate::client::Hash;
use crate::endpoint::VerifiedEndpoint;
use crate::patient::{Patience, Patient};
use crate::sender::Price;
use crate::testing::{Asked, Reply, scripted_proxy};
use crate::transaction::{Terms, sign};

/// The first account of the test mnemonic of many development chains.
const KNOWN: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// The versioned hash of a blob of zeros, whose commitment is the point at infinity.
const OF_ZEROS: &str = "010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014";
/// The order of BLS12-381.
const ORDER: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";

const TERMS: Terms = Terms {
    chain_id: 1,
    nonce: 7,
    gas: 100_000,
    max_fee: 30_000_000_000,
    priority_fee: 1_000_000_000,
    blob_fee: 5_000_000_000,
    blob_proofs: BlobProofs::Cell,
};

fn word(byte: u8) -> [u8; 32] {
    let mut word = [0; 32];
    word[31] = byte;
    word
}

fn bytes32(hex: &str) -> [u8; 32] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

fn with(words: &[[u8; 32]]) -> Call {
    let blobs = Some(Blobs::new(words).unwrap());
    Call { to: Some([0x11; 20]), value: 9, data: vec![1, 2, 3], blobs, ..Call::default() }
}

/// The transaction with its sidecar.
fn decoded(raw: &[u8]) -> TxEnvelope {
    TxEnvelope::decode_2718_exact(raw).unwrap()
}

fn variant(envelope: &TxEnvelope) -> &TxEip4844Variant {
    envelope.as_eip4844().unwrap().tx()
}

#[test]
fn a_signed_call_has_the_hash_that_everybody_computes() {
    let key = EthKey::from_hex(KNOWN).unwrap();
    let call = Call { to: Some([0x11; 20]), value: 9, data: vec![1, 2, 3], ..Call::default() };
    let signed = sign(&call, TERMS, &key).unwrap();
    assert_eq!(
        hex_of(&signed.hash),
        "f4133990a468456ae24af3b94c73affbb95b6bb2d2095c0ef5633f22217ea20a"
    );
    assert_eq!(zklink::tx::keccak(&[&signed.raw]), signed.hash);
    let creation = Call { to: None, ..call };
    let signed = sign(&creation, TERMS, &key).unwrap();
    assert_eq!(
        hex_of(&signed.hash),
        "02391a697b7d23f9f634c34038711f0561e714c48cd6dee1fe32121dac31072c"
    );
    let signed = sign(&with(&[word(0)]), TERMS, &key).unwrap();
    assert_eq!(
        hex_of(&signed.hash),
        "b3db0b86d332c552716fae2f8aa1e558dd7f38e2206951dbbf7676d67b062dbb"
    );
}

#[test]
fn a_transaction_with_blobs_is_decoded_with_valid_proofs_in_both_forms() {
    let key = EthKey::from_hex(KNOWN).unwrap();
    let mut words = vec![word(0); ELEMENTS_PER_BLOB];
    words.extend([word(3), word(4)]);
    let call = with(&words);
    let blobs = call.blobs.clone().unwrap();
    assert_eq!((blobs.count(), blobs.gas()), (2, 262_144));
    assert_eq!(hex_of(&blobs.hashes()[0]), OF_ZEROS);
    let mut found = Vec::new();
    for blob_proofs in [BlobProofs::Cell, BlobProofs::Blob] {
        let signed = sign(&call, Terms { blob_proofs, ..TERMS }, &key).unwrap();
        let envelope = decoded(&signed.raw);
        assert_eq!(envelope.tx_hash().0, signed.hash);
        assert_eq!(envelope.recover_signer().unwrap().0.0, key.address());
        let TxEip4844Variant::TxEip4844WithSidecar(tx) = variant(&envelope) else {
            panic!("no sidecar")
        };
        assert_eq!(tx.sidecar.is_eip7594(), blob_proofs == BlobProofs::Cell);
        let hashes = tx.tx.blob_versioned_hashes.clone();
        assert_eq!(hashes.iter().map(|hash| hash.0).collect::<Vec<Hash>>(), blobs.hashes());
        tx.sidecar.validate(&hashes, EnvKzgSettings::Default.get()).unwrap();
        assert_eq!(tx.sidecar.blobs()[1][..64], [word(3), word(4)].concat());
        assert_eq!((tx.max_fee_per_blob_gas(), tx.gas_limit()), (Some(5_000_000_000), 100_000));
        assert_eq!((tx.tx.to.0.0, tx.tx.nonce, tx.tx.chain_id), ([0x11; 20], 7, 1));
        assert_eq!((tx.tx.input.to_vec(), tx.tx.value.to::<u128>()), (vec![1, 2, 3], 9));
        found.push(signed.hash);
    }
    assert_eq!(found[0], found[1], "the form of the proofs is not signed");
}

#[test]
fn what_no_blob_can_hold_is_refused() {
    let order = bytes32(ORDER);
    let mut largest = order;
    largest[31] -= 1;
    assert!(Blobs::new(&[largest]).is_ok());
    assert_eq!(Blobs::new(&[]), Err(BlobError::Empty));
    assert_eq!(Blobs::new(&[word(1), order]), Err(BlobError::NotAnElement { index: 1 }));
    let many = vec![word(0); BLOBS_MAX * ELEMENTS_PER_BLOB + 1];
    let refused = BlobError::TooMany { count: BLOBS_MAX + 1, limit: BLOBS_MAX };
    assert_eq!(Blobs::new(&many), Err(refused));
    let creation = Call { to: None, ..with(&[word(1)]) };
    assert_eq!(sign(&creation, TERMS, &key("alice")), Err(BlobError::NoReceiver));
    assert_ne!(Blobs::new(&[word(1)]), Blobs::new(&[word(2)]));
}

/// What a transaction offered: for gas, for the producer, for blob gas.
type Fees = (u128, u128, u128);

/// What was handed in to a chain that takes blobs and, unless a receipt is wanted, mines nothing.
#[derive(Clone, Default)]
struct Pool {
    offers: Arc<Mutex<Vec<Fees>>>,
    forms: Arc<Mutex<Vec<BlobProofs>>>,
    trials: Arc<Mutex<Vec<Value>>>,
}

impl Pool {
    /// The answer to what the development chain does not know, which has no blobs.
    fn reply(&self, asked: &Asked, mines: bool) -> Reply {
        match asked.method.as_str() {
            "eth_blobBaseFee" => Reply::Result(json!("0x64")),
            "eth_estimateGas" => {
                self.trials.lock().unwrap().push(asked.params[0].clone());
                Reply::Result(json!("0x5208"))
            }
            "eth_sendRawTransaction" => {
                let hex = asked.params[0].as_str().unwrap()[2..].to_owned();
                let envelope = decoded(&hex::decode(hex).unwrap());
                let cell = variant(&envelope).sidecar().unwrap().is_eip7594();
                let form = if cell { BlobProofs::Cell } else { BlobProofs::Blob };
                self.forms.lock().unwrap().push(form);
                let tip = envelope.max_priority_fee_per_gas().unwrap();
                let blob_fee = envelope.max_fee_per_blob_gas().unwrap();
                self.offers.lock().unwrap().push((envelope.max_fee_per_gas(), tip, blob_fee));
                Reply::Result(json!(format!("{:?}", envelope.tx_hash())))
            }
            "eth_getTransactionReceipt" if mines => Reply::Result(json!({
                "transactionHash": asked.params[0],
                "blockNumber": "0x1",
                "blockHash": format!("0x{}", "11".repeat(32)),
                "status": "0x1",
                "gasUsed": "0x5208",
            })),
            _ => Reply::Pass,
        }
    }

    fn offers(&self) -> Vec<Fees> {
        self.offers.lock().unwrap().clone()
    }

    fn forms(&self) -> Vec<BlobProofs> {
        self.forms.lock().unwrap().clone()
    }
}

/// A sender to a development chain behind a script.
async fn scripted(
    id: u64,
    policy: SendPolicy,
    script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (zklink_devnet::DevChainHandle, Sender) {
    let chain = dev_chain(id, 1).await;
    let url = scripted_proxy(chain.http_url(), script).await;
    let sender = Sender::new(endpoint(&url), key("alice"), id, policy);
    (chain, sender)
}

fn of_blobs(error: SendError) -> BlobError {
    match error {
        SendError::Client(ClientError::Blobs { reason, .. }) => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_blobs_is_replaced_at_twice_of_every_fee_up_to_the_limits() {
    let policy = SendPolicy { poll_ms: 1, polls_before_raise: 1, raises: 30, ..quick() };
    for (id, of, policy) in [
        (9150, Price::BlobGas, SendPolicy { max_fee_per_blob_gas: 1_700, ..policy.clone() }),
        (9151, Price::Gas, SendPolicy { max_fee_per_gas: 15_000_000_000, ..policy }),
    ] {
        let pool = Pool::default();
        let seen = pool.clone();
        let (limit, blob_limit) = (policy.max_fee_per_gas, policy.max_fee_per_blob_gas);
        let (_chain, sender) = scripted(id, policy, move |asked| seen.reply(asked, false)).await;
        let error = sender.send(with(&[word(5)])).await.unwrap_err();
        let SendError::TooExpensive { of: found, needed, limit: told } = &error else {
            panic!("{error}")
        };
        assert_eq!(*found, of, "{error}");
        assert!(needed > told, "{error}");
        let named = if of == Price::Gas { "max_fee_per_gas" } else { "max_fee_per_blob_gas" };
        assert!(error.to_string().ends_with(&format!("raise {named}")), "{error}");
        let offers = pool.offers();
        // Twice the base fees, and the least tip: 200, 400, 800, 1600, or 1.76 up to 14.08 gwei.
        assert_eq!(offers[0], (1_760_000_000, 10_000_000, 200));
        assert_eq!(offers.len(), 4, "{offers:?}");
        for pair in offers.windows(2) {
            let [(gas, tip, blob), (more_gas, more_tip, more_blob)] = [pair[0], pair[1]];
            assert_eq!((more_gas, more_tip, more_blob), (2 * gas, 2 * tip, 2 * blob));
            assert!(more_gas <= limit && more_blob <= blob_limit, "{offers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_of_blobs_above_the_limit_or_refused_in_words_is_met_or_told() {
    let poor = SendPolicy { max_fee_per_blob_gas: 99, ..quick() };
    let (_chain, sender) = scripted(9152, poor, |asked| Pool::default().reply(asked, true)).await;
    let error = sender.send(with(&[word(5)])).await.unwrap_err();
    let wanted = SendError::TooExpensive { of: Price::BlobGas, needed: 100, limit: 99 };
    assert_eq!(error, wanted);

    let pool = Pool::default();
    let seen = pool.clone();
    let script = move |asked: &Asked| match asked.is("eth_sendRawTransaction") {
        true if asked.count == 1 => Reply::error(
            -32000,
            "max fee per blob gas less than block blob gas fee: address 0x12 blobGasFeeCap: 200, \
             blobBaseFee: 700",
        ),
        _ => seen.reply(asked, true),
    };
    let (_chain, sender) = scripted(9153, quick(), script).await;
    let call = with(&[word(5)]);
    assert!(sender.send(call.clone()).await.unwrap().success);
    assert_eq!(pool.offers(), [(1_760_000_000, 10_000_000, 1_400)]);
    // The contract was asked with the hashes that it will see.
    let trial = pool.trials.lock().unwrap()[0].clone();
    let hash = format!("0x{}", hex_of(&call.blobs.unwrap().hashes()[0]));
    assert_eq!(trial["blobVersionedHashes"], json!([hash]));
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_proven_as_the_chain_wants_it() {
    let refuses = |refused: BlobProofs| {
        let seen = Pool::default();
        let all = seen.clone();
        let script = move |asked: &Asked| {
            let answer = seen.reply(asked, true);
            let wrong = asked.is("eth_sendRawTransaction")
                && seen.forms().last().is_some_and(|form| *form == refused);
            let words = "invalid sidecar: unexpected sidecar version, want: 0, got: 1";
            if wrong { Reply::error(-32000, words) } else { answer }
        };
        (all, script)
    };
    let (cell, blob) = (BlobProofs::Cell, BlobProofs::Blob);
    for (id, first, refused, forms) in [
        (9154, cell, cell, vec![cell, blob, blob]),
        (9155, blob, blob, vec![blob, cell, cell]),
        (9156, cell, blob, vec![cell, cell]),
    ] {
        let (pool, script) = refuses(refused);
        let policy = SendPolicy { blob_proofs: first, ..quick() };
        let (_chain, sender) = scripted(id, policy, script).await;
        assert!(sender.send(with(&[word(1)])).await.unwrap().success);
        // What was taken is remembered.
        assert!(sender.send(with(&[word(2)])).await.unwrap().success);
        assert_eq!(pool.forms(), forms);
    }
    let script = |asked: &Asked| match asked.is("eth_sendRawTransaction") {
        true => Reply::error(-32000, "unexpected eip-4844 sidecar after osaka"),
        false => Pool::default().reply(asked, true),
    };
    let (_chain, sender) = scripted(9157, quick(), script).await;
    let error = sender.send(with(&[word(1)])).await.unwrap_err();
    assert_eq!(of_blobs(error), BlobError::Proofs);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_blobs_than_the_policy_allows_are_not_sent() {
    let pool = Pool::default();
    let seen = pool.clone();
    let policy = SendPolicy { max_blobs: 1, ..quick() };
    let (_chain, sender) = scripted(9158, policy, move |asked| seen.reply(asked, true)).await;
    let two = vec![word(0); ELEMENTS_PER_BLOB + 1];
    let error = sender.send(with(&two)).await.unwrap_err();
    assert_eq!(of_blobs(error), BlobError::TooMany { count: 2, limit: 1 });
    assert_eq!(pool.offers(), []);
    let old: SendPolicy = serde_json::from_value(json!({"max_fee_per_gas": 5})).unwrap();
    assert_eq!((old.max_blobs, old.blob_proofs), (6, BlobProofs::Cell));
    assert_eq!(old.max_fee_per_blob_gas, 100_000_000_000);
}

/// A chain that knows nothing of blobs, or only what its blocks say.
fn lacks_blobs(asked: &Asked, blocks: bool) -> Reply {
    let without = |field: &'static str| {
        Reply::Changed(Box::new(move |mut result| {
            result.as_object_mut().unwrap().remove(field);
            result
        }))
    };
    match asked.method.as_str() {
        "eth_blobBaseFee" => Reply::error(-32601, "the method does not exist/is not available"),
        "eth_feeHistory" if !blocks => without("baseFeePerBlobGas"),
        "eth_getBlockByNumber" if !blocks => without("excessBlobGas"),
        _ => Reply::Pass,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_without_blobs_says_so() {
    let (chain, sender) = scripted(9159, quick(), |asked| lacks_blobs(asked, false)).await;
    let error = sender.send(with(&[word(1)])).await.unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with("the chain takes no blobs: publish there in call data"), "{text}");
    assert_eq!(of_blobs(error), BlobError::Unknown);
    // It is not asked for calls without blobs, which are sent as ever.
    assert!(sender.send(Call { to: Some([1; 20]), ..Call::default() }).await.unwrap().success);
    // Some count blob gas in their blocks and take no such transaction, as this one does.
    let honest = Sender::new(endpoint(&chain.http_url()), key("bob"), 9159, quick());
    assert_eq!(of_blobs(honest.send(with(&[word(1)])).await.unwrap_err()), BlobError::Unknown);
    let given = Call { gas: Some(50_000), ..with(&[word(1)]) };
    assert_eq!(of_blobs(honest.send(given).await.unwrap_err()), BlobError::Unknown);
    // One that takes the trial and not the transaction.
    let pool = |asked: &Asked| match asked.is("eth_sendRawTransaction") {
        true => Reply::error(-32000, "transaction type not supported"),
        false => Pool::default().reply(asked, false),
    };
    let (_chain, sender) = scripted(9160, quick(), pool).await;
    assert_eq!(of_blobs(sender.send(with(&[word(1)])).await.unwrap_err()), BlobError::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_of_blobs_is_known_through_every_client_and_nonsense_is_refused() {
    let chain = dev_chain(9161, 1).await;
    let served = |answer: Option<Value>| {
        let url = chain.http_url();
        async move {
            let script = move |asked: &Asked| match (&answer, asked.is("eth_blobBaseFee")) {
                (Some(answer), true) => Reply::Result(answer.clone()),
                _ => lacks_blobs(asked, true),
            };
            scripted_proxy(url, script).await
        }
    };
    // From the recent blocks, where the question is not known or answered by nothing.
    for answer in [None, Some(Value::Null), Some(json!([])), Some(json!("blobs"))] {
        assert_eq!(endpoint(&served(answer).await).blob_base_fee().await, Ok(Some(1)));
    }
    let url = served(Some(json!("0x64"))).await;
    let limits = EndpointLimits::default();
    let verified = VerifiedEndpoint::new(&url, 9161, limits.clone()).unwrap();
    let wrong = VerifiedEndpoint::new(&url, 9162, limits).unwrap();
    assert!(matches!(wrong.blob_base_fee().await, Err(ClientError::WrongChain { .. })));
    let dead = endpoint("http://127.0.0.1:9");
    assert!(dead.blob_base_fee().await.unwrap_err().is_outage());
    let pair: Arc<dyn ChainClient> = Arc::new(Paired::new(dead, Arc::new(verified), true));
    assert_eq!(pair.blob_base_fee().await, Ok(Some(100)));
    assert_eq!(Patient::new(pair, Patience::default()).blob_base_fee().await, Ok(Some(100)));
    let huge = json!(format!("0x{}", "f".repeat(40)));
    let error = endpoint(&served(Some(huge)).await).blob_base_fee().await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}
