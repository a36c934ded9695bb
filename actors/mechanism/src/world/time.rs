//! Time and drivers in the World: a clock of tokio that only the World moves, and the futures that wait for it.
//!
//! Drivers are those of the node. They sleep on tokio's timers, whose clock is paused here: it goes on when the World
//! says so, to the next timer or to the next event, whichever comes first. Who is woken does not run by itself, it is
//! noted, and the World chooses by its seed among all that are.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::runtime::{EnterGuard, Runtime};
use tokio::time::Instant;

use crate::port::Port;
use crate::supervised::Fault;
use crate::timestamp::Timestamp;

/// A driver; it gives the fault for which the node must stop.
pub(super) type Driver = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// A driver of a node that runs.
pub(super) struct Task {
    pub(super) name: String,
    pub(super) life: u32,
    pub(super) faults: Port<Fault>,
    pub(super) driver: Driver,
}

/// Who is woken.
#[derive(Default)]
struct Woken {
    ids: Mutex<BTreeSet<u64>>,
    /// Whoever waits until somebody is.
    passing: Mutex<Option<Waker>>,
}

impl Woken {
    fn ids(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.ids.lock().expect("nothing that panics is done under this lock")
    }

    fn add(&self, id: u64) {
        self.ids().insert(id);
        let passing =
            self.passing.lock().expect("nothing that panics is done under this lock").take();
        if let Some(passing) = passing {
            passing.wake();
        }
    }

    fn poll_any(&self, context: &Context<'_>) -> Poll<()> {
        *self.passing.lock().expect("nothing that panics is done under this lock") =
            Some(context.waker().clone());
        if self.ids().is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }
}

struct Wakes {
    id: u64,
    woken: Arc<Woken>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.woken.add(self.id);
    }
}

/// See the module.
pub(super) struct Time {
    runtime: Runtime,
    begun: Instant,
    woken: Arc<Woken>,
}

impl Time {
    pub(super) fn new() -> Time {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime of this thread needs nothing of the system");
        let begun = {
            let _entered = runtime.enter();
            Instant::now()
        };
        Time { runtime, begun, woken: Arc::default() }
    }

    /// Makes tokio's clock this one while the guard lives.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Has a driver polled: for its first time, too.
    pub(super) fn wake(&self, id: u64) {
        self.woken.add(id);
    }

    pub(super) fn count_woken(&self) -> usize {
        self.woken.ids().len()
    }

    /// Takes one of those that are woken, in the order of their numbers.
    pub(super) fn take(&self, index: usize) -> Option<u64> {
        let mut ids = self.woken.ids();
        let chosen = ids.iter().nth(index).copied();
        ids.take(&chosen?)
    }

    pub(super) fn poll(&self, id: u64, task: &mut Task) -> Poll<Option<String>> {
        let _entered = self.enter();
        let waker = Waker::from(Arc::new(Wakes { id, woken: Arc::clone(&self.woken) }));
        task.driver.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Lets time pass until `due`, or until a driver is woken. Returns the time then.
    pub(super) fn pass(&self, due: Timestamp) -> Timestamp {
        let until = self.begun + Duration::from_millis(due.0);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = std::future::poll_fn(|context| self.woken.poll_any(context)) => {}
                () = tokio::time::sleep_until(until) => {}
            }
            let passed = (Instant::now() - self.begun).as_millis();
            Timestamp(u64::try_from(passed).expect("a test lasts less than the age of the world"))
        })
    }
}
