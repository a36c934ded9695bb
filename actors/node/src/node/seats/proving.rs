//! The prover feed, the witness maker, and the provers of this process.

use std::sync::Arc;

use zklink_circuit::proving::ShapeKeys;
use zklink_circuit::witness::Witness;
use zklink_mechanism::port::Port;
use zklink_mechanism::shell::Thread;
use zklink_mechanism::supervised::Fault;
use zklink_mechanism::supervised::Origin;
use zklink_prover::feed::{self, Feed, Job, ProverId};
use zklink_prover::prover;

use super::core::Core;
use super::{Drivers, MAILBOX, Setup, StartError};
use crate::events::Events;
use crate::witness_maker;
use crate::witness_maker::WitnessMaker;

/// The bounds of the prover feed.
const FEED: feed::Config = feed::Config {
    jobs_max: 64,
    witness_bytes_max: 64 << 20,
    proof_bytes_max: 1024,
    provers_max: 64,
    lease_ms: 300_000,
    alive_ms: 60_000,
    strikes_max: 3,
    bar_ms: 600_000,
};

/// The prover feed, the witness maker, and the provers of this process.
pub(super) async fn start_proving(
    setup: &Setup,
    core: &mut Core,
    drivers: &mut Drivers,
    events: &Events,
    maker: WitnessMaker,
) -> Result<(Port<feed::ReadProgress>, prover::Ports), StartError> {
    let (keys, keep) = (Arc::clone(&setup.keys), core.keep.clone());
    let origin = Origin::rebuilt(move || {
        let keys = Arc::clone(&keys);
        let check = Box::new(move |job: &Job, proof: &[u8]| check_proof(&keys, job, proof));
        Ok(Feed::new(FEED, check, keep.clone()))
    });
    let feed = core.host.start(&Thread::start(), "feed", MAILBOX, origin).await?;
    core.ticks.push(feed.port());

    let (port, heard, stop) = (feed.port(), events.clone(), drivers.stop.clone());
    let supervisor: Port<Fault> = core.supervisor.port();
    drivers.start("witness-maker".to_owned(), async move {
        if let Err(error) = witness_maker::drive(maker, port, heard, stop).await {
            let (machine, reason) = ("witness-maker".to_owned(), error.to_string());
            drop(supervisor.tell(Fault { machine, reason, fatal: true }));
        }
    });
    let ports = prover::Ports { lease: feed.port(), submit: feed.port() };
    for number in 0..setup.provers {
        let name = ProverId::new(&format!("local-{number}")).expect("a plain name");
        let (keys, ports) = (Arc::clone(&setup.keys), ports.clone());
        let (watching, stop) = (events.of_provers(), drivers.stop.clone());
        let driver = prover::drive(name.clone(), keys, ports, watching, stop);
        drivers.start(format!("prover {name}"), driver);
    }
    Ok((feed.port(), ports))
}

/// Whether a proof proves the statement of its job: the public inputs come from the job's own witness.
fn check_proof(keys: &ShapeKeys, job: &Job, proof: &[u8]) -> Result<(), String> {
    let shape = zklink::shape::shape(job.shape).ok_or("an unknown shape")?;
    let witness = Witness::decode(&job.witness, shape).map_err(|error| error.to_string())?;
    keys.check(job.shape, &witness.inputs, proof).map_err(|error| error.to_string())
}
