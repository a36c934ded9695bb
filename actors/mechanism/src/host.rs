//! The host of a node: starts its machines and drivers, stops them, and carries out what the supervisor orders.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use crate::clock::Clock;
use crate::machine::Machine;
use crate::platform::{Ending, Offload, Platform, Reach};
use crate::port::{Mailbox, Port, Refused, Unanswered};
use crate::shell::{Command, Control, MachineRef, Thread};
use crate::supervised::{Fault, Origin, Supervised};
use crate::supervisor::{NextOrders, Order, RetoldBy, Supervisor};

/// How long a machine may take to be built: keys and stores are large. A thread that dies is seen
/// at once.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);
/// How long the node waits for its supervisor before it takes it for dead.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(10);
/// How often the supervisor's orders are asked for.
const ORDERS_PERIOD: Duration = Duration::from_millis(50);
/// Messages that may wait before the supervisor.
const SUPERVISOR_MAILBOX: usize = 256;

/// See the module.
pub struct Host {
    clock: Arc<dyn Clock>,
    supervisor: Option<MachineRef<Supervisor>>,
    controls: BTreeMap<String, Control>,
    /// The machines that work, sinks first.
    started: Vec<String>,
    drivers: Mutex<Vec<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
}

/// Ends a driver together with the task that watches it.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Drivers look at the value only, and would outlive a host that was not stopped.
        self.stop.send_replace(true);
    }
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
        let mut host = Self {
            clock,
            supervisor: None,
            controls: BTreeMap::new(),
            started: Vec::new(),
            drivers: Mutex::default(),
            stop: watch::channel(false).0,
        };
        let (thread, origin) = (Thread::start(), Origin::Once(supervisor));
        let address = host.start(&thread, "supervisor", SUPERVISOR_MAILBOX, origin).await?;
        host.supervisor = Some(address.clone());
        // The supervisor decides to the end.
        host.started.clear();
        Ok((host, address))
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

    /// Ends the drivers, then stops all machines one after the other, in the reverse order in which they were started:
    /// each still finds those that it tells, and afterwards nothing that a machine held is open any more. Each of them
    /// has so long. Returns the names of the machines that did not finish; the others are stopped nevertheless.
    pub async fn stop_all(&self, limit: Duration) -> Vec<String> {
        self.stop.send_replace(true);
        let drivers =
            std::mem::take(&mut *self.drivers.lock().unwrap_or_else(PoisonError::into_inner));
        for driver in drivers {
            let abort = driver.abort_handle();
            if tokio::time::timeout(limit, driver).await.is_err() {
                // A question to a chain that does not answer: it is asked again at the next start.
                abort.abort();
            }
        }
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

    /// Carries out the supervisor's orders from now on.
    pub fn run(self, orders: Port<NextOrders>) -> RunningHost {
        let host = Arc::new(self);
        let supervised = Arc::clone(&host);
        let supervision =
            tokio::spawn(async move { supervised.supervise(orders, ORDERS_PERIOD).await });
        RunningHost { host, supervision }
    }

    fn faults(&self) -> Option<Port<Fault>> {
        self.supervisor.as_ref().map(MachineRef::port)
    }

    /// Has a follower built again, and does not wait: a build that fails is reported as a panic is.
    fn rebuild(&self, name: &str) {
        let sent = self.controls.get(name).map(|control| control.send(Command::Rebuild));
        tracing::info!(machine = name, sent = matches!(sent, Some(Ok(_))), "rebuild");
    }
}

/// A host whose supervisor decides.
pub struct RunningHost {
    host: Arc<Host>,
    supervision: JoinHandle<String>,
}

impl RunningHost {
    /// Waits until the supervisor stops it, and says why.
    pub async fn finished(&mut self) -> String {
        match (&mut self.supervision).await {
            Ok(reason) => reason,
            Err(error) => format!("the supervision failed: {error}"),
        }
    }

    /// Ends drivers and machines: see [`Host::stop_all`].
    pub async fn stop(self, limit: Duration) {
        self.host.stop_all(limit).await;
        self.supervision.abort();
    }
}

impl Platform for Host {
    type Thread = Thread;
    type Ref<A: Machine> = MachineRef<A>;

    fn thread(&self) -> Thread {
        Thread::start()
    }

    async fn start<A: Machine>(
        &mut self,
        thread: &Thread,
        name: &str,
        capacity: usize,
        origin: Origin<A>,
    ) -> Result<MachineRef<A>, Unanswered> {
        let mailbox = Mailbox::new(capacity);
        let (its_name, its_mailbox) = (name.to_owned(), Arc::clone(&mailbox));
        let faults = self.faults();
        let supervised = move || Supervised::new(&its_name, its_mailbox, faults, origin);
        let address = MachineRef::start(thread, Arc::clone(&self.clock), mailbox, supervised);
        let control = address.control();
        control.send(Command::Attend)?.wait(BUILD_PATIENCE).await?;
        let before = self.controls.insert(name.to_owned(), control);
        assert!(before.is_none(), "two machines are called {name}");
        self.started.push(name.to_owned());
        Ok(address)
    }

    fn drive<E: Ending>(&mut self, name: &str, driver: impl Future<Output = E> + Send + 'static) {
        let (machine, faults) = (name.to_owned(), self.faults());
        let inner = tokio::spawn(async { driver.await.fault() });
        let guard = AbortOnDrop(inner.abort_handle());
        let watching = tokio::spawn(async move {
            let reason = match inner.await {
                Ok(fault) => fault,
                Err(error) => error.is_panic().then(|| "panicked".to_owned()),
            };
            drop(guard);
            let (Some(reason), Some(faults)) = (reason, faults) else { return };
            tracing::error!(driver = machine, reason, "a driver fell");
            let mut fault = Fault { machine, reason, fatal: true };
            // A supervisor that has much to hear hears it later; without one the node stops anyway.
            while let Err(Refused::Full(back)) = faults.tell(fault) {
                fault = back;
                tokio::time::sleep(ORDERS_PERIOD).await;
            }
        });
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner).push(watching);
    }

    fn retold_by(&mut self, machine: &str, sources: &[String]) {
        let retold = RetoldBy { machine: machine.to_owned(), sources: sources.to_vec() };
        let told = self.supervisor.as_ref().map(|supervisor| supervisor.port().tell(retold));
        assert!(matches!(told, None | Some(Ok(()))), "the supervisor takes its first messages");
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    fn offload(&self) -> Offload {
        Offload::Threads
    }
}

#[cfg(test)]
mod tests;
