//! Which refused deposits wait for their refund.

use zklink::id::{BlockNumber, ChainId};
use zklink::token::Address;
use zklink_chain::client::{At, ChainClient};
use zklink_chain::contracts::{ReadError, Rollup, read};

use super::ranges::of_chain;
use super::{ChainView, SealedBlock, SettlementSource};

/// The state of an entry of the queue that is a deposit and was not refunded.
const OPEN_DEPOSIT: u8 = 1;
/// Blocks of the chain that are looked at in one round.
const LOOKED_AT: usize = 64;
/// Where the search begins at a start: so many blocks before the last one that is paid.
const LOOKED_BACK: u32 = 256;

/// How far the refunds of one chain are known to be made.
///
/// Payouts say nothing of it: anybody may pay a block whose deposits were all refused, before its refunds. A refund
/// that a reorganisation undoes while the payouts stay is found again by the next start.
#[derive(Debug, Default)]
pub struct RefundSearch {
    /// Up to this block nothing is open.
    settled: Option<BlockNumber>,
    /// The last paid block of the round before: when it falls, the chain was reorganised.
    paid: BlockNumber,
}

impl RefundSearch {
    /// Released blocks with refused deposits whose payers have nothing back yet, the oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn due(
        &mut self,
        client: &dyn ChainClient,
        rollup: Address,
        source: &dyn SettlementSource,
        chain: ChainId,
        view: &ChainView,
    ) -> Result<Vec<BlockNumber>, ReadError> {
        let start = BlockNumber(view.paid.0.saturating_sub(LOOKED_BACK));
        let known = self.settled.filter(|_| view.paid >= self.paid);
        let mut settled = known.unwrap_or(start).min(view.released);
        self.paid = view.paid;
        let mut due = Vec::new();
        for number in of_chain(source, chain, settled, view.released).take(LOOKED_AT) {
            // What cannot be read now is not passed over.
            let Some(block) = source.block(number) else { break };
            if is_open(client, rollup, &block, chain, view.height).await? {
                due.push(number);
            } else if due.is_empty() {
                settled = number;
            }
        }
        self.settled = Some(settled);
        Ok(due)
    }
}

/// Whether a block has a refused deposit that was not refunded.
async fn is_open(
    client: &dyn ChainClient,
    rollup: Address,
    block: &SealedBlock,
    chain: ChainId,
    height: u64,
) -> Result<bool, ReadError> {
    let deposits = block.chains.get(&chain).map_or(&[][..], |part| &part.deposits);
    for deposit in deposits.iter().filter(|deposit| deposit.refused) {
        let call = Rollup::queuedCall { serial: deposit.serial.0 };
        if read(client, rollup, &call, At::Near(height)).await?.state == OPEN_DEPOSIT {
            return Ok(true);
        }
    }
    Ok(false)
}
