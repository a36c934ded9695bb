//! Damaged journals: a torn write is cut and reported, everything else is refused with what to do.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::util::SubscriberInitExt;
use zklink::amount::Amount;
use zklink::id::ChainId;
use zklink_node::node::{Node, StartError};
use zklink_store::archive::ArchiveFault;
use zklink_store::journal::LogError;

use crate::world::{ONE, USDC, World, embedded, until};

const CHAIN: ChainId = ChainId(1);

/// What was logged.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the data folder, and the one segment of its journal.
fn copied(data: &Path, name: &str) -> (PathBuf, PathBuf) {
    let folder = data.with_file_name(name);
    copy(data, &folder);
    let segment = folder.join("journal/00000000000000000000.log");
    assert!(segment.is_file());
    (folder, segment)
}

fn flip(segment: &Path, at: usize) {
    let mut bytes = std::fs::read(segment).unwrap();
    bytes[at] ^= 0x40;
    std::fs::write(segment, bytes).unwrap();
}

/// What a start on a damaged folder says.
async fn refused(world: &World, folder: &Path) -> StartError {
    match Node::start(world.setup(folder, 0)).await {
        Ok(_) => panic!("the node started on {}", folder.display()),
        Err(error) => error,
    }
}

/// Starts on a torn journal; returns what was logged and what the rollup owes.
async fn started(world: &World, folder: &Path) -> (String, Amount) {
    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
    let guard = subscriber.finish().set_default();
    let node = Node::start(world.setup(folder, 0)).await.unwrap();
    drop(guard);
    let pool = node.view().read().state.pool(CHAIN, USDC);
    // The chain still has the deposit, if the journal lost it.
    until("the deposit", async || {
        (node.view().read().state.pool(CHAIN, USDC) == Amount(5 * ONE)).then_some(())
    })
    .await;
    node.stop("seen").await;
    let text = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    (text, pool)
}

async fn story() {
    let (_chains, urls) = embedded(2, Duration::from_millis(100), 2).await;
    let world = World::deploy(&urls).await;
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let node = Node::start(world.setup(&data, 0)).await.unwrap();
    world.depositor(CHAIN, "alice", 5).await;
    until("the block", async || node.archive().head().unwrap()).await;
    node.stop("to be copied").await;
    let cut = "the last write was torn";

    let (folder, segment) = copied(&data, "appended");
    let mut file = std::fs::OpenOptions::new().append(true).open(&segment).unwrap();
    file.write_all(&[0x17; 99]).unwrap();
    let (log, pool) = started(&world, &folder).await;
    assert!(log.contains(cut) && log.contains("bytes: 99"), "{log}");
    assert_eq!(pool, Amount(5 * ONE), "every whole record is there");

    // The archive has seen the last record, so its loss is noticed.
    let (folder, segment) = copied(&data, "truncated");
    let length = std::fs::metadata(&segment).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(length - 9).unwrap();
    let error = refused(&world, &folder).await;
    assert!(matches!(error, StartError::Archive(ArchiveFault::AheadOfJournal { .. })), "{error}");
    assert!(error.to_string().contains("Restore the journal; do not delete the store"));

    // Without the archive it looks as a write that was cut by a crash looks.
    let (folder, segment) = copied(&data, "torn");
    flip(&segment, usize::try_from(length).unwrap() - 9);
    std::fs::remove_dir_all(folder.join("archive")).unwrap();
    let (log, _) = started(&world, &folder).await;
    assert!(log.contains(cut), "{log}");

    let (folder, segment) = copied(&data, "middle");
    flip(&segment, 52 + 60);
    let error = refused(&world, &folder).await;
    assert!(matches!(error, StartError::Journal(LogError::Corrupt { position: 0, .. })), "{error}");
    assert!(error.to_string().contains("Restore the file from a replica or a backup"), "{error}");

    let (folder, _) = copied(&data, "foreign");
    let mut setup = world.setup(&folder, 0);
    setup.deployment.deployment_id.0[0] ^= 1;
    let error = Node::start(setup).await.err().expect("another deployment");
    assert!(matches!(error, StartError::Journal(LogError::Foreign)), "{error}");

    let node = Node::start(world.setup(&data, 0)).await.unwrap();
    let error = refused(&world, &data).await;
    assert!(matches!(error, StartError::Journal(LogError::Locked(_))), "{error}");
    node.stop("the story is over").await;
}

#[test]
fn a_torn_journal_is_cut_and_a_damaged_one_is_refused() {
    zklink_mechanism::shell::run(story());
}
