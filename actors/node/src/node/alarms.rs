//! Alarms: what a person must look at. Told by the merge ledgers, kept for the RPC, and logged.

use std::collections::VecDeque;

use zklink_mechanism::machine::{Handle, Machine};
use zklink_mechanism::port::Message;
use zklink_mechanism::turn::Turn;

use crate::merge_ledger::Discrepancy;

/// Alarms that are kept; the oldest fall out.
const KEPT_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub struct Alarms {
    kept: VecDeque<Discrepancy>,
}

/// Which alarms are there?
#[derive(Clone, Copy, Debug)]
pub struct ReadAlarms;

impl Message for ReadAlarms {
    type Reply = Vec<Discrepancy>;
}

impl Machine for Alarms {}

impl Handle<Discrepancy> for Alarms {
    fn handle(&mut self, alarm: Discrepancy, _: &mut Turn) {
        tracing::error!(%alarm, "a chain's deposits are held back");
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(alarm);
    }
}

impl Handle<ReadAlarms> for Alarms {
    fn handle(&mut self, _: ReadAlarms, _: &mut Turn) -> Vec<Discrepancy> {
        self.kept.iter().cloned().collect()
    }
}
