//! The driver of an attester for one chain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::ChainId;
use zklink::token::Address;
use zklink_chain::client::{At, ChainClient, Hash};
use zklink_chain::contracts::{LightOracle, ReadError, read};
use zklink_chain::scan::tell;
use zklink_mechanism::driver::{ask, pause};
use zklink_mechanism::port::Port;

use super::{AttesterStatus, NextRequest, Outcome, Request, Response};

/// A chain as the driver reaches it.
#[derive(Clone)]
pub struct Line {
    /// The chain.
    pub chain: ChainId,
    /// Where the chain is read. Of two endpoints both must agree on everything that is signed.
    pub client: Arc<dyn ChainClient>,
    /// The light oracle there.
    pub oracle: Address,
    /// The chains that it exchanges messages with.
    pub partners: Vec<ChainId>,
}

/// Runs until `stop` becomes true or its sender is gone.
pub async fn run(
    line: Line,
    next: Port<NextRequest>,
    outcome: Port<Outcome>,
    health: watch::Sender<Option<AttesterStatus>>,
    period: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut failures = 0;
    loop {
        let step = async {
            let Some(request) = ask(&next, NextRequest(line.chain)).await.flatten() else {
                return false;
            };
            let response = answer(&line, &request).await;
            let failed = matches!(response, Response::Failed(_));
            if let Some(status) = ask(&outcome, Outcome(line.chain, response)).await.flatten() {
                failures = status.failures;
                health.send_replace(Some(status));
            }
            !failed
        };
        let progressed = tokio::select! {
            progressed = step => progressed,
            stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
        };
        if progressed {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(pause(period, failures)) => {}
            stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
        }
    }
}

/// Does what an attester asked for.
pub async fn answer(line: &Line, request: &Request) -> Response {
    let done = match request {
        Request::Scan(question) => {
            let told = tell(&*line.client, question).await;
            told.map(Response::Scan).map_err(ReadError::Client)
        }
        Request::Hashes { height, messages } => {
            hashes(line, *height, messages).await.map(Response::Hashes)
        }
        Request::Counts { height } => counts(line, *height).await.map(Response::Counts),
        Request::Delivered { settled } => delivered(line, *settled).await,
    };
    done.unwrap_or_else(|error| match error {
        ReadError::Client(error) if error.asks_too_much() => Response::TooMuch(error.to_string()),
        error => Response::Failed(error.to_string()),
    })
}

async fn hashes(
    line: &Line,
    height: u64,
    messages: &[(ChainId, u64)],
) -> Result<Vec<Hash>, ReadError> {
    let mut hashes = Vec::with_capacity(messages.len());
    for (destination, sequence) in messages {
        let (destination, sequence) = (destination.0, *sequence);
        let call = LightOracle::sentHashCall { destination, sequence };
        hashes.push(read(&*line.client, line.oracle, &call, At::Number(height)).await?.0);
    }
    Ok(hashes)
}

async fn counts(line: &Line, height: u64) -> Result<BTreeMap<ChainId, u64>, ReadError> {
    let mut counts = BTreeMap::new();
    for destination in &line.partners {
        let call = LightOracle::sentCountCall { destination: destination.0 };
        let count = read(&*line.client, line.oracle, &call, At::Number(height)).await?;
        counts.insert(*destination, count);
    }
    Ok(counts)
}

async fn delivered(line: &Line, settled: Option<u64>) -> Result<Response, ReadError> {
    let latest = delivered_at(line, At::Latest).await?;
    let settled = match settled {
        None => BTreeMap::new(),
        // Without it messages are kept for longer; the server may not have the state any more.
        Some(height) => delivered_at(line, At::Number(height)).await.unwrap_or_else(|error| {
            tracing::debug!(chain = %line.chain, %error, "no count of final deliveries");
            BTreeMap::new()
        }),
    };
    Ok(Response::Delivered { latest, settled })
}

async fn delivered_at(line: &Line, at: At) -> Result<BTreeMap<ChainId, u64>, ReadError> {
    let mut counts = BTreeMap::new();
    for source in &line.partners {
        let call = LightOracle::deliveredCountCall { source: source.0 };
        counts.insert(*source, read(&*line.client, line.oracle, &call, at).await?);
    }
    Ok(counts)
}
