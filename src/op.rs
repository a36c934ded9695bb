//! The operations: what each one does to the state, and what it publishes.
//!
//! An operation is an effect whose accounts are resolved. Signatures are not part of it: [`crate::tx`] checks
//! them before there is an operation, and whoever replays public data relies on the proof instead.
//! [`Op::apply`] accepts exactly what the circuit accepts, so that every accepted operation is provable and
//! every proven block can be replayed.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::hash::Fr;
use crate::id::{AccountId, ChainId, Nonce, SubAccountId, TokenId};
use crate::layout::{BadWord, code};
use crate::reject::Reject;
use crate::state::{Account, Cell, State};

mod change_pub_key;
mod deposit;
mod transfer;
mod withdraw;

pub use change_pub_key::ChangePubKey;
pub use deposit::Deposit;
pub use transfer::Transfer;
pub use withdraw::Withdraw;

/// The version of what operations do: raised with every change after which a transaction or operation that was accepted
/// could be refused, or have another effect. What was accepted under other rules is not judged by these.
pub const RULES: u8 = 1;

/// An operation of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub enum Op {
    /// Tokens that were locked on a chain appear on L2.
    Deposit(Deposit),
    /// Tokens move between sub-accounts.
    Transfer(Transfer),
    /// Tokens leave to a chain.
    Withdraw(Withdraw),
    /// An account gets a signing key.
    ChangePubKey(ChangePubKey),
}

/// The two kinds of slots of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SlotKind {
    /// Holds what the queue of a chain brings: cheap, as nothing is signed.
    Queue,
    /// Holds any signed operation.
    Signed,
}

impl SlotKind {
    /// The most public words that an operation in such a slot has.
    pub const fn words(self) -> usize {
        match self {
            SlotKind::Queue => 2,
            SlotKind::Signed => 4,
        }
    }
}

/// What one operation publishes, and where it stands in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published<T> {
    /// The operation.
    pub op: T,
    /// Rank among the signed operations of the block; of a queue operation, the number of signed ones before it. Only
    /// operations of the on-chain vector publish it.
    pub at: u16,
}

impl Op {
    /// The kind of slot that the operation needs.
    pub fn slot_kind(&self) -> SlotKind {
        match self {
            Op::Deposit(_) => SlotKind::Queue,
            Op::Transfer(_) | Op::Withdraw(_) | Op::ChangePubKey(_) => SlotKind::Signed,
        }
    }

    /// Whether its words stand in the vector that the contracts read.
    pub fn is_onchain(&self) -> bool {
        !matches!(self, Op::Transfer(_))
    }

