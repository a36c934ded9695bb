//! Endpoints that fail, lag and lie: the node waits or reads again, says so, credits nothing
//! that is not there, and goes on when the endpoint is right again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zklink::amount::Amount;
use zklink::id::{ChainId, Owner, Serial, SubAccountId};
use zklink_chain::client::ChainClient;
use zklink_chain::endpoint::{Endpoint, EndpointLimits};
use zklink_chain::pair::Paired;
use zklink_chain::wallet::Wallet;
use zklink_devnet::DevChainHandle;
use zklink_node::node::{Node, Setup};
use zklink_node::watcher::{ChainStatus, Halt};

use crate::proxy::{Mode, Proxy};
use crate::world::{ONE, USDC, World, embedded, until};

pub const HUB: ChainId = ChainId(1);
/// The chain whose endpoint is hostile.
pub const SPOKE: ChainId = ChainId(2);
const EVE: [u8; 20] = [0xee; 20];

pub struct Stage {
    _chains: std::collections::BTreeMap<ChainId, DevChainHandle>,
    pub world: World,
    pub proxy: Proxy,
    pub data: tempfile::TempDir,
    user: Wallet,
}

fn limits() -> EndpointLimits {
    EndpointLimits { timeout_ms: 400, max_response_bytes: 1 << 20, ..EndpointLimits::default() }
}

impl Stage {
    pub async fn new() -> Stage {
        Stage::with_lag(2).await
    }

    /// On chains whose final block lies so many blocks below the tip.
    pub async fn with_lag(blocks: u64) -> Stage {
        let (chains, urls) = embedded(2, Duration::from_millis(100), blocks).await;
        let world = World::deploy(&urls).await;
        let proxy = Proxy::start(&urls[&SPOKE].1).await;
        let data = tempfile::tempdir().unwrap();
        let (_, user) = world.user(SPOKE, "hostile user", 1_000).await;
        Stage { _chains: chains, world, proxy, data, user }
    }

    /// A node that reaches the spoke through the proxy, alone or beside an honest endpoint.
    pub async fn node(&self, paired: bool, data: &Path) -> Node {
        Node::start(self.setup(paired, false, data)).await.unwrap()
    }

    /// See [`Stage::node`]; one of two endpoints may be believed alone while the other is away.
    pub fn setup(&self, paired: bool, tolerate_outage: bool, data: &Path) -> Setup {
        let mut setup = self.world.setup(data, 0);
        let honest = Arc::clone(&self.world.clients[&SPOKE].1);
        let hostile = Endpoint::new(&self.proxy.url, limits()).unwrap();
        let hostile: Arc<dyn ChainClient> = Arc::new(hostile);
        let client =
            if paired { Arc::new(Paired::new(hostile, honest, tolerate_outage)) } else { hostile };
        setup.chains.get_mut(&SPOKE).unwrap().client = client;
        setup
    }

    pub async fn deposit(&self) {
        let owner = self.user.owner();
        self.user.deposit_erc20(USDC, ONE, owner, SubAccountId(0)).await.unwrap();
    }

    pub fn status(&self, node: &Node) -> Option<ChainStatus> {
        node.health().chains[&SPOKE].borrow().clone()
    }

    /// So many tokens were credited to the user, and nothing to anybody else.
    pub fn has(&self, node: &Node, tokens: u64) -> bool {
        let view = node.view().read();
        let pool = Amount(u128::from(tokens) * ONE);
        assert_eq!(view.state.account_of(Owner::from_evm(EVE)), None, "Eve made no deposit");
        assert!(view.state.pool(SPOKE, USDC) <= pool, "more is credited than was deposited");
        view.state.pool(SPOKE, USDC) == pool && view.state.cursor(SPOKE) == Serial(tokens)
    }

    pub async fn credited(&self, node: &Node, tokens: u64) {
        until("the credit", async || self.has(node, tokens).then_some(())).await;
    }

    /// Waits until the node says something of the chain, and sees to it that nothing is credited
    /// beyond `tokens`.
    pub async fn told(&self, node: &Node, tokens: u64, word: &str) {
        until(word, async || {
            self.has(node, tokens);
            let error = self.status(node)?.last_error?;
            error.contains(word).then_some(())
        })
        .await;
    }

    /// Waits until the chain is read again because it contradicts itself.
    async fn doubted(&self, node: &Node, tokens: u64) -> Halt {
        until("the doubt", async || {
            self.has(node, tokens);
            self.status(node)?.doubt.map(|(halt, _)| halt)
        })
        .await
    }

