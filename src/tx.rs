//! Signed transactions: what a user sends, what the signatures bind, and how an [`Op`] comes out of it.

use std::collections::BTreeSet;

use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

use crate::amount::{Amount, Fee};
use crate::commitment::amount_to_fr;
use crate::hash::{Domain, Fr, compress4, fr_to_be_bytes};
use crate::id::{AccountId, ChainId, Nonce, Owner, SubAccountId, TokenId};
use crate::key::{PublicKey, SecretKey, Signature, sign, verify};
use crate::layout::{Packed, field, low_word};
use crate::op::{ChangePubKey, Op, Transfer, Withdraw};
use crate::reject::Reject;
use crate::state::{DeploymentId, State};
use crate::token::{Chain, Network, scale_down};

/// Identifies a transaction: the Keccak hash of what its L2 signature binds, so that a copy with another
/// signature is the same transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TxHash(#[serde(with = "hex::serde")] pub [u8; 32]);

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

/// A payment on L2, as its payer signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransferTx {
    /// The account that pays.
    pub account_id: AccountId,
    /// Its sub-account.
    pub from_sub_account_id: SubAccountId,
    /// The address that receives, whether or not it has an account.
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
}

/// A payout on a chain, as its payer signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WithdrawTx {
    /// The chain that pays.
    pub to_chain_id: ChainId,
    /// The account that pays.
    pub account_id: AccountId,
    /// Its sub-account.
    pub sub_account_id: SubAccountId,
    /// The address that is paid.
    pub to: Owner,
    /// The unified token.
    pub token: TokenId,
    /// What is paid out, in 18 decimals: a multiple of the smallest unit on the chain.
    pub amount: Amount,
    /// What the fee account gets.
    pub fee: Fee,
    /// The next nonce of the sub-account.
    pub nonce: Nonce,
}

/// A key change, as the holder of the new key signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How the owner authorises the key.
    pub eth_auth_data: KeyAuth,
}

/// How the owner of an account authorises a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Tx {
    /// A payment on L2.
    Transfer(TransferTx),
    /// A payout on a chain.
    Withdraw(WithdrawTx),
    /// A key change.
    ChangePubKey(ChangePubKeyTx),
}

/// What a user sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTx {
    /// The transaction.
    #[serde(flatten)]
    pub tx: Tx,
    /// The L2 signature over it.
    pub signature: TxSignature,
}

/// An L2 signature and the key that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TxSignature {
    /// The key.
    pub pub_key: PublicKey,
    /// The signature.
    pub signature: Signature,
}

/// Keys that owners authorised by a transaction on a chain, as far as that is final there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAuthorisations(pub BTreeSet<(ChainId, Owner, Nonce, String)>);

impl KeyAuthorisations {
    /// Records that the owner authorised the key for this nonce.
    pub fn insert(&mut self, chain: ChainId, owner: Owner, nonce: Nonce, key: &PublicKey) {
        self.0.insert((chain, owner, nonce, String::from(*key)));
    }

    fn contains(&self, tx: &ChangePubKeyTx, owner: Owner) -> bool {
        let key = String::from(tx.new_pub_key);
        self.0.contains(&(tx.chain_id, owner, tx.nonce, key))
    }
}

const TRANSFER_HEADER: Packed<8> = Packed::new([
    field("type", 1),
    field("account", 3),
    field("sub_account", 1),
    field("to_sub_account", 1),
    field("token", 2),
    field("fee", 2),
    field("nonce", 4),
    field("to_top", 1),
]);

const WITHDRAW_HEADER: Packed<9> = Packed::new([
    field("type", 1),
    field("account", 3),
    field("sub_account", 1),
    field("chain", 1),
    field("token", 2),
    field("fee", 2),
    field("nonce", 4),
    field("scale", 1),
    field("to_top", 1),
]);

const CHANGE_PUB_KEY_HEADER: Packed<7> = Packed::new([
    field("type", 1),
    field("account", 3),
    field("sub_account", 1),
    field("chain", 1),
    field("fee_token", 2),
    field("fee", 2),
    field("nonce", 4),
]);

/// The headers of the signed messages. The circuit packs with their weights.
pub mod header {
    use super::Packed;

    /// Header of a signed transfer.
    pub const TRANSFER: Packed<8> = super::TRANSFER_HEADER;
    /// Header of a signed withdrawal.
    pub const WITHDRAW: Packed<9> = super::WITHDRAW_HEADER;
    /// Header of a signed key change.
    pub const CHANGE_PUB_KEY: Packed<7> = super::CHANGE_PUB_KEY_HEADER;
}

/// What an L2 signature binds.
fn message(deployment: DeploymentId, header: Fr, third: Fr, fourth: Fr) -> Fr {
    compress4(Domain::Message, [low_word(deployment.0), header, third, fourth])
}

