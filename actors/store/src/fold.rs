//! What the records of the builder add to the archive.

use std::collections::BTreeSet;

use zklink::binary;
use zklink::block::{Block, Head};
use zklink::hash::Fr;
use zklink::id::AccountId;
use zklink::op::Op;
use zklink::state::State;

use crate::archive::{self, Entry, TxPlace};
use crate::record::{Body, Executed, Record, Seal, Source};

/// The fold of a node's journal.
pub fn fold() -> archive::Fold {
    let mut fold = Fold::default();
    Box::new(move |record| fold.take(&record.payload))
}

/// A fold over the payloads of a journal that begins behind a seal, or at its beginning.
#[derive(Debug, Default)]
struct Fold {
    /// The operations since the last seal.
    open: Vec<Executed>,
}

impl Fold {
    fn take(&mut self, payload: &[u8]) -> Result<Vec<Entry>, String> {
        let record = Record::decode(payload).map_err(|bad| bad.to_string())?;
        Ok(match record {
            Record::Executed(executed) => {
                let (hash, place) = (executed.source.hash().0, TxPlace::Pending);
                let mut entries = vec![Entry::Transaction { hash, place }];
                if let Source::Deposit(deposit) = &executed.source {
                    entries.push(Entry::Deposit { l1_tx: deposit.deposit.l1_tx, hash });
                }
                self.open.push(executed);
                entries
            }
            Record::KeyAuthorised(key) => vec![Entry::Key { bytes: binary::write(&key) }],
            Record::Sealed(seal) => {
                let executed = std::mem::take(&mut self.open);
                of_block(&Body { seal, executed })?
            }
        })
    }
}

fn of_block(body: &Body) -> Result<Vec<Entry>, String> {
    let Seal { number, timestamp, shape } = body.seal;
    let mut entries = vec![Entry::Block { number, bytes: binary::write(body) }];
    // The roots are in none of what is asked of it here.
    let (old_root, new_root) = (Fr::zero(), Fr::zero());
    let head = Head { number, timestamp, shape, old_root, new_root };
    let ops = body.executed.iter().map(|executed| executed.op.clone()).collect();
    let block = Block { head, ops };
    block.check_form(State::FEE_ACCOUNT).map_err(|error| error.to_string())?;
    entries.extend(block.contents().into_iter().map(|(chain, content)| {
        let content = content.hash();
        Entry::ChainBlock { chain, number, content }
    }));
    for (index, Executed { op, source }) in body.executed.iter().enumerate() {
        let hash = source.hash().0;
        let index = u32::try_from(index).map_err(|error| error.to_string())?;
        let place = TxPlace::Included { block: number, index };
        entries.push(Entry::Transaction { hash, place });
        let concerned = accounts(op, source).into_iter();
        entries.extend(concerned.map(|account| Entry::AccountTransaction { account, hash }));
    }
    Ok(entries)
}

/// The accounts in whose history the operation appears.
pub fn accounts(op: &Op, source: &Source) -> BTreeSet<AccountId> {
    match (op, source) {
        // Nobody on L2 has to do with a refused deposit.
        (_, Source::Deposit(deposit)) if deposit.refused.is_some() => BTreeSet::new(),
        (_, Source::Deposit(deposit)) => BTreeSet::from([deposit.account]),
        (Op::Deposit(op), _) => BTreeSet::from([op.account]),
        (Op::Transfer(op), _) => BTreeSet::from([op.account, op.to_account]),
        (Op::Withdraw(op), _) => BTreeSet::from([op.account]),
        (Op::ChangePubKey(op), _) => BTreeSet::from([op.account]),
    }
}
