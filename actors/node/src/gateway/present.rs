//! From the node's own types to those of the RPC.

use std::collections::BTreeMap;

use zklink::fees::FeeTable;
use zklink::id::{AccountId, BlockNumber, ChainId, SubAccountId, TokenId};
use zklink::key::pub_key_hash;
use zklink::shape::{Shape, shape};
use zklink::state::Account;
use zklink::token::{Network, Token};
use zklink::tx::{SignedTx, Tx, WithdrawTx};
use zklink_client::{
    AccountInfo, AccountSnapshot, Balances, BlockInfo, BlockTx, DepositInfo, HexBytes, PayoutInfo,
    ProverInfo, ProvingJob, ProvingStatus, SupportChain, SupportToken, TokenOnChain, TxBody,
    TxInfo, TxReceipt, TxStatus,
};
use zklink_prover::feed::Progress;
use zklink_store::record::{AcceptedTx, SealedBlock, Source};

use super::sources::{Reached, Stages};
use crate::builder::Executed;

/// What the receiver of a payout does when the tokens did not arrive.
const CLAIM_HINT: &str = "if the tokens did not arrive, their transfer failed and they wait in the contract: \
    pending(receiver, token) says how many, claim(receiver, token) pays them";
/// Jobs and provers that one answer shows.
const PROVING_MAX: usize = 100;

/// Microseconds of a time in milliseconds. The largest time stands for those that do not fit.
pub fn micros(millis: u64) -> u64 {
    millis.saturating_mul(1_000)
}

/// The time of a block in microseconds, from Unix seconds.
pub fn sealed_at(timestamp: u64) -> u64 {
    timestamp.saturating_mul(1_000_000)
}

/// What answers about transactions are made of besides the transactions, as of one moment: so that no answer
/// contradicts itself.
pub struct Moment<'a> {
    /// How far settlement is.
    pub reached: Reached,
    /// The transactions of settlement.
    pub stages: &'a dyn Stages,
    /// The chains.
    pub network: &'a Network,
}

impl Moment<'_> {
    /// A transaction or deposit of a sealed block, with what became of it.
    pub fn sealed(&self, source: &Source, block: BlockNumber, index: u32) -> TxInfo {
        let status = match withdrawal(source) {
            Some(withdraw) => self.reached.of_withdrawal(block, withdraw.to_chain_id),
            None => self.reached.of_block(block),
        };
        self.info(source, block, index, status)
    }

    /// A transaction or deposit of the open block.
    pub fn open(&self, executed: &Executed) -> TxInfo {
        let place = executed.place;
        self.info(&executed.source, place.block, place.index, TxStatus::Executed)
    }

    /// A sealed block.
    pub fn block(&self, sealed: &SealedBlock, fee_account: AccountId, detail: bool) -> BlockInfo {
        let head = &sealed.block.head;
        let sources = (0u32..).zip(&sealed.sources);
        let transactions = sources.map(|(index, source)| {
            listed(source, detail, || self.sealed(source, head.number, index))
        });
        BlockInfo {
            number: head.number,
            commitment: sealed.block.digest().unwrap_or_default().into(),
            root_hash: head.new_root.into(),
            fee_account_id: fee_account,
            block_size: shape(head.shape).map(slots).unwrap_or_default(),
            ops_composition_number: head.shape,
            timestamp: sealed_at(head.timestamp),
            transactions: transactions.collect(),
        }
    }

    fn info(&self, source: &Source, block: BlockNumber, index: u32, status: TxStatus) -> TxInfo {
        let refused = match source {
            Source::Deposit(accepted) => accepted.refused,
            Source::Tx(_) => None,
        };
        let withdraw = withdrawal(source);
        // Nobody may take a withdrawal for done whose tokens are still in the contract and not claimable.
        let open = withdraw.is_some() && status < TxStatus::Paid;
        let receipt = TxReceipt {
            executed: true,
            executed_timestamp: micros(source.time()),
            success: (!open).then_some(refused.is_none()),
            fail_reason: refused.map(|refusal| refusal.to_string()),
            block,
            index,
            status,
        };
        let payout = withdraw.and_then(|withdraw| self.payout(withdraw, block, status));
        TxInfo { tx_hash: source.hash().into(), tx: body(source), receipt, payout }
    }

    /// How the tokens of a withdrawal leave; nothing for a chain or receiver that no accepted withdrawal has.
    fn payout(
        &self,
        withdraw: &WithdrawTx,
        block: BlockNumber,
        status: TxStatus,
    ) -> Option<PayoutInfo> {
        let chain_id = withdraw.to_chain_id;
        let chain = self.network.chains.get(&chain_id)?;
        // Chunks of a block that is not paid to the end may be paid already.
        let begun = status >= TxStatus::Released;
        let transactions = if begun { self.stages.payouts(chain_id, block) } else { Vec::new() };
        Some(PayoutInfo {
            chain_id,
            contract: HexBytes(chain.contract),
            receiver: HexBytes(withdraw.to.to_evm()?),
            token: withdraw.token,
            transactions,
            hint: (status == TxStatus::Paid).then(|| CLAIM_HINT.to_owned()),
        })
    }
}

fn withdrawal(source: &Source) -> Option<&WithdrawTx> {
    match source {
        Source::Tx(AcceptedTx { tx: SignedTx { tx: Tx::Withdraw(withdraw), .. }, .. }) => {
            Some(withdraw)
        }
        _ => None,
    }
}

