//! How the data of blocks reach the hub.

use std::fmt::Debug;

use alloy_primitives::U256;
use zklink::token::Address;
use zklink_chain::client::Call;
use zklink_chain::contracts::{BlockCommit, Hub, transaction, words_to_abi};

use super::SealedBlock;
use super::ranges::WORDS_MAX;

/// A way of publishing blocks.
pub trait Publication: Debug + Send + Sync {
    /// What a block takes of [`Publication::room`].
    fn size(&self, block: &SealedBlock) -> usize;
    /// What goes into one transaction. A block alone goes in any case: its shape says that it fits.
    fn room(&self) -> usize;
    /// The transaction that commits blocks that follow each other.
    fn commit(&self, hub: Address, blocks: &[SealedBlock]) -> Call;
}

/// In the call data of the transaction.
#[derive(Clone, Copy, Debug)]
pub struct Calldata;

impl Publication for Calldata {
    fn size(&self, block: &SealedBlock) -> usize {
        block.onchain.len() + block.data.len()
    }

    fn room(&self) -> usize {
        WORDS_MAX
    }

    fn commit(&self, hub: Address, blocks: &[SealedBlock]) -> Call {
        let blocks = blocks.iter().map(|block| BlockCommit {
            d: U256::from_be_bytes(block.inputs[0]),
            onchain: words_to_abi(&block.onchain),
            data: words_to_abi(&block.data),
        });
        transaction(hub, &Hub::commitBlocksCall { blocks: blocks.collect() })
    }
}
