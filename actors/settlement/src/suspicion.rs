//! Whether contracts and archive really differ, or the chain was only read badly.
//!
//! A reorganisation while a chain is read, or servers on different branches behind one address, show the same for a
//! while. So a difference is believed when it was seen again and again, each time at another block, and for long
//! enough. Until then it is suspected; nothing is sent in either case.

use zklink_mechanism::timestamp::Timestamp;

use super::Diverged;

/// Rounds in a row, each at new blocks of the chain and of the hub.
const ROUNDS: u32 = 8;
/// The time that they must span, milliseconds.
const SPAN_MS: u64 = 60_000;
/// After this time it is believed whatever the blocks are: a chain may stand still. Milliseconds.
const SPAN_MAX_MS: u64 = 30 * 60_000;

/// What is suspected of one chain.
#[derive(Clone, Debug, Default)]
pub struct Suspicion {
    seen: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    diverged: Diverged,
    since: Timestamp,
    now: Timestamp,
    rounds: u32,
    /// The heights of chain and hub in the last round that counted.
    heights: (u64, u64),
}

impl Suspicion {
    /// A round saw a difference, with the chain and the hub at these heights.
    pub fn saw(&mut self, diverged: Diverged, heights: (u64, u64), now: Timestamp) {
        let Some(seen) = &mut self.seen else {
            self.seen = Some(Seen { diverged, since: now, now, rounds: 1, heights });
            return;
        };
        (seen.diverged, seen.now) = (diverged, now);
        let both_moved = seen.heights.0 != heights.0 && seen.heights.1 != heights.1;
        if both_moved {
            (seen.rounds, seen.heights) = (seen.rounds.saturating_add(1), heights);
        }
    }

    /// A round saw none.
    pub fn end(&mut self) {
        self.seen = None;
    }

    /// The difference, once it is believed.
    pub fn believed(&self) -> Option<&Diverged> {
        let seen = self.seen.as_ref()?;
        let span = seen.now.since(seen.since);
        let believed = (seen.rounds >= ROUNDS && span >= SPAN_MS) || span >= SPAN_MAX_MS;
        believed.then_some(&seen.diverged)
    }
}

#[cfg(test)]
mod tests {
    use zklink::id::BlockNumber;

    use super::*;

    const ROOT: Diverged = Diverged::Root(BlockNumber(7));

    /// Sees the same difference at blocks that grow by `step`, once in ten seconds.
    fn seen(rounds: u64, step: (u64, u64)) -> Suspicion {
        let mut suspicion = Suspicion::default();
        for round in 0..rounds {
            let heights = (100 + step.0 * round, 200 + step.1 * round);
            suspicion.saw(ROOT, heights, Timestamp(round * 10_000));
        }
        suspicion
    }

    #[test]
    fn a_difference_is_believed_after_eight_rounds_at_new_blocks() {
        assert_eq!(seen(7, (1, 3)).believed(), None);
        assert_eq!(seen(8, (1, 3)).believed(), Some(&ROOT));
    }

    #[test]
    fn the_same_block_of_one_chain_says_nothing_new_until_half_an_hour_is_over() {
        for step in [(0, 1), (1, 0), (0, 0)] {
            assert_eq!(seen(180, step).believed(), None, "{step:?}");
            assert_eq!(seen(181, step).believed(), Some(&ROOT), "{step:?}");
        }
    }

    #[test]
    fn quick_rounds_are_not_enough() {
        let mut suspicion = Suspicion::default();
        for round in 0..60 {
            suspicion.saw(ROOT, (round, round), Timestamp(round * 1_000));
            assert_eq!(suspicion.believed(), None);
        }
        suspicion.saw(ROOT, (60, 60), Timestamp(60_000));
        assert_eq!(suspicion.believed(), Some(&ROOT));
    }

    #[test]
    fn it_ends_when_the_views_fit() {
        let mut suspicion = seen(20, (1, 1));
        suspicion.end();
        assert_eq!(suspicion.believed(), None);
        suspicion.saw(ROOT, (500, 500), Timestamp(900_000));
        assert_eq!(suspicion.believed(), None, "it begins anew");
    }
}
