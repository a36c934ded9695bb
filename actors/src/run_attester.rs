//! An attester as a process of its own.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use zklink::token::Address;
use zklink_chain::deploy::Deployment;
use zklink_mechanism::port::Port;
use zklink_node::config::{AttesterConfig, Loaded, connect};
use zklink_node::node::{AttesterSetup, ChainReading, LoneAttester, history_file};
use zklink_store::journal::disk::make_folder;
use zklink_transport::{Remote, Role};

use crate::cli::AttesterArgs;
use crate::run_prover::stay;
use crate::show::{Show, hex0x};
use crate::stop;

/// Attests until it is asked to stop.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn run(args: &AttesterArgs) -> Result<()> {
    let show = Show::new();
    let loaded: Loaded<AttesterConfig> = Loaded::read(&args.config)?;
    let config = &loaded.config;
    let token = loaded.token(&config.token_file)?;
    let deployment = loaded.deployment(&config.deployment)?;
    let remote = Remote::new(&config.node, &token, deployment.deployment_id)?;
    let setup = setup(&loaded, deployment).await?;
    let (address, chains) = (hex0x(setup.key.address()), setup.chains.len());
    let mut attester = LoneAttester::start(setup, Port::new(remote.clone())).await?;
    show.line(format!(
        "zkLink {}: attester {address} of {chains} chains. Ctrl-C stops.",
        env!("CARGO_PKG_VERSION")
    ));
    tokio::spawn(stay(remote.clone(), Role::Attester, config.node.clone(), show.clone()));
    let reason = tokio::select! {
        asked = stop::asked() => {
            asked?;
            None
        }
        reason = attester.finished() => Some(reason),
    };
    show.line("Stopping. Ctrl-C again stops at once.");
    attester.stop().await;
    match reason {
        None => Ok(()),
        Some(reason) => bail!("the attester stopped by itself: {reason}"),
    }
}

async fn setup(loaded: &Loaded<AttesterConfig>, deployment: Deployment) -> Result<AttesterSetup> {
    let config = &loaded.config;
    let known: Vec<Address> = deployment.attesters.iter().map(|address| address.0).collect();
    let key = loaded.key_of("attester", &config.key_file, &known)?;
    let data = loaded.path(&config.data);
    make_folder(&data).with_context(|| format!("making {}", data.display()))?;
    let mut chains = BTreeMap::new();
    for (id, chain) in loaded.chains(&config.chains)? {
        let deployed = deployment
            .chain(id)
            .with_context(|| format!("[chains.{id}] is not in the deployment file: remove it"))?;
        let (finality, max_log_range) = loaded.reading(id, chain)?;
        let client = connect(loaded, id, chain, deployed.evm_chain_id).await?;
        let poll_ms = chain.poll_ms.max(1);
        chains.insert(id, ChainReading { client, finality, max_log_range, poll_ms });
    }
    Ok(AttesterSetup {
        deployment,
        chains,
        key,
        history: history_file(data.join("attester.history")),
    })
}
