//! `zklink-load`: how many transactions a node takes, at what cost, and whether it keeps what it acknowledged.
//!
//! The node under load is a process of its own, started on a fresh folder, with the wiring, journal, archive, builder
//! and RPC of `zklink node`. **Its chains are out of reach and nothing is proven**: blocks are sealed and wait. The
//! generator sends by a fixed schedule, whatever the answers are (an open loop), so that a slow node shows as latency.

mod crowd;
mod drive;
mod kills;
mod node;
mod overload;
mod process;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crowd::{Crowd, signed_transfers};
use drive::drive;
use process::NodeProcess;
use report::{Report, print};

/// Puts load on a node and says what it bore. Proving is off.
#[derive(Debug, Parser)]
#[command(name = "zklink-load", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Signed transfers at one rate. Two thirds of them go to one of 100 busy accounts.
    Transfers(TransfersArgs),
    /// Kills nodes under load, one after the other, each at another moment, and starts each of them again
    Kills(KillsArgs),
    /// Many times as many transfers as a node takes, and how it does before, meanwhile and afterwards
    Overload(OverloadArgs),
    /// The same transfers in states of more and more accounts: what the cost of a transfer grows by.
    Growth(GrowthArgs),
    /// The node under load, as a process: what the other commands start.
    #[command(hide = true)]
    Node(node::NodeArgs),
}

/// What is sent.
#[derive(Clone, Debug, Args)]
struct LoadArgs {
    /// Transfers a second.
    #[arg(long, default_value_t = 4_000)]
    rate: u32,
    /// How long.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// WebSockets.
    #[arg(long, default_value_t = 64)]
    websockets: usize,
    /// Accounts that send and receive.
    #[arg(long, default_value_t = 10_000)]
    active: u32,
    /// Writes the report as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct TransfersArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// Accounts of the state; those that are not active lie still.
    #[arg(long, default_value_t = 10_000)]
    accounts: u32,
    /// Kills the node after so many seconds (SIGKILL), and holds every acknowledgement against its journal.
    #[arg(long, value_name = "SECONDS")]
    kill_after: Option<u32>,
}

#[derive(Debug, Args)]
struct GrowthArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// Accounts of the states, each more than the one before.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    accounts: Vec<u32>,
}

#[derive(Debug, Args)]
struct KillsArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// How many nodes are killed, each on a fresh folder.
    #[arg(long, default_value_t = 102)]
    times: u32,
}

#[derive(Debug, Args)]
struct OverloadArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// Times the rate that are sent meanwhile.
    #[arg(long, default_value_t = 10)]
    times: u32,
}

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Node(args) => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter()).init();
            zklink_mechanism::shell::run(node::run(&args))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Transfers(TransfersArgs { load, accounts, kill_after }) => {
            let kill_after = kill_after.map(|seconds| Duration::from_secs(seconds.into()));
            let report = transfers(&load, accounts, kill_after)?;
            print(std::slice::from_ref(&report));
            write(&load, &report)?;
            Ok(ExitCode::from(u8::from(report.lost_acknowledgements > 0)))
        }
        Command::Kills(KillsArgs { load, times }) => {
            let report = kills::run(&load, times)?;
            kills::print(&report);
            write(&load, &report)?;
            Ok(ExitCode::from(u8::from(report.lost_acknowledgements > 0)))
        }
        Command::Overload(OverloadArgs { load, times }) => {
            let report = overload::run(&load, times)?;
            overload::print(&report);
            write(&load, &report)?;
            Ok(ExitCode::from(u8::from(report.lost_acknowledgements > 0)))
        }
        Command::Growth(GrowthArgs { load, accounts }) => {
            let load =
                LoadArgs { active: load.active.min(*accounts.iter().min().unwrap_or(&0)), ..load };
            let runs = accounts.iter().map(|accounts| transfers(&load, *accounts, None));
            let reports = runs.collect::<Result<Vec<Report>>>()?;
            print(&reports);
            write(&load, &reports)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn filter() -> tracing_subscriber::EnvFilter {
    // The chains are out of reach on purpose.
    let quiet = || tracing_subscriber::EnvFilter::new("off");
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| quiet())
}

fn write(load: &LoadArgs, report: &impl serde::Serialize) -> Result<()> {
    let Some(path) = &load.report else { return Ok(()) };
    let text = serde_json::to_string_pretty(report)?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// One run on a fresh node.
fn transfers(load: &LoadArgs, accounts: u32, kill_after: Option<Duration>) -> Result<Report> {
    let crowd = Crowd::of(load.active.min(accounts));
    let count = usize::try_from(u64::from(load.rate) * u64::from(load.seconds))?;
    eprintln!("signing {count} transfers");
    let requests = signed_transfers(&crowd, crowd.all(), count);
    let signature_share_us = crowd::verification_us(&crowd, &requests);
    eprintln!("starting a node with {accounts} accounts");
    let folder = tempfile::tempdir().context("making a folder")?;
    let node = NodeProcess::start(folder.path(), accounts, load.active)?;
    let before = node.usage()?;
    let own = process::Usage::of_self()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let driven =
        runtime.block_on(drive(&node, &requests, load.rate, load.websockets, kill_after))?;
    let own = process::Usage::of_self()?.since(&own);
    let after = driven.usage.since(&before);
    let rss = (before.rss_mib, driven.usage.rss_mib);
    node.stop()?;
    report::tell_unanswered(folder.path(), &requests, &driven, load.rate)?;
    let lost = report::lost(folder.path(), &[(&requests, &driven)])?;
    Ok(Report::of(load, accounts, &driven, lost, (after, own, rss, signature_share_us)))
}
