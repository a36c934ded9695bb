//! What the merge ledgers hold back: they tell it, and it is kept for the alarms.

use std::collections::VecDeque;

use zklink_mechanism::machine::{Handle, Machine};
use zklink_mechanism::port::Message;
use zklink_mechanism::turn::Turn;

use crate::merge_ledger::Discrepancy;

/// Discrepancies that are kept; the oldest fall out.
const KEPT_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub struct HeldBack {
    kept: VecDeque<Discrepancy>,
}

/// What is held back?
#[derive(Clone, Copy, Debug)]
pub struct ReadHeldBack;

impl Message for ReadHeldBack {
    type Reply = Vec<Discrepancy>;
}

impl Machine for HeldBack {}

impl Handle<Discrepancy> for HeldBack {
    fn handle(&mut self, discrepancy: Discrepancy, _: &mut Turn) {
        tracing::error!(%discrepancy, "a chain's deposits are held back");
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(discrepancy);
    }
}

impl Handle<ReadHeldBack> for HeldBack {
    fn handle(&mut self, _: ReadHeldBack, _: &mut Turn) -> Vec<Discrepancy> {
        self.kept.iter().cloned().collect()
    }
}
