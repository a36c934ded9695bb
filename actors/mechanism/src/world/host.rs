//! One life of a node in the World: what the [`Host`](crate::host::Host) is on the threads of a process.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::time::Task;
use super::{BY_ORDER, MachineRef, World};
use crate::clock::Clock;
use crate::machine::Machine;
use crate::platform::{Ending, Offload, Platform, Reach};
use crate::port::{Deliver, Envelope, Port, Refused, Unanswered};
use crate::supervised::{Fault, Origin};
use crate::supervisor::{self, RetoldBy, Supervisor};
use crate::timestamp::Timestamp;

/// Messages that may wait before a supervisor.
const SUPERVISOR_MAILBOX: usize = 256;

/// See the module. Its machines and drivers are called as in the node, with the number of the life behind.
pub struct WorldHost {
    world: World,
    life: u32,
    supervisor: MachineRef<Supervisor>,
    noted: Noted,
    machines: Vec<String>,
    followers: Vec<String>,
    stop: watch::Sender<bool>,
}

/// The way of faults to the supervisor; keeps those that nobody ordered.
#[derive(Clone)]
struct Noted {
    supervisor: Port<Fault>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Deliver<Fault> for Noted {
    fn deliver(&self, envelope: Envelope<Fault>) -> Result<(), Refused<Fault>> {
        let Fault { machine, reason, .. } = &envelope.message;
        let text = format!("{machine} fell: {reason}");
        let ordered = reason.contains(BY_ORDER);
        self.supervisor.tell(envelope.message)?;
        if !ordered {
            self.faults.lock().expect("no holder of this lock panics").push(text);
        }
        Ok(())
    }
}

impl WorldHost {
    /// The next life in this world, with a supervisor of its own.
    pub fn new(world: &World, config: supervisor::Config) -> WorldHost {
        let life = world.next_life();
        let origin = Origin::Once(Supervisor::new(config));
        let name = format!("supervisor@{life}");
        let supervisor = world.start_under(None, &name, SUPERVISOR_MAILBOX, origin);
        world.supervise(life, supervisor.port());
        let noted = Noted { supervisor: supervisor.port(), faults: Arc::default() };
        let (world, stop) = (world.clone(), watch::channel(false).0);
        let (machines, followers) = (vec![name], Vec::new());
        WorldHost { world, life, supervisor, noted, machines, followers, stop }
    }

    /// Why the supervisor stopped this life, if it did.
    pub fn stopped(&self) -> Option<String> {
        self.world.stopped_life(self.life)
    }

    /// The machines and drivers that fell although nobody ordered it, each with its reason.
    pub fn faults(&self) -> Vec<String> {
        self.noted.faults.lock().expect("no holder of this lock panics").clone()
    }

    /// The machines that the supervisor builds again when they panic.
    pub fn followers(&self) -> &[String] {
        &self.followers
    }

    /// Ends the life in mid-flight: machines and drivers are dropped without a farewell, and no supervisor builds them
    /// again.
    pub fn kill(&self) {
        self.world.kill_drivers(self.life);
        self.machines.iter().for_each(|name| self.world.bury(name));
    }

    fn name(&self, name: &str) -> String {
        format!("{name}@{}", self.life)
    }
}

impl Platform for WorldHost {
    type Thread = ();
    type Ref<A: Machine> = MachineRef<A>;

    fn thread(&self) {}

    async fn start<A: Machine>(
        &mut self,
        (): &(),
        name: &str,
        capacity: usize,
        origin: Origin<A>,
    ) -> Result<MachineRef<A>, Unanswered> {
        let name = self.name(name);
        if matches!(origin, Origin::Rebuilt(_)) {
            self.followers.push(name.clone());
        }
        let faults = Some(Port::new(self.noted.clone()));
        let started = self.world.start_under(faults, &name, capacity, origin);
        self.machines.push(name);
        Ok(started)
    }

    fn drive<E: Ending>(&mut self, name: &str, driver: impl Future<Output = E> + Send + 'static) {
        let driver = Box::pin(async { driver.await.fault() });
        let (name, faults) = (self.name(name), Port::new(self.noted.clone()));
        self.world.drive(Task { name, life: self.life, faults, driver });
    }

    fn retold_by(&mut self, machine: &str, sources: &[String]) {
        let sources = sources.iter().map(|source| self.name(source)).collect();
        let told = self.supervisor.port().tell(RetoldBy { machine: self.name(machine), sources });
        assert!(told.is_ok(), "the supervisor does not listen");
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.world.clone())
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    fn offload(&self) -> Offload {
        Offload::AtOnce
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        World::now(self)
    }
}
