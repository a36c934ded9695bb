//! The prover feed: proof jobs that wait, are leased to provers, and come back as proofs.
//!
//! Provers pull. A proof is checked before it is believed; a wrong one costs its prover a strike,
//! and the job goes to another prover at once. A lease that runs out frees its job. The feed keeps
//! nothing on disk: after a restart, whoever makes witnesses enqueues again what the archive holds
//! no proof for. It never makes or reads a witness itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use zklink::id::BlockNumber;
use zklink_mechanism::clock::Tick;
use zklink_mechanism::machine::{Handle, Load, Machine};
use zklink_mechanism::port::{Port, Refused};
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;
use zklink_store::archive::{Keep, Made};

mod config;
pub mod job;
pub mod provers;

pub use config::Config;
pub use job::{
    Enqueue, EnqueueRefusal, Job, JobId, JobProgress, Lease, Leased, Progress, ReadProgress,
    Submit, SubmitRefusal, Submitted,
};
pub use provers::{LeaseRefusal, ProverId, ProverProgress};

use provers::Provers;

/// Proofs that may wait for the archive before the feed's port answers `Full`.
const UNKEPT_MAX: usize = 64;

/// Whether a proof proves the statement of its job. The text says why not.
pub type Check = Box<dyn Fn(&Job, &[u8]) -> Result<(), String> + Send>;

struct Pending {
    job: Job,
    lease: Option<(ProverId, Timestamp)>,
    /// Provers that once held this job.
    holders: BTreeSet<ProverId>,
    /// Those among them that failed at it.
    failed: BTreeSet<ProverId>,
    attempts: u32,
}

/// See the module.
pub struct Feed {
    config: Config,
    check: Check,
    archive: Port<Keep>,
    /// In order of blocks: the oldest block is what settlement waits for.
    pending: BTreeMap<(BlockNumber, JobId), Pending>,
    witness_bytes: usize,
    provers: Provers,
    proven: VecDeque<JobId>,
    proven_count: u64,
    unkept: VecDeque<Made>,
}

impl Feed {
    /// An empty feed that gives proofs to `archive`.
    pub fn new(config: Config, check: Check, archive: Port<Keep>) -> Self {
        Self {
            config,
            check,
            archive,
            pending: BTreeMap::new(),
            witness_bytes: 0,
            provers: Provers::new(config),
            proven: VecDeque::new(),
            proven_count: 0,
            unkept: VecDeque::new(),
        }
    }

    fn expire(&mut self, now: Timestamp) {
        for pending in self.pending.values_mut() {
            let expired = pending.lease.take_if(|(_, deadline)| *deadline <= now);
            if let Some((prover, _)) = expired {
                self.provers.released(&prover);
                self.provers.expired(&prover);
                pending.failed.insert(prover);
            }
        }
    }

    fn find(&self, id: &JobId) -> Option<(BlockNumber, JobId)> {
        self.pending.keys().find(|(_, job)| job == id).copied()
    }

    /// The oldest job that `prover` may take: none that it failed at while another prover, alive
    /// and without such a failure, can be expected to come for it.
    fn next_for(&self, prover: &ProverId, now: Timestamp) -> Option<(BlockNumber, JobId)> {
        let mut free = self.pending.iter().filter(|(_, pending)| pending.lease.is_none());
        let found = free.find(|(_, pending)| {
            !pending.failed.contains(prover)
                || self.provers.usable(now).all(|other| pending.failed.contains(other))
        });
        found.map(|(key, _)| *key)
    }

    /// Checks a proof; a wrong one frees the job for others and strikes the prover.
    fn judge(
        &mut self,
        key: (BlockNumber, JobId),
        submit: &Submit,
        now: Timestamp,
    ) -> Result<(), SubmitRefusal> {
        let unknown = SubmitRefusal::UnknownJob(submit.job);
        let pending = self.pending.get_mut(&key).ok_or(unknown)?;
        if !pending.holders.contains(&submit.prover) {
            return Err(SubmitRefusal::NeverLeased);
        }
        let Err(reason) = (self.check)(&pending.job, &submit.proof) else { return Ok(()) };
        if pending.lease.take_if(|(holder, _)| *holder == submit.prover).is_some() {
            self.provers.released(&submit.prover);
        }
        pending.failed.insert(submit.prover.clone());
        let strikes = self.provers.strike(&submit.prover, now);
        tracing::warn!(prover = %submit.prover, block = %key.0, strikes, reason, "wrong proof");
        Err(SubmitRefusal::Wrong { reason, strikes })
    }

    fn complete(&mut self, key: (BlockNumber, JobId), submit: Submit) {
        let Some(pending) = self.pending.remove(&key) else { return };
        self.witness_bytes -= pending.job.witness.len();
        if let Some((holder, _)) = &pending.lease {
            self.provers.released(holder);
        }
        self.provers.proved(&submit.prover);
        self.proven_count += 1;
        self.proven.push_back(submit.job);
        if self.proven.len() > self.config.jobs_max {
            self.proven.pop_front();
        }
        self.unkept.push_back(Made::Proof { block: pending.job.block, bytes: submit.proof });
        self.hand_over();
    }

