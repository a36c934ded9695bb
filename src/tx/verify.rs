//! Whether a transaction may be executed, and how an [`Op`] comes out of it.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use super::ethereum::recover;
use super::form::{ChangePubKeyTx, KeyAuth, SignedTx, TransferTx, Tx, WithdrawTx};
use super::message::{TxHash, check_account};
use crate::hash::{Domain, Fr, compress4_each};
use crate::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId};
use crate::key::{PackedKey, PublicKey, Signature, SignatureError, verify, verify_batch};
use crate::op::{ChangePubKey, Op, Transfer, Withdraw};
use crate::reject::Reject;
use crate::state::{DeploymentId, State};
use crate::token::Network;

/// Keys that owners authorised by a transaction on a chain, as far as that is final there.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
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

impl TransferTx {
    fn resolve(&self, state: &State, network: &Network) -> Result<Op, Reject> {
        check_account(self.account_id, self.from_sub_account_id)?;
        check_account(self.account_id, self.to_sub_account_id)?;
        network.token(self.token)?;
        network.check_owner(self.to)?;
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
    fn resolve(&self, network: &Network) -> Result<Op, Reject> {
        network.chain(self.to_chain_id)?;
        check_account(self.account_id, self.sub_account_id)?;
        let (l1_amount, scale) = self.l1_amount(network)?;
        network.check_payee(self.to_chain_id, self.to)?;
        Ok(Op::Withdraw(Withdraw {
            chain: self.to_chain_id,
            account: self.account_id,
            sub_account: self.sub_account_id,
            token: self.token,
            l1_amount,
            scale,
            fee: self.max_fee.canonical(),
            to: self.to,
        }))
    }
}

impl ChangePubKeyTx {
    fn check_auth(
        &self,
        owner: Owner,
        network: &Network,
        authorised: &KeyAuthorisations,
    ) -> Result<(), Reject> {
        let chain = network.chain(self.chain_id)?;
        if owner.is_contract() && owner.home != self.chain_id {
            return Err(Reject::KeyNotAuthorised("the owner is a contract of another chain"));
        }
        let address = owner.to_evm();
        let address = address.ok_or(Reject::KeyNotAuthorised("the owner is not an EVM address"))?;
        match &self.eth_auth_data {
            KeyAuth::Onchain if authorised.contains(self, owner) => Ok(()),
            KeyAuth::Onchain => Err(Reject::KeyNotAuthorised(
                "no final setAuthPubKey of this key and nonce was seen on that chain",
            )),
            // A wallet may take back what it signs, and a commit must not depend on that: only what it recorded counts.
            KeyAuth::EthEcdsa { .. } if owner.is_contract() => {
                Err(Reject::KeyNotAuthorised("a contract authorises a key by a call on its chain"))
            }
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
        check_key_version(account.key_version, self.key_version)?;
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
        let (op, signer) = self.resolve(state, network, authorised)?;
        let message = self.tx.message(state.system.deployment, network)?;
        self.check_signature(&signer, message)?;
        Ok(op)
    }

    /// The key that must sign: that of the account, as the state has it, or the new one.
    pub fn signer(&self, state: &State) -> Option<PublicKey> {
        match &self.tx {
            Tx::Transfer(tx) => state.account(tx.account_id)?.key,
            Tx::Withdraw(tx) => state.account(tx.account_id)?.key,
            Tx::ChangePubKey(tx) => Some(tx.new_pub_key),
        }
    }

    /// Checks everything but the signature, balances and reserves; gives the operation and the key that must have
    /// signed.
    fn resolve(
        &self,
        state: &State,
        network: &Network,
        authorised: &KeyAuthorisations,
    ) -> Result<(Op, PublicKey), Reject> {
        match &self.tx {
            Tx::Transfer(tx) => {
                let op = tx.resolve(state, network)?;
                let nonces = (tx.nonce, tx.key_version);
                let of = (tx.account_id, tx.from_sub_account_id);
                Ok((op, self.check_signer(state, of, nonces)?))
            }
            Tx::Withdraw(tx) => {
                let op = tx.resolve(network)?;
                let nonces = (tx.nonce, tx.key_version);
                let of = (tx.account_id, tx.sub_account_id);
                Ok((op, self.check_signer(state, of, nonces)?))
            }
            Tx::ChangePubKey(tx) => {
                let op = tx.resolve(state, network, authorised)?;
                if self.signature.pub_key != PackedKey::from(&tx.new_pub_key) {
                    return Err(Reject::Signature);
                }
                Ok((op, tx.new_pub_key))
            }
        }
    }

    /// The account exists, has a key, the nonce is its next one, and the signature names that key, which is given.
    fn check_signer(
        &self,
        state: &State,
        (id, sub): (AccountId, SubAccountId),
        (nonce, key_version): (Nonce, KeyVersion),
    ) -> Result<PublicKey, Reject> {
        let account = state.account(id).ok_or(Reject::AccountNotFound(id))?;
        let key = account.key.as_ref().ok_or(Reject::KeyNotSet(id))?;
        let expected = account.sub_accounts.get(&sub).map(|sub| sub.nonce).unwrap_or_default();
        check_nonce(expected, nonce)?;
        check_key_version(account.key_version, key_version)?;
        if self.signature.pub_key != PackedKey::from(key) {
            return Err(Reject::Signature);
        }
        Ok(*key)
    }

    fn check_signature(&self, signer: &PublicKey, message: Fr) -> Result<(), Reject> {
        verify(signer, message, &self.signature.signature).map_err(|_| Reject::Signature)
    }
}

/// A transaction with what was found out about it on its way to the state: its message and hash, and the key under
/// which its signature is right. So neither is computed twice, and a wrong signature does not reach whoever owns the
/// state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTx {
    signed: SignedTx,
    deployment: DeploymentId,
    message: Fr,
    hash: TxHash,
    /// Only [`CheckedTx::check`] writes it.
    signer: Option<PublicKey>,
}

impl CheckedTx {
    /// A transaction of a deployment of which nothing is known but its hash.
    ///
    /// # Errors
    /// As [`Tx::message`].
    pub fn new(
        signed: SignedTx,
        deployment: DeploymentId,
        network: &Network,
    ) -> Result<CheckedTx, Reject> {
        let message = signed.tx.message(deployment, network)?;
        let hash = TxHash::of(message);
        Ok(CheckedTx { signed, deployment, message, hash, signer: None })
    }

