//! How merge ledgers and watchers are built, at the start and again after a panic: in the node, and in the worlds of
//! `integration-tests`.
//!
//! What a follower found out and must never forget stands here, outside of it: that deposits are held back, and why
//! a chain is not read any more.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use zklink_mechanism::port::{Deliver, Envelope, Port, Refused};
use zklink_mechanism::supervised::Origin;
use zklink_store::archive::ArchiveReader;

use crate::builder::{Credit, ViewReader};
use crate::merge_ledger::{Config, Discrepancy, MergeLedger, Pools};
use crate::watcher::{Outlets, WatchConfig, Watcher};

/// The way of one merge ledger to the alarms. It notes whether it was used.
#[derive(Debug)]
struct NotedAlarm {
    alarms: Port<Discrepancy>,
    used: Arc<AtomicBool>,
}

impl Deliver<Discrepancy> for NotedAlarm {
    fn deliver(&self, envelope: Envelope<Discrepancy>) -> Result<(), Refused<Discrepancy>> {
        self.used.store(true, SeqCst);
        self.alarms.tell(envelope.message)
    }
}

/// A merge ledger. One that held deposits back is not built again: a person must look first.
pub fn merge_ledger(
    config: Config,
    pools: impl Pools + Clone,
    builder: Port<Credit>,
    alarms: Port<Discrepancy>,
) -> Origin<MergeLedger> {
    let used = Arc::new(AtomicBool::new(false));
    let alarms = Port::new(NotedAlarm { alarms, used: Arc::clone(&used) });
    Origin::rebuilt(move || {
        if used.load(SeqCst) {
            return Err("it held deposits back, and a person must look first".to_owned());
        }
        Ok(MergeLedger::new(config.clone(), pools.clone(), builder.clone(), alarms.clone()))
    })
}

/// A watcher that goes on at the deposit which the builder expects, whatever `config.resume` says. Once halted it stays
/// halted.
pub fn watcher(
    config: WatchConfig,
    outlets: Outlets,
    view: ViewReader,
    archive: ArchiveReader,
) -> Origin<Watcher> {
    let halted = Arc::new(OnceLock::new());
    Origin::rebuilt(move || {
        let chain = config.chain;
        // First what was watched: the cursor, which only grows, is then not below it.
        let watched = archive.watched(chain).unwrap_or_else(|error| {
            tracing::warn!(%chain, %error, "events are read from the beginning");
            None
        });
        let resume = view.read().state.cursor(chain);
        let config = WatchConfig { resume, ..config.clone() };
        Ok(Watcher::new(config, outlets.clone(), watched).halting(Arc::clone(&halted)))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use zklink::amount::Amount;
    use zklink::id::{BlockNumber, ChainId, Serial, TokenId};
    use zklink_mechanism::platform::Reach;
    use zklink_mechanism::port::Message;
    use zklink_mechanism::supervisor::Config as Restarts;
    use zklink_mechanism::world::World;

    use super::*;
    use crate::merge_ledger::Reading;

    /// Nobody listens.
    struct Nobody;

    impl<M: Message> Deliver<M> for Nobody {
        fn deliver(&self, envelope: Envelope<M>) -> Result<(), Refused<M>> {
            Err(Refused::Closed(envelope.message))
        }
    }

    #[derive(Clone)]
    struct Empty;

    impl Pools for Empty {
        fn executed(&self, _: ChainId, _: TokenId) -> (Amount, Serial) {
            (Amount::ZERO, Serial(0))
        }

        fn after(&self, _: ChainId, _: TokenId, _: BlockNumber) -> Option<Amount> {
            None
        }
    }

    const POLICY: Restarts =
        Restarts { backoff_first_ms: 10, backoff_max_ms: 20, failures_max: 3, window_ms: 10_000 };

    fn stopped_after_a_panic(reading: Option<Reading>) -> Option<String> {
        let world = World::new(1, POLICY);
        let (token, chains) = (TokenId(17), BTreeMap::new());
        let config = Config { token, chains, merge_cap: Amount(1), kept_max: 4 };
        let origin = merge_ledger(config, Empty, Port::new(Nobody), Port::new(Nobody));
        let place = world.start("ledger", 8, origin);
        if let Some(reading) = reading {
            place.port().tell(reading).unwrap();
            world.run_for(10);
        }
        world.panic("ledger");
        world.run_for(1_000);
        world.stopped()
    }

    #[test]
    fn a_ledger_is_built_again_unless_it_held_deposits_back() {
        assert_eq!(stopped_after_a_panic(None), None);
        // The chain is none of the ledger's, so that the reading is a discrepancy.
        let (chain, token, committed) = (ChainId(1), TokenId(17), BlockNumber(0));
        let (at_block, balance, locked, pending, unconsumed) = (1, 0, 0, 0, 0);
        let reading =
            Reading { chain, token, at_block, balance, locked, pending, unconsumed, committed };
        let reason = stopped_after_a_panic(Some(reading)).expect("the node stops");
        assert!(reason.contains("a person must look first"), "{reason}");
    }
}
