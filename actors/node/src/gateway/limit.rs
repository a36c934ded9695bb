//! How often one connection may call: a token bucket.

use std::sync::{Arc, Mutex, PoisonError};

use jsonrpsee::core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT};
use jsonrpsee::server::MethodResponse;
use jsonrpsee::types::Request;
use tower::Layer;
use zklink_client::error::{busy, code};
use zklink_mechanism::clock::Clock;
use zklink_mechanism::timestamp::Timestamp;

/// Parts of a call: a bucket fills by `calls_per_second` of them each millisecond.
const PARTS: u64 = 1_000;

/// A token bucket. Every call costs one token, also inside of a batch.
#[derive(Debug)]
pub struct Bucket {
    burst: u64,
    rate: u64,
    level: Mutex<Level>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    parts: u64,
    filled: Timestamp,
}

impl Bucket {
    /// A full bucket of `burst` calls that fills by `calls_per_second`; a rate of zero means that
    /// nothing is counted.
    pub fn new(burst: u32, calls_per_second: u32, now: Timestamp) -> Bucket {
        let burst = u64::from(burst.max(1)) * PARTS;
        let level = Mutex::new(Level { parts: burst, filled: now });
        Bucket { burst, rate: u64::from(calls_per_second), level }
    }

    /// Takes tokens for `calls` calls, or says after how many milliseconds they will be there. A
    /// batch that is larger than the bucket costs the whole bucket.
    ///
    /// # Errors
    /// The time to wait in milliseconds.
    pub fn take(&self, calls: usize, now: Timestamp) -> Result<(), u64> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.since(level.filled).saturating_mul(self.rate);
        level.parts = level.parts.saturating_add(gained).min(self.burst);
        level.filled = level.filled.max(now);
        if self.rate == 0 {
            return Ok(());
        }
        let calls = u64::try_from(calls).unwrap_or(u64::MAX);
        let price = calls.saturating_mul(PARTS).min(self.burst);
        match level.parts.checked_sub(price) {
            Some(left) => {
                level.parts = left;
                Ok(())
            }
            None => Err((price - level.parts).div_ceil(self.rate)),
        }
    }

    /// When the last call came, whether or not it was served.
    pub fn last_call(&self) -> Timestamp {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).filled
    }
}

/// Puts a bucket in front of the methods of one connection.
#[derive(Clone)]
pub struct RateLimit {
    bucket: Arc<Bucket>,
    clock: Arc<dyn Clock>,
}

impl RateLimit {
    /// A layer with this bucket.
    pub fn new(bucket: Arc<Bucket>, clock: Arc<dyn Clock>) -> RateLimit {
        RateLimit { bucket, clock }
    }

    fn take(&self, calls: usize) -> Result<(), u64> {
        self.bucket.take(calls, self.clock.now())
    }
}

impl<S> Layer<S> for RateLimit {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, limit: self.clone() }
    }
}

/// A service behind a bucket.
#[derive(Clone)]
pub struct Limited<S> {
    inner: S,
    limit: RateLimit,
}

fn too_often(wait_ms: u64) -> jsonrpsee::types::ErrorObjectOwned {
    busy(code::LIMIT, "this connection calls too often", wait_ms)
}

impl<S> RpcServiceT for Limited<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Send
        + Sync
        + Clone
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, taken) = (self.inner.clone(), self.limit.take(1));
        async move {
            match taken {
                Ok(()) => inner.call(request).await,
                Err(wait) => MethodResponse::error(request.id, too_often(wait)),
            }
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, taken) = (self.inner.clone(), self.limit.take(batch.len()));
        async move {
            let Err(wait) = taken else { return inner.batch(batch).await };
            let refuse = |entry| match entry {
                Ok(BatchEntry::Call(call)) => Err(BatchEntryErr::new(call.id, too_often(wait))),
                other => other,
            };
            inner.batch(Batch::from(batch.into_iter().map(refuse).collect())).await
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, taken) = (self.inner.clone(), self.limit.take(1));
        async move {
            match taken {
                Ok(()) => inner.notification(notification).await,
                // Nobody waits for an answer to a notification.
                Err(_) => MethodResponse::notification(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = Bucket::new(3, 10, Timestamp(1_000));
        assert_eq!(bucket.take(3, Timestamp(1_000)), Ok(()));
        assert_eq!(bucket.take(1, Timestamp(1_000)), Err(100), "a tenth of a second for one");
        assert_eq!(bucket.take(1, Timestamp(1_099)), Err(1));
        assert_eq!(bucket.take(1, Timestamp(1_100)), Ok(()));
        assert_eq!(bucket.take(4, Timestamp(9_000)), Ok(()), "more than the bucket empties it");
        assert_eq!(bucket.take(1, Timestamp(9_000)), Err(100));
        assert_eq!(bucket.last_call(), Timestamp(9_000));
    }

    #[test]
    fn a_clock_that_stands_gains_nothing_and_rate_zero_counts_nothing() {
        let bucket = Bucket::new(1, 1, Timestamp(5_000));
        assert_eq!(bucket.take(1, Timestamp(5_000)), Ok(()));
        assert_eq!(bucket.take(1, Timestamp(4_000)), Err(1_000), "time never goes back");
        let free = Bucket::new(1, 0, Timestamp(0));
        assert!((0..10_000).all(|_| free.take(100, Timestamp(0)).is_ok()));
    }
}
