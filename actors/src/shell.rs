//! The actix shell around a machine. This is the only file that knows actix.
//!
//! One actor per machine, each on the thread that it is given. Panics are caught inside of the
//! [`Seat`], so that no arbiter thread ever dies and no address goes deaf. Mailboxes are bounded by
//! the [`Gate`]; actix's own bound is switched off, because it would count a second time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Recipient};

use crate::clock::Clock;
use crate::machine::{Gate, Handle, Load, Machine, Origin, Seat};
use crate::port::{Deliver, Envelope, Message, Port, Refused, ReplyTo, Unanswered};
use crate::supervisor::{Fault, NextOrders, Order, Supervisor};

/// How long a machine with waiting work rests before it is idled again.
const NAP: Duration = Duration::from_millis(5);
/// How long a machine may take to be built: keys and stores are large. A thread that dies is seen
/// at once.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);
/// How long the node waits for its supervisor before it takes it for dead.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(10);

/// Runs a future inside of an actix system on this thread: what [`Crew`] needs around it.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    actix::System::new().block_on(future)
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
    seat: Seat<A>,
    clock: Arc<dyn Clock>,
    napping: bool,
    halting: Vec<ReplyTo<()>>,
}

impl<A: Machine> Shell<A> {
    /// Completes a stop when nothing waits any more; otherwise sees to it that idle is called again.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        if self.seat.load() == Load::Clear {
            if !self.halting.is_empty() {
                self.seat.vacate();
                self.halting.drain(..).for_each(|halted| halted.answer(()));
            }
        } else if !self.napping {
            self.napping = true;
            ctx.run_later(NAP, |shell, ctx| {
                shell.napping = false;
                shell.seat.idle(shell.clock.now());
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
        self.seat.handle(envelope, self.clock.now());
        self.settle(ctx);
    }
}

/// What the crew tells a shell, past the gate.
enum Control {
    Ready(ReplyTo<()>),
    Rebuild,
    Halt(ReplyTo<()>),
}

impl actix::Message for Control {
    type Result = ();
}

impl<A: Machine> Handler<Control> for Shell<A> {
    type Result = ();

    fn handle(&mut self, control: Control, ctx: &mut Context<Self>) {
        match control {
            Control::Ready(reply) => reply.answer(()),
            Control::Rebuild if self.halting.is_empty() => self.seat.rebuild(),
            Control::Rebuild => {}
            Control::Halt(reply) => {
                self.seat.close();
                self.halting.push(reply);
                self.seat.idle(self.clock.now());
            }
        }
        self.settle(ctx);
    }
}

/// Where a machine can be reached; turns into a port for each message that it handles.
pub struct Address<A: Machine> {
    actor: Addr<Shell<A>>,
    gate: Arc<Gate>,
}

impl<A: Machine> Address<A> {
    /// The port for messages of type `M`.
    pub fn port<M: Message>(&self) -> Port<M>
    where
        A: Handle<M>,
    {
        Port::new(self.clone())
    }
}

impl<A: Machine> Clone for Address<A> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), gate: Arc::clone(&self.gate) }
    }
}

impl<A: Handle<M>, M: Message> Deliver<M> for Address<A> {
    fn deliver(&self, envelope: Envelope<M>) -> Result<(), Refused<Envelope<M>>> {
        match self.gate.enter() {
            None => return Err(Refused::Closed(envelope)),
            Some(false) => return Err(Refused::Full(envelope)),
            Some(true) => {}
        }
        self.actor.try_send(envelope).map_err(|refused| {
            self.gate.leave();
            match refused {
                actix::prelude::SendError::Full(envelope) => Refused::Full(envelope),
                actix::prelude::SendError::Closed(envelope) => Refused::Closed(envelope),
            }
        })
    }
}

/// The machines of a node, by name.
pub struct Crew {
    clock: Arc<dyn Clock>,
    faults: Option<Port<Fault>>,
    controls: BTreeMap<String, Recipient<Control>>,
}

