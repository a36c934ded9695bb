//! The node on configured chains.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use zklink::fees::FeeTable;
use zklink::token::Address;
use zklink_node::config::{Loaded, NodeConfig, connect};
use zklink_node::node::{Alarm, ChainSetup, Node, Setup};

use crate::cli::NodeArgs;
use crate::show::Show;
use crate::{keys, stop};

/// Runs a node until it is asked to stop.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn run(args: &NodeArgs) -> Result<()> {
    let show = Show::new();
    let loaded: Loaded<NodeConfig> = Loaded::read(&args.config)?;
    let setup = setup(&loaded, args, &show).await?;
    let chains = setup.chains.len();
    let mut node = Node::start(setup).await?;
    let rpc = node.rpc();
    show.line(format!(
        "zkLink {}: {chains} chains, RPC on http://{rpc} and ws://{rpc}. Ctrl-C stops.",
        env!("CARGO_PKG_VERSION")
    ));
    let alarms = tell_alarms(node.health().alarms.clone(), &show);
    let reason = tokio::select! {
        asked = stop::asked() => {
            asked?;
            None
        }
        reason = node.finished() => Some(reason),
        () = alarms => None,
    };
    show.line("Stopping. Ctrl-C again stops at once.");
    node.stop("the operator asked").await;
    match reason {
        None => Ok(()),
        Some(reason) => bail!("the node stopped by itself: {reason}"),
    }
}

/// Shows each alarm when it comes up, and that it is over. Ends with the node.
async fn tell_alarms(mut heard: watch::Receiver<Vec<Alarm>>, show: &Show) {
    let mut told: Vec<Alarm> = Vec::new();
    while heard.changed().await.is_ok() {
        let alarms = heard.borrow_and_update().clone();
        let same = |one: &Alarm, other: &Alarm| {
            (one.kind, one.chain, one.since) == (other.kind, other.chain, other.since)
        };
        for alarm in alarms.iter().filter(|alarm| !told.iter().any(|known| same(known, alarm))) {
            show.line(format!("ALARM: {alarm}"));
        }
        for alarm in told.iter().filter(|known| !alarms.iter().any(|alarm| same(known, alarm))) {
            show.line(format!("over: {alarm}"));
        }
        told = alarms;
    }
}

async fn setup(loaded: &Loaded<NodeConfig>, args: &NodeArgs, show: &Show) -> Result<Setup> {
    let config = &loaded.config;
    let deployment = loaded.deployment(&config.deployment)?;
    let validator =
        loaded.key_of("validator", &config.validator_key_file, &[deployment.validator])?;
    let known: Vec<Address> = deployment.attesters.iter().map(|address| address.0).collect();
    let of_attester = |path: &PathBuf| loaded.key_of("attester", path, &known);
    let attesters = config.attester_key_files.iter().map(of_attester).collect::<Result<_, _>>()?;
    let mut chains = BTreeMap::new();
    for (id, chain) in loaded.chains(&config.chains)? {
        let deployed = deployment
            .chain(id)
            .with_context(|| format!("[chains.{id}] is not in the deployment file: remove it"))?;
        let (finality, max_log_range) = loaded.reading(id, chain)?;
        let of_chain = ChainSetup {
            client: connect(loaded, id, chain, deployed.evm_chain_id).await?,
            sender_key: validator.clone(),
            finality,
            max_log_range,
            poll_ms: chain.poll_ms.max(1),
            send: chain.send.clone(),
        };
        chains.insert(id, of_chain);
    }
    let network = deployment.network();
    let terms = loaded.terms(&network.tokens.keys().copied().collect())?;
    if terms.fees == FeeTable::default() {
        show.line("No [fees] are configured: transactions and new accounts cost nothing.");
    }
    let folder = config.keys.as_ref().map(|folder| loaded.path(folder));
    let folder = keys::folder(args.keys.as_deref().or(folder.as_deref()));
    let keys = keys::of_deployment(&deployment, folder, show).await?;
    let genesis = deployment.genesis.state(deployment.deployment_id);
    Ok(Setup {
        data: loaded.path(&config.data),
        deployment,
        genesis,
        keys: Arc::new(keys),
        chains,
        attesters,
        rpc: config.rpc.listen,
        limits: config.rpc.limits(),
        block_max_age_ms: config.block_max_age_ms,
        terms,
        snapshot_records: config.snapshot_records,
        disk_least_mib: config.disk_least_mib,
        alarms: config.alarms,
        provers: config.provers,
        workers: loaded.workers()?,
        faucet: None,
    })
}
