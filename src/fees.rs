//! The least fees: what an operator asks for at the door.
//!
//! They are no rule of the rollup. Proof and replay take any fee, so that an operator can change the table at any time
//! without touching what was accepted before; only a new transaction is held against it ([`FeeTable::admit`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amount::Fee;
use crate::id::TokenId;
use crate::op::Op;
use crate::reject::Reject;
use crate::state::State;
use crate::token::Network;
use crate::tx::{CheckedTx, KeyAuthorisations, Tx};

/// The least fees of transactions that pay them in one token. Zero asks for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeastFees {
    /// Of a payment to an address that has an account.
    pub transfer: Fee,
    /// Of a payment that makes an account: it uses up a leaf of the tree for ever.
    pub transfer_to_new: Fee,
    /// Of a payout on a chain.
    pub withdraw: Fee,
    /// Of a key change, which the contract of a chain checks.
    pub change_pub_key: Fee,
}

/// The least fees of each token. A token that is not listed asks for none; the empty table is that of a development
/// network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTable(pub BTreeMap<TokenId, LeastFees>);

impl FeeTable {
    /// The least fees of a token.
    pub fn of(&self, token: TokenId) -> LeastFees {
        self.0.get(&token).copied().unwrap_or_default()
    }

    /// What a transaction must pay at least, in its own token. Whether a transfer makes an account depends on the
    /// state: the answer can become smaller when somebody else makes it first, never larger.
    pub fn least(&self, tx: &Tx, state: &State) -> Fee {
        let fees = self.of(tx.fee().0);
        match tx {
            Tx::Transfer(tx) if state.account_of(tx.to).is_none() => fees.transfer_to_new,
            Tx::Transfer(_) => fees.transfer,
            Tx::Withdraw(_) => fees.withdraw,
            Tx::ChangePubKey(_) => fees.change_pub_key,
        }
    }

    /// [`CheckedTx::verify`], and after it the fee: nobody learns from another's transaction what it should have paid.
    ///
    /// # Errors
    /// Those of [`CheckedTx::verify`]; [`Reject::FeeTooLow`].
    pub fn admit(
        &self,
        tx: &CheckedTx,
        state: &State,
        network: &Network,
        authorised: &KeyAuthorisations,
    ) -> Result<Op, Reject> {
        let op = tx.verify(state, network, authorised)?;
        let (token, paid) = tx.signed().tx.fee();
        let (paid, least) = (paid.amount(), self.least(&tx.signed().tx, state).amount());
        if paid < least {
            return Err(Reject::FeeTooLow { token, paid, least });
        }
        Ok(op)
    }
}
