//! Errors of the RPC: stable codes, texts for people, and data that say what to do.
//!
//! The codes from 100 to 215 and 500 are those that zkLink publishes; negative ones are JSON-RPC's
//! and Ethereum's.

use std::borrow::Cow;

use jsonrpsee::types::ErrorObjectOwned;
use serde::{Deserialize, Serialize};
use zklink::reject::Reject;

/// The codes. They never change their meaning.
pub mod code {
    /// A parameter is missing or cannot be read.
    pub const PARAMS: i32 = -32602;
    /// The node has as much work as it may hold, or this connection asked too often: HTTP's 429.
    pub const LIMIT: i32 = -32005;
    /// The method is not served by this node.
    pub const UNSUPPORTED: i32 = -32004;
    /// The node did not answer in time, or is stopping.
    pub const UNAVAILABLE: i32 = -32002;
    /// No such chain.
    pub const CHAIN_ID: i32 = 100;
    /// An account id is out of range.
    pub const ACCOUNT_ID: i32 = 101;
    /// A sub-account id is out of range.
    pub const SUB_ACCOUNT_ID: i32 = 102;
    /// No such token.
    pub const TOKEN_ID: i32 = 103;
    /// A number of something is out of range: blocks, pages, limits.
    pub const RANGE: i32 = 104;
    /// The transaction cannot be what it says.
    pub const TX_FORMAT: i32 = 106;
    /// The account does not exist.
    pub const ACCOUNT_NOT_FOUND: i32 = 201;
    /// The transaction is not known.
    pub const TX_NOT_FOUND: i32 = 203;
    /// The block does not exist.
    pub const BLOCK_NOT_FOUND: i32 = 214;
    /// The node failed.
    pub const INTERNAL: i32 = 500;
}

/// What comes with every error of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorData {
    /// What the caller can do about it.
    pub hint: Cow<'static, str>,
    /// How long to wait before the next attempt, where waiting helps, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// An error with a hint.
pub fn error(
    code: i32,
    message: impl Into<String>,
    hint: impl Into<Cow<'static, str>>,
) -> ErrorObjectOwned {
    let data = ErrorData { hint: hint.into(), retry_after_ms: None };
    ErrorObjectOwned::owned(code, message, Some(data))
}

/// An error that goes away by waiting.
pub fn busy(code: i32, message: impl Into<String>, retry_after_ms: u64) -> ErrorObjectOwned {
    let hint = Cow::Borrowed("wait, then send the same request again");
    let data = ErrorData { hint, retry_after_ms: Some(retry_after_ms) };
    ErrorObjectOwned::owned(code, message, Some(data))
}

/// A rejection with zkLink's code, its text, and what to do about it.
pub fn rejected(reject: &Reject) -> ErrorObjectOwned {
    error(reject.code(), reject.to_string(), reject_hint(reject))
}

/// What a sender can do about a rejection.
pub fn reject_hint(reject: &Reject) -> &'static str {
    match reject {
        Reject::UnknownChain(_) => "use a chain of getSupportChains",
        Reject::BadAccount(_) => "use the id that getAccount gives",
        Reject::BadSubAccount(_) => "use a sub-account from 0 to 31",
        Reject::UnknownToken(_) => "use a token that getSupportTokens lists for that chain",
        Reject::BadReceiver => {
            "give an EVM address that is no contract of this deployment and no token of it; a contract \
             has `@` and its chain behind the address, except in payouts"
        }
        Reject::AmountOverflow => "use a smaller amount",
        Reject::Dust { .. } => "round the amount down to the decimals of the token on that chain",
        Reject::AccountNotFound(_) => "make the account by a deposit or a transfer to its address",
        Reject::OwnerMismatch(_) => "ask getAccount for the id of this address",
        Reject::AccountsFull => "send to an address that has an account",
        Reject::KeyNotSet(_) => "send a ChangePubKey first",
        Reject::Nonce { .. } => "ask getAccount for the nonce, sign again with it, and send",
        Reject::KeyVersion { .. } => {
            "ask getAccount for keyVersion, sign again with it and the present key, and send"
        }
        Reject::NonceExhausted => "use another sub-account",
        Reject::KeyNotAuthorised(_) => {
            "sign the EIP-712 message with the owner's wallet for the contract of chainId, or \
             call setAuthPubKey there and wait until it is final"
        }
        Reject::Signature => {
            "sign with the key that getAccount shows, for the deployment that getNetwork names"
        }
        Reject::FeeTooLow { .. } => "ask estimateTransactionFee for the least fee, sign again",
        Reject::Balance { .. } => "lower the amount or deposit more; see getAccountBalances",
        Reject::Reserve { .. } => "withdraw less or to another chain; see getTokenReserve",
        Reject::Serial { .. } => "nothing: the node orders deposits itself",
    }
}

#[cfg(test)]
mod tests {
    use zklink::id::ChainId;

    use super::*;

    #[test]
    fn an_error_says_what_to_do() {
        let error = rejected(&Reject::UnknownChain(ChainId(9)));
        assert_eq!((error.code(), error.message()), (100, "chain 9 is not connected"));
        let data: ErrorData = serde_json::from_str(error.data().unwrap().get()).unwrap();
        assert_eq!(data.hint, "use a chain of getSupportChains");
        let busy = busy(code::LIMIT, "too many", 250);
        assert!(busy.data().unwrap().get().contains("\"retryAfterMs\":250"));
    }
}