impl TransferTx {
    fn message(&self, deployment: DeploymentId) -> Result<Fr, Reject> {
        check_account(self.account_id, self.from_sub_account_id)?;
        let header = TRANSFER_HEADER.pack([
            Transfer::CODE.into(),
            self.account_id.0.into(),
            self.from_sub_account_id.0.into(),
            self.to_sub_account_id.0.into(),
            self.token.0.into(),
            self.fee.canonical().0.into(),
            self.nonce.0.into(),
            self.to.top().into(),
        ]);
        Ok(message(deployment, header, amount_to_fr(self.amount), low_word(self.to.low())))
    }

    fn resolve(&self, state: &State, network: &Network) -> Result<Op, Reject> {
        check_account(self.account_id, self.from_sub_account_id)?;
        check_account(self.account_id, self.to_sub_account_id)?;
        network.token(self.token)?;
        if self.to.is_none() {
            return Err(Reject::BadReceiver);
        }
        let (to_account, new_owner) = match state.account_of(self.to) {
            Some(id) => (id, None),
            None => (state.next_account()?, Some(self.to)),
        };
        Ok(Op::Transfer(Transfer {
            account: self.account_id,
            sub_account: self.from_sub_account_id,
            to_account,
            to_sub_account: self.to_sub_account_id,
            token: self.token,
            amount: self.amount,
            fee: self.fee.canonical(),
            new_owner,
        }))
    }
}

impl WithdrawTx {
    /// The amount in the chain's units, and the scale between them and ours.
    fn l1_amount(&self, network: &Network) -> Result<(u128, u8), Reject> {
        let token = network.l1_token(self.to_chain_id, self.token)?;
        let dust = Reject::Dust { chain: self.to_chain_id, decimals: token.decimals };
        Ok((scale_down(self.amount, token.scale()).ok_or(dust)?, token.scale()))
    }

    fn message(&self, deployment: DeploymentId, network: &Network) -> Result<Fr, Reject> {
        check_account(self.account_id, self.sub_account_id)?;
        let (l1_amount, scale) = self.l1_amount(network)?;
        let header = WITHDRAW_HEADER.pack([
            Withdraw::CODE.into(),
            self.account_id.0.into(),
            self.sub_account_id.0.into(),
            self.to_chain_id.0.into(),
            self.token.0.into(),
            self.fee.canonical().0.into(),
            self.nonce.0.into(),
            scale.into(),
            self.to.top().into(),
        ]);
        Ok(message(deployment, header, amount_to_fr(Amount(l1_amount)), low_word(self.to.low())))
    }

    fn resolve(&self, network: &Network) -> Result<Op, Reject> {
        network.chain(self.to_chain_id)?;
        check_account(self.account_id, self.sub_account_id)?;
        let (l1_amount, scale) = self.l1_amount(network)?;
        // The vault pays EVM addresses only, and would refuse a block with any other receiver.
        if self.to.is_none() || self.to.to_evm().is_none() {
            return Err(Reject::BadReceiver);
        }
        Ok(Op::Withdraw(Withdraw {
            chain: self.to_chain_id,
            account: self.account_id,
            sub_account: self.sub_account_id,
            token: self.token,
            l1_amount,
            scale,
            fee: self.fee.canonical(),
            to: self.to,
        }))
    }
}

impl ChangePubKeyTx {
    fn message(&self, deployment: DeploymentId) -> Result<Fr, Reject> {
        check_account(self.account_id, self.sub_account_id)?;
        let header = CHANGE_PUB_KEY_HEADER.pack([
            ChangePubKey::CODE.into(),
            self.account_id.0.into(),
            self.sub_account_id.0.into(),
            self.chain_id.0.into(),
            self.fee_token.0.into(),
            self.fee.canonical().0.into(),
            self.nonce.0.into(),
        ]);
        Ok(message(deployment, header, self.new_pub_key.x(), self.new_pub_key.y()))
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

    fn check_auth(
        &self,
        owner: Owner,
        network: &Network,
        authorised: &KeyAuthorisations,
    ) -> Result<(), Reject> {
        let chain = network.chain(self.chain_id)?;
        let address = owner.to_evm();
        let address = address.ok_or(Reject::KeyNotAuthorised("the owner is not an EVM address"))?;
        match &self.eth_auth_data {
            KeyAuth::Onchain if authorised.contains(self, owner) => Ok(()),
            KeyAuth::Onchain => Err(Reject::KeyNotAuthorised(
                "no final setAuthPubKey of this key and nonce was seen on that chain",
            )),
            KeyAuth::EthEcdsa { signature } => {
                let signer = recover(&self.eth_digest(chain), signature);
                if signer == Some(address) {
                    Ok(())
                } else {
                    Err(Reject::KeyNotAuthorised("the EIP-712 signature is not by the owner"))
                }
            }
        }
    }

    fn resolve(
        &self,
        state: &State,
        network: &Network,
        authorised: &KeyAuthorisations,
    ) -> Result<Op, Reject> {
        network.chain(self.chain_id)?;
        check_account(self.account_id, self.sub_account_id)?;
        network.token(self.fee_token)?;
        let account = state.account(self.account_id);
        let account = account.ok_or(Reject::AccountNotFound(self.account_id))?;
        check_nonce(account.nonce, self.nonce)?;
        self.check_auth(account.owner, network, authorised)?;
        Ok(Op::ChangePubKey(ChangePubKey {
            chain: self.chain_id,
            account: self.account_id,
            sub_account: self.sub_account_id,
            fee_token: self.fee_token,
            fee: self.fee.canonical(),
            nonce: self.nonce,
            owner: account.owner,
            key: self.new_pub_key,
        }))
    }
}

impl Tx {
    /// The token in which the fee is paid, and the fee.
    pub fn fee(&self) -> (TokenId, Fee) {
        match self {
            Tx::Transfer(tx) => (tx.token, tx.fee),
            Tx::Withdraw(tx) => (tx.token, tx.fee),
            Tx::ChangePubKey(tx) => (tx.fee_token, tx.fee),
        }
    }

