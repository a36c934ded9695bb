//! The journal: the truth of the node. Everything that enters the state machine is in it, and on
//! disk, before it is acknowledged.
//!
//! Group commit: the handler only collects. When the mailbox is empty, or after
//! [`IDLE_EVERY`](zklink_mechanism::machine::IDLE_EVERY) messages, [`Machine::idle`] writes the group, syncs
//! once, hands the records to the archive and answers whoever waits. While the sync runs, the next
//! group gathers in the mailbox: the busier the node, the larger the groups.
//!
//! Any fault of the disk stops the node. It never retries a failed sync: the kernel may have
//! dropped the pages and would report success the second time.

use std::collections::VecDeque;
use std::fmt;

use zklink_mechanism::machine::{Handle, Load, Machine};
use zklink_mechanism::port::{Message, Port, Refused, ReplyTo};
use zklink_mechanism::turn::Turn;

pub mod disk;
pub mod log;
pub mod segment;

pub use log::{Log, LogError, RECORD_BYTES_MAX, Record, replay};

/// A group is written at once when it reaches this size, in bytes.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// Most records that one message reads.
pub const READ_MAX: usize = 256;
/// Most records that one message hands to the archive.
const HANDED_MAX: usize = 256;
/// Records that may wait for the archive before the journal's port answers `Full`.
const UNHANDED_MAX: usize = 4096;
/// Their bytes, likewise.
const UNHANDED_BYTES_MAX: usize = 64 << 20;

/// Somebody who waits until a record is on disk. Dropped unanswered, it drops what it holds, so
/// that an asker behind it gets [`Unanswered::Dropped`](zklink_mechanism::port::Unanswered::Dropped).
pub struct Waiter(Box<dyn FnOnce(u64) + Send>);

impl Waiter {
    /// Runs `tell` with the position of the record once it is durable. It must only pass the news
    /// on: it runs on the journal's turn.
    pub fn new(tell: impl FnOnce(u64) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }

    /// Answers `reply` with `value` once the record is durable.
    pub fn answer<T: Send + 'static>(reply: ReplyTo<T>, value: T) -> Self {
        Self::new(move |_| reply.answer(value))
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}

/// The payload does not fit into one record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {0} bytes is above the limit of {RECORD_BYTES_MAX}: split it")]
pub struct RecordTooLarge(pub usize);

/// Put this record at the end of the journal. Records keep the order of their messages.
pub struct Append {
    payload: Vec<u8>,
    waiters: Vec<Waiter>,
}

impl Append {
    /// A record with those who wait for it.
    ///
    /// # Errors
    /// [`RecordTooLarge`] above [`RECORD_BYTES_MAX`].
    pub fn new(payload: Vec<u8>, waiters: Vec<Waiter>) -> Result<Self, RecordTooLarge> {
        if payload.len() > RECORD_BYTES_MAX {
            return Err(RecordTooLarge(payload.len()));
        }
        Ok(Self { payload, waiters })
    }
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Append({}, {} waiters)", log::brief(&self.payload), self.waiters.len())
    }
}

impl Message for Append {
    type Reply = ();
}

/// Which records are durable, from this position on? Asked by those who keep a copy. The reply has at most
/// [`READ_MAX`] of them and a few MiB, and at least one if there is one.
#[derive(Clone, Copy, Debug)]
pub struct ReadRecords {
    /// The position of the first.
    pub from: u64,
}

/// Records in order, and how many there are in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// From the position that was asked for, without gaps.
    pub records: Vec<Record>,
    /// The position that the next record of the journal will get.
    pub end: u64,
}

impl Message for ReadRecords {
    /// The text says why the journal could not be read.
    type Reply = Result<Stretch, String>;
}

/// These records are durable. Handed to the archive, in order.
#[derive(Debug)]
pub struct Durable {
    /// Records in order, without gaps.
    pub records: Vec<Record>,
}

impl Message for Durable {
    type Reply = ();
}

/// See the module.
pub struct Journal {
    log: Box<dyn Log>,
    archive: Port<Durable>,
    group: Vec<Append>,
    group_bytes: usize,
    unhanded: VecDeque<Record>,
    unhanded_bytes: usize,
}

impl Journal {
    /// A journal at the end of `log`. The archive must have caught up with `log` before
    /// ([`Archive::open`](crate::archive::Archive::open)): it is told only of what comes now.
    pub fn new(log: Box<dyn Log>, archive: Port<Durable>) -> Self {
        Self {
            log,
            archive,
            group: Vec::new(),
            group_bytes: 0,
            unhanded: VecDeque::new(),
            unhanded_bytes: 0,
        }
    }

    fn write_group(&mut self, turn: &mut Turn) {
        if self.group.is_empty() {
            return;
        }
        self.group_bytes = 0;
        let (payloads, waiters): (Vec<_>, Vec<_>) =
            self.group.drain(..).map(|append| (append.payload, append.waiters)).unzip();
        let records = match self.log.append(payloads) {
            Ok(records) => records,
            // The waiters are dropped here: nobody may be told that this was kept.
            Err(error) => return turn.fail(format!("cannot write: {error}")),
        };
        let positions: Vec<u64> = records.iter().map(|record| record.position).collect();
        self.unhanded.extend(records);
        self.hand_over();
        for (position, waiters) in positions.into_iter().zip(waiters) {
            waiters.into_iter().for_each(|waiter| (waiter.0)(position));
        }
    }

    fn hand_over(&mut self) {
        self.tell_archive();
        self.unhanded_bytes = self.unhanded.iter().map(|record| record.payload.len()).sum();
    }

    fn tell_archive(&mut self) {
        while !self.unhanded.is_empty() {
            let count = self.unhanded.len().min(HANDED_MAX);
            let records = self.unhanded.drain(..count).collect();
            match self.archive.tell(Durable { records }) {
                Ok(()) => {}
                Err(Refused::Full(apply)) => {
                    for record in apply.records.into_iter().rev() {
                        self.unhanded.push_front(record);
                    }
                    return;
                }
                // The archive is gone, and the node stops. Nothing is lost: these records are
                // on disk, and the archive catches up from there at the next start.
                Err(Refused::Closed(_)) => return self.unhanded.clear(),
            }
        }
    }
}

impl Machine for Journal {
    fn idle(&mut self, turn: &mut Turn) {
        self.write_group(turn);
        self.hand_over();
    }

    fn load(&self) -> Load {
        let saturated =
            self.unhanded.len() >= UNHANDED_MAX || self.unhanded_bytes >= UNHANDED_BYTES_MAX;
        match (self.group.is_empty(), self.unhanded.is_empty()) {
            (true, true) => Load::Clear,
            _ if saturated => Load::Saturated,
            _ => Load::Waiting,
        }
    }
}

impl Handle<Append> for Journal {
    fn handle(&mut self, append: Append, turn: &mut Turn) {
        self.group_bytes += append.payload.len();
        self.group.push(append);
        if self.group_bytes >= GROUP_BYTES_MAX {
            self.write_group(turn);
        }
    }
}

impl Handle<ReadRecords> for Journal {
    fn handle(&mut self, read: ReadRecords, turn: &mut Turn) -> Result<Stretch, String> {
        // Whoever reads must not keep those waiting who were here before.
        self.write_group(turn);
        let records = self.log.read(read.from, READ_MAX).map_err(|error| {
            tracing::error!(%error, "the journal could not be read");
            error.to_string()
        })?;
        Ok(Stretch { records, end: self.log.end() })
    }
}

#[cfg(test)]
mod tests;
