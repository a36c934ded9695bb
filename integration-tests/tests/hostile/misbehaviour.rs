//! Endpoints as real ones are: limits, replicas, pruned state, odd fee markets. The table in
//! `integration-tests/README.md` names the test of each kind.

use std::time::Duration;

use zklink_node::node::{Bounds, Kind, Node};
use zklink_settlement::Step;

use crate::endpoints::{SPOKE, Stage};
use crate::proxy::Mode;
use crate::world::until;

const JSON: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":429,"message":"too many requests"}}"#;
const HTML: &str = "<html><body>Service Temporarily Unavailable</body></html>";

/// All forms of an outage.
const OUTAGES: [Mode; 8] = [
    Mode::Status(429, ""),
    Mode::Status(429, JSON),
    Mode::Status(503, JSON),
    Mode::Status(502, HTML),
    Mode::Status(200, HTML),
    Mode::Error(-32007, "50/second request limit reached"),
    Mode::Error(-32005, "daily request count exceeded, request rate limited"),
    Mode::Error(-32601, "the method eth_call does not exist/is not available"),
];

async fn with_outages() {
    let stage = Stage::new().await;
    let node = Node::start(stage.setup(true, true, stage.data.path())).await.unwrap();
    let mut tokens = 0;
    for mode in OUTAGES {
        stage.proxy.set(mode.clone());
        stage.deposit().await;
        tokens += 1;
        println!("{mode:?}: the other endpoint is used");
        stage.credited(&node, tokens).await;
        committed(&node, 1).await;
    }
    stage.proxy.set(Mode::Honest);
    stage.deposit().await;
    stage.credited(&node, tokens + 1).await;
    node.stop("the story is over").await;
}

/// Waits until settlement has committed a block above this one on the chain of the hostile endpoint.
async fn committed(node: &Node, least: u32) {
    until("a commit on the chain", async || {
        let done = node.health().report.done();
        let commits = done.iter().filter(|done| done.chain == SPOKE);
        let last = commits.filter_map(|done| match &done.step {
            Step::Commit(range) => Some(range.last.0),
            _ => None,
        });
        last.max().filter(|last| *last >= least)
    })
    .await;
}

#[test]
fn every_form_of_an_outage_of_one_endpoint_leaves_the_other_one_at_work() {
    zklink_mechanism::shell::run(with_outages());
}

async fn alone() {
    let stage = Stage::new().await;
    let node = Node::start(stage.setup(false, false, stage.data.path())).await.unwrap();
    let mut tokens = 0;
    for mode in OUTAGES {
        stage.proxy.set(mode.clone());
        until("a failure", async || {
            stage.status(&node).filter(|status| status.failures > 0).map(drop)
        })
        .await;
        stage.deposit().await;
        stage.proxy.set(Mode::Honest);
        tokens += 1;
        stage.credited(&node, tokens).await;
        assert_eq!(stage.status(&node).unwrap().halted, None, "{mode:?}");
    }
    node.stop("the story is over").await;
}

#[test]
fn every_form_of_an_outage_of_the_only_endpoint_is_waited_out() {
    zklink_mechanism::shell::run(alone());
}

async fn odd_chains() {
    let stage = Stage::new().await;
    let node = Node::start(stage.setup(false, false, stage.data.path())).await.unwrap();
    let mut tokens = 0;
    for mode in [
        Mode::HideSometimes,
        Mode::Replicas(6),
        Mode::RangeLimit(5),
        Mode::NoFeeHistory,
        Mode::LeastTip(30_000_000_000),
        Mode::LateReceipts(5),
    ] {
        stage.proxy.set(mode.clone());
        let before = node.view().read().state.system.number.0;
        for _ in 0..3 {
            stage.deposit().await;
            tokens += 1;
        }
        stage.credited(&node, tokens).await;
        println!("{mode:?}: read");
        committed(&node, before + 1).await;
        println!("{mode:?}: settled");
        assert_eq!(stage.status(&node).unwrap().halted, None, "{mode:?}");
    }
    stage.proxy.set(Mode::Honest);
    node.stop("the story is over").await;
}

