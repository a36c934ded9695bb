//! The transaction that makes a step.

use alloy_primitives::{Bytes, FixedBytes, U256};
use zklink::id::{BlockNumber, ChainId};
use zklink::tx::keccak;
use zklink_chain::client::Call;
use zklink_chain::contracts::{
    BlockProof, Hub, OperationsCommit, Portion, Rollup, to_abi, to_abi_word, transaction,
    words_to_abi,
};

use super::book::Deliverable;
use super::ranges::{of_chain, withdrawals};
use super::{ChainPart, Contracts, Part, Range, SettlementSource, Situation, Step};

/// What the calls of one chain are made of.
struct Maker<'a> {
    chain: ChainId,
    source: &'a dyn SettlementSource,
}

/// The transaction that makes a step; nothing when the archive or the book does not have what it needs any more, and
/// for [`Step::RevertCommits`], which needs what only the chain knows.
pub fn call_of(
    step: &Step,
    situation: &Situation<'_>,
    source: &dyn SettlementSource,
    contracts: Contracts,
) -> Option<Call> {
    let maker = Maker { chain: situation.chain, source };
    let (rollup, hub) = (contracts.rollup, contracts.hub);
    Some(match step {
        Step::CommitBlocks(range) => {
            let blocks = range.numbers().map(|number| source.block(number));
            let blocks = blocks.collect::<Option<Vec<_>>>()?;
            situation.publication.commit(hub?, &blocks)
        }
        Step::ProveBlocks(range) => {
            let proofs = range.numbers().map(|number| maker.proof(number));
            let (first, proofs) = (range.first.0, proofs.collect::<Option<_>>()?);
            transaction(hub?, &Hub::proveBlocksCall { first, proofs })
        }
        Step::ReleaseBlocks(range) => {
            transaction(hub?, &Hub::releaseBlocksCall { number: range.last.0 })
        }
        Step::SendRelease { chain, .. } => {
            transaction(hub?, &Hub::sendReleaseCall { chain: chain.0 })
        }
        Step::Commit(range) => transaction(rollup, &maker.commit(*range)?),
        Step::Ack(number) => {
            let rolling = maker.rolling(*number)?;
            transaction(rollup, &Rollup::ackCall { number: number.0, rolling })
        }
        Step::Refund(number) => transaction(rollup, &maker.refund(*number)?),
        Step::Pay(parts) => {
            let portions = parts.iter().map(|part| maker.portion(part)).collect::<Option<_>>()?;
            let count = withdrawals(source, maker.chain, parts);
            let gas = situation.view.pay_gas.of(parts.len(), count);
            let call = transaction(rollup, &Rollup::payCall { portions });
            Call { gas: Some(gas), ..call }
        }
        Step::Deliver { source, first, count } => deliver(situation, *source, *first, *count)?,
        Step::RevertCommits(_) => return None,
    })
}

