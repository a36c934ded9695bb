//! What contradicts itself is read again before it stops a chain: servers are replicas that lag behind each other, and
//! any of them may say nothing where there is something. Only what stays wrong over many readings halts the watcher.

use zklink_mechanism::timestamp::Timestamp;

use super::Halt;

/// A contradiction is believed after at least so many readings.
const READINGS: u32 = 8;
/// And after at least so long, milliseconds: no replica that is worth its price lags as far.
const LASTING_MS: u64 = 10 * 60 * 1000;
/// The longest pause between two readings, milliseconds.
const PAUSE_MAX_MS: u64 = 60 * 1000;

/// A contradiction that may pass.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    /// What it will halt with. The first one stays: what follows is often only its echo.
    halt: Halt,
    since: Timestamp,
    readings: u32,
    /// The height that must be read without a contradiction before the doubt is over.
    height: u64,
}

impl Doubt {
    /// The first time, at this height.
    pub(super) fn new(halt: Halt, height: u64, now: Timestamp) -> Doubt {
        Doubt { halt, since: now, readings: 1, height }
    }

    /// Another time.
    pub(super) fn again(&mut self, height: u64) {
        self.readings = self.readings.saturating_add(1);
        self.height = self.height.max(height);
    }

    /// What it is about, and since when.
    pub(super) fn halt(&self) -> (&Halt, Timestamp) {
        (&self.halt, self.since)
    }

    /// Whether it has lasted.
    pub(super) fn is_lasting(&self, now: Timestamp) -> bool {
        self.readings >= READINGS && now.since(self.since) >= LASTING_MS
    }

    /// Whether what was read without a contradiction up to this height ends it.
    pub(super) fn ends_at(&self, height: u64) -> bool {
        height >= self.height
    }

    /// How long to wait before the next reading, milliseconds: twice as long each time.
    pub(super) fn pause(&self, poll_ms: u64) -> u64 {
        poll_ms.saturating_mul(1 << self.readings.min(16)).min(PAUSE_MAX_MS.max(poll_ms))
    }
}
