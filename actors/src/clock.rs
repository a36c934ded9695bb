//! The clock: the only place of the node that reads the time of the machine.
//!
//! Time reaches machines in two ways: every turn carries it, and [`Tick`] wakes those that have
//! deadlines. One driver makes all ticks.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::port::{Message, Port};
use crate::timestamp::Timestamp;

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
    use std::sync::mpsc;

    use super::*;
    use crate::port::{Deliver, Envelope, Refused};

    #[test]
    fn the_clock_never_goes_back() {
        let clock = SystemClock { latest: AtomicU64::new(u64::MAX - 1) };
        assert_eq!(clock.now(), Timestamp(u64::MAX - 1), "holds where the system is behind");
        assert!(SystemClock::default().now() > Timestamp(1_700_000_000_000));
    }

    /// Takes every second tick and refuses the others.
    struct Moody(mpsc::Sender<()>, AtomicU64);

    impl Deliver<Tick> for Moody {
        fn deliver(&self, tick: Envelope<Tick>) -> Result<(), Refused<Tick>> {
            if self.1.fetch_add(1, SeqCst) % 2 == 1 {
                return Err(Refused::Full(tick.message));
            }
            self.0.send(()).map_err(|_| Refused::Closed(tick.message))
        }
    }

    #[test]
    fn the_driver_ticks_on_when_a_port_is_full_and_stops_when_told() {
        let (heard, ticks) = mpsc::channel();
        let (stop, stopped) = watch::channel(false);
        let ports = vec![Port::new(Moody(heard, AtomicU64::new(0)))];
        let driver = drive(ports, Duration::from_millis(2), stopped);
        let until = async {
            let mut count = 0;
            while count < 3 {
                count += ticks.try_iter().count();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop.send(true).expect("the driver listens");
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(async { tokio::join!(driver, until) });
    }
}
