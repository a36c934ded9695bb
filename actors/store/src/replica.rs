//! A replica: a copy of a node's journal in another process, and the archive that follows it.
//!
//! The driver asks the node for the records behind the last one that it has, checks that they continue it, and has them
//! written to the journal of the replica. From there on everything is as in the node: the archive follows that journal.
//! A node can be started on the folder of a replica.
//!
//! It follows behind the node: what the node acknowledged in the last moments before its machine was lost may be
//! missing here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink_mechanism::driver::{pause, rest};
use zklink_mechanism::platform::{Platform, Reach};
use zklink_mechanism::port::{Port, Refused, ReplyTo, Unanswered};
use zklink_mechanism::supervised::Origin;

use crate::archive::{self, Archive, ArchiveFault, ArchiveReader, Store};
use crate::fold;
use crate::journal::log::{Chain, next_chain};
use crate::journal::{Append, Journal, Log, LogError, ReadRecords, Record, Stretch, Waiter};

/// Messages that may wait before a machine.
const MAILBOX: usize = 1024;
/// How often a node that has nothing new is asked.
const PERIOD: Duration = Duration::from_millis(100);
/// How long the journal may take to write what it was given, and a node for an answer: one with a record of the
/// largest size on a slow line.
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages that may wait before the archive: each may have some MiB, and what waits longer stays in the journal.
const ARCHIVE_MAILBOX: usize = 16;

/// How far a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Records that it has.
    pub records: u64,
    /// Records that the node had when it was last asked; nothing before it answered.
    pub of_node: Option<u64>,
    /// Questions in a row that failed.
    pub failures: u32,
    /// What the last of them says.
    pub last_error: Option<String>,
}

/// Why a replica cannot go on. What it has stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaFault {
    /// The node has fewer records.
    #[error(
        "the node's journal ends at record {node}, this replica has {replica}. Either it is another node: correct the \
         address. Or the node lost what it had acknowledged: stop it, and start a node on this replica's folder"
    )]
    AheadOfNode {
        /// Records of the node.
        node: u64,
        /// Records of the replica.
        replica: u64,
    },
    /// The node has others.
    #[error(
        "record {0} of the node does not continue this replica's journal: it is the journal of another node, or \
         of one that was restored from an older copy. Keep both, and compare them"
    )]
    OtherJournal(u64),
    /// A record has no meaning to this program, so that no node could be started on it.
    #[error(
        "record {position} of the node cannot be understood: {reason}; is the node newer than this program?"
    )]
    Meaning {
        /// Its position.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The journal of the replica took nothing.
    #[error("the replica's journal has failed or takes too long")]
    Journal,
}

/// Why a replica does not start.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The journal cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Store and journal do not belong together.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    /// A machine does not come up.
    #[error("a machine did not start: {0}")]
    Machine(#[from] Unanswered),
}

/// A replica that runs.
pub struct Replica<P: Platform> {
    /// Its journal.
    pub journal: P::Ref<Journal>,
    /// Its archive, for reading.
    pub archive: ArchiveReader,
    /// How far it is.
    pub followed: watch::Receiver<Followed>,
}

/// Starts a replica on its own log and store, behind a node.
///
/// # Errors
/// [`ReplicaError`].
pub async fn start<P: Platform>(
    platform: &mut P,
    mut log: Box<dyn Log>,
    store: Arc<dyn Store>,
    node: Port<ReadRecords>,
) -> Result<Replica<P>, ReplicaError> {
    let (archive, _) = Archive::open(store, fold::fold(), &mut *log)?;
    let from = Place::end_of(&mut *log)?;
    let (thread, reader) = (platform.thread(), archive.reader());
    let mut fold = fold::fold();
    archive::prime(&mut fold, &reader, from.next, &mut *log)?;
    let meaning: Meaning = Box::new(move |record| fold(record).map(drop));
    let archive =
        platform.start(&thread, "archive", ARCHIVE_MAILBOX, Origin::Once(archive)).await?;
    let (thread, journal) = (platform.thread(), Journal::new(log, archive.port()));
    let journal = platform.start(&thread, "journal", MAILBOX, Origin::Once(journal)).await?;
    let (told, followed) = watch::channel(Followed { records: from.next, ..Followed::default() });
    let stop = platform.stopping();
    platform.drive("replica", follow(node, journal.port(), from, meaning, told, stop));
    Ok(Replica { journal, archive: reader, followed })
}

/// Says why a record has no meaning, if it has none.
pub type Meaning = Box<dyn FnMut(&Record) -> Result<(), String> + Send>;

/// The end of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The position of the next record.
    pub next: u64,
    /// The chain before it.
    pub chain: Chain,
}

