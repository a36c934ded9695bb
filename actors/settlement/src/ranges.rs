//! How much goes into one transaction.
//!
//! A transaction has at most 128 KiB and 2^24 gas everywhere. A range ends before it would pass a bound; its first
//! block is in it in any case, because whether that one fits was decided by its shape.

use zklink::block::CHUNK;
use zklink::id::{BlockNumber, ChainId};

use super::{Part, Range, SealedBlock, SettlementSource};

/// Blocks in one transaction.
const BLOCKS_MAX: usize = 16;
/// Words in one transaction, 32 bytes each: what fits, less 19 KB for lengths, offsets and the signature.
/// Four blocks of the largest shape with the mix of a retail rollup have 3,100.
pub(super) const WORDS_MAX: usize = 3_500;
/// What a key change with a signature takes in words: three of calldata, and as much gas as nine words of others, so
/// that a transaction of nothing but key changes stays below 2^24 gas.
pub(super) const WITNESS_WORDS: usize = 8;
/// Gas of one transaction with payouts: below 2^24, with room for chains that count calldata otherwise.
const GAS_MAX: u64 = 15_000_000;

/// The gas that a transaction with payouts is given, as the contract says: never an estimate, because receivers can
/// behave otherwise when it is mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayGas {
    /// Of the transaction.
    pub base: u64,
    /// Of each portion.
    pub portion: u64,
    /// Of each withdrawal.
    pub withdrawal: u64,
}

impl Default for PayGas {
    /// So much that no two portions go together; for a chain that was not asked.
    fn default() -> PayGas {
        PayGas { base: 0, portion: GAS_MAX, withdrawal: 0 }
    }
}

impl PayGas {
    /// Of a transaction with so many portions and withdrawals.
    pub fn of(&self, portions: usize, withdrawals: usize) -> u64 {
        let times =
            |count: usize, gas: u64| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(gas);
        let parts =
            times(portions, self.portion).saturating_add(times(withdrawals, self.withdrawal));
        self.base.saturating_add(parts)
    }
}

/// The blocks that go into one transaction with room for so many words, with so many each; nothing when the first one
/// is missing.
pub(super) fn range_of(
    numbers: impl IntoIterator<Item = BlockNumber>,
    source: &dyn SettlementSource,
    room: usize,
    words: impl Fn(&SealedBlock) -> usize,
) -> Option<Range> {
    let mut range: Option<Range> = None;
    let mut sum = 0usize;
    for number in numbers.into_iter().take(BLOCKS_MAX) {
        let Some(block) = source.block(number) else { break };
        sum = sum.saturating_add(words(&block));
        if range.is_some() && sum > room {
            break;
        }
        range = Some(Range { first: range.map_or(number, |range| range.first), last: number });
    }
    range
}

/// The blocks with operations of a chain above `after` and up to `through`.
pub(super) fn of_chain<'a>(
    source: &'a dyn SettlementSource,
    chain: ChainId,
    after: BlockNumber,
    through: BlockNumber,
) -> impl Iterator<Item = BlockNumber> + 'a {
    let next = move |after: BlockNumber| {
        source.next_of_chain(chain, after).filter(|number| *number <= through)
    };
    std::iter::successors(next(after), move |number| next(*number))
}

/// The next payouts of a chain that fit one transaction: whole chunks of the blocks above `paid`, of the first of which
/// `chunks` are paid already.
pub(super) fn payouts(
    source: &dyn SettlementSource,
    chain: ChainId,
    (paid, chunks): (BlockNumber, u32),
    released: BlockNumber,
    gas: &PayGas,
) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut withdrawals, mut words) = (0, 0);
    let mut first = usize::try_from(chunks).unwrap_or(usize::MAX);
    for number in of_chain(source, chain, paid, released).take(BLOCKS_MAX) {
        let Some(content) = source.block(number).and_then(|mut block| block.chains.remove(&chain))
        else {
            break;
        };
        let chunks = content.content.chunks;
        let mut part = Part { number, first, chunks: 0 };
        let left = chunks.iter().skip(first);
        for chunk in left.clone() {
            let more = chunk.len() / 2;
            let full = gas.of(parts.len() + 1, withdrawals + more) > GAS_MAX
                || words + chunk.len() > WORDS_MAX;
            if full && (part.chunks > 0 || !parts.is_empty()) {
                break;
            }
            (withdrawals, words, part.chunks) =
                (withdrawals + more, words + chunk.len(), part.chunks + 1);
        }
        let whole = part.chunks == left.len();
        let room = parts.is_empty() || gas.of(parts.len() + 1, withdrawals) <= GAS_MAX;
        if !room || (part.chunks == 0 && !whole) {
            break;
        }
        parts.push(part);
        first = 0;
        if !whole {
            break;
        }
    }
    parts
}

/// Withdrawals of some parts.
pub(super) fn withdrawals(source: &dyn SettlementSource, chain: ChainId, parts: &[Part]) -> usize {
    let of_part = |part: &Part| {
        let block = source.block(part.number);
        let content = block.and_then(|mut block| block.chains.remove(&chain));
        content.map_or(part.chunks * CHUNK, |part_of| {
            let chunks = part_of.content.chunks.iter().skip(part.first).take(part.chunks);
            chunks.map(|chunk| chunk.len() / 2).sum()
        })
    };
    parts.iter().map(of_part).sum()
}
