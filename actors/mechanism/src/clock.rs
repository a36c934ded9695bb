//! The clock: the only place of the node that reads the time of the machine.
//!
//! Time reaches machines in two ways: every turn carries it, and [`Tick`] wakes those that have
//! deadlines. One driver makes all ticks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::port::{Message, Port};
use crate::timestamp::Timestamp;

/// Who knows what time it is.
pub trait Clock: Send + Sync {
    /// The time now. Never goes back.
    fn now(&self) -> Timestamp;
}

/// Node time is corrected by at most one part in so many of the time that passes.
const SLEW: u64 = 10;

/// The clock of the operating system, made steady.
///
/// It is set once, when it is made. From then on it follows a clock that nobody sets, and approaches the system's time
/// by a tenth of what passes: it goes at nine to eleven tenths of the speed, never back and never holds, whatever is
/// done to the system's clock. A machine whose clock was an hour wrong is right after ten hours; what must be right
/// before, the time of blocks, is bounded by the hub's clock besides.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    steady: Mutex<Steady>,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's time")]
    fn default() -> SystemClock {
        let steady = Mutex::new(Steady { passed: 0, time: system_nanos() });
        SystemClock { started: Instant::now(), steady }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let mut steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        // Both are read under the lock, so that what a thread reads is never older than what the last one read.
        let passed = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let time = steady.advance(passed, system_nanos());
        Timestamp(time / 1_000_000)
    }
}

/// What the system says that the time is, nanoseconds since 1970; a clock before that reads as zero.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's time")]
fn system_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A time that follows a steady clock and approaches another one. All in nanoseconds, in which the time until the year
/// 2554 fits.
#[derive(Debug)]
struct Steady {
    /// The steady clock when it was read last.
    passed: u64,
    /// The time then.
    time: u64,
}

impl Steady {
    /// The time when the steady clock says `passed` and the system `system`.
    fn advance(&mut self, passed: u64, system: u64) -> u64 {
        let elapsed = passed.saturating_sub(self.passed);
        let straight = self.time.saturating_add(elapsed);
        let most = elapsed / SLEW;
        self.time = system.clamp(straight.saturating_sub(most), straight.saturating_add(most));
        self.passed = self.passed.max(passed);
        self.time
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
            biased;
            stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
            _ = beat.tick() => {
                for port in &ports {
                    drop(port.tell(Tick));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::sync::mpsc;

    use super::*;
    use crate::port::{Deliver, Envelope, Refused};

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3_600 * SECOND;

    /// The time after so many steps of the steady clock, of `step` each, on which the system is `ahead` of it.
    fn after(steady: &mut Steady, steps: u64, step: u64, ahead: i64) -> u64 {
        for _ in 0..steps {
            let (passed, before) = (steady.passed + step, steady.time);
            let time = steady.advance(passed, passed.saturating_add_signed(ahead));
            assert!(time > before, "it never stands still");
            assert!(
                (step * 9 / 10..=step * 11 / 10).contains(&(time - before)),
                "nor does it jump"
            );
        }
        steady.time
    }

    #[test]
    fn a_clock_that_jumps_ahead_and_is_corrected_does_not_hold_the_time() {
        let mut steady = Steady { passed: 0, time: 1_000 * HOUR };
        let start = 1_000 * i64::try_from(HOUR).unwrap();
        let jump = start + 2 * i64::try_from(HOUR).unwrap();
        // For a minute the system is two hours ahead: the node has gained six seconds.
        let ahead = after(&mut steady, 6_000, SECOND / 100, jump);
        assert_eq!(ahead, 1_000 * HOUR + 66 * SECOND);
        // Corrected, it is right again after another minute.
        let right = after(&mut steady, 6_000, SECOND / 100, start);
        assert_eq!(right, 1_000 * HOUR + 120 * SECOND);
    }

    #[test]
    fn a_wrong_clock_is_corrected_slowly_in_both_directions() {
        for ahead in [-3_600, 3_600] {
            let mut steady = Steady { passed: 0, time: 1_000 * HOUR };
            let wanted = (1_000 * i64::try_from(HOUR).unwrap()) + ahead * 1_000_000_000;
            let nine = after(&mut steady, 9 * 3_600, SECOND, wanted);
            let right = (9 * HOUR).saturating_add_signed(wanted);
            assert_eq!(nine.abs_diff(right), 360 * SECOND, "a tenth of the hour is left");
            assert_eq!(after(&mut steady, 3_601, SECOND, wanted), right + 3_601 * SECOND);
        }
    }

    #[test]
    fn the_system_clock_begins_right_and_moves() {
        let clock = SystemClock::default();
        let first = clock.now();
        assert!(first > Timestamp(1_700_000_000_000));
        std::thread::sleep(Duration::from_millis(20));
        assert!((15..10_000).contains(&clock.now().since(first)));
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
