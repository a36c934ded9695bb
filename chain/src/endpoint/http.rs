//! The transport under web3: HTTP with a bound on the length of an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use jsonrpc_core::types as rpc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use web3::helpers::build_request;
use web3::{RequestId, Transport};

use crate::client::shortened;

/// Parts of an address that are as long as this may be the key of an account with the provider.
const SECRET_MIN: usize = 8;

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    /// No connection, or no answer in time.
    Silent(String),
    /// An HTTP status that is no success, and what the server says to it.
    Status(u16, String),
    /// The answer is longer than the bound.
    TooLarge,
    /// An error in the envelope of JSON-RPC: its code, its words, its data.
    Error(i64, String, Value),
    /// Something else than an envelope of JSON-RPC.
    Envelope,
}

impl Fault {
    /// Errors of web3 have room for a text only: the fault is written into it.
    fn into_web3(self) -> web3::Error {
        let text = serde_json::to_string(&self).unwrap_or_default();
        web3::Error::Transport(web3::error::TransportError::Message(text))
    }

    /// The fault of an error that this transport gave; of others, which web3 makes when it reads a result, that the
    /// answer is none.
    pub(super) fn of(error: &web3::Error) -> Fault {
        match error {
            web3::Error::Transport(web3::error::TransportError::Message(text)) => {
                serde_json::from_str(text).unwrap_or(Fault::Envelope)
            }
            _ => Fault::Envelope,
        }
    }
}

/// HTTP with a bound on the length of an answer, which web3's own transport does not have.
#[derive(Clone, Debug)]
pub(super) struct BoundedHttp {
    pub(super) client: reqwest::Client,
    pub(super) url: reqwest::Url,
    pub(super) limit: usize,
    pub(super) next_id: Arc<AtomicUsize>,
}

impl BoundedHttp {
    async fn post(self, call: rpc::Call) -> Result<Value, Fault> {
        // The address may hold a key of the user's account with the provider: it never gets into an
        // error.
        let failed = |error: reqwest::Error| Fault::Silent(reason(error));
        let body = rpc::Request::Single(call);
        let request = self.client.post(self.url.clone()).json(&body);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > self.limit {
                return Err(Fault::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        let answer = serde_json::from_slice::<Value>(&bytes).ok();
        let error = answer.as_ref().and_then(|answer| answer.get("error"));
        let error = error.filter(|error| !error.is_null());
        if !status.is_success() {
            // Whatever stands in it: a gate before the node answered, not the node.
            let words = match error.or(answer.as_ref()) {
                Some(error) => self.discreet(&message(error)),
                None => self.discreet(&plain(&bytes)),
            };
            return Err(Fault::Status(status.as_u16(), words));
        }
        if let Some(error) = error {
            let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
            let data = error.get("data").cloned().unwrap_or_default();
            return Err(Fault::Error(code, self.discreet(&message(error)), data));
        }
        match answer {
            Some(Value::Object(mut answer)) => answer.remove("result").ok_or(Fault::Envelope),
            _ => Err(Fault::Envelope),
        }
    }

    /// The server's words, without the parts of the address that may be a key.
    fn discreet(&self, words: &str) -> String {
        let path = self.url.path_segments().into_iter().flatten().map(str::to_owned);
        let query = self.url.query_pairs().map(|(_, value)| value.into_owned());
        let password = self.url.password().map(str::to_owned);
        let mut secrets: Vec<String> = path.chain(query).chain(password).collect();
        secrets.retain(|secret| secret.len() >= SECRET_MIN);
        shortened(&secrets.iter().fold(words.to_owned(), |words, key| words.replace(key, "…")))
    }
}

/// What the connection suffered, in the words of the innermost cause: the outer ones say only that a request failed.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The words of an error: servers have several places for them.
fn message(error: &Value) -> String {
    let text = error.as_str().or_else(|| error.get("message").and_then(Value::as_str));
    text.map_or_else(|| error.to_string(), str::to_owned)
}

/// A text that is no page of HTML, whose words would say nothing.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if text.starts_with('<') { String::new() } else { text.to_owned() }
}

impl Transport for BoundedHttp {
    type Out = Pin<Box<dyn Future<Output = web3::Result<Value>> + Send>>;

    fn prepare(&self, method: &str, params: Vec<Value>) -> (RequestId, rpc::Call) {
        let id = self.next_id.fetch_add(1, Relaxed);
        (id, build_request(id, method, params))
    }

    fn send(&self, _id: RequestId, call: rpc::Call) -> Self::Out {
        let asked = self.clone().post(call);
        Box::pin(async move { asked.await.map_err(Fault::into_web3) })
    }
}
