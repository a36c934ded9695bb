//! What the contracts say, each chain at one block.
//!
//! Behind one address there may be several servers, some blocks apart, and a chain may be reorganised while it is read.
//! So a round takes the height of the tip once and asks everything there. What does not fit all the same is an error of
//! the reading, and never taken for what the contracts say.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use zklink::id::{BlockNumber, ChainId};
use zklink::token::Address;
use zklink_chain::client::{At, ChainClient, Header};
use zklink_chain::contracts::{Hub, ReadError, Rollup, read};
use zklink_chain::finality::Finality;

use super::PayGas;

/// Why there is no view. It says nothing of the contracts: read again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A question was not answered.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The chain has no block.
    #[error("the chain has no block yet")]
    Empty,
    /// The answers do not belong to one block.
    #[error(
        "the answers for block {height} do not fit: {what}; its servers differ, so it is read again"
    )]
    Torn {
        /// The block that was asked about.
        height: u64,
        /// What does not fit.
        what: &'static str,
    },
}

/// The tip of a chain, whose height the views of a round are read at.
///
/// # Errors
/// [`ViewError`].
pub async fn read_tip(client: &dyn ChainClient) -> Result<Header, ViewError> {
    let tip = client.header(At::Latest).await.map_err(ReadError::Client)?;
    tip.ok_or(ViewError::Empty)
}

/// A block that was not read whole is asked for again while the tip is at most so many blocks further.
const AGAIN: u64 = 32;

/// The block to read next: the tip, or the block that could not be read whole the last time. Behind one address there
/// may be a server that did not have it yet; whoever always took the newest block could miss that server for ever.
pub(super) async fn read_head(
    client: &dyn ChainClient,
    failed: Option<u64>,
) -> Result<Header, ViewError> {
    let tip = read_tip(client).await?;
    let again = failed.filter(|height| (1..=AGAIN).contains(&tip.number.saturating_sub(*height)));
    let Some(height) = again else { return Ok(tip) };
    let header = client.header(At::Near(height)).await.map_err(ReadError::Client)?;
    header.ok_or(ViewError::Torn { height, what: "the block is not there" })
}

