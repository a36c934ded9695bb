//! The feed in the World: honest, slow, dying and lying provers.

use std::sync::Arc;

use zklink::id::ShapeId;
use zklink_mechanism::platform::Reach;
use zklink_mechanism::port::Pending as Answer;
use zklink_mechanism::probe::Sink;
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::supervisor;
use zklink_mechanism::world::{MachineRef, Verdict, World};

use super::*;

const POLICY: supervisor::Config = supervisor::Config {
    backoff_first_ms: 100,
    backoff_max_ms: 1_000,
    failures_max: 3,
    window_ms: 60_000,
};
const CONFIG: Config = Config {
    jobs_max: 8,
    witness_bytes_max: 1_000,
    proof_bytes_max: 192,
    provers_max: 6,
    lease_ms: 1_000,
    alive_ms: 3_000,
    strikes_max: 3,
    bar_ms: 20_000,
};

/// In these tests a proof is right when it repeats the job's id.
fn check() -> Check {
    Box::new(|job, proof| if proof == job.id.0 { Ok(()) } else { Err("other bytes".to_owned()) })
}

fn job(block: u32) -> Job {
    let id = JobId([u8::try_from(block).unwrap(); 32]);
    Job { id, block: BlockNumber(block), shape: ShapeId(1), witness: Arc::new(vec![0; 100]) }
}

fn prover(name: &str) -> ProverId {
    ProverId::new(name).unwrap()
}

struct Stand {
    world: World,
    feed: MachineRef<Feed>,
    archive: MachineRef<Sink<Keep>>,
}

fn stand(seed: u64, config: Config) -> Stand {
    let world = World::new(seed, POLICY);
    let archive = world.start("archive", 4, Origin::Once(Sink(Vec::new())));
    let feed = world.start("feed", 64, Origin::Once(Feed::new(config, check(), archive.port())));
    world.tick_every(100, feed.port());
    Stand { world, feed, archive }
}

impl Stand {
    fn enqueue(&self, job: Job) -> Result<(), EnqueueRefusal> {
        let asked = self.feed.port().ask(Enqueue { job }).unwrap();
        self.world.answer(asked, 100).unwrap()
    }

    fn lease(&self, name: &str) -> Result<Option<Leased>, LeaseRefusal> {
        let asked = self.feed.port().ask(Lease { prover: prover(name) }).unwrap();
        self.world.answer(asked, 100).unwrap()
    }

    /// The block that a prover gets.
    fn block(&self, name: &str) -> Option<u32> {
        self.lease(name).unwrap().map(|leased| leased.job.block.0)
    }

    fn submit(&self, name: &str, block: u32, proof: &[u8]) -> Result<Submitted, SubmitRefusal> {
        let (prover, job, proof) = (prover(name), job(block).id, proof.to_vec());
        let asked = self.feed.port().ask(Submit { prover, job, proof }).unwrap();
        self.world.answer(asked, 100).unwrap()
    }

    fn prove(&self, name: &str, block: u32) -> Result<Submitted, SubmitRefusal> {
        self.submit(name, block, &job(block).id.0)
    }

    fn progress(&self) -> Progress {
        let asked = self.feed.port().ask(ReadProgress).unwrap();
        self.world.answer(asked, 100).unwrap()
    }

    fn kept(&self) -> Vec<u32> {
        kept(&self.archive)
    }
}

/// Blocks whose proofs the archive was given, in order of arrival.
fn kept(archive: &MachineRef<Sink<Keep>>) -> Vec<u32> {
    let blocks = |sink: &Sink<Keep>| {
        let made = sink.0.iter().flat_map(|keep| &keep.made);
        made.map(|made| match made {
            Made::Proof { block, bytes } => {
                assert_eq!(bytes[..], job(block.0).id.0, "only right proofs are kept");
                block.0
            }
            other => panic!("the feed keeps only proofs, not {other:?}"),
        })
        .collect()
    };
    archive.inspect(blocks).unwrap()
}

#[test]
fn an_honest_prover_gets_the_oldest_block_and_its_proof_is_kept() {
    let stand = stand(1, CONFIG);
    stand.enqueue(job(2)).unwrap();
    stand.enqueue(job(1)).unwrap();
    assert_eq!(stand.block("honest"), Some(1));
    assert_eq!(stand.block("honest"), Some(1), "asked again, it is the same job");
    assert_eq!(stand.block("second"), Some(2));
    assert_eq!(stand.block("third"), None);
    assert_eq!(stand.prove("honest", 1), Ok(Submitted::Accepted));
    assert_eq!(stand.prove("second", 2), Ok(Submitted::Accepted));
    stand.world.run_for(50);
    assert_eq!(stand.kept(), [1, 2]);
    let progress = stand.progress();
    assert_eq!((progress.jobs.len(), progress.proven), (0, 2));
    assert!(progress.provers.iter().all(|prover| prover.alive && prover.strikes == 0));
}

