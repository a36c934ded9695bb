//! What gas costs, on chains of all kinds.

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

    async fn history(&self) -> Result<FeeMarket, ClientError> {
        let params = vec![json!("0x5"), json!("latest"), json!([50])];
        let history: RawFeeHistory = self.ask("eth_feeHistory", params).await?;
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

    /// The one price of a chain without a base fee, which must be paid whole.
    async fn price(&self) -> Result<FeeMarket, ClientError> {
        let price: U256 = self.ask("eth_gasPrice", Vec::new()).await?;
        Ok(FeeMarket { base_fee: 0, priority_fee: self.number(price, "a gas price")? })
    }
}
