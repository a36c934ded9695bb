//! Settlement: brings sealed blocks through the contracts, from commit to payout.
//!
//! [`next_step`] is a pure function of what the contracts say and what the archive holds; it keeps
//! nothing. A crash or a reorganisation changes the views, and the next step follows from them. A
//! step that was already done is not chosen any more, or reverts without a change.

pub mod book;
pub mod driver;
mod views;

pub use views::{ChainView, HubView, OracleView, read_chain_view, read_hub_view};

use std::collections::BTreeMap;

use alloy_primitives::{Bytes, U256};
use zklink::block::Block;
use zklink::hash::fr_to_be_bytes;
use zklink::id::{BlockNumber, ChainId};
use zklink::token::Address;

use crate::chain::client::Call;
use crate::chain::contracts::{
    BlockCommit, Hub, LightOracle, Rollup, to_abi_word, transaction, words_to_abi,
};
use book::Deliverable;

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
    /// For each key change among them in order: nothing, or the owner's signature.
    pub key_witnesses: Vec<Vec<u8>>,
}

impl SealedBlock {
    /// A block with the key witnesses of each chain, in the order of the block.
    pub fn of(block: &Block, mut key_witnesses: BTreeMap<ChainId, Vec<Vec<u8>>>) -> Self {
        let public = block.public_data();
        let bytes =
            |words: &[zklink::hash::Fr]| words.iter().copied().map(fr_to_be_bytes).collect();
        let chains = block.chain_words().into_iter().map(|(chain, words)| {
            let key_witnesses = key_witnesses.remove(&chain).unwrap_or_default();
            (chain, ChainPart { words, key_witnesses })
        });
        Self {
            number: block.head.number,
            shape: block.head.shape.0,
            timestamp: block.head.timestamp,
            new_root: fr_to_be_bytes(block.head.new_root),
            inputs: public.public_inputs().map(fr_to_be_bytes),
            onchain: bytes(&public.onchain),
            data: bytes(&public.data),
            chains: chains.collect(),
        }
    }
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
}

/// The next transaction for a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Publish a block on the hub.
    CommitBlock(BlockNumber),
    /// Give a chain its own operations of a block.
    Commit(BlockNumber),
    /// Have a chain tell the hub what it holds.
    Ack(BlockNumber),
    /// Prove a block on the hub.
    ProveBlock(BlockNumber),
    /// Release the payouts of a block on all chains.
    ReleaseBlock(BlockNumber),
    /// Hand over a message of another chain.
    Deliver {
        /// The chain that sent it.
        source: ChainId,
        /// Its number there.
        sequence: u64,
    },
    /// Make the payouts of a block.
    Pay(BlockNumber),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::CommitBlock(number) => write!(f, "commit block {number} on the hub"),
            Step::Commit(number) => write!(f, "commit the chain's part of block {number}"),
            Step::Ack(number) => write!(f, "ack block {number}"),
            Step::ProveBlock(number) => write!(f, "prove block {number}"),
            Step::ReleaseBlock(number) => write!(f, "release block {number}"),
            Step::Deliver { source, sequence } => {
                write!(f, "deliver message {sequence} of chain {source}")
            }
            Step::Pay(number) => write!(f, "pay block {number}"),
        }
    }
}

/// The contracts hold something else than the archive. Nothing more is sent until a person has
/// looked: what is acknowledged cannot be taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Diverged {
    /// The hub has more blocks than were sealed here.
    #[error(
        "the hub has block {committed}, the archive ends at {sealed}: is this the right store?"
    )]
    Ahead {
        /// The hub's last block.
        committed: BlockNumber,
        /// The archive's last block.
        sealed: BlockNumber,
    },
    /// The hub's root is not that of the archive's block.
    #[error("the hub's block {0} has another root than the archive's: is this the right store?")]
    Root(BlockNumber),
    /// A chain and the hub hold different operations.
    #[error("chain {chain} and the hub hold different operations up to block {number}")]
    Content {
        /// The chain.
        chain: ChainId,
        /// The block.
        number: BlockNumber,
    },
    /// A block that the contracts have is missing here.
    #[error("block {0} is committed, and missing in the archive")]
    Missing(BlockNumber),
}

/// What is known when the next step for a chain is chosen.
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

/// The next transaction for a chain, or nothing to do now. What is furthest along comes first, so
/// that money moves before new work begins.
///
/// # Errors
/// [`Diverged`].
pub fn next_step(
    situation: &Situation<'_>,
    source: &dyn SettlementSource,
) -> Result<Option<Step>, Diverged> {
    let Situation { chain, hub_id, view, hub, deliverable } = situation;
    check(situation, source)?;
    let is_hub = chain == hub_id;
    if let Some(number) = source.next_of_chain(*chain, view.paid)
        && number <= view.released
    {
        return Ok(Some(Step::Pay(number)));
    }
    if let Some(message) = deliverable.first() {
        let Deliverable { source, sequence, .. } = *message;
        return Ok(Some(Step::Deliver { source, sequence }));
    }
    if is_hub && let Some(step) = hub_step(hub, source) {
        return Ok(Some(step));
    }
    // Acked operations cannot be taken back, so they are acked only once the hub has agreed to the
    // block. One ack covers all records before it.
    if view.committed > view.acked && view.committed <= hub.committed {
        return Ok(Some(Step::Ack(view.committed)));
    }
    if let Some(number) = source.next_of_chain(*chain, view.committed) {
        return Ok(Some(Step::Commit(number)));
    }
    if is_hub && hub.committed < source.sealed() {
        return Ok(hub.committed.next().map(Step::CommitBlock));
    }
    Ok(None)
}

