//! An account gets a signing key.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::{Published, check_place, debit};
use crate::amount::{Amount, Fee};
use crate::commitment::owner_of;
use crate::hash::Fr;
use crate::id::{AccountId, ChainId, Nonce, Owner, SubAccountId, TokenId};
use crate::key::PublicKey;
use crate::layout::{BadWord, Packed, field, low_word, narrow};
use crate::reject::Reject;
use crate::state::State;

/// A key change. The new key signs it, so that nobody can set a key that he does not hold, and the contract of the
/// named chain checks that the owner wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct ChangePubKey {
    /// The chain whose contract checks the owner's authorisation.
    pub chain: ChainId,
    /// The account whose key changes.
    pub account: AccountId,
    /// The sub-account that pays the fee.
    pub sub_account: SubAccountId,
    /// The token of the fee.
    pub fee_token: TokenId,
    /// What the fee account gets.
    #[serde(with = "crate::amount::fee_bits")]
    pub fee: Fee,
    /// The account nonce that the owner authorised.
    pub nonce: Nonce,
    /// The owner of the account.
    pub owner: Owner,
    /// The new key.
    pub key: PublicKey,
}

impl ChangePubKey {
    /// zkLink's code of the operation.
    pub const CODE: u8 = 6;

    /// The first word; then the low part of the owner and the coordinates of the key.
    pub const WORD: Packed<10> = Packed::new([
        field("op", 1),
        field("chain", 1),
        field("account", 3),
        field("sub_account", 1),
        field("fee_token", 2),
        field("fee", 2),
        field("nonce", 4),
        field("owner_top", 1),
        field("home", 1),
        field("at", 2),
    ]);

    pub(super) fn apply(&self, state: &mut State) -> Result<(), Reject> {
        if !self.chain.is_valid() {
            return Err(Reject::UnknownChain(self.chain));
        }
        check_place(self.account, self.sub_account)?;
        let account = state.account(self.account).ok_or(Reject::AccountNotFound(self.account))?;
        if account.owner != self.owner {
            return Err(Reject::OwnerMismatch(self.account));
        }
        if account.nonce != self.nonce {
            return Err(Reject::Nonce { expected: account.nonce, found: self.nonce });
        }
        let nonce = self.nonce.next().ok_or(Reject::NonceExhausted)?;
        let version = account.key_version.next().ok_or(Reject::NonceExhausted)?;
        let from = (self.account, self.sub_account, self.fee_token);
        let left = debit(state, from, Amount::ZERO, self.fee.amount())?;

        state.set_balance(self.account, self.sub_account, self.fee_token, left);
        state.collect_fee(self.fee_token, self.fee.amount());
        let account = state.account_mut(self.account).expect("checked above");
        account.key = Some(self.key);
        account.key_version = version;
        account.nonce = nonce;
        Ok(())
    }

    pub(super) fn words(&self, at: u16) -> Vec<Fr> {
        let packed = Self::WORD.pack([
            Self::CODE.into(),
            self.chain.0.into(),
            self.account.0.into(),
            self.sub_account.0.into(),
            self.fee_token.0.into(),
            self.fee.0.into(),
            self.nonce.0.into(),
            self.owner.top().into(),
            self.owner.home.0.into(),
            at.into(),
        ]);
        vec![packed, low_word(self.owner.low()), self.key.x(), self.key.y()]
    }

    pub(super) fn decode([first, low, x, y]: &[Fr; 4]) -> Result<Published<ChangePubKey>, BadWord> {
        let [op, chain, account, sub_account, fee_token, fee, nonce, top, home, at] =
            Self::WORD.unpack(first)?;
        if op != Self::CODE.into() {
            return Err(BadWord::Code(narrow("op", op)?));
        }
        let op = ChangePubKey {
            chain: ChainId(narrow("chain", chain)?),
            account: AccountId(narrow("account", account)?),
            sub_account: SubAccountId(narrow("sub_account", sub_account)?),
            fee_token: TokenId(narrow("fee_token", fee_token)?),
            fee: Fee(narrow("fee", fee)?),
            nonce: Nonce(narrow("nonce", nonce)?),
            owner: owner_of(ChainId(narrow("home", home)?), narrow("owner_top", top)?, low)?,
            key: PublicKey::from_coordinates(*x, *y).map_err(|_| BadWord::Key)?,
        };
        Ok(Published { op, at: narrow("at", at)? })
    }
}
