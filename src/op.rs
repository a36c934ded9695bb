//! The operations: what each one does to the state, and what it publishes.
//!
//! An operation is an effect whose accounts are resolved. Signatures are not part of it: [`crate::tx`] checks
//! them before there is an operation, and whoever replays public data relies on the proof instead.
//! [`Op::apply`] accepts exactly what the circuit accepts, so that every accepted operation is provable and
//! every proven block can be replayed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::hash::Fr;
use crate::id::{AccountId, ChainId, SubAccountId, TokenId};
use crate::layout::BadWord;
use crate::reject::Reject;
use crate::state::{Account, Cell, State};

mod change_pub_key;
mod deposit;
mod noop;
mod transfer;
mod withdraw;

pub use change_pub_key::ChangePubKey;
pub use deposit::Deposit;
pub use noop::Noop;
pub use transfer::Transfer;
pub use withdraw::Withdraw;

/// An operation of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Nothing: fills a slot that no operation needs.
    Noop(Noop),
    /// Tokens that were locked on a chain appear on L2.
    Deposit(Deposit),
    /// Tokens move between sub-accounts.
    Transfer(Transfer),
    /// Tokens leave to a chain.
    Withdraw(Withdraw),
    /// An account gets a signing key.
    ChangePubKey(ChangePubKey),
}

/// The kinds of slots that a shape has. A kind fixes the number of public words and which vector they stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SlotKind {
    /// Holds a [`Deposit`].
    Deposit,
    /// Holds a [`Transfer`] to an account that exists.
    Transfer,
    /// Holds a [`Transfer`] that makes its receiver's account.
    TransferToNew,
    /// Holds a [`Withdraw`].
    Withdraw,
    /// Holds a [`ChangePubKey`].
    ChangePubKey,
}

impl SlotKind {
    /// Every kind.
    pub const ALL: [SlotKind; 5] = [
        SlotKind::Deposit,
        SlotKind::Transfer,
        SlotKind::TransferToNew,
        SlotKind::Withdraw,
        SlotKind::ChangePubKey,
    ];

    /// The operation code of what the slot holds.
    pub fn code(self) -> u8 {
        match self {
            SlotKind::Deposit => Deposit::CODE,
            SlotKind::Transfer => Transfer::CODE,
            SlotKind::TransferToNew => Transfer::CODE_NEW,
            SlotKind::Withdraw => Withdraw::CODE,
            SlotKind::ChangePubKey => ChangePubKey::CODE,
        }
    }

    /// Number of public words of the slot.
    pub fn words(self) -> usize {
        match self {
            SlotKind::Transfer => 1,
            SlotKind::Deposit | SlotKind::TransferToNew | SlotKind::Withdraw => 2,
            SlotKind::ChangePubKey => 4,
        }
    }

    /// Whether the words stand in the vector that the contracts read.
    pub fn is_onchain(self) -> bool {
        !matches!(self, SlotKind::Transfer | SlotKind::TransferToNew)
    }
}

impl Op {
    /// The kind of slot that the operation needs. A [`Noop`] fits all and has none.
    pub fn slot_kind(&self) -> Option<SlotKind> {
        match self {
            Op::Noop(_) => None,
            Op::Deposit(_) => Some(SlotKind::Deposit),
            Op::Transfer(op) if op.new_owner.is_some() => Some(SlotKind::TransferToNew),
            Op::Transfer(_) => Some(SlotKind::Transfer),
            Op::Withdraw(_) => Some(SlotKind::Withdraw),
            Op::ChangePubKey(_) => Some(SlotKind::ChangePubKey),
        }
    }

    /// Changes the state, or says which rule forbids it and changes nothing.
    ///
    /// # Errors
    /// The first broken rule in the order of [`Reject`].
    pub fn apply(&self, state: &mut State) -> Result<(), Reject> {
        match self {
            Op::Noop(op) => op.apply(state),
            Op::Deposit(op) => op.apply(state),
            Op::Transfer(op) => op.apply(state),
            Op::Withdraw(op) => op.apply(state),
            Op::ChangePubKey(op) => op.apply(state),
        }
    }