/// Release, then prove: what the hub alone does with blocks that it has.
///
/// A block is proven only when every chain with operations in it has agreed to them. A chain may refuse what a
/// proof allows, such as a key that its owner did not authorise, and a proven block cannot be taken back.
fn hub_step(hub: &HubView, source: &dyn SettlementSource) -> Option<Step> {
    let agreed = |number: BlockNumber| {
        let block = source.block(number)?;
        let agrees = |chain: &ChainId| hub.acked.get(chain).is_some_and(|acked| *acked >= number);
        Some(block.chains.keys().all(agrees))
    };
    let releasing = hub.released.next().filter(|number| *number <= hub.proven);
    if let Some(number) = releasing
        && agreed(number)?
    {
        return Some(Step::ReleaseBlock(number));
    }
    let proving = hub.proven.next().filter(|number| *number <= hub.committed)?;
    if !agreed(proving)? {
        return None;
    }
    source.proof(proving).map(|_| Step::ProveBlock(proving))
}

/// Refuses to act on contracts that hold something else than the archive.
fn check(situation: &Situation<'_>, source: &dyn SettlementSource) -> Result<(), Diverged> {
    let Situation { chain, view, hub, .. } = situation;
    let (committed, sealed) = (hub.committed, source.sealed());
    if committed > sealed || view.committed > sealed {
        let committed = committed.max(view.committed);
        return Err(Diverged::Ahead { committed, sealed });
    }
    if committed.0 > 0 {
        let block = source.block(committed).ok_or(Diverged::Missing(committed))?;
        if block.new_root != hub.root {
            return Err(Diverged::Root(committed));
        }
    }
    // The hub knows what the chain should hold as soon as it has the block.
    let number = view.committed;
    if number.0 > 0 && number <= committed && view.hub_rolling != view.rolling {
        return Err(Diverged::Content { chain: *chain, number });
    }
    Ok(())
}

/// Where the contracts of a chain are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contracts {
    /// The rollup, or the hub.
    pub rollup: Address,
    /// The light oracle.
    pub oracle: Address,
}

/// The transaction that makes a step; nothing when the archive or the book does not have what it
/// needs any more.
pub fn call_of(
    step: &Step,
    situation: &Situation<'_>,
    source: &dyn SettlementSource,
    contracts: Contracts,
) -> Option<Call> {
    let to = contracts.rollup;
    let part = |number: BlockNumber| source.block(number)?.chains.remove(&situation.chain);
    Some(match step {
        Step::CommitBlock(number) => {
            transaction(to, &Hub::commitBlockCall { info: commit_info(source.block(*number)?) })
        }
        Step::Commit(number) => {
            let ChainPart { words, key_witnesses } = part(*number)?;
            let words = words_to_abi(&words);
            let key_witnesses = key_witnesses.into_iter().map(Bytes::from).collect();
            let call = Rollup::commitCall { number: number.0, words, keyWitnesses: key_witnesses };
            transaction(to, &call)
        }
        Step::Ack(number) => transaction(to, &Rollup::ackCall { number: number.0 }),
        Step::ProveBlock(number) => {
            let inputs = source.block(*number)?.inputs.map(U256::from_be_bytes);
            let proof = source.proof(*number)?.into();
            transaction(to, &Hub::proveBlockCall { number: number.0, inputs, proof })
        }
        Step::ReleaseBlock(number) => transaction(to, &Hub::releaseBlockCall { number: number.0 }),
        Step::Pay(number) => {
            let words = words_to_abi(&part(*number)?.words);
            transaction(to, &Rollup::payCall { number: number.0, words })
        }
        Step::Deliver { source, sequence } => {
            let mut messages = situation.deliverable.iter();
            let message =
                messages.find(|found| found.source == *source && found.sequence == *sequence)?;
            let call = LightOracle::deliverCall {
                source: source.0,
                sequence: *sequence,
                payload: message.payload.clone().into(),
                signatures: message.signatures.iter().map(|s| s.to_vec().into()).collect(),
            };
            transaction(contracts.oracle, &call)
        }
    })
}

fn commit_info(block: SealedBlock) -> BlockCommit {
    BlockCommit {
        number: block.number.0,
        shape: block.shape,
        timestamp: block.timestamp,
        newRoot: to_abi_word(block.new_root),
        d: U256::from_be_bytes(block.inputs[0]),
        onchain: words_to_abi(&block.onchain),
        data: words_to_abi(&block.data),
    }
}

#[cfg(test)]
mod tests;
