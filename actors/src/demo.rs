//! The demonstration: a story on three chains, its checks, and its figures.

mod processes;
mod report;
mod story;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use processes::{Processes, Tokens};
use zklink_node::node::{Listens, can_listen};

use crate::chains::Chains;
use crate::cli::DemoArgs;
use crate::keys;
use crate::local::watch::{Log, follow};
use crate::local::{LocalNetwork, ONE, Options, books, shapes_up_to};
use crate::show::Show;
use crate::stop;

/// Coins of each user on each chain: enough for gas and for a deposit of a quarter.
const COINS: u128 = ONE / 2;
/// A block is sealed when its first operation is this old, milliseconds.
const BLOCK_AGE_MS: u64 = 3_000;
/// Time between blocks of embedded chains.
const BLOCK_TIME: Duration = Duration::from_secs(1);

/// Plays the story; true when everything came as expected and the books balance.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn run(args: &DemoArgs) -> Result<bool> {
    let show = Show::new();
    show.line(format!("zkLink {}: the demonstration", env!("CARGO_PKG_VERSION")));
    can_listen(Listens::Rpc, args.local.rpc)?;
    let chains = Chains::start(&args.l1, args.key_file.as_deref(), BLOCK_TIME).await?;
    show.title("Chains");
    for (id, l1) in &chains.by_id {
        show.line(format!("  chain {id}: EIP-155 id {}, {}", l1.evm_chain_id, l1.url));
    }
    show.title("Proving keys");
    let shapes = shapes_up_to(args.local.shape.shape());
    let folder = keys::folder(args.keys.keys.as_deref());
    let opened = keys::open_apart(folder.clone(), shapes, &show).await?;
    for key in opened.iter() {
        let rows = crate::show::group(&key.constraints().to_string());
        show.line(format!("  shape {}: {rows} constraints", key.shape.name));
    }
    let tokens = args.processes.then(Tokens::new);
    let options = Options {
        data: args.local.data.clone(),
        rpc: args.local.rpc,
        keys: Arc::new(opened),
        block_max_age_ms: BLOCK_AGE_MS,
        faucet: false,
        coins: COINS,
        outside: tokens.as_ref().map(Tokens::workers).transpose()?,
    };
    let network = LocalNetwork::start(chains, options, &show).await?;
    // Whatever comes of the story, what was started is stopped.
    let good = match &tokens {
        None => play(args, &network, &show).await,
        Some(tokens) => play_beside(args, &network, tokens, &folder, &show).await,
    };
    network.stop("the demonstration is over").await;
    good
}

/// Plays while prover and attesters run beside this process.
async fn play_beside(
    args: &DemoArgs,
    network: &LocalNetwork,
    tokens: &Tokens,
    keys: &Path,
    show: &Show,
) -> Result<bool> {
    let mut processes = Processes::start(network, tokens, keys, show)?;
    let good = tokio::select! {
        good = play(args, network, show) => good,
        ended = processes.ended() => Err(anyhow!("{ended}, and nobody does its work")),
        asked = stop::asked(), if !args.hold => match asked {
            Ok(()) => Err(anyhow!("stopped")),
            Err(error) => Err(error),
        },
    };
    processes.stop().await;
    good
}

async fn play(args: &DemoArgs, network: &LocalNetwork, show: &Show) -> Result<bool> {
    let log = Log::default();
    tokio::spawn(follow(network.node.events().listen(), show.clone(), log.clone()));
    show.line(format!("\nThe node answers on http://{0} and ws://{0}", network.node.rpc()));
    let outcome = story::play(network, show).await?;
    let books = books::books(network).await?;
    let solvent = books.iter().all(books::TokenBook::is_solvent);
    let record = log.record();
    show.line(tables::blocks(&record, &network.keys));
    show.line(tables::books(&books));
    show.line(tables::accounts(&outcome.accounts));
    show.line(tables::checks(&outcome.checks, solvent));
    if let Some(path) = &args.report {
        let report = report::make(network, &record, &books, &outcome)?;
        report::write(path, &report)?;
        show.line(format!("Report: {}", path.display()));
    }
    let good = solvent && outcome.checks.iter().all(|check| check.met);
    let verdict = if good { "Everything came as expected." } else { "Something is wrong." };
    show.line(format!("\n{verdict}"));
    if args.hold {
        let rpc = network.node.rpc();
        show.line(format!("\nThe node still answers on http://{rpc}. Ctrl-C stops."));
        stop::asked().await?;
    }
    Ok(good)
}
