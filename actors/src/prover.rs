//! A prover: takes jobs from the feed, proves them, and hands the proofs in.
//!
//! It knows keys and witnesses and nothing else: no state, no chain. Any number of provers may work on one feed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::shape::shape;
use zklink_circuit::proving::{ShapeKeys, write_proof};
use zklink_circuit::witness::Witness;

use crate::events::{Event, Events};
use crate::feed::{Job, Lease, Leased, ProverId, Submit};
use crate::port::Port;

/// How long to wait when there is no job.
const PAUSE: Duration = Duration::from_millis(200);
/// How long to wait after a job that cannot be proven: the feed leases it again at once.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// How long the feed may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ports of the feed that a prover uses.
#[derive(Clone, Debug)]
pub struct Ports {
    /// For work.
    pub lease: Port<Lease>,
    /// For proofs.
    pub submit: Port<Submit>,
}

/// Proves until `stop` becomes true. A job that cannot be proven is logged and left to its deadline.
#[expect(clippy::disallowed_methods, reason = "measures work for the report, decides nothing")]
pub async fn drive(
    name: ProverId,
    keys: Arc<ShapeKeys>,
    ports: Ports,
    events: Events,
    stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let Some(Leased { job, .. }) = lease(&name, &ports).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let start = std::time::Instant::now();
        let (keys, job_events, block, id) = (keys.clone(), events.clone(), job.block, job.id);
        let work = tokio::task::spawn_blocking(move || prove(&keys, &job, &job_events));
        let millis = |start: std::time::Instant| {
            u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
        };
        match work.await {
            Ok(Ok(proof)) => {
                let took = millis(start);
                if submit(Submit { prover: name.clone(), job: id, proof }, &ports).await {
                    events.tell(Event::Proven { number: block, millis: took });
                }
            }
            Ok(Err(reason)) => {
                tracing::error!(%block, reason, "a job cannot be proven");
                tokio::time::sleep(FAILED_PAUSE).await;
            }
            Err(panic) => {
                tracing::error!(%block, %panic, "the prover panicked");
                tokio::time::sleep(FAILED_PAUSE).await;
            }
        }
    }
}

async fn lease(name: &ProverId, ports: &Ports) -> Option<Leased> {
    let pending = ports.lease.ask(Lease { prover: name.clone() }).ok()?;
    match pending.wait(PATIENCE).await {
        Ok(Ok(leased)) => leased,
        Ok(Err(refusal)) => {
            tracing::warn!(%refusal, "no work from the feed");
            None
        }
        Err(_) => None,
    }
}

/// Hands a proof in; true when it was taken.
async fn submit(submit: Submit, ports: &Ports) -> bool {
    let job = submit.job;
    let answer = match ports.submit.ask(submit) {
        Ok(pending) => pending.wait(PATIENCE).await,
        Err(refused) => {
            tracing::warn!(%job, %refused, "the feed did not take a proof");
            return false;
        }
    };
    match answer {
        Ok(Ok(_)) => true,
        Ok(Err(refusal)) => {
            tracing::warn!(%job, %refusal, "the feed refused a proof");
            false
        }
        Err(error) => {
            tracing::warn!(%job, %error, "the feed did not answer");
            false
        }
    }
}

fn prove(keys: &ShapeKeys, job: &Job, events: &Events) -> Result<Vec<u8>, String> {
    let key = keys.get(job.shape).ok_or_else(|| format!("no key of shape {}", job.shape))?;
    let shape = shape(job.shape).ok_or_else(|| format!("no shape {}", job.shape))?;
    let witness = Witness::decode(&job.witness, shape).map_err(|error| error.to_string())?;
    let number = job.block;
    let proof = key
        .prove(&witness, |stage, done| events.tell(Event::Proving { number, stage, done }))
        .map_err(|error| error.to_string())?;
    Ok(write_proof(&proof))
}
