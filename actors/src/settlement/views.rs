//! What the contracts say, read in one go per chain.

use std::collections::BTreeMap;

use zklink::id::{BlockNumber, ChainId};
use zklink::token::Address;

use crate::chain::client::{At, ChainClient};
use crate::chain::contracts::{Hub, LightOracle, ReadError, Rollup, read};

/// What a chain's rollup contract says of its own operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainView {
    /// The last block with a record.
    pub committed: BlockNumber,
    /// The last block that was acked.
    pub acked: BlockNumber,
    /// The last block that was released.
    pub released: BlockNumber,
    /// The last block that was paid.
    pub paid: BlockNumber,
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
    let paid = read(client, rollup, &Rollup::lastPaidCall {}, at).await?;
    Ok(ChainView {
        committed: BlockNumber(committed),
        acked: BlockNumber(acked),
        released: BlockNumber(released),
        paid: BlockNumber(paid),
        rolling: read_rolling(client, rollup, committed).await?,
        acked_rolling: read_rolling(client, rollup, acked).await?,
    })
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
    rollup: Address,
    chains: impl IntoIterator<Item = ChainId>,
) -> Result<HubView, ReadError> {
    let at = At::Latest;
    let (mut acked, mut contents) = (BTreeMap::new(), BTreeMap::new());
    for chain in chains {
        let info = read(client, rollup, &Hub::chainInfoCall { chain: chain.0 }, at).await?;
        acked.insert(chain, BlockNumber(info.ackedThrough));
        contents.insert(chain, (BlockNumber(info.last), info.lastRolling.0));
    }
    // From the last stage to the first: a block that moves on meanwhile is seen too early rather
    // than too late.
    let released = read(client, rollup, &Hub::blocksReleasedCall {}, at).await?;
    let proven = read(client, rollup, &Hub::blocksProvenCall {}, at).await?;
    let committed = read(client, rollup, &Hub::blocksCommittedCall {}, at).await?;
    let root = read(client, rollup, &Hub::rootOfCall { number: committed }, at).await?;
    Ok(HubView {
        committed: BlockNumber(committed),
        proven: BlockNumber(proven),
        released: BlockNumber(released),
        root: root.0,
        acked,
        contents,
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