impl Place {
    fn end_of(log: &mut dyn Log) -> Result<Place, LogError> {
        let next = log.end();
        let last = match next.checked_sub(1) {
            Some(last) => log.read(last, 1)?.pop(),
            None => None,
        };
        Ok(Place { next, chain: last.map_or_else(|| log.start(), |record| record.chain) })
    }

    /// The place behind a record.
    ///
    /// # Errors
    /// [`ReplicaFault::OtherJournal`] when the record does not continue this place.
    fn behind(self, record: &Record) -> Result<Place, ReplicaFault> {
        let chain = next_chain(&self.chain, self.next, &record.payload);
        if (record.position, record.chain) != (self.next, chain) {
            return Err(ReplicaFault::OtherJournal(self.next));
        }
        Ok(Place { next: self.next + 1, chain })
    }
}

/// Copies the records of a node from a place on until `stop` becomes true.
///
/// # Errors
/// [`ReplicaFault`]; a node that does not answer is asked again.
pub async fn follow(
    node: Port<ReadRecords>,
    journal: Port<Append>,
    from: Place,
    mut meaning: Meaning,
    told: watch::Sender<Followed>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ReplicaFault> {
    let (mut at, mut known) = (from, false);
    loop {
        let step = async {
            // The last record that is here comes first, so that another journal is noticed before its records are.
            let again = if known { 0 } else { u64::from(at.next > 0) };
            let stretch = match ask(&node, at.next - again).await {
                Ok(stretch) => stretch,
                Err(error) => return Ok(Err(error)),
            };
            let (to, of_node) = take(at, again, stretch, &mut meaning, &journal).await?;
            if to == at && of_node > at.next {
                return Ok(Err("the node has more records and shows none".to_owned()));
            }
            Ok(Ok((to, of_node)))
        };
        let step = tokio::select! {
            biased;
            stopped = stop.wait_for(|stop| *stop) => {
                drop(stopped);
                return Ok(());
            }
            step = step => step?,
        };
        let moved = step.as_ref().is_ok_and(|(to, _)| *to != at);
        told.send_modify(|followed| match step {
            Ok((to, of_node)) => {
                (at, known) = (to, true);
                let (records, of_node) = (at.next, Some(of_node));
                *followed = Followed { records, of_node, ..Followed::default() };
            }
            Err(error) => {
                followed.failures = followed.failures.saturating_add(1);
                followed.last_error = Some(error);
            }
        });
        let failures = told.borrow().failures;
        if !moved && rest(pause(PERIOD, failures), &mut stop).await {
            return Ok(());
        }
    }
}

/// Asks a node for its records. The text says why there are none.
async fn ask(node: &Port<ReadRecords>, from: u64) -> Result<Stretch, String> {
    let pending = node.ask(ReadRecords { from }).map_err(|refused| refused.to_string())?;
    match pending.wait(PATIENCE).await {
        Ok(answer) => answer,
        Err(unanswered) => Err(unanswered.to_string()),
    }
}

/// Has the records of a stretch written that are not here. Returns the place behind them, and how many the node has.
async fn take(
    at: Place,
    again: u64,
    stretch: Stretch,
    meaning: &mut Meaning,
    journal: &Port<Append>,
) -> Result<(Place, u64), ReplicaFault> {
    if stretch.end < at.next {
        return Err(ReplicaFault::AheadOfNode { node: stretch.end, replica: at.next });
    }
    let mut records = stretch.records.into_iter();
    for _ in 0..again {
        let last = records.next().map(|record| (record.position + 1, record.chain));
        if last != Some((at.next, at.chain)) {
            return Err(ReplicaFault::OtherJournal(at.next - 1));
        }
    }
    let (mut to, mut written) = (at, None);
    for record in records {
        to = to.behind(&record)?;
        // What the archive could not take must not be in the journal either.
        meaning(&record)
            .map_err(|reason| ReplicaFault::Meaning { position: record.position, reason })?;
        let (reply, pending) = ReplyTo::new();
        let waiters = vec![Waiter::answer(reply, ())];
        // A record that was in a journal fits into another one.
        let append = Append::new(record.payload, waiters).map_err(|_| ReplicaFault::Journal)?;
        write(append, journal).await?;
        written = Some(pending);
    }
    if let Some(pending) = written {
        pending.wait(PATIENCE).await.map_err(|_| ReplicaFault::Journal)?;
    }
    Ok((to, stretch.end))
}

/// Gives a record to the journal, however long that takes.
async fn write(mut append: Append, journal: &Port<Append>) -> Result<(), ReplicaFault> {
    loop {
        match journal.tell(append) {
            Ok(()) => return Ok(()),
            Err(Refused::Full(back)) => append = back,
            Err(Refused::Closed(_)) => return Err(ReplicaFault::Journal),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests;
