//! The block builder: the one machine that owns the state and decides what enters it.
//!
//! It verifies, executes, and hands the record with the waiting reply to the journal, which
//! answers once the record is on disk. Its own panic stops the node; restart is replay.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use pace::Pace;
use zklink::fees::FeeTable;
use zklink::id::{BlockNumber, Serial};
use zklink::tx::TxHash;
use zklink_mechanism::clock::Tick;
use zklink_mechanism::machine::{Handle, Load, Machine};
use zklink_mechanism::port::{Port, Refused, ReplyTo};
use zklink_mechanism::turn::Turn;
use zklink_store::journal::{Append, Waiter};
use zklink_store::record::{FinalDeposit, KeyAuthorised, Record, Source};

mod calldata;
pub mod ledger;
pub mod message;
pub mod pace;
pub mod terms;
pub mod view;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use ledger::{Broken, Denied, Entered, Entry, Ledger, Place, ReplayError};
pub use message::{Credit, Credited, DiskRoom, DurableCursor, Receipt, Refusal, SealNow, Submit};
pub use pace::{HubProgress, PaceLimits};
pub use terms::Terms;
pub use view::{Executed, Publisher, Step, View, ViewReader};

/// Questions for a cursor that may wait for the journal.
const FENCES_MAX: usize = 256;

/// Bounds of the builder.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// A block with operations is sealed when the first of them is this old, in milliseconds.
    pub block_age_max_ms: u64,
    /// Records and repeated questions that may wait for the journal; beyond it new work is
    /// refused.
    pub waiting_max: usize,
    /// Receipts that are kept to answer repeated transactions.
    pub receipts_max: usize,
    /// How far the builder may run ahead of the hub. Nothing for a builder that no hub follows, in tests and
    /// benchmarks; with bounds nothing enters before the hub was heard of.
    pub pace: Option<PaceLimits>,
}

impl Default for Config {
    fn default() -> Config {
        Config { block_age_max_ms: 2_000, waiting_max: 4_096, receipts_max: 100_000, pace: None }
    }
}

/// Receipts of the last transactions.
#[derive(Debug, Default)]
struct Receipts {
    by_hash: BTreeMap<TxHash, (Receipt, u64)>,
    order: VecDeque<TxHash>,
}

impl Receipts {
    fn insert(&mut self, receipt: Receipt, sequence: u64, max: usize) {
        if self.by_hash.insert(receipt.hash, (receipt, sequence)).is_none() {
            self.order.push_back(receipt.hash);
        }
        while self.order.len() > max {
            let oldest = self.order.pop_front();
            oldest.map(|hash| self.by_hash.remove(&hash));
        }
    }
}

/// A repeated question whose record is not on disk yet.
#[derive(Debug)]
struct Late {
    sequence: u64,
    receipt: Receipt,
    reply: ReplyTo<Result<Receipt, Refusal>>,
}

/// A question for a cursor whose records are not on disk yet.
#[derive(Debug)]
struct Fence {
    sequence: u64,
    cursor: Serial,
    reply: ReplyTo<Serial>,
}

/// See the module.
#[derive(Debug)]
pub struct Builder {
    config: Config,
    ledger: Ledger,
    publisher: Publisher,
    receipts: Receipts,
    pace: Pace,
    disk_low: bool,
    journal: Port<Append>,
    outbox: VecDeque<Append>,
    /// Number of the last record that was made; the journal tells how many of them are on disk.
    sequence: u64,
    durable: Arc<AtomicU64>,
    late: VecDeque<Late>,
    fences: VecDeque<Fence>,
}

impl Builder {
    /// A builder on a ledger between two blocks. Before it is seated, give it the records of the
    /// journal since then with [`Builder::replay`].
    pub fn new(config: Config, ledger: Ledger, journal: Port<Append>) -> Builder {
        let publisher = Publisher::new(View::of(ledger.state().clone()));
        Builder {
            config,
            ledger,
            publisher,
            receipts: Receipts::default(),
            pace: Pace::new(config.pace),
            disk_low: false,
            journal,
            outbox: VecDeque::new(),
            sequence: 0,
            durable: Arc::new(AtomicU64::new(0)),
            late: VecDeque::new(),
            fences: VecDeque::new(),
        }
    }

    /// As [`Builder::new`], with the receipts of the last transactions before.
    pub fn resume(
        config: Config,
        ledger: Ledger,
        receipts: Vec<Receipt>,
        journal: Port<Append>,
    ) -> Builder {
        let mut builder = Builder::new(config, ledger, journal);
        for receipt in receipts {
            builder.receipts.insert(receipt, builder.sequence, config.receipts_max);
        }
        builder
    }

