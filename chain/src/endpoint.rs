//! One RPC server, spoken to through web3. No type of web3 leaves this file.

mod fees;
mod http;
mod meaning;
mod verified;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use web3::types::{BlockNumber, Bytes, CallRequest, FilterBuilder, H160, H256, U64, U256};
use web3::{Transport, Web3};
use zklink::token::Address;

use self::http::{BoundedHttp, Fault};
use self::meaning::Asked;
use super::client::{
    Answer, At, Call, ChainClient, ClientError, Complaint, FeeMarket, Hash, Header, Log, LogQuery,
    Receipt,
};
use super::health::Health;

pub use verified::VerifiedEndpoint;

/// Bounds on an endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointLimits {
    /// How long one answer may take, milliseconds.
    pub timeout_ms: u64,
    /// The longest answer, bytes.
    pub max_response_bytes: usize,
    /// The most events in one answer.
    pub max_logs: usize,
}

impl Default for EndpointLimits {
    fn default() -> Self {
        Self { timeout_ms: 10_000, max_response_bytes: 16 << 20, max_logs: 10_000 }
    }
}

/// One RPC server over HTTP.
pub struct Endpoint {
    web3: Web3<BoundedHttp>,
    host: String,
    limits: EndpointLimits,
    health: Health,
}

/// An endpoint cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The address is not an http or https URL.
    #[error("the address of an endpoint must be an http:// or https:// URL with a host")]
    Url,
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built: {0}")]
    Http(String),
    /// The endpoint does not answer, or serves another chain.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Endpoint {
    /// An endpoint that has not been asked anything yet.
    ///
    /// # Errors
    /// [`EndpointError::Url`], [`EndpointError::Http`].
    pub fn new(url: &str, limits: EndpointLimits) -> Result<Self, EndpointError> {
        let url: reqwest::Url = url.parse().map_err(|_| EndpointError::Url)?;
        let host = url.host_str().ok_or(EndpointError::Url)?.to_owned();
        let host = url.port().map_or(host.clone(), |port| format!("{host}:{port}"));
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Url);
        }
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(limits.timeout_ms.max(1)))
            // A redirect could lead to an endpoint that nobody has chosen.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| EndpointError::Http(error.without_url().to_string()))?;
        let (limit, next_id) = (limits.max_response_bytes, Arc::new(AtomicUsize::new(0)));
        let transport = BoundedHttp { client, url, limit, next_id };
        Ok(Self { web3: Web3::new(transport), host, limits, health: Health::default() })
    }

    /// An endpoint that serves the chain with this EIP-155 id.
    ///
    /// # Errors
    /// As [`Endpoint::new`], and [`ClientError::WrongChain`] or that it does not answer.
    pub async fn connect(
        url: &str,
        chain_id: u64,
        limits: EndpointLimits,
    ) -> Result<Self, EndpointError> {
        let endpoint = Self::new(url, limits)?;
        endpoint.of_chain(chain_id, endpoint.chain_id().await?)?;
        Ok(endpoint)
    }

    /// The chain id that was found, if it is the one that was expected.
    fn of_chain(&self, expected: u64, found: u64) -> Result<u64, ClientError> {
        if found != expected {
            let endpoint = self.host.clone();
            return Err(ClientError::WrongChain { endpoint, expected, found });
        }
        Ok(found)
    }

    fn malformed(&self, what: &str) -> ClientError {
        ClientError::Malformed { endpoint: self.host.clone(), what: what.to_owned() }
    }

    fn number(&self, value: U256, what: &str) -> Result<u128, ClientError> {
        if value.bits() > 128 { Err(self.malformed(what)) } else { Ok(value.as_u128()) }
    }

    fn small(&self, value: U256, what: &str) -> Result<u64, ClientError> {
        if value.bits() > 64 { Err(self.malformed(what)) } else { Ok(value.as_u64()) }
    }

    fn error(&self, asked: Asked, error: &web3::Error) -> ClientError {
        meaning::of(asked, &self.host, Fault::of(error), self.limits.max_response_bytes)
    }

    /// The answer to a question, which is noted: whether the endpoint is well is told from its answers.
    async fn noted<T>(
        &self,
        question: &'static str,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        self.health.noted(question, answer.await)
    }

    /// Asks in our own words, for answers of which web3's types want more fields than every chain
    /// sends.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: Vec<Value>,
    ) -> Result<T, ClientError> {
        self.ask_for(Asked::Other, method, params).await
    }

    async fn ask_for<T: serde::de::DeserializeOwned>(
        &self,
        asked: Asked,
        method: &str,
        params: Vec<Value>,
    ) -> Result<T, ClientError> {
        let value = self.web3.transport().execute(method, params).await;
        let value = value.map_err(|error| self.error(asked, &error))?;
        serde_json::from_value(value).map_err(|_| self.malformed(method))
    }

    async fn block(&self, at: At) -> Result<Option<RawHeader>, ClientError> {
        self.ask("eth_getBlockByNumber", vec![json!(block_number(at)), json!(false)]).await
    }

    fn log(&self, log: web3::types::Log, query: &LogQuery) -> Result<Log, ClientError> {
        let bad = || self.malformed("an event of the range that was asked");
        if log.is_removed() || log.topics.len() > 4 {
            return Err(bad());
        }
        let found = Log {
            address: log.address.0,
            topics: log.topics.iter().map(|topic| topic.0).collect(),
            data: log.data.0,
            block: log.block_number.ok_or_else(bad)?.as_u64(),
            block_hash: log.block_hash.ok_or_else(bad)?.0,
            tx_hash: log.transaction_hash.ok_or_else(bad)?.0,
            index: self.small(log.log_index.ok_or_else(bad)?, "the place of an event")?,
        };
        let wanted = query.addresses.contains(&found.address)
            && found.topics.first().is_some_and(|event| query.events.contains(event))
            && (query.from..=query.to).contains(&found.block);
        if wanted { Ok(found) } else { Err(bad()) }
    }
}

