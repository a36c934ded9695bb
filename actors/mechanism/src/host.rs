//! The host of a node: starts its machines, stops them, and carries out what the supervisor orders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::machine::Machine;
use crate::port::{Mailbox, Port, Unanswered};
use crate::shell::{Command, Control, MachineRef, Thread};
use crate::supervised::{Fault, Origin, Supervised};
use crate::supervisor::{NextOrders, Order, Supervisor};

/// How long a machine may take to be built: keys and stores are large. A thread that dies is seen
/// at once.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);
/// How long the node waits for its supervisor before it takes it for dead.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(10);
/// Messages that may wait before the supervisor.
const SUPERVISOR_MAILBOX: usize = 256;

/// See the module.
pub struct Host {
    clock: Arc<dyn Clock>,
    faults: Option<Port<Fault>>,
    controls: BTreeMap<String, Control>,
    /// The machines that work, sinks first.
    started: Vec<String>,
}

impl Host {
    /// A host that begins with its supervisor, on its own thread.
    ///
    /// # Errors
    /// [`Unanswered`] when the thread does not come up.
    pub async fn supervised_by(
        clock: Arc<dyn Clock>,
        supervisor: Supervisor,
    ) -> Result<(Self, MachineRef<Supervisor>), Unanswered> {
        let mut host = Self { clock, faults: None, controls: BTreeMap::new(), started: Vec::new() };
        let (thread, origin) = (Thread::start(), Origin::Once(supervisor));
        let address = host.start(&thread, "supervisor", SUPERVISOR_MAILBOX, origin).await?;
        host.faults = Some(address.port());
        // The supervisor decides to the end.
        host.started.clear();
        Ok((host, address))
    }

    /// Starts a machine on `thread` with room for `capacity` waiting messages, and returns when it
    /// listens. A follower whose first build fails is reported and rebuilt like after a panic.
    ///
    /// # Errors
    /// [`Unanswered`] when the thread does not come up.
    pub async fn start<A: Machine>(
        &mut self,
        thread: &Thread,
        name: &str,
        capacity: usize,
        origin: Origin<A>,
    ) -> Result<MachineRef<A>, Unanswered> {
        let mailbox = Mailbox::new(capacity);
        let (its_name, its_mailbox) = (name.to_owned(), Arc::clone(&mailbox));
        let faults = self.faults.clone();
        let supervised = move || Supervised::new(&its_name, its_mailbox, faults, origin);
        let address = MachineRef::start(thread, Arc::clone(&self.clock), mailbox, supervised);
        let control = address.control();
        control.send(Command::Attend)?.wait(BUILD_PATIENCE).await?;
        let before = self.controls.insert(name.to_owned(), control);
        assert!(before.is_none(), "two machines are called {name}");
        self.started.push(name.to_owned());
        Ok(address)
    }

    /// Closes the ports of a machine, lets it finish what waits, and drops it.
    ///
    /// # Errors
    /// [`Unanswered::TimedOut`] when it is not done within `limit`; the node may exit nevertheless,
    /// because the journal holds everything that was acknowledged.
    pub async fn stop(&self, name: &str, limit: Duration) -> Result<(), Unanswered> {
        let control = self.controls.get(name).ok_or(Unanswered::Dropped)?;
        control.send(Command::Stop)?.wait(limit).await
    }

    /// Stops all machines one after the other, in the reverse order of seating: each still finds those that it
    /// tells, and afterwards nothing that a machine held is open any more. Returns the names of those that did not
    /// finish; the others are stopped nevertheless.
    pub async fn stop_all(&self, limit: Duration) -> Vec<String> {
        let mut unfinished = Vec::new();
        for name in self.started.iter().rev() {
            if let Err(error) = self.stop(name, limit).await {
                tracing::warn!(machine = name, %error, "did not finish; the journal has everything");
                unfinished.push(name.clone());
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

    /// Has a follower built again, and does not wait: a build that fails is reported as a panic is.
    fn rebuild(&self, name: &str) {
        let sent = self.controls.get(name).map(|control| control.send(Command::Rebuild));
        tracing::info!(machine = name, sent = matches!(sent, Some(Ok(_))), "rebuild");
    }
}

#[cfg(test)]
mod tests;