    /// Sends the records from now on to this journal: called once, between replay and seating.
    pub fn connect(&mut self, journal: Port<Append>) {
        self.journal = journal;
    }

    /// Asks new transactions for these fees from now on; replay never asks for any.
    pub fn ask_fees(&mut self, fees: FeeTable) {
        self.ledger.ask_fees(fees);
    }

    /// Does again what a record of the journal says was done.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn replay(&mut self, record: &Record) -> Result<(), ReplayError> {
        if let Some(entered) = self.ledger.replay(record)? {
            self.note(&entered);
        }
        if let Record::Sealed(_) = record {
            self.publisher.note(Step::Sealed);
        }
        self.publisher.publish(self.ledger.state());
        Ok(())
    }

    /// What readers see.
    pub fn reader(&self) -> ViewReader {
        self.publisher.reader()
    }

    /// The state machine inside.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Makes an executed entry visible, and its receipt known.
    fn note(&mut self, entered: &Entered) {
        let Entered { place, op, source, records } = entered;
        for record in records {
            if let Record::Sealed(_) = record {
                self.publisher.note(Step::Sealed);
            }
        }
        let (op, source, place) = (op.clone(), source.clone(), *place);
        if let Source::Tx(tx) = &source {
            let receipt = Receipt { hash: tx.hash, place };
            self.receipts.insert(receipt, self.sequence, self.config.receipts_max);
        }
        self.publisher.note(Step::Executed(Box::new(Executed { op, source, place })));
    }

    /// Why nothing may enter now, if so.
    fn refusal_now(&self) -> Option<Refusal> {
        if self.is_full() {
            return Some(Refusal::Overloaded);
        }
        if self.disk_low {
            return Some(Refusal::DiskLow);
        }
        self.pace.refusal(self.ledger.state().system.number)
    }

    fn is_full(&self) -> bool {
        self.outbox.len() + self.late.len() >= self.config.waiting_max
    }

    /// Puts a record into the queue to the journal.
    fn keep(&mut self, record: &Record, waiter: Option<Waiter>, turn: &mut Turn) {
        self.sequence = self.sequence.checked_add(1).expect("fewer than 2^64 records");
        let (durable, sequence) = (Arc::clone(&self.durable), self.sequence);
        let mut waiters = vec![Waiter::new(move |_| {
            durable.fetch_max(sequence, SeqCst);
        })];
        waiters.extend(waiter);
        match Append::new(record.encode(), waiters) {
            Ok(append) => self.outbox.push_back(append),
            Err(error) => turn.fail(format!("cannot journal: {error}")),
        }
    }

    fn keep_entered(&mut self, entered: &Entered, waiter: Option<Waiter>, turn: &mut Turn) {
        let (last, before) = entered.records.split_last().expect("an entry has its own record");
        before.iter().for_each(|record| self.keep(record, None, turn));
        self.keep(last, waiter, turn);
        self.note(entered);
    }

    /// Hands records over until the journal has no more room.
    fn hand_over(&mut self, turn: &mut Turn) {
        while let Some(append) = self.outbox.pop_front() {
            match self.journal.tell(append) {
                Ok(()) => {}
                Err(Refused::Full(append)) => return self.outbox.push_front(append),
                Err(Refused::Closed(_)) => return turn.fail("the journal is gone"),
            }
        }
    }

    fn answer_late(&mut self) {
        let durable = self.durable.load(SeqCst);
        while self.late.front().is_some_and(|late| late.sequence <= durable) {
            if let Some(late) = self.late.pop_front() {
                late.reply.answer(Ok(late.receipt));
            }
        }
        while self.fences.front().is_some_and(|fence| fence.sequence <= durable) {
            if let Some(fence) = self.fences.pop_front() {
                fence.reply.answer(fence.cursor);
            }
        }
    }

    /// Answers a transaction that was seen before; gives the reply back when it was not.
    fn answer_known(&mut self, hash: TxHash, reply: Reply) -> Option<Reply> {
        let Some((receipt, sequence)) = self.receipts.by_hash.get(&hash).copied() else {
            return Some(reply);
        };
        if sequence <= self.durable.load(SeqCst) {
            reply.answer(Ok(receipt));
        } else if self.is_full() {
            reply.answer(Err(Refusal::Overloaded));
        } else {
            let late = Late { sequence, receipt, reply };
            let at = self.late.partition_point(|late| late.sequence <= sequence);
            self.late.insert(at, late);
        }
        None
    }

    fn execute_deposit(&mut self, deposit: FinalDeposit, turn: &mut Turn) -> Credited {
        match self.ledger.enter(&Entry::Deposit(deposit), turn.now) {
            Ok(entered) => {
                self.keep_entered(&entered, None, turn);
                Credited::Executed
            }
            Err(Denied::Broken(broken)) => {
                turn.fail(broken.to_string());
                Credited::Overloaded
            }
            Err(denied) => Credited::Refused(denied.to_string()),
        }
    }

    fn seal(&mut self, turn: &mut Turn) -> Option<BlockNumber> {
        match self.ledger.seal(turn.now) {
            Ok(None) => None,
            Ok(Some(seal)) => {
                self.keep(&Record::Sealed(seal), None, turn);
                self.publisher.note(Step::Sealed);
                Some(seal.number)
            }
            Err(broken) => {
                turn.fail(broken.to_string());
                None
            }
        }
    }
}