impl ChainClient for Endpoint {
    fn chain_id(&self) -> Answer<'_, u64> {
        Box::pin(self.noted("eth_chainId", async move {
            let id = self
                .web3
                .eth()
                .chain_id()
                .await
                .map_err(|error| self.error(Asked::Other, &error))?;
            self.small(id, "a chain id")
        }))
    }

    fn header(&self, at: At) -> Answer<'_, Option<Header>> {
        Box::pin(self.noted("eth_getBlockByNumber", async move {
            let Some(raw) = self.block(at).await? else { return Ok(None) };
            let header = Header {
                number: raw.number.as_u64(),
                hash: raw.hash.0,
                parent: raw.parent_hash.0,
                timestamp: self.small(raw.timestamp, "the time of a block")?,
            };
            if matches!(at, At::Near(number) | At::Number(number) if number != header.number) {
                return Err(self.malformed("the block that was asked"));
            }
            Ok(Some(header))
        }))
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, Vec<Log>> {
        Box::pin(self.noted("eth_getLogs", async move {
            let filter = FilterBuilder::default()
                .from_block(BlockNumber::Number(query.from.into()))
                .to_block(BlockNumber::Number(query.to.into()))
                .address(query.addresses.iter().map(|address| H160(*address)).collect())
                .topics(Some(query.events.iter().map(|t| H256(*t)).collect()), None, None, None)
                .build();
            let logs = self
                .web3
                .eth()
                .logs(filter)
                .await
                .map_err(|error| self.error(Asked::Logs, &error))?;
            if logs.len() > self.limits.max_logs {
                let (endpoint, limit) = (self.host.clone(), self.limits.max_logs);
                return Err(ClientError::TooLarge { endpoint, limit });
            }
            let logs: Result<Vec<Log>, _> =
                logs.into_iter().map(|log| self.log(log, &query)).collect();
            let logs = logs?;
            let place = |log: &Log| (log.block, log.index);
            if !logs.is_sorted_by(|a, b| place(a) < place(b)) {
                return Err(self.malformed("a list of events in the order of the chain"));
            }
            Ok(logs)
        }))
    }

    fn call(&self, call: Call, at: At) -> Answer<'_, Vec<u8>> {
        Box::pin(self.noted("eth_call", async move {
            let params = vec![request(call), json!(block_number(at))];
            let answer: Bytes = self.ask_for(Asked::Call, "eth_call", params).await?;
            Ok(answer.0)
        }))
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        Box::pin(self.noted("eth_getCode", async move {
            let code = self.web3.eth().code(H160(address), Some(block_number(at))).await;
            Ok(code.map_err(|error| self.error(Asked::Other, &error))?.0)
        }))
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        Box::pin(self.noted("eth_getBalance", async move {
            let balance = self.web3.eth().balance(H160(address), Some(block_number(at))).await;
            self.number(balance.map_err(|error| self.error(Asked::Other, &error))?, "a balance")
        }))
    }

    fn nonce(&self, address: Address) -> Answer<'_, u64> {
        Box::pin(self.noted("eth_getTransactionCount", async move {
            let eth = self.web3.eth();
            let nonce = eth.transaction_count(H160(address), Some(BlockNumber::Latest)).await;
            self.small(nonce.map_err(|error| self.error(Asked::Other, &error))?, "a nonce")
        }))
    }

    fn estimate_gas(&self, call: Call) -> Answer<'_, u64> {
        Box::pin(self.noted("eth_estimateGas", async move {
            let asked = self.ask_for(Asked::Call, "eth_estimateGas", vec![request(call)]);
            self.small(asked.await?, "an amount of gas")
        }))
    }

    fn fee_market(&self) -> Answer<'_, FeeMarket> {
        Box::pin(self.noted("the price of gas", self.market()))
    }

    fn blob_base_fee(&self) -> Answer<'_, Option<u128>> {
        Box::pin(self.noted("the price of blob gas", self.blob_market()))
    }

    fn send_raw(&self, raw: Vec<u8>) -> Answer<'_, Hash> {
        Box::pin(self.noted("eth_sendRawTransaction", async move {
            let hash = self.web3.eth().send_raw_transaction(Bytes(raw)).await;
            Ok(hash.map_err(|error| self.error(Asked::Send, &error))?.0)
        }))
    }

    fn receipt(&self, tx_hash: Hash) -> Answer<'_, Option<Receipt>> {
        Box::pin(self.noted("eth_getTransactionReceipt", async move {
            let params = vec![json!(H256(tx_hash))];
            let raw: Option<RawReceipt> = self.ask("eth_getTransactionReceipt", params).await?;
            let Some(raw) = raw else { return Ok(None) };
            if raw.transaction_hash.0 != tx_hash {
                return Err(self.malformed("the receipt that was asked"));
            }
            Ok(Some(Receipt {
                tx_hash,
                block: raw.block_number.as_u64(),
                block_hash: raw.block_hash.0,
                success: raw.status == U64::one(),
                gas_used: self.small(raw.gas_used, "an amount of gas")?,
                gas_price: self.number(raw.effective_gas_price, "a gas price")?,
                created: raw.contract_address.map(|address| address.0),
            }))
        }))
    }

    fn input(&self, tx_hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(self.noted("eth_getTransactionByHash", async move {
            let params = vec![json!(H256(tx_hash))];
            let raw: Option<RawTransaction> = self.ask("eth_getTransactionByHash", params).await?;
            let Some(raw) = raw else { return Ok(None) };
            if raw.hash.0 != tx_hash {
                return Err(self.malformed("the transaction that was asked"));
            }
            Ok(Some(raw.input.0))
        }))
    }

    fn name(&self) -> String {
        self.host.clone()
    }

    fn complaints(&self) -> Vec<Complaint> {
        self.health.complaints()
    }
}

