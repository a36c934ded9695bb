//! The node on configured chains.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::watch;
use zklink::fees::FeeTable;
use zklink::tx::keccak;
use zklink_chain::deploy::Deployment;
use zklink_circuit::groth16::evm::verifying_key_to_evm;
use zklink_circuit::proving::ShapeKeys;
use zklink_node::config::{Loaded, NodeConfig, connect, read_key};
use zklink_node::node::{Alarm, ChainSetup, Node, Setup};

use crate::cli::{KeysArgs, NodeArgs};
use crate::show::Show;
use crate::{keys, stop};

/// Runs a node until it is asked to stop.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn run(args: &NodeArgs, keys_args: &KeysArgs) -> Result<()> {
    let show = Show::new();
    let loaded: Loaded<NodeConfig> = Loaded::read(&args.config)?;
    let setup = setup(&loaded, keys_args, &show).await?;
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

async fn setup(loaded: &Loaded<NodeConfig>, keys_args: &KeysArgs, show: &Show) -> Result<Setup> {
    let config = &loaded.config;
    let deployment = Deployment::read(&loaded.path(&config.deployment))?;
    let validator = read_key(&loaded.path(&config.validator_key_file))?;
    ensure!(
        validator.address() == deployment.validator,
        "{} is not the key of the validator that the deployment file names",
        config.validator_key_file.display()
    );
    let mut attesters = Vec::new();
    for path in &config.attester_key_files {
        let key = read_key(&loaded.path(path))?;
        let known = deployment.attesters.iter().any(|known| known.0 == key.address());
        ensure!(known, "{} is no key of an attester of the deployment", path.display());
        attesters.push(key);
    }
    let mut chains = BTreeMap::new();
    for (id, chain) in loaded.chains(&config.chains)? {
        let deployed = deployment
            .chain(id)
            .with_context(|| format!("[chains.{id}] is not in the deployment file"))?;
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
    let folder = keys_args.keys.clone().or(folder);
    let keys = keys_of(&deployment, folder.as_deref(), show).await?;
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
        alarms: config.alarms,
        provers: config.provers,
        workers: loaded.workers()?,
        faucet: None,
    })
}

/// The proving keys of the deployment. A key that is missing here cannot be made: it would be another one than that
/// which the contracts know.
pub(crate) async fn keys_of(
    deployment: &Deployment,
    folder: Option<&Path>,
    show: &Show,
) -> Result<ShapeKeys> {
    let mut shapes = Vec::new();
    for deployed in &deployment.shapes {
        let shape = zklink::shape::shape(deployed.id);
        shapes.push(shape.with_context(|| {
            format!("this program does not know shape {} of the deployment", deployed.id)
        })?);
    }
    let keys = keys::open_apart(keys::folder(folder), shapes, show).await?;
    for deployed in &deployment.shapes {
        let key = keys.verifying_key(deployed.id).context("a key for each shape was opened")?;
        ensure!(
            keccak(&[&verifying_key_to_evm(key)]) == deployed.key_hash,
            "the proving key of shape {} is not the one that the contracts know: bring the folder of keys with which \
             the contracts were deployed",
            deployed.id
        );
    }
    Ok(keys)
}
