//! Machines for the tests of the mechanism.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::machine::{Handle, Load, Machine};
use crate::port::{Deliver, Envelope, Message, Port, Refused};
use crate::timestamp::Timestamp;
use crate::turn::Turn;

/// Adds up what it is told.
#[derive(Debug, Default)]
pub struct Counter {
    pub total: u64,
    pub idles: u64,
    /// Idle calls that it wants before it is clear.
    pub chores: u64,
    /// Says that it is saturated while it has chores.
    pub saturates: bool,
}

/// Adds, and returns the sum.
#[derive(Debug)]
pub struct Add(pub u64);

impl Message for Add {
    type Reply = u64;
}

/// Panics.
#[derive(Debug)]
pub struct Explode;

impl Message for Explode {
    type Reply = ();
}

/// Fails in an orderly way.
#[derive(Debug)]
pub struct GiveUp;

impl Message for GiveUp {
    type Reply = ();
}

/// Blocks the machine's thread until the other end says so.
#[derive(Debug)]
pub struct Hold(pub Receiver<()>);

impl Message for Hold {
    type Reply = ();
}

/// Gives the machine work that takes so many idle calls.
#[derive(Debug)]
pub struct Burden(pub u64);

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
pub struct Sink<M>(pub Vec<M>);

impl<M: Message> Machine for Sink<M> {}

impl<M: Message<Reply = ()>> Handle<M> for Sink<M> {
    fn handle(&mut self, message: M, _: &mut Turn) {
        self.0.push(message);
    }
}

/// A port that keeps what it is told, up to a bound.
pub struct Inbox<M> {
    pub told: Arc<Mutex<Vec<M>>>,
    pub room: Arc<Mutex<usize>>,
}

impl<M: Message> Inbox<M> {
    pub fn new(room: usize) -> (Self, Port<M>) {
        let inbox = Self { told: Arc::default(), room: Arc::new(Mutex::new(room)) };
        let behind = Self { told: Arc::clone(&inbox.told), room: Arc::clone(&inbox.room) };
        (inbox, Port::new(behind))
    }

    pub fn take(&self) -> Vec<M> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

impl<M: Message> Deliver<M> for Inbox<M> {
    fn deliver(&self, envelope: Envelope<M>) -> Result<(), Refused<M>> {
        let mut told = self.told.lock().unwrap();
        if told.len() >= *self.room.lock().unwrap() {
            return Err(Refused::Full(envelope.message));
        }
        told.push(envelope.message);
        Ok(())
    }
}

/// A machine behind a port, without a shell: it handles at once.
pub struct Direct<A>(pub Arc<Mutex<A>>);

impl<A: Handle<M>, M: Message> Deliver<M> for Direct<A> {
    fn deliver(&self, envelope: Envelope<M>) -> Result<(), Refused<M>> {
        let mut turn = Turn::at(Timestamp(0));
        let answer = self.0.lock().unwrap().handle(envelope.message, &mut turn);
        if let Some(reply) = envelope.reply {
            reply.answer(answer);
        }
        Ok(())
    }
}