impl Maker<'_> {
    fn part(&self, number: BlockNumber) -> Option<ChainPart> {
        self.source.block(number)?.chains.remove(&self.chain)
    }

    fn rolling(&self, through: BlockNumber) -> Option<FixedBytes<32>> {
        self.source.rolling(self.chain, through).map(to_abi_word)
    }

    fn proof(&self, number: BlockNumber) -> Option<BlockProof> {
        let inputs = self.source.block(number)?.inputs.map(U256::from_be_bytes);
        Some(BlockProof { inputs, proof: self.source.proof(number)?.into() })
    }

    fn commit(&self, range: Range) -> Option<Rollup::commitCall> {
        let before = BlockNumber(range.first.0.checked_sub(1)?);
        let numbers = of_chain(self.source, self.chain, before, range.last);
        let blocks = numbers.map(|number| {
            let ChainPart { words, key_witnesses, deposits, .. } = self.part(number)?;
            Some(OperationsCommit {
                number: number.0,
                words: words_to_abi(&words),
                keyWitnesses: key_witnesses.into_iter().map(Bytes::from).collect(),
                payers: deposits.iter().map(|deposit| to_abi(deposit.payer)).collect(),
            })
        });
        // The archive's content, not the contract's: the transaction may be mined on a branch that nobody has looked
        // at.
        let previous_rolling = self.rolling(before)?;
        Some(Rollup::commitCall {
            previousRolling: previous_rolling,
            blocks: blocks.collect::<Option<_>>()?,
        })
    }

    /// All refused deposits of the block at once: as many as its shape has, a few dozen.
    fn refund(&self, number: BlockNumber) -> Option<Rollup::refundCall> {
        let ChainPart { content, deposits, .. } = self.part(number)?;
        let first = deposits.iter().position(|deposit| deposit.refused)?;
        let last = deposits.iter().rposition(|deposit| deposit.refused)?;
        let hashes = content.hashes();
        let (_, chunks) = hashes.split_first()?;
        Some(Rollup::refundCall {
            number: number.0,
            words: words_to_abi(&content.rest),
            chunks: words_to_abi(chunks),
            first: U256::from(first),
            payers: deposits[first..=last].iter().map(|deposit| to_abi(deposit.payer)).collect(),
        })
    }

    fn portion(&self, part: &Part) -> Option<Portion> {
        let content = self.part(part.number)?.content;
        let hash = |words: &Vec<[u8; 32]>| keccak(&[words.concat().as_slice()]);
        let hashes: Vec<[u8; 32]> = content.chunks.iter().map(hash).collect();
        let behind = part.first.checked_add(part.chunks)?;
        let words = content.chunks.get(part.first..behind)?.concat();
        Some(Portion {
            number: part.number.0,
            rest: to_abi_word(hash(&content.rest)),
            before: words_to_abi(hashes.get(..part.first)?),
            words: words_to_abi(&words),
            behind: words_to_abi(hashes.get(behind..)?),
        })
    }
}

fn deliver(situation: &Situation<'_>, source: ChainId, first: u64, count: usize) -> Option<Call> {
    let messages = situation.deliverable.iter().filter(|found| found.source == source);
    let messages = messages.skip_while(|found| found.sequence != first).take(count);
    let messages: Vec<Deliverable> = messages.cloned().collect();
    let whole = messages.len() == count && count > 0;
    situation.routes.get(&source).filter(|_| whole)?.delivery(&messages)
}

#[cfg(test)]
mod tests {
    use zklink_chain::testing::{HUB, SPOKE};

    use super::*;
    use crate::tests::Shelf;
    use crate::{Calldata, ChainView, HubView, PayGas, Routes, SealedBlock};

    /// Receivers can be cheap when the gas is estimated and dear when the transaction is mined.
    #[test]
    fn a_payout_is_given_the_gas_that_the_contract_states() {
        let words = |withdrawals: usize| vec![[7; 32]; 2 * withdrawals];
        let mut part = ChainPart::default();
        part.content.chunks = vec![words(32), words(32), words(5)];
        let chains = [(SPOKE, part)].into();
        let block = SealedBlock {
            number: BlockNumber(1),
            shape: 1,
            timestamp: 0,
            new_root: [0; 32],
            inputs: [[0; 32]; 4],
            onchain: Vec::new(),
            data: Vec::new(),
            chains,
        };
        let shelf = Shelf { blocks: vec![block], proofs: 0 };
        let pay_gas = PayGas { base: 50_000, portion: 7_000, withdrawal: 300 };
        let view = ChainView { pay_gas, ..ChainView::default() };
        let hub = HubView::default();
        let (deliverable, refunds) = (&[], &[]);
        let situation = Situation {
            chain: SPOKE,
            hub_id: HUB,
            view: &view,
            hub: &hub,
            deliverable,
            refunds,
            routes: &Routes::new(),
            publication: &Calldata,
        };
        let contracts = Contracts { rollup: [1; 20], hub: None, oracle: [2; 20], first_block: 0 };
        let parts = vec![Part { number: BlockNumber(1), first: 1, chunks: 2 }];
        let call = call_of(&Step::Pay(parts), &situation, &shelf, contracts).expect("it is there");
        assert_eq!(call.gas, Some(50_000 + 7_000 + 37 * 300));
    }
}
