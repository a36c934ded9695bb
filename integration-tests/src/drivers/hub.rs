//! The driver that follows the hub, for the builder.

use std::sync::Arc;

use zklink::id::ChainId;
use zklink::token::Address;
use zklink_chain::client::ChainClient;
use zklink_mechanism::port::Port;
use zklink_mechanism::timestamp::Timestamp;
use zklink_node::builder::HubProgress;
use zklink_node::node::hub;
use zklink_settlement::{SettlementSource, ViewError, read_hub_view, read_tip};

use super::{Driver, at_once};

/// Reads the hub again and again.
pub struct HubLoop {
    /// The hub.
    pub client: Arc<dyn ChainClient>,
    /// Its contract.
    pub contract: Address,
    /// All chains of the deployment.
    pub chains: Vec<ChainId>,
    /// The sealed blocks.
    pub source: Arc<dyn SettlementSource>,
    /// Who is told.
    pub builder: Port<HubProgress>,
    /// How often, virtual milliseconds.
    pub period_ms: u64,
    /// When it looks again.
    pub due: Timestamp,
}

impl HubLoop {
    fn look(&self) -> Result<(), ViewError> {
        let tip = at_once(read_tip(&*self.client))?;
        let chains = self.chains.iter().copied();
        let view = at_once(read_hub_view(&*self.client, self.contract, chains, tip.number))?;
        let progress = hub::progress(&view, tip.timestamp, &*self.source);
        drop(self.builder.tell(progress));
        Ok(())
    }
}

impl Driver for HubLoop {
    fn beat(&mut self, now: Timestamp) {
        if now >= self.due {
            self.due = now.after(self.period_ms);
            // A hub that does not answer is asked again; the builder knows what it said last.
            drop(self.look());
        }
    }
}
