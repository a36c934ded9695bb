//! Machines for the tests of the mechanism.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::machine::{Handle, Load, Machine};
use crate::port::Message;
use crate::turn::Turn;

/// Adds up what it is told.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    pub(crate) total: u64,
    pub(crate) idles: u64,
    /// Idle calls that it wants before it is clear.
    pub(crate) chores: u64,
    /// Says that it is saturated while it has chores.
    pub(crate) saturates: bool,
}

/// Adds, and returns the sum.
#[derive(Debug)]
pub(crate) struct Add(pub(crate) u64);

impl Message for Add {
    type Reply = u64;
}

/// Panics.
#[derive(Debug)]
pub(crate) struct Explode;

impl Message for Explode {
    type Reply = ();
}

/// Fails in an orderly way.
#[derive(Debug)]
pub(crate) struct GiveUp;

impl Message for GiveUp {
    type Reply = ();
}

/// Blocks the machine's thread until the other end says so.
#[derive(Debug)]
pub(crate) struct Hold(pub(crate) Receiver<()>);

impl Message for Hold {
    type Reply = ();
}

/// Gives the machine work that takes so many idle calls.
#[derive(Debug)]
pub(crate) struct Burden(pub(crate) u64);

impl Message for Burden {
    type Reply = ();
}

impl Machine for Counter {
    fn idle(&mut self, _: &mut Turn) {
        self.idles += 1;
        self.chores = self.chores.saturating_sub(1);
    }

    fn load(&self) -> Load {
        match self.chores {
            0 => Load::Clear,
            _ if self.saturates => Load::Saturated,
            _ => Load::Waiting,
        }
    }
}

impl Handle<Add> for Counter {
    fn handle(&mut self, add: Add, _: &mut Turn) -> u64 {
        self.total += add.0;
        self.total
    }
}

impl Handle<Explode> for Counter {
    fn handle(&mut self, _: Explode, _: &mut Turn) {
        panic!("boom at {}", self.total);
    }
}

impl Handle<GiveUp> for Counter {
    fn handle(&mut self, _: GiveUp, turn: &mut Turn) {
        turn.fail("cannot go on");
    }
}

impl Handle<Hold> for Counter {
    fn handle(&mut self, hold: Hold, _: &mut Turn) {
        hold.0.recv_timeout(Duration::from_secs(10)).unwrap_or_default();
    }
}

impl Handle<Burden> for Counter {
    fn handle(&mut self, burden: Burden, _: &mut Turn) {
        self.chores = burden.0;
    }
}

/// Keeps everything that it is told.
#[derive(Debug)]
pub(crate) struct Sink<M>(pub(crate) Vec<M>);

impl<M: Message> Machine for Sink<M> {}

impl<M: Message<Reply = ()>> Handle<M> for Sink<M> {
    fn handle(&mut self, message: M, _: &mut Turn) {
        self.0.push(message);
    }
}
