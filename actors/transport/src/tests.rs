use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsonrpsee::core::ClientError;
use jsonrpsee::ws_client::{HeaderMap, WsClient, WsClientBuilder};
use zklink::id::{BlockNumber, ChainId, ShapeId};
use zklink::state::DeploymentId;
use zklink_mechanism::port::{Deliver, Envelope, Message, Port, Refused, Unanswered};
use zklink_mechanism::timestamp::Timestamp;
use zklink_prover::feed::{Job, JobId, Lease, Leased, ProverId, Submit, SubmitRefusal, Submitted};
use zklink_prover::prover::Work;
use zklink_settlement::book::{Attestation, BadAttestation};
use zklink_store::journal::{ReadRecords, Record, Stretch};

use super::*;
use crate::rpc::{Bytes, WorkClient};

/// How long a test waits for what must come.
const WAIT: Duration = Duration::from_secs(10);

fn token(byte: u8) -> Token {
    Token::from_hex(&hex::encode([byte; 32])).unwrap()
}

const DEPLOYMENT_ID: DeploymentId = DeploymentId([6; 31]);

/// Stands where the machines of a node stand: notes who speaks, and answers.
#[derive(Clone, Default)]
struct Machines {
    heard: Arc<Mutex<Vec<String>>>,
    /// Leases that get no answer.
    silent: Arc<Mutex<u32>>,
    /// The size of witnesses.
    witness: usize,
}

