//! Machines in the World: each behind a lock that nobody waits for, and reached by events.

use std::sync::{Arc, Mutex, MutexGuard};

use super::{BY_ORDER, TEXT_MAX, Work, World};
use crate::machine::{Handle, Load, Machine};
use crate::platform::Reach;
use crate::port::{Deliver, Envelope, Mailbox, Message, Port, Refused};
use crate::supervised::Supervised;
use crate::timestamp::Timestamp;

/// A supervised machine whose type is forgotten.
pub(super) trait AnySupervised: Send + Sync {
    fn idle(&self, now: Timestamp) -> Load;
    fn close(&self);
    fn is_done(&self) -> bool;
    fn kill(&self);
    fn panic(&self);
    fn rebuild(&self) -> Load;
}

impl<A: Machine> AnySupervised for Mutex<Supervised<A>> {
    fn idle(&self, now: Timestamp) -> Load {
        let mut supervised = lock(self);
        supervised.idle(now);
        supervised.load()
    }

    fn close(&self) {
        lock(self).close();
    }

    fn is_done(&self) -> bool {
        lock(self).is_done()
    }

    fn kill(&self) {
        lock(self).vacate();
    }

    fn panic(&self) {
        lock(self).fall(format!("panicked: {BY_ORDER}"), false);
    }

    fn rebuild(&self) -> Load {
        let mut supervised = lock(self);
        supervised.rebuild();
        supervised.load()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("panics of machines are caught")
}

/// Where a machine of the World can be reached.
pub struct MachineRef<A: Machine> {
    pub(super) world: World,
    pub(super) name: String,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) supervised: Arc<Mutex<Supervised<A>>>,
}

impl<A: Machine> Reach<A> for MachineRef<A> {
    fn port<M: Message>(&self) -> Port<M>
    where
        A: Handle<M>,
    {
        Port::new(self.clone())
    }
}

impl<A: Machine> MachineRef<A> {
    /// Looks at the machine; `None` when it has fallen or was killed.
    pub fn inspect<T>(&self, look: impl FnOnce(&A) -> T) -> Option<T> {
        lock(&self.supervised).machine().map(look)
    }
}

impl<A: Machine> Clone for MachineRef<A> {
    fn clone(&self) -> Self {
        let (world, name) = (self.world.clone(), self.name.clone());
        let (mailbox, supervised) = (Arc::clone(&self.mailbox), Arc::clone(&self.supervised));
        Self { world, name, mailbox, supervised }
    }
}

impl<A: Handle<M>, M: Message> Deliver<M> for MachineRef<A> {
    fn deliver(&self, envelope: Envelope<M>) -> Result<(), Refused<M>> {
        let text: String = format!("{:?}", envelope.message).chars().take(TEXT_MAX).collect();
        let Some(extra) = self.world.judge(&self.name, &text) else { return Ok(()) };
        let envelope = self.mailbox.enter(envelope)?;
        let (supervised, name) = (Arc::clone(&self.supervised), self.name.clone());
        let work: Work = Box::new(move |world| {
            let load = {
                let mut supervised = lock(&supervised);
                supervised.handle(envelope, world.now());
                supervised.load()
            };
            world.rest(&name, load);
        });
        self.world.post(&self.name, extra, text, work);
        Ok(())
    }
}
