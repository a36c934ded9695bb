//! An attester: among the machines of a node, or alone in a process of its own. The machine, its drivers and their
//! supervision are the same.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::ChainId;
use zklink_chain::account::EthKey;
use zklink_chain::client::ChainClient;
use zklink_chain::deploy::Deployment;
use zklink_chain::finality::Finality;
use zklink_mechanism::clock::{Clock, SystemClock};
use zklink_mechanism::driver::pull;
use zklink_mechanism::host::{Host, RunningHost};
use zklink_mechanism::platform::{Platform, Reach};
use zklink_mechanism::port::Port;
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::supervisor::Supervisor;
use zklink_settlement::Periods;
use zklink_settlement::attester::driver::OracleReader;
use zklink_settlement::attester::history::History;
use zklink_settlement::attester::{AttestedChain, Attester, AttesterConfig, AttesterStatus};
use zklink_settlement::book::Attestation;

use super::{MAILBOX, StartError};
use crate::node::{RESTARTS, STOP_LIMIT};

/// How an attester is doing on each chain.
pub type ChainHealth = BTreeMap<ChainId, watch::Receiver<Option<AttesterStatus>>>;

/// A chain as an attester reads it.
pub struct ChainReading {
    /// Reads.
    pub client: Arc<dyn ChainClient>,
    /// When a block is final.
    pub finality: Finality,
    /// The most blocks in one question for events.
    pub max_log_range: u64,
    /// How often the chain is asked, milliseconds.
    pub poll_ms: u64,
}

/// Everything that an attester is made of.
pub struct AttesterSetup {
    /// The contracts.
    pub deployment: Deployment,
    /// The chains, each read by this attester's own endpoints.
    pub chains: BTreeMap<ChainId, ChainReading>,
    /// Its key.
    pub key: EthKey,
    /// What it signed, which must never be lost.
    pub history: OpenHistory,
}

/// Opens the history of an attester, whenever the attester is built. The text says why it could not.
pub type OpenHistory = Arc<dyn Fn() -> Result<History, String> + Send + Sync>;

/// The history in a file.
pub fn history_file(path: PathBuf) -> OpenHistory {
    Arc::new(move || History::open(&path).map_err(|error| error.to_string()))
}

/// An attester in a process of its own.
pub struct LoneAttester {
    host: RunningHost,
    /// How it is doing.
    pub health: ChainHealth,
}

impl LoneAttester {
    /// Starts an attester that gives its signatures to `book`. Must be called inside of
    /// [`zklink_mechanism::shell::run`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        setup: AttesterSetup,
        book: Port<Attestation>,
    ) -> Result<LoneAttester, StartError> {
        let fits =
            |chain: &zklink_chain::deploy::DeployedChain| setup.chains.contains_key(&chain.id);
        if setup.chains.len() != setup.deployment.chains.len()
            || !setup.deployment.chains.iter().all(fits)
        {
            let text = "[chains] must name every chain of the deployment file and no other";
            return Err(StartError::Setup(text.to_owned()));
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let (mut host, supervisor) = Host::supervised_by(clock, Supervisor::new(RESTARTS)).await?;
        let health = start_attester(&mut host, "attester", &setup, book).await?;
        Ok(LoneAttester { host: host.run(supervisor.port()), health })
    }

    /// Waits until it stops by itself, and says why.
    pub async fn finished(&mut self) -> String {
        self.host.finished().await
    }

    /// Asks no chain any more, and closes the history.
    pub async fn stop(self) {
        self.host.stop(STOP_LIMIT).await;
    }
}

/// Starts an attester with a driver for each chain.
pub(super) async fn start_attester<P: Platform>(
    platform: &mut P,
    name: &str,
    setup: &AttesterSetup,
    book: Port<Attestation>,
) -> Result<ChainHealth, StartError> {
    let (config, key) = (config_of(setup), setup.key.clone());
    // A history that cannot be opened is reported here; later it stops the node by and by.
    drop((setup.history)().map_err(StartError::Setup)?);
    let history = Arc::clone(&setup.history);
    let origin = Origin::rebuilt(move || {
        Ok(Attester::new(config.clone(), key.clone(), history()?, book.clone()))
    });
    let thread = platform.thread();
    let attester = platform.start(&thread, name, MAILBOX, origin).await?;
    let mut health = ChainHealth::new();
    for chain in &setup.deployment.chains {
        let of_chain = &setup.chains[&chain.id];
        let others = setup.deployment.chains.iter().map(|other| other.id);
        let hub = setup.deployment.hub;
        let partners = others
            .filter(|other| *other != chain.id && [*other, chain.id].contains(&hub))
            .collect();
        // A signature releases tokens elsewhere, so it never rests on one endpoint where there are two.
        let client = of_chain.client.strict().unwrap_or_else(|| Arc::clone(&of_chain.client));
        let reader = OracleReader { chain: chain.id, client, oracle: chain.oracle, partners };
        let (status, heard) = watch::channel(None);
        health.insert(chain.id, heard);
        let (period, stop) = (Duration::from_millis(of_chain.poll_ms), platform.stopping());
        let driver = pull(reader, attester.port(), attester.port(), status, period, stop);
        platform.drive(&format!("{name} on chain {}", chain.id), driver);
    }
    Ok(health)
}

fn config_of(setup: &AttesterSetup) -> AttesterConfig {
    let Deployment { deployment_id, chains, .. } = &setup.deployment;
    let chains = chains.iter().map(|chain| {
        let of_chain = &setup.chains[&chain.id];
        let attested = AttestedChain {
            oracle: chain.oracle,
            first_block: chain.first_block,
            finality: of_chain.finality,
            max_range: of_chain.max_log_range,
            checkpoints: 256,
            periods: Periods::new(of_chain.poll_ms),
        };
        (chain.id, attested)
    });
    AttesterConfig { deployment: *deployment_id, chains: chains.collect(), offer_ms: 1_000 }
}