impl Crew {
    /// A crew that begins with its supervisor, on its own thread.
    ///
    /// # Errors
    /// [`Unanswered`] when the thread does not come up.
    pub async fn start(
        clock: Arc<dyn Clock>,
        supervisor: Supervisor,
    ) -> Result<(Self, Address<Supervisor>), Unanswered> {
        let mut crew = Self { clock, faults: None, controls: BTreeMap::new() };
        let origin = Origin::Once(supervisor);
        let address = crew.seat(&Thread::start(), "supervisor", 256, origin).await?;
        crew.faults = Some(address.port());
        Ok((crew, address))
    }

    /// Seats a machine on `thread` with room for `capacity` waiting messages, and returns when it
    /// listens. A follower whose first build fails is reported and rebuilt like after a panic.
    ///
    /// # Errors
    /// [`Unanswered`] when the thread does not come up.
    pub async fn seat<A: Machine>(
        &mut self,
        thread: &Thread,
        name: &str,
        capacity: usize,
        origin: Origin<A>,
    ) -> Result<Address<A>, Unanswered> {
        let gate = Gate::new(capacity);
        let (seat_gate, clock) = (Arc::clone(&gate), Arc::clone(&self.clock));
        let (seat_name, faults) = (name.to_owned(), self.faults.clone());
        let actor = Shell::start_in_arbiter(&thread.0.handle(), move |ctx| {
            ctx.set_mailbox_capacity(0);
            let seat = Seat::new(seat_name, seat_gate, faults, origin);
            Shell { seat, clock, napping: false, halting: Vec::new() }
        });
        let control = actor.clone().recipient();
        command(&control, Control::Ready, BUILD_PATIENCE).await?;
        let before = self.controls.insert(name.to_owned(), control);
        assert!(before.is_none(), "two machines are called {name}");
        Ok(Address { actor, gate })
    }

    /// Closes the ports of a machine, lets it finish what waits, and drops it.
    ///
    /// # Errors
    /// [`Unanswered::TimedOut`] when it is not done within `limit`; the node may exit nevertheless,
    /// because the journal holds everything that was acknowledged.
    pub async fn stop(&self, name: &str, limit: Duration) -> Result<(), Unanswered> {
        let control = self.controls.get(name).ok_or(Unanswered::Dropped)?;
        command(control, Control::Halt, limit).await
    }

    /// Stops machines one after the other, sources first, so that each still finds those that it
    /// tells. Returns the names of those that did not finish; the others are stopped nevertheless.
    pub async fn stop_in_order(&self, names: &[&str], limit: Duration) -> Vec<String> {
        let mut unfinished = Vec::new();
        for name in names {
            if let Err(error) = self.stop(name, limit).await {
                tracing::warn!(machine = name, %error, "did not stop in order");
                unfinished.push((*name).to_owned());
            }
        }
        unfinished
    }

    /// Carries out the supervisor's orders until it says stop; returns the reason. A supervisor
    /// that does not answer is a reason, too.
    pub async fn supervise(&self, orders: Port<NextOrders>, period: Duration) -> String {
        loop {
            let answer = match orders.ask(NextOrders) {
                Ok(pending) => pending.wait(SUPERVISOR_PATIENCE).await,
                Err(refused) => return format!("the supervisor is out of reach: {refused}"),
            };
            match answer {
                Ok(orders) => {
                    for order in orders {
                        match order {
                            Order::Stop(reason) => return reason,
                            Order::Rebuild(name) => self.rebuild(&name),
                        }
                    }
                }
                Err(error) => return format!("the supervisor does not answer: {error}"),
            }
            tokio::time::sleep(period).await;
        }
    }

    fn rebuild(&self, name: &str) {
        // A refusal means that the shell is gone, which happens only while the node stops.
        let sent = self.controls.get(name).map(|control| control.try_send(Control::Rebuild));
        tracing::info!(machine = name, sent = matches!(sent, Some(Ok(()))), "rebuild");
    }
}

async fn command(
    to: &Recipient<Control>,
    command: impl FnOnce(ReplyTo<()>) -> Control,
    limit: Duration,
) -> Result<(), Unanswered> {
    let (reply, pending) = ReplyTo::new();
    to.try_send(command(reply)).map_err(|_| Unanswered::Dropped)?;
    pending.wait(limit).await
}

#[cfg(test)]
mod tests;