    async fn nothing_more(&self, node: &Node, tokens: u64) {
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(self.has(node, tokens));
        }
    }
}

async fn failing() {
    let stage = Stage::new().await;
    let node = stage.node(false, stage.data.path()).await;
    stage.deposit().await;
    stage.credited(&node, 1).await;
    let cases = [
        (Mode::Hang, "does not answer"),
        (Mode::Close, "does not answer"),
        (Mode::Garbage, "that is not"),
        (Mode::Absurd, "that is not"),
        (Mode::Huge, "sent more than 1048576 bytes"),
    ];
    let mut tokens = 1;
    for (mode, word) in cases {
        stage.proxy.set(mode.clone());
        stage.deposit().await;
        stage.told(&node, tokens, word).await;
        assert!(stage.has(&node, tokens), "{mode:?}");
        stage.proxy.set(Mode::Honest);
        tokens += 1;
        stage.credited(&node, tokens).await;
        let status = stage.status(&node).unwrap();
        assert_eq!((status.failures, status.halted), (0, None), "{mode:?}");
    }
    let scanned = stage.status(&node).unwrap().scanned.unwrap();
    for mode in [Mode::Lag(scanned), Mode::Ahead, Mode::OtherChain] {
        stage.proxy.set(mode.clone());
        stage.deposit().await;
        stage.nothing_more(&node, tokens).await;
        stage.proxy.set(Mode::Honest);
        tokens += 1;
        stage.credited(&node, tokens).await;
        assert_eq!(stage.status(&node).unwrap().halted, None, "{mode:?}");
    }
    node.stop("the story is over").await;
}

#[test]
fn an_endpoint_that_fails_or_lags_is_waited_for() {
    zklink_mechanism::shell::run(failing());
}

async fn lying() {
    let stage = Stage::new().await;
    let node = stage.node(false, stage.data.path()).await;
    stage.deposit().await;
    stage.credited(&node, 1).await;

    stage.proxy.set(Mode::Hide);
    stage.deposit().await;
    let doubt = stage.doubted(&node, 1).await;
    assert_eq!(doubt, Halt::Gap { expected: Serial(1), found: Serial(2) });
    // The other chain goes on.
    stage.world.depositor(HUB, "on the hub", 3).await;
    until("the other chain", async || {
        (node.view().read().state.pool(HUB, USDC) == Amount(3 * ONE)).then_some(())
    })
    .await;
    stage.proxy.set(Mode::Honest);
    stage.credited(&node, 2).await;
    assert_eq!(stage.status(&node).unwrap().doubt, None);

    stage.proxy.set(Mode::Invent(2, EVE));
    let doubt = stage.doubted(&node, 2).await;
    assert_eq!(doubt, Halt::Gap { expected: Serial(3), found: Serial(2) });
    assert!(stage.has(&node, 2));
    stage.proxy.set(Mode::Honest);
    stage.deposit().await;
    stage.credited(&node, 3).await;
    node.stop("the story is over").await;
}

#[test]
fn an_endpoint_that_hides_or_invents_events_holds_up_its_chain_alone_until_it_is_right_again() {
    zklink_mechanism::shell::run(lying());
}

async fn disagreeing() {
    let stage = Stage::new().await;
    let node = stage.node(true, stage.data.path()).await;
    stage.deposit().await;
    stage.credited(&node, 1).await;
    let mut tokens = 1;
    for mode in [Mode::Hide, Mode::Inflate, Mode::OtherChain] {
        stage.proxy.set(mode.clone());
        stage.deposit().await;
        stage.told(&node, tokens, "the endpoints disagree on").await;
        assert!(stage.has(&node, tokens), "{mode:?}");
        stage.proxy.set(Mode::Honest);
        tokens += 1;
        stage.credited(&node, tokens).await;
        assert_eq!(stage.status(&node).unwrap().halted, None, "{mode:?}");
    }
    stage.proxy.set(Mode::Invent(tokens, EVE));
    stage.told(&node, tokens, "the endpoints disagree on").await;
    stage.proxy.set(Mode::Honest);
    // A liar cannot make the tip final: the other endpoint's final block is the lower one.
    stage.proxy.set(Mode::Hasty);
    stage.deposit().await;
    stage.credited(&node, tokens + 1).await;
    let status = stage.status(&node).unwrap();
    assert_eq!(status.halted, None);
    node.stop("the story is over").await;
}

#[test]
fn of_two_endpoints_one_may_lie() {
    zklink_mechanism::shell::run(disagreeing());
}
