//! What a node runs on: the threads of a process, or the World. The wiring of the node is written once, over this.
//!
//! Machines are started, drivers are started beside them, and both learn that the node stops. Drivers use the timers of
//! tokio; in the World their clock is the World's.

use std::fmt::Display;
use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::machine::{Handle, Machine};
use crate::port::{Message, Port, Unanswered};
use crate::supervised::Origin;

/// See the module.
pub trait Platform: Send {
    /// A thread for machines, which several may share.
    type Thread: Send + Sync;
    /// Where a machine can be reached.
    type Ref<A: Machine>: Reach<A>;

    /// A new thread.
    fn thread(&self) -> Self::Thread;

    /// Starts a machine on `thread` with room for `capacity` waiting messages, and returns when it listens. A follower
    /// whose first build fails is reported and built again as after a panic.
    ///
    /// # Errors
    /// [`Unanswered`] when the thread does not come up.
    fn start<A: Machine>(
        &mut self,
        thread: &Self::Thread,
        name: &str,
        capacity: usize,
        origin: Origin<A>,
    ) -> impl Future<Output = Result<Self::Ref<A>, Unanswered>> + Send;

    /// Starts a driver. Its panic or its fault stops the node: a node that goes on without one would acknowledge what
    /// it cannot settle.
    fn drive<E: Ending>(&mut self, name: &str, driver: impl Future<Output = E> + Send + 'static);

    /// Has these machines built again whenever that one was: it is told by them and forgets what it was told.
    fn retold_by(&mut self, machine: &str, sources: &[String]);

    /// What time it is.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Becomes true when drivers shall end.
    fn stopping(&self) -> watch::Receiver<bool>;

    /// Where drivers do long work.
    fn offload(&self) -> Offload;
}

/// Where a machine can be reached; gives a port for each message that it handles.
pub trait Reach<A: Machine>: Clone + Send + Sync + 'static {
    /// The port for messages of type `M`.
    fn port<M: Message>(&self) -> Port<M>
    where
        A: Handle<M>;
}

/// What a driver that ended says of it.
pub trait Ending: Send + 'static {
    /// Why the node must stop; nothing when the driver just ended.
    fn fault(self) -> Option<String>;
}

impl Ending for () {
    fn fault(self) -> Option<String> {
        None
    }
}

impl<E: Display + Send + 'static> Ending for Result<(), E> {
    fn fault(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// Where work is done that would hold up an event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// On threads that may block, beside the event loop.
    Threads,
    /// At once: where there is one thread only.
    AtOnce,
}

impl Offload {
    /// Does the work, and waits for it. A panic of it goes on here.
    pub async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match self {
            Offload::AtOnce => work(),
            Offload::Threads => match tokio::task::spawn_blocking(work).await {
                Ok(done) => done,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime ends, and with it whoever waits here.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
