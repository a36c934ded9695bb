//! The watcher of one chain: a machine that turns final events into deposits and key
//! authorisations.
//!
//! A deposit is handed on once, in the order of the chain's queue, and only when the chain's
//! finality rule says so and the contract's own count includes it: an event alone creates no money.
//! A hole in the queue, an unknown token, or a credited deposit that the chain no longer has is read
//! again, from where the contract's count last fitted, and stops the watcher for good when it lasts
//! ([`Halt`]): nothing is ever skipped. A restart begins at the deposit that the builder expects, and
//! behind the block up to which everything is known to be in the journal.

pub mod bookmark;
mod doubt;
pub mod driver;
mod message;

pub use message::{
    Books, ChainStatus, Halt, NextRequest, Outcome, Outlets, Request, Response, WatchConfig,
};

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use zklink::id::{Owner, Serial, TokenId};
use zklink_chain::client::{Hash, Header, Log};
use zklink_chain::contracts::{RollupEvent, WatchedContracts, rollup_events};
use zklink_chain::scan::{Progress, ScanConfig, Scanner, Told};
use zklink_mechanism::machine::{Handle, Machine};
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;
use zklink_store::archive::Watched;
use zklink_store::record::{FinalDeposit, KeyAuthorised};

use self::doubt::Doubt;
use crate::merge_ledger::{DepositFinal, Reading};

/// Deposits whose content is remembered, to notice that the chain changed its mind about them.
const REMEMBERED: usize = 8192;

/// The first deposit of a contract.
const FIRST: Serial = Serial(0);

/// Deposits that may wait for the contract's count; beyond it the contract is asked at once, at the
/// height that was read. Far above what comes between two polls, because an endpoint may not know
/// the state of old blocks.
const UNCOUNTED_MAX: usize = 65_536;

/// After so many failures in a row the contract's books are read at the tip: many servers keep the state of 128 blocks
/// only, and on a fast chain the final part ends further back.
const BOOKS_FAILURES: u32 = 3;
/// Of so many readings of the books at the tip one is tried at the height that was read, where it says more.
const BOOKS_TRIED: u32 = 64;

/// What was seen of a deposit that was handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    token: TokenId,
    owner: Owner,
    sub_account: u8,
    amount: u128,
}

/// The watcher of one chain.
#[derive(Debug)]
pub struct Watcher {
    config: WatchConfig,
    outlets: Outlets,
    scanner: Scanner,
    /// The serial of the next deposit event.
    next_event: Serial,
    /// The same after each range that was read, to go back to.
    marks: VecDeque<(u64, Serial)>,
    /// The next deposit to hand on.
    next_credit: Serial,
    /// The contract has counted the deposits before this one; later ones are not handed on yet.
    counted: Serial,
    seen: BTreeMap<Serial, (Seen, u64)>,
    deposits: VecDeque<FinalDeposit>,
    keys: VecDeque<(KeyAuthorised, u64)>,
    books: Option<Request>,
    books_due: Timestamp,
    /// Failures in a row to read the books at the height that was read, and readings at the tip since.
    books_failures: u32,
    books_at_tip: u32,
    /// At the tip the contract counted more deposits than were final: from this height on all of them must have been
    /// read.
    owed: Option<(u64, Serial)>,
    /// When to ask for the count again, after the contract did not answer.
    count_due: Option<Timestamp>,
    last_contact: Option<Timestamp>,
    in_step: Option<Timestamp>,
    failures: u32,
    last_error: Option<String>,
    bad_keys: u64,
    /// What was on the chain when it was read before this watcher, all of it credited.
    before: Option<Watched>,
    /// The last block up to which the contract's count says that no deposit was overlooked.
    confirmed: Option<Watched>,
    doubt: Option<Doubt>,
    halted: Arc<OnceLock<Halt>>,
}

