//! What the gateway stands on: where it reads, and where it sends transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use zklink::id::{BlockNumber, ChainId};
use zklink::token::Network;
use zklink_client::{AlarmView, BlockOnChain, ChainTx, TxStatus};
use zklink_mechanism::port::Port;
use zklink_prover::feed::ReadProgress;
use zklink_store::archive::ArchiveReader;

use super::faucet::Faucet;
use super::present::Moment;
use crate::builder::{Submit, ViewReader};

/// How far settlement is.
pub trait Stages: Send + Sync + 'static {
    /// How far each stage is.
    fn reached(&self) -> Reached;

    /// The transactions that settled a block, as far as they are known.
    fn on_chain(&self, block: BlockNumber) -> BlockOnChain;

    /// The transactions of a chain that made payouts of a block, as far as they are known.
    fn payouts(&self, chain: ChainId, block: BlockNumber) -> Vec<ChainTx>;
}

/// The last block of each stage, as it was last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Committed on the hub.
    pub committed: BlockNumber,
    /// Proven on the hub.
    pub verified: BlockNumber,
    /// Released by the hub.
    pub released: BlockNumber,
    /// Paid to the end, on each chain that was read.
    pub paid: BTreeMap<ChainId, BlockNumber>,
}

impl Reached {
    /// How final a sealed block is.
    pub fn of_block(&self, block: BlockNumber) -> TxStatus {
        if block <= self.verified {
            TxStatus::Verified
        } else if block <= self.committed {
            TxStatus::Committed
        } else {
            TxStatus::Sealed
        }
    }

    /// How far a withdrawal to a chain is, in a sealed block.
    pub fn of_withdrawal(&self, block: BlockNumber, to: ChainId) -> TxStatus {
        if self.paid.get(&to).is_some_and(|paid| block <= *paid) {
            TxStatus::Paid
        } else if block <= self.released {
            TxStatus::Released
        } else {
            self.of_block(block)
        }
    }
}

/// Where the gateway reads, and where it sends transactions.
#[derive(Clone)]
pub struct Sources {
    /// The executed state.
    pub view: ViewReader,
    /// What happened before.
    pub archive: ArchiveReader,
    /// The builder.
    pub submit: Port<Submit>,
    /// The prover feed, where this node has one.
    pub proving: Option<Port<ReadProgress>>,
    /// How far settlement is.
    pub stages: Arc<dyn Stages>,
    /// What an operator must look at now.
    pub alarms: watch::Receiver<Vec<AlarmView>>,
    /// The faucet of a development network.
    pub faucet: Option<Arc<dyn Faucet>>,
}

impl Sources {
    /// What answers about transactions are made of now.
    pub(super) fn moment<'a>(&'a self, network: &'a Network) -> Moment<'a> {
        Moment { reached: self.stages.reached(), stages: &*self.stages, network }
    }
}
