//! Ports: where messages go. A port is bounded, and a refusal gives the message back.
//!
//! Nothing here knows who stands behind a port: a machine under actix, a machine in the
//! [`World`](crate::world::World), or a test that captures what it is told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::oneshot;

/// What a machine can be told. The reply type belongs to the message.
pub trait Message: fmt::Debug + Send + 'static {
    /// What the handler returns; `()` for a message that is only told.
    type Reply: Send + 'static;
}

/// Why a port did not take a message. The message comes back, so that nothing is lost silently.
#[derive(Debug, thiserror::Error)]
pub enum Refused<M> {
    /// The mailbox is at its capacity, or its machine has more work than it may hold: try later.
    #[error("the mailbox is full: try again later")]
    Full(M),
    /// The machine has failed or was stopped. A follower is rebuilt and then listens again.
    #[error("the machine behind this port has failed or was stopped")]
    Closed(M),
}

impl<M> Refused<M> {
    /// The message that was refused.
    pub fn into_message(self) -> M {
        let (Self::Full(message) | Self::Closed(message)) = self;
        message
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Whoever held the question dropped it: its machine failed or was stopped. The work may or
    /// may not have been done; ask for its outcome before doing it again.
    #[error("the machine dropped the question: it failed or was stopped")]
    Dropped,
    /// No answer came in time. The work may still be done.
    #[error("no answer came in time")]
    TimedOut,
}

/// The right to answer one question, once. Dropping it tells the asker [`Unanswered::Dropped`].
pub struct ReplyTo<T>(oneshot::Sender<T>);

impl<T> ReplyTo<T> {
    /// A question's two ends: the right to answer, and the answer to come.
    pub fn new() -> (Self, Pending<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), Pending(receiver))
    }

    /// Answers. An asker that has gone away is no error: nobody waits for this answer any more.
    pub fn answer(self, reply: T) {
        drop(self.0.send(reply));
    }
}

impl<T> fmt::Debug for ReplyTo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyTo")
    }
}

/// An answer to come.
#[derive(Debug)]
pub struct Pending<T>(oneshot::Receiver<T>);

impl<T> Pending<T> {
    /// Waits for the answer, at most `limit`. For drivers, inside of a tokio runtime.
    pub async fn wait(self, limit: Duration) -> Result<T, Unanswered> {
        match tokio::time::timeout(limit, self.0).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(Unanswered::Dropped),
            Err(_) => Err(Unanswered::TimedOut),
        }
    }

    /// The answer, if it is there; never waits. For machines and the World.
    pub fn poll_now(&mut self) -> Option<Result<T, Unanswered>> {
        match self.0.try_recv() {
            Ok(reply) => Some(Ok(reply)),
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(Unanswered::Dropped)),
            Err(oneshot::error::TryRecvError::Empty) => None,
        }
    }
}

/// A message under way, with the asker's right to an answer.
pub struct Envelope<M: Message> {
    /// What is said.
    pub message: M,
    /// Who waits for the handler's return value, if anybody.
    pub reply: Option<ReplyTo<M::Reply>>,
}

/// The bound of a mailbox. A permit is taken before a message is queued and returned when it is
/// handled, so that the mailbox is empty exactly when no permit is out.
#[derive(Debug, Default)]
pub struct Mailbox {
    capacity: usize,
    queued: AtomicUsize,
    open: AtomicBool,
    saturated: AtomicBool,
}

impl Mailbox {
    /// A closed mailbox for `capacity` messages; seating a machine opens it.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, ..Self::default() })
    }

    /// Takes a permit for an envelope.
    ///
    /// # Errors
    /// Gives the message back when there is no permit, or no machine.
    pub fn enter<M: Message>(&self, envelope: Envelope<M>) -> Result<Envelope<M>, Refused<M>> {
        if !self.open.load(SeqCst) {
            return Err(Refused::Closed(envelope.message));
        }
        let saturated = self.saturated.load(SeqCst);
        let more = |queued| (!saturated && queued < self.capacity).then_some(queued + 1);
        match self.queued.fetch_update(SeqCst, SeqCst, more) {
            Ok(_) => Ok(envelope),
            Err(_) => Err(Refused::Full(envelope.message)),
        }
    }

    /// Returns a permit.
    pub fn leave(&self) {
        self.queued.fetch_sub(1, SeqCst);
    }

    /// Number of messages that wait.
    pub fn queued(&self) -> usize {
        self.queued.load(SeqCst)
    }

    /// Answers `Closed` from now on, or takes messages again.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, SeqCst);
    }

    /// Answers `Full` from now on whatever the mailbox holds, or goes by the mailbox again.
    pub fn set_saturated(&self, saturated: bool) {
        self.saturated.store(saturated, SeqCst);
    }
}

/// What stands behind a port: a shell, the World, or a test.
pub trait Deliver<M: Message>: Send + Sync {
    /// Takes the envelope or gives its message back; never blocks.
    fn deliver(&self, envelope: Envelope<M>) -> Result<(), Refused<M>>;
}

/// Where messages of one type go. Clones reach the same machine, also after it was rebuilt.
pub struct Port<M: Message>(Arc<dyn Deliver<M>>);

impl<M: Message> Port<M> {
    /// A port in front of `target`.
    pub fn new(target: impl Deliver<M> + 'static) -> Self {
        Self(Arc::new(target))
    }

    /// Tells, and does not wait for the handler's reply.
    ///
    /// # Errors
    /// Gives the message back when the mailbox is full or closed.
    pub fn tell(&self, message: M) -> Result<(), Refused<M>> {
        self.0.deliver(Envelope { message, reply: None })
    }

    /// Asks; the answer is the handler's return value.
    ///
    /// # Errors
    /// Gives the message back when the mailbox is full or closed.
    pub fn ask(&self, message: M) -> Result<Pending<M::Reply>, Refused<M>> {
        let (reply, pending) = ReplyTo::new();
        self.0.deliver(Envelope { message, reply: Some(reply) }).map(|()| pending)
    }
}

impl<M: Message> Clone for Port<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Message> fmt::Debug for Port<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Port")
    }
}
