//! Builds and signs transactions with the nonce that the node expects.

use zklink::amount::{Amount, Fee};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId, TokenId};
use zklink::key::SecretKey;
use zklink::state::DeploymentId;
use zklink::token::Network;
use zklink::tx::{ChangePubKeyTx, KeyAuth, SignedTx, TransferTx, Tx, WithdrawTx};

use crate::client::{Client, ClientError};
use crate::rpc::ZkLinkClient;
use crate::types::AccountInfo;

/// The L2 key of one account, and what signatures for one deployment bind.
#[derive(Debug)]
pub struct Wallet {
    key: SecretKey,
    owner: Owner,
    deployment: DeploymentId,
    network: Network,
}

/// What a payment on L2 says; account, nonce and signature come from the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The sub-account that pays.
    pub from: SubAccountId,
    /// Who receives.
    pub to: Owner,
    /// The sub-account that receives.
    pub to_sub_account: SubAccountId,
    /// The token.
    pub token: TokenId,
    /// How much, in 18 decimals.
    pub amount: Amount,
    /// The fee.
    pub fee: Fee,
}

/// What a payout says; account, nonce and signature come from the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payout {
    /// The chain that pays.
    pub chain: ChainId,
    /// The sub-account that pays.
    pub from: SubAccountId,
    /// Who receives.
    pub to: Owner,
    /// The token.
    pub token: TokenId,
    /// How much, in 18 decimals.
    pub amount: Amount,
    /// The most that the fee may be.
    pub max_fee: Fee,
}

impl Wallet {
    /// A wallet for the account of `owner` on the network of the node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect(
        client: &Client,
        owner: Owner,
        key: SecretKey,
    ) -> Result<Wallet, ClientError> {
        let info = client.network().await?;
        Ok(Wallet { key, owner, deployment: info.deployment(), network: info.network()? })
    }

    /// The owner of the account.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The L2 key.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Chains and tokens as the node described them.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The deployment that signatures bind.
    pub fn deployment(&self) -> DeploymentId {
        self.deployment
    }

    /// The account as the node knows it.
    ///
    /// # Errors
    /// [`ClientError`]; code 201 before the first deposit.
    pub async fn account(&self, client: &Client) -> Result<AccountInfo, ClientError> {
        Ok(client.account(self.owner.into()).await?)
    }

    /// A payment with the next nonce, signed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn transfer(
        &self,
        client: &Client,
        payment: Payment,
    ) -> Result<SignedTx, ClientError> {
        let (account_id, nonce, key_version) = self.next(client, payment.from).await?;
        self.sign(Tx::Transfer(TransferTx {
            account_id,
            from_sub_account_id: payment.from,
            to: payment.to,
            to_sub_account_id: payment.to_sub_account,
            token: payment.token,
            amount: payment.amount,
            fee: payment.fee,
            nonce,
            key_version,
        }))
    }

    /// A payout with the next nonce, signed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn withdraw(&self, client: &Client, payout: Payout) -> Result<SignedTx, ClientError> {
        let (account_id, nonce, key_version) = self.next(client, payout.from).await?;
        self.sign(Tx::Withdraw(WithdrawTx {
            to_chain_id: payout.chain,
            account_id,
            sub_account_id: payout.from,
            to: payout.to,
            token: payout.token,
            amount: payout.amount,
            max_fee: payout.max_fee,
            nonce,
            key_version,
        }))
    }

    /// A change to this wallet's key with the next nonce, signed by that key. `authorise` gives
    /// the owner's 65-byte signature over an EIP-712 digest; without it the owner must have
    /// called `setAuthPubKey` on the chain before.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change_pub_key(
        &self,
        client: &Client,
        chain_id: ChainId,
        (fee_token, fee): (TokenId, Fee),
        authorise: Option<impl FnOnce([u8; 32]) -> [u8; 65]>,
    ) -> Result<SignedTx, ClientError> {
        let account = self.account(client).await?;
        let mut tx = ChangePubKeyTx {
            chain_id,
            account_id: account.id,
            sub_account_id: SubAccountId(0),
            new_pub_key: self.key.public(),
            fee_token,
            fee,
            nonce: account.nonce,
            key_version: account.key_version,
            eth_auth_data: KeyAuth::Onchain,
        };
        if let Some(authorise) = authorise {
            let digest = tx.eth_digest(self.network.chain(chain_id)?);
            tx.eth_auth_data = KeyAuth::EthEcdsa { signature: authorise(digest) };
        }
        self.sign(Tx::ChangePubKey(tx))
    }

    /// Signs any transaction with this wallet's key.
    ///
    /// # Errors
    /// [`ClientError::Invalid`].
    pub fn sign(&self, tx: Tx) -> Result<SignedTx, ClientError> {
        Ok(tx.sign(&self.key, self.deployment, &self.network)?)
    }

    async fn next(
        &self,
        client: &Client,
        sub: SubAccountId,
    ) -> Result<(AccountId, Nonce, KeyVersion), ClientError> {
        let account = self.account(client).await?;
        let nonce = account.sub_account_nonces.get(&sub).copied().unwrap_or_default();
        Ok((account.id, nonce, account.key_version))
    }
}