impl Watcher {
    /// A watcher that hands on what the builder has not. It reads behind the block of `watched`, whose
    /// events and all before are in the journal, so that a restart need not read years of blocks; when
    /// the chain has another block there, or without one, it reads from the deployment on.
    pub fn new(config: WatchConfig, outlets: Outlets, watched: Option<Watched>) -> Self {
        let watched = watched.filter(|watched| {
            let fits = watched.block >= config.first_block && watched.next <= config.resume;
            if !fits {
                tracing::warn!(chain = %config.chain, ?watched, "events are read from the beginning");
            }
            fits
        });
        let scan = ScanConfig {
            first_block: config.first_block,
            finality: config.finality,
            max_range: config.max_range,
            checkpoints: config.checkpoints,
            poll_ms: config.poll_ms,
            addresses: vec![config.rollup, config.recorder],
            events: rollup_events(),
        };
        let (scanner, next_event, marks) = match watched {
            Some(Watched { block, hash, next }) => {
                (Scanner::behind(scan, block, hash), next, VecDeque::from([(block, next)]))
            }
            None => (Scanner::new(scan), FIRST, VecDeque::new()),
        };
        Self {
            scanner,
            outlets,
            next_event,
            marks,
            next_credit: config.resume,
            counted: config.resume,
            seen: BTreeMap::new(),
            deposits: VecDeque::new(),
            keys: VecDeque::new(),
            books: None,
            books_due: Timestamp(0),
            books_failures: 0,
            books_at_tip: 0,
            owed: None,
            count_due: None,
            last_contact: None,
            in_step: None,
            failures: 0,
            last_error: None,
            bad_keys: 0,
            before: watched,
            confirmed: watched,
            doubt: None,
            halted: Arc::default(),
            config,
        }
    }

    /// Shares why it halts with those who are built in its place, and is halted when one before it was: a
    /// new watcher cannot see what the old one saw, and only a person ends a halt.
    #[must_use]
    pub fn halting(mut self, halted: Arc<OnceLock<Halt>>) -> Self {
        self.halted = halted;
        self
    }

    /// How it is doing.
    pub fn status(&self) -> ChainStatus {
        ChainStatus {
            chain: self.config.chain,
            goal: self.scanner.goal(),
            scanned: self.scanner.scanned().map(|header| header.number),
            next: self.next_credit,
            held: self.deposits.len() + self.keys.len(),
            last_contact: self.last_contact,
            in_step: self.in_step,
            failures: self.failures,
            last_error: self.last_error.clone(),
            bad_keys: self.bad_keys,
            doubt: self.doubt.as_ref().map(Doubt::halt).map(|(halt, since)| (halt.clone(), since)),
            halted: self.halted.get().cloned(),
            handed: self.handed(),
        }
    }

    /// The last block up to which the contract confirmed what was read, when nothing of it or before it waits here. An
    /// event that was overlooked behind it would be overlooked by every later start.
    fn handed(&self) -> Option<Watched> {
        let confirmed = self.confirmed?;
        let waits = self.keys.iter().any(|(_, block)| *block <= confirmed.block);
        let handed = self.next_credit >= confirmed.next && !waits && self.halted.get().is_none();
        handed.then_some(confirmed)
    }

    /// What to ask the chain next; nothing for now, or nothing any more once it has halted.
    pub fn next(&mut self, turn: &mut Turn) -> Option<Request> {
        self.deliver();
        if self.halted.get().is_some() {
            return None;
        }
        if let Some(books) = &self.books {
            return Some(books.clone());
        }
        let uncounted = self.uncounted();
        if self.count_due.is_some_and(|due| turn.now >= due) || uncounted >= UNCOUNTED_MAX {
            self.ask_for_books();
            if let Some(books) = &self.books {
                return Some(books.clone());
            }
        }
        if self.deposits.len() - uncounted + self.keys.len() >= self.config.held_max {
            return None;
        }
        self.scanner.next(turn.now.0).map(Request::Scan)
    }

