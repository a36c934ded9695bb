use std::sync::atomic::{AtomicU64, AtomicUsize};

use serde_json::{Value, json};

use super::*;
use crate::client::hex0x;
use crate::testing::{Asked, Reply, dev_chain, endpoint, scripted_proxy};

/// What an endpoint can do, with a name.
type Kind = (&'static str, fn() -> Reply);

/// What an endpoint can do instead of answering.
fn outages() -> Vec<Kind> {
    vec![
        ("nothing is wrong", || Reply::Pass),
        ("429 with an error", || {
            Reply::Status(429, json!({"error": {"code": 3, "message": "reverted"}}).to_string())
        }),
        ("429 with a result", || Reply::Status(429, json!({"result": null}).to_string())),
        ("503 with an error", || {
            Reply::Status(503, json!({"error": {"code": -32000, "message": "no"}}).to_string())
        }),
        ("502 with a page", || Reply::Status(502, "<html>bad gateway</html>".to_owned())),
        ("403 with words", || Reply::Status(403, "forbidden".to_owned())),
        ("a page", || Reply::Status(200, "<html>welcome</html>".to_owned())),
        ("nothing", || Reply::Status(200, String::new())),
        ("another envelope", || Reply::Status(200, json!({"code": -32007}).to_string())),
        ("a list", || Reply::Status(200, "[]".to_owned())),
        ("an error that is a text", || {
            Reply::Status(200, json!({"id": 1, "error": "rate limit"}).to_string())
        }),
        ("a limit", || Reply::error(-32007, "50/second request limit reached")),
        ("another limit", || Reply::error(-32005, "limit exceeded")),
        ("no such method", || Reply::error(-32601, "method not found")),
        ("no such state", || Reply::error(-32000, "missing trie node 12")),
        ("no such block", || Reply::error(-32000, "header not found")),
        ("a lost answer", || Reply::Lost),
        ("a text for a block", || Reply::Result(json!("0x1"))),
        ("a block without a hash", || Reply::Result(json!({"number": "0x3"}))),
        ("a block of absurd numbers", || {
            let number = "0xffffffffffffffffffffffffffffffffffff";
            Reply::Result(json!({"number": number, "hash": null, "timestamp": -1}))
        }),
    ]
}

/// A proxy that does one of [`outages`].
async fn ailing(behind: String, mode: &Arc<AtomicUsize>) -> Arc<dyn ChainClient> {
    let mode = Arc::clone(mode);
    let script = move |_: &Asked| outages()[mode.load(SeqCst)].1();
    endpoint(&scripted_proxy(behind, script).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_every_kind_of_outage_the_other_endpoint_answers_and_the_fault_is_told() {
    let chain = dev_chain(9120, 1).await;
    chain.mine(4).unwrap();
    let honest = endpoint(&chain.http_url());
    let header = honest.header(At::Number(3)).await.unwrap();
    let mode = Arc::new(AtomicUsize::new(0));
    let ailing = ailing(chain.http_url(), &mode).await;
    for swapped in [false, true] {
        let (first, second) = if swapped { (&honest, &ailing) } else { (&ailing, &honest) };
        let pair = Paired::new(first.clone(), second.clone(), true);
        let strict = pair.strict().unwrap();
        for (kind, (name, _)) in outages().into_iter().enumerate().skip(1) {
            mode.store(kind, SeqCst);
            let error = ailing.header(At::Number(3)).await.unwrap_err();
            assert!(error.is_outage(), "{name}: {error}");
            assert_eq!(pair.header(At::Number(3)).await.as_ref(), Ok(&header), "{name}");
            assert_eq!(pair.nonce([1; 20]).await, Ok(0), "{name}");
            assert_eq!(pair.call(Call::default(), At::Near(3)).await, Ok(vec![]), "{name}");
            assert!(pair.estimate_gas(Call::default()).await.is_ok(), "{name}");
            assert!(pair.fee_market().await.is_ok(), "{name}");
            let error = strict.header(At::Number(3)).await.unwrap_err();
            assert!(error.is_outage(), "{name}: {error}");
            let told = pair.complaints();
            assert!(!told.is_empty(), "{name}");
            for complaint in told {
                assert_eq!(complaint.endpoint, ailing.name(), "{name}");
                let fault = &complaint.fault;
                let known = ["does not answer: ", "cannot serve "];
                assert!(known.iter().any(|known| fault.starts_with(known)), "{name}: {fault}");
            }
            assert!(!ailing.complaints().is_empty(), "{name}");

            mode.store(0, SeqCst);
            assert_eq!(strict.header(At::Number(3)).await.as_ref(), Ok(&header), "{name}");
            for member in [first, second] {
                member.nonce([1; 20]).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complaint_ends_when_the_question_is_answered_well() {
    let chain = dev_chain(9121, 1).await;
    let mode = Arc::new(AtomicUsize::new(4));
    let client = ailing(chain.http_url(), &mode).await;
    assert_eq!(client.complaints(), []);
    client.header(At::Latest).await.unwrap_err();
    let told = client.complaints();
    assert_eq!(told[0].fault, "does not answer: HTTP 502");
    mode.store(14, SeqCst);
    client.header(At::Latest).await.unwrap_err();
    let told = client.complaints();
    let fault = "cannot serve eth_getBlockByNumber: missing trie node 12 (code -32000)";
    assert_eq!((told.len(), &told[0].fault[..]), (1, fault));
    mode.store(0, SeqCst);
    client.nonce([1; 20]).await.unwrap();
    assert_eq!(client.complaints().len(), 1, "another question says nothing of this one");
    client.header(At::Latest).await.unwrap();
    assert_eq!(client.complaints(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_one_endpoint_refuses_is_no_outage() {
    let chain = dev_chain(9122, 1).await;
    chain.mine(9).unwrap();
    let narrow = scripted_proxy(chain.http_url(), |asked| {
        if !asked.is("eth_getLogs") {
            return Reply::Pass;
        }
        let height = |name: &str| {
            let text = asked.params[0][name].as_str().unwrap();
            u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
        };
        let long = height("toBlock") - height("fromBlock") >= 4;
        let words = "query returned more than 10000 results";
        if long { Reply::error(-32005, words) } else { Reply::Pass }
    });
    let narrow = endpoint(&narrow.await);
    let pair = Paired::new(narrow, endpoint(&chain.http_url()), true);
    let query = |to| LogQuery { from: 0, to, addresses: vec![[1; 20]], events: vec![[2; 32]] };
    let error = pair.logs(query(8)).await.unwrap_err();
    assert!(error.asks_too_much() && !error.is_outage(), "{error}");
    assert_eq!(pair.logs(query(3)).await, Ok(vec![]));
    assert_eq!(pair.complaints(), []);
}

/// An endpoint that stands still at a block while it answers, or says that it is far ahead.
struct Stage {
    chain: zklink_devnet::DevChainHandle,
    honest: Arc<dyn ChainClient>,
    odd: Arc<dyn ChainClient>,
    /// What the odd one answers for every tag, or nothing while it is well.
    told: Arc<std::sync::Mutex<Option<Header>>>,
    nonces: Arc<AtomicU64>,
}

impl Stage {
    async fn new(id: u64) -> Stage {
        let chain = dev_chain(id, 1).await;
        chain.mine(5).unwrap();
        let told: Arc<std::sync::Mutex<Option<Header>>> = Arc::default();
        let nonces = Arc::new(AtomicU64::new(0));
        let (of_script, counted) = (Arc::clone(&told), Arc::clone(&nonces));
        let odd = scripted_proxy(chain.http_url(), move |asked| {
            let told = *of_script.lock().unwrap();
            if asked.is("eth_getTransactionCount") {
                counted.fetch_add(1, SeqCst);
            }
            match told {
                Some(header) => odd_answer(asked, header),
                None => Reply::Pass,
            }
        });
        let odd = endpoint(&odd.await);
        Stage { honest: endpoint(&chain.http_url()), chain, odd, told, nonces }
    }

    fn set(&self, told: Option<Header>) {
        *self.told.lock().unwrap() = told;
    }

    fn pair(&self, tolerate: bool) -> Paired {
        let still = Duration::from_millis(150);
        let bounds = LagBounds { still, ..LagBounds::default() };
        Paired::new(self.odd.clone(), self.honest.clone(), tolerate).bounded(bounds)
    }

    /// The chain goes on for ten minutes and as many blocks.
    fn go_on(&self, blocks: u64) {
        self.chain.increase_time(600).unwrap();
        self.chain.mine(blocks).unwrap();
    }
}

fn odd_answer(asked: &Asked, header: Header) -> Reply {
    if asked.is("eth_getLogs") {
        return Reply::Result(json!([]));
    }
    if !asked.is("eth_getBlockByNumber") {
        return Reply::Pass;
    }
    let wanted = asked.params[0].as_str().unwrap();
    match u64::from_str_radix(wanted.trim_start_matches("0x"), 16) {
        Ok(height) if wanted.starts_with("0x") && height > header.number => {
            Reply::Result(Value::Null)
        }
        Ok(height) if wanted.starts_with("0x") && height < header.number => Reply::Pass,
        _ => Reply::Result(json!({
            "number": format!("{:#x}", header.number),
            "hash": hex0x(&header.hash),
            "parentHash": hex0x(&header.parent),
            "timestamp": format!("{:#x}", header.timestamp),
        })),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_stands_still_is_out_of_order_until_it_moves() {
    let stage = Stage::new(9123).await;
    let frozen = stage.honest.header(At::Number(4)).await.unwrap().unwrap();
    let pair = stage.pair(true);
    assert_eq!(pair.header(At::Finalized).await, Ok(Some(frozen)));
    stage.set(Some(frozen));
    stage.go_on(6);
    let upper = stage.honest.header(At::Finalized).await.unwrap().unwrap();
    // At first it may only be late.
    assert_eq!(pair.header(At::Finalized).await, Ok(Some(frozen)));
    let told = |blocks: u64| {
        let fault = format!("stands {blocks} blocks behind");
        vec![Complaint { endpoint: stage.odd.name(), fault }]
    };
    assert_eq!(pair.complaints(), told(upper.number - frozen.number));
    // For the choice of steps the other one counts at once.
    assert_eq!(pair.header(At::Latest).await.unwrap().unwrap().number, upper.number + 1);
    let waits = pair.header(At::Number(upper.number)).await.unwrap_err();
    assert!(matches!(waits, ClientError::Unavailable { .. }), "{waits}");

    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(pair.header(At::Finalized).await, Ok(Some(upper)));
    assert_eq!(pair.header(At::Number(upper.number)).await, Ok(Some(upper)));
    let (addresses, events) = (vec![[1; 20]], vec![[2; 32]]);
    let query = LogQuery { from: 0, to: upper.number, addresses, events };
    assert_eq!(pair.logs(query).await, Ok(vec![]));
    // The strict pair knows the same, and believes no endpoint alone.
    let strict = pair.strict().unwrap();
    assert_eq!(strict.header(At::Finalized).await, Ok(Some(frozen)));
    assert!(!strict.complaints().is_empty());

    stage.set(None);
    stage.chain.mine(1).unwrap();
    let moved = pair.header(At::Finalized).await.unwrap().unwrap();
    pair.header(At::Latest).await.unwrap();
    assert_eq!(moved.number, upper.number + 1);
    assert_eq!(pair.complaints(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tolerance_the_lower_block_stays_in_use_and_it_is_told() {
    let stage = Stage::new(9124).await;
    let frozen = stage.honest.header(At::Number(4)).await.unwrap().unwrap();
    stage.set(Some(frozen));
    stage.go_on(6);
    let pair = stage.pair(false);
    for at in [At::Finalized, At::Latest] {
        assert_eq!(pair.header(at).await, Ok(Some(frozen)));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(pair.header(at).await, Ok(Some(frozen)));
    }
    assert_eq!(pair.complaints()[0].fault, "stands 7 blocks behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_claims_to_be_far_ahead_of_one_that_moves_is_not_believed() {
    let stage = Stage::new(9125).await;
    let pair = stage.pair(true);
    let tip = stage.honest.header(At::Finalized).await.unwrap().unwrap();
    let (number, timestamp) = (tip.number + 1_000, tip.timestamp + 100_000);
    stage.set(Some(Header { number, timestamp, hash: [7; 32], parent: [8; 32] }));
    for _ in 0..8 {
        stage.chain.mine(1).unwrap();
        let honest = stage.honest.header(At::Finalized).await.unwrap();
        assert_eq!(pair.header(At::Finalized).await, Ok(honest));
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    // What it invents above waits for the other one.
    let error = pair.header(At::Number(number)).await.unwrap_err();
    assert!(error.to_string().contains("is not there yet"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_the_tip_go_to_the_endpoint_that_is_in_order() {
    let stage = Stage::new(9126).await;
    let pair = stage.pair(true);
    pair.nonce([1; 20]).await.unwrap();
    assert_eq!(stage.nonces.load(SeqCst), 1, "the first one is asked first");
    stage.set(stage.honest.header(At::Number(4)).await.unwrap());
    stage.go_on(6);
    pair.header(At::Latest).await.unwrap();
    pair.nonce([1; 20]).await.unwrap();
    assert_eq!(stage.nonces.load(SeqCst), 1, "it stands behind");
    stage.set(None);
    pair.header(At::Latest).await.unwrap();
    pair.nonce([1; 20]).await.unwrap();
    assert_eq!(stage.nonces.load(SeqCst), 2, "it is well again");

    // After an outage the other one stays in use.
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let failing = scripted_proxy(stage.chain.http_url(), move |_| {
        counted.fetch_add(1, SeqCst);
        Reply::Status(503, String::new())
    });
    let pair = Paired::new(endpoint(&failing.await), stage.honest.clone(), true);
    for _ in 0..5 {
        pair.nonce([1; 20]).await.unwrap();
    }
    assert_eq!(asked.load(SeqCst), 1);
    assert_eq!(pair.complaints()[0].fault, "does not answer: HTTP 503");
}
