//! What a transaction must fulfil to wait for a block. Checks and texts are geth's.

use alloy_consensus::transaction::{Recovered, SignerRecoverable};
use alloy_consensus::{Transaction, TxEnvelope, Typed2718};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::B256;
use revm::context_interface::cfg::GasParams;
use revm::primitives::eip3860::MAX_INITCODE_SIZE;
use revm::primitives::hardfork::SpecId;

use crate::chain::Chain;
use crate::error::ChainError;
use crate::{execution, pool};

impl Chain {
    /// Takes a signed transaction in its network form and returns its hash.
    pub(crate) fn submit(&mut self, raw: &[u8]) -> Result<B256, ChainError> {
        let transaction = self.decode(raw)?;
        let hash = *transaction.tx_hash();
        if self.included.contains_key(&hash) || self.pool.get(&hash).is_some() {
            return Err(ChainError::AlreadyKnown);
        }
        self.admit(transaction)?;
        Ok(hash)
    }

    /// Decodes a signed transaction, recovers its sender, and checks what needs no state.
    pub(super) fn decode(&self, raw: &[u8]) -> Result<Recovered<TxEnvelope>, ChainError> {
        let limit = self.config.limits.transaction_bytes;
        if raw.len() > limit {
            return Err(ChainError::Oversized { size: raw.len(), limit });
        }
        // Types of other forks are refused before their contents are looked at.
        if let Some(other @ 3..=0x7f) = raw.first() {
            return Err(ChainError::Type(*other));
        }
        let transaction = TxEnvelope::decode_2718_exact(raw)
            .map_err(|error| ChainError::Decode(error.to_string()))?;
        if transaction.ty() > 2 {
            return Err(ChainError::Type(transaction.ty()));
        }
        match transaction.chain_id() {
            None => return Err(ChainError::Unprotected),
            Some(have) if have != self.config.chain_id => {
                return Err(ChainError::ChainId { have, want: self.config.chain_id });
            }
            Some(_) => {}
        }
        // This form refuses signatures with a high s (EIP-2), so that a hash has one signature.
        transaction.try_into_recovered().map_err(|error| ChainError::Signature(error.to_string()))
    }

    /// Checks a transaction against the latest state and lets it wait.
    pub(super) fn admit(&mut self, transaction: Recovered<TxEnvelope>) -> Result<(), ChainError> {
        self.check_form(&transaction)?;
        let (sender, nonce) = (transaction.signer(), transaction.nonce());
        let account = self.state.account(&sender);
        if nonce < account.nonce {
            return Err(ChainError::NonceTooLow { next: account.nonce, nonce });
        }
        let cost = pool::largest_cost(&transaction);
        let queued = self.pool.cost(&sender, nonce);
        if queued.saturating_add(cost) > account.balance {
            return Err(ChainError::Funds { balance: account.balance, queued, cost });
        }
        self.pool.insert(transaction, &self.config.limits)
    }

    fn check_form(&self, transaction: &Recovered<TxEnvelope>) -> Result<(), ChainError> {
        let gas = transaction.gas_limit();
        if gas > self.config.gas_limit {
            return Err(ChainError::BlockGas { gas, limit: self.config.gas_limit });
        }
        let (tip, cap) = (transaction.priority_fee_or_price(), transaction.max_fee_per_gas());
        if tip > cap {
            return Err(ChainError::TipAboveCap { tip, cap });
        }
        if transaction.nonce() == u64::MAX {
            return Err(ChainError::NonceMax(transaction.nonce()));
        }
        let size = transaction.input().len();
        if transaction.is_create() && size > MAX_INITCODE_SIZE {
            return Err(ChainError::Initcode { size, limit: MAX_INITCODE_SIZE });
        }
        let initial = GasParams::new_spec(SpecId::PRAGUE)
            .initial_tx_gas_for_tx(execution::signed(transaction), None);
        let needed = initial.initial_total_gas().max(initial.floor_gas());
        if gas < needed {
            return Err(ChainError::IntrinsicGas { gas, needed });
        }
        Ok(())
    }
}
