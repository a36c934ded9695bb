//! The environment of revm; transactions, calls and gas estimates.

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{Transaction, TxEnvelope, Typed2718};
use alloy_primitives::{Bytes, TxKind, U256};
use alloy_rpc_types_eth::TransactionRequest;
use revm::context::result::{
    EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultAndState,
};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::primitives::hardfork::SpecId;
use revm::{Context, ExecuteEvm, MainBuilder, MainContext};

use crate::error::ChainError;
use crate::state::StateView;

/// Why a transaction could not be executed at all.
pub(crate) type ExecutionError = EVMError<std::convert::Infallible>;

/// The rules of the chain: Prague, with the chain id checked.
pub(crate) fn rules(chain_id: u64) -> CfgEnv {
    let mut rules = CfgEnv::new().with_chain_id(chain_id);
    rules.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
    rules
}

/// Runs one transaction on a state, and returns its result and what it would change.
pub(crate) fn execute(
    view: &StateView<'_>,
    rules: CfgEnv,
    block: BlockEnv,
    tx: TxEnv,
) -> Result<ResultAndState, ExecutionError> {
    let context = Context::mainnet().with_ref_db(view).with_cfg(rules).with_block(block);
    context.build_mainnet().transact(tx)
}

/// A signed transaction as revm takes it.
pub(crate) fn signed(transaction: &Recovered<TxEnvelope>) -> TxEnv {
    TxEnv {
        tx_type: transaction.ty(),
        caller: transaction.signer(),
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: Vec::new(),
    }
}

/// A call on a state: the view, the rules of calls, the block it pretends to be in, and itself.
pub(crate) struct Call<'a> {
    view: &'a StateView<'a>,
    rules: CfgEnv,
    block: BlockEnv,
    tx: TxEnv,
    gas_given: bool,
}

impl<'a> Call<'a> {
    /// Reads a request. Gas is at most the gas of a block, and that where none is given. Without a
    /// fee the call is free and sees a base fee of 0, as with geth.
    pub(crate) fn new(
        view: &'a StateView<'a>,
        mut rules: CfgEnv,
        mut block: BlockEnv,
        request: TransactionRequest,
    ) -> Result<Self, ChainError> {
        refuse_unsupported(&request, rules.chain_id)?;
        let fee = request.max_fee_per_gas.or(request.gas_price);
        let tip = request.max_priority_fee_per_gas;
        if fee.unwrap_or(0) == 0 && tip.unwrap_or(0) == 0 {
            block.basefee = 0;
        }
        // A call may come from a contract, and with whatever nonce the account has.
        rules.disable_nonce_check = true;
        rules.disable_eip3607 = true;
        let dynamic = request.max_fee_per_gas.is_some() || tip.is_some();
        let access_list = request.access_list.unwrap_or_default();
        let tx = TxEnv {
            tx_type: if dynamic { 2 } else { u8::from(!access_list.0.is_empty()) },
            caller: request.from.unwrap_or_default(),
            gas_limit: request.gas.unwrap_or(block.gas_limit).min(block.gas_limit),
            gas_price: fee.unwrap_or(if dynamic { tip_cap(&block, tip) } else { 0 }),
            kind: request.to.unwrap_or(TxKind::Create),
            value: request.value.unwrap_or_default(),
            data: request.input.into_input().unwrap_or_default(),
            nonce: 0,
            chain_id: Some(rules.chain_id),
            access_list,
            gas_priority_fee: if dynamic { Some(tip.unwrap_or(0)) } else { None },
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: Vec::new(),
        };
        Ok(Self { view, rules, block, gas_given: request.gas.is_some(), tx })
    }

    fn run(&self, gas: u64) -> Result<ExecutionResult, ExecutionError> {
        let tx = TxEnv { gas_limit: gas, ..self.tx.clone() };
        execute(self.view, self.rules.clone(), self.block.clone(), tx).map(|done| done.result)
    }

    /// The output of the call, or why it has none.
    pub(crate) fn output(&self) -> Result<Bytes, ChainError> {
        let result = self.run(self.tx.gas_limit).map_err(|error| self.refused(error))?;
        match failure(&result) {
            Some(error) => Err(error),
            None => Ok(result.into_output().unwrap_or_default()),
        }
    }

