//! The clock: the only place of the node that reads the time of the machine.
//!
//! Time reaches machines in two ways: every turn carries it, and [`Tick`] wakes those that have
//! deadlines. One driver makes all ticks.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::port::{Message, Port};
use crate::turn::Timestamp;

/// Who knows what time it is.
pub trait Clock: Send + Sync {
    /// The time now. Never goes back.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system, held where it would step back.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest: AtomicU64,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's time")]
    fn now(&self) -> Timestamp {
        // A clock before 1970 reads as zero, and from there on the latest time seen holds.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.latest.fetch_max(millis, SeqCst).max(millis))
    }
}

/// Time has passed; how much is in the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick;

impl Message for Tick {
    type Reply = ();
}

/// Tells every port a [`Tick`] each `period`, until `stop` becomes true or its sender is dropped.
/// A port that is full or closed misses this tick: the next one says the same.
pub async fn drive(ports: Vec<Port<Tick>>, period: Duration, mut stop: watch::Receiver<bool>) {
    let mut beat = tokio::time::interval(period);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = beat.tick() => for port in &ports {
                drop(port.tell(Tick));
            },
            stopped = stop.wait_for(|stop| *stop) => {
                drop(stopped);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let clock = SystemClock { latest: AtomicU64::new(u64::MAX - 1) };
        assert_eq!(clock.now(), Timestamp(u64::MAX - 1), "holds where the system is behind");
        assert!(SystemClock::default().now() > Timestamp(1_700_000_000_000));
    }
}
