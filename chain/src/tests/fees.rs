//! What gas costs, where endpoints say it in different ways or not at all, and what is offered.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use serde_json::{Value, json};

use super::*;
use crate::client::{FeeMarket, Receipt};
use crate::testing::{Asked, Reply, scripted_proxy};

/// The base fee of a development chain after its empty block 0.
const BASE_FEE: u128 = 875_000_000;

async fn market(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> FeeMarket {
    let chain = dev_chain(9130, 1).await;
    endpoint(&scripted_proxy(chain.http_url(), script).await).fee_market().await.unwrap()
}

fn lacks(asked: &Asked, methods: &[&str]) -> bool {
    methods.contains(&asked.method.as_str())
}

fn no_method() -> Reply {
    Reply::error(-32601, "the method does not exist/is not available")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_of_gas_is_known_on_chains_of_every_kind() {
    for history in [
        || no_method(),
        || Reply::Status(400, String::new()),
        || Reply::Result(Value::Null),
        || Reply::Result(json!({"baseFeePerGas": [], "reward": []})),
        || Reply::Result(json!({"oldestBlock": "0x0"})),
    ] {
        let found = market(move |asked| match asked.method.as_str() {
            "eth_feeHistory" => history(),
            "eth_maxPriorityFeePerGas" => Reply::Result(json!("0x5")),
            _ => Reply::Pass,
        });
        // The base fee of the newest block, which is the first one.
        assert_eq!(found.await, FeeMarket { base_fee: 1_000_000_000, priority_fee: 5 });
    }
    let price = |asked: &Asked| match asked.method.as_str() {
        "eth_gasPrice" => Reply::Result(json!("0x77359400")),
        _ => Reply::Pass,
    };
    let whole = FeeMarket { base_fee: 0, priority_fee: 2_000_000_000 };
    let found = market(move |asked| {
        let missing = lacks(asked, &["eth_feeHistory", "eth_maxPriorityFeePerGas"]);
        if missing { no_method() } else { price(asked) }
    });
    assert_eq!(found.await, whole);
    // A chain from before EIP-1559.
    let found = market(move |asked| match asked.method.as_str() {
        "eth_feeHistory" => no_method(),
        "eth_getBlockByNumber" => Reply::Changed(Box::new(|mut block| {
            block.as_object_mut().unwrap().remove("baseFeePerGas");
            block
        })),
        _ => price(asked),
    });
    assert_eq!(found.await, whole);
    // One whose base fee is zero, and whose last blocks were empty.
    let empty = json!({"baseFeePerGas": ["0x0", "0x0"], "reward": [["0x0"]]});
    let found = market(move |asked| match asked.method.as_str() {
        "eth_feeHistory" => Reply::Result(empty.clone()),
        _ => price(asked),
    });
    assert_eq!(found.await, whole);
}

/// A sender whose transactions pass a script, and how often one was handed in.
async fn scripted(
    chain: &zklink_devnet::DevChainHandle,
    role: &str,
    policy: SendPolicy,
    script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Sender, Arc<AtomicU64>) {
    let handed_in = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&handed_in);
    let url = scripted_proxy(chain.http_url(), move |asked| {
        if asked.is("eth_sendRawTransaction") {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        script(asked)
    });
    let client = endpoint(&url.await);
    (Sender::new(client, key(role), chain.chain_id(), policy), handed_in)
}

fn five() -> Call {
    Call { to: Some([1; 20]), value: 5, ..Call::default() }
}

/// A minute until a fee is raised for want of a receipt.
fn slow_to_raise() -> SendPolicy {
    SendPolicy { poll_ms: 5, polls_before_raise: 12_000, ..quick() }
}

async fn quickly(sent: impl Future<Output = Result<Receipt, SendError>>) -> Receipt {
    let sent = tokio::time::timeout(Duration::from_secs(20), sent).await;
    sent.expect("it waits").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tip_that_an_endpoint_demands_is_paid_at_once_and_remembered() {
    let chain = dev_chain(9131, 1).await;
    let words = "transaction underpriced: gas tip cap 10000000, minimum needed 2000000000";
    let script = move |asked: &Asked| match (asked.is("eth_sendRawTransaction"), asked.count) {
        (true, 1) => Reply::error(-32000, words),
        _ => Reply::Pass,
    };
    let (sender, handed_in) = scripted(&chain, "alice", slow_to_raise(), script).await;
    let receipt = quickly(sender.send(five())).await;
    assert_eq!(receipt.gas_price, BASE_FEE + 2_000_000_000);
    assert_eq!(handed_in.load(SeqCst), 2);
    let receipt = quickly(sender.send(five())).await;
    assert!(receipt.gas_price > 2_000_000_000, "it is remembered: {}", receipt.gas_price);
    assert_eq!(handed_in.load(SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_is_refused_without_a_number_is_doubled_until_it_is_taken_or_too_high() {
    let chain = dev_chain(9132, 1).await;
    let script = |least: u64| {
        move |asked: &Asked| match asked.is("eth_sendRawTransaction") && asked.count < least {
            true => Reply::error(-32000, "transaction underpriced"),
            false => Reply::Pass,
        }
    };
    let (sender, _) = scripted(&chain, "alice", slow_to_raise(), script(5)).await;
    let receipt = quickly(sender.send(five())).await;
    assert_eq!(receipt.gas_price, BASE_FEE + 16 * 10_000_000);
    let (sender, _) = scripted(&chain, "bob", slow_to_raise(), script(u64::MAX)).await;
    let sent = tokio::time::timeout(Duration::from_secs(20), sender.send(five())).await;
    let error = sent.expect("it waits").unwrap_err();
    assert!(matches!(error, SendError::TooExpensive { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fee_below_that_of_the_block_is_raised_at_once() {
    let chain = dev_chain(9133, 1).await;
    let words = "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: \
                 3000000000";
    // The first transaction is refused however often it comes.
    let first: Mutex<Option<Value>> = Mutex::default();
    let script = move |asked: &Asked| {
        if !asked.is("eth_sendRawTransaction") {
            return Reply::Pass;
        }
        let mut first = first.lock().unwrap();
        let refused = *first.get_or_insert(asked.params[0].clone()) == asked.params[0];
        if refused { Reply::error(-32000, words) } else { Reply::Pass }
    };
    let (sender, handed_in) = scripted(&chain, "alice", slow_to_raise(), script).await;
    quickly(sender.send(five())).await;
    assert_eq!(handed_in.load(SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_attempt_with_the_same_nonce_goes_on_above_the_last_price_until_the_limit() {
    let chain = dev_chain(9134, 1).await;
    chain.set_mining(Mining::Manual).unwrap();
    let policy = SendPolicy { poll_ms: 2, polls_before_raise: 2, raises: 0, ..quick() };
    let taken: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = Arc::clone(&taken);
    let script = move |asked: &Asked| {
        if asked.is("eth_sendRawTransaction") {
            noted.lock().unwrap().push(asked.params[0].clone());
        }
        Reply::Pass
    };
    // Room for the first offer of 1.76 gwei and a few raises.
    let policy = SendPolicy { max_fee_per_gas: 4_000_000_000, ..policy };
    let (sender, _) = scripted(&chain, "alice", policy, script).await;
    let mut errors = Vec::new();
    for _ in 0..8 {
        errors.push(sender.send(five()).await.unwrap_err());
    }
    let stuck = errors.iter().filter(|error| matches!(error, SendError::Stuck { .. })).count();
    assert_eq!(stuck, 5, "1.76, 2.2, 2.75, 3.4, 4: {errors:?}");
    let limited = |error: &SendError| matches!(error, SendError::TooExpensive { .. });
    assert!(errors[5..].iter().all(limited), "{errors:?}");
    // The chain would have refused any that is not a tenth above the one before.
    assert_eq!(taken.lock().unwrap().len(), 5);
    chain.set_mining(Mining::Auto).unwrap();
    chain.mine(1).unwrap();
    let client = endpoint(&chain.http_url());
    assert_eq!(client.balance([1; 20], At::Latest).await, Ok(5), "and one of them was mined");
    let mut paid = 0;
    let taken = taken.lock().unwrap().clone();
    for raw in taken {
        let raw = hex::decode(&raw.as_str().unwrap()[2..]).unwrap();
        let receipt = client.receipt(zklink::tx::keccak(&[&raw])).await.unwrap();
        paid = receipt.map_or(paid, |receipt| receipt.gas_price);
    }
    assert!(paid > BASE_FEE + 24_000_000, "the tip was raised four times: {paid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_coins_is_told_with_what_it_needs() {
    let chain = dev_chain(9135, 1).await;
    let (sender, handed_in) = scripted(&chain, "pauper", quick(), |_| Reply::Pass).await;
    let error = sender.send(five()).await.unwrap_err();
    let address = key("pauper").address();
    assert_eq!(error, SendError::NoCoins { address, needed: None });
    assert_eq!(handed_in.load(SeqCst), 0);
    let call = Call { to: Some([1; 20]), gas: Some(30_000), ..Call::default() };
    let error = sender.send(call).await.unwrap_err();
    let needed = Some(30_000 * (2 * BASE_FEE + 10_000_000));
    assert_eq!(error, SendError::NoCoins { address, needed });
    assert!(error.to_string().contains("send some there"), "{error}");
}
