//! One life of a node in the World: what the [`Host`](crate::host::Host) is on the threads of a process.

use std::sync::Arc;

use tokio::sync::watch;

use super::{MachineRef, World};
use crate::clock::Clock;
use crate::machine::Machine;
use crate::platform::{Ending, Offload, Platform};
use crate::port::Unanswered;
use crate::supervised::Origin;
use crate::supervisor::RetoldBy;
use crate::timestamp::Timestamp;

/// See the module. Its machines and drivers are called as in the node, with the number of the life behind.
pub struct WorldHost {
    world: World,
    life: u32,
    machines: Vec<String>,
    followers: Vec<String>,
    stop: watch::Sender<bool>,
}

impl WorldHost {
    /// The next life in this world.
    pub fn new(world: &World) -> WorldHost {
        let (machines, followers) = (Vec::new(), Vec::new());
        let life = world.next_life();
        WorldHost { world: world.clone(), life, machines, followers, stop: watch::channel(false).0 }
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
        let started = self.world.start(&name, capacity, origin);
        self.machines.push(name);
        Ok(started)
    }

    fn drive<E: Ending>(&mut self, name: &str, driver: impl Future<Output = E> + Send + 'static) {
        let driver = Box::pin(async { driver.await.fault() });
        self.world.drive(self.name(name), self.life, driver);
    }

    fn retold_by(&mut self, machine: &str, sources: &[String]) {
        let sources = sources.iter().map(|source| self.name(source)).collect();
        self.world.retold_by(RetoldBy { machine: self.name(machine), sources });
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
