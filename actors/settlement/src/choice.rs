//! Which transactions a chain wants next: a pure function of what the contracts say and what the
//! archive holds.

use zklink::id::{BlockNumber, ChainId};

use super::book::Deliverable;
use super::publication::Publication;
use super::ranges::{WITNESS_WORDS, WORDS_MAX, of_chain, payouts, range_of};
use super::route::Routes;
use super::{ChainView, HubView, Part, Range, SettlementSource, Step};

/// Messages that are delivered in one transaction.
const MESSAGES_MAX: usize = 8;
/// Words that a proof and its inputs take: 512 bytes, four words, and lengths.
const PROOF_WORDS: usize = 24;
/// Blocks that one transaction releases: each costs the hub some reads of its storage.
const RELEASED_MAX: usize = 64;

/// The contracts hold something else than the archive, and it cannot be taken back. Nothing more is
/// sent until a person has looked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Diverged {
    /// A contract has more blocks than were sealed here.
    #[error(
        "the contracts have block {committed}, the archive ends at {sealed}: is this the right \
         store?"
    )]
    Ahead {
        /// The last block of the hub or of the chain.
        committed: BlockNumber,
        /// The archive's last block.
        sealed: BlockNumber,
    },
    /// The hub's root is not that of the archive's block.
    #[error("the hub's block {0} has another root than the archive's: is this the right store?")]
    Root(BlockNumber),
    /// The hub's blocks have the right root and other operations of a chain.
    #[error(
        "the hub holds other operations of chain {chain} up to block {number} than the archive: \
         is this the right store?"
    )]
    HubContent {
        /// The chain.
        chain: ChainId,
        /// The last block on the hub with operations of it.
        number: BlockNumber,
    },
    /// A chain acked other operations than the archive has.
    #[error(
        "chain {chain} has acked other operations up to block {number} than the archive has: is \
         this the right store?"
    )]
    Content {
        /// The chain.
        chain: ChainId,
        /// The last acked block.
        number: BlockNumber,
    },
    /// A block that the contracts have is missing here.
    #[error("block {0} is committed, and missing in the archive")]
    Missing(BlockNumber),
}

/// What is known when the next steps for a chain are chosen.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The chain to act on.
    pub chain: ChainId,
    /// The hub's number.
    pub hub_id: ChainId,
    /// What the chain's rollup contract says.
    pub view: &'a ChainView,
    /// What the hub's contract says.
    pub hub: &'a HubView,
    /// Signed messages that the chain's oracle would take now, of each source in order.
    pub deliverable: &'a [Deliverable],
    /// Released blocks with refused deposits whose payers have nothing back yet.
    pub refunds: &'a [BlockNumber],
    /// How messages come to the chain.
    pub routes: &'a Routes,
    /// How data come to the hub.
    pub publication: &'a dyn Publication,
}

/// The transactions that a chain would take now, the most urgent one first: what is furthest along,
/// so that money moves before new work begins. None needs another one of them, so that one that
/// fails holds up nothing but itself.
///
/// # Errors
/// [`Diverged`].
pub fn next_steps(
    situation: &Situation<'_>,
    source: &dyn SettlementSource,
) -> Result<Vec<Step>, Diverged> {
    let Situation { chain, hub_id, view, hub, refunds, .. } = situation;
    check_hub(situation, source)?;
    let sound = check_records(situation, source)?;
    let is_hub = chain == hub_id;
    let mut steps = Vec::new();
    // Before all else: as long as wrong records stand, a stranger can ack them, and what is acked
    // cannot be taken back.
    if !sound {
        steps.push(Step::RevertCommits(view.acked));
    }
    steps.extend(refunds.iter().copied().map(Step::Refund));
    steps.extend(paying(situation, source));
    steps.extend(delivering(situation.deliverable));
    if is_hub {
        steps.extend(telling(hub));
        steps.extend(releasing(hub, source).map(Step::ReleaseBlocks));
        steps.extend(ranged(proving(hub, source), Step::ProveBlocks));
    }
    if sound {
        steps.extend(acking(situation, source).map(Step::Ack));
        steps.extend(ranged(committing(situation, source), Step::Commit));
    }
    if is_hub {
        steps.extend(ranged(publishing(situation, source), Step::CommitBlocks));
    }
    Ok(steps)
}

/// A range, and behind it its first block alone: a block that is refused must not hold up those before it.
fn ranged(range: Option<Range>, step: fn(Range) -> Step) -> impl Iterator<Item = Step> {
    let alone = range.filter(|range| range.first != range.last);
    range.into_iter().chain(alone.map(|range| Range::one(range.first))).map(step)
}

/// The payouts that are due, and behind them the first chunk of them alone.
fn paying(situation: &Situation<'_>, source: &dyn SettlementSource) -> Vec<Step> {
    let Situation { chain, view, .. } = situation;
    let at = (view.paid, view.chunks_paid);
    let parts = payouts(source, *chain, at, view.released, &view.pay_gas);
    let alone = parts.first().map(|part| vec![Part { chunks: part.chunks.min(1), ..*part }]);
    let alone = alone.filter(|alone| *alone != parts);
    let all = Some(parts).filter(|parts| !parts.is_empty());
    all.into_iter().chain(alone).map(Step::Pay).collect()
}

/// The messages of each source, and behind them the first one alone.
fn delivering(deliverable: &[Deliverable]) -> Vec<Step> {
    let mut steps = Vec::new();
    for messages in deliverable.chunk_by(|a, b| a.source == b.source) {
        let Some(Deliverable { source, sequence, .. }) = messages.first() else { continue };
        let count = messages.len().min(MESSAGES_MAX);
        let (source, first) = (*source, *sequence);
        steps.push(Step::Deliver { source, first, count });
        if count > 1 {
            steps.push(Step::Deliver { source, first, count: 1 });
        }
    }
    steps
}

