//! What the contracts say, read in one go per chain.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use zklink::id::{BlockNumber, ChainId};
use zklink::token::Address;
use zklink_chain::client::{At, ChainClient};
use zklink_chain::contracts::{Hub, LightOracle, ReadError, Rollup, read};

use super::PayGas;

/// What a chain's rollup contract says of its own operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainView {
    /// The last block with a record.
    pub committed: BlockNumber,
    /// The last block that was acked.
    pub acked: BlockNumber,
    /// The last block that was released.
    pub released: BlockNumber,
    /// The last block that was paid to the end.
    pub paid: BlockNumber,
    /// How many chunks of the block after it are paid.
    pub chunks_paid: u32,
    /// The gas of payouts; asked for only when some are due.
    pub pay_gas: PayGas,
    /// The rolling content of the last record; zero before the first.
    pub rolling: [u8; 32],
    /// The rolling content of the last acked record; zero before the first.
    pub acked_rolling: [u8; 32],
}

/// What the hub says of the blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubView {
    /// The last committed block.
    pub committed: BlockNumber,
    /// The last proven block.
    pub proven: BlockNumber,
    /// The last released block.
    pub released: BlockNumber,
    /// The root after the last committed block.
    pub root: [u8; 32],
    /// For each chain the last block up to which it agreed.
    pub acked: BTreeMap<ChainId, BlockNumber>,
    /// For each chain the last block with operations of it, and the chain's rolling content there;
    /// zero before the first.
    pub contents: BTreeMap<ChainId, (BlockNumber, [u8; 32])>,
    /// For each chain the last released block with operations of it, and the last one that it was told of.
    pub releases: BTreeMap<ChainId, (BlockNumber, BlockNumber)>,
}

/// What a chain's oracle has taken so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OracleView {
    /// For each source the number of its next message.
    pub delivered: BTreeMap<ChainId, u64>,
}

/// Reads a chain's view.
///
/// # Errors
/// [`ReadError`].
pub async fn read_chain_view(
    client: &dyn ChainClient,
    rollup: Address,
) -> Result<ChainView, ReadError> {
    let at = At::Latest;
    let committed = read(client, rollup, &Rollup::lastCommittedCall {}, at).await?;
    let acked = read(client, rollup, &Rollup::lastAckedCall {}, at).await?;
    let released = read(client, rollup, &Rollup::lastReleasedCall {}, at).await?;
    // A payment between the two answers makes the second too small or too large, and the contract refuses a step that
    // was made of it.
    let paid = read(client, rollup, &Rollup::lastPaidCall {}, at).await?;
    let chunks_paid = read(client, rollup, &Rollup::chunksPaidCall {}, at).await?;
    let due = paid < released;
    let pay_gas = if due { read_pay_gas(client, rollup).await? } else { PayGas::default() };
    Ok(ChainView {
        committed: BlockNumber(committed),
        acked: BlockNumber(acked),
        released: BlockNumber(released),
        paid: BlockNumber(paid),
        chunks_paid,
        pay_gas,
        rolling: read_rolling(client, rollup, committed).await?,
        acked_rolling: read_rolling(client, rollup, acked).await?,
    })
}

/// The parts of the gas of payouts.
async fn read_pay_gas(client: &dyn ChainClient, rollup: Address) -> Result<PayGas, ReadError> {
    let gas = async |portions: u8, withdrawals: u8| {
        let (portions, withdrawals) = (U256::from(portions), U256::from(withdrawals));
        let call = Rollup::payGasCall { portions, withdrawals };
        let gas = read(client, rollup, &call, At::Latest).await?;
        Ok::<u64, ReadError>(u64::try_from(gas).unwrap_or(u64::MAX))
    };
    let base = gas(0, 0).await?;
    let portion = gas(1, 0).await?.saturating_sub(base);
    let withdrawal = gas(0, 1).await?.saturating_sub(base);
    Ok(PayGas { base, portion, withdrawal })
}

/// The rolling content of a record, zero for that of genesis.
///
/// The views are read one after the other, and the chain may move meanwhile. This answer belongs to
/// its number whatever happens: a record that is gone is an error, never the content of another one.
async fn read_rolling(
    client: &dyn ChainClient,
    rollup: Address,
    number: u32,
) -> Result<[u8; 32], ReadError> {
    if number == 0 {
        return Ok([0; 32]);
    }
    let record = read(client, rollup, &Rollup::recordOfCall { number }, At::Latest).await?;
    Ok(record.rolling.0)
}

/// Reads the hub's view of all chains.
///
/// # Errors
/// [`ReadError`].
pub async fn read_hub_view(
    client: &dyn ChainClient,
    hub: Address,
    chains: impl IntoIterator<Item = ChainId>,
) -> Result<HubView, ReadError> {
    let at = At::Latest;
    let (mut acked, mut contents, mut releases) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for chain in chains {
        let info = read(client, hub, &Hub::chainInfoCall { chain: chain.0 }, at).await?;
        acked.insert(chain, BlockNumber(info.ackedThrough));
        contents.insert(chain, (BlockNumber(info.last), info.lastRolling.0));
        releases.insert(chain, (BlockNumber(info.released), BlockNumber(info.sent)));
    }
    // From the last stage to the first: a block that moves on meanwhile is seen too early rather
    // than too late.
    let released = read(client, hub, &Hub::blocksReleasedCall {}, at).await?;
    let proven = read(client, hub, &Hub::blocksProvenCall {}, at).await?;
    let committed = read(client, hub, &Hub::blocksCommittedCall {}, at).await?;
    let root = read(client, hub, &Hub::rootOfCall { number: committed }, at).await?;
    Ok(HubView {
        committed: BlockNumber(committed),
        proven: BlockNumber(proven),
        released: BlockNumber(released),
        root: root.0,
        acked,
        contents,
        releases,
    })
}

/// Reads which messages a chain's oracle has taken.
///
/// # Errors
/// [`ReadError`].
pub(super) async fn read_oracle_view(
    client: &dyn ChainClient,
    oracle: Address,
    sources: impl IntoIterator<Item = ChainId>,
) -> Result<OracleView, ReadError> {
    let mut delivered = BTreeMap::new();
    for source in sources {
        let call = LightOracle::deliveredCountCall { source: source.0 };
        delivered.insert(source, read(client, oracle, &call, At::Latest).await?);
    }
    Ok(OracleView { delivered })
}
