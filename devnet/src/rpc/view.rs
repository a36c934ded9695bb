//! Shapes answers.

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{BlockBody, Transaction as _, TxEnvelope};
use alloy_primitives::U256;
use alloy_rlp::Encodable;
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Transaction, TransactionReceipt};

use crate::block::{BlockRecord, Included};
use crate::chain::Chain;

/// A block, with its transactions or with their hashes only.
pub(super) fn block(chain: &Chain, number: u64, full: bool) -> Option<Block> {
    let (record, header) = (chain.block(number)?, chain.header(number)?);
    let transactions = if full {
        let indexed = (0_u64..).zip(record.transactions());
        BlockTransactions::Full(
            indexed.map(|(index, tx)| included(number, record, index, tx)).collect(),
        )
    } else {
        let all = record.transactions().iter();
        BlockTransactions::Hashes(all.map(|tx| *tx.transaction.tx_hash()).collect())
    };
    let body = BlockBody {
        transactions: record.transactions().iter().map(|tx| tx.transaction.inner()).collect(),
        ommers: Vec::new(),
        withdrawals: Some(Default::default()),
    };
    let consensus = alloy_consensus::Block::<&TxEnvelope> { header, body };
    let size = U256::from(consensus.length());
    Some(Block {
        header: Header {
            hash: record.hash,
            inner: consensus.header,
            total_difficulty: Some(U256::ZERO),
            size: Some(size),
        },
        uncles: Vec::new(),
        transactions,
        withdrawals: Some(Default::default()),
    })
}

/// A transaction of a block.
pub(super) fn included(number: u64, block: &BlockRecord, index: u64, tx: &Included) -> Transaction {
    Transaction {
        inner: tx.transaction.clone(),
        block_hash: Some(block.hash),
        block_number: Some(number),
        transaction_index: Some(index),
        effective_gas_price: Some(tx.gas_price),
        block_timestamp: Some(block.timestamp),
    }
}

/// A transaction that waits.
pub(super) fn waiting(transaction: &Recovered<TxEnvelope>) -> Transaction {
    Transaction {
        inner: transaction.clone(),
        block_hash: None,
        block_number: None,
        transaction_index: None,
        effective_gas_price: None,
        block_timestamp: None,
    }
}

/// The receipt of a transaction of a block.
pub(super) fn receipt(
    number: u64,
    block: &BlockRecord,
    index: u64,
    tx: &Included,
) -> TransactionReceipt {
    let mut logs = block.logs_of(number, index, tx, false);
    TransactionReceipt {
        // The receipt has as many logs as `logs_of` makes out of it, in the same order.
        inner: tx.receipt.clone().map_logs(|log| {
            logs.next().unwrap_or(alloy_rpc_types_eth::Log { inner: log, ..Default::default() })
        }),
        transaction_hash: *tx.transaction.tx_hash(),
        transaction_index: Some(index),
        block_hash: Some(block.hash),
        block_number: Some(number),
        gas_used: tx.gas_used,
        effective_gas_price: tx.gas_price,
        blob_gas_used: None,
        blob_gas_price: None,
        from: tx.transaction.signer(),
        to: tx.transaction.to(),
        contract_address: tx.contract,
    }
}