    /// Takes what became of the last request.
    pub fn outcome(&mut self, response: Response, turn: &mut Turn) {
        let response = match response {
            Response::Failed(error) => return self.failed(error, turn.now),
            // This is how the scanner learns a limit, and no failure of the chain.
            Response::TooMuch(_) if self.books.is_none() && self.scanner.asks_less() => return,
            Response::TooMuch(error) => return self.failed(error, turn.now),
            answered => answered,
        };
        self.failures = 0;
        self.last_contact = Some(turn.now);
        let taken = match response {
            Response::Scan(told) => self.progress(told, turn.now),
            Response::Books(books) => self.reconcile(&books, turn.now),
            Response::Failed(_) | Response::TooMuch(_) => Ok(()),
        };
        if let Err(halt) = taken {
            self.read_again(halt, turn.now);
        }
        if self.is_in_step() {
            self.in_step = Some(turn.now);
        }
        self.deliver();
    }

    fn failed(&mut self, error: String, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(error);
        if let Some(books) = self.books.take() {
            self.count_due = Some(now.after(self.config.poll_ms));
            match books {
                Request::Books(_) => self.books_failures = self.books_failures.saturating_add(1),
                // The tip is not served either: begin again where the answer says more.
                _ => self.books_failures = 0,
            }
        }
        self.scanner.failed(now.0);
    }

    /// Whether everything final was read, and nothing of it waits to be counted.
    fn is_in_step(&self) -> bool {
        let read = self.scanner.scanned().map(|last| last.number);
        self.scanner.goal().is_some_and(|goal| read >= Some(goal))
            && self.books.is_none()
            && self.count_due.is_none()
            && self.doubt.is_none()
    }

    /// What was read contradicts itself: goes back to where the contract's count last fitted, after a pause, or halts
    /// when that was done often enough.
    fn read_again(&mut self, halt: Halt, now: Timestamp) {
        let chain = self.config.chain;
        let height = self.scanner.goal().max(self.scanner.scanned().map(|last| last.number));
        let height = height.unwrap_or_default();
        match &mut self.doubt {
            Some(doubt) => doubt.again(height),
            None => self.doubt = Some(Doubt::new(halt.clone(), height, now)),
        }
        let Some(doubt) = &self.doubt else { return };
        if doubt.is_lasting(now) {
            let halt = doubt.halt().0.clone();
            tracing::error!(%chain, %halt, "the watcher halts");
            self.halted.get_or_init(|| halt);
            return;
        }
        let pause = doubt.pause(self.config.poll_ms);
        tracing::warn!(%chain, %halt, pause, "the chain contradicts itself and is read again");
        let confirmed = self.confirmed;
        let header = |watched: Watched| {
            let Watched { block: number, hash, .. } = watched;
            Header { number, hash, parent: Hash::default(), timestamp: 0 }
        };
        self.scanner.back_to(confirmed.map(header), now.after(pause).0);
        self.forget_above(confirmed.map_or(0, |confirmed| confirmed.block));
        self.next_event = confirmed.map_or(FIRST, |confirmed| confirmed.next);
        if let Some(Watched { block, next, .. }) = confirmed
            && self.marks.back().is_none_or(|(number, _)| *number != block)
        {
            self.marks.push_back((block, next));
        }
        (self.books, self.count_due, self.owed) = (None, None, None);
    }

    /// Everything fits up to this height.
    fn fits(&mut self, height: u64) {
        if self.doubt.take_if(|doubt| doubt.ends_at(height)).is_some() {
            tracing::warn!(chain = %self.config.chain, "the chain agrees with itself again");
        }
    }

    /// Asks for the books at the height that was read, or at the tip where that is not served.
    fn ask_for_books(&mut self) {
        let Some(at) = self.scanner.scanned().map(|header| header.number) else { return };
        let at_tip = self.books_failures >= BOOKS_FAILURES
            && !self.books_at_tip.saturating_add(1).is_multiple_of(BOOKS_TRIED);
        self.books_at_tip = if at_tip { self.books_at_tip.saturating_add(1) } else { 0 };
        self.books = Some(if at_tip { Request::BooksAtTip } else { Request::Books(at) });
    }