    /// The name that people know, the same as in zkLink's RPC.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Deposit(_) => "Deposit",
            Op::Transfer(_) => "Transfer",
            Op::Withdraw(_) => "Withdraw",
            Op::ChangePubKey(_) => "ChangePubKey",
        }
    }

    /// Changes the state, or says which rule forbids it and changes nothing.
    ///
    /// # Errors
    /// The first broken rule in the order of [`Reject`].
    pub fn apply(&self, state: &mut State) -> Result<(), Reject> {
        match self {
            Op::Deposit(op) => op.apply(state),
            Op::Transfer(op) => op.apply(state),
            Op::Withdraw(op) => op.apply(state),
            Op::ChangePubKey(op) => op.apply(state),
        }
    }

    /// The token in which the operation pays a fee, if it pays one.
    pub fn fee_token(&self) -> Option<TokenId> {
        let (token, fee) = match self {
            Op::Deposit(_) => return None,
            Op::Transfer(op) => (op.token, op.fee),
            Op::Withdraw(op) => (op.token, op.fee),
            Op::ChangePubKey(op) => (op.fee_token, op.fee),
        };
        (fee.amount() != Amount::ZERO).then_some(token)
    }

    /// The cells that the operation reads or writes. They depend on the operation and the fee account only.
    pub fn cells(&self, fee_account: AccountId) -> BTreeSet<Cell> {
        let mut cells = match self {
            Op::Deposit(op) if op.refused => BTreeSet::from([Cell::Cursor(op.chain)]),
            Op::Deposit(op) => BTreeSet::from([
                Cell::Balance(op.account, op.sub_account, op.token),
                Cell::Pool(op.chain, op.token),
                Cell::Cursor(op.chain),
            ]),
            Op::Transfer(op) => BTreeSet::from([
                Cell::Balance(op.account, op.sub_account, op.token),
                Cell::Balance(op.to_account, op.to_sub_account, op.token),
            ]),
            Op::Withdraw(op) => BTreeSet::from([
                Cell::Balance(op.account, op.sub_account, op.token),
                Cell::Pool(op.chain, op.token),
            ]),
            Op::ChangePubKey(op) => {
                BTreeSet::from([Cell::Balance(op.account, op.sub_account, op.fee_token)])
            }
        };
        let fee = self.fee_token();
        cells.extend(fee.map(|token| Cell::Balance(fee_account, SubAccountId(0), token)));
        cells
    }

    /// The chain whose contract takes part in the operation.
    pub fn chain(&self) -> Option<ChainId> {
        match self {
            Op::Transfer(_) => None,
            Op::Deposit(op) => Some(op.chain),
            Op::Withdraw(op) => Some(op.chain),
            Op::ChangePubKey(op) => Some(op.chain),
        }
    }

    /// The public words of the operation at its place, see [`Published::at`].
    pub fn words(&self, at: u16) -> Vec<Fr> {
        match self {
            Op::Deposit(op) => op.words(at),
            Op::Transfer(op) => op.words(),
            Op::Withdraw(op) => op.words(at),
            Op::ChangePubKey(op) => op.words(at),
        }
    }

    /// Reads the operation at the start of the rest of an on-chain vector, and moves on behind it.
    ///
    /// # Errors
    /// [`BadWord`] when there is no operation of this vector.
    pub fn take_onchain(words: &mut &[Fr]) -> Result<Published<Op>, BadWord> {
        match next_code(words)? {
            Deposit::CODE => {
                let Published { op, at } = Deposit::decode(take(words)?)?;
                Ok(Published { op: Op::Deposit(op), at })
            }
            Withdraw::CODE => {
                let Published { op, at } = Withdraw::decode(take(words)?)?;
                Ok(Published { op: Op::Withdraw(op), at })
            }
            ChangePubKey::CODE => {
                let Published { op, at } = ChangePubKey::decode(take(words)?)?;
                Ok(Published { op: Op::ChangePubKey(op), at })
            }
            unknown => Err(BadWord::Code(unknown)),
        }
    }

    /// Reads the operation at the start of the rest of a data vector, and moves on behind it.
    ///
    /// # Errors
    /// [`BadWord`] when there is no operation of this vector.
    pub fn take_data(words: &mut &[Fr]) -> Result<Op, BadWord> {
        match next_code(words)? {
            Transfer::CODE => Ok(Op::Transfer(Transfer::decode(take(words)?)?)),
            Transfer::CODE_NEW => Ok(Op::Transfer(Transfer::decode_new(take(words)?)?)),
            unknown => Err(BadWord::Code(unknown)),
        }
    }
}

/// The operation code of the next word.
fn next_code(words: &[Fr]) -> Result<u8, BadWord> {
    let first = words.first().ok_or(BadWord::Length { expected: 1, found: 0 })?;
    code(first)
}

/// Takes the words of an operation from the front.
fn take<'a, const N: usize>(words: &mut &'a [Fr]) -> Result<&'a [Fr; N], BadWord> {
    let (taken, rest) = words
        .split_first_chunk::<N>()
        .ok_or(BadWord::Length { expected: N, found: words.len() })?;
    *words = rest;
    Ok(taken)
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

/// The nonce of a sub-account after an operation that it signs.
fn next_nonce(state: &State, account: AccountId, sub: SubAccountId) -> Result<Nonce, Reject> {
    let sub = state.sub_account(account, sub);
    sub.map(|sub| sub.nonce).unwrap_or_default().next().ok_or(Reject::NonceExhausted)
}
