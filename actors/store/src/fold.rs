//! What a record of the builder adds to the archive.

use std::collections::BTreeSet;

use zklink::id::AccountId;
use zklink::op::Op;
use zklink::state::State;

use crate::archive::{Entry, TxPlace};
use crate::record::{Record, SealedBlock, Source};

/// The archive's fold over the payloads of the journal.
///
/// # Errors
/// The text of a [`BadRecord`](crate::record::BadRecord).
pub fn fold(payload: &[u8]) -> Result<Vec<Entry>, String> {
    let record = Record::decode(payload).map_err(|bad| bad.to_string())?;
    Ok(match record {
        Record::Tx(tx) => vec![Entry::Transaction { hash: tx.hash.0, place: TxPlace::Pending }],
        Record::Deposit(deposit) => {
            let (hash, l1_tx) = (deposit.deposit.hash().0, deposit.deposit.l1_tx);
            let place = TxPlace::Pending;
            vec![Entry::Transaction { hash, place }, Entry::Deposit { l1_tx, hash }]
        }
        Record::KeyAuthorised(key) => {
            vec![Entry::Key { bytes: serde_json::to_vec(&key).map_err(|error| error.to_string())? }]
        }
        Record::Sealed(sealed) => fold_block(&sealed)?,
    })
}

fn fold_block(sealed: &SealedBlock) -> Result<Vec<Entry>, String> {
    let number = sealed.block.head.number;
    let bytes = serde_json::to_vec(sealed).map_err(|error| error.to_string())?;
    let mut entries = vec![Entry::Block { number, bytes }];
    let formed = sealed.block.check_form(State::FEE_ACCOUNT);
    formed.map_err(|error| error.to_string())?;
    let of_chains = sealed.block.contents().into_iter();
    entries.extend(of_chains.map(|(chain, content)| {
        let content = content.hash();
        Entry::ChainBlock { chain, number, content }
    }));
    for (index, (op, source)) in sealed.entries().enumerate() {
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
