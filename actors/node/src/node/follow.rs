//! What followers of the archive need: blocks for settlement, pools for the merge ledgers, stages for the RPC.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use zklink::amount::Amount;
use zklink::id::{BlockNumber, ChainId, Serial, TokenId};
use zklink::state::State;
use zklink_circuit::groth16::evm::proof_to_evm;
use zklink_circuit::proving::read_proof;
use zklink_client::{BlockOnChain, ChainTx, HexBytes};
use zklink_settlement::driver::{Report, SettlementStatus};
use zklink_settlement::{HubNews, HubView, SealedBlock, SettlementSource, Step};
use zklink_store::archive::ArchiveReader;
use zklink_store::record::SealedBlock as StoredBlock;

use crate::builder::ViewReader;
use crate::gateway::{Reached, Stages};
use crate::merge_ledger::Pools;
use crate::pool_history::PoolHistory;

/// Blocks that are kept ready for settlement.
const BLOCKS_MAX: usize = 64;

/// How a stored proof is written for the verifier contract, or what is wrong with it.
pub type ProofForm = fn(&[u8]) -> Result<Vec<u8>, String>;

/// Sealed blocks and proofs of the archive, as the contracts want them.
pub struct ArchivedBlocks {
    archive: ArchiveReader,
    proof_form: ProofForm,
    ready: Mutex<BTreeMap<BlockNumber, SealedBlock>>,
}

impl ArchivedBlocks {
    /// Reads from an archive, whose proofs are in this form.
    pub fn new(archive: ArchiveReader, proof_form: ProofForm) -> ArchivedBlocks {
        ArchivedBlocks { archive, proof_form, ready: Mutex::default() }
    }

    fn stored(&self, number: BlockNumber) -> Option<StoredBlock> {
        let stored = self.archive.block(number).unwrap_or_else(|error| {
            tracing::error!(%error, "the archive cannot be read");
            None
        })?;
        stored
            .block
            .check_form(State::FEE_ACCOUNT)
            .inspect_err(|error| tracing::error!(%error, %number, "a stored block is damaged"))
            .ok()?;
        Some(stored)
    }

    fn load(&self, number: BlockNumber) -> Option<SealedBlock> {
        let stored = self.stored(number)?;
        SealedBlock::of(&stored)
            .inspect_err(|error| tracing::error!(%error, %number, "a stored block is damaged"))
            .ok()
    }
}

impl SettlementSource for ArchivedBlocks {
    fn sealed(&self) -> BlockNumber {
        self.archive.rooted().ok().flatten().unwrap_or_default()
    }

    fn block(&self, number: BlockNumber) -> Option<SealedBlock> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = ready.get(&number) {
            return Some(block.clone());
        }
        let block = self.load(number)?;
        if ready.len() >= BLOCKS_MAX {
            ready.pop_first();
        }
        ready.insert(number, block.clone());
        Some(block)
    }

    fn next_of_chain(&self, chain: ChainId, after: BlockNumber) -> Option<BlockNumber> {
        let next = self.archive.next_of_chain(chain, after).unwrap_or_else(|error| {
            tracing::error!(%error, "the archive cannot be read");
            None
        });
        // A block without a root is not there yet.
        next.filter(|next| *next <= self.sealed())
    }

    fn rolling(&self, chain: ChainId, through: BlockNumber) -> Option<[u8; 32]> {
        let rolling = self.archive.rolling(chain, through);
        rolling
            .inspect_err(|error| tracing::error!(%error, "the archive cannot be read"))
            .ok()
            .flatten()
    }

    fn proof(&self, number: BlockNumber) -> Option<Vec<u8>> {
        let bytes = self.archive.proof(number).ok().flatten()?;
        (self.proof_form)(&bytes)
            .inspect_err(|error| tracing::error!(error, %number, "a stored proof is damaged"))
            .ok()
    }
}

/// A Groth16 proof as the verifier contract reads it.
///
/// # Errors
/// Why the stored bytes are none.
pub fn groth16_form(stored: &[u8]) -> Result<Vec<u8>, String> {
    let proof = read_proof(stored).map_err(|error| error.to_string())?;
    Ok(proof_to_evm(&proof).to_vec())
}

