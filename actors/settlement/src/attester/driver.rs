//! What asks a chain for an attester.

use std::collections::BTreeMap;
use std::sync::Arc;

use zklink::id::ChainId;
use zklink::token::Address;
use zklink_chain::client::{At, ChainClient, Hash};
use zklink_chain::contracts::{LightOracle, ReadError, read};
use zklink_chain::scan::tell;
use zklink_mechanism::driver::Asking;

use super::{AttesterStatus, NextRequest, Outcome, Request, Response};

/// A chain as an attester reads it.
#[derive(Clone)]
pub struct OracleReader {
    /// The chain.
    pub chain: ChainId,
    /// Where the chain is read. Of two endpoints both must agree on everything that is signed.
    pub client: Arc<dyn ChainClient>,
    /// The light oracle there.
    pub oracle: Address,
    /// The chains that it exchanges messages with.
    pub partners: Vec<ChainId>,
}

impl Asking for OracleReader {
    type Next = NextRequest;
    type Request = Request;
    type Outcome = Outcome;
    type Status = AttesterStatus;

    fn next(&self) -> NextRequest {
        NextRequest(self.chain)
    }

    async fn answer(&self, request: &Request) -> (Outcome, bool) {
        let response = answer(self, request).await;
        let failed = matches!(response, Response::Failed(_));
        (Outcome(self.chain, response), failed)
    }

    fn failures(status: &AttesterStatus) -> u32 {
        status.failures
    }
}

/// Does what an attester asked for.
pub async fn answer(reader: &OracleReader, request: &Request) -> Response {
    let done = match request {
        Request::Scan(question) => {
            let told = tell(&*reader.client, question).await;
            told.map(Response::Scan).map_err(ReadError::Client)
        }
        Request::Hashes { height, messages } => {
            hashes(reader, *height, messages).await.map(Response::Hashes)
        }
        Request::Counts { height } => counts(reader, *height).await.map(Response::Counts),
        Request::Delivered { settled } => delivered(reader, *settled).await,
    };
    done.unwrap_or_else(|error| match error {
        ReadError::Client(error) if error.asks_too_much() => Response::TooMuch(error.to_string()),
        error => Response::Failed(error.to_string()),
    })
}

async fn hashes(
    reader: &OracleReader,
    height: u64,
    messages: &[(ChainId, u64)],
) -> Result<Vec<Hash>, ReadError> {
    let mut hashes = Vec::with_capacity(messages.len());
    for (destination, sequence) in messages {
        let (destination, sequence) = (destination.0, *sequence);
        let call = LightOracle::sentHashCall { destination, sequence };
        hashes.push(read(&*reader.client, reader.oracle, &call, At::Number(height)).await?.0);
    }
    Ok(hashes)
}

async fn counts(reader: &OracleReader, height: u64) -> Result<BTreeMap<ChainId, u64>, ReadError> {
    let mut counts = BTreeMap::new();
    for destination in &reader.partners {
        let call = LightOracle::sentCountCall { destination: destination.0 };
        let count = read(&*reader.client, reader.oracle, &call, At::Number(height)).await?;
        counts.insert(*destination, count);
    }
    Ok(counts)
}

async fn delivered(reader: &OracleReader, settled: Option<u64>) -> Result<Response, ReadError> {
    let latest = delivered_at(reader, At::Latest).await?;
    let settled = match settled {
        None => BTreeMap::new(),
        // Without it messages are kept for longer; the server may not have the state any more.
        Some(height) => delivered_at(reader, At::Number(height)).await.unwrap_or_else(|error| {
            tracing::debug!(chain = %reader.chain, %error, "no count of final deliveries");
            BTreeMap::new()
        }),
    };
    Ok(Response::Delivered { latest, settled })
}

async fn delivered_at(reader: &OracleReader, at: At) -> Result<BTreeMap<ChainId, u64>, ReadError> {
    let mut counts = BTreeMap::new();
    for source in &reader.partners {
        let call = LightOracle::deliveredCountCall { source: source.0 };
        counts.insert(*source, read(&*reader.client, reader.oracle, &call, at).await?);
    }
    Ok(counts)
}