    /// The cells that the operation reads or writes. They depend on the operation and the fee account only.
    pub fn cells(&self, fee_account: AccountId) -> BTreeSet<Cell> {
        let fee_cell = |token| Cell::Balance(fee_account, SubAccountId(0), token);
        match self {
            Op::Noop(_) => BTreeSet::new(),
            Op::Deposit(op) => BTreeSet::from([
                Cell::Balance(op.account, op.sub_account, op.token),
                Cell::Pool(op.chain, op.token),
            ]),
            Op::Transfer(op) => BTreeSet::from([
                Cell::Balance(op.account, op.sub_account, op.token),
                Cell::Balance(op.to_account, op.to_sub_account, op.token),
                fee_cell(op.token),
            ]),
            Op::Withdraw(op) => BTreeSet::from([
                Cell::Balance(op.account, op.sub_account, op.token),
                Cell::Pool(op.chain, op.token),
                fee_cell(op.token),
            ]),
            Op::ChangePubKey(op) => BTreeSet::from([
                Cell::Balance(op.account, op.sub_account, op.fee_token),
                fee_cell(op.fee_token),
            ]),
        }
    }

    /// The chain whose contract takes part in the operation.
    pub fn chain(&self) -> Option<ChainId> {
        match self {
            Op::Noop(_) | Op::Transfer(_) => None,
            Op::Deposit(op) => Some(op.chain),
            Op::Withdraw(op) => Some(op.chain),
            Op::ChangePubKey(op) => Some(op.chain),
        }
    }

    /// The public words of the operation: as many as its slot has. A [`Noop`] has as many zeros as its slot.
    pub fn words(&self) -> Vec<Fr> {
        match self {
            Op::Noop(op) => op.words(),
            Op::Deposit(op) => op.words(),
            Op::Transfer(op) => op.words(),
            Op::Withdraw(op) => op.words(),
            Op::ChangePubKey(op) => op.words(),
        }
    }

    /// Reads the words of a slot.
    ///
    /// # Errors
    /// [`BadWord`] when they are not what an operation of this kind, or a [`Noop`], publishes.
    pub fn decode(kind: SlotKind, words: &[Fr]) -> Result<Op, BadWord> {
        let expected = kind.words();
        if words.len() != expected {
            return Err(BadWord::Length { expected, found: words.len() });
        }
        if words.iter().all(|word| *word == Fr::zero()) {
            return Ok(Op::Noop(Noop { slot: kind }));
        }
        let op = match kind {
            SlotKind::Deposit => Op::Deposit(Deposit::decode(words)?),
            SlotKind::Transfer | SlotKind::TransferToNew => {
                Op::Transfer(Transfer::decode(kind, words)?)
            }
            SlotKind::Withdraw => Op::Withdraw(Withdraw::decode(words)?),
            SlotKind::ChangePubKey => Op::ChangePubKey(ChangePubKey::decode(words)?),
        };
        Ok(op)
    }
}

/// Refuses ids that the trees have no place for.
fn check_place(account: AccountId, sub_account: SubAccountId) -> Result<(), Reject> {
    if !account.is_valid() {
        return Err(Reject::BadAccount(account));
    }
    if !sub_account.is_valid() {
        return Err(Reject::BadSubAccount(sub_account));
    }
    Ok(())
}

/// The account that signs, which must exist and have a key.
fn signer(state: &State, id: AccountId) -> Result<&Account, Reject> {
    let account = state.account(id).ok_or(Reject::AccountNotFound(id))?;
    if account.key.is_none() {
        return Err(Reject::KeyNotSet(id));
    }
    Ok(account)
}

/// What is left of a balance after amount and fee.
fn debit(
    state: &State,
    (account, sub_account, token): (AccountId, SubAccountId, TokenId),
    amount: Amount,
    fee: Amount,
) -> Result<Amount, Reject> {
    let available = state.balance(account, sub_account, token);
    let needed = amount.checked_add(fee).ok_or(Reject::AmountOverflow)?;
    available.checked_sub(needed).ok_or(Reject::Balance { available, needed })
}

/// Adds to a balance.
///
/// No overflow: all balances of a token together equal its pools, each of which a deposit keeps below
/// 2^[`Amount::POOL_BITS`]. The circuit checks the range of every balance once per leaf and block.
fn credit(state: &mut State, account: AccountId, sub: SubAccountId, token: TokenId, by: Amount) {
    let balance = state.balance(account, sub, token).checked_add(by);
    let balance = balance.expect("deposits bound the sum of all balances by 2^126");
    state.set_balance(account, sub, token, balance);
}

/// Adds a fee to sub-account 0 of the fee account.
fn credit_fee(state: &mut State, token: TokenId, fee: Amount) {
    let account = state.system.fee_account;
    credit(state, account, SubAccountId(0), token, fee);
}
