//! A person with a key on L2.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;
use zklink::amount::Fee;
use zklink::id::{ChainId, Owner, TokenId};
use zklink::key::SecretKey;
use zklink::token::Address;
use zklink::tx::keccak;
use zklink_client::Wallet;

use crate::local::LocalNetwork;
use crate::people::key_of;

/// zkLink's code for a key that the owner did not authorise, or not finally yet.
const NOT_AUTHORISED: i32 = 108;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(300);

/// See the module.
pub(super) struct Actor {
    name: &'static str,
    /// Signs on L2.
    pub(super) wallet: Wallet,
}

impl Actor {
    /// A person whose keys come from the name.
    pub(super) async fn connect(network: &LocalNetwork, name: &'static str) -> Result<Actor> {
        let owner = Owner::from_evm(key_of(name).address());
        let secret =
            SecretKey::from_seed(&keccak(&[b"zkLink development L2 key", name.as_bytes()]));
        Ok(Actor { name, wallet: Wallet::connect(&network.client, owner, secret).await? })
    }

    /// The person's address on chains.
    pub(super) fn address(&self) -> Address {
        key_of(self.name).address()
    }

    /// Sets the key with an EIP-712 signature for the contract of a chain.
    pub(super) async fn set_key_by_signature(
        &self,
        network: &LocalNetwork,
        chain: ChainId,
        fee: (TokenId, Fee),
    ) -> Result<()> {
        let owner = key_of(self.name);
        let authorise = |digest: [u8; 32]| owner.sign_digest(&digest);
        let client = &network.client;
        let tx = self.wallet.change_pub_key(client, chain, fee, Some(authorise)).await?;
        client.send(&tx).await?;
        Ok(())
    }

    /// Authorises the key by a transaction, and sets it when that is final; says how long that took.
    pub(super) async fn set_key_on_chain(
        &self,
        network: &LocalNetwork,
        chain: ChainId,
        fee: (TokenId, Fee),
        patience: Duration,
    ) -> Result<Duration> {
        let client = &network.client;
        let account = self.wallet.account(client).await?;
        let on_chain = network.wallet(self.name, chain);
        on_chain.set_auth_pub_key(&self.wallet.key().public(), account.nonce).await?;
        let started = Instant::now();
        let nobody: Option<fn([u8; 32]) -> [u8; 65]> = None;
        let tx = self.wallet.change_pub_key(client, chain, fee, nobody).await?;
        loop {
            match client.send(&tx).await {
                Ok(_) => return Ok(started.elapsed()),
                // The node believes only what is final; until then it says that nothing was authorised.
                Err(error) if error.code() == Some(NOT_AUTHORISED) => {}
                Err(error) => return Err(error.into()),
            }
            if started.elapsed() > patience {
                bail!("the key of {} is not final after {} s", self.name, patience.as_secs());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