/// What was sent, or what a chain delivered.
fn body(source: &Source) -> TxBody {
    match source {
        Source::Tx(tx) => TxBody::Signed(Box::new(tx.tx.clone())),
        Source::Deposit(accepted) => {
            let deposit = &accepted.deposit;
            TxBody::Deposit(DepositInfo {
                from_chain_id: deposit.chain,
                account_id: accepted.account,
                sub_account_id: deposit.sub_account,
                from: deposit.payer,
                to: deposit.owner,
                token: deposit.token,
                amount: deposit.amount,
                serial_id: deposit.serial,
                eth_hash: HexBytes(deposit.l1_tx),
            })
        }
    }
}

/// A transaction of a list, with details or without.
pub fn listed(source: &Source, detail: bool, info: impl FnOnce() -> TxInfo) -> BlockTx {
    if detail { BlockTx::Detail(Box::new(info())) } else { BlockTx::Hash(source.hash().into()) }
}

/// The most operations that a block of the shape has.
pub fn slots(shape: &Shape) -> u32 {
    u32::try_from(shape.room.queue + shape.room.signed).unwrap_or(u32::MAX)
}

/// An account.
pub fn account_info(id: AccountId, account: &Account) -> AccountInfo {
    let nonces = account.sub_accounts.iter().map(|(sub, state)| (*sub, state.nonce));
    AccountInfo {
        id,
        address: account.owner,
        nonce: account.nonce,
        key_version: account.key_version,
        pub_key_hash: HexBytes(account.key.as_ref().map(pub_key_hash).unwrap_or_default()),
        pub_key: account.key,
        sub_account_nonces: nonces.collect(),
    }
}

/// What an account holds, in all sub-accounts or in one.
pub fn balances(account: &Account, only: Option<SubAccountId>) -> Balances {
    let subs = account.sub_accounts.iter();
    let subs = subs.filter(|(sub, _)| only.is_none_or(|wanted| wanted == **sub));
    subs.map(|(sub, state)| {
        (*sub, state.balances.iter().map(|(token, amount)| (*token, *amount)).collect())
    })
    .collect()
}

/// An account with what it holds, after `block` and everything that was executed since.
pub fn account_snapshot(
    id: AccountId,
    account: &Account,
    only: Option<SubAccountId>,
    block: BlockNumber,
) -> AccountSnapshot {
    let mut info = account_info(id, account);
    info.sub_account_nonces.retain(|sub, _| only.is_none_or(|wanted| wanted == *sub));
    AccountSnapshot {
        id,
        address: info.address,
        nonce: info.nonce,
        key_version: info.key_version,
        pub_key_hash: info.pub_key_hash,
        sub_account_nonces: info.sub_account_nonces,
        balances: balances(account, only),
        order_slots: BTreeMap::new(),
        positions: BTreeMap::new(),
        block_number: block,
    }
}

/// The chains.
pub fn chains(network: &Network, confirmations: &BTreeMap<ChainId, u32>) -> Vec<SupportChain> {
    let native = |chain: ChainId| {
        let of_chain = |token: &Token| token.chains.get(&chain).map(|token| token.address);
        let mut tokens = network.tokens.iter();
        tokens.find(|(_, token)| of_chain(token) == Some([0; 20])).map(|(id, _)| *id)
    };
    let chain = |(id, chain): (&ChainId, &zklink::token::Chain)| SupportChain {
        chain_id: *id,
        chain_type: 0,
        layer_one_chain_id: chain.evm_chain_id,
        main_contract: HexBytes(chain.contract),
        reserved: chain.reserved.clone(),
        gas_token_id: native(*id),
        deposit_confirmation: confirmations.get(id).copied(),
    };
    network.chains.iter().map(chain).collect()
}

/// The tokens.
pub fn tokens(network: &Network, fees: &FeeTable) -> BTreeMap<TokenId, SupportToken> {
    let on_chain = |(chain, token): (&ChainId, &zklink::token::L1Token)| {
        let shown = TokenOnChain {
            chain_id: *chain,
            address: HexBytes(token.address),
            decimals: token.decimals,
            fast_withdraw: false,
        };
        (*chain, shown)
    };
    let token = |(id, token): (&TokenId, &Token)| {
        let shown = SupportToken {
            id: *id,
            symbol: token.symbol.clone(),
            usd_price: None,
            least_fees: fees.of(*id),
            chains: token.chains.iter().map(on_chain).collect(),
        };
        (*id, shown)
    };
    network.tokens.iter().map(token).collect()
}

/// How proving goes.
pub fn proving(progress: Progress) -> ProvingStatus {
    let waiting = progress.jobs.into_iter().take(PROVING_MAX).map(|job| ProvingJob {
        block: job.block,
        shape: job.shape,
        attempts: job.attempts,
        prover: job.prover.map(|prover| prover.as_str().to_owned()),
    });
    let provers = progress.provers.into_iter().take(PROVING_MAX).map(|prover| ProverInfo {
        name: prover.prover.as_str().to_owned(),
        alive: prover.alive,
        proven: prover.proven,
        strikes: prover.strikes,
    });
    ProvingStatus {
        waiting: waiting.collect(),
        proven: progress.proven,
        provers: provers.collect(),
    }
}
