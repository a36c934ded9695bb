//! Tokens move between sub-accounts.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::{check_place, debit, next_nonce, signer};
use crate::amount::{Amount, Fee};
use crate::commitment::owner_of;
use crate::hash::Fr;
use crate::id::{AccountId, ChainId, Owner, SubAccountId, TokenId};
use crate::layout::{BadWord, Packed, field, low_word, narrow};
use crate::reject::Reject;
use crate::state::State;

/// A payment on L2. Where the receiver has no account yet, it makes one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
pub struct Transfer {
    /// The account that pays and signs.
    pub account: AccountId,
    /// Its sub-account.
    pub sub_account: SubAccountId,
    /// The account that receives.
    pub to_account: AccountId,
    /// Its sub-account.
    pub to_sub_account: SubAccountId,
    /// The token of amount and fee.
    pub token: TokenId,
    /// What the receiver gets.
    pub amount: Amount,
    /// What the fee account gets.
    #[serde(with = "crate::amount::fee_bits")]
    pub fee: Fee,
    /// The owner of the receiving account when this operation makes it.
    pub new_owner: Option<Owner>,
}

impl Transfer {
    /// zkLink's code of a transfer to an account that exists.
    pub const CODE: u8 = 4;
    /// zkLink's code of a transfer that makes the receiver's account.
    pub const CODE_NEW: u8 = 2;

    /// The word of a transfer to an account that exists.
    pub const WORD: Packed<8> = Packed::new([
        field("op", 1),
        field("account", 3),
        field("sub_account", 1),
        field("to_account", 3),
        field("to_sub_account", 1),
        field("token", 2),
        field("amount", 16),
        field("fee", 2),
    ]);

    /// The first word of a transfer that makes an account; the second is the low part of its owner.
    pub const WORD_NEW: Packed<10> = Packed::new([
        field("op", 1),
        field("account", 3),
        field("sub_account", 1),
        field("to_account", 3),
        field("to_sub_account", 1),
        field("token", 2),
        field("amount", 16),
        field("fee", 2),
        field("to_top", 1),
        field("to_home", 1),
    ]);

    pub(super) fn apply(&self, state: &mut State) -> Result<(), Reject> {
        check_place(self.account, self.sub_account)?;
        check_place(self.to_account, self.to_sub_account)?;
        if self.new_owner.is_some_and(|owner| !owner.is_valid()) {
            return Err(Reject::BadReceiver);
        }
        signer(state, self.account)?;
        match (self.new_owner, state.account(self.to_account)) {
            (Some(_), Some(_)) => return Err(Reject::OwnerMismatch(self.to_account)),
            (None, None) => return Err(Reject::AccountNotFound(self.to_account)),
            _ => {}
        }
        let nonce = next_nonce(state, self.account, self.sub_account)?;
        let from = (self.account, self.sub_account, self.token);
        let left = debit(state, from, self.amount, self.fee.amount())?;

        if let Some(owner) = self.new_owner {
            state.put_account(self.to_account, state.new_account(owner));
        }
        state.set_balance(self.account, self.sub_account, self.token, left);
        state.sub_account_mut(self.account, self.sub_account).nonce = nonce;
        state.credit(self.to_account, self.to_sub_account, self.token, self.amount);
        state.collect_fee(self.token, self.fee.amount());
        Ok(())
    }

    pub(super) fn words(&self) -> Vec<Fr> {
        let [from, sub, to, to_sub] = [
            self.account.0.into(),
            self.sub_account.0.into(),
            self.to_account.0.into(),
            self.to_sub_account.0.into(),
        ];
        let [token, amount, fee] = [self.token.0.into(), self.amount.0, self.fee.0.into()];
        match self.new_owner {
            None => {
                let code = Self::CODE.into();
                vec![Self::WORD.pack([code, from, sub, to, to_sub, token, amount, fee])]
            }
            Some(owner) => {
                let (code, top, home) =
                    (Self::CODE_NEW.into(), owner.top().into(), owner.home.0.into());
                let fields = [code, from, sub, to, to_sub, token, amount, fee, top, home];
                vec![Self::WORD_NEW.pack(fields), low_word(owner.low())]
            }
        }
    }

    pub(super) fn decode([word]: &[Fr; 1]) -> Result<Transfer, BadWord> {
        let [op, fields @ ..] = Self::WORD.unpack(word)?;
        Self::assemble(op, Self::CODE, fields, None)
    }

    pub(super) fn decode_new([first, low]: &[Fr; 2]) -> Result<Transfer, BadWord> {
        let [op, from, sub, to, to_sub, token, amount, fee, top, home] =
            Self::WORD_NEW.unpack(first)?;
        let owner = owner_of(ChainId(narrow("to_home", home)?), narrow("to_top", top)?, low)?;
        let fields = [from, sub, to, to_sub, token, amount, fee];
        Self::assemble(op, Self::CODE_NEW, fields, Some(owner))
    }

    fn assemble(
        op: u128,
        code: u8,
        [from, sub, to, to_sub, token, amount, fee]: [u128; 7],
        new_owner: Option<Owner>,
    ) -> Result<Transfer, BadWord> {
        if op != code.into() {
            return Err(BadWord::Code(narrow("op", op)?));
        }
        Ok(Transfer {
            account: AccountId(narrow("account", from)?),
            sub_account: SubAccountId(narrow("sub_account", sub)?),
            to_account: AccountId(narrow("to_account", to)?),
            to_sub_account: SubAccountId(narrow("to_sub_account", to_sub)?),
            token: TokenId(narrow("token", token)?),
            amount: Amount(amount),
            fee: Fee(narrow("fee", fee)?),
            new_owner,
        })
    }
}
