//! What a user does on a chain: deposits, key authorisations, balances. For the demonstration and
//! for tests.

use alloy_primitives::{FixedBytes, U256};
use zklink::hash::fr_to_be_bytes;
use zklink::id::{Nonce, Owner, SubAccountId, TokenId};
use zklink::key::PublicKey;
use zklink::token::{Address, Chain};
use zklink::tx::{ChangePubKeyTx, KeyAuth};

use crate::account::EthKey;
use crate::client::{At, Receipt};
use crate::contracts::{Erc20, KeyRecorder, ReadError, Rollup, narrow, read, to_abi, transaction};
use crate::deploy::DeployedChain;
use crate::sender::{SendError, Sender};

/// Why a user's action did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// The transaction failed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A contract could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A user on one chain. The private key is never shown.
pub struct Wallet {
    sender: Sender,
    contracts: UserContracts,
}

/// The contracts that a user speaks to on one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserContracts {
    /// The vault.
    pub rollup: Address,
    /// Records keys.
    pub key_recorder: Address,
}

impl From<&DeployedChain> for UserContracts {
    fn from(chain: &DeployedChain) -> UserContracts {
        UserContracts { rollup: chain.rollup, key_recorder: chain.key_recorder }
    }
}

impl Wallet {
    /// The user who has the sender's key, and our contracts on the sender's chain.
    pub fn new(sender: Sender, contracts: UserContracts) -> Self {
        Self { sender, contracts }
    }

    /// The user's address.
    pub fn address(&self) -> Address {
        self.sender.address()
    }

    /// The user as the owner of an L2 account.
    pub fn owner(&self) -> Owner {
        Owner::from_evm(self.address())
    }

    /// Lets our contract take up to `amount` units of a token.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn approve(&self, token: Address, amount: u128) -> Result<Receipt, WalletError> {
        let call = Erc20::approveCall {
            spender: to_abi(self.contracts.rollup),
            amount: U256::from(amount),
        };
        Ok(self.sender.send(transaction(token, &call)).await?)
    }

    /// Deposits `amount` units of a token for `owner`. Our contract must be allowed to take them.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn deposit_erc20(
        &self,
        token: TokenId,
        amount: u128,
        owner: Owner,
        sub_account: SubAccountId,
    ) -> Result<Receipt, WalletError> {
        let call = Rollup::depositERC20Call {
            token: token.0,
            amount: U256::from(amount),
            owner: FixedBytes(owner.address),
            home: owner.home.0,
            subAccount: sub_account.0,
        };
        Ok(self.sender.send(transaction(self.contracts.rollup, &call)).await?)
    }

    /// Deposits native coins, in wei, for `owner`.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn deposit_native(
        &self,
        amount: u128,
        owner: Owner,
        sub_account: SubAccountId,
    ) -> Result<Receipt, WalletError> {
        let call = Rollup::depositNativeCall {
            owner: FixedBytes(owner.address),
            home: owner.home.0,
            subAccount: sub_account.0,
        };
        let mut call = transaction(self.contracts.rollup, &call);
        call.value = amount;
        Ok(self.sender.send(call).await?)
    }

    /// Authorises an L2 key on chain for one account nonce.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn set_auth_pub_key(
        &self,
        key: &PublicKey,
        nonce: Nonce,
    ) -> Result<Receipt, WalletError> {
        let call = KeyRecorder::setAuthPubKeyCall {
            home: 0,
            keyX: U256::from_be_bytes(fr_to_be_bytes(key.x())),
            keyY: U256::from_be_bytes(fr_to_be_bytes(key.y())),
            nonce: nonce.0,
        };
        Ok(self.sender.send(transaction(self.contracts.key_recorder, &call)).await?)
    }

    /// Asks our contract to pay what it could not deliver before, or what came back from a refused deposit.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn claim(&self, token: TokenId) -> Result<Receipt, WalletError> {
        let call = Rollup::claimCall { owner: to_abi(self.address()), token: token.0 };
        Ok(self.sender.send(transaction(self.contracts.rollup, &call)).await?)
    }

    /// As [`Wallet::claim`], but paid to another address: for an owner whom the token refuses to pay.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn claim_to(&self, token: TokenId, to: Address) -> Result<Receipt, WalletError> {
        let call = Rollup::claimToCall { token: token.0, to: to_abi(to) };
        Ok(self.sender.send(transaction(self.contracts.rollup, &call)).await?)
    }

    /// Mints a development token for `to`.
    ///
    /// # Errors
    /// [`WalletError`], for every other token.
    pub async fn mint(
        &self,
        token: Address,
        to: Address,
        amount: u128,
    ) -> Result<Receipt, WalletError> {
        let call = Erc20::mintCall { to: to_abi(to), amount: U256::from(amount) };
        Ok(self.sender.send(transaction(token, &call)).await?)
    }

    /// Signs a key change for our contract on `chain`, and puts the signature into the transaction.
    pub fn authorise(&self, tx: &mut ChangePubKeyTx, chain: &Chain) {
        tx.eth_auth_data = authorise(self.sender.key(), tx, chain);
    }

    /// What `owner` has of a token, in its units; of the native coin for the zero address.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn balance(&self, token: Address, owner: Address) -> Result<u128, WalletError> {
        let client = &**self.sender.client();
        if token == [0; 20] {
            let balance = client.balance(owner, At::Latest).await;
            return Ok(balance.map_err(ReadError::Client)?);
        }
        let call = Erc20::balanceOfCall { owner: to_abi(owner) };
        Ok(narrow(read(client, token, &call, At::Latest).await?))
    }
}

/// The owner's EIP-712 signature over a key change.
pub fn authorise(key: &EthKey, tx: &ChangePubKeyTx, chain: &Chain) -> KeyAuth {
    KeyAuth::EthEcdsa { signature: key.sign_digest(&tx.eth_digest(chain)) }
}