#[test]
fn replicas_limits_and_odd_fee_markets_do_not_stop_a_chain() {
    zklink_mechanism::shell::run(odd_chains());
}

async fn pruned() {
    let stage = Stage::with_lag(40).await;
    let node = Node::start(stage.setup(false, false, stage.data.path())).await.unwrap();
    stage.proxy.set(Mode::Pruned);
    for tokens in 1..=3 {
        stage.deposit().await;
        stage.credited(&node, tokens).await;
    }
    // The attesters ask for the state of final blocks: messages wait, but commits do not.
    committed(&node, 1).await;
    assert_eq!(stage.status(&node).unwrap().halted, None);
    node.stop("the story is over").await;
}

#[test]
fn a_server_without_the_state_of_final_blocks_does_not_stop_deposits() {
    zklink_mechanism::shell::run(pruned());
}

/// Waits until there is such an alarm of the hostile endpoint's chain, or none any more.
async fn alarmed(node: &Node, kind: Kind, is: bool) {
    until(kind.name(), async || {
        let alarms = node.health().alarms.borrow().clone();
        let found = alarms.iter().any(|alarm| alarm.kind == kind && alarm.chain == Some(SPOKE));
        (found == is).then_some(())
    })
    .await;
}

async fn alarming() {
    let stage = Stage::new().await;
    let mut setup = stage.setup(true, true, stage.data.path());
    let one = Bounds { stands_still_s: 2, unread_s: 2, endpoint_s: 1, ..Bounds::default() };
    setup.alarms = Bounds { sending_fails_s: 1, ..one };
    setup.chains.get_mut(&SPOKE).unwrap().send.max_fee_per_gas = 1;
    let node = Node::start(setup).await.unwrap();
    stage.deposit().await;
    // Gas costs more than the limit.
    alarmed(&node, Kind::SettlementFails, true).await;
    stage.proxy.set(Mode::Status(503, JSON));
    alarmed(&node, Kind::EndpointFails, true).await;
    stage.proxy.set(Mode::Honest);
    alarmed(&node, Kind::EndpointFails, false).await;
    node.stop("the next one has one endpoint").await;

    let mut setup = stage.setup(false, false, stage.data.path());
    setup.alarms = one;
    let node = Node::start(setup).await.unwrap();
    let scanned = until("a reading", async || stage.status(&node)?.scanned).await;
    stage.proxy.set(Mode::Lag(scanned));
    alarmed(&node, Kind::ChainStandsStill, true).await;
    stage.proxy.set(Mode::Close);
    alarmed(&node, Kind::ChainUnread, true).await;
    stage.proxy.set(Mode::Honest);
    alarmed(&node, Kind::ChainStandsStill, false).await;
    alarmed(&node, Kind::ChainUnread, false).await;
    node.stop("the story is over").await;
}

#[test]
fn what_stands_still_is_told_and_told_to_be_over() {
    zklink_mechanism::shell::run(alarming());
}

async fn limited() {
    let stage = Stage::new().await;
    let node = Node::start(stage.setup(false, false, stage.data.path())).await.unwrap();
    stage.proxy.set(Mode::RangeLimit(3));
    let behind = || {
        let status = stage.status(&node)?;
        Some(status.goal?.saturating_sub(status.scanned?))
    };
    until("the start", async || behind()).await;
    // Ten blocks a second, three in a question. It may be held up for a moment, and catches up.
    tokio::time::sleep(Duration::from_secs(5)).await;
    until("it keeps up", async || behind().filter(|behind| *behind <= 20)).await;
    node.stop("the story is over").await;
}

#[test]
fn a_low_limit_of_a_provider_does_not_leave_the_reading_behind() {
    zklink_mechanism::shell::run(limited());
}