fn block_number(at: At) -> BlockNumber {
    match at {
        At::Latest => BlockNumber::Latest,
        At::Safe => BlockNumber::Safe,
        At::Finalized => BlockNumber::Finalized,
        At::Near(number) | At::Number(number) => BlockNumber::Number(number.into()),
    }
}

/// A call as it is asked. For blobs web3 has no field. What they may cost is left out: servers then put in what suits.
fn request(call: Call) -> Value {
    let mut request = json!(CallRequest {
        from: Some(H160(call.from)),
        to: call.to.map(H160),
        value: Some(call.value.into()),
        data: Some(Bytes(call.data)),
        gas: call.gas.map(U256::from),
        ..CallRequest::default()
    });
    if let Some(blobs) = call.blobs {
        let hashes: Vec<H256> = blobs.hashes().iter().map(|hash| H256(*hash)).collect();
        request["blobVersionedHashes"] = json!(hashes);
    }
    request
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHeader {
    number: U64,
    hash: H256,
    parent_hash: H256,
    timestamp: U256,
    /// Chains without EIP-1559 have none.
    base_fee_per_gas: Option<U256>,
    /// Chains without EIP-4844 have none.
    excess_blob_gas: Option<U256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReceipt {
    transaction_hash: H256,
    block_number: U64,
    block_hash: H256,
    status: U64,
    gas_used: U256,
    /// Old servers leave it out; it is a figure for reports only.
    #[serde(default)]
    effective_gas_price: U256,
    contract_address: Option<H160>,
}

#[derive(Deserialize)]
struct RawTransaction {
    hash: H256,
    input: Bytes,
}
