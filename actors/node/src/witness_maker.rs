//! The witness maker: follows the sealed blocks, rebuilds the state from them, and has their proofs made.
//!
//! It trusts nobody's state: each block is decoded from its public data and replayed on its own trees, and a root that
//! differs stops the node. It never changes a block and never talks to a chain.

pub mod unproven;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use unproven::Unproven;
use zklink::block::{Block, BlockError};
use zklink::commitment::StateTree;
use zklink::hash::fr_to_be_bytes;
use zklink::id::{BlockNumber, ShapeId};
use zklink::state::State;
use zklink::tx::keccak;
use zklink_circuit::witness::Witness;
use zklink_mechanism::platform::Offload;
use zklink_mechanism::port::Port;
use zklink_prover::feed::{Enqueue, EnqueueRefusal, Job, JobId};
use zklink_store::archive::{ArchiveError, ArchiveReader};
use zklink_store::record::SealedBlock;

use crate::events::{Event, Events};
use crate::pool_history::PoolHistory;
use crate::snapshot::WitnessStart;

/// How often the feed is given again what has no proof yet.
const AGAIN: Duration = Duration::from_secs(2);
/// How long to wait when there is nothing to do, or when the feed is full.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the feed may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why no witness can be made. The node stops: block and state do not belong together.
#[derive(Debug, thiserror::Error)]
pub enum WitnessFault {
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Its public data do not lead back to the block or to its root.
    #[error("block {0} cannot be rebuilt from its public data: {1}")]
    Replay(BlockNumber, BlockError),
    /// The feed will never take the witness.
    #[error("the prover feed refuses block {0}: {1}")]
    Refused(BlockNumber, EnqueueRefusal),
}

/// A block that was replayed.
#[derive(Debug)]
pub struct Taken {
    /// Its number.
    pub number: BlockNumber,
    /// Its shape.
    pub shape: ShapeId,
    /// Its operations.
    pub ops: usize,
    /// The job of proving it; nothing when it is proven already.
    pub job: Option<Job>,
}

/// See the module.
#[derive(Debug)]
pub struct WitnessMaker {
    archive: ArchiveReader,
    state: State,
    tree: StateTree,
    /// Up to there nothing is to be proven.
    proven: BlockNumber,
    pools: PoolHistory,
}

impl WitnessMaker {
    /// A witness maker behind a block, or at genesis: it catches up by replaying what is proven already.
    /// Here and after each block it notes the pools, for those who compare them with the contracts.
    pub fn new(archive: ArchiveReader, start: WitnessStart, pools: PoolHistory) -> WitnessMaker {
        let WitnessStart { state, tree, proven } = start;
        pools.note(&state);
        WitnessMaker { archive, state, tree, proven, pools }
    }

    /// Takes the next sealed block; nothing when there is none.
    ///
    /// # Errors
    /// [`WitnessFault`].
    pub fn step(&mut self) -> Result<Option<Taken>, WitnessFault> {
        let last = self.state.system.number;
        let number = last.next().ok_or(WitnessFault::Replay(last, BlockError::Order(last)))?;
        let Some(sealed) = self.archive.block(number)? else { return Ok(None) };
        let proven = number <= self.proven || self.archive.proof(number)?.is_some();
        let made =
            self.take(&sealed, proven).map_err(|error| WitnessFault::Replay(number, error))?;
        self.pools.note(&self.state);
        let ops = sealed.sources.len();
        Ok(Some(Taken { number, shape: sealed.block.head.shape, ops, job: made }))
    }

    fn take(&mut self, sealed: &SealedBlock, proven: bool) -> Result<Option<Job>, BlockError> {
        sealed.block.check_form(self.state.system.fee_account)?;
        let block = Block::decode(&sealed.block.public_data())?;
        if proven {
            block.replay(&mut self.state, &mut self.tree)?;
            return Ok(None);
        }
        let signed = sealed.signed();
        let witness = Witness::build(&block, &signed, &mut self.state, &mut self.tree)?;
        let inputs = block.public_inputs()?.map(fr_to_be_bytes).concat();
        let shape = block.head.shape;
        let id = JobId(keccak(&[&shape.0.to_be_bytes(), &inputs]));
        let witness = Arc::new(witness.encode());
        Ok(Some(Job { id, block: block.head.number, shape, witness }))
    }
}

/// Makes witnesses until `stop` becomes true.
///
/// # Errors
/// [`WitnessFault`], which stops the node.
pub async fn drive(
    mut maker: WitnessMaker,
    feed: Port<Enqueue>,
    events: Events,
    offload: Offload,
    stop: watch::Receiver<bool>,
) -> Result<(), WitnessFault> {
    let mut unproven = Unproven::new(maker.archive.clone());
    let mut offered = Instant::now();
    while !*stop.borrow() {
        let start = Instant::now();
        let work = move || {
            let made = maker.step();
            (maker, made)
        };
        let (back, made) = offload.run(work).await;
        maker = back;
        match made? {
            None => tokio::time::sleep(PAUSE).await,
            Some(Taken { job: None, .. }) => {}
            Some(Taken { number, shape, ops, job: Some(job) }) => {
                events.tell(Event::BlockSealed { number, shape, ops });
                let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                events.tell(Event::WitnessMade { number: job.block, millis });
                enqueue(job.clone(), &feed, &stop).await?;
                unproven.note(job);
            }
        }
        if offered.elapsed() >= AGAIN {
            for job in unproven.remaining()? {
                enqueue(job, &feed, &stop).await?;
            }
            offered = Instant::now();
        }
    }
    Ok(())
}

/// Gives a job to the feed, however long that takes.
async fn enqueue(
    job: Job,
    feed: &Port<Enqueue>,
    stop: &watch::Receiver<bool>,
) -> Result<(), WitnessFault> {
    while !*stop.borrow() {
        let answer = match feed.ask(Enqueue { job: job.clone() }) {
            Ok(pending) => pending.wait(PATIENCE).await.ok(),
            Err(_) => None,
        };
        match answer {
            Some(Ok(())) => return Ok(()),
            Some(Err(refusal @ EnqueueRefusal::TooLarge(_))) => {
                return Err(WitnessFault::Refused(job.block, refusal));
            }
            // The feed is full, busy, or being rebuilt: the job is offered again.
            Some(Err(EnqueueRefusal::Full)) | None => tokio::time::sleep(PAUSE).await,
        }
    }
    Ok(())
}
