//! The transport under web3: HTTP with a bound on the length of an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use jsonrpc_core::types as rpc;
use serde_json::Value;
use web3::helpers::{build_request, to_result_from_output};
use web3::{RequestId, Transport};

/// What the error says when an answer is longer than the bound.
pub(super) const TOO_LARGE: &str = "the answer is too large";

/// HTTP with a bound on the length of an answer, which web3's own transport does not have.
#[derive(Clone, Debug)]
pub(super) struct BoundedHttp {
    pub(super) client: reqwest::Client,
    pub(super) url: reqwest::Url,
    pub(super) limit: usize,
    pub(super) next_id: Arc<AtomicUsize>,
}

impl BoundedHttp {
    async fn post(self, call: rpc::Call) -> web3::Result<Value> {
        let transport =
            |text: String| web3::Error::Transport(web3::error::TransportError::Message(text));
        // The address may hold a key of the user's account with the provider: it never gets into an
        // error.
        let failed = |error: reqwest::Error| transport(error.without_url().to_string());
        let body = rpc::Request::Single(call);
        let mut response = self.client.post(self.url).json(&body).send().await.map_err(failed)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > self.limit {
                return Err(transport(TOO_LARGE.to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        match serde_json::from_slice::<rpc::Output>(&bytes) {
            Ok(output) => to_result_from_output(output),
            Err(_) if !status.is_success() => {
                Err(web3::Error::Transport(web3::error::TransportError::Code(status.as_u16())))
            }
            Err(error) => Err(web3::Error::InvalidResponse(error.to_string())),
        }
    }
}

impl Transport for BoundedHttp {
    type Out = Pin<Box<dyn Future<Output = web3::Result<Value>> + Send>>;

    fn prepare(&self, method: &str, params: Vec<Value>) -> (RequestId, rpc::Call) {
        let id = self.next_id.fetch_add(1, Relaxed);
        (id, build_request(id, method, params))
    }

    fn send(&self, _id: RequestId, call: rpc::Call) -> Self::Out {
        Box::pin(self.clone().post(call))
    }
}
