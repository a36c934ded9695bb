//! What stands between the archive and those who follow it, as in the node: blocks for settlement, pools for the merge
//! ledgers. Proofs are handed on as they are stored, because here they are not Groth16 proofs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use zklink::amount::Amount;
use zklink::block::rolling_content;
use zklink::id::{BlockNumber, ChainId, Serial, TokenId};
use zklink::state::State;
use zklink_actors::archive::ArchiveReader;
use zklink_actors::builder::ViewReader;
use zklink_actors::builder::record::SealedBlock as StoredBlock;
use zklink_actors::merge_ledger::Pools;
use zklink_actors::settlement::{SealedBlock, SettlementSource};

/// Sealed blocks and proofs of the archive.
pub struct SimulatedSource {
    archive: ArchiveReader,
    ready: Mutex<BTreeMap<BlockNumber, SealedBlock>>,
    contents: Mutex<Vec<BTreeMap<ChainId, [u8; 32]>>>,
}

impl SimulatedSource {
    /// Reads from an archive.
    pub fn new(archive: ArchiveReader) -> SimulatedSource {
        SimulatedSource { archive, ready: Mutex::default(), contents: Mutex::default() }
    }
}

/// A block as the archive holds it.
///
/// # Panics
/// When the archive fails or holds something else: both are faults that a test must show.
pub fn stored_block(archive: &ArchiveReader, number: BlockNumber) -> Option<StoredBlock> {
    let bytes = archive.block(number).expect("the simulated store reads")?;
    Some(serde_json::from_slice(&bytes).expect("a stored block can be read"))
}

impl SettlementSource for SimulatedSource {
    fn sealed(&self) -> BlockNumber {
        self.archive.head().expect("the simulated store reads").unwrap_or_default()
    }

    fn block(&self, number: BlockNumber) -> Option<SealedBlock> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = ready.get(&number) {
            return Some(block.clone());
        }
        let stored = stored_block(&self.archive, number)?;
        let chains = stored.block.chain_words().into_keys();
        let witnesses = chains.map(|chain| (chain, stored.key_witnesses(chain))).collect();
        let block = SealedBlock::of(&stored.block, witnesses);
        ready.insert(number, block.clone());
        Some(block)
    }

    /// The contents after each block are kept: this is asked for at every look at every chain.
    fn rolling(&self, chain: ChainId, through: BlockNumber) -> Option<[u8; 32]> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = usize::try_from(through.0).ok()?;
        while contents.len() < wanted {
            let number = BlockNumber(u32::try_from(contents.len() + 1).ok()?);
            let mut after = contents.last().cloned().unwrap_or_default();
            for (chain, part) in self.block(number)?.chains {
                let before = after.get(&chain).copied().unwrap_or_default();
                after.insert(chain, rolling_content(before, number, &part.words));
            }
            contents.push(after);
        }
        let last = wanted.checked_sub(1).and_then(|last| contents[last].get(&chain));
        Some(last.copied().unwrap_or_default())
    }

    fn proof(&self, number: BlockNumber) -> Option<Vec<u8>> {
        self.archive.proof(number).expect("the simulated store reads")
    }
}

type PoolTable = BTreeMap<BlockNumber, BTreeMap<(ChainId, TokenId), Amount>>;

/// The pools after each block.
#[derive(Clone, Debug, Default)]
pub struct PoolBook(Arc<Mutex<PoolTable>>);

impl PoolBook {
    /// Notes the pools of the state after a block.
    pub fn note(&self, state: &State) {
        let pools = state.chains().flat_map(|(chain, of_chain)| {
            of_chain.pools.iter().map(move |(token, amount)| ((chain, *token), *amount))
        });
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(state.system.number, pools.collect());
    }

    /// What a chain owes after a block; nothing while the block is not known.
    pub fn after(&self, chain: ChainId, token: TokenId, block: BlockNumber) -> Option<Amount> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(table.get(&block)?.get(&(chain, token)).copied().unwrap_or_default())
    }
}

/// What the rollup owes, for the merge ledgers.
pub struct SimulatedPools {
    /// The executed state.
    pub view: ViewReader,
    /// The pools after each block.
    pub book: PoolBook,
}

impl Pools for SimulatedPools {
    fn executed(&self, chain: ChainId, token: TokenId) -> (Amount, Serial) {
        let view = self.view.read();
        (view.state.pool(chain, token), view.state.cursor(chain))
    }

    fn after(&self, chain: ChainId, token: TokenId, block: BlockNumber) -> Option<Amount> {
        self.book.after(chain, token, block)
    }
}
