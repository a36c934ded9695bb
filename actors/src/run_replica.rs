//! A replica as a process of its own.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use tokio::time::Instant;
use zklink_mechanism::port::Port;
use zklink_node::config::{Loaded, ReplicaConfig};
use zklink_node::node::LoneReplica;
use zklink_store::replica::Followed;
use zklink_transport::{Remote, Role};

use crate::cli::ReplicaArgs;
use crate::run_prover::stay;
use crate::show::Show;
use crate::stop;

/// So many questions in a row that fail are told of: some seconds' worth.
const FAILURES: u32 = 5;
/// How often it is told how far a replica is that keeps up, while there is something new.
const QUIET: Duration = Duration::from_secs(60);
/// So many records behind are told of; fewer are the usual course.
const BEHIND: u64 = 1_000;

/// Follows the node until it is asked to stop.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn run(args: &ReplicaArgs) -> Result<()> {
    let show = Show::new();
    let loaded: Loaded<ReplicaConfig> = Loaded::read(&args.config)?;
    let config = &loaded.config;
    let token = loaded.token(&config.token_file)?;
    let deployment = loaded.deployment(&config.deployment)?;
    let remote = Remote::new(&config.node, &token, deployment.deployment_id)?;
    let data = loaded.path(&config.data);
    let started = LoneReplica::start(&data, &deployment, Port::new(remote.clone())).await;
    let mut replica = started.with_context(|| format!("the replica in {}", data.display()))?;
    let records = replica.followed.borrow().records;
    show.line(format!(
        "zkLink {}: replica with {records} records in {}. Ctrl-C stops.",
        env!("CARGO_PKG_VERSION"),
        data.display()
    ));
    tokio::spawn(stay(remote.clone(), Role::Replica, config.node.clone(), show.clone()));
    tokio::spawn(tell_progress(replica.followed.clone(), show.clone()));
    let reason = tokio::select! {
        asked = stop::asked() => {
            asked?;
            None
        }
        reason = replica.finished() => Some(reason),
    };
    show.line("Stopping. Ctrl-C again stops at once.");
    replica.stop().await;
    match reason {
        None => Ok(()),
        Some(reason) => bail!("the replica stopped by itself: {reason}"),
    }
}

/// Shows how far a replica is while it catches up, and when it has.
async fn tell_progress(mut followed: watch::Receiver<Followed>, show: Show) {
    let mut catching_up = true;
    let (mut told, mut complained, mut said) = (0, false, Instant::now());
    while followed.changed().await.is_ok() {
        let now = followed.borrow_and_update().clone();
        let Followed { records, of_node, failures, last_error } = now;
        if failures >= FAILURES && !complained {
            let error = last_error.unwrap_or_default();
            show.line(format!("nothing new for {failures} questions in a row: {error}"));
        }
        complained = failures >= FAILURES;
        let Some(of_node) = of_node else { continue };
        let behind = of_node.saturating_sub(records);
        if !catching_up && records > told && said.elapsed() >= QUIET {
            show.line(format!("{records} of {of_node} records"));
            (told, said) = (records, Instant::now());
        }
        if behind == 0 && catching_up {
            show.line(format!("all {records} records of the node are here"));
            (catching_up, told, said) = (false, records, Instant::now());
        } else if behind >= BEHIND && (!catching_up || records >= told + of_node / 10) {
            show.line(format!("{records} of {of_node} records ({} %)", records * 100 / of_node));
            (catching_up, told) = (true, records);
        }
    }
}