type Reply = ReplyTo<Result<Receipt, Refusal>>;

impl Machine for Builder {
    fn idle(&mut self, turn: &mut Turn) {
        // First shown, then acknowledged: whoever has an answer can read what it says.
        self.publisher.publish(self.ledger.state());
        self.hand_over(turn);
        self.answer_late();
    }

    fn load(&self) -> Load {
        let waits =
            self.outbox.len() + self.late.len() + self.fences.len() + self.publisher.waiting();
        match waits {
            0 => Load::Clear,
            _ if self.is_full() => Load::Saturated,
            _ => Load::Waiting,
        }
    }
}

impl Handle<Submit> for Builder {
    fn handle(&mut self, Submit { tx, reply }: Submit, turn: &mut Turn) {
        let hash = tx.hash();
        let Some(reply) = self.answer_known(hash, reply) else { return };
        if let Some(refusal) = self.refusal_now() {
            return reply.answer(Err(refusal));
        }
        match self.ledger.enter(&Entry::Tx(tx), turn.now) {
            Ok(entered) => {
                let receipt = Receipt { hash, place: entered.place };
                let waiter = Waiter::answer(reply, Ok(receipt));
                self.keep_entered(&entered, Some(waiter), turn);
            }
            Err(denied) => {
                if let Denied::Broken(broken) = &denied {
                    turn.fail(broken.to_string());
                }
                reply.answer(Err(denied.into()));
            }
        }
    }
}

impl Handle<Credit> for Builder {
    fn handle(&mut self, Credit(deposit): Credit, turn: &mut Turn) -> Credited {
        let next = self.ledger.state().cursor(deposit.chain);
        if deposit.serial < next {
            return Credited::Executed;
        }
        if self.refusal_now().is_some() {
            return Credited::Overloaded;
        }
        if deposit.serial > next {
            // It is not kept here: its ledger keeps it, and must be able to take it back when its token is held back.
            return Credited::Waiting;
        }
        self.execute_deposit(deposit, turn)
    }
}

impl Handle<KeyAuthorised> for Builder {
    fn handle(&mut self, key: KeyAuthorised, turn: &mut Turn) {
        if self.ledger.authorise(&key) {
            self.keep(&Record::KeyAuthorised(key), None, turn);
        }
    }
}

impl Handle<DurableCursor> for Builder {
    fn handle(&mut self, DurableCursor { chain, reply }: DurableCursor, _: &mut Turn) {
        let cursor = self.ledger.state().cursor(chain);
        // Who is not answered asks again.
        if self.fences.len() < FENCES_MAX {
            self.fences.push_back(Fence { sequence: self.sequence, cursor, reply });
        }
    }
}

impl Handle<Tick> for Builder {
    fn handle(&mut self, _: Tick, turn: &mut Turn) {
        // A time far in the future was journaled before a restart by a clock that has been set back since: a block
        // that waited for it could stay open for hours.
        let age = self.ledger.open_since().map(|since| turn.now.0.abs_diff(since.0));
        let due = age.is_some_and(|age| age >= self.config.block_age_max_ms);
        // While nothing may enter, nothing is sealed either: so the bounds on blocks and their times hold exactly.
        if due && self.refusal_now().is_none() {
            self.seal(turn);
        }
    }
}

impl Handle<HubProgress> for Builder {
    fn handle(&mut self, hub: HubProgress, _: &mut Turn) {
        self.pace.hear(hub);
        self.ledger.seal_by(self.pace.seal_by());
    }
}

impl Handle<DiskRoom> for Builder {
    fn handle(&mut self, DiskRoom { low }: DiskRoom, _: &mut Turn) {
        self.disk_low = low;
    }
}

impl Handle<SealNow> for Builder {
    fn handle(&mut self, _: SealNow, turn: &mut Turn) -> Option<BlockNumber> {
        self.seal(turn)
    }
}
