//! The node's drivers as actors of the World: pull loops that beat instead of sleeping.
//!
//! Each does what its namesake in `zklink-actors` does. Their futures are polled once, because simulated endpoints
//! answer at once.

pub mod hub;
pub mod prove;
pub mod read;
pub mod settle;
pub mod start;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::world::World;

/// How often a driver looks whether it has something to do, virtual milliseconds.
pub const BEAT_MS: u64 = 10;

/// Whether the node that a driver belongs to still runs.
#[derive(Clone, Debug)]
pub struct Running(Arc<AtomicBool>);

impl Running {
    /// It runs.
    pub fn yes() -> Running {
        Running(Arc::new(AtomicBool::new(true)))
    }

    /// Whether it still does.
    pub fn is_up(&self) -> bool {
        self.0.load(SeqCst)
    }

    /// It runs no more.
    pub fn end(&self) {
        self.0.store(false, SeqCst);
    }
}

/// Something that beats.
pub trait Driver: Send + 'static {
    /// Does the next bit of work, if there is one; never waits.
    fn beat(&mut self, now: Timestamp);
}

/// Starts a driver, which is dropped with its node.
pub fn start(world: &World, running: &Running, driver: impl Driver) {
    let (running, mut driver) = (running.clone(), Some(driver));
    world.every(BEAT_MS, move |now| {
        if !running.is_up() {
            driver = None;
        }
        if let Some(driver) = &mut driver {
            driver.beat(now);
        }
    });
}

/// What a future gives that never waits.
///
/// # Panics
/// When it waits all the same.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("simulated chains answer at once: who waits here?"),
    }
}

/// The pause after failures, as in the node: doubles with each.
pub fn pause_ms(period_ms: u64, failures: u32) -> u64 {
    period_ms.saturating_mul(1 << failures.min(10)).min(30_000.max(period_ms))
}
