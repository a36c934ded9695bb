//! A prover that sends garbage: nothing of it is believed, it is barred, and an honest one proves
//! the block.

use std::sync::Arc;
use std::time::Duration;

use zklink::id::BlockNumber;
use zklink_node::node::Node;
use zklink_prover::feed::{Job, JobId, Lease, LeaseRefusal, ProverId, Submit, SubmitRefusal};
use zklink_prover::prover::{self, Groth16Proving, Ports};

use crate::world::{World, embedded, until};

const PATIENCE: Duration = Duration::from_secs(10);

async fn lease(ports: &Ports, prover: &ProverId) -> Result<Option<Job>, LeaseRefusal> {
    let asked = ports.lease.ask(Lease { prover: prover.clone() }).unwrap();
    Ok(asked.wait(PATIENCE).await.unwrap()?.map(|leased| leased.job))
}

async fn submit(ports: &Ports, prover: &ProverId, job: JobId, proof: Vec<u8>) -> SubmitRefusal {
    let asked = ports.submit.ask(Submit { prover: prover.clone(), job, proof }).unwrap();
    asked.wait(PATIENCE).await.unwrap().expect_err("garbage is refused")
}

async fn story() {
    let (_chains, urls) = embedded(2, Duration::from_millis(100), 2).await;
    let world = World::deploy(&urls).await;
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(world.setup(data.path(), 0)).await.unwrap();
    world.depositor(zklink::id::ChainId(1), "alice", 5).await;
    let (mallory, ports) = (ProverId::new("mallory").unwrap(), node.provers());
    let job = until("a job", async || lease(ports, &mallory).await.unwrap()).await;

    let unknown = submit(ports, &mallory, JobId([7; 32]), vec![0; 192]).await;
    assert_eq!(unknown, SubmitRefusal::UnknownJob(JobId([7; 32])));
    let stranger = ProverId::new("stranger").unwrap();
    let never = submit(ports, &stranger, job.id, vec![0; 192]).await;
    assert_eq!(never, SubmitRefusal::NeverLeased);
    let large = submit(ports, &mallory, job.id, vec![0; 2_000]).await;
    assert_eq!(large, SubmitRefusal::TooLarge(2_000));
    for (number, garbage) in [vec![], vec![0xff; 192], vec![0xc0; 192]].into_iter().enumerate() {
        let wrong = submit(ports, &mallory, job.id, garbage).await;
        let SubmitRefusal::Wrong { strikes, .. } = &wrong else { panic!("{wrong}") };
        assert_eq!(*strikes as usize, number + 1);
    }
    let barred = lease(ports, &mallory).await.expect_err("three strikes");
    assert!(matches!(barred, LeaseRefusal::Barred(_)), "{barred}");
    let barred = submit(ports, &mallory, job.id, vec![1; 192]).await;
    assert!(matches!(barred, SubmitRefusal::NotServed(LeaseRefusal::Barred(_))), "{barred}");
    assert_eq!(node.archive().proof(BlockNumber(1)).unwrap(), None, "nothing was believed");

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let honest = ProverId::new("honest").unwrap();
    let proving = Arc::new(Groth16Proving::new(honest.clone(), Arc::clone(&world.keys)));
    tokio::spawn(prover::drive(honest, proving, ports.clone(), Arc::new(|_| {}), stopped));
    until("the proof", async || node.archive().proof(BlockNumber(1)).unwrap()).await;
    stop.send_replace(true);
    node.stop("the story is over").await;
}

#[test]
fn a_prover_that_sends_garbage_is_barred_and_another_one_proves() {
    zklink_mechanism::shell::run(story());
}
