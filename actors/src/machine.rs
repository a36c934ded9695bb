//! Machines: plain structs with synchronous handlers, and the seat that a machine sits in.
//!
//! A seat is what the actix shell and the World have in common, so that a machine meets the same
//! bounds, panics, restarts and idle calls in both.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crate::port::{Envelope, Message, Port};
use crate::supervisor::Fault;
use crate::turn::{Timestamp, Turn};

/// After so many messages [`Machine::idle`] is called even though the mailbox is not empty.
pub const IDLE_EVERY: usize = 256;

/// How much a machine has taken on and not yet finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// Nothing waits.
    Clear,
    /// Something waits: call [`Machine::idle`] again soon, and before a stop is complete.
    Waiting,
    /// As much waits as the machine may hold: as `Waiting`, and its ports answer `Full`.
    Saturated,
}

/// A plain struct that is told things, one at a time.
pub trait Machine: Send + 'static {
    /// Called when the mailbox is empty, and after every [`IDLE_EVERY`] messages: the place for
    /// work that is done once for a group of messages, such as an fsync.
    fn idle(&mut self, _turn: &mut Turn) {}

    /// What still waits inside.
    fn load(&self) -> Load {
        Load::Clear
    }
}

/// A machine's answer to one type of message. Runs to completion; never blocks on another machine.
pub trait Handle<M: Message>: Machine {
    /// Takes the message and returns the reply.
    fn handle(&mut self, message: M, turn: &mut Turn) -> M::Reply;
}

/// Makes a machine anew after a panic, from what is stored. The text says why it could not.
pub type Factory<A> = Box<dyn FnMut() -> Result<A, String> + Send>;

/// Where a machine comes from, and so what a panic of it means.
pub enum Origin<A> {
    /// A machine that owns truth: when it panics the node stops, and restarts by replay.
    Once(A),
    /// A machine that follows the archive: when it panics the supervisor has it built again.
    Rebuilt(Factory<A>),
}

impl<A: Machine> Origin<A> {
    /// A follower that `factory` can build at any time.
    pub fn rebuilt(factory: impl FnMut() -> Result<A, String> + Send + 'static) -> Self {
        Self::Rebuilt(Box::new(factory))
    }
}

/// The bound of a mailbox. A permit is taken before a message is queued and returned when it is
/// handled, so that the mailbox is empty exactly when no permit is out.
#[derive(Debug)]
pub struct Gate {
    capacity: usize,
    queued: AtomicUsize,
    open: AtomicBool,
    saturated: AtomicBool,
}

impl Gate {
    /// A closed gate for `capacity` messages; seating a machine opens it.
    pub fn new(capacity: usize) -> Arc<Self> {
        let (queued, saturated) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { capacity, queued, open: AtomicBool::new(false), saturated })
    }

    /// Takes a permit. `Some(false)` means full, `Some(true)` means taken, `None` means closed.
    pub fn enter(&self) -> Option<bool> {
        if !self.open.load(SeqCst) {
            return None;
        }
        if self.saturated.load(SeqCst) {
            return Some(false);
        }
        let more = |queued| (queued < self.capacity).then_some(queued + 1);
        Some(self.queued.fetch_update(SeqCst, SeqCst, more).is_ok())
    }

    /// Returns a permit.
    pub fn leave(&self) {
        self.queued.fetch_sub(1, SeqCst);
    }

    /// Number of messages that wait.
    pub fn queued(&self) -> usize {
        self.queued.load(SeqCst)
    }

    /// Refuses every further message with `Closed`.
    pub fn close(&self) {
        self.open.store(false, SeqCst);
    }
}

/// A machine with its gate, its origin and its line to the supervisor.
pub struct Seat<A> {
    name: String,
    machine: Option<A>,
    factory: Option<Factory<A>>,
    gate: Arc<Gate>,
    supervisor: Option<Port<Fault>>,
    unreported: Option<Fault>,
    since_idle: usize,
}

/// A seat hands out no pinned reference to its machine, so moving it is always fine.
impl<A> Unpin for Seat<A> {}

