//! The typed client over HTTP or WebSocket.

use std::future::Future;
use std::time::Duration;

use jsonrpsee::core::client::{BatchResponse, ClientT, Error};
use jsonrpsee::core::params::BatchRequestBuilder;
use jsonrpsee::core::traits::ToRpcParams;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde::de::DeserializeOwned;
use zklink::reject::Reject;
use zklink::tx::SignedTx;

use crate::error::{ErrorData, code};
use crate::hex_bytes::Hash;
use crate::rpc::ZkLinkClient;
use crate::types::{BadNetwork, TxInfo};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest request and response, in bytes.
const BODY_BYTES_MAX: u32 = 16 << 20;
/// Pause between two questions about the same transaction.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node says no.
    #[error("{message} (code {code}): {hint}")]
    Rpc {
        /// The code, see [`code`](crate::error::code).
        code: i32,
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: String,
        /// When to try again, in milliseconds, where that helps.
        retry_after_ms: Option<u64>,
    },
    /// The address is neither http:// nor ws://.
    #[error("{0} is not an http:// or ws:// address of a node")]
    Address(String),
    /// The node was not reached or did not answer properly.
    #[error("the node cannot be reached: {0}")]
    Transport(#[source] Error),
    /// A transaction was not executed within the time that was given.
    #[error("the transaction was not executed in time: ask for it by its hash, then send it again")]
    TimedOut,
    /// The transaction cannot be formed.
    #[error("the transaction is not valid: {0}")]
    Invalid(#[from] Reject),
    /// The node describes an impossible network.
    #[error(transparent)]
    Network(#[from] BadNetwork),
}

impl ClientError {
    /// The node's code, if the node answered.
    pub fn code(&self) -> Option<i32> {
        match self {
            ClientError::Rpc { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<Error> for ClientError {
    fn from(error: Error) -> ClientError {
        match error {
            Error::Call(object) => {
                let data = object
                    .data()
                    .and_then(|data| serde_json::from_str::<ErrorData>(data.get()).ok());
                let raw = || object.data().map(|data| data.get().to_owned()).unwrap_or_default();
                ClientError::Rpc {
                    code: object.code(),
                    message: object.message().to_owned(),
                    retry_after_ms: data.as_ref().and_then(|data| data.retry_after_ms),
                    hint: data.map_or_else(raw, |data| data.hint.into_owned()),
                }
            }
            error => ClientError::Transport(error),
        }
    }
}

/// A connection to a node. Every method of [`ZkLinkClient`] can be called on it.
#[derive(Debug)]
pub enum Client {
    /// Over HTTP.
    Http(HttpClient),
    /// Over a WebSocket.
    Ws(WsClient),
}

impl Client {
    /// Connects to a node, by HTTP or WebSocket as the address says.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Transport`].
    pub async fn connect(address: &str) -> Result<Client, ClientError> {
        if address.starts_with("http://") || address.starts_with("https://") {
            let builder = HttpClientBuilder::new()
                .request_timeout(REQUEST_TIMEOUT)
                .max_request_size(BODY_BYTES_MAX)
                .max_response_size(BODY_BYTES_MAX);
            return Ok(Client::Http(builder.build(address)?));
        }
        if address.starts_with("ws://") || address.starts_with("wss://") {
            let builder = WsClientBuilder::new()
                .request_timeout(REQUEST_TIMEOUT)
                .max_request_size(BODY_BYTES_MAX)
                .max_response_size(BODY_BYTES_MAX);
            return Ok(Client::Ws(builder.build(address).await?));
        }
        Err(ClientError::Address(address.to_owned()))
    }

    /// Sends a transaction; when this returns, the node has executed it and will not forget it.
    ///
    /// # Errors
    /// [`ClientError`]; zkLink's codes tell which rule forbids it.
    pub async fn send(&self, tx: &SignedTx) -> Result<Hash, ClientError> {
        Ok(self.send_transaction(tx.clone(), None, None).await?)
    }

    /// Waits until the node shows a transaction as executed.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`], or what the node says other than that it is not known yet.
    pub async fn wait_executed(
        &self,
        hash: Hash,
        timeout: Duration,
    ) -> Result<TxInfo, ClientError> {
        let poll = async {
            loop {
                match self.transaction(hash, None).await.map_err(ClientError::from) {
                    Err(error) if error.code() == Some(code::TX_NOT_FOUND) => {}
                    answer => return answer,
                }
                tokio::time::sleep(POLL_PAUSE).await;
            }
        };
        tokio::time::timeout(timeout, poll).await.unwrap_or(Err(ClientError::TimedOut))
    }
}

#[expect(clippy::manual_async_fn, reason = "the trait promises that the futures are Send")]
impl ClientT for Client {
    fn notification<Params>(
        &self,
        method: &str,
        params: Params,
    ) -> impl Future<Output = Result<(), Error>> + Send
    where
        Params: ToRpcParams + Send,
    {
        async move {
            match self {
                Client::Http(client) => client.notification(method, params).await,
                Client::Ws(client) => client.notification(method, params).await,
            }
        }
    }

    fn request<R, Params>(
        &self,
        method: &str,
        params: Params,
    ) -> impl Future<Output = Result<R, Error>> + Send
    where
        R: DeserializeOwned,
        Params: ToRpcParams + Send,
    {
        async move {
            match self {
                Client::Http(client) => client.request(method, params).await,
                Client::Ws(client) => client.request(method, params).await,
            }
        }
    }

    fn batch_request<'a, R>(
        &self,
        batch: BatchRequestBuilder<'a>,
    ) -> impl Future<Output = Result<BatchResponse<'a, R>, Error>> + Send
    where
        R: DeserializeOwned + std::fmt::Debug + 'a,
    {
        async move {
            match self {
                Client::Http(client) => client.batch_request(batch).await,
                Client::Ws(client) => client.batch_request(batch).await,
            }
        }
    }
}
