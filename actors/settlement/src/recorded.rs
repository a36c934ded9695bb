//! What a chain has recorded, where that is not what the archive has: read back from the transactions that recorded it.
//!
//! The contract takes records back only against their words, and it alone knows that they are right: so whatever an
//! endpoint says here is checked there.

use alloy_sol_types::{SolCall, SolEvent};
use zklink::id::BlockNumber;
use zklink::token::Address;
use zklink_chain::client::{Call, ChainClient, ClientError, Log, LogQuery};
use zklink_chain::contracts::{ReadError, Rollup, transaction, words_to_abi};

use super::{ChainView, Contracts};

/// The words of a record.
type Words = Vec<[u8; 32]>;

/// Why the words of records were not found.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// The chain did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The chain could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No transaction recorded them, as far as the endpoint knows.
    #[error(
        "the transaction that recorded block {0} is not found: use an endpoint that keeps transactions"
    )]
    Transaction(BlockNumber),
}

/// The transaction that takes back all records of a chain that are not acked; at most `max_range` blocks are asked for
/// events at once.
///
/// # Errors
/// [`NotFound`].
pub async fn revert_call(
    client: &dyn ChainClient,
    contracts: Contracts,
    view: &ChainView,
    max_range: u64,
) -> Result<Call, NotFound> {
    let range = (contracts.first_block, max_range.max(1));
    let words = words(client, contracts.rollup, view, range).await?;
    let words = words.iter().map(|words| words_to_abi(words)).collect();
    let call = Rollup::revertCommitsCall { downTo: view.acked.0, words };
    Ok(transaction(contracts.rollup, &call))
}

/// The words of all records of a chain above its last acked one, oldest first.
async fn words(
    client: &dyn ChainClient,
    rollup: Address,
    view: &ChainView,
    (first_block, max_range): (u64, u64),
) -> Result<Vec<Words>, NotFound> {
    let mut found: Vec<Words> = Vec::new();
    let mut search = Search { rolling: view.rolling, below: None, done: view.acked_rolling };
    let mut to = view.height;
    while search.rolling != search.done && to >= first_block {
        let from = to.saturating_sub(max_range.saturating_sub(1)).max(first_block);
        let events = vec![Rollup::OperationsCommitted::SIGNATURE_HASH.0];
        let query = LogQuery { from, to, addresses: vec![rollup], events };
        for log in client.logs(query).await?.iter().rev() {
            if let Some(number) = search.wants(log) {
                let input = client.input(log.tx_hash).await?;
                let call = input.and_then(|input| Rollup::commitCall::abi_decode(&input).ok());
                let call = call.ok_or(NotFound::Transaction(number))?;
                found.extend(search.take(call, number, view.acked));
            }
        }
        let Some(before) = from.checked_sub(1) else { break };
        to = before;
    }
    if search.rolling != search.done {
        return Err(NotFound::Transaction(search.below.unwrap_or(view.committed)));
    }
    found.reverse();
    Ok(found)
}

/// The record that is looked for, going back.
struct Search {
    /// Its rolling content.
    rolling: [u8; 32],
    /// The block of the last one that was found.
    below: Option<BlockNumber>,
    /// The content before the first one.
    done: [u8; 32],
}

impl Search {
    /// The number of the record, if this event made it.
    fn wants(&self, log: &Log) -> Option<BlockNumber> {
        let topics = log.topics.iter().map(alloy_primitives::B256::from);
        let event = Rollup::OperationsCommitted::decode_raw_log_validate(topics, &log.data).ok()?;
        let wanted = self.rolling != self.done && event.rolling.0 == self.rolling;
        wanted.then_some(BlockNumber(event.number))
    }

    /// The words of the transaction that made the record and those before it, newest first. It may have made later ones
    /// as well, which are gone, and earlier ones, which stay.
    fn take(
        &mut self,
        call: Rollup::commitCall,
        last: BlockNumber,
        acked: BlockNumber,
    ) -> Vec<Words> {
        let wanted = acked.0.saturating_add(1)..=last.0;
        let cut = call.blocks.iter().any(|block| block.number <= acked.0);
        self.rolling = if cut { self.done } else { call.previousRolling.0 };
        let blocks = call.blocks.into_iter().filter(|block| wanted.contains(&block.number));
        let words: Vec<(u32, Words)> = blocks
            .map(|block| (block.number, block.words.iter().map(|word| word.0).collect()))
            .collect();
        self.below = words.first().map(|(number, _)| BlockNumber(*number));
        words.into_iter().rev().map(|(_, words)| words).collect()
    }
}
