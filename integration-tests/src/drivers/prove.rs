//! The drivers around proving: the witness maker, and provers of all characters.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use zklink::hash::fr_to_be_bytes;
use zklink::shape::shape;
use zklink_circuit::witness::Witness;
use zklink_mechanism::port::{Pending, Port};
use zklink_mechanism::timestamp::Timestamp;
use zklink_node::witness_maker::WitnessMaker;
use zklink_node::witness_maker::unproven::Unproven;
use zklink_prover::feed::{
    Enqueue, EnqueueRefusal, Job, JobId, Lease, LeaseRefusal, Leased, ProverId, Submit,
    SubmitRefusal, Submitted,
};

use super::Driver;
use crate::simulated::simulated_proof;

/// The pause when there is nothing to do, virtual milliseconds.
const PAUSE_MS: u64 = 100;

/// What drivers could not go on from, for tests.
pub type Faults = Arc<Mutex<Vec<String>>>;

/// How often the feed is given again what has no proof, virtual milliseconds; as in the node.
const AGAIN_MS: u64 = 2_000;

/// Makes witnesses and gives them to the feed.
pub struct WitnessLoop {
    maker: WitnessMaker,
    unproven: Unproven,
    again: Timestamp,
    feed: Port<Enqueue>,
    jobs: VecDeque<Job>,
    asked: Option<Pending<Result<(), EnqueueRefusal>>>,
    due: Timestamp,
    faults: Faults,
}

impl WitnessLoop {
    /// A loop around a witness maker.
    pub fn new(
        maker: WitnessMaker,
        unproven: Unproven,
        feed: Port<Enqueue>,
        faults: Faults,
    ) -> WitnessLoop {
        let (jobs, asked, due, again) = (VecDeque::new(), None, Timestamp(0), Timestamp(0));
        WitnessLoop { maker, unproven, again, feed, jobs, asked, due, faults }
    }

    fn offer_again(&mut self, now: Timestamp) {
        if now >= self.again {
            self.again = now.after(AGAIN_MS);
            self.jobs.extend(self.unproven.remaining().expect("the simulated store reads"));
        }
    }
}

impl Driver for WitnessLoop {
    fn beat(&mut self, now: Timestamp) {
        if let Some(asked) = &mut self.asked {
            let Some(reply) = asked.poll_now() else { return };
            self.asked = None;
            match reply {
                Ok(Ok(())) => {
                    self.jobs.pop_front().into_iter().for_each(|job| self.unproven.note(job))
                }
                Ok(Err(_)) | Err(_) => self.due = now.after(PAUSE_MS),
            }
        }
        if now < self.due {
            return;
        }
        if let Some(job) = self.jobs.front() {
            self.asked = self.feed.ask(Enqueue { job: job.clone() }).ok();
            return;
        }
        self.offer_again(now);
        match self.maker.step() {
            Ok(None) => self.due = now.after(PAUSE_MS),
            Ok(Some(taken)) => self.jobs.extend(taken.job),
            Err(fault) => {
                self.faults.lock().expect("no holder of this lock panics").push(fault.to_string());
                self.due = Timestamp(u64::MAX);
            }
        }
    }
}

/// Whether a simulated proof proves the statement of its job.
///
/// # Errors
/// What is wrong with it.
pub fn check_simulated_proof(job: &Job, proof: &[u8]) -> Result<(), String> {
    let shape = shape(job.shape).ok_or("an unknown shape")?;
    let witness = Witness::decode(&job.witness, shape).map_err(|error| error.to_string())?;
    let inputs = witness.inputs.map(fr_to_be_bytes);
    if proof == simulated_proof(&inputs) { Ok(()) } else { Err("a wrong simulated proof".into()) }
}

