//! A turn: what a handler may know and do besides changing its machine.

use crate::timestamp::Timestamp;

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
