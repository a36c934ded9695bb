//! The driver of an attester for one chain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::ChainId;
use zklink::token::Address;

use super::{AttesterStatus, NextRequest, Outcome, Request, Response};
use crate::chain::client::{At, ChainClient};
use crate::chain::contracts::{LightOracle, ReadError, read};
use crate::chain::driver::{ask, pause, tell};
use crate::port::Port;

/// A chain as the driver reaches it.
#[derive(Clone)]
pub struct Line {
    /// The chain.
    pub chain: ChainId,
    /// The attester's own client.
    pub client: Arc<dyn ChainClient>,
    /// The light oracle there.
    pub oracle: Address,
    /// The chains that send messages to it.
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
        Request::Delivered => delivered(line).await.map(Response::Delivered),
    };
    done.unwrap_or_else(|error| Response::Failed(error.to_string()))
}

async fn delivered(line: &Line) -> Result<BTreeMap<ChainId, u64>, ReadError> {
    let mut counts = BTreeMap::new();
    for source in &line.partners {
        let call = LightOracle::deliveredCountCall { source: source.0 };
        counts.insert(*source, read(&*line.client, line.oracle, &call, At::Latest).await?);
    }
    Ok(counts)
}
