//! The prover feed, the witness maker, and the provers beside the node.

use std::sync::Arc;

use zklink_circuit::proving::ShapeKeys;
use zklink_circuit::witness::Witness;
use zklink_mechanism::platform::{Platform, Reach};
use zklink_mechanism::supervised::Origin;
use zklink_prover::feed::{self, Feed, Job};
use zklink_prover::prover;

use super::{Core, MAILBOX, Parts, ProofCheck, StartError};
use crate::witness_maker::{self, WitnessMaker};

/// The bounds of the prover feed of a node.
pub(in crate::node) const FEED: feed::Config = feed::Config {
    jobs_max: 64,
    witness_bytes_max: 64 << 20,
    proof_bytes_max: 1024,
    provers_max: 64,
    lease_ms: 300_000,
    alive_ms: 60_000,
    strikes_max: 3,
    bar_ms: 600_000,
};

/// The prover feed, the witness maker, and the provers beside the node.
pub(super) async fn start_proving<P: Platform>(
    platform: &mut P,
    core: &mut Core<P>,
    parts: &Parts,
    maker: WitnessMaker,
) -> Result<P::Ref<Feed>, StartError> {
    let (check, keep) = (Arc::clone(&parts.proving.check), core.keep());
    let config = parts.proving.feed;
    let origin = Origin::rebuilt(move || {
        let check = Arc::clone(&check);
        let check = Box::new(move |job: &Job, proof: &[u8]| check(job, proof));
        Ok(Feed::new(config, check, keep.clone()))
    });
    let thread = platform.thread();
    let feed = platform.start(&thread, "feed", MAILBOX, origin).await?;
    core.ticks.push(feed.port());

    let (events, stop) = (&parts.events, platform.stopping());
    let (port, offload) = (feed.port(), platform.offload());
    let witnesses = witness_maker::drive(maker, port, events.clone(), offload, stop.clone());
    platform.drive("witness-maker", witnesses);
    for (name, proving) in &parts.proving.provers {
        let ports = prover::Ports { lease: feed.port(), submit: feed.port() };
        let (watching, proving) = (events.of_provers(), Arc::clone(proving));
        let driver = prover::drive(name.clone(), proving, ports, watching, stop.clone());
        platform.drive(&format!("prover {name}"), driver);
    }
    Ok(feed)
}

/// Checks Groth16 proofs: the public inputs come from the job's own witness.
pub(in crate::node) fn groth16_check(keys: Arc<ShapeKeys>) -> ProofCheck {
    Arc::new(move |job, proof| {
        let shape = zklink::shape::shape(job.shape).ok_or("an unknown shape")?;
        let witness = Witness::decode(&job.witness, shape).map_err(|error| error.to_string())?;
        keys.check(job.shape, &witness.inputs, proof).map_err(|error| error.to_string())
    })
}
