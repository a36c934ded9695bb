//! What the builder hears of the hub, which it must not run ahead of.

use zklink_mechanism::port::Port;
use zklink_settlement::{HubTip, HubView, SettlementSource};

use crate::builder::HubProgress;

/// Tells the builder what the hub says.
pub(super) fn tell(tip: &HubTip, source: &dyn SettlementSource, builder: &Port<HubProgress>) {
    // A builder that is full hears the same again a moment later.
    drop(builder.tell(progress(&tip.view, tip.time, source)));
}

/// What the builder is told of a hub that was read at this time, Unix seconds.
pub fn progress(hub: &HubView, time: u64, source: &dyn SettlementSource) -> HubProgress {
    let next = hub.committed.next().and_then(|number| source.block(number));
    HubProgress { proven: hub.proven, time, oldest: next.map(|block| block.timestamp) }
}
