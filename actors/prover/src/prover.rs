//! A prover: takes jobs from the feed, proves them, and hands the proofs in.
//!
//! It knows keys and witnesses and nothing else: no state, no chain. Any number of provers may work on one feed.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use zklink::id::BlockNumber;
use zklink::shape::shape;
use zklink_circuit::groth16::Stage;
use zklink_circuit::proving::{ShapeKeys, write_proof};
use zklink_circuit::witness::Witness;
use zklink_mechanism::driver::pause;
use zklink_mechanism::port::Port;

use crate::feed::{Job, Lease, Leased, ProverId, Submit};

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

/// What a prover is at, for people who watch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// It is at work.
    Proving {
        /// The block.
        block: BlockNumber,
        /// What it does.
        stage: Stage,
        /// The share of the work that is done, 0 to 1.
        done: f32,
    },
    /// The feed accepted its proof.
    Proven {
        /// The block.
        block: BlockNumber,
        /// How long the proof took, in milliseconds.
        millis: u64,
    },
}

/// Who is told what a prover is at.
pub type Watching = Arc<dyn Fn(Work) + Send + Sync>;

/// A proof to come, or why there is none.
pub type Proof = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// Makes proofs.
pub trait Proving: Send + Sync {
    /// Proves a job, and tells how far that is. Dropped, the proof is given up.
    fn prove(&self, job: Job, watching: Watching) -> Proof;
}

/// Makes Groth16 proofs, each on a thread of its own.
pub struct Groth16Proving {
    name: ProverId,
    keys: Arc<ShapeKeys>,
}

impl Groth16Proving {
    /// Proofs with these keys; the threads have the name.
    pub fn new(name: ProverId, keys: Arc<ShapeKeys>) -> Self {
        Self { name, keys }
    }
}

impl Proving for Groth16Proving {
    fn prove(&self, job: Job, watching: Watching) -> Proof {
        let keys = Arc::clone(&self.keys);
        let work = on_own_thread(&self.name, move || prove(&keys, &job, &*watching));
        let gone = "the prover's thread panicked or could not be started";
        Box::pin(async move { work.await.unwrap_or_else(|_| Err(gone.to_owned())) })
    }
}

/// Proves until `stop` becomes true. A job that cannot be proven is logged and left to its deadline.
pub async fn drive(
    name: ProverId,
    proving: Arc<dyn Proving>,
    ports: Ports,
    watching: Watching,
    stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let Some(Leased { job, .. }) = lease(&name, &ports).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (block, id, start) = (job.block, job.id, Instant::now());
        let proof = proving.prove(job, Arc::clone(&watching));
        let Some(proven) = unless_stopped(proof, stop.clone()).await else { return };
        match proven {
            Ok(proof) => {
                let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                let submit = Submit { prover: name.clone(), job: id, proof };
                if hand_in(submit, &ports.submit, &stop).await {
                    watching(Work::Proven { block, millis });
                }
            }
            Err(reason) => {
                tracing::error!(%block, reason, "a job cannot be proven");
                tokio::time::sleep(FAILED_PAUSE).await;
            }
        }
    }
}

/// Does long work on a thread that nobody waits for: neither the runtime nor the end of the program.
fn on_own_thread<T: Send + 'static>(
    name: &ProverId,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(format!("prover {name}"));
    // Without a thread the channel is dropped, and so says that there is no result. A result that nobody
    // waits for any more is of no use.
    drop(thread.spawn(move || drop(done.send(work()))));
    result
}

/// The result of the work; nothing when the node stops before. The proof is then abandoned: its job is made
/// again at the next start.
async fn unless_stopped<T>(
    work: impl Future<Output = T>,
    mut stop: watch::Receiver<bool>,
) -> Option<T> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        done = work => Some(done),
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

