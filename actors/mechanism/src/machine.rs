//! Machines: plain structs with synchronous handlers of typed messages.

use crate::port::Message;
use crate::turn::Turn;

/// After so many messages [`Machine::idle`] is called even though the mailbox is not empty.
pub const IDLE_EVERY: usize = 256;

/// How much a machine has taken on and not yet finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// Nothing waits.
    Clear,
    /// Something waits: call [`Machine::idle`] again soon, and before a stop is complete.
    Waiting,
    /// As much waits as the machine may hold: as `Waiting`, and its ports answer `Full`.
    Saturated,
}

/// A plain struct that is told things, one at a time.
pub trait Machine: Send + 'static {
    /// Called when the mailbox is empty, and after every [`IDLE_EVERY`] messages: the place for
    /// work that is done once for a group of messages, such as an fsync.
    fn idle(&mut self, _turn: &mut Turn) {}

    /// What still waits inside.
    fn load(&self) -> Load {
        Load::Clear
    }
}

/// A machine's answer to one type of message. Runs to completion; never blocks on another machine.
pub trait Handle<M: Message>: Machine {
    /// Takes the message and returns the reply.
    fn handle(&mut self, message: M, turn: &mut Turn) -> M::Reply;
}