#[test]
fn a_wrong_proof_is_refused_and_the_job_goes_to_another_at_once() {
    let stand = stand(1, CONFIG);
    stand.enqueue(job(1)).unwrap();
    assert_eq!(stand.block("liar"), Some(1));
    assert_eq!(stand.block("honest"), None);
    let refused = stand.submit("liar", 1, b"garbage").unwrap_err();
    assert_eq!(refused, SubmitRefusal::Wrong { reason: "other bytes".to_owned(), strikes: 1 });
    assert_eq!(stand.block("liar"), None, "not to the same while another is alive");
    assert_eq!(stand.block("honest"), Some(1));
    assert_eq!(stand.prove("honest", 1), Ok(Submitted::Accepted));
    assert_eq!(stand.progress().jobs, []);
}

#[test]
fn the_only_prover_may_try_again() {
    let stand = stand(1, CONFIG);
    stand.enqueue(job(1)).unwrap();
    assert_eq!(stand.block("alone"), Some(1));
    stand.submit("alone", 1, b"garbage").unwrap_err();
    assert_eq!(stand.block("alone"), Some(1));
    assert_eq!(stand.progress().jobs[0].attempts, 2);
}

#[test]
fn a_prover_with_too_many_strikes_is_barred_for_a_time() {
    let stand = stand(1, CONFIG);
    stand.enqueue(job(1)).unwrap();
    for strikes in 1..=CONFIG.strikes_max {
        assert_eq!(stand.block("liar"), Some(1));
        let refused = stand.submit("liar", 1, b"garbage");
        assert!(matches!(refused, Err(SubmitRefusal::Wrong { strikes: s, .. }) if s == strikes));
    }
    assert!(matches!(stand.lease("liar"), Err(LeaseRefusal::Barred(_))));
    let refused = stand.prove("liar", 1).unwrap_err();
    assert!(matches!(refused, SubmitRefusal::NotServed(LeaseRefusal::Barred(_))));
    stand.world.run_for(CONFIG.bar_ms);
    assert_eq!(stand.block("liar"), Some(1));
}

#[test]
fn the_job_of_a_dead_prover_goes_to_another_when_the_lease_runs_out() {
    let stand = stand(1, CONFIG);
    stand.enqueue(job(1)).unwrap();
    assert_eq!(stand.block("dying"), Some(1));
    assert_eq!(stand.block("honest"), None);
    stand.world.run_for(CONFIG.lease_ms + 200);
    let job = stand.progress().jobs.remove(0);
    assert_eq!((job.prover, job.deadline), (None, None), "a tick frees it without anybody asking");
    assert_eq!(stand.block("dying"), None, "not to the one that let it run out");
    assert_eq!(stand.block("honest"), Some(1));
    stand.world.run_for(CONFIG.alive_ms + 200);
    let names: Vec<_> = stand.progress().provers.into_iter().map(|p| p.prover).collect();
    assert_eq!(names, [], "both are gone and forgotten");
}

#[test]
fn a_late_proof_is_taken_if_it_is_first_and_harmless_if_it_is_second() {
    let stand = stand(1, CONFIG);
    stand.enqueue(job(1)).unwrap();
    stand.enqueue(job(2)).unwrap();
    assert_eq!(stand.block("slow"), Some(1));
    stand.world.run_for(CONFIG.lease_ms + 1);
    assert_eq!(stand.block("honest"), Some(1));
    assert_eq!(stand.prove("slow", 1), Ok(Submitted::Accepted));
    assert_eq!(stand.prove("honest", 1), Ok(Submitted::AlreadyProven));
    assert_eq!(stand.block("honest"), Some(2), "its lease on the proven job is over");
    stand.world.run_for(50);
    assert_eq!(stand.kept(), [1]);
}

#[test]
fn a_stranger_cannot_make_the_feed_check_proofs() {
    let stand = stand(1, CONFIG);
    stand.enqueue(job(1)).unwrap();
    assert_eq!(stand.prove("stranger", 1), Err(SubmitRefusal::NeverLeased));
    assert_eq!(stand.prove("stranger", 9), Err(SubmitRefusal::UnknownJob(job(9).id)));
    assert_eq!(stand.submit("stranger", 1, &[0; 193]), Err(SubmitRefusal::TooLarge(193)));
}

