//! What is kept of a block, and its header.

use std::sync::Arc;

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH};
use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_consensus::transaction::Recovered;
use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope, TxReceipt};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256};
use alloy_rpc_types_eth::Log as RpcLog;

/// A transaction with what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Included {
    pub(crate) transaction: Recovered<TxEnvelope>,
    pub(crate) receipt: ReceiptEnvelope,
    pub(crate) gas_used: u64,
    /// Wei per gas that the sender paid.
    pub(crate) gas_price: u128,
    pub(crate) contract: Option<Address>,
    /// Index in the block of its first log.
    pub(crate) first_log: u64,
}

/// The contents of a block that is not empty.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) transactions: Vec<Included>,
    gas_used: u64,
    bloom: Bloom,
    transactions_root: B256,
    receipts_root: B256,
}

impl Body {
    pub(crate) fn new(transactions: Vec<Included>) -> Self {
        let envelopes: Vec<&TxEnvelope> =
            transactions.iter().map(|tx| tx.transaction.inner()).collect();
        let receipts: Vec<&ReceiptEnvelope> = transactions.iter().map(|tx| &tx.receipt).collect();
        let bloom = receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
        Self {
            gas_used: transactions.iter().map(|tx| tx.gas_used).sum(),
            bloom,
            transactions_root: calculate_transaction_root(&envelopes),
            receipts_root: calculate_receipt_root(&receipts),
            transactions,
        }
    }

    pub(crate) fn bloom(&self) -> Bloom {
        self.bloom
    }
}

/// A block as it is kept. What can be derived is not kept, so that an empty block is small: a
/// chain in a test makes many thousands of them.
#[derive(Clone, Debug)]
pub(crate) struct BlockRecord {
    pub(crate) hash: B256,
    pub(crate) state_root: B256,
    pub(crate) mix_hash: B256,
    pub(crate) timestamp: u64,
    pub(crate) base_fee: u64,
    pub(crate) body: Option<Arc<Body>>,
}

/// What is the same in every block of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common {
    pub(crate) coinbase: Address,
    pub(crate) gas_limit: u64,
}

impl BlockRecord {
    /// Makes the record of a block and its hash. `hash` of `self` is ignored.
    pub(crate) fn seal(mut self, common: Common, number: u64, parent_hash: B256) -> Self {
        self.hash = self.header(common, number, parent_hash).hash_slow();
        self
    }

    pub(crate) fn gas_used(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.gas_used)
    }

    pub(crate) fn transactions(&self) -> &[Included] {
        self.body.as_ref().map_or(&[], |body| &body.transactions)
    }

    /// The header with all fields of Prague.
    pub(crate) fn header(&self, common: Common, number: u64, parent_hash: B256) -> Header {
        let body = self.body.as_deref();
        Header {
            parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: common.coinbase,
            state_root: self.state_root,
            transactions_root: body.map_or(EMPTY_ROOT_HASH, |body| body.transactions_root),
            receipts_root: body.map_or(EMPTY_ROOT_HASH, |body| body.receipts_root),
            logs_bloom: body.map_or(Bloom::ZERO, |body| body.bloom),
            difficulty: U256::ZERO,
            number,
            gas_limit: common.gas_limit,
            gas_used: self.gas_used(),
            timestamp: self.timestamp,
            extra_data: Bytes::new(),
            mix_hash: self.mix_hash,
            nonce: B64::ZERO,
            base_fee_per_gas: Some(self.base_fee),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }

    /// All logs of the block in order, in the form of the RPC.
    pub(crate) fn logs(&self, number: u64, removed: bool) -> impl Iterator<Item = RpcLog> + '_ {
        let numbered = (0_u64..).zip(self.transactions());
        numbered.flat_map(move |(index, tx)| self.logs_of(number, index, tx, removed))
    }

    /// The logs of one transaction of the block, in the form of the RPC.
    pub(crate) fn logs_of<'a>(
        &'a self,
        number: u64,
        index: u64,
        tx: &'a Included,
        removed: bool,
    ) -> impl Iterator<Item = RpcLog> + 'a {
        (tx.first_log..).zip(tx.receipt.logs()).map(move |(log_index, log)| RpcLog {
            inner: log.clone(),
            block_hash: Some(self.hash),
            block_number: Some(number),
            block_timestamp: Some(self.timestamp),
            transaction_hash: Some(*tx.transaction.tx_hash()),
            transaction_index: Some(index),
            log_index: Some(log_index),
            removed,
        })
    }
}
