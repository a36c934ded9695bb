//! A turn: what a handler may know and do besides changing its machine.

use std::fmt;

/// Milliseconds since the Unix epoch; in the World, since its beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time `millis` later; the end of time when that does not fit.
    #[must_use]
    pub fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds that have passed since `earlier`; zero when it lies in the future.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds, as blocks carry them.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Handed to every handler. It has no socket, no clock and no way to spawn anything.
#[derive(Debug)]
pub struct Turn {
    /// The time of this turn; it does not move while the handler runs.
    pub now: Timestamp,
    failure: Option<String>,
}

impl Turn {
    /// A turn at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now, failure: None }
    }

    /// Says that this machine cannot go on: after the handler its ports close and the node stops
    /// with `reason`. For faults of the world that no retry can mend, such as a failed fsync.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.failure.get_or_insert(reason.into());
    }

    /// The first failure of this turn.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}
