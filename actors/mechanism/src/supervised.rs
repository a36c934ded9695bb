//! A machine under supervision: its panics are caught and reported, and it can be built again.
//!
//! It is what the actix shell and the World have in common, so that a machine meets the same
//! bounds, panics, restarts and idle calls in both.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::machine::{Handle, IDLE_EVERY, Load, Machine};
use crate::port::{Envelope, Mailbox, Message, Port, Refused};
use crate::timestamp::Timestamp;
use crate::turn::Turn;

/// A machine fell: its ports are closed and it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its name.
    pub machine: String,
    /// What it said, or what its panic said.
    pub reason: String,
    /// Whether the node must stop: a machine that owns truth, or one that gave up by itself.
    pub fatal: bool,
}

impl Message for Fault {
    type Reply = ();
}

/// Makes a machine anew after a panic, from what is stored. The text says why it could not.
pub type Factory<A> = Box<dyn FnMut() -> Result<A, String> + Send>;

/// Where a machine comes from, and so what a panic of it means.
pub enum Origin<A> {
    /// A machine that owns truth: when it panics the node stops, and restarts by replay.
    Once(A),
    /// A follower: when it panics the supervisor has it built again.
    Rebuilt(Factory<A>),
}

impl<A: Machine> Origin<A> {
    /// A follower that `factory` can build at any time.
    pub fn rebuilt(factory: impl FnMut() -> Result<A, String> + Send + 'static) -> Self {
        Self::Rebuilt(Box::new(factory))
    }
}

/// A machine with its mailbox, its origin and the port on which it reports to the supervisor.
pub struct Supervised<A> {
    name: String,
    machine: Option<A>,
    factory: Option<Factory<A>>,
    mailbox: Arc<Mailbox>,
    supervisor: Option<Port<Fault>>,
    unreported: Option<Fault>,
    since_idle: usize,
}

/// It hands out no pinned reference to its machine, so moving it is always fine.
impl<A> Unpin for Supervised<A> {}

impl<A: Machine> Supervised<A> {
    /// Takes a machine and opens its mailbox. Without a supervisor (which has none itself) faults are logged.
    pub fn new(
        name: &str,
        mailbox: Arc<Mailbox>,
        supervisor: Option<Port<Fault>>,
        origin: Origin<A>,
    ) -> Self {
        let mut supervised = Self {
            name: name.to_owned(),
            machine: None,
            factory: None,
            mailbox,
            supervisor,
            unreported: None,
            since_idle: 0,
        };
        match origin {
            Origin::Once(machine) => supervised.machine = Some(machine),
            Origin::Rebuilt(factory) => supervised.factory = Some(factory),
        }
        supervised.mailbox.set_open(supervised.machine.is_some());
        supervised.rebuild();
        supervised
    }

    /// Handles one message, for which a permit was taken, and idles when it was the last.
    pub fn handle<M: Message>(&mut self, envelope: Envelope<M>, now: Timestamp)
    where
        A: Handle<M>,
    {
        self.mailbox.leave();
        let Envelope { message, reply } = envelope;
        let answer = self.run(now, |machine, turn| machine.handle(message, turn));
        if let (Some(answer), Some(reply)) = (answer, reply) {
            reply.answer(answer);
        }
        self.since_idle += 1;
        if self.mailbox.queued() == 0 || self.since_idle >= IDLE_EVERY {
            self.idle(now);
        }
    }

    /// Lets the machine do its group work, and repeats a report that did not get through.
    pub fn idle(&mut self, now: Timestamp) {
        self.since_idle = 0;
        self.run(now, |machine, turn| machine.idle(turn));
        self.report();
    }

    /// What waits: [`Load::Clear`] means that no further idle call is needed.
    pub fn load(&self) -> Load {
        match &self.machine {
            _ if self.unreported.is_some() => Load::Waiting,
            Some(machine) => machine.load(),
            None => Load::Clear,
        }
    }

    /// Builds a follower, also in the place of one that still runs, and opens the mailbox; a failure
    /// is reported like a panic. A machine that owns truth is left alone.
    pub fn rebuild(&mut self) {
        let Some(factory) = self.factory.as_mut() else { return };
        match caught(factory).and_then(|built| built) {
            Ok(machine) => {
                self.vacate();
                self.machine = Some(machine);
                self.mailbox.set_saturated(false);
                self.mailbox.set_open(true);
            }
            Err(reason) => self.fall(format!("cannot be built: {reason}"), false),
        }
    }

    /// The machine, unless it has fallen or was stopped.
    pub fn machine(&self) -> Option<&A> {
        self.machine.as_ref()
    }

    /// Refuses further messages; those that wait are still handled.
    pub fn close(&self) {
        self.mailbox.set_open(false);
    }

    /// Whether nothing waits, neither in the mailbox nor inside.
    pub fn is_done(&self) -> bool {
        self.mailbox.queued() == 0 && self.load() == Load::Clear
    }

    /// Drops the machine and closes the mailbox without a report: a stop, or a kill in the World.
    pub fn vacate(&mut self) {
        self.close();
        let machine = self.machine.take();
        // A destructor that panics must not take the thread with it: the machine is gone anyway.
        drop(caught(|| drop(machine)));
    }

    /// As [`Supervised::vacate`], for good: what would build the machine again is dropped, too, with all that it holds.
    pub fn retire(&mut self) {
        self.vacate();
        self.factory = None;
    }

    /// Runs one handler. A machine that panicked is dropped, never looked at again.
    fn run<T>(&mut self, now: Timestamp, work: impl FnOnce(&mut A, &mut Turn) -> T) -> Option<T> {
        let machine = self.machine.as_mut()?;
        let mut turn = Turn::at(now);
        match caught(|| (work(machine, &mut turn), machine.load())) {
            Ok((reply, load)) if turn.failure().is_none() => {
                self.mailbox.set_saturated(load == Load::Saturated);
                return Some(reply);
            }
            Ok(_) => self.fall(turn.failure().unwrap_or_default().to_owned(), true),
            Err(panic) => self.fall(panic, false),
        }
        None
    }

    /// Drops the machine and reports why: it panicked, or it gave up, which no rebuild can mend.
    pub fn fall(&mut self, reason: String, gave_up: bool) {
        self.vacate();
        let fatal = gave_up || self.factory.is_none();
        tracing::error!(machine = self.name, fatal, reason, "a machine fell");
        self.unreported = Some(Fault { machine: self.name.clone(), reason, fatal });
        self.report();
    }

    fn report(&mut self) {
        if let (Some(fault), Some(supervisor)) = (self.unreported.take(), &self.supervisor) {
            self.unreported = supervisor.tell(fault).err().map(Refused::into_message);
        }
    }
}

/// Runs what may panic. Unwind safety: whatever it changed is dropped by the caller.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| format!("panicked: {}", panic_text(&*panic)))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".to_owned())
}
