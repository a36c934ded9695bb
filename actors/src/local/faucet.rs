//! The faucet of a development network: the funder deposits for whoever asks.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use anyhow::{Context, Result, ensure};
use tokio::sync::Mutex;
use zklink::id::{ChainId, SubAccountId};
use zklink::token::{Network, scale_down};
use zklink_chain::deploy::Deployment;
use zklink_chain::wallet::Wallet;
use zklink_node::gateway::{Dripped, Faucet, FaucetRequest, NoDrip};

use crate::chains::{CHAINS, Chains};

/// The most that one request may ask for: a million tokens.
const MOST: u128 = 1_000_000 * 10u128.pow(18);
/// The most coins in one request: a hundred. The funder's coins pay for everything else, too.
const MOST_COINS: u128 = 100 * 10u128.pow(18);

/// See the module. One request at a time on each chain: two transactions of one key need an order.
pub(super) struct FunderFaucet {
    network: Network,
    wallets: BTreeMap<ChainId, Mutex<Wallet>>,
}

impl FunderFaucet {
    pub(super) fn new(chains: &Chains, deployment: &Deployment) -> FunderFaucet {
        let wallets = CHAINS.into_iter().filter_map(|id| {
            let contracts = deployment.chain(id)?.into();
            let sender = chains.sender(id, &chains.funder);
            Some((id, Mutex::new(Wallet::new(sender, contracts))))
        });
        FunderFaucet { network: deployment.network(), wallets: wallets.collect() }
    }

    async fn give(&self, request: FaucetRequest) -> Dripped {
        let refused = |error| NoDrip::Refused(format!("{error:#}"));
        let units = self.units(request).map_err(refused)?;
        let deposited = self.deposit(request, units).await;
        deposited.map_err(|error| NoDrip::Failed(format!("{error:#}")))
    }

    /// What is asked for, in the chain's units, if the faucet gives so much.
    fn units(&self, request: FaucetRequest) -> Result<u128> {
        let FaucetRequest { chain, token, amount, .. } = request;
        let l1 = self.network.l1_token(chain, token)?;
        let most = if l1.address == [0; 20] { MOST_COINS } else { MOST };
        ensure!(amount.0 <= most, "the faucet gives at most {most} at once (in units of 10^-18)");
        let units = scale_down(amount, l1.scale()).with_context(|| {
            format!("the token has {} decimals on chain {chain}: round the amount", l1.decimals)
        })?;
        ensure!(units > 0, "the faucet does not give nothing");
        Ok(units)
    }

    async fn deposit(&self, request: FaucetRequest, units: u128) -> Result<[u8; 32]> {
        let FaucetRequest { owner, chain, token, .. } = request;
        let l1 = self.network.l1_token(chain, token)?;
        let wallet = self.wallets.get(&chain).context("the chain has no faucet")?.lock().await;
        let sub_account = SubAccountId(0);
        if l1.address == [0; 20] {
            return Ok(wallet.deposit_native(units, owner, sub_account).await?.tx_hash);
        }
        wallet.mint(l1.address, wallet.address(), units).await?;
        wallet.approve(l1.address, units).await?;
        Ok(wallet.deposit_erc20(token, units, owner, sub_account).await?.tx_hash)
    }
}

impl Faucet for FunderFaucet {
    fn drip(&self, request: FaucetRequest) -> Pin<Box<dyn Future<Output = Dripped> + Send + '_>> {
        Box::pin(self.give(request))
    }
}
