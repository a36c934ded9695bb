//! The node under load: the wiring, journal, archive, builder and RPC of `zklink node`, with chains out of reach.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use zklink::fees::FeeTable;
use zklink::id::BlockNumber;
use zklink_chain::account::EthKey;
use zklink_chain::client::ChainClient;
use zklink_chain::endpoint::{EndpointLimits, VerifiedEndpoint};
use zklink_chain::finality::Finality;
use zklink_chain::sender::SendPolicy;
use zklink_mechanism::clock::{Clock, SystemClock};
use zklink_mechanism::host::Host;
use zklink_mechanism::platform::Reach;
use zklink_mechanism::supervisor::Supervisor;
use zklink_node::builder;
use zklink_node::events::Events;
use zklink_node::gateway::Limits;
use zklink_node::node::wiring::{Parts, ProvingParts, wire};
use zklink_node::node::{Bounds, ChainSetup, RESTARTS, Serving, serve};
use zklink_node::roots::Policy;
use zklink_prover::feed;
use zklink_settlement::driver::Report;
use zklink_store::archive::parity::ParityStore;
use zklink_store::journal::disk::FileDisk;
use zklink_store::journal::segment::{SEGMENT_BYTES, SegmentLog};
use zklink_transport::Workers;

use crate::crowd::{deployment, state};

/// How long each part may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A node under load.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Folder of journal and archive.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Accounts of the state.
    #[arg(long)]
    pub(crate) accounts: u32,
    /// Of these, the ones with keys of their own.
    #[arg(long)]
    pub(crate) active: u32,
    /// Where the RPC listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) rpc: SocketAddr,
}

/// Serves until standard input ends.
pub(crate) async fn run(args: &NodeArgs) -> Result<()> {
    let deployment = deployment();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (mut host, supervisor) =
        Host::supervised_by(Arc::clone(&clock), Supervisor::new(RESTARTS)).await?;
    let disk = FileDisk::open(&args.data.join("journal"))?;
    let (log, _) = SegmentLog::open(disk, &deployment.deployment_id.0, SEGMENT_BYTES)?;
    let wired = wire(&mut host, Box::new(log), parts(args)?).await?;
    let serving = Serving {
        address: args.rpc,
        // The limits as shipped.
        limits: Limits::default(),
        deployment: &deployment,
        fees: FeeTable::default(),
        finality: BTreeMap::new(),
        faucet: None,
    };
    let gateway = serve(serving, clock, &wired).await?;
    let host = host.run(supervisor.port());
    println!("{}", gateway.address());
    // A byte or the end: both mean that the parent wants no more.
    let parent = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    drop(parent.await);
    gateway.stop(STOP_LIMIT).await;
    host.stop(STOP_LIMIT).await;
    Ok(())
}

fn parts(args: &NodeArgs) -> Result<Parts> {
    let deployment = deployment();
    let store = ParityStore::open(&args.data.join("archive"))?;
    let chains = deployment.chains.iter().map(|chain| {
        // Nothing listens there.
        let limits = EndpointLimits::default();
        let endpoint = VerifiedEndpoint::new("http://127.0.0.1:9", chain.evm_chain_id, limits);
        let setup = ChainSetup {
            client: Arc::new(endpoint.context("an endpoint")?) as Arc<dyn ChainClient>,
            sender_key: EthKey::from_seed("validator"),
            finality: Finality::FINALIZED,
            max_log_range: 1_000,
            poll_ms: 60_000,
            send: SendPolicy::default(),
        };
        Ok((chain.id, setup))
    });
    Ok(Parts {
        chains: chains.collect::<Result<BTreeMap<_, _>>>()?,
        genesis: state(args.accounts, args.active),
        deployment,
        proven: BlockNumber(0),
        store: Arc::new(store),
        attesters: Vec::new(),
        proving: ProvingParts {
            check: Arc::new(|_, _| Err("nobody proves here".to_owned())),
            form: |proof| Ok(proof.to_vec()),
            provers: Vec::new(),
            // One witness is made, and waits.
            feed: feed::Config { jobs_max: 1, ..feed_bounds() },
        },
        workers: Workers::default(),
        // Without a hub nothing says how far ahead the builder is.
        builder: builder::Config {
            block_age_max_ms: 60_000,
            pace: None,
            ..builder::Config::default()
        },
        fees: FeeTable::default(),
        mailbox: 4_096,
        snapshot_records: Policy::RECORDS,
        disk: None,
        alarms: Bounds::default(),
        events: Events::new(),
        report: Report::default(),
    })
}

fn feed_bounds() -> feed::Config {
    feed::Config {
        jobs_max: 1,
        witness_bytes_max: 64 << 20,
        proof_bytes_max: 1_024,
        provers_max: 1,
        lease_ms: 300_000,
        alive_ms: 60_000,
        strikes_max: 3,
        bar_ms: 600_000,
    }
}
