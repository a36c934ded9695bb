//! Maps errors to the codes that Ethereum nodes use.

use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::{INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE};

use crate::error::ChainError;

/// geth's code for everything that has no other.
const SERVER_ERROR: i32 = -32000;
/// EIP-1474: a limit of the server.
const LIMIT_EXCEEDED: i32 = -32005;
/// The engine's code for a block that is not known.
const UNKNOWN_BLOCK: i32 = -39001;
/// geth's code for a call that reverted.
const REVERTED: i32 = 3;

impl From<ChainError> for ErrorObjectOwned {
    fn from(error: ChainError) -> Self {
        let text = error.to_string();
        match error {
            ChainError::Reverted(output) => Self::owned(REVERTED, text, Some(output)),
            ChainError::LogRange { .. }
            | ChainError::LogResults(_)
            | ChainError::MineBlocks { .. } => Self::owned(LIMIT_EXCEEDED, text, None::<()>),
            ChainError::TagNotFound(_) => Self::owned(UNKNOWN_BLOCK, text, None::<()>),
            ChainError::Params(_)
            | ChainError::LogOrder { .. }
            | ChainError::ReorgBlock { .. }
            | ChainError::Finality { .. }
            | ChainError::Time { .. } => Self::owned(INVALID_PARAMS_CODE, text, None::<()>),
            ChainError::Broken => Self::owned(INTERNAL_ERROR_CODE, text, None::<()>),
            _ => Self::owned(SERVER_ERROR, text, None::<()>),
        }
    }
}
