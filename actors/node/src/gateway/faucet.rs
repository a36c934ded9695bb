//! Test tokens on development networks: what the gateway asks a faucet for.

use std::future::Future;
use std::pin::Pin;

use zklink::amount::Amount;
use zklink::id::{ChainId, Owner, TokenId};

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

/// Why a faucet gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDrip {
    /// The request asks for what this faucet does not give.
    #[error("{0}")]
    Refused(String),
    /// The chain did not do it.
    #[error("{0}")]
    Failed(String),
}

/// The transaction on the chain, or why there is none.
pub type Dripped = Result<[u8; 32], NoDrip>;
