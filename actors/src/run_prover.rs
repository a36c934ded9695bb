//! A prover as a process of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zklink_mechanism::port::Port;
use zklink_node::config::{Loaded, ProverConfig};
use zklink_prover::feed::ProverId;
use zklink_prover::prover::{self, Groth16Proving, Ports, Watching, Work};
use zklink_transport::{Link, Remote, Role};

use crate::cli::ProverArgs;
use crate::show::Show;
use crate::{keys, stop};

/// How long a prover may take to hear that it shall stop. Its proof is given up at once.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Proves until it is asked to stop.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn run(args: &ProverArgs) -> Result<()> {
    let show = Show::new();
    let loaded: Loaded<ProverConfig> = Loaded::read(&args.config)?;
    let config = &loaded.config;
    let (provers, token) = (loaded.provers()?, loaded.token(&config.token_file)?);
    let deployment = loaded.deployment(&config.deployment)?;
    let remote = Remote::new(&config.node, &token, deployment.deployment_id)?;
    let folder = config.keys.as_ref().map(|folder| loaded.path(folder));
    let folder = keys::folder(args.keys.as_deref().or(folder.as_deref()));
    let keys = Arc::new(keys::of_deployment(&deployment, folder, &show).await?);
    show.line(format!("zkLink {}: {provers} prover(s). Ctrl-C stops.", env!("CARGO_PKG_VERSION")));
    tokio::spawn(stay(remote.clone(), Role::Prover, config.node.clone(), show.clone()));
    let (stop, stopped) = watch::channel(false);
    let mut drivers = JoinSet::new();
    for place in 0..provers {
        // For the log of this process; the node has its own name for whoever shows the token.
        let name = ProverId::new(&place.to_string())?;
        let remote = remote.at(place);
        let ports = Ports { lease: Port::new(remote.clone()), submit: Port::new(remote) };
        let proving = Groth16Proving::new(name.clone(), Arc::clone(&keys));
        drivers.spawn(prover::drive(
            name,
            Arc::new(proving),
            ports,
            telling(show.clone()),
            stopped.clone(),
        ));
    }
    let asked = tokio::select! {
        asked = stop::asked() => asked,
        ended = drivers.join_next() => {
            Err(anyhow::anyhow!("a prover ended by itself: {ended:?}"))
        }
    };
    show.line("Stopping. Ctrl-C again stops at once.");
    stop.send_replace(true);
    let ending = async { while drivers.join_next().await.is_some() {} };
    // What is not done by then ends with the process: the node leases the job again.
    drop(tokio::time::timeout(STOP_LIMIT, ending).await);
    asked
}

/// Shows each proof that the node took.
fn telling(show: Show) -> Watching {
    Arc::new(move |work| {
        if let Work::Proven { block, millis } = work {
            let seconds = crate::local::watch::seconds(millis);
            show.line(format!("block {block} proven in {seconds:.1} s"));
        }
    })
}

/// Stays connected to the node, and shows when it is reached and when it is not.
pub(crate) async fn stay(remote: Remote, role: Role, node: String, show: Show) {
    let mut link = remote.link();
    let telling = async {
        while link.changed().await.is_ok() {
            let now = link.borrow_and_update().clone();
            match now {
                Link::Idle => {}
                Link::Connected => show.line(format!("connected to {node}")),
                Link::Refused(why) => show.line(format!("{node} takes nothing: {why}")),
                Link::Down(why) => {
                    show.line(format!("no connection to {node}: {why}; trying again"));
                }
            }
        }
    };
    tokio::join!(remote.stay(role), telling);
}
