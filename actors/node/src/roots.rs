//! The root maker: a follower of the archive that gives each sealed block its root, behind the journal.
//!
//! It executes the blocks on a state of its own, hashes what each of them changed, and keeps the root in the archive,
//! where all find it that need one. From time to time it cuts a snapshot off, which [`crate::snapshot::maker`] stores
//! beside it. The roots follow from the journal: one that comes out otherwise than before stops the node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use zklink::binary;
use zklink::commitment::{OtherLeaf, StateTree};
use zklink::id::BlockNumber;
use zklink::op::Op;
use zklink::reject::Reject;
use zklink::state::Cell;
use zklink::token::Network;
use zklink_mechanism::platform::Offload;
use zklink_mechanism::port::{Port, Refused};
use zklink_store::archive::{ArchiveError, ArchiveReader, Keep, Made};
use zklink_store::record::{Body, Executed, KeyAuthorised, Source};

use crate::builder::ledger::forget_keys;
use crate::snapshot::{Cut, Snapshot, StoredReceipt};

/// How long to wait when there is nothing to do, or when the archive is full.
const PAUSE: Duration = Duration::from_millis(50);
/// So many accounts of a snapshot are as much work to write as one more record is to replay: writing it must not become
/// more work than what it spares.
const ACCOUNTS_PER_RECORD: usize = 4;

/// When snapshots are made.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Records of the journal between two of them, at least. A large snapshot waits for one more record
    /// for each four accounts of it.
    pub records: u64,
    /// Receipts that are in it: as many as the builder keeps.
    pub receipts_max: usize,
}

impl Policy {
    /// Records between two snapshots where nobody says otherwise: some seconds of replay.
    pub const RECORDS: u64 = 10_000;
}

/// Why no more roots can be made. The node stops.
#[derive(Debug, thiserror::Error)]
pub enum RootFault {
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A stored key cannot be read.
    #[error("a key before block {0} cannot be read: {1}")]
    Unreadable(BlockNumber, std::io::Error),
    /// A block does not continue the one before.
    #[error("block {0} does not continue the journal before it")]
    Order(BlockNumber),
    /// An operation of a sealed block is refused.
    #[error("an operation of block {0} is refused: {1}")]
    Refused(BlockNumber, Reject),
    /// The state and its trees do not belong together.
    #[error("before block {0}: {1}")]
    Trees(BlockNumber, OtherLeaf),
    /// The root is another one than it was.
    #[error(
        "block {0} leads to another root than before: run the program that wrote the journal, or move the store away \
         if it is of another journal"
    )]
    Different(BlockNumber),
}

/// What became of a block.
#[derive(Debug)]
pub struct Rooted {
    /// To be kept in the archive.
    pub made: Vec<Made>,
    /// The fold up to there, if a snapshot is due.
    pub cut: Option<Cut>,
}

/// See the module.
#[derive(Debug)]
pub struct RootMaker {
    archive: ArchiveReader,
    network: Arc<Network>,
    pub(crate) policy: Policy,
    at: Snapshot,
    tree: StateTree,
    /// Position of the last snapshot.
    taken: u64,
    proven: BlockNumber,
    /// Whether the root of genesis is known to be kept.
    begun: bool,
}

impl RootMaker {
    /// A maker that goes on from `at`, which is stored or genesis, with its trees. All blocks up to `proven` are
    /// proven.
    pub fn new(
        archive: ArchiveReader,
        network: Arc<Network>,
        policy: Policy,
        (at, tree): (Snapshot, StateTree),
        proven: BlockNumber,
    ) -> RootMaker {
        let (taken, begun) = (at.position, at.seal.is_some());
        RootMaker { archive, network, policy, at, tree, taken, proven, begun }
    }

    /// The fold so far.
    pub fn at(&self) -> &Snapshot {
        &self.at
    }

    /// Follows the next sealed block; nothing when there is none.
    ///
    /// # Errors
    /// [`RootFault`], after which the maker must not be used.
    pub fn step(&mut self) -> Result<Option<Rooted>, RootFault> {
        if !self.begun {
            self.begun = true;
            let made = self.root(self.at.state.system.number)?;
            return Ok(Some(Rooted { made, cut: None }));
        }
        let Some(number) = self.at.state.system.number.next() else { return Ok(None) };
        let Some(body) = self.archive.body(number)? else { return Ok(None) };
        let fee_account = self.at.state.system.fee_account;
        let cells = body.executed.iter().flat_map(|executed| executed.op.cells(fee_account));
        let cells: BTreeSet<Cell> = cells.collect();
        self.tree
            .prepare(&self.at.state, cells.iter().filter_map(Cell::account))
            .map_err(|other| RootFault::Trees(number, other))?;
        self.follow(number, &body)?;
        self.tree.update(&self.at.state, &cells);
        let made = self.root(number)?;
        Ok(Some(Rooted { made, cut: self.cut(number)? }))
    }

