//! The drivers that make the next start short: snapshots of the state, and how far the chains were read.

use std::collections::BTreeMap;

use zklink::id::{ChainId, Serial};
use zklink_mechanism::port::{Pending, Port, Refused, ReplyTo};
use zklink_mechanism::timestamp::Timestamp;
use zklink_node::builder::DurableCursor;
use zklink_node::snapshot::SnapshotMaker;
use zklink_store::archive::{Keep, Made, Watched};

use super::Driver;
use super::prove::Faults;
use super::read::SharedStatus;

/// The pause when there is nothing to do, virtual milliseconds.
const PAUSE_MS: u64 = 100;

/// Makes snapshots.
pub struct SnapshotLoop {
    maker: SnapshotMaker,
    archive: Port<Keep>,
    keep: Option<Keep>,
    due: Timestamp,
    faults: Faults,
}

impl SnapshotLoop {
    /// A loop around a maker.
    pub fn new(maker: SnapshotMaker, archive: Port<Keep>, faults: Faults) -> SnapshotLoop {
        SnapshotLoop { maker, archive, keep: None, due: Timestamp(0), faults }
    }
}

impl Driver for SnapshotLoop {
    fn beat(&mut self, now: Timestamp) {
        if let Some(keep) = self.keep.take() {
            if let Err(Refused::Full(keep)) = self.archive.tell(keep) {
                self.keep = Some(keep);
            }
            return;
        }
        if now < self.due {
            return;
        }
        match self.maker.step() {
            Ok(None) => self.due = now.after(PAUSE_MS),
            Ok(Some(made)) if made.is_empty() => {}
            Ok(Some(made)) => self.keep = Some(Keep { made }),
            Err(fault) => {
                self.faults.lock().expect("no holder of this lock panics").push(fault.to_string());
                self.due = Timestamp(u64::MAX);
            }
        }
    }
}

/// Keeps how far the chains were read.
pub struct BookmarkLoop {
    health: BTreeMap<ChainId, SharedStatus>,
    builder: Port<DurableCursor>,
    archive: Port<Keep>,
    asked: BTreeMap<ChainId, (Watched, Pending<Serial>)>,
    due: Timestamp,
}

impl BookmarkLoop {
    /// A loop around the watchers' own words.
    pub fn new(
        health: BTreeMap<ChainId, SharedStatus>,
        builder: Port<DurableCursor>,
        archive: Port<Keep>,
    ) -> BookmarkLoop {
        BookmarkLoop { health, builder, archive, asked: BTreeMap::new(), due: Timestamp(0) }
    }
}

impl Driver for BookmarkLoop {
    fn beat(&mut self, now: Timestamp) {
        if now < self.due {
            return;
        }
        self.due = now.after(PAUSE_MS);
        for (chain, status) in &self.health {
            if let Some((handed, mut pending)) = self.asked.remove(chain) {
                match pending.poll_now() {
                    None => drop(self.asked.insert(*chain, (handed, pending))),
                    Some(Ok(cursor)) if cursor >= handed.next => {
                        let made = vec![Made::Watched { chain: *chain, to: handed }];
                        drop(self.archive.tell(Keep { made }));
                    }
                    Some(_) => {}
                }
                continue;
            }
            let status = status.lock().expect("no holder of this lock panics");
            let Some(handed) = status.as_ref().and_then(|status| status.handed) else { continue };
            let (reply, pending) = ReplyTo::new();
            if self.builder.tell(DurableCursor { chain: *chain, reply }).is_ok() {
                self.asked.insert(*chain, (handed, pending));
            }
        }
    }
}
