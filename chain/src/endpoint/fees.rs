//! What gas and blob gas cost, on chains of all kinds.

use serde::Deserialize;
use serde_json::json;
use web3::types::U256;

use super::Endpoint;
use crate::client::{At, ClientError, FeeMarket};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFeeHistory {
    base_fee_per_gas: Vec<U256>,
    reward: Option<Vec<Vec<U256>>>,
    /// Chains without blobs have none, or zeros.
    base_fee_per_blob_gas: Option<Vec<U256>>,
}

impl Endpoint {
    /// From the recent blocks; where the endpoint gives none, from its own advice; where the chain has no base fee, the
    /// one price that it has, as a tip on a base fee of zero.
    pub(super) async fn market(&self) -> Result<FeeMarket, ClientError> {
        match self.history().await {
            // Blocks without a base fee and without tips say nothing of the price.
            Ok(market) if market.base_fee > 0 || market.priority_fee > 0 => Ok(market),
            Ok(silent) => Ok(self.price().await.unwrap_or(silent)),
            Err(_) => self.advised().await,
        }
    }

    async fn recent(&self) -> Result<RawFeeHistory, ClientError> {
        let params = vec![json!("0x5"), json!("latest"), json!([50])];
        self.ask("eth_feeHistory", params).await
    }

    async fn history(&self) -> Result<FeeMarket, ClientError> {
        let history = self.recent().await?;
        let next = history.base_fee_per_gas.last();
        let next = *next.ok_or_else(|| self.malformed("a fee history"))?;
        let mut tips: Vec<U256> = Vec::new();
        tips.extend(history.reward.iter().flatten().filter_map(|block| block.first()));
        tips.sort_unstable();
        let median = tips.get(tips.len() / 2).copied().unwrap_or_default();
        Ok(FeeMarket {
            base_fee: self.number(next, "a base fee")?,
            priority_fee: self.number(median, "a priority fee")?,
        })
    }

    /// The base fee of the newest block with the tip that the server advises, or else its price. A server that cannot
    /// be reached is asked no further.
    async fn advised(&self) -> Result<FeeMarket, ClientError> {
        let block = self.block(At::Latest).await?;
        let base_fee = block.and_then(|block| block.base_fee_per_gas).unwrap_or_default();
        let base_fee = self.number(base_fee, "a base fee")?;
        if base_fee > 0
            && let Ok(tip) = self.ask::<U256>("eth_maxPriorityFeePerGas", Vec::new()).await
        {
            return Ok(FeeMarket { base_fee, priority_fee: self.number(tip, "a priority fee")? });
        }
        match self.price().await {
            // The sender knows a least tip of its own.
            Err(_) if base_fee > 0 => Ok(FeeMarket { base_fee, priority_fee: 0 }),
            price => price,
        }
    }

    /// What the endpoint says, or else what the recent blocks do. A chain whose blocks do not count blob gas has no
    /// blobs; of one that does, the price is not known where nobody tells it.
    pub(super) async fn blob_market(&self) -> Result<Option<u128>, ClientError> {
        let told = self.ask::<Option<U256>>("eth_blobBaseFee", Vec::new()).await;
        let told = match told {
            Ok(Some(fee)) => return Ok(Some(self.number(fee, "a base fee of blobs")?)),
            Err(error @ ClientError::Unreachable { .. }) => return Err(error),
            told => told,
        };
        let recent = self.recent().await.ok().and_then(|history| history.base_fee_per_blob_gas);
        if let Some(fee) = recent.and_then(|fees| fees.last().copied()).filter(|fee| !fee.is_zero())
        {
            return Ok(Some(self.number(fee, "a base fee of blobs")?));
        }
        match self.block(At::Latest).await? {
            Some(block) if block.excess_blob_gas.is_none() => Ok(None),
            _ => Err(told.err().unwrap_or_else(|| self.malformed("a base fee of blobs"))),
        }
    }

    /// The one price of a chain without a base fee, which must be paid whole.
    async fn price(&self) -> Result<FeeMarket, ClientError> {
        let price: U256 = self.ask("eth_gasPrice", Vec::new()).await?;
        Ok(FeeMarket { base_fee: 0, priority_fee: self.number(price, "a gas price")? })
    }
}
