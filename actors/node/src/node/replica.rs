//! A replica in a process of its own.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use zklink_chain::deploy::Deployment;
use zklink_mechanism::clock::SystemClock;
use zklink_mechanism::host::{Host, RunningHost};
use zklink_mechanism::platform::Reach;
use zklink_mechanism::port::Port;
use zklink_mechanism::supervisor::Supervisor;
use zklink_store::archive::ArchiveReader;
use zklink_store::journal::ReadRecords;
use zklink_store::replica::{self, Followed, Replica};

use super::{RESTARTS, STOP_LIMIT, StartError, open_log, open_store};

/// A replica that runs. Its folder is laid out as that of a node.
pub struct LoneReplica {
    host: RunningHost,
    /// How far it is.
    pub followed: watch::Receiver<Followed>,
    /// Its archive, for reading.
    pub archive: ArchiveReader,
}

impl LoneReplica {
    /// Starts a replica in a folder, behind a node of this deployment. Must be called inside of
    /// [`zklink_mechanism::shell::run`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        data: &Path,
        deployment: &Deployment,
        node: Port<ReadRecords>,
    ) -> Result<LoneReplica, StartError> {
        let clock = Arc::new(SystemClock::default());
        let (mut host, supervisor) = Host::supervised_by(clock, Supervisor::new(RESTARTS)).await?;
        let (log, store) = (open_log(data, deployment)?, open_store(data)?);
        let Replica { followed, archive, .. } = replica::start(&mut host, log, store, node).await?;
        Ok(LoneReplica { host: host.run(supervisor.port()), followed, archive })
    }

    /// Waits until it stops by itself, and says why.
    pub async fn finished(&mut self) -> String {
        self.host.finished().await
    }

    /// Asks the node no more, and closes journal and archive.
    pub async fn stop(self) {
        self.host.stop(STOP_LIMIT).await;
    }
}