    /// As [`CheckedTx::new`], for several transactions, which takes less time than one by one.
    pub fn new_each(
        signed: Vec<SignedTx>,
        deployment: DeploymentId,
        network: &Network,
    ) -> Vec<Result<CheckedTx, Reject>> {
        let bound: Vec<_> = signed.iter().map(|tx| tx.tx.bound(deployment, network)).collect();
        let lanes: Vec<[Fr; 4]> = bound.iter().flatten().copied().collect();
        let mut messages = compress4_each(Domain::Message, &lanes).into_iter();
        let formed = signed.into_iter().zip(bound).map(|(signed, bound)| {
            bound?;
            let message = messages.next().expect("one for each that can be formed");
            let hash = TxHash::of(message);
            Ok(CheckedTx { signed, deployment, message, hash, signer: None })
        });
        formed.collect()
    }

    /// The transaction.
    pub fn signed(&self) -> &SignedTx {
        &self.signed
    }

    /// Its hash.
    pub fn hash(&self) -> TxHash {
        self.hash
    }

    /// Checks the signature under a key, if the transaction names this key. If it names another one, a state will say
    /// what that means.
    ///
    /// # Errors
    /// [`Reject::Signature`].
    pub fn check(&mut self, key: &PublicKey) -> Result<(), Reject> {
        if self.signed.signature.pub_key == PackedKey::from(key) {
            self.signed.check_signature(key, self.message)?;
            self.signer = Some(*key);
        }
        Ok(())
    }

    /// [`CheckedTx::check`] for several transactions, which takes less time than one by one. The results are in the
    /// same order; a wrong signature is nothing to the others.
    pub fn check_each<'a>(
        txs: impl IntoIterator<Item = (&'a mut CheckedTx, PublicKey)>,
    ) -> Vec<Result<(), Reject>> {
        let (mut results, mut named) = (Vec::new(), Vec::new());
        for (place, (tx, key)) in txs.into_iter().enumerate() {
            results.push(Ok(()));
            if tx.signed.signature.pub_key == PackedKey::from(&key) {
                named.push((place, tx, key));
            }
        }
        let items: Vec<(PublicKey, Fr, Signature)> = named
            .iter()
            .map(|(_, tx, key)| (*key, tx.message, tx.signed.signature.signature))
            .collect();
        let wrong: BTreeMap<usize, SignatureError> =
            verify_batch(&items).err().into_iter().flatten().collect();
        for (item, (place, tx, key)) in named.into_iter().enumerate() {
            if wrong.contains_key(&item) {
                results[place] = Err(Reject::Signature);
            } else {
                tx.signer = Some(key);
            }
        }
        results
    }

    /// [`SignedTx::verify`] without the signature.
    ///
    /// # Errors
    /// As there.
    pub fn verify_unsigned(
        &self,
        state: &State,
        network: &Network,
        authorised: &KeyAuthorisations,
    ) -> Result<Op, Reject> {
        self.signed.resolve(state, network, authorised).map(|(op, _)| op)
    }

    /// [`SignedTx::verify`]; a signature that was right under the key that must have signed is not checked again.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// When the state is of another deployment than the message.
    pub fn verify(
        &self,
        state: &State,
        network: &Network,
        authorised: &KeyAuthorisations,
    ) -> Result<Op, Reject> {
        assert_eq!(
            self.deployment, state.system.deployment,
            "the message is of another deployment"
        );
        let (op, signer) = self.signed.resolve(state, network, authorised)?;
        if self.signer != Some(signer) {
            self.signed.check_signature(&signer, self.message)?;
        }
        Ok(op)
    }
}

fn check_nonce(expected: Nonce, found: Nonce) -> Result<(), Reject> {
    if expected != found {
        return Err(Reject::Nonce { expected, found });
    }
    Ok(())
}

fn check_key_version(expected: KeyVersion, found: KeyVersion) -> Result<(), Reject> {
    if expected != found {
        return Err(Reject::KeyVersion { expected, found });
    }
    Ok(())
}