    fn hand_over(&mut self) {
        while let Some(made) = self.unkept.pop_front() {
            match self.archive.tell(Keep { made: vec![made] }) {
                Ok(()) => {}
                // A closed archive means that the node stops; the proof will be made again.
                Err(Refused::Closed(_)) => {}
                Err(Refused::Full(keep)) => {
                    keep.made.into_iter().for_each(|made| self.unkept.push_front(made));
                    return;
                }
            }
        }
    }
}

impl Machine for Feed {
    fn idle(&mut self, _: &mut Turn) {
        self.hand_over();
    }

    fn load(&self) -> Load {
        match self.unkept.len() {
            0 => Load::Clear,
            UNKEPT_MAX.. => Load::Saturated,
            _ => Load::Waiting,
        }
    }
}

impl Handle<Enqueue> for Feed {
    fn handle(&mut self, enqueue: Enqueue, _: &mut Turn) -> Result<(), EnqueueRefusal> {
        let job = enqueue.job;
        if self.proven.contains(&job.id) || self.find(&job.id).is_some() {
            return Ok(());
        }
        let bytes = self.witness_bytes.saturating_add(job.witness.len());
        if job.witness.len() > self.config.witness_bytes_max {
            return Err(EnqueueRefusal::TooLarge(job.witness.len()));
        }
        if self.pending.len() >= self.config.jobs_max || bytes > self.config.witness_bytes_max {
            return Err(EnqueueRefusal::Full);
        }
        self.witness_bytes = bytes;
        let (holders, failed) = (BTreeSet::new(), BTreeSet::new());
        let key = (job.block, job.id);
        self.pending.insert(key, Pending { job, lease: None, holders, failed, attempts: 0 });
        Ok(())
    }
}

impl Handle<Lease> for Feed {
    fn handle(&mut self, lease: Lease, turn: &mut Turn) -> Result<Option<Leased>, LeaseRefusal> {
        let (prover, now) = (lease.prover, turn.now);
        self.expire(now);
        self.provers.heard(&prover, now)?;
        let held = |pending: &&mut Pending| {
            pending.lease.as_ref().is_some_and(|(holder, _)| *holder == prover)
        };
        // A prover that lost its answer gets the same job again, with the same deadline.
        if let Some(Pending { job, lease: Some((_, deadline)), .. }) =
            self.pending.values_mut().find(held)
        {
            return Ok(Some(Leased { job: job.clone(), deadline: *deadline }));
        }
        let Some(key) = self.next_for(&prover, now) else { return Ok(None) };
        let Some(pending) = self.pending.get_mut(&key) else { return Ok(None) };
        let deadline = now.after(self.config.lease_ms);
        pending.attempts = pending.attempts.saturating_add(1);
        pending.holders.insert(prover.clone());
        pending.lease = Some((prover.clone(), deadline));
        let job = pending.job.clone();
        self.provers.leased(&prover, key.0, deadline);
        Ok(Some(Leased { job, deadline }))
    }
}

impl Handle<Submit> for Feed {
    fn handle(&mut self, submit: Submit, turn: &mut Turn) -> Result<Submitted, SubmitRefusal> {
        if submit.proof.len() > self.config.proof_bytes_max {
            return Err(SubmitRefusal::TooLarge(submit.proof.len()));
        }
        self.expire(turn.now);
        self.provers.heard(&submit.prover, turn.now)?;
        let Some(key) = self.find(&submit.job) else {
            let known = self.proven.contains(&submit.job);
            let unknown = Err(SubmitRefusal::UnknownJob(submit.job));
            return if known { Ok(Submitted::AlreadyProven) } else { unknown };
        };
        self.judge(key, &submit, turn.now)?;
        self.complete(key, submit);
        Ok(Submitted::Accepted)
    }
}

impl Handle<Tick> for Feed {
    fn handle(&mut self, _: Tick, turn: &mut Turn) {
        self.expire(turn.now);
        self.provers.forget(turn.now);
        self.hand_over();
    }
}

impl Handle<ReadProgress> for Feed {
    fn handle(&mut self, _: ReadProgress, turn: &mut Turn) -> Progress {
        let jobs = self.pending.values().map(|pending| JobProgress {
            job: pending.job.id,
            block: pending.job.block,
            shape: pending.job.shape,
            attempts: pending.attempts,
            prover: pending.lease.as_ref().map(|(prover, _)| prover.clone()),
            deadline: pending.lease.as_ref().map(|(_, deadline)| *deadline),
        });
        let (jobs, proven) = (jobs.collect(), self.proven_count);
        Progress { jobs, proven, provers: self.provers.progress(turn.now) }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feed({} pending, {} proven)", self.pending.len(), self.proven_count)
    }
}

#[cfg(test)]
mod tests;
