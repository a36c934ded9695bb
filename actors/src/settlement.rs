//! Settlement: brings sealed blocks through the contracts, from commit to payout.
//!
//! [`next_steps`] is a pure function of what the contracts say and what the archive holds; it keeps
//! nothing. A crash or a reorganisation changes the views, and the next steps follow from them. A
//! step that was already done is not chosen any more, or reverts without a change; one that names
//! what it follows reverts on a branch of the chain that it was not made for.

pub mod book;
mod choice;
pub mod driver;
mod retries;
mod views;

pub use choice::{Diverged, Situation, next_steps};
pub use retries::{Failing, Retries};
pub use views::{ChainView, HubView, OracleView, read_chain_view, read_hub_view};

use std::collections::BTreeMap;

use alloy_primitives::{Bytes, U256};
use zklink::block::{Block, BlockError, Content, rolling_content};
use zklink::hash::fr_to_be_bytes;
use zklink::id::{BlockNumber, ChainId};
use zklink::token::Address;

use crate::chain::client::Call;
use crate::chain::contracts::{
    BlockCommit, Hub, LightOracle, Rollup, to_abi_word, transaction, words_to_abi,
};

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
}

impl SealedBlock {
    /// A block with the key witnesses of each chain, in the order of the block.
    ///
    /// # Errors
    /// [`BlockError`] when it has no shape or does not fit it.
    pub fn of(
        block: &Block,
        mut key_witnesses: BTreeMap<ChainId, Vec<Vec<u8>>>,
    ) -> Result<Self, BlockError> {
        let public = block.public_data();
        let bytes =
            |words: &[zklink::hash::Fr]| words.iter().copied().map(fr_to_be_bytes).collect();
        let mut contents = block.contents();
        let chains = block.chain_words().into_iter().map(|(chain, words)| {
            let key_witnesses = key_witnesses.remove(&chain).unwrap_or_default();
            let content = contents.remove(&chain).unwrap_or_default();
            (chain, ChainPart { words, content, key_witnesses })
        });
        Ok(Self {
            number: block.head.number,
            shape: block.head.shape.0,
            timestamp: block.head.timestamp,
            new_root: fr_to_be_bytes(block.head.new_root),
            inputs: public.inputs(block.digest()?).map(fr_to_be_bytes),
            onchain: bytes(&public.onchain),
            data: bytes(&public.data),
            chains: chains.collect(),
        })
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
    /// Take back a chain's records above a block: they are not what the archive has, and not acked.
    RevertCommits(BlockNumber),
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
            Step::RevertCommits(number) => write!(f, "take back commits above block {number}"),
        }
    }
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
    let chain = situation.chain;
    let part = |number: BlockNumber| source.block(number)?.chains.remove(&chain);
    let rolling = |through| source.rolling(chain, through).map(to_abi_word);
    Some(match step {
        Step::CommitBlock(number) => {
            transaction(to, &Hub::commitBlockCall { info: commit_info(source.block(*number)?) })
        }
        Step::Commit(number) => {
            let ChainPart { words, key_witnesses } = part(*number)?;
            let words = words_to_abi(&words);
            let key_witnesses = key_witnesses.into_iter().map(Bytes::from).collect();
            // The archive's content, not the contract's: the transaction may be mined on a branch
            // that nobody has looked at.
            let call = Rollup::commitCall {
                number: number.0,
                previousRolling: rolling(BlockNumber(number.0.checked_sub(1)?))?,
                words,
                keyWitnesses: key_witnesses,
            };
            transaction(to, &call)
        }
        Step::Ack(number) => {
            let call = Rollup::ackCall { number: number.0, rolling: rolling(*number)? };
            transaction(to, &call)
        }
        Step::RevertCommits(down_to) => {
            transaction(to, &Rollup::revertCommitsCall { downTo: down_to.0 })
        }
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