/// What the rollup owes, for the merge ledgers.
#[derive(Clone)]
pub struct NodePools {
    /// The executed state.
    pub view: ViewReader,
    /// The pools after each block.
    pub history: PoolHistory,
    /// In which blocks a chain has operations.
    pub archive: ArchiveReader,
}

impl Pools for NodePools {
    fn executed(&self, chain: ChainId, token: TokenId) -> (Amount, Serial) {
        let view = self.view.read();
        (view.state.pool(chain, token), view.state.cursor(chain))
    }

    fn after(&self, chain: ChainId, token: TokenId, block: BlockNumber) -> Option<Amount> {
        let remembered = self.history.after(chain, token, block);
        remembered.or_else(|| {
            // A chain may have been quiet since before the start, or for longer than blocks are remembered.
            let next = self.archive.next_of_chain(chain, block);
            let next =
                next.inspect_err(|error| tracing::error!(%error, "the archive fails")).ok()?;
            self.history.before_all(chain, token, block, next)
        })
    }
}

/// How far settlement is, for the RPC.
#[derive(Clone)]
pub(super) struct HubStages {
    pub(super) hub: HubNews,
    /// Settlement on each chain.
    pub(super) settlement: BTreeMap<ChainId, watch::Receiver<SettlementStatus>>,
    pub(super) report: Report,
}

impl Stages for HubStages {
    fn reached(&self) -> Reached {
        let hub = self.hub.seen().map(|tip| tip.view).unwrap_or_default();
        reached(&hub, &self.settlement)
    }

    fn on_chain(&self, block: BlockNumber) -> BlockOnChain {
        let mut found = BlockOnChain::default();
        for done in self.report.done() {
            let tx = ChainTx { chain_id: done.chain, tx_hash: HexBytes(done.tx_hash) };
            if !done.step.blocks().is_some_and(|range| range.contains(block)) {
                continue;
            }
            match done.step {
                Step::CommitBlocks(_) | Step::Commit(_) => found.committed.push(tx),
                Step::ProveBlocks(_) => found.proved.push(tx),
                Step::ReleaseBlocks(_) | Step::SendRelease { .. } | Step::Pay(_) => {
                    found.verified.push(tx);
                }
                _ => {}
            }
        }
        found
    }

    fn payouts(&self, chain: ChainId, block: BlockNumber) -> Vec<ChainTx> {
        self.report.pick(|done| {
            let Step::Pay(parts) = &done.step else { return None };
            let paid = done.chain == chain && parts.iter().any(|part| part.number == block);
            paid.then_some(ChainTx { chain_id: chain, tx_hash: HexBytes(done.tx_hash) })
        })
    }
}

fn reached(
    hub: &HubView,
    settlement: &BTreeMap<ChainId, watch::Receiver<SettlementStatus>>,
) -> Reached {
    let paid = settlement.iter().map(|(chain, status)| (*chain, status.borrow().paid)).collect();
    Reached { committed: hub.committed, verified: hub.proven, released: hub.released, paid }
}

#[cfg(test)]
mod tests {
    use zklink_client::TxStatus;

    use super::*;

    #[test]
    fn stages_are_those_of_the_hub_and_payouts_those_of_each_chain() {
        let [committed, proven, released] = [4, 3, 2].map(BlockNumber);
        let hub = HubView { committed, proven, released, ..HubView::default() };
        let (chain, settling) = watch::channel(SettlementStatus::default());
        let (one, other) = (ChainId(1), ChainId(2));
        let (_, resting) = watch::channel(SettlementStatus::default());
        let settlement = BTreeMap::from([(one, settling), (other, resting)]);
        chain.send_modify(|status| status.paid = BlockNumber(1));
        let paid = [(one, BlockNumber(1)), (other, BlockNumber(0))].into();
        let expected = Reached { committed, verified: proven, released, paid };
        assert_eq!(reached(&hub, &settlement), expected);
        let status = |number, to| expected.of_withdrawal(BlockNumber(number), to);
        assert_eq!((status(1, one), status(1, other)), (TxStatus::Paid, TxStatus::Released));
        assert_eq!((status(2, one), status(3, one)), (TxStatus::Released, TxStatus::Verified));
        assert_eq!((status(4, one), status(5, one)), (TxStatus::Committed, TxStatus::Sealed));
    }
}