    /// A gas limit with which the transaction succeeds, at most 1.5 % (and some) above the least
    /// one. Found by bisection as in geth, because a call inside may need more gas at hand than
    /// the whole uses in the end (63/64 rule, refunds).
    pub(crate) fn estimate(&self) -> Result<u64, ChainError> {
        let mut enough = self.gas_affordable()?;
        let result = self.run(enough).map_err(|error| self.refused(error))?;
        if let Some(error) = failure(&result) {
            // Out of gas with all that it may have is geth's "allowance"; the rest is a failure.
            return Err(match error {
                ChainError::OutOfGas => ChainError::GasAllowance(enough),
                other => other,
            });
        }
        // Refunds come at the end, so what was spent before them must be at hand.
        let spent = result.gas().total_gas_spent().max(result.tx_gas_used());
        let mut short = spent.saturating_sub(1);
        // A call without calls inside needs just what it spends, and most of the others that, the
        // stipend of a transfer, and one 64th for the frame below: try these first.
        for guess in [spent, spent.saturating_add(2_300).saturating_mul(64) / 63] {
            if guess >= enough {
                break;
            }
            if self.succeeds(guess)? {
                enough = guess;
                break;
            }
            short = guess;
        }
        while short.saturating_add(1) < enough {
            if (enough - short) < enough / 64 {
                break;
            }
            // Lean to the lower end: most transactions need little more than they use.
            let middle = (short + (enough - short) / 2).min(short.saturating_mul(2).max(1));
            if self.succeeds(middle)? { enough = middle } else { short = middle }
        }
        Ok(enough)
    }

    fn succeeds(&self, gas: u64) -> Result<bool, ChainError> {
        match self.run(gas) {
            Ok(result) => Ok(result.is_success()),
            // Too little even to start is the same answer as too little to finish.
            Err(EVMError::Transaction(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            )) => Ok(false),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// The gas of the request or of a block, but not more than the sender can pay for.
    fn gas_affordable(&self) -> Result<u64, ChainError> {
        let gas = if self.gas_given { self.tx.gas_limit } else { self.block.gas_limit };
        if self.tx.gas_price == 0 {
            return Ok(gas);
        }
        let balance = self.view.account(&self.tx.caller).unwrap_or_default().balance;
        let free = balance.checked_sub(self.tx.value).ok_or_else(|| self.funds(balance))?;
        let payable = free / U256::from(self.tx.gas_price);
        Ok(gas.min(u64::try_from(payable).unwrap_or(u64::MAX)))
    }

    fn funds(&self, balance: U256) -> ChainError {
        let gas = U256::from(self.tx.gas_limit).saturating_mul(U256::from(self.tx.gas_price));
        let cost = gas.saturating_add(self.tx.value);
        ChainError::Funds { balance, queued: U256::ZERO, cost }
    }

    fn refused(&self, error: ExecutionError) -> ChainError {
        match error {
            EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { balance, .. }) => {
                self.funds(*balance)
            }
            EVMError::Transaction(InvalidTransaction::CallGasCostMoreThanGasLimit {
                initial_gas,
                gas_limit,
            }) => ChainError::IntrinsicGas { gas: gas_limit, needed: initial_gas },
            EVMError::Transaction(InvalidTransaction::GasFloorMoreThanGasLimit {
                gas_floor,
                gas_limit,
            }) => ChainError::IntrinsicGas { gas: gas_limit, needed: gas_floor },
            error => ChainError::Call(error.to_string()),
        }
    }
}

fn tip_cap(block: &BlockEnv, tip: Option<u128>) -> u128 {
    u128::from(block.basefee).saturating_add(tip.unwrap_or(0))
}

fn refuse_unsupported(request: &TransactionRequest, chain_id: u64) -> Result<(), ChainError> {
    if request.authorization_list.is_some() {
        return Err(ChainError::Type(4));
    }
    if request.blob_versioned_hashes.is_some() || request.sidecar.is_some() {
        return Err(ChainError::Type(3));
    }
    if request.input.input.is_some() && request.input.data.is_some() {
        let same = request.input.input == request.input.data;
        if !same {
            return Err(ChainError::Params("\"data\" and \"input\" differ".to_string()));
        }
    }
    match request.chain_id {
        Some(have) if have != chain_id => Err(ChainError::ChainId { have, want: chain_id }),
        _ => Ok(()),
    }
}

/// The error that a call which did not succeed is answered with.
fn failure(result: &ExecutionResult) -> Option<ChainError> {
    match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { output, .. } => Some(ChainError::Reverted(output.clone())),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => Some(ChainError::OutOfGas),
        ExecutionResult::Halt { reason, .. } => Some(ChainError::Halted(reason.to_string())),
    }
}
