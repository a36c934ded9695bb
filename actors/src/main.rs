//! `zklink`: a development network, its demonstration, and the node.

mod chains;
mod cli;
mod demo;
mod keys;
mod local;
mod people;
mod play;
mod run_attester;
mod run_deploy;
mod run_node;
mod run_prover;
mod run_replica;
mod show;
mod stop;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    match zklink_mechanism::shell::run(run(cli)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

/// Runs what was asked for; false when it ran to its end and found that something is not as it must be.
async fn run(cli: Cli) -> anyhow::Result<bool> {
    match cli.command {
        None => play::run(&cli.local, &cli.keys).await.map(|()| true),
        Some(Command::Demo(demo)) => demo::run(&demo).await,
        Some(Command::Node(node)) => run_node::run(&node).await.map(|()| true),
        Some(Command::Attester(attester)) => run_attester::run(&attester).await.map(|()| true),
        Some(Command::Prover(prover)) => run_prover::run(&prover).await.map(|()| true),
        Some(Command::Replica(replica)) => run_replica::run(&replica).await.map(|()| true),
        Some(Command::Deploy(deploy)) => run_deploy::run(&deploy).await.map(|()| true),
        Some(Command::Keys(make)) => keys::run(&make).map(|()| true),
    }
}

/// The log goes to stderr; `RUST_LOG` says how much of it, and warnings are the default.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .init();
}

/// One line. Many errors say their cause in their own text already; it is not said twice.
fn failed(error: &anyhow::Error) -> ExitCode {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    eprintln!("zklink: {line}");
    ExitCode::FAILURE
}
