//! What the signatures bind: the field element under the L2 signature, the hash made of it, and the EIP-712 digest by
//! which an owner authorises a key.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::ethereum::{keccak, word};
use super::form::{ChangePubKeyTx, SignedTx, TransferTx, Tx, TxSignature, WithdrawTx};
use super::header::HEADER;
use crate::amount::{Amount, Fee};
use crate::commitment::amount_to_fr;
use crate::hash::{Domain, Fr, compress4, fr_to_be_bytes};
use crate::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId, TokenId};
use crate::key::{PackedKey, SecretKey, sign};
use crate::layout::low_word;
use crate::op::{ChangePubKey, Transfer, Withdraw};
use crate::reject::Reject;
use crate::state::DeploymentId;
use crate::token::{Chain, Network, scale_down};

/// Identifies a transaction: the Keccak hash of what its L2 signature binds, so that a copy with another
/// signature is the same transaction.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    BorshSerialize,
    BorshDeserialize,
)]
pub struct TxHash(#[serde(with = "hex::serde")] pub [u8; 32]);

impl TxHash {
    pub(super) fn of(message: Fr) -> TxHash {
        TxHash(keccak(&[&fr_to_be_bytes(message)]))
    }
}

impl std::fmt::Display for TxHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl std::fmt::Debug for TxHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What a header holds. A type leaves at zero what it does not have.
#[derive(Default)]
struct Header {
    code: u8,
    account: AccountId,
    sub_account: SubAccountId,
    token: TokenId,
    fee: Fee,
    nonce: Nonce,
    key_version: KeyVersion,
    chain: ChainId,
    scale: u8,
    to_sub_account: SubAccountId,
    to: Owner,
}

impl Header {
    /// The packed header.
    fn pack(&self) -> Result<Fr, Reject> {
        check_account(self.account, self.sub_account)?;
        Ok(HEADER.pack([
            self.code.into(),
            self.account.0.into(),
            self.sub_account.0.into(),
            self.token.0.into(),
            // JSON has only the value of a fee, so the form with the smallest exponent is signed.
            self.fee.canonical().0.into(),
            self.nonce.0.into(),
            self.key_version.0.into(),
            self.chain.0.into(),
            self.scale.into(),
            self.to_sub_account.0.into(),
            self.to.home.0.into(),
            self.to.top().into(),
        ]))
    }
}

/// What an L2 signature binds: the message is its hash.
fn message(deployment: DeploymentId, header: Fr, third: Fr, fourth: Fr) -> [Fr; 4] {
    [low_word(deployment.0), header, third, fourth]
}

impl TransferTx {
    fn message(&self, deployment: DeploymentId) -> Result<[Fr; 4], Reject> {
        let header = Header {
            code: Transfer::CODE,
            account: self.account_id,
            sub_account: self.from_sub_account_id,
            token: self.token,
            fee: self.fee,
            nonce: self.nonce,
            key_version: self.key_version,
            to_sub_account: self.to_sub_account_id,
            to: self.to,
            ..Header::default()
        };
        Ok(message(deployment, header.pack()?, amount_to_fr(self.amount), low_word(self.to.low())))
    }
}

impl WithdrawTx {
    /// The amount in the chain's units, and the scale between them and ours.
    pub(super) fn l1_amount(&self, network: &Network) -> Result<(u128, u8), Reject> {
        let token = network.l1_token(self.to_chain_id, self.token)?;
        let dust = Reject::Dust { chain: self.to_chain_id, decimals: token.decimals };
        Ok((scale_down(self.amount, token.scale()).ok_or(dust)?, token.scale()))
    }

    fn message(&self, deployment: DeploymentId, network: &Network) -> Result<[Fr; 4], Reject> {
        let (l1_amount, scale) = self.l1_amount(network)?;
        let header = Header {
            code: Withdraw::CODE,
            account: self.account_id,
            sub_account: self.sub_account_id,
            token: self.token,
            fee: self.max_fee,
            nonce: self.nonce,
            key_version: self.key_version,
            chain: self.to_chain_id,
            scale,
            to: self.to,
            ..Header::default()
        };
        let amount = amount_to_fr(Amount(l1_amount));
        Ok(message(deployment, header.pack()?, amount, low_word(self.to.low())))
    }
}

impl ChangePubKeyTx {
    fn message(&self, deployment: DeploymentId) -> Result<[Fr; 4], Reject> {
        let header = Header {
            code: ChangePubKey::CODE,
            account: self.account_id,
            sub_account: self.sub_account_id,
            token: self.fee_token,
            fee: self.fee,
            nonce: self.nonce,
            key_version: self.key_version,
            chain: self.chain_id,
            ..Header::default()
        };
        Ok(message(deployment, header.pack()?, self.new_pub_key.x(), self.new_pub_key.y()))
    }

    /// The EIP-712 digest that the owner signs for the contract of a chain.
    pub fn eth_digest(&self, chain: &Chain) -> [u8; 32] {
        let domain_type =
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
        let key_type = "ChangePubKey(uint256 keyX,uint256 keyY,uint32 accountId,uint32 nonce)";
        let domain = keccak(&[
            &keccak(&[domain_type.as_bytes()]),
            &keccak(&[b"zkLink"]),
            &keccak(&[b"1"]),
            &word(&chain.evm_chain_id.to_be_bytes()),
            &word(&chain.contract),
        ]);
        let key = keccak(&[
            &keccak(&[key_type.as_bytes()]),
            &fr_to_be_bytes(self.new_pub_key.x()),
            &fr_to_be_bytes(self.new_pub_key.y()),
            &word(&self.account_id.0.to_be_bytes()),
            &word(&self.nonce.0.to_be_bytes()),
        ]);
        keccak(&[b"\x19\x01", &domain, &key])
    }
}

impl Tx {
    /// The field element that the L2 signature signs.
    ///
    /// # Errors
    /// When a field is so far out of range that the message cannot be formed.
    pub fn message(&self, deployment: DeploymentId, network: &Network) -> Result<Fr, Reject> {
        Ok(compress4(Domain::Message, self.bound(deployment, network)?))
    }

    /// What the message is the hash of.
    pub(super) fn bound(
        &self,
        deployment: DeploymentId,
        network: &Network,
    ) -> Result<[Fr; 4], Reject> {
        match self {
            Tx::Transfer(tx) => tx.message(deployment),
            Tx::Withdraw(tx) => tx.message(deployment, network),
            Tx::ChangePubKey(tx) => tx.message(deployment),
        }
    }

    /// The hash of the transaction.
    ///
    /// # Errors
    /// As [`Tx::message`].
    pub fn hash(&self, deployment: DeploymentId, network: &Network) -> Result<TxHash, Reject> {
        let message = self.message(deployment, network)?;
        Ok(TxHash::of(message))
    }

    /// Signs the transaction.
    ///
    /// # Errors
    /// As [`Tx::message`].
    pub fn sign(
        self,
        key: &SecretKey,
        deployment: DeploymentId,
        network: &Network,
    ) -> Result<SignedTx, Reject> {
        let message = self.message(deployment, network)?;
        let signature =
            TxSignature { pub_key: PackedKey::from(&key.public()), signature: sign(key, message) };
        Ok(SignedTx { tx: self, signature })
    }
}

/// Account and sub-account are within the trees.
pub(super) fn check_account(account: AccountId, sub: SubAccountId) -> Result<(), Reject> {
    if !account.is_valid() {
        return Err(Reject::BadAccount(account));
    }
    if !sub.is_valid() {
        return Err(Reject::BadSubAccount(sub));
    }
    Ok(())
}
