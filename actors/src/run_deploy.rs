//! Puts the contracts of a configuration on its chains.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use zklink::id::{ChainId, Owner};
use zklink::state::DeploymentId;
use zklink::token::Address;
use zklink_chain::deploy::{
    ChainPlan, Cost, Deployment, Estimate, Genesis, Plan, Progress, ShapePlan, Step, TokenPlan,
    TokenSource, dry_run, resume,
};
use zklink_chain::patient::Patience;
use zklink_chain::sender::Sender;
use zklink_circuit::groth16::Provenance;
use zklink_circuit::groth16::evm::verifying_key_to_evm;
use zklink_circuit::proving::ShapeKeys;
use zklink_node::config::{ChainConfig, DeployConfig, Loaded, TokenConfig, connect, read_key};

use crate::cli::DeployArgs;
use crate::people::public_addresses;
use crate::show::{Show, decimal, group, hex0x};
use crate::{keys, stop};

/// Deploys, or says what a deployment would do.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn run(args: &DeployArgs) -> Result<()> {
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
    let folder = args.keys.clone().or(config.keys.as_ref().map(|keys| loaded.path(keys)));
    let keys = keys::open_apart(keys::folder(folder.as_deref()), shapes, &show).await?;
    let senders = senders(&loaded).await?;
    let begun_file = output.with_extension("begun");
    let begun = Progress::read(&begun_file)?;
    let id = begun.as_ref().map(|begun| begun.deployment_id);
    let plan = plan(&loaded, &keys, &senders, id.unwrap_or_else(|| DeploymentId(rand::random())))?;
    if args.dry_run {
        let Estimate { steps, costs } = dry_run(&plan, &senders).await?;
        for step in &steps {
            show_step(&show, step);
        }
        for cost in &costs {
            show_cost(&show, cost);
        }
        show.line("Nothing was sent.");
        return Ok(());
    }
    if let Some(begun) = &begun {
        let (steps, file) = (begun.steps.len(), begun_file.display());
        show.line(format!("Goes on after the {steps} transactions of {file}."));
    }
    let deployment = put_up(&plan, &senders, begun, &begun_file, &show).await?;
    deployment.write(&output)?;
    show.line(format!("Deployment file: {}", output.display()));
    // What it says stands in the deployment file now.
    if let Err(error) = std::fs::remove_file(&begun_file) {
        show.line(format!("{} can be removed, which failed: {error}", begun_file.display()));
    }
    Ok(())
}

/// Deploys what is not deployed yet. Each transaction is written down when it is mined, so that the next start goes on
/// after it.
async fn put_up(
    plan: &Plan,
    senders: &BTreeMap<ChainId, Sender>,
    begun: Option<Progress>,
    begun_file: &Path,
    show: &Show,
) -> Result<Deployment> {
    let begun = begun.unwrap_or_else(|| Progress::begin(plan.deployment));
    let mut record = |step: Step, progress: &Progress| {
        show_step(show, &step);
        progress.write(begun_file)
    };
    let file = begun_file.display();
    tokio::select! {
        deployed = resume(plan, senders, begun, Patience::default(), &mut record) => {
            deployed.with_context(|| format!("what was deployed stands in {file}: start again to go on"))
        }
        asked = stop::asked() => {
            asked?;
            anyhow::bail!("stopped; what was deployed stands in {file}: start again to go on");
        }
    }
}

fn show_step(show: &Show, step: &Step) {
    let gas = step.gas.map(|gas| format!("{:>12} gas", group(&gas.to_string())));
    show.line(format!("chain {}  {:<28} {}", step.chain, step.what, gas.unwrap_or_default()));
}

/// What the transactions of a chain cost at its present price, and whether the deployer can pay it.
fn show_cost(show: &Show, cost: &Cost) {
    let Cost { chain, gas, price, deployer, balance } = *cost;
    let (gas, gwei) = (group(&gas.to_string()), decimal(price, 9));
    let (coins, has) = (decimal(cost.wei(), 18), decimal(balance, 18));
    let deployer = hex0x(deployer);
    show.line(format!(
        "chain {chain}: about {gas} gas at {gwei} gwei, {coins} coins; {deployer} has {has}"
    ));
    if balance < cost.wei() {
        show.line(format!("chain {chain}: that is too little: send coins to {deployer}"));
    }
}

async fn senders(loaded: &Loaded<DeployConfig>) -> Result<BTreeMap<ChainId, Sender>> {
    let key = read_key(&loaded.path(&loaded.config.deployer_key_file))?;
    let mut senders = BTreeMap::new();
    for (id, chain) in loaded.chains(&loaded.config.chains)? {
        let evm_chain_id = evm_chain_id(loaded, id, chain)?;
        let client = connect(loaded, id, chain, evm_chain_id).await?;
        let sender = Sender::new(client, key.clone(), evm_chain_id, chain.send.clone());
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
    deployment: DeploymentId,
) -> Result<Plan> {
    let config = &loaded.config;
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