/// How a prover behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Character {
    /// Right proofs, after so many virtual milliseconds.
    Honest(u64),
    /// Wrong bytes instead of proofs.
    Garbage,
    /// Right proofs of other jobs.
    Confused,
    /// Takes a job and is never heard of again.
    Dies,
    /// Takes jobs and is too late with each, by so many virtual milliseconds of work.
    Slow(u64),
}

enum Work {
    Idle,
    Asked(Pending<Result<Option<Leased>, LeaseRefusal>>),
    Working(Job, Timestamp),
    Handed(Pending<Result<Submitted, SubmitRefusal>>),
    Gone,
}

/// What a prover was told of its proofs, for tests.
pub type Verdicts = Arc<Mutex<Vec<(ProverId, JobId, Result<Submitted, SubmitRefusal>)>>>;

/// A prover.
pub struct ProverLoop {
    name: ProverId,
    character: Character,
    lease: Port<Lease>,
    submit: Port<Submit>,
    work: Work,
    due: Timestamp,
    last: Option<JobId>,
    verdicts: Verdicts,
}

impl ProverLoop {
    /// A prover at the feed.
    pub fn new(
        name: ProverId,
        character: Character,
        lease: Port<Lease>,
        submit: Port<Submit>,
        verdicts: Verdicts,
    ) -> ProverLoop {
        let (work, due, last) = (Work::Idle, Timestamp(0), None);
        ProverLoop { name, character, lease, submit, work, due, last, verdicts }
    }

    fn leased(&mut self, leased: Option<Leased>, now: Timestamp) -> Work {
        let Some(Leased { job, .. }) = leased else {
            self.due = now.after(PAUSE_MS);
            return Work::Idle;
        };
        match self.character {
            Character::Dies => Work::Gone,
            Character::Honest(ms) | Character::Slow(ms) => Work::Working(job, now.after(ms)),
            Character::Garbage | Character::Confused => Work::Working(job, now.after(20)),
        }
    }

    fn proof(&self, job: &Job) -> Vec<u8> {
        let shape = shape(job.shape).expect("jobs are of known shapes");
        let witness = Witness::decode(&job.witness, shape).expect("the maker encoded it");
        let mut inputs = witness.inputs.map(fr_to_be_bytes);
        match self.character {
            Character::Garbage => return vec![0x5a; 192],
            Character::Confused => inputs[0][31] ^= 1,
            Character::Honest(_) | Character::Slow(_) | Character::Dies => {}
        }
        simulated_proof(&inputs)
    }
}

impl Driver for ProverLoop {
    fn beat(&mut self, now: Timestamp) {
        self.work = match std::mem::replace(&mut self.work, Work::Gone) {
            Work::Gone => Work::Gone,
            Work::Idle if now < self.due => Work::Idle,
            Work::Idle => match self.lease.ask(Lease { prover: self.name.clone() }) {
                Ok(pending) => Work::Asked(pending),
                Err(_) => Work::Idle,
            },
            Work::Asked(mut pending) => match pending.poll_now() {
                None => Work::Asked(pending),
                Some(Ok(Ok(leased))) => self.leased(leased, now),
                Some(Ok(Err(_)) | Err(_)) => self.leased(None, now),
            },
            Work::Working(job, until) if now < until => Work::Working(job, until),
            Work::Working(job, _) => {
                let (prover, proof) = (self.name.clone(), self.proof(&job));
                self.last = Some(job.id);
                match self.submit.ask(Submit { prover, job: job.id, proof }) {
                    Ok(pending) => Work::Handed(pending),
                    Err(_) => Work::Working(job, now.after(PAUSE_MS)),
                }
            }
            Work::Handed(mut pending) => match pending.poll_now() {
                None => Work::Handed(pending),
                Some(verdict) => {
                    if let (Ok(verdict), Some(job)) = (verdict, self.last) {
                        let entry = (self.name.clone(), job, verdict);
                        self.verdicts.lock().expect("no holder panics").push(entry);
                    }
                    Work::Idle
                }
            },
        };
    }
}
