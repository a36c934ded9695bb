//! The only place that reads the time of the machine.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::ChainError;

/// The largest timestamp that the chain accepts, seconds: far enough for every test, and small
/// enough that no sum of two timestamps overflows.
pub(crate) const TIME_MAX: u64 = 1 << 40;

/// Seconds since the Unix epoch.
#[allow(clippy::disallowed_methods)] // A chain outside the rollup has a clock of its own.
pub(crate) fn now() -> u64 {
    // A clock before 1970 gives 0, and the chain then goes on from its parent's timestamp.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// The time of the chain: the machine's, moved forward by what developers asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChainClock {
    ahead: u64,
    next: Option<u64>,
}

impl ChainClock {
    /// The timestamp of a block that would be made now. Timestamps never decrease; they may be
    /// equal (as on chains with blocks of less than a second), because blocks that are made on
    /// demand would otherwise run ahead of the clock for ever.
    pub(crate) fn peek(&self, parent: u64) -> u64 {
        let running = now().saturating_add(self.ahead).clamp(parent, TIME_MAX);
        self.next.unwrap_or(running)
    }

    /// Takes the timestamp of the next block. One that was set explicitly moves the clock.
    pub(crate) fn take(&mut self, parent: u64) -> u64 {
        let time = self.peek(parent);
        if self.next.take().is_some() {
            self.ahead = time.saturating_sub(now());
        }
        time
    }

    /// Moves the clock forward, and returns by how much it is ahead in all, seconds.
    pub(crate) fn increase(&mut self, seconds: u64) -> Result<u64, ChainError> {
        let ahead = self.ahead.saturating_add(seconds);
        if ahead > TIME_MAX / 2 {
            return Err(ChainError::Time { asked: seconds, reason: "it is too far ahead" });
        }
        self.ahead = ahead;
        Ok(ahead)
    }

    /// Sets the timestamp of the next block, seconds since the Unix epoch.
    pub(crate) fn set_next(&mut self, time: u64, parent: u64) -> Result<(), ChainError> {
        if time > TIME_MAX {
            return Err(ChainError::Time { asked: time, reason: "it is too far ahead" });
        }
        if time < parent {
            return Err(ChainError::Time { asked: time, reason: "it is before the latest block" });
        }
        self.next = Some(time);
        Ok(())
    }
}
