//! The actix shell around a machine. This is the only file that knows actix.
//!
//! One actor per machine, each on the thread that it is given. Panics are caught inside of the
//! [`Supervised`], so that no arbiter thread ever dies and no address goes deaf. Mailboxes are bounded by
//! the [`Mailbox`]; actix's own bound is switched off, because it would count a second time.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::SendError;
use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Recipient};

use crate::clock::Clock;
use crate::machine::{Handle, Load, Machine};
use crate::platform::Reach;
use crate::port::{
    Deliver, Envelope, Mailbox, Message, Pending, Port, Refused, ReplyTo, Unanswered,
};
use crate::supervised::Supervised;

/// How long a machine with waiting work rests before it is idled again.
const NAP: Duration = Duration::from_millis(5);

/// Runs a future inside of an actix system on this thread: what a host needs around it. What the future
/// spawns (drivers, the RPC) runs on as many threads as there are cores, so that one that works does not hold
/// up the others; each machine stays on its own thread.
///
/// # Panics
/// When the system gives no threads.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    actix::System::with_tokio_rt(move || runtime().expect("the system gives threads"))
        .block_on(future)
}

/// An OS thread with an event loop. Machines may share one.
pub struct Thread(Arbiter);

impl Thread {
    /// Starts a thread. Must be called inside of an actix system.
    pub fn start() -> Self {
        Self(Arbiter::new())
    }
}

struct Shell<A: Machine> {
    supervised: Supervised<A>,
    clock: Arc<dyn Clock>,
    napping: bool,
    stopping: Vec<ReplyTo<()>>,
}

impl<A: Machine> Shell<A> {
    /// Completes a stop when nothing waits any more; otherwise sees to it that idle is called again.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        if self.supervised.load() == Load::Clear {
            if !self.stopping.is_empty() {
                self.supervised.retire();
                self.stopping.drain(..).for_each(|stopped| stopped.answer(()));
            }
        } else if !self.napping {
            self.napping = true;
            ctx.run_later(NAP, |shell, ctx| {
                shell.napping = false;
                shell.supervised.idle(shell.clock.now());
                shell.settle(ctx);
            });
        }
    }
}

impl<A: Machine> Actor for Shell<A> {
    type Context = Context<Self>;
}

impl<M: Message> actix::Message for Envelope<M> {
    type Result = ();
}

impl<A: Handle<M>, M: Message> Handler<Envelope<M>> for Shell<A> {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<M>, ctx: &mut Context<Self>) {
        self.supervised.handle(envelope, self.clock.now());
        self.settle(ctx);
    }
}

/// What is done to a machine instead of told to it.
#[derive(Clone, Copy)]
pub enum Command {
    /// Nothing; the answer says that the machine listens.
    Attend,
    /// Builds a follower again.
    Rebuild,
    /// Closes the ports, lets the machine finish what waits, and drops it.
    Stop,
}

struct Commanded(Command, ReplyTo<()>);

impl actix::Message for Commanded {
    type Result = ();
}

impl<A: Machine> Handler<Commanded> for Shell<A> {
    type Result = ();

    fn handle(&mut self, Commanded(command, done): Commanded, ctx: &mut Context<Self>) {
        match command {
            Command::Stop => {
                self.supervised.close();
                self.stopping.push(done);
                self.supervised.idle(self.clock.now());
            }
            Command::Rebuild if self.stopping.is_empty() => {
                self.supervised.rebuild();
                done.answer(());
            }
            Command::Attend | Command::Rebuild => done.answer(()),
        }
        self.settle(ctx);
    }
}

/// Commands a machine, past its mailbox.
pub struct Control(Recipient<Commanded>);

impl Control {
    /// Sends a command; the answer comes when it is carried out.
    ///
    /// # Errors
    /// [`Unanswered::Dropped`] when the thread is gone.
    pub fn send(&self, command: Command) -> Result<Pending<()>, Unanswered> {
        let (done, pending) = ReplyTo::new();
        self.0.try_send(Commanded(command, done)).map_err(|_| Unanswered::Dropped)?;
        Ok(pending)
    }
}

/// Where a machine can be reached; turns into a port for each message that it handles.
pub struct MachineRef<A: Machine> {
    actor: Addr<Shell<A>>,
    /// The bound of its mailbox.
    pub(crate) mailbox: Arc<Mailbox>,
}

impl<A: Machine> MachineRef<A> {
    /// Starts a machine on `thread`; it is made there.
    pub fn start(
        thread: &Thread,
        clock: Arc<dyn Clock>,
        mailbox: Arc<Mailbox>,
        supervised: impl FnOnce() -> Supervised<A> + Send + 'static,
    ) -> Self {
        let actor = Shell::start_in_arbiter(&thread.0.handle(), |ctx| {
            ctx.set_mailbox_capacity(0);
            Shell { supervised: supervised(), clock, napping: false, stopping: Vec::new() }
        });
        Self { actor, mailbox }
    }

    /// The control of the machine.
    pub fn control(&self) -> Control {
        Control(self.actor.clone().recipient())
    }
}

impl<A: Machine> Clone for MachineRef<A> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), mailbox: Arc::clone(&self.mailbox) }
    }
}

impl<A: Machine> Reach<A> for MachineRef<A> {
    fn port<M: Message>(&self) -> Port<M>
    where
        A: Handle<M>,
    {
        Port::new(self.clone())
    }
}

impl<A: Handle<M>, M: Message> Deliver<M> for MachineRef<A> {
    fn deliver(&self, envelope: Envelope<M>) -> Result<(), Refused<M>> {
        let envelope = self.mailbox.enter(envelope)?;
        self.actor.try_send(envelope).map_err(|refused| {
            self.mailbox.leave();
            let (SendError::Full(envelope) | SendError::Closed(envelope)) = refused;
            // The mailbox itself has no bound: a refusal means that the thread is gone.
            Refused::Closed(envelope.message)
        })
    }
}
