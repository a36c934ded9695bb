//! Why the protocol says no. A rejection changes nothing.

use crate::amount::Amount;
use crate::id::{AccountId, ChainId, KeyVersion, Nonce, SubAccountId, TokenId};

/// A rule that an operation breaks.
///
/// The order of the variants is their precedence: where several rules are broken, the first one is reported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// No such chain is connected.
    #[error("chain {0} is not connected")]
    UnknownChain(ChainId),
    /// The account id is outside of the tree.
    #[error("account id {0} is out of range (below 2^24)")]
    BadAccount(AccountId),
    /// The sub-account id is above 31.
    #[error("sub-account {0} is out of range (0 to 31)")]
    BadSubAccount(SubAccountId),
    /// No such token is registered, or not on the chain that was named.
    #[error("token {0} is not registered here")]
    UnknownToken(TokenId),
    /// A payout is not a multiple of the smallest unit that the target chain knows.
    #[error("the amount has more than the {decimals} decimals of the token on chain {chain}")]
    Dust {
        /// The target chain.
        chain: ChainId,
        /// Decimals of the token there.
        decimals: u8,
    },
    /// The receiver is nobody, or cannot exist on the target chain.
    #[error("the receiver's address is not valid here")]
    BadReceiver,
    /// The tree of accounts is full.
    #[error("no account id is free")]
    AccountsFull,
    /// There is no such account.
    #[error("account {0} does not exist")]
    AccountNotFound(AccountId),
    /// The account id belongs to another owner.
    #[error("account {0} belongs to another owner")]
    OwnerMismatch(AccountId),
    /// The account has no key yet: a ChangePubKey comes first.
    #[error("account {0} has no key: set one with ChangePubKey first")]
    KeyNotSet(AccountId),
    /// The nonce is not the next one.
    #[error("the nonce is {found}, expected {expected}")]
    Nonce {
        /// The next nonce of the account or sub-account.
        expected: Nonce,
        /// The nonce that was signed.
        found: Nonce,
    },
    /// The key that signs is not the present one of the account: it was set again since.
    #[error("the transaction is for key version {found}, the account has {expected}")]
    KeyVersion {
        /// The version of the account's key.
        expected: KeyVersion,
        /// The version that was signed.
        found: KeyVersion,
    },
    /// The owner's authorisation of a new key is missing or not by the owner.
    #[error("the owner did not authorise this key: {0}")]
    KeyNotAuthorised(&'static str),
    /// The L2 signature is not by the key of the account over this transaction.
    #[error("the L2 signature is not valid for this transaction and key")]
    Signature,
    /// The fee is below the least that this operator asks for. The proof knows no such rule: see [`crate::fees`].
    #[error("the fee of {paid} in token {token} is too low, the least is {least}")]
    FeeTooLow {
        /// The token in which it is paid.
        token: TokenId,
        /// What was offered.
        paid: Amount,
        /// What is asked for.
        least: Amount,
    },
    /// The last nonce is used up.
    #[error("no nonce is left")]
    NonceExhausted,
    /// An amount does not fit 128 bits in 18 decimals.
    #[error("the amount does not fit 128 bits in 18 decimals")]
    AmountOverflow,
    /// The balance does not cover amount and fee.
    #[error("the balance {available} does not cover {needed}")]
    Balance {
        /// What the sub-account holds of the token.
        available: Amount,
        /// Amount and fee.
        needed: Amount,
    },
    /// The target chain does not hold enough of the token.
    #[error("chain {chain} holds {available} of token {token}, {needed} was asked for")]
    Reserve {
        /// The target chain.
        chain: ChainId,
        /// The token.
        token: TokenId,
        /// What the chain owes to L2 users in all.
        available: Amount,
        /// What was asked for.
        needed: Amount,
    },
    /// A priority request is not the next of its chain.
    #[error("chain {chain} expects request {expected}")]
    Serial {
        /// The chain.
        chain: ChainId,
        /// The next serial.
        expected: u64,
    },
}

impl Reject {
    /// The error code that zkLink publishes for this rejection, or the nearest one.
    pub fn code(&self) -> i32 {
        match self {
            Reject::UnknownChain(_) => 100,
            Reject::BadAccount(_) => 101,
            Reject::BadSubAccount(_) => 102,
            Reject::UnknownToken(_) => 103,
            Reject::BadReceiver | Reject::AmountOverflow | Reject::Dust { .. } => 106,
            Reject::KeyNotAuthorised(_) => 108,
            Reject::Signature | Reject::KeyVersion { .. } => 110,
            Reject::AccountNotFound(_) | Reject::OwnerMismatch(_) | Reject::AccountsFull => 201,
            Reject::KeyNotSet(_) => 204,
            Reject::Nonce { .. } | Reject::NonceExhausted | Reject::Serial { .. } => 205,
            Reject::Balance { .. } => 206,
            Reject::FeeTooLow { .. } => 207,
            Reject::Reserve { .. } => 208,
        }
    }
}
