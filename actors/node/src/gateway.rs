//! The gateway: the RPC of the node, over HTTP and WebSocket on one port.
//!
//! Reads look at the builder's view and at the archive, and never at the builder itself.
//! Everything that a stranger can make the node hold is bounded by [`Limits`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, Methods, PingConfig, ServerBuilder, ServerConfig, ServerHandle, StopHandle,
    serve_with_graceful_shutdown, stop_channel,
};
use tokio::net::TcpListener;
use zklink_client::ZkLinkServer;
use zklink_mechanism::clock::Clock;

pub mod api;
mod checker;
mod connection;
pub mod faucet;
mod history;
pub mod limit;
pub mod origins;
pub mod present;
mod sources;
mod strict;

#[cfg(test)]
mod tests;

pub use api::{About, Api};
use connection::{Connection, Connections, IdleTimer};
pub use faucet::{Dripped, Faucet, FaucetRequest, NoDrip};
use limit::{Bucket, RateLimit};
pub use origins::Origins;
pub use sources::{Reached, Sources, Stages};
use strict::Strict;

/// Requests that one connection may have in work at once, where it can have several: over HTTP/2.
const REQUESTS_AT_ONCE: u32 = 8;

/// What one stranger, and all together, may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest request, in bytes.
    pub request_bytes_max: u32,
    /// The largest response, in bytes.
    pub response_bytes_max: u32,
    /// Requests in one batch.
    pub batch_max: u32,
    /// TCP connections that are open, WebSockets among them.
    pub connections_max: u32,
    /// Those of one IPv4 address or one IPv6 network of 64 bits. Raise it behind a reverse proxy.
    pub connections_per_address_max: u32,
    /// Subscriptions of one WebSocket.
    pub subscriptions_max: u32,
    /// Calls that one connection may make at once after a pause.
    pub burst: u32,
    /// Calls a second that one connection may make in the long run; zero for no limit.
    pub calls_per_second: u32,
    /// A connection that made no call for so long is closed, also a WebSocket that answers pings.
    pub idle: Duration,
    /// How long a request may take inside of the node.
    pub request_timeout: Duration,
    /// The web pages that may call from a browser.
    pub origins: Origins,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_bytes_max: 256 << 10,
            response_bytes_max: 8 << 20,
            batch_max: 100,
            connections_max: 1_024,
            connections_per_address_max: 256,
            subscriptions_max: 16,
            burst: 200,
            calls_per_second: 100,
            idle: Duration::from_secs(120),
            request_timeout: Duration::from_secs(10),
            origins: Origins::default(),
        }
    }
}

/// A gateway that serves.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    handle: ServerHandle,
}

impl Gateway {
    /// Binds `address` and serves until [`Gateway::stop`]. Must be called inside of a tokio
    /// runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(
        address: SocketAddr,
        limits: Limits,
        clock: Arc<dyn Clock>,
        api: Api,
    ) -> std::io::Result<Gateway> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, handle) = stop_channel();
        let methods: Methods = api.into_rpc().into();
        let connections =
            Connections::new(limits.connections_max, limits.connections_per_address_max);
        let accepting = Listener { limits, clock, methods, stop, connections };
        tokio::spawn(accepting.run(listener));
        Ok(Gateway { address, handle })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no further requests, answers those that it has, and returns when all connections
    /// are closed or `limit` is over.
    pub async fn stop(self, limit: Duration) {
        if self.handle.stop().is_err() {
            tracing::debug!("the gateway was stopped before");
        }
        let closed = tokio::time::timeout(limit, self.handle.stopped()).await;
        if closed.is_err() {
            tracing::warn!("connections were still open when the gateway stopped");
        }
    }
}

/// Accepts connections and serves each in a task of its own.
struct Listener {
    limits: Limits,
    clock: Arc<dyn Clock>,
    methods: Methods,
    stop: StopHandle,
    connections: Connections,
}

impl Listener {
    async fn run(self, listener: TcpListener) {
        let browsers = tower::ServiceBuilder::new().layer(self.limits.origins.layer());
        let service = ServerBuilder::with_config(self.config()).to_service_builder();
        let service = service.set_http_middleware(browsers);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.clone().shutdown() => return,
            };
            let (socket, remote) = match accepted {
                Ok(accepted) => accepted,
                // Out of file descriptors, mostly: the next one is tried after a rest.
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // Over the limit the socket is closed without a word, which costs us least.
            let Some(place) = self.connections.admit(remote.ip()) else { continue };
            let bucket = self.bucket();
            let idle =
                IdleTimer::new(Arc::clone(&bucket), Arc::clone(&self.clock), self.limits.idle);
            let connection = Connection::new(socket, place, idle);
            let layer = RateLimit::new(bucket, Arc::clone(&self.clock));
            let rpc = RpcServiceBuilder::new().layer(layer).layer(Strict);
            // The server's own count is of requests and of all callers together: one of them could use it up.
            let service = service.clone().max_connections(REQUESTS_AT_ONCE).set_rpc_middleware(rpc);
            let service = service.build(self.methods.clone(), self.stop.clone());
            let stop = self.stop.clone().shutdown();
            let serving = serve_with_graceful_shutdown(connection, service, stop);
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    tracing::debug!(%error, "a connection ended");
                }
            });
        }
    }

    fn config(&self) -> ServerConfig {
        let limits = &self.limits;
        ServerConfig::builder()
            .max_request_body_size(limits.request_bytes_max)
            .max_response_body_size(limits.response_bytes_max)
            .max_subscriptions_per_connection(limits.subscriptions_max)
            .set_batch_request_config(BatchRequestConfig::Limit(limits.batch_max))
            .set_message_buffer_capacity(limits.batch_max.max(64))
            .enable_ws_ping(PingConfig::new())
            .build()
    }

    fn bucket(&self) -> Arc<Bucket> {
        let Limits { burst, calls_per_second, .. } = self.limits;
        Arc::new(Bucket::new(burst, calls_per_second, self.clock.now()))
    }
}
