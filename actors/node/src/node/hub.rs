//! What a node must know of the hub: what is proven there when it starts, and how far it is while the builder goes on.

use zklink::id::BlockNumber;
use zklink_mechanism::port::Port;
use zklink_settlement::{HubTip, HubView, SettlementSource, read_final_hub_view};

use super::{HUB_PATIENCE, Setup};
use crate::builder::HubProgress;

/// The last block that the hub has proven, finally. Zero when the hub does not say so soon: then proofs that are not in
/// the archive are made again.
pub(super) async fn proven(setup: &Setup) -> BlockNumber {
    let deployment = &setup.deployment;
    let chain = &setup.chains[&deployment.hub];
    let contract = deployment.hub_contracts().1.contract;
    let read = read_final_hub_view(&*chain.client, chain.finality, contract);
    match tokio::time::timeout(HUB_PATIENCE, read).await {
        Ok(Ok(view)) => view.map_or(BlockNumber(0), |view| view.proven),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the hub does not say what is proven");
            BlockNumber(0)
        }
        Err(_) => {
            tracing::warn!("the hub does not answer");
            BlockNumber(0)
        }
    }
}

/// Tells the builder what the hub says.
pub(super) fn tell(tip: &HubTip, source: &dyn SettlementSource, builder: &Port<HubProgress>) {
    // A builder that is full hears the same again a moment later.
    drop(builder.tell(progress(&tip.view, tip.time, source)));
}

/// What the builder is told of a hub that was read at this time, Unix seconds.
pub fn progress(hub: &HubView, time: u64, source: &dyn SettlementSource) -> HubProgress {
    let next = hub.committed.next().and_then(|number| source.block(number));
    let (committed, proven) = (hub.committed, hub.proven);
    HubProgress { committed, proven, time, oldest: next.map(|block| block.timestamp) }
}