impl<A: Machine> Seat<A> {
    /// Seats a machine and opens its gate. Without a supervisor (its own seat) faults are logged.
    pub fn new(
        name: String,
        gate: Arc<Gate>,
        supervisor: Option<Port<Fault>>,
        origin: Origin<A>,
    ) -> Self {
        let (unreported, since_idle) = (None, 0);
        let (machine, factory) = match origin {
            Origin::Once(machine) => (Some(machine), None),
            Origin::Rebuilt(factory) => (None, Some(factory)),
        };
        let mut seat = Self { name, machine, factory, gate, supervisor, unreported, since_idle };
        match seat.machine {
            Some(_) => seat.gate.open.store(true, SeqCst),
            None => seat.rebuild(),
        }
        seat
    }

    /// Handles one message, for which a permit was taken, and idles when it was the last.
    pub fn handle<M: Message>(&mut self, envelope: Envelope<M>, now: Timestamp)
    where
        A: Handle<M>,
    {
        self.gate.leave();
        let Envelope { message, reply } = envelope;
        let answer = self.run(now, |machine, turn| machine.handle(message, turn));
        if let (Some(answer), Some(reply)) = (answer, reply) {
            reply.answer(answer);
        }
        self.since_idle += 1;
        if self.gate.queued() == 0 || self.since_idle >= IDLE_EVERY {
            self.idle(now);
        }
    }

    /// Lets the machine do its group work, and repeats a report that did not get through.
    pub fn idle(&mut self, now: Timestamp) {
        self.since_idle = 0;
        self.run(now, |machine, turn| machine.idle(turn));
        if let Some(fault) = self.unreported.take() {
            self.report(fault);
        }
    }

    /// What waits: [`Load::Clear`] means that no further idle call is needed.
    pub fn load(&self) -> Load {
        match &self.machine {
            _ if self.unreported.is_some() => Load::Waiting,
            Some(machine) => machine.load(),
            None => Load::Clear,
        }
    }

    /// Builds the machine again and opens the gate; a failure is reported like a panic.
    pub fn rebuild(&mut self) {
        let Some(factory) = self.factory.as_mut() else { return };
        match catch_unwind(AssertUnwindSafe(factory)) {
            Ok(Ok(machine)) => {
                self.machine = Some(machine);
                self.gate.saturated.store(false, SeqCst);
                self.gate.open.store(true, SeqCst);
            }
            Ok(Err(reason)) => self.fall(format!("cannot be built: {reason}"), false),
            Err(panic) => self.fall(format!("panicked when built: {}", panic_text(&*panic)), false),
        }
    }

    /// The machine, unless it has fallen or was stopped.
    pub fn machine(&self) -> Option<&A> {
        self.machine.as_ref()
    }

    /// Refuses further messages; those that wait are still handled.
    pub fn close(&self) {
        self.gate.close();
    }

    /// Whether nothing waits, neither in the mailbox nor inside.
    pub fn is_done(&self) -> bool {
        self.gate.queued() == 0 && self.load() == Load::Clear
    }

    /// Drops the machine and closes the gate without a report: a stop, or a kill in the World.
    pub fn vacate(&mut self) {
        self.gate.close();
        let machine = self.machine.take();
        // A destructor that panics must not take the thread with it: the machine is gone anyway.
        drop(catch_unwind(AssertUnwindSafe(|| drop(machine))));
    }

    /// Runs one handler. Unwind safety: a machine that panicked is dropped, never looked at again.
    fn run<T>(&mut self, now: Timestamp, work: impl FnOnce(&mut A, &mut Turn) -> T) -> Option<T> {
        let machine = self.machine.as_mut()?;
        let mut turn = Turn::at(now);
        let done = catch_unwind(AssertUnwindSafe(|| {
            let reply = work(machine, &mut turn);
            (reply, machine.load())
        }));
        match done {
            Ok((reply, load)) if turn.failure().is_none() => {
                self.gate.saturated.store(load == Load::Saturated, SeqCst);
                return Some(reply);
            }
            Ok(_) => self.fall(turn.failure().unwrap_or_default().to_owned(), true),
            Err(panic) => self.fall(format!("panicked: {}", panic_text(&*panic)), false),
        }
        None
    }

    fn fall(&mut self, reason: String, failed: bool) {
        self.vacate();
        let fatal = failed || self.factory.is_none();
        tracing::error!(machine = self.name, fatal, reason, "a machine fell");
        self.report(Fault { machine: self.name.clone(), reason, fatal });
    }

    fn report(&mut self, fault: Fault) {
        if let Some(supervisor) = &self.supervisor {
            self.unreported = supervisor.tell(fault).err().map(crate::port::Refused::into_message);
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".to_owned())
}