    /// The field element that the L2 signature signs.
    ///
    /// # Errors
    /// When a field is so far out of range that the message cannot be formed.
    pub fn message(&self, deployment: DeploymentId, network: &Network) -> Result<Fr, Reject> {
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
        Ok(TxHash(keccak(&[&fr_to_be_bytes(message)])))
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
        let signature = TxSignature { pub_key: key.public(), signature: sign(key, message) };
        Ok(SignedTx { tx: self, signature })
    }
}

impl SignedTx {
    /// Checks everything but balances and reserves, and gives the operation to apply.
    ///
    /// # Errors
    /// The first broken rule: chain, account, token, receiver, existence, key, nonce, authorisation, signature.
    pub fn verify(
        &self,
        state: &State,
        network: &Network,
        authorised: &KeyAuthorisations,
    ) -> Result<Op, Reject> {
        let op = match &self.tx {
            Tx::Transfer(tx) => {
                let op = tx.resolve(state, network)?;
                self.check_signer(state, tx.account_id, tx.from_sub_account_id, tx.nonce)?;
                op
            }
            Tx::Withdraw(tx) => {
                let op = tx.resolve(network)?;
                self.check_signer(state, tx.account_id, tx.sub_account_id, tx.nonce)?;
                op
            }
            Tx::ChangePubKey(tx) => {
                let op = tx.resolve(state, network, authorised)?;
                if self.signature.pub_key != tx.new_pub_key {
                    return Err(Reject::Signature);
                }
                op
            }
        };
        let message = self.tx.message(state.system.deployment, network)?;
        let TxSignature { pub_key, signature } = &self.signature;
        verify(pub_key, message, signature).map_err(|_| Reject::Signature)?;
        Ok(op)
    }

    /// The account exists, has a key, the nonce is its next one, and the signature names that key.
    fn check_signer(
        &self,
        state: &State,
        id: AccountId,
        sub: SubAccountId,
        nonce: Nonce,
    ) -> Result<(), Reject> {
        let account = state.account(id).ok_or(Reject::AccountNotFound(id))?;
        let key = account.key.as_ref().ok_or(Reject::KeyNotSet(id))?;
        let expected = account.sub_accounts.get(&sub).map(|sub| sub.nonce).unwrap_or_default();
        check_nonce(expected, nonce)?;
        if *key != self.signature.pub_key {
            return Err(Reject::Signature);
        }
        Ok(())
    }
}

fn check_account(account: AccountId, sub: SubAccountId) -> Result<(), Reject> {
    if !account.is_valid() {
        return Err(Reject::BadAccount(account));
    }
    if !sub.is_valid() {
        return Err(Reject::BadSubAccount(sub));
    }
    Ok(())
}

fn check_nonce(expected: Nonce, found: Nonce) -> Result<(), Reject> {
    if expected != found {
        return Err(Reject::Nonce { expected, found });
    }
    Ok(())
}

/// The EVM address that made a signature of 65 bytes over a digest. High `s` values and odd `v` are refused, as the
/// contract refuses them.
pub fn recover(digest: &[u8; 32], signature: &[u8; 65]) -> Option<[u8; 20]> {
    let id = RecoveryId::from_byte(signature[64].checked_sub(27)?)?;
    if id.is_x_reduced() {
        return None;
    }
    let parsed = EcdsaSignature::from_slice(&signature[..64]).ok()?;
    if parsed.normalize_s().is_some() {
        return None;
    }
    let key = VerifyingKey::recover_from_prehash(digest, &parsed, id).ok()?;
    Some(evm_address(&key))
}

/// The EVM address of a secp256k1 key.
pub fn evm_address(key: &VerifyingKey) -> [u8; 20] {
    let point = key.to_encoded_point(false);
    let hash = keccak(&[&point.as_bytes()[1..]]);
    hash[12..].try_into().expect("32 - 12 = 20")
}

/// Keccak-256 of the parts, joined.
pub fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Bytes as an ABI word: right-aligned in 32.
pub(crate) fn word(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    word[32 - bytes.len()..].copy_from_slice(bytes);
    word
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
