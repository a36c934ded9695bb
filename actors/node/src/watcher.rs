//! The watcher of one chain: a machine that turns final events into deposits and key
//! authorisations.
//!
//! A deposit is handed on once, in the order of the chain's queue, and only when the chain's
//! finality rule says so and the contract's own count includes it: an event alone creates no money.
//! A hole in the queue, an unknown token, or a credited deposit that the chain no longer has stops
//! the watcher for good ([`Halt`]): nothing is ever skipped. A restart begins at the deposit that the
//! builder expects, and behind the block up to which everything is known to be in the journal.

pub mod bookmark;
pub mod driver;
mod message;

pub use message::{
    Books, ChainStatus, Halt, NextRequest, Outcome, Outlets, Request, Response, WatchConfig,
};

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use zklink::id::{Owner, Serial, TokenId};
use zklink_chain::client::Log;
use zklink_chain::contracts::{RollupEvent, WatchedContracts, rollup_events};
use zklink_chain::scan::{Progress, ScanConfig, Scanner, Told};
use zklink_mechanism::machine::{Handle, Machine};
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;
use zklink_store::archive::Watched;
use zklink_store::record::{FinalDeposit, KeyAuthorised};

use crate::merge_ledger::{DepositFinal, Reading};

/// Deposits whose content is remembered, to notice that the chain changed its mind about them.
const REMEMBERED: usize = 8192;

/// The first deposit of a contract.
const FIRST: Serial = Serial(0);

/// Deposits that may wait for the contract's count; beyond it the contract is asked at once, at the
/// height that was read. Far above what comes between two polls, because an endpoint may not know
/// the state of old blocks.
const UNCOUNTED_MAX: usize = 65_536;

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
    books_at: Option<u64>,
    books_due: Timestamp,
    /// When to ask for the count again, after the contract did not answer.
    count_due: Option<Timestamp>,
    last_contact: Option<Timestamp>,
    failures: u32,
    last_error: Option<String>,
    bad_keys: u64,
    /// What was on the chain when it was read before this watcher, all of it credited.
    before: Option<Watched>,
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
            books_at: None,
            books_due: Timestamp(0),
            count_due: None,
            last_contact: None,
            failures: 0,
            last_error: None,
            bad_keys: 0,
            before: watched,
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
            failures: self.failures,
            last_error: self.last_error.clone(),
            bad_keys: self.bad_keys,
            halted: self.halted.get().cloned(),
            handed: self.handed(),
        }
    }

    /// The last block that was read, when nothing of it or before it waits here.
    fn handed(&self) -> Option<Watched> {
        let last = self.scanner.scanned()?;
        let idle = self.deposits.is_empty() && self.keys.is_empty() && self.halted.get().is_none();
        idle.then_some(Watched { block: last.number, hash: last.hash, next: self.next_event })
    }

    /// What to ask the chain next; nothing for now, or nothing any more once it has halted.
    pub fn next(&mut self, turn: &mut Turn) -> Option<Request> {
        self.deliver();
        if self.halted.get().is_some() {
            return None;
        }
        if let Some(at) = self.books_at {
            return Some(Request::Books(at));
        }
        let uncounted = self.uncounted();
        let again = uncounted > 0 && self.count_due.is_some_and(|due| turn.now >= due);
        if again || uncounted >= UNCOUNTED_MAX {
            self.books_at = self.scanner.scanned().map(|header| header.number);
            return self.books_at.map(Request::Books);
        }
        if self.deposits.len() - uncounted + self.keys.len() >= self.config.held_max {
            return None;
        }
        self.scanner.next(turn.now.0).map(Request::Scan)
    }

    /// Takes what became of the last request.
    pub fn outcome(&mut self, response: Response, turn: &mut Turn) {
        if let Response::Failed(error) = response {
            self.failures = self.failures.saturating_add(1);
            self.last_error = Some(error);
            if self.books_at.take().is_some() {
                self.count_due = Some(turn.now.after(self.config.poll_ms));
            }
            return self.scanner.failed(turn.now.0);
        }
        self.failures = 0;
        self.last_contact = Some(turn.now);
        let taken = match response {
            Response::Scan(told) => self.progress(told, turn.now),
            Response::Books(books) => self.reconcile(&books, turn.now),
            Response::Failed(_) => Ok(()),
        };
        if let Err(halt) = taken {
            tracing::error!(chain = %self.config.chain, %halt, "the watcher halts");
            self.halted.get_or_init(|| halt);
        }
        self.deliver();
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
                if caught_up {
                    self.check_credited(to.number)?;
                    // New deposits are counted against the contract's own number at once.
                    let new = self.next_event > before || self.uncounted() > 0;
                    if new || now >= self.books_due {
                        self.books_at = Some(to.number);
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
        let before = self.seen.insert(serial, (seen, deposit.l1_block));
        if self.seen.len() > REMEMBERED {
            self.seen.pop_first();
        }
        if serial >= self.next_credit {
            self.deposits.push_back(deposit);
        } else if before.is_some_and(|(before, _)| before != seen) {
            return Err(Halt::Changed(serial));
        }
        Ok(())
    }

    /// Forgets what was read above a height, except for what was handed on: that must come again.
    fn rewind(&mut self, to: u64) {
        tracing::warn!(chain = %self.config.chain, to, "the chain was rewound");
        while self.marks.back().is_some_and(|(number, _)| *number > to) {
            self.marks.pop_back();
        }
        // Without a mark the scanner begins anew.
        self.next_event = self.marks.back().map_or(FIRST, |(_, next)| *next);
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
        self.books_at = None;
        if self.scanner.scanned().map(|header| header.number) != Some(books.at) {
            return Ok(());
        }
        let expected = self.next_event;
        if books.queue_tail != expected {
            return Err(Halt::Gap { expected, found: books.queue_tail });
        }
        (self.counted, self.count_due) = (books.queue_tail, None);
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
