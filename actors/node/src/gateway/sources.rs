//! What the gateway stands on: where it reads, and where it sends transactions.

use std::sync::Arc;

use zklink::id::BlockNumber;
use zklink_client::BlockOnChain;
use zklink_mechanism::port::Port;
use zklink_prover::feed::ReadProgress;
use zklink_store::archive::ArchiveReader;

use super::faucet::Faucet;
use crate::builder::{Submit, ViewReader};

/// How far settlement is.
pub trait Stages: Send + Sync + 'static {
    /// The last block that is committed on the hub.
    fn committed(&self) -> BlockNumber;

    /// The last block that is proven on the hub.
    fn verified(&self) -> BlockNumber;

    /// The transactions that settled a block, as far as they are known.
    fn on_chain(&self, block: BlockNumber) -> BlockOnChain;
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
    /// The faucet of a development network.
    pub faucet: Option<Arc<dyn Faucet>>,
}
