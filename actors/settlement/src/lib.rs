//! Settlement: brings sealed blocks through the contracts, from commit to payout.
//!
//! [`next_steps`] is a pure function of what the contracts say and what the archive holds; it keeps
//! nothing. A crash or a reorganisation changes the views, and the next steps follow from them. A
//! step that was already done is not chosen any more, or reverts without a change; one that names
//! what it follows reverts on a branch of the chain that it was not made for.

pub mod attester;
pub mod book;
mod calls;
mod choice;
pub mod driver;
mod hub;
mod periods;
mod publication;
mod ranges;
mod recorded;
mod refunds;
mod retries;
mod route;
mod step;
mod suspicion;
mod views;

pub use calls::call_of;
pub use choice::{Diverged, Situation, next_steps};
pub use hub::{HubNews, HubReader, HubTip};
pub use periods::Periods;
pub use publication::{Calldata, Publication};
pub use ranges::PayGas;
pub use recorded::{NotFound, revert_call};
pub use refunds::RefundSearch;
pub use retries::{Failing, Retries};
pub use route::{Coming, LightRoute, LocalRoute, Route, Routes, routes_to};
pub use step::{Part, Range, Step};
pub use suspicion::Suspicion;
pub use views::{
    ChainView, HubView, ViewError, read_chain_view, read_final_hub_view, read_hub_view, read_tip,
};

use std::collections::BTreeMap;

use zklink::block::{Block, BlockError, Content, rolling_content};
use zklink::hash::fr_to_be_bytes;
use zklink::id::{BlockNumber, ChainId, Serial};
use zklink::token::Address;
use zklink_store::record::{SealedBlock as StoredBlock, Source};

/// A sealed block, as the contracts want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBlock {
    /// Its number.
    pub number: BlockNumber,
    /// Its shape.
    pub shape: u16,
    /// Unix time in seconds.
    pub timestamp: u64,
    /// The root after it.
    pub new_root: [u8; 32],
    /// Digest, point, value of the data, value of the on-chain words.
    pub inputs: [[u8; 32]; 4],
    /// The on-chain vector.
    pub onchain: Vec<[u8; 32]>,
    /// The data vector.
    pub data: Vec<[u8; 32]>,
    /// The part of each chain that has one.
    pub chains: BTreeMap<ChainId, ChainPart>,
}

/// A chain's own part of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainPart {
    /// The words of its operations, in order.
    pub words: Vec<[u8; 32]>,
    /// The same, cut as the content hash has it.
    pub content: Content,
    /// For each key change among them in order: nothing, or the owner's signature.
    pub key_witnesses: Vec<Vec<u8>>,
    /// Its deposits in order.
    pub deposits: Vec<PartDeposit>,
}

/// A deposit of a chain's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartDeposit {
    /// Its place in the queue of the chain.
    pub serial: Serial,
    /// Who paid it.
    pub payer: Address,
    /// Whether the block refuses it.
    pub refused: bool,
}

impl ChainPart {
    /// Whether a payer gets something back.
    pub fn has_refused(&self) -> bool {
        self.deposits.iter().any(|deposit| deposit.refused)
    }
}

/// A stored block cannot be settled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsettleable {
    /// It has no shape, or does not fit it.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The payer of a deposit is no EVM address.
    #[error("the payer of deposit {0} is no EVM address")]
    Payer(Serial),
}

impl SealedBlock {
    /// A block with what its operations came from.
    ///
    /// # Errors
    /// [`Unsettleable`].
    pub fn of(stored: &StoredBlock) -> Result<Self, Unsettleable> {
        let block: &Block = &stored.block;
        let public = block.public_data();
        let bytes =
            |words: &[zklink::hash::Fr]| words.iter().copied().map(fr_to_be_bytes).collect();
        let (mut contents, mut deposits) = (block.contents(), deposits(stored)?);
        let chains = block.chain_words().into_iter().map(|(chain, words)| {
            let content = contents.remove(&chain).unwrap_or_default();
            let deposits = deposits.remove(&chain).unwrap_or_default();
            let key_witnesses = stored.key_witnesses(chain);
            (chain, ChainPart { words, content, key_witnesses, deposits })
        });
        Ok(Self {
            number: block.head.number,
            shape: block.head.shape.0,
            timestamp: block.head.timestamp,
            new_root: fr_to_be_bytes(block.head.new_root),
            chains: chains.collect(),
            inputs: public.inputs(block.digest()?).map(fr_to_be_bytes),
            onchain: bytes(&public.onchain),
            data: bytes(&public.data),
        })
    }
}

/// The deposits of a block, by chain, in order.
fn deposits(stored: &StoredBlock) -> Result<BTreeMap<ChainId, Vec<PartDeposit>>, Unsettleable> {
    let mut by_chain: BTreeMap<ChainId, Vec<PartDeposit>> = BTreeMap::new();
    for source in &stored.sources {
        let Source::Deposit(accepted) = source else { continue };
        let deposit = &accepted.deposit;
        let payer = deposit.payer.to_evm().ok_or(Unsettleable::Payer(deposit.serial))?;
        let (serial, refused) = (deposit.serial, accepted.refused.is_some());
        let of_chain = by_chain.entry(deposit.chain).or_default();
        of_chain.push(PartDeposit { serial, payer, refused });
    }
    Ok(by_chain)
}

/// What the archive holds for settlement.
pub trait SettlementSource: Send + Sync {
    /// The last sealed block; zero before the first.
    fn sealed(&self) -> BlockNumber;
    /// A sealed block.
    fn block(&self, number: BlockNumber) -> Option<SealedBlock>;
    /// The proof of a block, checked, in the encoding of the verifier contract.
    fn proof(&self, number: BlockNumber) -> Option<Vec<u8>>;
    /// The next block above `after` with operations of a chain, however far it is. The default asks for block after
    /// block; an archive with an index does better.
    fn next_of_chain(&self, chain: ChainId, after: BlockNumber) -> Option<BlockNumber> {
        let mut numbers = (after.0.saturating_add(1)..=self.sealed().0).map(BlockNumber);
        numbers.find(|number| {
            self.block(*number).is_some_and(|block| block.chains.contains_key(&chain))
        })
    }
    /// The rolling content of a chain after all blocks up to `through`, that one included: what the
    /// chain's contract and the hub must hold. Zero before the first block with operations of the
    /// chain; nothing when a block is missing. The default rolls block after block; an archive with
    /// an index does better.
    fn rolling(&self, chain: ChainId, through: BlockNumber) -> Option<[u8; 32]> {
        (1..=through.0).map(BlockNumber).try_fold([0; 32], |rolling, number| {
            let block = self.block(number)?;
            let part = block.chains.get(&chain);
            Some(part.map_or(rolling, |part| rolling_content(rolling, number, part.content.hash())))
        })
    }
}

/// Where the contracts of a chain are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contracts {
    /// The rollup.
    pub rollup: Address,
    /// The hub's contract, on the hub's chain.
    pub hub: Option<Address>,
    /// The light oracle.
    pub oracle: Address,
    /// The block of the first contract: no event is older.
    pub first_block: u64,
}

#[cfg(test)]
mod replicas;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod tests;
