//! How far the builder may run ahead of settlement, in blocks and in time.
//!
//! Blocks that are sealed faster than the hub takes them pile up without end, and none of their payouts is made; a
//! block whose time is too far ahead of the hub's clock is refused by the hub, and with it all that follow. So the
//! builder is told what the hub says, and waits where it must. It asks nobody: a driver reads the hub and tells it.

use zklink::id::BlockNumber;
use zklink_mechanism::port::Message;

use super::message::Refusal;

/// The bounds, in blocks and in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceLimits {
    /// Sealed blocks that the hub has not proven; at this number nothing more enters. At least one.
    pub unproven_max: u64,
    /// How far the time of a block may be ahead of the hub's last block, seconds. The contract takes 900; what is left
    /// is for the endpoint that showed an older block.
    pub ahead_max_s: u64,
    /// How old the first block that the hub has not may become, by the hub's clock, in seconds; then nothing more is
    /// sealed. The contract takes no block that is older than 14 days: what is left is for whoever mends the cause.
    pub age_max_s: u64,
}

impl PaceLimits {
    /// The most that [`PaceLimits::unproven_max`] may be: the merge ledgers compare a chain's books with pools of
    /// that many blocks at most.
    pub const UNPROVEN_MOST: u64 = 4_096;
}

impl Default for PaceLimits {
    /// A hub that takes a block every twelve seconds needs more than three hours for so many.
    fn default() -> PaceLimits {
        PaceLimits { unproven_max: 1_024, ahead_max_s: 600, age_max_s: 7 * 24 * 3_600 }
    }
}

/// What the hub says at its tip: told by the driver that reads it. A reorganisation may take some of it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubProgress {
    /// The last block of the rollup that is committed there.
    pub committed: BlockNumber,
    /// The last block of the rollup that is proven there.
    pub proven: BlockNumber,
    /// The time of the hub's last block, Unix seconds.
    pub time: u64,
    /// The time of the first sealed block that is not committed there, Unix seconds; nothing when there is none.
    pub oldest: Option<u64>,
}

impl Message for HubProgress {
    type Reply = ();
}

/// What is known of the hub, held against the bounds.
#[derive(Debug)]
pub(super) struct Pace {
    /// Nothing where no hub is followed: then there is no bound.
    limits: Option<PaceLimits>,
    hub: Option<HubProgress>,
}

impl Pace {
    pub(super) fn new(limits: Option<PaceLimits>) -> Pace {
        Pace { limits, hub: None }
    }

    pub(super) fn hear(&mut self, hub: HubProgress) {
        self.hub = Some(hub);
    }

    /// Why nothing may enter now, if so; `sealed` is the last block.
    pub(super) fn refusal(&self, sealed: BlockNumber) -> Option<Refusal> {
        let limits = self.limits?;
        let Some(hub) = self.hub else { return Some(Refusal::HubUnknown) };
        if hub.committed > sealed {
            return Some(Refusal::StoreBehind { hub: hub.committed, sealed });
        }
        let waiting = sealed.0.saturating_sub(hub.proven.0);
        let waiting = u64::from(waiting);
        let max = limits.unproven_max.max(1);
        if waiting >= max {
            return Some(Refusal::SettlementBehind { waiting, max });
        }
        let age_s = hub.oldest.map_or(0, |oldest| hub.time.saturating_sub(oldest));
        let max_s = limits.age_max_s;
        (age_s > max_s).then_some(Refusal::SettlementStuck { age_s, max_s })
    }

    /// The latest time that a block may carry now, Unix seconds. The hub's clock only goes on, so a block within this
    /// bound is taken whenever it gets there.
    pub(super) fn seal_by(&self) -> u64 {
        match (self.limits, self.hub) {
            (Some(limits), Some(hub)) => hub.time.saturating_add(limits.ahead_max_s),
            _ => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_bounds_nothing_is_refused() {
        let pace = Pace::new(None);
        assert_eq!((pace.refusal(BlockNumber(u32::MAX)), pace.seal_by()), (None, u64::MAX));
    }

    #[test]
    fn the_bound_is_counted_from_what_the_hub_has_proven() {
        let limits = PaceLimits { unproven_max: 3, ahead_max_s: 10, age_max_s: 100 };
        let mut pace = Pace::new(Some(limits));
        assert_eq!(pace.refusal(BlockNumber(0)), Some(Refusal::HubUnknown));
        let heard = |proven, time| HubProgress {
            committed: BlockNumber(0),
            proven: BlockNumber(proven),
            time,
            oldest: None,
        };
        pace.hear(heard(5, 1_000));
        assert_eq!(pace.seal_by(), 1_010);
        for sealed in [0, 5, 7] {
            assert_eq!(pace.refusal(BlockNumber(sealed)), None, "{sealed}");
        }
        let behind = |waiting| Some(Refusal::SettlementBehind { waiting, max: 3 });
        assert_eq!(pace.refusal(BlockNumber(8)), behind(3));
        pace.hear(heard(6, 1_012));
        assert_eq!(pace.refusal(BlockNumber(8)), None);
        pace.hear(heard(4, 1_011));
        assert_eq!(pace.refusal(BlockNumber(8)), behind(4), "the hub was rewound");
    }

    #[test]
    fn a_store_without_blocks_that_the_hub_has_takes_nothing() {
        let mut pace = Pace::new(Some(PaceLimits::default()));
        let (hub, proven) = (BlockNumber(5), BlockNumber(3));
        pace.hear(HubProgress { committed: hub, proven, time: 1_000, oldest: None });
        let behind = |sealed| Some(Refusal::StoreBehind { hub, sealed });
        for sealed in [0, 4].map(BlockNumber) {
            assert_eq!(pace.refusal(sealed), behind(sealed));
        }
        assert_eq!([5, 6].map(|sealed| pace.refusal(BlockNumber(sealed))), [None, None]);
    }

    #[test]
    fn a_block_that_the_hub_does_not_take_stops_those_behind_it() {
        let limits = PaceLimits { unproven_max: 9, ahead_max_s: 10, age_max_s: 100 };
        let mut pace = Pace::new(Some(limits));
        let committed = BlockNumber(1);
        let hub = HubProgress { committed, proven: committed, time: 1_100, oldest: Some(1_000) };
        for (time, oldest, age_s) in [(1_100, 1_000, None), (1_101, 1_000, Some(101)), (1, 9, None)]
        {
            pace.hear(HubProgress { time, oldest: Some(oldest), ..hub });
            let stuck = age_s.map(|age_s| Refusal::SettlementStuck { age_s, max_s: 100 });
            assert_eq!(pace.refusal(BlockNumber(2)), stuck, "{time}");
        }
        pace.hear(HubProgress { time: 9_999, oldest: None, ..hub });
        assert_eq!(pace.refusal(BlockNumber(2)), None, "it has all of them");
    }
}