/// Hands a proof in until the feed takes or refuses it; true when it was taken. A proof is minutes of work: a feed that
/// is full, failed or slow gets it again. One that it took without a word it knows as proven.
async fn hand_in(mut submit: Submit, feed: &Port<Submit>, stop: &watch::Receiver<bool>) -> bool {
    let (job, mut failures) = (submit.job, 0u32);
    while !*stop.borrow() {
        let kept = submit.clone();
        match feed.ask(submit) {
            Ok(pending) => match pending.wait(PATIENCE).await {
                Ok(Ok(_)) => return true,
                Ok(Err(refusal)) => {
                    tracing::warn!(%job, %refusal, "the feed refused a proof");
                    return false;
                }
                // Told once: it may last as long as the node is away.
                Err(error) if failures == 0 => {
                    tracing::warn!(%job, %error, "the feed did not answer; the proof is kept and offered again");
                }
                Err(error) => tracing::debug!(%job, %error, "the feed did not answer"),
            },
            Err(refused) => tracing::debug!(%job, %refused, "the feed does not take a proof yet"),
        }
        submit = kept;
        tokio::time::sleep(pause(PAUSE, failures)).await;
        failures = failures.saturating_add(1);
    }
    false
}

fn prove(keys: &ShapeKeys, job: &Job, watching: &dyn Fn(Work)) -> Result<Vec<u8>, String> {
    let key = keys.get(job.shape).ok_or_else(|| format!("no key of shape {}", job.shape))?;
    let shape = shape(job.shape).ok_or_else(|| format!("no shape {}", job.shape))?;
    let witness = Witness::decode(&job.witness, shape).map_err(|error| error.to_string())?;
    let block = job.block;
    let proof = key
        .prove(&witness, |stage, done| watching(Work::Proving { block, stage, done }))
        .map_err(|error| error.to_string())?;
    Ok(write_proof(&proof))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use zklink_mechanism::port::{Deliver, Envelope, Refused};

    use super::*;
    use crate::feed::{JobId, SubmitRefusal, Submitted};

    /// What a feed does with each proof, the last first.
    enum Mood {
        Full,
        Silent,
        Answer(Result<Submitted, SubmitRefusal>),
    }

    struct Moody(Arc<Mutex<Vec<Mood>>>);

    impl Deliver<Submit> for Moody {
        fn deliver(&self, envelope: Envelope<Submit>) -> Result<(), Refused<Submit>> {
            assert_eq!(envelope.message.proof, [7; 9], "the same proof comes again");
            match self.0.lock().unwrap().pop().unwrap() {
                Mood::Full => return Err(Refused::Full(envelope.message)),
                Mood::Silent => drop(envelope.reply),
                Mood::Answer(answer) => envelope.reply.unwrap().answer(answer),
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_finished_proof_is_kept_until_the_feed_takes_or_refuses_it() {
        let prover = ProverId::new("test").unwrap();
        let submit = Submit { prover, job: JobId([1; 32]), proof: vec![7; 9] };
        let (going, stop) = watch::channel(false);
        let taken = Mood::Answer(Ok(Submitted::Accepted));
        let refused = Mood::Answer(Err(SubmitRefusal::NeverLeased));
        for (last, expected) in [(taken, true), (refused, false)] {
            let moods = Arc::new(Mutex::new(vec![last, Mood::Silent, Mood::Full, Mood::Full]));
            let feed = Port::new(Moody(Arc::clone(&moods)));
            assert_eq!(hand_in(submit.clone(), &feed, &stop).await, expected);
            assert!(moods.lock().unwrap().is_empty());
        }
        going.send_replace(true);
        let feed = Port::new(Moody(Arc::default()));
        assert!(!hand_in(submit, &feed, &stop).await, "a node that stops waits for nobody");
    }

    /// As in the program: the end of the runtime must not wait for the proof either.
    #[test]
    fn a_stop_does_not_wait_for_a_proof() {
        let start = Instant::now();
        let abandoned = zklink_mechanism::shell::run(async {
            let name = ProverId::new("test").unwrap();
            let (stop, stopped) = watch::channel(false);
            let work = on_own_thread(&name, || std::thread::sleep(Duration::from_secs(60)));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stop.send(true).unwrap();
            });
            unless_stopped(work, stopped).await.is_none()
        });
        assert!(abandoned && start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_panic_of_a_proof_is_told() {
        let name = ProverId::new("test").unwrap();
        let (_stop, stopped) = watch::channel(false);
        let work = on_own_thread(&name, || -> () { panic!("a test") });
        assert!(unless_stopped(work, stopped.clone()).await.expect("no stop").is_err());
        let work = on_own_thread(&name, || 7);
        assert_eq!(unless_stopped(work, stopped).await, Some(Ok(7)));
    }
}
