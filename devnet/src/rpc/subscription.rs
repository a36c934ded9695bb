//! The WebSocket streams: `newHeads` and `logs`.

use std::sync::Arc;

use alloy_rpc_types_eth::{Filter, Header, Log};
use jsonrpsee::Extensions;
use jsonrpsee::core::{SubscriptionError, to_json_raw_value};
use jsonrpsee::server::{PendingSubscriptionSink, SubscriptionSink};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use tokio::sync::broadcast::error::RecvError;

use crate::chain::ChainEvent;
use crate::error::ChainError;
use crate::filter;
use crate::node::Node;
use crate::rpc::{Answer, blocks};

/// What a subscriber wants to hear of.
enum Topic {
    NewHeads,
    Logs(Box<Filter>),
}

impl Topic {
    fn parse(params: &Params<'_>) -> Answer<Self> {
        let mut params = params.sequence();
        let kind: String = params.next()?;
        match kind.as_str() {
            "newHeads" => Ok(Self::NewHeads),
            "logs" => {
                let filter: Filter = params.optional_next()?.unwrap_or_default();
                blocks::check_filter(&filter)?;
                Ok(Self::Logs(Box::new(filter)))
            }
            other => {
                let known = "this chain has newHeads and logs";
                let text = format!("no such subscription {:?}: {known}", clipped(other));
                Err(ChainError::Params(text).into())
            }
        }
    }
}

/// The beginning of a client's text: what is echoed is bounded.
fn clipped(text: &str) -> String {
    text.chars().take(40).collect()
}

/// One subscription, from its request to its end.
pub(super) async fn run(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
    _: Extensions,
) -> Result<(), SubscriptionError> {
    let topic = match Topic::parse(&params) {
        Ok(topic) => topic,
        Err(error) => {
            pending.reject(ErrorObjectOwned::from(error)).await;
            return Ok(());
        }
    };
    // First the events, then the answer: what happens after the answer is never missed.
    let mut events = node.subscribe();
    drop(node);
    let sink = pending.accept().await?;
    loop {
        let event = tokio::select! {
            () = sink.closed() => return Ok(()),
            event = events.recv() => event,
        };
        match event {
            Ok(event) => send(&sink, &topic, &event).await?,
            Err(RecvError::Closed) => return Ok(()),
            // Silence about lost events would be worse than the end of the subscription.
            Err(RecvError::Lagged(lost)) => {
                return Err(format!("too slow: {lost} events were lost, subscribe again").into());
            }
        }
    }
}

async fn send(
    sink: &SubscriptionSink,
    topic: &Topic,
    event: &ChainEvent,
) -> Result<(), SubscriptionError> {
    match (topic, event) {
        (Topic::NewHeads, ChainEvent::Block { hash, header, .. }) => {
            let inner = header.as_ref().clone();
            let header = Header { hash: *hash, inner, total_difficulty: None, size: None };
            sink.send(to_json_raw_value(&header)?).await?;
        }
        (Topic::NewHeads, ChainEvent::Removed(_)) => {}
        (Topic::Logs(wanted), ChainEvent::Block { logs, .. } | ChainEvent::Removed(logs)) => {
            let wanted = |log: &&Log| filter::selects(wanted, log);
            for log in logs.iter().filter(wanted) {
                sink.send(to_json_raw_value(log)?).await?;
            }
        }
    }
    Ok(())
}
