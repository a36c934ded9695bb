//! Tokens that were locked on a chain appear on L2.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::{Published, check_place};
use crate::amount::Amount;
use crate::commitment::owner_of;
use crate::hash::Fr;
use crate::id::{AccountId, ChainId, Owner, SubAccountId, TokenId};
use crate::layout::{BadWord, Packed, field, low_word, narrow};
use crate::reject::Reject;
use crate::state::State;

/// A priority request of a chain: the next one of its queue.
///
/// It makes the receiver's account when the owner has none. Its serial is not published: it is the cursor of the chain.
///
/// One that cannot be credited (the tree of accounts is full, the owner could never use it) is refused: it moves the
/// cursor and nothing else, and its payer gets the tokens back on the chain. The proof knows no reason for a refusal
/// and needs none: whatever is refused is refunded.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
pub struct Deposit {
    /// The chain where the tokens are locked.
    pub chain: ChainId,
    /// The account that is credited.
    pub account: AccountId,
    /// The sub-account that is credited.
    pub sub_account: SubAccountId,
    /// The unified token.
    pub token: TokenId,
    /// What arrived, in 18 decimals.
    pub amount: Amount,
    /// The owner of the account.
    pub owner: Owner,
    /// Whether nobody is credited and the payer is refunded. The account is then zero.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

impl Deposit {
    /// zkLink's code of the operation.
    pub const CODE: u8 = 1;

    /// The first word; the second is the low part of the owner.
    pub const WORD: Packed<10> = Packed::new([
        field("op", 1),
        field("chain", 1),
        field("account", 3),
        field("sub_account", 1),
        field("token", 2),
        field("amount", 16),
        field("owner_top", 1),
        field("home", 1),
        field("outcome", 1),
        field("at", 2),
    ]);

    pub(super) fn apply(&self, state: &mut State) -> Result<(), Reject> {
        if !self.chain.is_valid() {
            return Err(Reject::UnknownChain(self.chain));
        }
        check_place(self.account, self.sub_account)?;
        if self.refused {
            return self.refuse(state);
        }
        if !self.owner.is_valid() {
            return Err(Reject::BadReceiver);
        }
        let pool = state.pool(self.chain, self.token).checked_add(self.amount);
        let pool = pool.filter(|pool| pool.0 >> Amount::POOL_BITS == 0);
        let pool = pool.ok_or(Reject::AmountOverflow)?;
        match state.account(self.account) {
            Some(account) if account.owner != self.owner => {
                return Err(Reject::OwnerMismatch(self.account));
            }
            Some(_) => {}
            None => state.put_account(self.account, state.new_account(self.owner)),
        }
        state.credit(self.account, self.sub_account, self.token, self.amount);
        state.set_pool(self.chain, self.token, pool);
        self.advance(state);
        Ok(())
    }

    fn refuse(&self, state: &mut State) -> Result<(), Reject> {
        // Word and circuit have six bits for a home. The contract admits no other.
        if self.owner.home.0 > ChainId::MAX {
            return Err(Reject::BadReceiver);
        }
        if self.account != AccountId(0) {
            return Err(Reject::BadAccount(self.account));
        }
        self.advance(state);
        Ok(())
    }

    fn advance(&self, state: &mut State) {
        let chain = state.chain_mut(self.chain);
        chain.cursor = chain.cursor.next();
    }

    pub(super) fn words(&self, at: u16) -> Vec<Fr> {
        let packed = Self::WORD.pack([
            Self::CODE.into(),
            self.chain.0.into(),
            self.account.0.into(),
            self.sub_account.0.into(),
            self.token.0.into(),
            self.amount.0,
            self.owner.top().into(),
            self.owner.home.0.into(),
            self.refused.into(),
            at.into(),
        ]);
        vec![packed, low_word(self.owner.low())]
    }

    pub(super) fn decode([first, low]: &[Fr; 2]) -> Result<Published<Deposit>, BadWord> {
        let [op, chain, account, sub_account, token, amount, top, home, outcome, at] =
            Self::WORD.unpack(first)?;
        if op != Self::CODE.into() {
            return Err(BadWord::Code(narrow("op", op)?));
        }
        let refused = match outcome {
            0 => false,
            1 => true,
            _ => return Err(BadWord::Range("outcome")),
        };
        let op = Deposit {
            chain: ChainId(narrow("chain", chain)?),
            account: AccountId(narrow("account", account)?),
            sub_account: SubAccountId(narrow("sub_account", sub_account)?),
            token: TokenId(narrow("token", token)?),
            amount: Amount(amount),
            owner: owner_of(ChainId(narrow("home", home)?), narrow("owner_top", top)?, low)?,
            refused,
        };
        Ok(Published { op, at: narrow("at", at)? })
    }
}
