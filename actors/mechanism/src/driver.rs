//! What all drivers do: ask a machine, and pause longer the more often the world fails.
//!
//! A driver is the loop around a machine that may wait: it asks the machine what to do, does the I/O, and tells it the
//! outcome.

use std::time::Duration;

use crate::port::{Message, Port};

/// How long a machine may take for an answer; it never waits for anybody, so this is a bound on a fault.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Asks a machine; nothing when it is full, closed or has failed, which the next round will see again.
pub async fn ask<M: Message>(port: &Port<M>, message: M) -> Option<M::Reply> {
    port.ask(message).ok()?.wait(PATIENCE).await.ok()
}

/// The pause after so many failures in a row: `period` doubled with each, up to 30 s or `period`.
pub fn pause(period: Duration, failures: u32) -> Duration {
    period.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX.max(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_failures_and_has_an_end() {
        let pause = |failures| pause(Duration::from_secs(1), failures);
        assert_eq!(pause(0), Duration::from_secs(1));
        assert_eq!(pause(3), Duration::from_secs(8));
        assert_eq!(pause(u32::MAX), Duration::from_secs(30));
    }
}
