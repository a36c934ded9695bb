//! How messages travel between the hub and another chain.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use alloy_primitives::Bytes;
use zklink::id::ChainId;
use zklink::token::Address;
use zklink_chain::client::{At, Call, ChainClient};
use zklink_chain::contracts::{LightOracle, read, transaction};
use zklink_mechanism::driver::ask;
use zklink_mechanism::port::Port;

use super::ViewError;
use super::book::{Deliverable, WhatNext};

/// Something to come.
pub type Coming<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The way of messages from one chain to another, as settlement of the destination needs it.
pub trait Route: Debug + Send + Sync {
    /// How many messages the destination has taken at a block.
    fn taken<'a>(
        &'a self,
        client: &'a dyn ChainClient,
        height: u64,
    ) -> Coming<'a, Result<u64, ViewError>>;
    /// The messages that can be delivered once so many are taken, in order.
    fn ready(&self, taken: u64) -> Coming<'_, Vec<Deliverable>>;
    /// The transaction that delivers messages that follow each other; nothing when there are none.
    fn delivery(&self, messages: &[Deliverable]) -> Option<Call>;
}

/// The routes to one chain, by where messages come from.
pub type Routes = BTreeMap<ChainId, Arc<dyn Route>>;

/// Over the light oracle: with the signatures of attesters, which the book collects.
#[derive(Clone, Debug)]
pub struct LightRoute {
    /// Where messages come from.
    pub source: ChainId,
    /// Where they go.
    pub destination: ChainId,
    /// The light oracle there.
    pub oracle: Address,
    /// The book of attestations.
    pub book: Port<WhatNext>,
}

impl Route for LightRoute {
    fn taken<'a>(
        &'a self,
        client: &'a dyn ChainClient,
        height: u64,
    ) -> Coming<'a, Result<u64, ViewError>> {
        let call = LightOracle::deliveredCountCall { source: self.source.0 };
        Box::pin(async move { Ok(read(client, self.oracle, &call, At::Near(height)).await?) })
    }

    fn ready(&self, taken: u64) -> Coming<'_, Vec<Deliverable>> {
        let delivered = [(self.source, taken)].into();
        let asked = WhatNext { destination: self.destination, delivered };
        Box::pin(async move { ask(&self.book, asked).await.unwrap_or_default() })
    }

    fn delivery(&self, messages: &[Deliverable]) -> Option<Call> {
        let (source, first) = (self.source.0, messages.first()?.sequence);
        let payloads = messages.iter().map(|message| Bytes::from(message.payload.clone()));
        let signatures = messages
            .iter()
            .map(|message| message.signatures.iter().map(|by| Bytes::from(by.to_vec())).collect());
        let (payloads, signatures) = (payloads.collect(), signatures.collect());
        let call = LightOracle::deliverCall { source, first, payloads, signatures };
        Some(transaction(self.oracle, &call))
    }
}

/// Between the hub and the rollup beside it: the contract hands a message over in the transaction that sends it, so
/// that nothing is ever left to deliver.
#[derive(Clone, Copy, Debug)]
pub struct LocalRoute;

impl Route for LocalRoute {
    fn taken<'a>(&'a self, _: &'a dyn ChainClient, _: u64) -> Coming<'a, Result<u64, ViewError>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn ready(&self, _: u64) -> Coming<'_, Vec<Deliverable>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn delivery(&self, _: &[Deliverable]) -> Option<Call> {
        None
    }
}

/// The routes to a chain: the hub hears of every chain, another one of the hub alone.
pub fn routes_to(
    destination: ChainId,
    hub: ChainId,
    chains: impl IntoIterator<Item = ChainId>,
    oracle: Address,
    book: &Port<WhatNext>,
) -> Routes {
    let sources = chains.into_iter().filter(|source| [*source, destination].contains(&hub));
    let route = |source: ChainId| -> Arc<dyn Route> {
        if source == destination {
            return Arc::new(LocalRoute);
        }
        Arc::new(LightRoute { source, destination, oracle, book: book.clone() })
    };
    sources.map(|source| (source, route(source))).collect()
}
