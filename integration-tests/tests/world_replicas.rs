//! A replica follows a node through its crashes and its own, and a node goes on from its folder.

use std::sync::{Arc, Mutex};

use zklink::id::BlockNumber;
use zklink_integration_tests::auditor::{stored_block, timeless_root};
use zklink_integration_tests::network::{DEPLOYMENT, HUB};
use zklink_integration_tests::story::Story;
use zklink_integration_tests::{Config, System};
use zklink_mechanism::port::{Deliver, Envelope, Port, Refused};
use zklink_mechanism::world::{MachineRef, WorldHost};
use zklink_node::node::RESTARTS;
use zklink_store::journal::segment::SegmentLog;
use zklink_store::journal::{Journal, ReadRecords};
use zklink_store::replica::{self, Replica};
use zklink_store::simulation::{SimDisk, SimStore};

/// Longest virtual time of the story, which ends much earlier.
const MAX_MS: u64 = 300_000;

/// The way to the node that runs now.
#[derive(Clone, Default)]
struct ToNode(Arc<Mutex<Option<MachineRef<Journal>>>>);

impl ToNode {
    fn lead_to(&self, system: &System) {
        *self.0.lock().expect("no holder panics") = Some(system.node().journal.clone());
    }
}

impl Deliver<ReadRecords> for ToNode {
    fn deliver(&self, envelope: Envelope<ReadRecords>) -> Result<(), Refused<ReadRecords>> {
        let node = self.0.lock().expect("no holder panics").clone();
        let Some(node) = node else { return Err(Refused::Closed(envelope.message)) };
        node.deliver(envelope)
    }
}

struct Copy {
    host: WorldHost,
    replica: Replica<WorldHost>,
}

fn start(system: &System, disk: &SimDisk, store: &SimStore, node: &ToNode) -> Copy {
    let (log, _) = SegmentLog::open(disk.clone(), &DEPLOYMENT.0, 16 << 10).expect("it opens");
    let mut host = WorldHost::new(&system.world, RESTARTS);
    let (store, node) = (Arc::new(store.clone()), Port::new(node.clone()));
    let started = replica::start(&mut host, Box::new(log), store, node);
    let replica = system.world.at_once(started).expect("disk and store belong together");
    Copy { host, replica }
}

/// Has everything that the node has.
fn is_whole(system: &System, copy: &Copy) -> bool {
    let head = |archive: &zklink_store::archive::ArchiveReader| archive.head().expect("it reads");
    let followed = copy.replica.followed.borrow().clone();
    followed.of_node == Some(followed.records)
        && head(&copy.replica.archive) == head(&system.node().archive_reader)
}

#[test]
fn a_replica_follows_through_crashes_and_a_node_goes_on_from_its_folder() {
    let mut proven_before = 0;
    for seed in 51..57 {
        let mut reference = System::start(Config::new(seed));
        let told = Story::begin(&reference);
        reference.until("the story is over", MAX_MS, |system| told.is_over(system));
        reference.until("all is settled", MAX_MS, |system| system.auditor().is_settled());

        let mut system = System::start(Config::new(seed));
        let told = Story::begin(&system);
        let (disk, store, node) = (SimDisk::new(), SimStore::new(), ToNode::default());
        node.lead_to(&system);
        let mut copy = start(&system, &disk, &store, &node);
        for _ in 0..3 {
            let ms = 1_000 + system.chance.below(4_000);
            system.run_for(ms);
            if system.chance.below(2) == 0 {
                copy.host.kill();
                disk.crash(&mut system.chance);
                let kept = system.chance.below_usize(store.batches() + 1);
                store.lose_after(kept);
                copy = start(&system, &disk, &store, &node);
            } else {
                system.crash();
                system.run_for(500);
                system.restart().expect("the node starts again");
                node.lead_to(&system);
            }
        }
        // The machine of the node is lost; whoever was told that his transaction is taken was told the truth.
        system.until("the replica has all", MAX_MS, |system| is_whole(system, &copy));
        system.crash();
        copy.host.kill();
        assert_eq!((copy.host.stopped(), copy.host.faults()), (None, Vec::new()));
        system.move_to(disk, store);
        let proven = system.chain(HUB).final_contracts();
        let proven = proven.hub.as_ref().map(|hub| hub.proven).expect("it is the hub");
        system.restart().expect("a node starts on the folder of a replica");
        system.until("the story is over", MAX_MS, |system| told.is_over(system));
        system.until("all is settled", MAX_MS, |system| system.auditor().is_settled());
        let root = |system: &System| timeless_root(system.auditor().state());
        assert_eq!(root(&system), root(&reference), "seed {seed}");
        // What the hub has proven, finally, is not proven again.
        let archive = &system.node().archive_reader;
        let again = |number: u32| archive.proof(BlockNumber(number)).expect("it reads").is_some();
        assert!((1..=proven.0).all(|number| !again(number)), "seed {seed}, {proven} are proven");
        proven_before += proven.0;
        for sealed in system.auditor().blocks() {
            let stored = stored_block(&system.node().archive_reader, sealed.block.head.number);
            assert_eq!(stored.as_ref(), Some(sealed), "seed {seed}");
        }
    }
    assert!(proven_before > 0, "some nodes had blocks that were proven");
}
