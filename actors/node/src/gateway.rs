//! The gateway: the RPC of the node, over HTTP and WebSocket on one port.
//!
//! Reads look at the builder's view and at the archive, and never at the builder itself.
//! Everything that a stranger can make the node hold is bounded by [`Limits`].

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, Methods, PingConfig, ServerBuilder, ServerConfig, ServerHandle, StopHandle,
    serve_with_graceful_shutdown, stop_channel,
};
use tokio::net::{TcpListener, TcpStream};
use zklink_client::ZkLinkServer;
use zklink_mechanism::clock::Clock;
use zklink_mechanism::timestamp::Timestamp;

pub mod api;
pub mod faucet;
mod history;
pub mod limit;
pub mod origins;
pub mod present;
mod sources;

#[cfg(test)]
mod tests;

pub use api::{About, Api};
pub use faucet::{Dripped, Faucet, FaucetRequest, NoDrip};
use limit::{Bucket, RateLimit};
pub use origins::Origins;
pub use sources::{Sources, Stages};

/// What one stranger, and all together, may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest request, in bytes.
    pub request_bytes_max: u32,
    /// The largest response, in bytes.
    pub response_bytes_max: u32,
    /// Requests in one batch.
    pub batch_max: u32,
    /// TCP connections, and of them WebSockets.
    pub connections_max: u32,
    /// TCP connections of one IP address. Raise it behind a reverse proxy.
    pub connections_per_address_max: u32,
    /// Subscriptions of one WebSocket.
    pub subscriptions_max: u32,
    /// Calls that one connection may make at once after a pause.
    pub burst: u32,
    /// Calls a second that one connection may make in the long run; zero for no limit.
    pub calls_per_second: u32,
    /// A connection that made no call for so long is closed.
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
        let door = Door { limits, clock, methods, stop, open: Arc::default() };
        tokio::spawn(door.listen(listener));
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

/// Lets connections in.
struct Door {
    limits: Limits,
    clock: Arc<dyn Clock>,
    methods: Methods,
    stop: StopHandle,
    open: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
}

/// Counts a connection for as long as it lives.
struct Guest {
    address: IpAddr,
    open: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.address)),
        }
    }
}

impl Door {
    async fn listen(self, listener: TcpListener) {
        let config = self.config();
        let browsers = tower::ServiceBuilder::new().layer(self.limits.origins.layer());
        let service = ServerBuilder::with_config(config).to_service_builder();
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
            let Some(guest) = self.admit(remote.ip()) else { continue };
            let bucket = self.bucket();
            let layer = RateLimit::new(Arc::clone(&bucket), Arc::clone(&self.clock));
            let rpc = RpcServiceBuilder::new().layer(layer);
            let service = service.clone().set_rpc_middleware(rpc);
            let service = service.build(self.methods.clone(), self.stop.clone());
            let serving =
                serve_with_graceful_shutdown(quick(socket), service, self.stop.clone().shutdown());
            let (clock, idle) = (Arc::clone(&self.clock), self.limits.idle);
            tokio::spawn(async move {
                tokio::select! {
                    served = serving => if let Err(error) = served {
                        tracing::debug!(%error, "a connection ended");
                    },
                    () = idle_for(&bucket, &*clock, idle) => {}
                }
                drop(guest);
            });
        }
    }

    fn config(&self) -> ServerConfig {
        let limits = &self.limits;
        ServerConfig::builder()
            .max_request_body_size(limits.request_bytes_max)
            .max_response_body_size(limits.response_bytes_max)
            .max_connections(limits.connections_max)
            .max_subscriptions_per_connection(limits.subscriptions_max)
            .set_batch_request_config(BatchRequestConfig::Limit(limits.batch_max))
            .set_message_buffer_capacity(limits.batch_max.max(64))
            .enable_ws_ping(PingConfig::new())
            .build()
    }

    fn admit(&self, address: IpAddr) -> Option<Guest> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u32 = open.values().sum();
        let own = open.entry(address).or_default();
        if all >= self.limits.connections_max || *own >= self.limits.connections_per_address_max {
            if *own == 0 {
                open.remove(&address);
            }
            return None;
        }
        *own += 1;
        Some(Guest { address, open: Arc::clone(&self.open) })
    }

    fn bucket(&self) -> Arc<Bucket> {
        let Limits { burst, calls_per_second, .. } = self.limits;
        Arc::new(Bucket::new(burst, calls_per_second, self.clock.now()))
    }
}

/// Small answers go out at once. Where the option cannot be set they only go out later.
fn quick(socket: TcpStream) -> TcpStream {
    drop(socket.set_nodelay(true));
    socket
}

/// Returns when the connection made no call for so long.
async fn idle_for(bucket: &Bucket, clock: &dyn Clock, limit: Duration) {
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    loop {
        let Timestamp(quiet) = Timestamp(clock.now().since(bucket.last_call()));
        match limit_ms.checked_sub(quiet) {
            None | Some(0) => return,
            Some(left) => tokio::time::sleep(Duration::from_millis(left)).await,
        }
    }
}
