//! How often a chain is asked.

use zklink_mechanism::timestamp::Timestamp;

/// A chain where nothing is to be done is asked once in so many usual periods.
const QUIET: u64 = 15;
/// But at least this often, milliseconds, if the usual period allows.
const QUIET_MAX_MS: u64 = 60_000;

/// How often a chain is asked, milliseconds. `docs/operations.md` says how many requests follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// While something is to be done there.
    pub poll_ms: u64,
    /// While nothing is.
    pub quiet_ms: u64,
}

impl Periods {
    /// With the usual period of a chain. Where it is short, a quiet chain is asked more often too: whoever chose it
    /// wants to see things soon.
    pub fn new(poll_ms: u64) -> Periods {
        let quiet_ms = poll_ms.saturating_mul(QUIET).min(QUIET_MAX_MS).max(poll_ms);
        Periods { poll_ms, quiet_ms }
    }
}

/// The time since a driver's start.
pub(super) fn elapsed(start: tokio::time::Instant) -> Timestamp {
    Timestamp(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))
}
