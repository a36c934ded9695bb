//! Puts the contracts of a configuration on its chains.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use zklink::id::{ChainId, Owner};
use zklink::state::DeploymentId;
use zklink::token::Address;
use zklink_chain::deploy::{
    ChainPlan, Genesis, Plan, ShapePlan, Step, TokenPlan, TokenSource, deploy, dry_run,
};
use zklink_chain::sender::Sender;
use zklink_circuit::groth16::Provenance;
use zklink_circuit::groth16::evm::verifying_key_to_evm;
use zklink_circuit::proving::ShapeKeys;
use zklink_node::config::{ChainConfig, DeployConfig, Loaded, TokenConfig, connect, read_key};

use crate::cli::{DeployArgs, KeysArgs};
use crate::people::public_addresses;
use crate::show::{Show, group};
use crate::{keys, stop};

/// Deploys, or says what a deployment would do.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn run(args: &DeployArgs, keys_args: &KeysArgs) -> Result<()> {
    let show = Show::new();
    let loaded: Loaded<DeployConfig> = Loaded::read(&args.config)?;
    let config = &loaded.config;
    let output = loaded.path(&config.output);
    ensure!(
        args.dry_run || !output.exists(),
        "{} exists: a deployment that people use must not be overwritten, move the file away",
        output.display()
    );
    let shapes = loaded.shapes(&config.shapes)?;
    let folder = keys_args.keys.clone().or(config.keys.as_ref().map(|keys| loaded.path(keys)));
    let keys = keys::open_apart(keys::folder(folder.as_deref()), shapes, &show).await?;
    let senders = senders(&loaded).await?;
    let plan = plan(&loaded, &keys, &senders)?;
    if args.dry_run {
        for step in dry_run(&plan, &senders).await? {
            show_step(&show, &step);
        }
        show.line("Nothing was sent.");
        return Ok(());
    }
    let mut done = |step| show_step(&show, &step);
    let deployment = tokio::select! {
        deployed = deploy(&plan, &senders, &mut done) => deployed?,
        asked = stop::asked() => {
            asked?;
            anyhow::bail!("stopped; what was deployed stays on the chains, unused");
        }
    };
    deployment.write(&output)?;
    show.line(format!("Deployment file: {}", output.display()));
    Ok(())
}

fn show_step(show: &Show, step: &Step) {
    let gas = step.gas.map(|gas| format!("{:>12} gas", group(&gas.to_string())));
    show.line(format!("chain {}  {:<28} {}", step.chain, step.what, gas.unwrap_or_default()));
}

async fn senders(loaded: &Loaded<DeployConfig>) -> Result<BTreeMap<ChainId, Sender>> {
    let key = read_key(&loaded.path(&loaded.config.deployer_key_file))?;
    let mut senders = BTreeMap::new();
    for (id, chain) in loaded.chains(&loaded.config.chains)? {
        let evm_chain_id = evm_chain_id(loaded, id, chain)?;
        let client = connect(loaded, id, chain, evm_chain_id).await?;
        let sender = Sender::new(client, key.clone(), evm_chain_id, chain.send.into());
        senders.insert(id, sender);
    }
    Ok(senders)
}

fn evm_chain_id(loaded: &Loaded<DeployConfig>, id: ChainId, chain: &ChainConfig) -> Result<u64> {
    let found = chain.evm_chain_id;
    Ok(found.ok_or_else(|| loaded.wrong(format!("[chains.{id}] needs evm_chain_id")))?)
}

fn plan(
    loaded: &Loaded<DeployConfig>,
    keys: &ShapeKeys,
    senders: &BTreeMap<ChainId, Sender>,
) -> Result<Plan> {
    let config = &loaded.config;
    let deployment = DeploymentId(rand::random());
    let (fee_owner, insurance_owner) = (config.fee_owner, config.insurance_owner);
    let mut chains = BTreeMap::new();
    for (id, chain) in loaded.chains(&config.chains)? {
        let mut tokens = BTreeMap::new();
        for (token, of_token) in loaded.tokens(chain)? {
            tokens.insert(token, token_plan(loaded, of_token)?);
        }
        let evm_chain_id = senders.get(&id).context("a sender for each chain")?.chain_id();
        chains.insert(id, ChainPlan { evm_chain_id, tokens });
    }
    let attester = |owner: &Owner| loaded.address("an attester", *owner);
    let attesters: Vec<Address> =
        config.attesters.iter().map(attester).collect::<Result<_, _>>()?;
    let shapes = keys
        .iter()
        .map(|key| ShapePlan::of(key.shape, verifying_key_to_evm(key.key.verifying_key())));
    Ok(Plan {
        deployment,
        genesis: Genesis { fee_owner, insurance_owner },
        hub: ChainId(config.hub),
        chains,
        shapes: shapes.collect(),
        dev_proving_keys: keys.iter().any(|key| key.provenance == Provenance::Dev),
        validator: loaded.address("the validator", config.validator)?,
        attesters,
        threshold: config.threshold,
        dev_addresses: public_addresses(),
    })
}

fn token_plan(loaded: &Loaded<DeployConfig>, token: &TokenConfig) -> Result<TokenPlan> {
    let source = match token.address.as_str() {
        "native" => TokenSource::Native,
        "development" => TokenSource::Development,
        address => {
            let owner: Owner = address.parse().map_err(|bad| {
                loaded
                    .wrong(format!("the address of {}: {bad}, native or development", token.symbol))
            })?;
            TokenSource::Existing(loaded.address("a token's address", owner)?)
        }
    };
    let (symbol, decimals) = (token.symbol.clone(), token.decimals);
    let least_deposit = token.least_deposit;
    Ok(TokenPlan { symbol, decimals, least_deposit, source })
}
