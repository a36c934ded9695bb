//! The state of a data folder, made twice without the node: from the records of the journal by a
//! fresh ledger, and from the public data of the sealed blocks alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use zklink::audit::audit;
use zklink::block::Block;
use zklink::commitment::StateTree;
use zklink::hash::Fr;
use zklink::id::{BlockNumber, ShapeId};
use zklink::state::State;
use zklink::tx::TxHash;
use zklink_chain::deploy::Deployment;
use zklink_node::builder::{Config, Ledger};
use zklink_node::roots::Policy;
use zklink_node::snapshot::{Base, Restored, restore};
use zklink_store::archive::Archive;
use zklink_store::archive::parity::ParityStore;
use zklink_store::fold;
use zklink_store::journal::disk::FileDisk;
use zklink_store::journal::log::{LogError, replay};
use zklink_store::journal::segment::SegmentLog;
use zklink_store::record::{Body, FinalDeposit, Record, Source};

/// What a journal leads to.
pub struct Replayed {
    pub state: State,
    pub root: Fr,
    /// Where each transaction stands; each is there once.
    pub transactions: BTreeMap<TxHash, (BlockNumber, u32)>,
    /// In the order of execution.
    pub deposits: Vec<FinalDeposit>,
    /// The root after each sealed block.
    pub roots: BTreeMap<BlockNumber, Fr>,
    pub records: u64,
}

/// Replays a journal that ends with a sealed block.
pub fn replay_journal(data: &Path, deployment: &Deployment, genesis: &State) -> Replayed {
    let disk = FileDisk::open(&data.join("journal")).unwrap();
    let identity = deployment.deployment_id.0;
    let (mut log, opened) = SegmentLog::open(disk, &identity, 64 << 20).unwrap();
    let shapes: Vec<ShapeId> = deployment.shapes.iter().map(|shape| shape.id).collect();
    let mut ledger = Ledger::new(Arc::new(deployment.network()), &shapes, genesis.clone());
    let mut public = genesis.clone();
    let mut tree = StateTree::of(&public);
    let mut open = Vec::new();
    let (mut transactions, mut deposits) = (BTreeMap::new(), Vec::new());
    let mut roots = BTreeMap::from([(public.system.number, tree.root())]);
    replay::<LogError>(&mut log, 0, |entry| {
        let record = Record::decode(&entry.payload).unwrap();
        if let Some(entered) = ledger.replay(&record).unwrap() {
            match &entered.source {
                Source::Tx(tx) => {
                    let place = (entered.place.block, entered.place.index);
                    assert_eq!(transactions.insert(tx.hash, place), None, "executed twice");
                }
                Source::Deposit(deposit) => deposits.push(deposit.deposit.clone()),
            }
        }
        match record {
            Record::Executed(executed) => open.push(executed),
            Record::KeyAuthorised(_) => {}
            Record::Sealed(seal) => {
                let body = Body { seal, executed: std::mem::take(&mut open) };
                let block = with_root(body, &public, &mut tree.clone());
                let block = Block::decode(&block.public_data()).unwrap();
                block.replay(&mut public, &mut tree).unwrap();
                roots.insert(block.head.number, tree.root());
            }
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(ledger.open_since(), None, "the journal ends with a sealed block");
    assert_eq!(&public, ledger.state(), "public data alone lead to the same state");
    let (root, records) = (tree.root(), opened.records);
    assert_eq!(root, StateTree::of(&public).root());
    audit(&public).unwrap();
    Replayed { state: public, root, transactions, deposits, roots, records }
}

/// The block between the root of the tree and the one that follows from its operations.
fn with_root(body: Body, before: &State, tree: &mut StateTree) -> Block {
    let (mut state, old_root) = (before.clone(), tree.root());
    let cells = body.executed.iter().flat_map(|executed| executed.op.cells(State::FEE_ACCOUNT));
    let cells = cells.collect();
    for executed in &body.executed {
        executed.op.apply(&mut state).unwrap();
    }
    state.end_block(body.seal.number, body.seal.timestamp);
    tree.update(&state, &cells);
    body.between(old_root, tree.root()).block
}

/// What the node's own way of starting makes of a data folder, from its newest snapshot.
pub fn restored(data: &Path, deployment: &Deployment, genesis: &State) -> Restored {
    let disk = FileDisk::open(&data.join("journal")).unwrap();
    let (mut log, _) = SegmentLog::open(disk, &deployment.deployment_id.0, 64 << 20).unwrap();
    let store = Arc::new(ParityStore::open(&data.join("archive")).unwrap());
    let (archive, _) = Archive::open(store, fold::fold(), &mut log).unwrap();
    let base = Base {
        network: Arc::new(deployment.network()),
        shapes: deployment.shapes.iter().map(|shape| shape.id).collect(),
        genesis: genesis.clone(),
        proven: BlockNumber(0),
    };
    restore(&base, Config::default(), Policy::RECORDS, &archive.reader(), &mut log).unwrap()
}
