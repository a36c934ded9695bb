//! Alarms: what a person must look at. Told by the merge ledgers, kept for the RPC, and logged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::machine::{Handle, Machine};
use crate::merge_ledger::Discrepancy;
use crate::port::{Deliver, Envelope, Message, Port, Refused};
use crate::turn::Turn;

/// Alarms that are kept; the oldest fall out.
const KEPT_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub struct Alarms {
    kept: VecDeque<Discrepancy>,
}

/// The way of one merge ledger to the alarms. It knows for ever whether it was used, so that a ledger
/// which held deposits back is not built again without knowing it.
#[derive(Debug)]
pub struct Bell {
    alarms: Port<Discrepancy>,
    rung: Arc<AtomicBool>,
}

impl Bell {
    /// A bell that was not rung yet.
    pub fn new(alarms: Port<Discrepancy>) -> Bell {
        Bell { alarms, rung: Arc::default() }
    }

    /// Whether it was rung, also later.
    pub fn rung(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.rung)
    }
}

impl Deliver<Discrepancy> for Bell {
    fn deliver(&self, envelope: Envelope<Discrepancy>) -> Result<(), Refused<Discrepancy>> {
        self.rung.store(true, SeqCst);
        self.alarms.tell(envelope.message)
    }
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

#[cfg(test)]
mod tests {
    use zklink::id::{ChainId, TokenId};

    use super::*;
    use crate::merge_ledger::Fault;

    struct Nobody;

    impl Deliver<Discrepancy> for Nobody {
        fn deliver(&self, envelope: Envelope<Discrepancy>) -> Result<(), Refused<Discrepancy>> {
            Err(Refused::Closed(envelope.message))
        }
    }

    #[test]
    fn a_bell_knows_that_it_was_rung_even_if_nobody_heard_it() {
        let bell = Bell::new(Port::new(Nobody));
        let rung = bell.rung();
        assert!(!rung.load(SeqCst));
        let (chain, token) = (ChainId(1), TokenId(1));
        let alarm = Discrepancy { chain, token, fault: Fault::Unregistered };
        assert!(Port::new(bell).tell(alarm).is_err());
        assert!(rung.load(SeqCst));
    }
}
