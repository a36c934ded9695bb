//! What the gateway stands on: where it reads, and where it sends transactions.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use zklink::amount::Amount;
use zklink::id::{BlockNumber, ChainId, Owner, TokenId};
use zklink_client::BlockOnChain;

use crate::archive::ArchiveReader;
use crate::builder::{Submit, ViewReader};
use crate::feed::ReadProgress;
use crate::port::Port;

/// How far settlement is.
pub trait Stages: Send + Sync + 'static {
    /// The last block that is committed on the hub.
    fn committed(&self) -> BlockNumber;

    /// The last block that is proven on the hub.
    fn verified(&self) -> BlockNumber;

    /// The transactions that settled a block, as far as they are known.
    fn on_chain(&self, block: BlockNumber) -> BlockOnChain;
}

/// What a development network's faucet is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaucetRequest {
    /// Whose account is to be credited.
    pub owner: Owner,
    /// The chain where the tokens are to be deposited.
    pub chain: ChainId,
    /// The token.
    pub token: TokenId,
    /// How much, in 18 decimals.
    pub amount: Amount,
}

/// Gives test tokens. Only a development network has one.
pub trait Faucet: Send + Sync + 'static {
    /// Deposits tokens for the owner through the chain's contract; gives the transaction there,
    /// or says why not.
    fn drip(&self, request: FaucetRequest) -> Pin<Box<dyn Future<Output = Dripped> + Send + '_>>;
}

/// The transaction on the chain, or why there is none.
pub type Dripped = Result<[u8; 32], String>;

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
