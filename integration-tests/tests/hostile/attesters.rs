//! An endpoint that lies about messages between chains gets no signature, and one that hides them is missed: once it
//! stops, the messages go on without a restart. A wrong signature would show: no attester signs a second payload for
//! the same number, so the true message could never be delivered.

use std::time::Duration;

use zklink_chain::client::At;
use zklink_chain::contracts::{LightOracle, read};

use crate::endpoints::{HUB, SPOKE, Stage};
use crate::proxy::Mode;
use crate::world::until;

impl Stage {
    /// Messages that left the spoke for the hub.
    async fn sent(&self) -> u64 {
        let oracle = self.world.deployment.chain(SPOKE).unwrap().oracle;
        let call = LightOracle::sentCountCall { destination: HUB.0 };
        read(&*self.world.clients[&SPOKE].1, oracle, &call, At::Latest).await.unwrap()
    }

    /// Messages of the spoke that the hub took.
    async fn taken(&self) -> u64 {
        let oracle = self.world.deployment.chain(HUB).unwrap().oracle;
        let call = LightOracle::deliveredCountCall { source: SPOKE.0 };
        read(&*self.world.clients[&HUB].1, oracle, &call, At::Latest).await.unwrap()
    }
}

async fn messages(paired: bool) {
    let stage = Stage::new().await;
    let node = stage.node(paired, stage.data.path()).await;
    let mut messages = 0;
    for mode in [Mode::HideMessages, Mode::ForgeMessages] {
        stage.proxy.set(mode.clone());
        stage.deposit().await;
        messages += 1;
        until("an ack that leaves", async || (stage.sent().await == messages).then_some(())).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(stage.taken().await, messages - 1, "{mode:?}");
        stage.proxy.set(Mode::Honest);
        until("its delivery", async || (stage.taken().await == messages).then_some(())).await;
    }
    node.stop("the story is over").await;
}

#[test]
fn an_endpoint_that_hides_or_forges_messages_gets_no_signature_and_is_forgiven() {
    zklink_mechanism::shell::run(messages(false));
}

#[test]
fn of_two_endpoints_one_may_hide_or_forge_messages() {
    zklink_mechanism::shell::run(messages(true));
}
