//! What all drivers do: ask a machine, and pause longer the more often the world fails.
//!
//! A driver is the loop around a machine that may wait: it asks the machine what to do, does the I/O, and tells it the
//! outcome.

use std::time::Duration;

use tokio::sync::watch;

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

/// The hands of a machine that says what the world shall be asked next: does the asking.
pub trait Asking: Send + Sync {
    /// The question to the machine for its next request.
    type Next: Message<Reply = Option<Self::Request>>;
    /// A request.
    type Request: Send + Sync;
    /// What tells the machine the answer.
    type Outcome: Message<Reply: Into<Option<Self::Status>>>;
    /// What the machine says then of how it is doing.
    type Status: Send + Sync;

    /// The question for the next request.
    fn next(&self) -> Self::Next;

    /// Does what was asked for; says also whether the world failed.
    fn answer(&self, request: &Self::Request)
    -> impl Future<Output = (Self::Outcome, bool)> + Send;

    /// Requests in a row that failed.
    fn failures(status: &Self::Status) -> u32;
}

/// Asks a machine what to ask, asks it, and tells the answer, until `stop` becomes true or its sender is gone. Without
/// a request it pauses for `period`, after failures longer. `health` always holds the last known state.
pub async fn pull<A: Asking>(
    asking: A,
    next: Port<A::Next>,
    outcome: Port<A::Outcome>,
    health: watch::Sender<Option<A::Status>>,
    period: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut failures = 0;
    loop {
        let step = async {
            let Some(request) = ask(&next, asking.next()).await.flatten() else { return false };
            let (told, failed) = asking.answer(&request).await;
            if let Some(status) = ask(&outcome, told).await.and_then(Into::into) {
                failures = A::failures(&status);
                health.send_replace(Some(status));
            }
            !failed
        };
        let progressed = tokio::select! {
            biased;
            stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
            progressed = step => progressed,
        };
        if !progressed && rest(pause(period, failures), &mut stop).await {
            return;
        }
    }
}

/// Rests; true when the driver shall end instead.
pub async fn rest(pause: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        stopped = stop.wait_for(|stop| *stop) => {
            drop(stopped);
            true
        }
        () = tokio::time::sleep(pause) => false,
    }
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
