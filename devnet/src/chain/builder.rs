//! Makes blocks.

use std::sync::Arc;

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{
    Eip658Value, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction, TxEnvelope,
};
use alloy_primitives::{B256, keccak256};
use revm::context::BlockEnv;
use revm::context::result::{ExecutionResult, ResultAndState};

use crate::block::{BlockRecord, Body, Included};
use crate::chain::{Chain, ChainEvent};
use crate::execution::{self, ExecutionError};
use crate::state::{StateView, Undo};

/// A block that is being made.
struct Draft {
    number: u64,
    env: BlockEnv,
    undo: Undo,
    transactions: Vec<Included>,
    gas_used: u64,
    logs: u64,
}

impl Chain {
    /// The empty block that would come next.
    pub(super) fn next_block(&self) -> BlockRecord {
        let parent = self.head();
        let salt = [parent.hash, B256::left_padding_from(&self.forks.to_be_bytes())];
        BlockRecord {
            hash: B256::ZERO,
            state_root: parent.state_root,
            mix_hash: keccak256(salt.concat()),
            timestamp: self.clock.peek(parent.timestamp),
            base_fee: self.next_base_fee(),
            body: None,
        }
    }

    /// Makes a block: of the `forced` transactions in their order, then, if `from_pool`, of those
    /// that wait. A forced one that cannot be executed is left out.
    pub(crate) fn mine(&mut self, forced: &[Recovered<TxEnvelope>], from_pool: bool) -> ChainEvent {
        let mut block = self.next_block();
        block.timestamp = self.clock.take(self.head().timestamp);
        let number = self.latest().saturating_add(1);
        let mut draft = Draft {
            number,
            env: self.environment(number, &block),
            undo: std::mem::take(&mut self.unsealed),
            transactions: Vec::new(),
            gas_used: 0,
            logs: 0,
        };
        for transaction in forced {
            if let Err(error) = self.include(&mut draft, transaction) {
                let hash = transaction.tx_hash();
                tracing::debug!(%error, %hash, "left out of a reorganisation");
            }
        }
        if from_pool {
            self.fill(&mut draft);
        }
        self.seal(block, draft)
    }

    /// Takes what waits, by tip, as long as it fits.
    fn fill(&mut self, draft: &mut Draft) {
        // The queue is moved out while it is read, because including changes the chain.
        let pool = std::mem::take(&mut self.pool);
        let mut refused = Vec::new();
        let mut order = pool.order(draft.env.basefee, |sender| self.state.account(sender).nonce);
        while let Some(transaction) = order.next() {
            // What does not fit into the rest of this block waits, and so do all later ones of
            // its sender, which `order` does not offer then.
            if transaction.gas_limit() > self.config.gas_limit - draft.gas_used {
                continue;
            }
            let (sender, nonce) = (transaction.signer(), transaction.nonce());
            match self.include(draft, transaction) {
                Ok(()) => order.included(sender, nonce),
                Err(error) => {
                    // It was good when it came; its sender spent the balance since.
                    tracing::debug!(%error, hash = %transaction.tx_hash(), "dropped from the pool");
                    refused.push((sender, nonce));
                }
            }
        }
        drop(order);
        self.pool = pool;
        for (sender, nonce) in refused {
            self.pool.remove(&sender, nonce);
        }
    }

    fn include(
        &mut self,
        draft: &mut Draft,
        transaction: &Recovered<TxEnvelope>,
    ) -> Result<(), ExecutionError> {
        let blocks = &self.blocks;
        let hashes = |number: u64| {
            let index = usize::try_from(number).ok();
            index.and_then(|index| blocks.get(index)).map_or(B256::ZERO, |block| block.hash)
        };
        let view = StateView::new(&self.state, std::iter::empty(), &hashes);
        // The gas limit that revm checks is what is left of the block; a contract that asks for
        // the limit of the block (GASLIMIT) sees the whole, hence the check apart.
        if transaction.gas_limit() > self.config.gas_limit - draft.gas_used {
            return Err(
                revm::context::result::InvalidTransaction::CallerGasLimitMoreThanBlock.into()
            );
        }
        let tx = execution::signed(transaction);
        let done = execution::execute(&view, self.rules(), draft.env.clone(), tx)?;
        let ResultAndState { result, state } = done;
        self.state.apply(state, &mut draft.undo);
        draft.add(transaction, result);
        Ok(())
    }

    fn seal(&mut self, mut block: BlockRecord, draft: Draft) -> ChainEvent {
        block.state_root = self.state.next_root(block.state_root, &draft.undo);
        for (index, tx) in draft.transactions.iter().enumerate() {
            self.included.insert(*tx.transaction.tx_hash(), (draft.number, index));
            let next = self.state.account(&tx.transaction.signer()).nonce;
            self.pool.drop_below(&tx.transaction.signer(), next);
        }
        if !draft.transactions.is_empty() {
            block.body = Some(Arc::new(Body::new(draft.transactions)));
        }
        let block = block.seal(self.common(), draft.number, self.head().hash);
        let header = block.header(self.common(), draft.number, self.head().hash);
        let event = ChainEvent::Block {
            hash: block.hash,
            header: Arc::new(header),
            logs: Arc::new(block.logs(draft.number, false).collect()),
        };
        self.numbers.insert(block.hash, draft.number);
        self.blocks.push(block);
        self.undos.push_back(draft.undo);
        while self.undos.len() as u64 > self.config.state_history_blocks {
            self.undos.pop_front();
        }
        self.advance_finality();
        event
    }
}

impl Draft {
    fn add(&mut self, transaction: &Recovered<TxEnvelope>, result: ExecutionResult) {
        let gas_used = result.tx_gas_used();
        // At most the gas limit of the block, which was checked before.
        self.gas_used += gas_used;
        let contract = match &result {
            ExecutionResult::Success { output, .. } => output.address().copied(),
            // The address is the same whether or not the deployment succeeds; clients expect it.
            _ if transaction.is_create() => Some(transaction.signer().create(transaction.nonce())),
            _ => None,
        };
        let status = Eip658Value::Eip658(result.is_success());
        // Only a success has logs: what a reverted transaction emitted never happened.
        let logs = if result.is_success() { result.into_logs() } else { Vec::new() };
        let first_log = self.logs;
        self.logs += logs.len() as u64;
        let receipt = Receipt { status, cumulative_gas_used: self.gas_used, logs };
        let receipt = ReceiptWithBloom::from(receipt);
        self.transactions.push(Included {
            receipt: ReceiptEnvelope::from_typed(transaction.tx_type(), receipt),
            gas_used,
            gas_price: transaction.effective_gas_price(Some(self.env.basefee)),
            contract,
            first_log,
            transaction: transaction.clone(),
        });
    }
}
