//! What an error of an endpoint means: an answer of the chain, or that this endpoint cannot answer now.
//!
//! Servers agree on no codes and on few words. What is not known to be an answer counts as an outage: the same question
//! is asked again, of another endpoint where there is one, and nothing is concluded from it.

use serde_json::Value;

use super::http::Fault;
use crate::client::{ClientError, shortened};

/// What was asked, as far as it decides what an error can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// That a contract be run.
    Call,
    /// That a transaction be taken.
    Send,
    /// The events of a range.
    Logs,
    /// Anything else: it can be answered or not, and no error is an answer.
    Other,
}

/// geth's code for a call that reverted.
const REVERTED: i64 = 3;
/// Parity's code for a call that failed.
const VM_ERROR: i64 = -32015;

/// A call that fails wherever it is made.
const CALL_FAILS: [&str; 20] = [
    "insufficient funds",
    "insufficient balance",
    "gas required exceeds",
    "out of gas",
    "outofgas",
    "intrinsic gas",
    "exceeds block gas limit",
    "always failing transaction",
    "invalid opcode",
    "invalid jump",
    "bad jump",
    "stack underflow",
    "stack overflow",
    "initcode size",
    "vm exception",
    "vm execution error",
    "evm error",
    "evmerror",
    "write protection",
    "transaction type not supported",
];

/// A transaction that is not taken as it is.
const SENDING_REFUSED: [&str; 25] = [
    "nonce",
    "underpriced",
    "already known",
    "known transaction",
    "already imported",
    "already exists",
    "already in",
    "replacement",
    "insufficient funds",
    "insufficient balance",
    "intrinsic gas",
    "gas limit",
    "gas price",
    "gas tip",
    "fee",
    "tip too low",
    "oversized",
    "initcode size",
    "invalid sender",
    "invalid chain id",
    "signature",
    "rejected",
    "transaction type",
    "sidecar",
    "revert",
];

/// Codes with which a transaction is refused in words that nobody knows.
const SENDING_CODES: [i64; 5] = [REVERTED, -32000, -32003, -32010, -32602];

/// The endpoint is busy, or has served this user enough.
const BUSY: [&str; 20] = [
    "too many requests",
    "rate limit",
    "rate-limit",
    "ratelimit",
    "rate exceeded",
    "request rate",
    "requests per",
    "request count",
    "request limit",
    "limit exceeded",
    "quota",
    "credit",
    "compute unit",
    "capacity",
    "throughput",
    "overloaded",
    "try again",
    "timeout",
    "timed out",
    "is full",
];

/// The endpoint has not what is asked for, or asks for an account first.
const LACKS: [&str; 14] = [
    "header not found",
    "block not found",
    "unknown block",
    "missing trie node",
    "state not available",
    "state is not available",
    "pruned",
    "method not found",
    "does not exist",
    "not available",
    "project id",
    "unauthorized",
    "api key",
    "forbidden",
];

/// A range of which the endpoint does not have the end yet, or not the beginning any more: a shorter one does not help.
const RANGE_LACKS: [&str; 8] = [
    "beyond",
    "current head",
    "not found",
    "cannot be found",
    "unknown block",
    "pruned",
    "invalid block range",
    "not available",
];

/// A shorter range may be answered.
const TOO_MUCH: [&str; 16] = [
    "range",
    "more than",
    "too many results",
    "too many logs",
    "too many blocks",
    "max results",
    "results",
    "response size",
    "size exceeded",
    "too large",
    "too big",
    "query timeout",
    "limited to",
    "block distance",
    "blocks at a time",
    "blocks per",
];

fn says(words: &str, any: &[&str]) -> bool {
    any.iter().any(|part| words.contains(part))
}

/// The error of an endpoint that could not be used to the end.
pub(super) fn of(asked: Asked, endpoint: &str, fault: Fault, limit: usize) -> ClientError {
    let endpoint = endpoint.to_owned();
    match fault {
        Fault::Silent(reason) => ClientError::Unreachable { endpoint, reason: shortened(&reason) },
        Fault::Status(status, words) => {
            let reason = shortened(format!("HTTP {status} {words}").trim_end());
            let lower = words.to_lowercase();
            // 413 says so by itself. Of a gate that answers 429 no words change what it means.
            let too_much = status == 413 || (status != 429 && says_too_much(&lower));
            match asked {
                Asked::Logs if too_much => ClientError::TooMuch { endpoint, reason },
                _ => ClientError::Unreachable { endpoint, reason },
            }
        }
        Fault::TooLarge => ClientError::TooLarge { endpoint, limit },
        Fault::Envelope => {
            ClientError::Malformed { endpoint, what: "an answer to the question".to_owned() }
        }
        Fault::Error(code, words, data) => {
            let (lower, returned) = (words.to_lowercase(), revert_data(&data));
            let reason = format!("{words} (code {code})");
            if asked == Asked::Logs && says_too_much(&lower) {
                ClientError::TooMuch { endpoint, reason }
            } else if is_answer(asked, code, &lower, &data, &returned) {
                ClientError::Refused { endpoint, code, message: words, data: returned }
            } else {
                ClientError::Unavailable { endpoint, reason }
            }
        }
    }
}

/// Whether an error in an envelope is the answer of the chain.
fn is_answer(asked: Asked, code: i64, words: &str, data: &Value, returned: &[u8]) -> bool {
    match asked {
        // A contract chooses its own words: what it says of limits is still what it says.
        Asked::Call => {
            matches!(code, REVERTED | VM_ERROR)
                || !returned.is_empty()
                || words.contains("revert")
                || data.as_str().is_some_and(|data| data.to_lowercase().contains("revert"))
                || (!says(words, &LACKS) && says(words, &CALL_FAILS))
        }
        Asked::Send => {
            let known = says(words, &SENDING_REFUSED);
            let unable = says(words, &BUSY) || says(words, &LACKS);
            (known && !says(words, &LACKS)) || (SENDING_CODES.contains(&code) && !unable)
        }
        Asked::Logs | Asked::Other => false,
    }
}

/// Whether an answer to a question for events says that it was too much.
fn says_too_much(words: &str) -> bool {
    // The limit of a plan is met by fewer questions, not by shorter ones; a timeout of the query by shorter ones.
    let busy = BUSY.iter().filter(|part| !matches!(**part, "limit exceeded" | "timeout"));
    !busy.into_iter().any(|part| words.contains(part))
        && !says(words, &RANGE_LACKS)
        && says(words, &TOO_MUCH)
}

/// Servers put what a contract returned into the error's data as hex, some of them with words
/// around it.
fn revert_data(data: &Value) -> Vec<u8> {
    let text = data.as_str().or_else(|| data.get("data").and_then(Value::as_str));
    let digits = text.and_then(|text| text.split("0x").nth(1)).unwrap_or_default();
    hex::decode(digits.trim()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