    /// The root behind a block, which is to be kept if it is not yet.
    fn root(&mut self, block: BlockNumber) -> Result<Vec<Made>, RootFault> {
        let root = self.tree.root();
        match self.archive.root(block)? {
            Some(known) if known == root => Ok(Vec::new()),
            Some(_) => Err(RootFault::Different(block)),
            None => Ok(vec![Made::Root { block, root }]),
        }
    }

    /// Between two seals the journal has exactly the block's entries and the keys that came meanwhile, so
    /// that the positions of the keys tell the order of all.
    fn follow(&mut self, number: BlockNumber, body: &Body) -> Result<(), RootFault> {
        let order = RootFault::Order(number);
        let Some(seal) = self.archive.seal(number)? else { return Err(order) };
        let behind = seal.next.checked_sub(1).filter(|last| *last >= self.at.position);
        let (Some(last), true) = (behind, body.seal.number == number) else { return Err(order) };
        let mut entries = (0..).zip(&body.executed);
        let mut key = self.archive.key(self.at.keys_seen)?;
        for position in self.at.position..last {
            if let Some((_, bytes)) = key.take_if(|(at, _)| *at == position) {
                self.authorise(number, &bytes)?;
                key = self.archive.key(self.at.keys_seen)?;
            } else if let Some((index, executed)) = entries.next() {
                self.execute(number, index, executed)?;
            } else {
                return Err(order);
            }
        }
        if entries.next().is_some() {
            return Err(order);
        }
        let at = &mut self.at;
        at.state.end_block(number, body.seal.timestamp);
        (at.position, at.chain, at.seal) = (seal.next, seal.chain, Some(body.seal));
        Ok(())
    }

    fn authorise(&mut self, number: BlockNumber, bytes: &[u8]) -> Result<(), RootFault> {
        let key: KeyAuthorised =
            binary::read(bytes).map_err(|error| RootFault::Unreadable(number, error))?;
        // The builder journals only keys that it took, so that nothing is checked here.
        self.at.keys.insert(key.chain, key.owner, key.nonce, &key.key);
        self.at.keys_seen += 1;
        Ok(())
    }

    fn execute(
        &mut self,
        number: BlockNumber,
        index: u32,
        Executed { op, source }: &Executed,
    ) -> Result<(), RootFault> {
        let at = &mut self.at;
        op.apply(&mut at.state).map_err(|reject| RootFault::Refused(number, reject))?;
        if let Op::ChangePubKey(change) = op {
            forget_keys(&mut at.keys, &self.network, change.owner, change.nonce);
        }
        if let Source::Tx(tx) = source {
            at.receipts.push_back(StoredReceipt(tx.hash, number, index, tx.time));
            if at.receipts.len() > self.policy.receipts_max {
                at.receipts.pop_front();
            }
        }
        Ok(())
    }

    /// The fold behind a block, if a snapshot is due.
    fn cut(&mut self, number: BlockNumber) -> Result<Option<Cut>, RootFault> {
        let accounts = self.at.state.account_count() / ACCOUNTS_PER_RECORD;
        let due = self.policy.records.max(u64::try_from(accounts).unwrap_or(u64::MAX));
        if self.at.position.saturating_sub(self.taken) < due {
            return Ok(None);
        }
        while let Some(next) = self.proven.next().filter(|next| *next <= number) {
            if self.archive.proof(next)?.is_none() {
                break;
            }
            self.proven = next;
        }
        self.taken = self.at.position;
        let ids = self.at.state.accounts().map(|(id, _)| id);
        let leaves = self.tree.account_leaves(ids);
        Ok(Some(Cut { at: self.at.clone(), leaves, proven: self.proven }))
    }
}

/// Makes roots until `stop` becomes true, and gives away what snapshots are made of.
///
/// # Errors
/// [`RootFault`]: the node must not go on.
pub async fn drive(
    mut maker: RootMaker,
    keep: Port<Keep>,
    cuts: mpsc::Sender<Cut>,
    offload: Offload,
    stop: watch::Receiver<bool>,
) -> Result<(), RootFault> {
    while !*stop.borrow() {
        let work = move || {
            let made = maker.step();
            (maker, made)
        };
        let (back, made) = offload.run(work).await;
        maker = back;
        let Some(Rooted { made, cut }) = made? else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if !made.is_empty() {
            store(Keep { made }, &keep, &stop).await;
        }
        if let Some(cut) = cut {
            // While the one before is still being stored, this one is left out.
            drop(cuts.try_send(cut));
        }
    }
    Ok(())
}

/// Gives results to the archive, however long that takes.
pub(crate) async fn store(mut keep: Keep, port: &Port<Keep>, stop: &watch::Receiver<bool>) {
    while !*stop.borrow() {
        match port.tell(keep) {
            Ok(()) | Err(Refused::Closed(_)) => return,
            Err(Refused::Full(back)) => keep = back,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
