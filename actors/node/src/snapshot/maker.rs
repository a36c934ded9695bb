//! The maker of snapshots: audits and stores what the root maker cuts off, beside everything else.

use tokio::sync::{mpsc, watch};
use zklink::audit::{Imbalance, audit};
use zklink::id::BlockNumber;
use zklink_mechanism::platform::Offload;
use zklink_mechanism::port::Port;
use zklink_store::archive::{Keep, Made};

use super::Cut;
use crate::roots::store;

/// A larger snapshot is not stored, bytes.
const BYTES_MAX: usize = 1 << 30;

/// The books of the state behind a block do not balance. The node stops.
#[derive(Debug, thiserror::Error)]
#[error("the books behind block {0} do not balance: {1}")]
pub struct SnapshotFault(BlockNumber, Imbalance);

impl Cut {
    /// What is to be kept: the snapshot, unless it is too large.
    ///
    /// # Errors
    /// [`SnapshotFault`].
    pub fn make(&self) -> Result<Option<Made>, SnapshotFault> {
        let block = self.at.state.system.number;
        // The builder checks what each block changed; here the whole is added up.
        audit(&self.at.state).map_err(|imbalance| SnapshotFault(block, imbalance))?;
        let bytes = self.at.encode(&self.leaves);
        if bytes.len() > BYTES_MAX {
            let size = bytes.len();
            tracing::warn!(%block, size, "a snapshot of the state is too large to be kept");
            return Ok(None);
        }
        Ok(Some(Made::Snapshot { block, proven: self.proven, bytes }))
    }
}

/// Makes snapshots until `stop` becomes true.
///
/// # Errors
/// [`SnapshotFault`]: the node must not go on.
pub async fn drive(
    mut cuts: mpsc::Receiver<Cut>,
    keep: Port<Keep>,
    offload: Offload,
    mut stop: watch::Receiver<bool>,
) -> Result<(), SnapshotFault> {
    loop {
        let cut = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            cut = cuts.recv() => cut,
        };
        let Some(cut) = cut else { return Ok(()) };
        if let Some(made) = offload.run(move || cut.make()).await? {
            store(Keep { made: vec![made] }, &keep, &stop).await;
        }
    }
}
