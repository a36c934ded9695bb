//! The forms of a transaction: what stands in the JSON that a user sends, and nothing about its meaning.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::amount::{Amount, Fee};
use crate::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId, TokenId};
use crate::key::{PackedKey, PublicKey, Signature};

/// A payment on L2, as its payer signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransferTx {
    /// The account that pays.
    pub account_id: AccountId,
    /// Its sub-account.
    pub from_sub_account_id: SubAccountId,
    /// The owner that receives, whether or not it has an account; `@` and a chain id follow the address of a contract.
    pub to: Owner,
    /// The sub-account that receives.
    pub to_sub_account_id: SubAccountId,
    /// The token of amount and fee.
    pub token: TokenId,
    /// What the receiver gets, in 18 decimals.
    pub amount: Amount,
    /// What the fee account gets.
    pub fee: Fee,
    /// The next nonce of the sub-account.
    pub nonce: Nonce,
    /// The version of the key that signs.
    pub key_version: KeyVersion,
}

/// A payout on a chain, as its payer signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WithdrawTx {
    /// The chain that pays.
    pub to_chain_id: ChainId,
    /// The account that pays.
    pub account_id: AccountId,
    /// Its sub-account.
    pub sub_account_id: SubAccountId,
    /// The address on that chain that is paid.
    pub to: Owner,
    /// The unified token.
    pub token: TokenId,
    /// What is paid out, in 18 decimals: a multiple of the smallest unit on the chain.
    pub amount: Amount,
    /// The most that the fee account may get. What it gets follows the price of gas on the chain.
    pub max_fee: Fee,
    /// The next nonce of the sub-account.
    pub nonce: Nonce,
    /// The version of the key that signs.
    pub key_version: KeyVersion,
}

/// A key change, as the holder of the new key signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePubKeyTx {
    /// The chain whose contract checks the owner's authorisation.
    pub chain_id: ChainId,
    /// The account.
    pub account_id: AccountId,
    /// The sub-account that pays the fee.
    pub sub_account_id: SubAccountId,
    /// The new key.
    pub new_pub_key: PublicKey,
    /// The token of the fee.
    pub fee_token: TokenId,
    /// What the fee account gets.
    pub fee: Fee,
    /// The next nonce of the account.
    pub nonce: Nonce,
    /// The version of the key before this change: zero for the first key.
    pub key_version: KeyVersion,
    /// How the owner authorises the key.
    pub eth_auth_data: KeyAuth,
}

/// How the owner of an account authorises a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum KeyAuth {
    /// By a transaction to the contract of the chain, sent before.
    Onchain,
    /// By an EIP-712 signature, 65 bytes r, s, v.
    #[serde(rename = "EthECDSA")]
    EthEcdsa {
        /// The signature in hex.
        #[serde(rename = "ethSignature", with = "hex_65")]
        signature: [u8; 65],
    },
}

impl KeyAuth {
    /// What the contract is given to check: nothing for an authorisation that it already knows.
    pub fn witness(&self) -> Vec<u8> {
        match self {
            KeyAuth::Onchain => Vec::new(),
            KeyAuth::EthEcdsa { signature } => signature.to_vec(),
        }
    }
}

/// What a user wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(tag = "type")]
pub enum Tx {
    /// A payment on L2.
    Transfer(TransferTx),
    /// A payout on a chain.
    Withdraw(WithdrawTx),
    /// A key change.
    ChangePubKey(ChangePubKeyTx),
}

impl Tx {
    /// The token in which the fee is paid, and the fee: of a withdrawal the most that it may be.
    pub fn fee(&self) -> (TokenId, Fee) {
        match self {
            Tx::Transfer(tx) => (tx.token, tx.fee),
            Tx::Withdraw(tx) => (tx.token, tx.max_fee),
            Tx::ChangePubKey(tx) => (tx.fee_token, tx.fee),
        }
    }
}

/// What a user sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct SignedTx {
    /// The transaction.
    #[serde(flatten)]
    pub tx: Tx,
    /// The L2 signature over it.
    pub signature: TxSignature,
}

/// An L2 signature and the key that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TxSignature {
    /// The key.
    pub pub_key: PackedKey,
    /// The signature.
    pub signature: Signature,
}

/// An Ethereum signature in JSON: 0x and 130 hex digits.
mod hex_65 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 65], to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("0x{}", hex::encode(bytes)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 65], D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        let mut bytes = [0; 65];
        hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_| D::Error::custom("a signature is 65 bytes of hex: r, s, v"))?;
        Ok(bytes)
    }
}
