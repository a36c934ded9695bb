//! The driver that follows the hub: for the RPC, which shows how final a block is, and for the builder, which must not
//! run ahead of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::ChainId;
use zklink::token::Address;
use zklink_chain::client::{At, ChainClient};
use zklink_chain::contracts::ReadError;
use zklink_mechanism::port::Port;
use zklink_settlement::{HubView, SettlementSource, read_hub_view};

use crate::builder::HubProgress;

/// What is followed, and who is told.
pub(super) struct HubFollower {
    pub(super) client: Arc<dyn ChainClient>,
    pub(super) contract: Address,
    pub(super) chains: Vec<ChainId>,
    /// The sealed blocks.
    pub(super) source: Arc<dyn SettlementSource>,
    pub(super) view: watch::Sender<HubView>,
    pub(super) builder: Port<HubProgress>,
}

impl HubFollower {
    /// Reads the hub each `period`, until `stop` becomes true or its sender is gone.
    pub(super) async fn run(self, period: Duration, mut stop: watch::Receiver<bool>) {
        loop {
            let round = async {
                if let Err(error) = self.round().await {
                    tracing::debug!(%error, "the hub could not be read");
                }
                tokio::time::sleep(period).await;
            };
            tokio::select! {
                () = round => {}
                stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
            }
        }
    }

    async fn round(&self) -> Result<(), ReadError> {
        let tip = self.client.header(At::Latest).await?;
        let view = read_hub_view(&*self.client, self.contract, self.chains.iter().copied()).await?;
        if let Some(tip) = tip {
            let progress = progress(&view, tip.timestamp, &*self.source);
            // A builder that is full hears the same again a moment later.
            drop(self.builder.tell(progress));
        }
        self.view.send_replace(view);
        Ok(())
    }
}

/// What the builder is told of a hub that was read at this time, Unix seconds.
pub fn progress(hub: &HubView, time: u64, source: &dyn SettlementSource) -> HubProgress {
    let next = hub.committed.next().and_then(|number| source.block(number));
    HubProgress { proven: hub.proven, time, oldest: next.map(|block| block.timestamp) }
}
