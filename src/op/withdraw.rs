//! Tokens leave to a chain, any one that has the token.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::{Published, check_place, debit, next_nonce, signer};
use crate::amount::Fee;
use crate::commitment::owner_of;
use crate::hash::Fr;
use crate::id::{AccountId, ChainId, Owner, SubAccountId, TokenId};
use crate::layout::{BadWord, Packed, field, low_word, narrow};
use crate::reject::Reject;
use crate::state::State;
use crate::token::scale_up;

/// A payout on a chain.
///
/// The amount is in the units of the chain, so that dust below them cannot be expressed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
pub struct Withdraw {
    /// The chain that pays.
    pub chain: ChainId,
    /// The account that pays and signs.
    pub account: AccountId,
    /// Its sub-account.
    pub sub_account: SubAccountId,
    /// The unified token.
    pub token: TokenId,
    /// What the chain pays, in units of its own token.
    pub l1_amount: u128,
    /// 18 less the decimals of the token on the chain. The chain's contract checks it against its registry.
    pub scale: u8,
    /// What the fee account gets, in 18 decimals: at most what the payer signed.
    #[serde(with = "crate::amount::fee_bits")]
    pub fee: Fee,
    /// Who is paid: an address of that chain, whose home is therefore left out.
    pub to: Owner,
}

impl Withdraw {
    /// zkLink's code of the operation.
    pub const CODE: u8 = 3;

    /// The first word; the second is the low part of the receiver.
    pub const WORD: Packed<10> = Packed::new([
        field("op", 1),
        field("chain", 1),
        field("account", 3),
        field("sub_account", 1),
        field("token", 2),
        field("amount", 16),
        field("scale", 1),
        field("fee", 2),
        field("to_top", 1),
        field("at", 2),
    ]);

    pub(super) fn apply(&self, state: &mut State) -> Result<(), Reject> {
        if !self.chain.is_valid() {
            return Err(Reject::UnknownChain(self.chain));
        }
        check_place(self.account, self.sub_account)?;
        if self.to.is_none() || self.to.is_contract() {
            return Err(Reject::BadReceiver);
        }
        let amount = scale_up(self.l1_amount, self.scale).ok_or(Reject::AmountOverflow)?;
        signer(state, self.account)?;
        let nonce = next_nonce(state, self.account, self.sub_account)?;
        let from = (self.account, self.sub_account, self.token);
        let left = debit(state, from, amount, self.fee.amount())?;
        let available = state.pool(self.chain, self.token);
        let pool = available.checked_sub(amount).ok_or(Reject::Reserve {
            chain: self.chain,
            token: self.token,
            available,
            needed: amount,
        })?;

        state.set_balance(self.account, self.sub_account, self.token, left);
        state.sub_account_mut(self.account, self.sub_account).nonce = nonce;
        state.set_pool(self.chain, self.token, pool);
        state.collect_fee(self.token, self.fee.amount());
        Ok(())
    }

    pub(super) fn words(&self, at: u16) -> Vec<Fr> {
        let packed = Self::WORD.pack([
            Self::CODE.into(),
            self.chain.0.into(),
            self.account.0.into(),
            self.sub_account.0.into(),
            self.token.0.into(),
            self.l1_amount,
            self.scale.into(),
            self.fee.0.into(),
            self.to.top().into(),
            at.into(),
        ]);
        vec![packed, low_word(self.to.low())]
    }

    pub(super) fn decode([first, low]: &[Fr; 2]) -> Result<Published<Withdraw>, BadWord> {
        let [op, chain, account, sub_account, token, amount, scale, fee, top, at] =
            Self::WORD.unpack(first)?;
        if op != Self::CODE.into() {
            return Err(BadWord::Code(narrow("op", op)?));
        }
        let op = Withdraw {
            chain: ChainId(narrow("chain", chain)?),
            account: AccountId(narrow("account", account)?),
            sub_account: SubAccountId(narrow("sub_account", sub_account)?),
            token: TokenId(narrow("token", token)?),
            l1_amount: amount,
            scale: narrow("scale", scale)?,
            fee: Fee(narrow("fee", fee)?),
            to: owner_of(ChainId(0), narrow("to_top", top)?, low)?,
        };
        Ok(Published { op, at: narrow("at", at)? })
    }
}