impl Machines {
    fn hears(&self, what: String) {
        self.heard.lock().unwrap().push(what);
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn leased(&self) -> Leased {
        let witness = Arc::new(vec![7; self.witness]);
        let job = Job { id: JobId([1; 32]), block: BlockNumber(7), shape: ShapeId(1), witness };
        Leased { job, deadline: Timestamp(9) }
    }
}

impl Deliver<Lease> for Machines {
    fn deliver(&self, envelope: Envelope<Lease>) -> Result<(), Refused<Lease>> {
        self.hears(format!("lease {}", envelope.message.prover));
        let mut silent = self.silent.lock().unwrap();
        if *silent > 0 {
            *silent -= 1;
            return Ok(());
        }
        envelope.reply.unwrap().answer(Ok(Some(self.leased())));
        Ok(())
    }
}

impl Deliver<Submit> for Machines {
    fn deliver(&self, envelope: Envelope<Submit>) -> Result<(), Refused<Submit>> {
        let Submit { prover, job, proof } = envelope.message;
        self.hears(format!("submit {prover} {}", proof.len()));
        let known = job == JobId([1; 32]);
        let answer = if known { Ok(Submitted::Accepted) } else { Err(SubmitRefusal::NeverLeased) };
        envelope.reply.unwrap().answer(answer);
        Ok(())
    }
}

impl Deliver<Attestation> for Machines {
    fn deliver(&self, envelope: Envelope<Attestation>) -> Result<(), Refused<Attestation>> {
        self.hears(format!("attest {}", envelope.message.sequence));
        envelope.reply.unwrap().answer(Err(BadAttestation::Signer));
        Ok(())
    }
}

impl Deliver<ReadRecords> for Machines {
    fn deliver(&self, envelope: Envelope<ReadRecords>) -> Result<(), Refused<ReadRecords>> {
        let from = envelope.message.from;
        self.hears(format!("records {from}"));
        envelope.reply.unwrap().answer(stretch(from));
        Ok(())
    }
}

fn stretch(from: u64) -> Result<Stretch, String> {
    if from > 7 {
        return Err("the disk is gone".to_owned());
    }
    let record = |position| Record { position, chain: [9; 32], payload: vec![1, 2] };
    Ok(Stretch { records: (from..7).map(record).collect(), end: 7 })
}

fn workers() -> Workers {
    let mut workers = Workers::default();
    workers.add("one", Role::Prover, &token(1)).unwrap();
    workers.add("two", Role::Prover, &token(2)).unwrap();
    workers.add("signer", Role::Attester, &token(3)).unwrap();
    workers.add("copy", Role::Replica, &token(4)).unwrap();
    workers
}

async fn node(address: SocketAddr, machines: &Machines) -> Listener {
    node_of(address, machines, workers()).await
}

async fn node_of(address: SocketAddr, machines: &Machines, workers: Workers) -> Listener {
    let watched = machines.clone();
    let ports = Ports {
        lease: Port::new(machines.clone()),
        submit: Port::new(machines.clone()),
        attest: Port::new(machines.clone()),
        records: Port::new(machines.clone()),
        watching: Arc::new(move |work| {
            if let Work::Proven { block, .. } = work {
                watched.hears(format!("proven {block}"));
            }
        }),
    };
    Listener::start(address, DEPLOYMENT_ID, workers, ports).await.unwrap()
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn remote(node: &Listener, token: &Token) -> Remote {
    Remote::new(&format!("ws://{}", node.address()), token, DEPLOYMENT_ID).unwrap()
}

fn lease() -> Lease {
    Lease { prover: ProverId::new("two").unwrap() }
}

fn submit(job: u8) -> Submit {
    let (prover, job) = (ProverId::new("two").unwrap(), JobId([job; 32]));
    Submit { prover, job, proof: vec![5; 192] }
}

fn attestation() -> Attestation {
    let (source, destination) = (ChainId(1), ChainId(2));
    Attestation { source, destination, sequence: 4, payload: vec![1], signature: [2; 65] }
}

async fn asked<M: Message>(
    port: &(impl Deliver<M> + Clone + 'static),
    message: M,
) -> Result<M::Reply, Unanswered> {
    Port::new(port.clone()).ask(message).expect("there is room").wait(WAIT).await
}

/// A client that shows this token, or none, and otherwise what it should.
async fn raw(node: &Listener, token: Option<&str>) -> Result<WsClient, ClientError> {
    let deployment = hex::encode(DEPLOYMENT_ID.0);
    raw_with(
        node,
        [("authorization", token), (DEPLOYMENT, Some(&deployment)), (PROCESS, Some("7"))],
    )
    .await
}

/// A client that shows these headers.
async fn raw_with(
    node: &Listener,
    headers: [(&str, Option<&str>); 3],
) -> Result<WsClient, ClientError> {
    let shown = headers.into_iter().filter_map(|(name, text)| Some((name, text?)));
    let shown = shown.map(|(name, text)| (name.parse().unwrap(), text.parse().unwrap()));
    let headers = HeaderMap::from_iter(shown);
    let url = format!("ws://{}", node.address());
    WsClientBuilder::new().set_headers(headers).max_request_size(1 << 20).build(url).await
}

#[tokio::test]
async fn a_known_token_opens_the_ports_and_its_name_is_the_provers_whatever_it_says() {
    let machines = Machines { witness: 3, ..Machines::default() };
    let node = node(anywhere(), &machines).await;
    let prover = remote(&node, &token(1));
    assert_eq!(asked(&prover, lease()).await.unwrap(), Ok(Some(machines.leased())));
    assert_eq!(asked(&prover, submit(1)).await.unwrap(), Ok(Submitted::Accepted));
    let second = prover.at(2);
    assert_eq!(asked(&second, submit(9)).await.unwrap(), Err(SubmitRefusal::NeverLeased));
    assert_eq!(asked(&prover.at(PLACES_MAX), lease()).await, Err(Unanswered::Dropped));
    let signer = remote(&node, &token(3));
    assert_eq!(asked(&signer, attestation()).await.unwrap(), Err(BadAttestation::Signer));
    let heard = ["lease one", "submit one 192", "proven 7", "submit one.2 192", "attest 4"];
    assert_eq!(machines.heard(), heard);
    node.stop(WAIT).await;
}

#[tokio::test]
async fn a_replica_reads_the_journal() {
    let machines = Machines::default();
    let node = node(anywhere(), &machines).await;
    let copy = remote(&node, &token(4));
    for from in [0, 5, 7, 9] {
        assert_eq!(asked(&copy, ReadRecords { from }).await.unwrap(), stretch(from));
    }
    assert_eq!(machines.heard(), ["records 0", "records 5", "records 7", "records 9"]);
}

#[tokio::test]
async fn an_unknown_a_missing_and_a_malformed_token_are_refused() {
    let machines = Machines::default();
    let node = node(anywhere(), &machines).await;
    let known = token(1).header();
    assert!(raw(&node, Some(&known)).await.is_ok());
    let unknown = token(9).header();
    let (bare, cut) = (&known["Bearer ".len()..], &known[..known.len() - 2]);
    for header in [None, Some(unknown.as_str()), Some(bare), Some(cut), Some("Bearer "), Some("")] {
        let error = raw(&node, header).await.expect_err("nobody is let in").to_string();
        assert!(error.contains("401"), "{error}");
    }
    let stranger = remote(&node, &token(9));
    assert_eq!(asked(&stranger, lease()).await, Err(Unanswered::Dropped));
    let Link::Down(why) = stranger.link().borrow().clone() else { panic!("it is connected") };
    assert!(why.contains("does not know the token"), "{why}");
    assert_eq!(machines.heard(), [""; 0]);
}

#[tokio::test]
async fn a_worker_of_another_deployment_is_refused_and_told_so() {
    let machines = Machines::default();
    let node = node(anywhere(), &machines).await;
    let url = format!("ws://{}", node.address());
    let other = Remote::new(&url, &token(1), DeploymentId([7; 31])).unwrap();
    assert_eq!(asked(&other, lease()).await, Err(Unanswered::Dropped));
    let Link::Down(why) = other.link().borrow().clone() else { panic!("it is connected") };
    assert!(why.contains("another deployment"), "{why}");

    let (known, unknown) = (token(1).header(), token(9).header());
    let ours = hex::encode(DEPLOYMENT_ID.0);
    let refused = async |token: &str, deployment, process| {
        let headers =
            [("authorization", Some(token)), (DEPLOYMENT, deployment), (PROCESS, process)];
        let error = raw_with(&node, headers).await.expect_err("it is not let in").to_string();
        ["400", "401", "409"].map(|status| error.contains(status))
    };
    let (ours, theirs) = (Some(ours.as_str()), Some("07"));
    assert_eq!(refused(&known, None, Some("7")).await, [false, false, true]);
    assert_eq!(refused(&known, ours, None).await, [true, false, false]);
    assert_eq!(refused(&known, ours, Some("seven")).await, [true, false, false]);
    // Whoever has no token is told nothing of the deployment.
    assert_eq!(refused(&unknown, theirs, Some("7")).await, [false, true, false]);
    assert_eq!(machines.heard(), [""; 0]);
}

#[tokio::test]
async fn a_node_knows_which_of_its_workers_are_there_and_which_are_there_twice() {
    let machines = Machines::default();
    let workers = workers();
    let node = node_of(anywhere(), &machines, workers.clone()).await;
    let there = || {
        let heard = workers.presence().into_iter().filter(|worker| worker.processes > 0);
        let mut heard: Vec<_> = heard.map(|worker| (worker.name, worker.processes)).collect();
        heard.sort();
        heard
    };
    let until = async |wanted: &[(&str, usize)]| {
        let wanted: Vec<_> = wanted.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let comes = async {
            while there() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WAIT, comes).await.unwrap_or_else(|_| panic!("{:?}", there()));
    };
    until(&[]).await;
    // An attester has nothing to sign for hours, and is there.
    let signer = remote(&node, &token(3));
    tokio::spawn(signer.stay(Role::Attester));
    until(&[("signer", 1)]).await;
    tokio::spawn(remote(&node, &token(3)).stay(Role::Attester));
    until(&[("signer", 2)]).await;
    // A replica whose process is there and that reads nothing is not.
    let copy = remote(&node, &token(4));
    tokio::spawn(copy.clone().stay(Role::Replica));
    assert!(asked(&copy, lease()).await.is_err(), "its connection stands");
    until(&[("signer", 2)]).await;
    asked(&copy, ReadRecords { from: 0 }).await.unwrap().unwrap();
    until(&[("copy", 1), ("signer", 2)]).await;
    // One that takes itself for something else is told so, again and again the same.
    let mistaken = remote(&node, &token(1));
    let mut link = mistaken.link();
    tokio::spawn(mistaken.stay(Role::Attester));
    let refused = link.wait_for(|link| matches!(link, Link::Refused(_)));
    drop(tokio::time::timeout(WAIT, refused).await.expect("it is told"));
    until(&[("copy", 1), ("signer", 2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_not_heard_for_a_minute_is_away() {
    let workers = workers();
    let signer = workers.by_token(&token(3)).unwrap();
    let processes = || {
        let signer = workers.presence().into_iter().find(|worker| worker.name == "signer");
        signer.unwrap().processes
    };
    assert_eq!(processes(), 0);
    signer.is_heard(1);
    tokio::time::advance(AWAY / 2).await;
    signer.is_heard(2);
    assert_eq!(processes(), 2);
    tokio::time::advance(AWAY / 2).await;
    assert_eq!(processes(), 1);
    tokio::time::advance(AWAY / 2).await;
    assert_eq!(processes(), 0);
    // Whoever takes a new number with each connection fills no memory.
    (0..1_000).for_each(|process| signer.is_heard(process));
    assert!(processes() > 1 && processes() < 10, "{}", processes());
}

#[tokio::test]
async fn a_role_reaches_its_own_methods_only() {
    let machines = Machines::default();
    let node = node(anywhere(), &machines).await;
    let (prover, signer) = (remote(&node, &token(2)), remote(&node, &token(3)));
    assert_eq!(asked(&prover, attestation()).await, Err(Unanswered::Dropped));
    assert_eq!(asked(&signer, lease()).await, Err(Unanswered::Dropped));
    assert_eq!(asked(&signer, submit(1)).await, Err(Unanswered::Dropped));
    let records = ReadRecords { from: 0 };
    assert_eq!(asked(&prover, records).await, Err(Unanswered::Dropped));
    assert_eq!(asked(&signer, records).await, Err(Unanswered::Dropped));
    assert_eq!(asked(&remote(&node, &token(4)), lease()).await, Err(Unanswered::Dropped));
    let Link::Refused(why) = signer.link().borrow().clone() else { panic!("it was refused") };
    assert!(why.contains("signer has the role attester") && why.contains("token_file"), "{why}");
    let client = raw(&node, Some(&token(3).header())).await.unwrap();
    let error = client.lease(0).await.unwrap_err().to_string();
    assert!(error.contains("signer has the role attester"), "{error}");
    assert_eq!(machines.heard(), [""; 0]);
}

#[tokio::test]
async fn sizes_are_bounded_and_a_large_witness_comes_through() {
    let machines = Machines { witness: 8 << 20, ..Machines::default() };
    let node = node(anywhere(), &machines).await;
    let client = raw(&node, Some(&token(1).header())).await.unwrap();
    let long = Bytes(vec![0; REQUEST_BYTES_MAX as usize / 2]);
    assert!(client.submit(0, JobId([1; 32]), long).await.is_err());
    assert_eq!(machines.heard(), [""; 0], "it never reached the feed");
    let leased = asked(&remote(&node, &token(1)), lease()).await.unwrap().unwrap().unwrap();
    assert_eq!(leased.job.witness.len(), 8 << 20);
}

#[tokio::test]
async fn what_is_under_way_is_bounded() {
    let machines = Machines { silent: Arc::new(Mutex::new(1_000)), ..Machines::default() };
    let node = node(anywhere(), &machines).await;
    let port: Port<Lease> = Port::new(remote(&node, &token(1)));
    let taken = (0..100).map_while(|_| port.ask(lease()).ok()).count();
    assert_eq!(taken, IN_FLIGHT / 2);
    assert!(matches!(port.ask(lease()), Err(Refused::Full(_))));
}

#[tokio::test]
async fn a_lease_without_an_answer_is_asked_again() {
    let machines = Machines { silent: Arc::new(Mutex::new(1)), ..Machines::default() };
    let node = node(anywhere(), &machines).await;
    let prover = remote(&node, &token(1));
    assert_eq!(asked(&prover, lease()).await, Err(Unanswered::Dropped));
    assert_eq!(asked(&prover, lease()).await.unwrap(), Ok(Some(machines.leased())));
}

#[tokio::test]
async fn a_worker_finds_its_node_again_after_a_restart() {
    let machines = Machines::default();
    let first = node(anywhere(), &machines).await;
    let (address, prover) = (first.address(), remote(&first, &token(1)));
    assert!(asked(&prover, lease()).await.is_ok());
    first.stop(WAIT).await;
    assert_eq!(asked(&prover, lease()).await, Err(Unanswered::Dropped));
    assert!(matches!(*prover.link().borrow(), Link::Down(_)));
    let _second = node(address, &machines).await;
    let again = async {
        while asked(&prover, lease()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WAIT, again).await.expect("it connects again by itself");
    assert_eq!(*prover.link().borrow(), Link::Connected);
}

#[test]
fn workers_that_could_be_taken_for_each_other_are_refused() {
    let mut workers = Workers::default();
    workers.add("one", Role::Prover, &token(1)).unwrap();
    let same = workers.add("other", Role::Attester, &token(1)).unwrap_err();
    assert_eq!(same, BadWorker::SameToken("one".into(), "other".into()));
    for name in ["", "one.2", "a b", &"x".repeat(61)] {
        let bad = workers.add(name, Role::Prover, &token(2)).unwrap_err();
        assert_eq!(bad, BadWorker::Name(name.to_owned()));
    }
    assert_eq!(Token::from_hex(&"11".repeat(31)).unwrap_err(), BadToken);
    assert_eq!(Token::from_hex(&"zz".repeat(32)).unwrap_err(), BadToken);
    assert_eq!(format!("{:?}", token(1)), "Token");
}

#[tokio::test]
async fn an_address_of_another_kind_is_refused() {
    for url in ["http://127.0.0.1:1", "127.0.0.1:1", "ws://user@host:1"] {
        assert!(Remote::new(url, &token(1), DEPLOYMENT_ID).is_err(), "{url}");
    }
}
