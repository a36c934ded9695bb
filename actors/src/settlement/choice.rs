//! Which transactions a chain wants next: a pure function of what the contracts say and what the
//! archive holds.

use zklink::id::{BlockNumber, ChainId};

use super::book::Deliverable;
use super::{ChainView, HubView, SettlementSource, Step};

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
    /// Signed messages that the chain's oracle would take now.
    pub deliverable: &'a [Deliverable],
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
    let Situation { chain, hub_id, view, hub, deliverable } = situation;
    check_hub(situation, source)?;
    let sound = check_records(situation, source)?;
    let is_hub = chain == hub_id;
    let mut steps = Vec::new();
    // Before all else: as long as wrong records stand, a stranger can ack them, and what is acked
    // cannot be taken back.
    if !sound {
        steps.push(Step::RevertCommits(view.acked));
    }
    let paying = source.next_of_chain(*chain, view.paid);
    steps.extend(paying.filter(|number| *number <= view.released).map(Step::Pay));
    steps.extend(
        deliverable
            .iter()
            .map(|message| Step::Deliver { source: message.source, sequence: message.sequence }),
    );
    if is_hub {
        steps.extend(releasing(hub, source).map(Step::ReleaseBlock));
        steps.extend(proving(hub, source).map(Step::ProveBlock));
    }
    if sound {
        steps.extend(acking(situation, source).map(Step::Ack));
        steps.extend(source.next_of_chain(*chain, view.committed).map(Step::Commit));
    }
    if is_hub && hub.committed < source.sealed() {
        steps.extend(hub.committed.next().map(Step::CommitBlock));
    }
    Ok(steps)
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

/// The next block to release, if it is proven and every chain in it agrees.
fn releasing(hub: &HubView, source: &dyn SettlementSource) -> Option<BlockNumber> {
    let number = hub.released.next().filter(|number| *number <= hub.proven)?;
    agreed(hub, source, number).then_some(number)
}

/// The next block to prove, if there is a proof.
///
/// A block is proven only when every chain with operations in it has agreed to them. A chain may refuse what a
/// proof allows, such as a key that its owner did not authorise, and a proven block cannot be taken back.
fn proving(hub: &HubView, source: &dyn SettlementSource) -> Option<BlockNumber> {
    let number = hub.proven.next().filter(|number| *number <= hub.committed)?;
    let ready = agreed(hub, source, number) && source.proof(number).is_some();
    ready.then_some(number)
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
