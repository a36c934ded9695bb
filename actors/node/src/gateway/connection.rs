//! Connections: how many there may be, and how long one stays open without a call.
//!
//! A WebSocket outlives the task that accepted it, because an upgrade hands the socket on. So the socket itself carries
//! its place in the count and its idle timer: both end when the socket is closed, whoever holds it then.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use zklink_mechanism::clock::Clock;

use super::limit::Bucket;

/// The first half of an IPv6 address: the least that a provider gives to one customer.
const CUSTOMER: u128 = !0 << 64;

/// The connections that are open, by who made them.
pub(super) struct Connections {
    max: u32,
    per_address_max: u32,
    open: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
}

impl Connections {
    /// None yet; later so many in all, and of one address.
    pub(super) fn new(max: u32, per_address_max: u32) -> Connections {
        Connections { max, per_address_max, open: Arc::default() }
    }

    /// Counts one more connection until the place is dropped; nothing when there is no room.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Place> {
        let address = customer(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u32 = open.values().sum();
        let own = open.get(&address).copied().unwrap_or_default();
        if all >= self.max || own >= self.per_address_max {
            return None;
        }
        open.insert(address, own + 1);
        Some(Place { address, open: Arc::clone(&self.open) })
    }
}

/// Whom an address stands for: the network of an IPv6 customer, who could use a new address for each connection.
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & CUSTOMER).into(),
        address => address,
    }
}

/// The place of an open connection in the count.
pub(super) struct Place {
    address: IpAddr,
    open: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.address)),
        }
    }
}

/// A socket that counts as long as it is open, and fails once nothing was called over it for too long.
pub(super) struct Connection {
    socket: TcpStream,
    /// Two timers, because a WebSocket is read in one task and written in another, and a timer wakes one task only.
    reading: IdleTimer,
    writing: IdleTimer,
    _place: Place,
}

impl Connection {
    /// A connection with its place in the count, which fails when the timer is over.
    pub(super) fn new(socket: TcpStream, place: Place, idle: IdleTimer) -> Connection {
        // Small answers go out at once. Where the option cannot be set they only go out later.
        drop(socket.set_nodelay(true));
        Connection { socket, reading: idle.again(), writing: idle, _place: place }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reading.poll_over(context).is_ready() {
            return Poll::Ready(Err(unused()));
        }
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.writing.poll_over(context).is_ready() {
            return Poll::Ready(Err(unused()));
        }
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.writing.poll_over(context).is_ready() {
            return Poll::Ready(Err(unused()));
        }
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

fn unused() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing was called for too long")
}

/// Tells when a connection was not used for too long. Only calls are use: whoever answers pings wants nothing.
pub(super) struct IdleTimer {
    bucket: Arc<Bucket>,
    clock: Arc<dyn Clock>,
    limit_ms: u64,
    sleep: Pin<Box<Sleep>>,
}

impl IdleTimer {
    /// A timer that is over when the bucket saw no call for so long.
    pub(super) fn new(bucket: Arc<Bucket>, clock: Arc<dyn Clock>, limit: Duration) -> IdleTimer {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        IdleTimer { bucket, clock, limit_ms, sleep: Box::pin(tokio::time::sleep(limit)) }
    }

    /// Another timer of the same connection.
    fn again(&self) -> IdleTimer {
        let limit = Duration::from_millis(self.limit_ms);
        IdleTimer::new(Arc::clone(&self.bucket), Arc::clone(&self.clock), limit)
    }

    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let quiet = self.clock.now().since(self.bucket.last_call());
            let left = self.limit_ms.saturating_sub(quiet);
            if left == 0 {
                return Poll::Ready(());
            }
            ready!(self.sleep.as_mut().poll(context));
            // There was a call since the timer was set.
            self.sleep.set(tokio::time::sleep(Duration::from_millis(left)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_counted_by_customer_and_given_back() {
        let connections = Connections::new(4, 2);
        let admit = |text: &str| connections.admit(address(text));
        let first = admit("10.0.0.1");
        let mapped = admit("::ffff:10.0.0.1");
        assert!(first.is_some() && mapped.is_some());
        assert!(admit("10.0.0.1").is_none(), "one IPv4 address, however it is written");
        let one = admit("2001:db8:0:1::1");
        let other = admit("2001:db8:0:1:ffff::2");
        assert!(one.is_some() && other.is_some());
        drop(first);
        assert!(admit("2001:db8:0:1::3").is_none(), "one customer has many IPv6 addresses");
        let neighbour = admit("2001:db8:0:2::1");
        assert!(neighbour.is_some());
        assert!(admit("10.0.0.2").is_none(), "no more than four in all");
        drop((mapped, one, other, neighbour));
        assert!(connections.open.lock().unwrap().is_empty(), "who has left leaves nothing");
    }
}