    fn progress(&mut self, told: Told, now: Timestamp) -> Result<(), Halt> {
        match self.scanner.told(told, now.0) {
            Progress::None => Ok(()),
            Progress::Lost => Err(Halt::Lost),
            Progress::Rewound { to } => {
                self.rewind(to);
                Ok(())
            }
            Progress::Read { logs, to, caught_up } => {
                let before = self.next_event;
                for log in &logs {
                    self.event(log)?;
                }
                self.marks.push_back((to.number, self.next_event));
                if self.marks.len() > self.config.checkpoints.max(1) {
                    self.marks.pop_front();
                }
                if let Some((_, found)) = self.owed.take_if(|(height, _)| *height <= to.number) {
                    let expected = self.next_event;
                    if expected < found {
                        return Err(Halt::Gap { expected, found });
                    }
                    self.fits(to.number);
                }
                if caught_up {
                    self.check_credited(to.number)?;
                    // New deposits are counted against the contract's own number at once.
                    let new = self.next_event > before || self.uncounted() > 0;
                    if new || now >= self.books_due || self.doubt.is_some() {
                        self.ask_for_books();
                    }
                }
                Ok(())
            }
        }
    }

    fn event(&mut self, log: &Log) -> Result<(), Halt> {
        let WatchConfig { chain, rollup, recorder, .. } = self.config;
        match RollupEvent::decode(log, &WatchedContracts { chain, rollup, recorder })? {
            RollupEvent::Key { owner, nonce, key: Some(key) } => {
                self.keys.push_back((KeyAuthorised { chain, owner, nonce, key }, log.block));
            }
            // Anybody may send such an event; it can authorise nothing.
            RollupEvent::Key { key: None, .. } => self.bad_keys = self.bad_keys.saturating_add(1),
            RollupEvent::Deposit { serial, token, payer, owner, sub_account, amount } => {
                self.deposit(FinalDeposit {
                    chain: self.config.chain,
                    serial,
                    token,
                    payer,
                    owner,
                    sub_account,
                    amount,
                    l1_tx: log.tx_hash,
                    l1_block: log.block,
                })?;
            }
        }
        Ok(())
    }

    fn deposit(&mut self, deposit: FinalDeposit) -> Result<(), Halt> {
        let (serial, token) = (deposit.serial, deposit.token);
        let expected = self.next_event;
        if serial != expected {
            return Err(Halt::Gap { expected, found: serial });
        }
        if !self.outlets.deposits.contains_key(&token) || !self.config.tokens.contains(&token) {
            return Err(Halt::UnknownToken { serial, token });
        }
        self.next_event = serial.next();
        let seen = Seen {
            token,
            owner: deposit.owner,
            sub_account: deposit.sub_account.0,
            amount: deposit.amount.0,
        };
        let is_credited = serial < self.next_credit;
        let known = self.seen.get(&serial).filter(|_| is_credited);
        if known.is_some_and(|(known, _)| *known != seen) {
            return Err(Halt::Changed(serial));
        }
        self.seen.insert(serial, (seen, deposit.l1_block));
        if self.seen.len() > REMEMBERED {
            self.seen.pop_first();
        }
        if !is_credited {
            self.deposits.push_back(deposit);
        }
        Ok(())
    }

    /// Forgets what was read above a height, except for what was handed on: that must come again.
    fn rewind(&mut self, to: u64) {
        tracing::warn!(chain = %self.config.chain, to, "the chain was rewound");
        self.forget_above(to);
        // Without a mark the scanner begins anew.
        self.next_event = self.marks.back().map_or(FIRST, |(_, next)| *next);
        self.confirmed = self.confirmed.filter(|confirmed| confirmed.block <= to);
        self.owed = None;
    }