#[test]
fn the_queue_is_bounded_in_jobs_bytes_and_provers() {
    let stand = stand(1, CONFIG);
    for block in 1..=8 {
        stand.enqueue(job(block)).unwrap();
    }
    assert_eq!(stand.enqueue(job(9)), Err(EnqueueRefusal::Full));
    assert_eq!(stand.enqueue(job(8)), Ok(()), "a known job is no new one");
    assert_eq!(stand.block("a"), Some(1));
    stand.prove("a", 1).unwrap();
    assert_eq!(stand.enqueue(job(1)), Ok(()), "a proven job is not queued again");
    let large = |size| Job { witness: Arc::new(vec![0; size]), ..job(20) };
    assert_eq!(stand.enqueue(large(1_001)), Err(EnqueueRefusal::TooLarge(1_001)));
    assert_eq!(stand.enqueue(large(301)), Err(EnqueueRefusal::Full));
    assert_eq!(stand.enqueue(large(300)), Ok(()));
    for name in ["b", "c", "d", "e", "f"] {
        stand.lease(name).unwrap();
    }
    assert_eq!(stand.lease("g"), Err(LeaseRefusal::TooManyProvers));
}

#[test]
fn names_of_provers_are_plain() {
    for bad in ["", "two words", "new\nline", "ünï", &"x".repeat(65)] {
        assert_eq!(ProverId::new(bad), Err(provers::BadProverId), "{bad}");
    }
    assert_eq!(ProverId::new("gpu-1.rack_2").unwrap().as_str(), "gpu-1.rack_2");
}

#[test]
fn proofs_wait_for_a_slow_archive_and_none_is_lost() {
    let stand = stand(1, CONFIG);
    stand.world.filter(|delivery| match delivery.to {
        "archive" => Verdict::Delay(300),
        _ => Verdict::Pass,
    });
    for block in 1..=30 {
        stand.enqueue(job(block)).unwrap();
        assert_eq!(stand.block("fast"), Some(block));
        stand.prove("fast", block).unwrap();
    }
    stand.world.run_until(|| stand.kept().len() == 30, 20_000).unwrap();
    assert_eq!(stand.kept(), (1..=30).collect::<Vec<_>>());
}

/// How a simulated prover behaves.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// Proves within so many milliseconds.
    Proves(u64),
    /// Hands in garbage.
    Lies,
    /// Takes a job and is never heard of again.
    Dies,
}

/// A prover as a driver: asks, works, hands in.
fn live(stand: &Stand, name: &str, habit: Habit) {
    let (lease, submit): (Port<Lease>, Port<Submit>) = (stand.feed.port(), stand.feed.port());
    let id = prover(name);
    let mut asked: Option<Answer<Result<Option<Leased>, LeaseRefusal>>> = None;
    let mut work: Option<(Job, Timestamp)> = None;
    let mut dead = false;
    stand.world.every(50, move |now| {
        if let Some(Ok(Ok(Some(leased)))) = asked.as_mut().and_then(Answer::poll_now) {
            asked = None;
            dead = matches!(habit, Habit::Dies);
            let effort = if let Habit::Proves(ms) = habit { ms } else { 0 };
            work = Some((leased.job, now.after(effort)));
        }
        if dead {
            return;
        }
        match work.take_if(|(_, done)| *done <= now) {
            Some((job, _)) => {
                let lies = matches!(habit, Habit::Lies);
                let proof = if lies { b"garbage".to_vec() } else { job.id.0.to_vec() };
                drop(submit.tell(Submit { prover: id.clone(), job: job.id, proof }));
            }
            None if work.is_none() => asked = lease.ask(Lease { prover: id.clone() }).ok(),
            None => {}
        }
    });
}

/// All kinds of provers at once; returns the log of events.
fn crowd(seed: u64) -> String {
    let stand = stand(seed, CONFIG);
    live(&stand, "honest", Habit::Proves(200));
    live(&stand, "slow", Habit::Proves(1_700));
    live(&stand, "liar", Habit::Lies);
    live(&stand, "dying", Habit::Dies);
    // The witness maker follows the archive: it enqueues what has no proof there, oldest first.
    let (enqueue, archive) = (stand.feed.port(), stand.archive.clone());
    stand.world.every(100, move |_| {
        let kept = kept(&archive);
        for block in (1..=40).filter(|block| !kept.contains(block)).take(10) {
            drop(enqueue.tell(Enqueue { job: job(block) }));
        }
    });
    let all = || (1..=40).all(|block| stand.kept().contains(&block));
    stand.world.run_until(all, 60_000).unwrap();
    let progress = stand.progress();
    let of = |name: &str| progress.provers.iter().find(|p| p.prover == prover(name)).cloned();
    assert!(of("honest").unwrap().proven >= 20);
    assert_eq!(of("liar").map_or(0, |liar| liar.proven), 0);
    stand.world.log()
}

#[test]
fn with_one_honest_prover_everything_is_proven_whatever_the_others_do() {
    for seed in 0..5 {
        crowd(seed);
    }
}

#[test]
fn the_crowd_replays_byte_by_byte() {
    assert_eq!(crowd(3), crowd(3));
}