/// The chains that were not told yet that more of their blocks are released.
fn telling(hub: &HubView) -> impl Iterator<Item = Step> {
    let untold = hub.releases.iter().filter(|(_, (released, sent))| released > sent);
    untold.map(|(chain, (number, _))| Step::SendRelease { chain: *chain, number: *number })
}

/// The next blocks with operations of the chain that it does not have.
fn committing(situation: &Situation<'_>, source: &dyn SettlementSource) -> Option<Range> {
    let Situation { chain, view, .. } = situation;
    let numbers = of_chain(source, *chain, view.committed, source.sealed());
    range_of(numbers, source, WORDS_MAX, |block| {
        block.chains.get(chain).map_or(0, |part| {
            // Each deposit has the address of its payer.
            part.words.len() + part.deposits.len() + WITNESS_WORDS * part.key_witnesses.len()
        })
    })
}

/// The next blocks that the hub does not have.
fn publishing(situation: &Situation<'_>, source: &dyn SettlementSource) -> Option<Range> {
    let Situation { hub, publication, .. } = situation;
    let numbers = (hub.committed.0.checked_add(1)?..=source.sealed().0).map(BlockNumber);
    range_of(numbers, source, publication.room(), |block| publication.size(block))
}

/// The record to ack: the last one that the hub has as well.
///
/// Acked operations cannot be taken back, so they are acked only once the hub has agreed to the block. One ack covers
/// all records before it, and each costs a message, so a chain that is ahead of the hub waits until the hub has all of
/// its records. But not when a proof is there that waits for the ack: the hub may never catch up, or not take a block.
fn acking(situation: &Situation<'_>, source: &dyn SettlementSource) -> Option<BlockNumber> {
    let Situation { chain, view, hub, .. } = situation;
    let (last, _) = hub.contents.get(chain).copied().unwrap_or_default();
    // Both hold what the archive has, so the last block of the hub that has operations of the chain is a record here.
    let number = view.committed.min(last);
    let needed = || {
        let first = source.next_of_chain(*chain, view.acked);
        first.is_some_and(|first| source.proof(first).is_some())
    };
    (number > view.acked && (view.committed <= hub.committed || needed())).then_some(number)
}

/// The blocks that can be released: they are proven, and every chain in them agrees.
fn releasing(hub: &HubView, source: &dyn SettlementSource) -> Option<Range> {
    let first = hub.released.next()?;
    let numbers = (first.0..=hub.proven.0).map(BlockNumber).take(RELEASED_MAX);
    let last = numbers.take_while(|number| agreed(hub, source, *number)).last()?;
    Some(Range { first, last })
}

/// The next blocks to prove, as far as there are proofs.
///
/// A block is proven only when every chain with operations in it has agreed to them. A chain may refuse what a
/// proof allows, such as a key that its owner did not authorise, and a proven block cannot be taken back.
fn proving(hub: &HubView, source: &dyn SettlementSource) -> Option<Range> {
    let numbers = (hub.proven.0.checked_add(1)?..=hub.committed.0).map(BlockNumber);
    let ready =
        |number: &BlockNumber| agreed(hub, source, *number) && source.proof(*number).is_some();
    range_of(numbers.take_while(ready), source, WORDS_MAX, |_| PROOF_WORDS)
}

fn agreed(hub: &HubView, source: &dyn SettlementSource, number: BlockNumber) -> bool {
    let agrees = |chain: &ChainId| hub.acked.get(chain).is_some_and(|acked| *acked >= number);
    source.block(number).is_some_and(|block| block.chains.keys().all(agrees))
}

/// Refuses to act on a hub that holds something else than the archive.
fn check_hub(situation: &Situation<'_>, source: &dyn SettlementSource) -> Result<(), Diverged> {
    let Situation { chain, hub, .. } = situation;
    let (committed, sealed) = (hub.committed, source.sealed());
    if committed > sealed {
        return Err(Diverged::Ahead { committed, sealed });
    }
    if committed.0 > 0 {
        let block = source.block(committed).ok_or(Diverged::Missing(committed))?;
        if block.new_root != hub.root {
            return Err(Diverged::Root(committed));
        }
    }
    // Blocks with the same root can still differ in who is paid, which no balance shows.
    let (number, rolling) = hub.contents.get(chain).copied().unwrap_or_default();
    if rolling != expected(*chain, number, source)? {
        return Err(Diverged::HubContent { chain: *chain, number });
    }
    Ok(())
}

/// Whether a chain's records are a beginning of what the archive has; with a difference that is
/// acked, nothing can be done.
///
/// A chain that has more than was sealed here is left alone although its last records may not be
/// acked: it is far likelier that an old store was started by mistake than that blocks were sealed
/// and lost.
fn check_records(
    situation: &Situation<'_>,
    source: &dyn SettlementSource,
) -> Result<bool, Diverged> {
    let Situation { chain, view, .. } = situation;
    let (committed, sealed) = (view.committed, source.sealed());
    if committed > sealed {
        return Err(Diverged::Ahead { committed, sealed });
    }
    if view.acked_rolling != expected(*chain, view.acked, source)? {
        return Err(Diverged::Content { chain: *chain, number: view.acked });
    }
    Ok(view.rolling == expected(*chain, committed, source)?)
}

fn expected(
    chain: ChainId,
    through: BlockNumber,
    source: &dyn SettlementSource,
) -> Result<[u8; 32], Diverged> {
    source.rolling(chain, through).ok_or(Diverged::Missing(through))
}

#[cfg(test)]
mod tests;