/// Refuses answers that do not fit each other.
fn check(height: u64, facts: &[(bool, &'static str)]) -> Result<(), ViewError> {
    match facts.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(ViewError::Torn { height, what }),
        None => Ok(()),
    }
}

/// Whether a word is there whenever its block is.
fn is_there(number: BlockNumber, word: &[u8; 32]) -> bool {
    number == BlockNumber(0) || *word != [0; 32]
}

/// What a chain's rollup contract says of its own operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainView {
    /// The block of the chain that it was read at.
    pub height: u64,
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
    /// The block of the hub that it was read at.
    pub height: u64,
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

/// Reads a chain's view at one block.
///
/// # Errors
/// [`ViewError`].
pub async fn read_chain_view(
    client: &dyn ChainClient,
    rollup: Address,
    height: u64,
) -> Result<ChainView, ViewError> {
    let at = At::Near(height);
    let committed = read(client, rollup, &Rollup::lastCommittedCall {}, at).await?;
    let acked = read(client, rollup, &Rollup::lastAckedCall {}, at).await?;
    let released = read(client, rollup, &Rollup::lastReleasedCall {}, at).await?;
    let paid = read(client, rollup, &Rollup::lastPaidCall {}, at).await?;
    let due = paid < released;
    let (mut chunks_paid, mut pay_gas) = (0, PayGas::default());
    if due {
        chunks_paid = read(client, rollup, &Rollup::chunksPaidCall {}, at).await?;
        pay_gas = read_pay_gas(client, rollup, at).await?;
    }
    let view = ChainView {
        height,
        committed: BlockNumber(committed),
        acked: BlockNumber(acked),
        released: BlockNumber(released),
        paid: BlockNumber(paid),
        chunks_paid,
        pay_gas,
        rolling: read_rolling(client, rollup, committed, at).await?,
        acked_rolling: read_rolling(client, rollup, acked, at).await?,
    };
    let facts = [
        (is_there(view.committed, &view.rolling), "the last record is empty"),
        (is_there(view.acked, &view.acked_rolling), "the last acked record is empty"),
        (acked <= committed, "more is acked than committed"),
        (paid <= released, "more is paid than released"),
    ];
    check(height, &facts).map(|()| view)
}

/// The parts of the gas of payouts.
async fn read_pay_gas(
    client: &dyn ChainClient,
    rollup: Address,
    at: At,
) -> Result<PayGas, ReadError> {
    let gas = async |portions: u8, withdrawals: u8| {
        let (portions, withdrawals) = (U256::from(portions), U256::from(withdrawals));
        let call = Rollup::payGasCall { portions, withdrawals };
        let gas = read(client, rollup, &call, at).await?;
        Ok::<u64, ReadError>(u64::try_from(gas).unwrap_or(u64::MAX))
    };
    let base = gas(0, 0).await?;
    let portion = gas(1, 0).await?.saturating_sub(base);
    let withdrawal = gas(0, 1).await?.saturating_sub(base);
    Ok(PayGas { base, portion, withdrawal })
}

/// The rolling content of a record, zero for that of genesis.
async fn read_rolling(
    client: &dyn ChainClient,
    rollup: Address,
    number: u32,
    at: At,
) -> Result<[u8; 32], ReadError> {
    if number == 0 {
        return Ok([0; 32]);
    }
    let record = read(client, rollup, &Rollup::recordOfCall { number }, at).await?;
    Ok(record.rolling.0)
}

/// Reads the hub's contract at the last block that its chain will keep; nothing while there is none. The chains that it
/// serves are left out. With a rule that asks for an age besides, nothing is known to be final at once.
///
/// # Errors
/// [`ViewError`].
pub async fn read_final_hub_view(
    client: &dyn ChainClient,
    finality: Finality,
    hub: Address,
) -> Result<Option<HubView>, ViewError> {
    if finality.min_age_seconds > 0 {
        return Ok(None);
    }
    match finality.reached(client).await.map_err(ReadError::from)? {
        Some(height) => read_hub_view(client, hub, [], height).await.map(Some),
        None => Ok(None),
    }
}

/// Reads the hub's view of all chains at one block.
///
/// # Errors
/// [`ViewError`].
pub async fn read_hub_view(
    client: &dyn ChainClient,
    hub: Address,
    chains: impl IntoIterator<Item = ChainId>,
    height: u64,
) -> Result<HubView, ViewError> {
    let at = At::Near(height);
    let (mut acked, mut contents, mut releases) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for chain in chains {
        let info = read(client, hub, &Hub::chainInfoCall { chain: chain.0 }, at).await?;
        let last = BlockNumber(info.last);
        let facts = [
            (is_there(last, &info.lastRolling.0), "a chain's last content is empty"),
            (info.sent <= info.released, "a chain was told of more than is released"),
        ];
        check(height, &facts)?;
        acked.insert(chain, BlockNumber(info.ackedThrough));
        contents.insert(chain, (last, info.lastRolling.0));
        releases.insert(chain, (BlockNumber(info.released), BlockNumber(info.sent)));
    }
    let released = read(client, hub, &Hub::blocksReleasedCall {}, at).await?;
    let proven = read(client, hub, &Hub::blocksProvenCall {}, at).await?;
    let committed = read(client, hub, &Hub::blocksCommittedCall {}, at).await?;
    let root = read(client, hub, &Hub::rootOfCall { number: committed }, at).await?;
    let view = HubView {
        height,
        committed: BlockNumber(committed),
        proven: BlockNumber(proven),
        released: BlockNumber(released),
        root: root.0,
        acked,
        contents,
        releases,
    };
    let facts = [
        (is_there(view.committed, &view.root), "the root of the last block is empty"),
        (released <= proven && proven <= committed, "a later stage is ahead of an earlier one"),
        (
            view.contents.values().all(|(last, _)| last.0 <= committed),
            "a chain is ahead of the committed blocks",
        ),
    ];
    check(height, &facts).map(|()| view)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::replicas::{CONTRACTS, Replicas, rolling, root};

    const CHAINS: [ChainId; 2] = [ChainId(1), ChainId(2)];

    /// Both views at the next block, which is `failed` afterwards unless they are whole.
    async fn read_both(
        client: &Replicas,
        failed: &mut Option<u64>,
    ) -> Result<(HubView, ChainView), ViewError> {
        let height = read_head(client, *failed).await?.number;
        *failed = Some(height);
        let hub = CONTRACTS.hub.unwrap_or_default();
        let hub = read_hub_view(client, hub, CHAINS, height).await?;
        let chain = read_chain_view(client, CONTRACTS.rollup, height).await?;
        *failed = None;
        Ok((hub, chain))
    }

    /// Each block of the chain has one more block of the rollup.
    #[tokio::test]
    async fn servers_that_are_two_blocks_apart_give_views_of_one_block_or_none() {
        for lags in [&[0, 2][..], &[2, 0], &[0, 1, 2], &[0, 0, 2]] {
            let client = Replicas::new(lags, 10, Arc::new(|height| height as u32));
            let (mut views, mut failed) = (0, None);
            for tip in 10..40 {
                client.tip.store(tip, std::sync::atomic::Ordering::SeqCst);
                let Ok((hub, chain)) = read_both(&client, &mut failed).await else { continue };
                let committed = hub.height as u32;
                assert_eq!((hub.committed.0, hub.root), (committed, root(committed)), "{lags:?}");
                assert_eq!(hub.contents[&ChainId(2)].0.0, committed);
                assert_eq!((chain.committed.0, chain.rolling), (committed, rolling(committed)));
                views += 1;
            }
            assert!(views > 3, "{lags:?}: {views}");
        }
    }

    #[tokio::test]
    async fn a_reorganisation_while_it_is_read_is_an_error_of_the_reading() {
        let mut torn = 0;
        for after in 1..16 {
            let client = Replicas::new(&[0], 10, Arc::new(|_| 7));
            *client.reorganised.lock().unwrap() = Some((after, Arc::new(|_| 4)));
            match read_both(&client, &mut None).await {
                Err(ViewError::Torn { height: 10, .. }) => torn += 1,
                Err(error) => panic!("{error}"),
                Ok((hub, chain)) => {
                    assert!(hub.root == root(hub.committed.0), "{after}");
                    assert!(chain.rolling == rolling(chain.committed.0), "{after}");
                }
            }
        }
        assert!(torn > 2, "{torn}");
    }
}