    /// Forgets what was read above a height and not handed on.
    fn forget_above(&mut self, to: u64) {
        while self.marks.back().is_some_and(|(number, _)| *number > to) {
            self.marks.pop_back();
        }
        let next_credit = self.next_credit;
        self.counted = next_credit;
        self.deposits.retain(|deposit| deposit.l1_block <= to);
        // What was not handed on leaves no trace; the rest must come again as it was.
        let kept = self.deposits.back().map_or(next_credit, |deposit| deposit.serial.next());
        self.seen.retain(|serial, _| *serial < kept);
        // A key that was handed on stays authorised. That is safe: the contract checks it again at
        // the commit.
        self.keys.retain(|(_, block)| *block <= to);
    }

    /// A deposit that was handed on must still be there once the chain has reached the height at
    /// which it was.
    fn check_credited(&self, scanned: u64) -> Result<(), Halt> {
        let next = self.next_event;
        let before = self.before.filter(|before| before.block <= scanned && next < before.next);
        if before.is_some() {
            return Err(Halt::Vanished(next));
        }
        let mut missing = self.seen.range(next..self.next_credit.max(next));
        match missing.find(|(_, (_, block))| *block <= scanned) {
            Some((serial, _)) => Err(Halt::Vanished(*serial)),
            None => Ok(()),
        }
    }

    /// Compares the number of events with the contract's own count, and hands the books on.
    fn reconcile(&mut self, books: &Books, now: Timestamp) -> Result<(), Halt> {
        let at_tip = self.books.take() == Some(Request::BooksAtTip);
        let Some(last) = self.scanner.scanned().copied() else { return Ok(()) };
        if !at_tip && last.number != books.at {
            return Ok(());
        }
        let (expected, found) = (self.next_event, books.queue_tail);
        // At the tip the contract may have taken more than is final.
        if found < expected || (found != expected && !at_tip) {
            return Err(Halt::Gap { expected, found });
        }
        if found == expected {
            let Header { number: block, hash, .. } = last;
            self.confirmed = Some(Watched { block, hash, next: expected });
            self.fits(last.number);
        } else {
            self.owed = Some((books.at, found));
        }
        if !at_tip {
            self.books_failures = 0;
        }
        (self.counted, self.count_due) = (expected, None);
        self.books_due = now.after(self.config.reading_ms);
        for (token, [balance, locked, pending, unconsumed]) in &books.tokens {
            let reading = Reading {
                chain: self.config.chain,
                token: *token,
                at_block: books.at,
                balance: *balance,
                locked: *locked,
                pending: *pending,
                unconsumed: *unconsumed,
                committed: books.committed,
            };
            // A ledger that is full misses this reading; the next one says the same or more.
            if let Some(port) = self.outlets.readings.get(token) {
                drop(port.tell(reading));
            }
        }
        Ok(())
    }

    /// Number of deposits that wait for the contract's count.
    fn uncounted(&self) -> usize {
        self.deposits.len() - self.deposits.partition_point(|waits| waits.serial < self.counted)
    }

    /// Hands on what waits, in order. What a port does not take now is kept, and so is what a
    /// contract has not counted.
    fn deliver(&mut self) {
        while let Some(deposit) = self.deposits.front() {
            if deposit.serial >= self.counted {
                break;
            }
            let Some(port) = self.outlets.deposits.get(&deposit.token) else { return };
            let next = deposit.serial.next();
            if port.tell(DepositFinal(deposit.clone())).is_err() {
                break;
            }
            self.next_credit = next;
            self.deposits.pop_front();
        }
        while let Some((key, _)) = self.keys.front() {
            if self.outlets.keys.tell(key.clone()).is_err() {
                break;
            }
            self.keys.pop_front();
        }
    }
}

impl Machine for Watcher {}

impl Handle<NextRequest> for Watcher {
    fn handle(&mut self, _: NextRequest, turn: &mut Turn) -> Option<Request> {
        self.next(turn)
    }
}

impl Handle<Outcome> for Watcher {
    fn handle(&mut self, Outcome(response): Outcome, turn: &mut Turn) -> ChainStatus {
        self.outcome(response, turn);
        self.status()
    }
}

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod tests;
