//! One merge ledger per unified token: where the same token of several chains becomes one.
//!
//! It lets a chain's deposits through to the builder as long as what the chain's contract says
//! agrees with what the rollup owes there. Where they disagree it stops that chain's deposits and
//! reports the numbers: money that is not there must not become spendable on every chain.
//!
//! A quarantine ends with a restart, after a person has looked: the chain is then read again from
//! the serial that the builder expects, so that nothing that was held back is lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use zklink::amount::Amount;
use zklink::id::{BlockNumber, ChainId, Serial, TokenId};
use zklink::token::{L1Token, scale_down, scale_up};
use zklink_mechanism::clock::Tick;
use zklink_mechanism::machine::{Handle, Load, Machine};
use zklink_mechanism::port::{Message, Pending, Port, Refused};
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;
use zklink_store::record::FinalDeposit;

use crate::builder::{Credit, Credited};

pub mod discrepancy;

#[cfg(test)]
mod tests;

pub use discrepancy::{Discrepancy, Fault};

/// Pause before the builder is told again of a deposit whose turn has come, in milliseconds.
const SAY_AGAIN_MS: u64 = 50;
/// The same for all others, whose answers only say why they wait.
const SAY_ALL_MS: u64 = 1_000;
/// A ledger that is full waits so long for a chain whose cursor stands still, in milliseconds.
const STUCK_MS: u64 = 60_000;

/// What one ledger lets through.
#[derive(Clone, Debug)]
pub struct Config {
    /// The unified token.
    pub token: TokenId,
    /// The token on each chain that has it, with the most that may come from there.
    pub chains: BTreeMap<ChainId, ChainConfig>,
    /// The most that all chains together may owe, in 18 decimals.
    pub merge_cap: Amount,
    /// Deposits that the builder may not have executed yet; beyond it the ledger's port answers `Full`, and the
    /// watchers keep what comes. So that a chain which is stuck does not shut out the others, its deposits are held
    /// back when the ledger is full of those that wait for one before them and that one does not come for a minute.
    pub kept_max: usize,
}

/// A token on one chain.
#[derive(Clone, Copy, Debug)]
pub struct ChainConfig {
    /// Its registration.
    pub token: L1Token,
    /// The most that the chain may owe, in 18 decimals.
    pub cap: Amount,
}

/// So many readings in a row that do not fit hold a chain's deposits back for good.
const READINGS: u32 = 3;

/// A deposit that is final on its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositFinal(pub FinalDeposit);

impl Message for DepositFinal {
    type Reply = ();
}

/// What the contract of a chain says of the token at one block, in units of the chain's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The chain.
    pub chain: ChainId,
    /// The unified token.
    pub token: TokenId,
    /// The block of the chain at which all of this was read.
    pub at_block: u64,
    /// What the token says that the contract holds.
    pub balance: u128,
    /// What the contract says that it holds for users.
    pub locked: u128,
    /// The part of it that is promised to receivers of failed payouts.
    pub pending: u128,
    /// The part of it that no committed block has taken over from the deposit queue.
    pub unconsumed: u128,
    /// The last block of the rollup that is committed there.
    pub committed: BlockNumber,
}

impl Message for Reading {
    type Reply = ();
}

/// What the rollup owes: asked, never told.
pub trait Pools: Send + 'static {
    /// What the chain owes of the token after everything that was executed, and the serial of
    /// its first deposit that was not: both of one moment.
    fn executed(&self, chain: ChainId, token: TokenId) -> (Amount, Serial);

    /// What the chain owed of the token after this block; nothing when that is not known (yet).
    fn after(&self, chain: ChainId, token: TokenId, block: BlockNumber) -> Option<Amount>;
}

/// A deposit that the builder has not executed yet.
#[derive(Debug)]
struct Kept {
    deposit: FinalDeposit,
    stage: Stage,
    /// Whether the builder's last answer was that a deposit before it is missing.
    waits: bool,
}

impl Kept {
    /// Whether the ledger can do something about it before the next tick.
    fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::New | Stage::Asked(_))
    }
}

#[derive(Debug)]
enum Stage {
    /// To be said to the builder.
    New,
    /// Said; the answer is to come.
    Asked(Pending<Credited>),
    /// The builder has no room for it, or misses one before it: to be said again.
    Later,
}

/// See the module.
pub struct MergeLedger {
    config: Config,
    pools: Box<dyn Pools>,
    builder: Port<Credit>,
    supervisor: Port<Discrepancy>,
    kept: BTreeMap<(ChainId, Serial), Kept>,
    readings: BTreeMap<ChainId, Reading>,
    quarantined: BTreeSet<ChainId>,
    /// Chains whose contract contradicted itself or the rollup in the last readings, and how many those were.
    doubts: BTreeMap<ChainId, u32>,
    reports: VecDeque<Discrepancy>,
    said: Timestamp,
    said_all: Timestamp,
    /// While the ledger is full: where the cursor of each chain stands on which deposits wait, and since when.
    stands: BTreeMap<ChainId, (Serial, Timestamp)>,
}

impl MergeLedger {
    /// The ledger of one token. What it keeps was taken from the chains: whoever builds it again has the watchers
    /// read that again, too ([`RetoldBy`](zklink_mechanism::supervisor::RetoldBy)).
    pub fn new(
        config: Config,
        pools: impl Pools,
        builder: Port<Credit>,
        supervisor: Port<Discrepancy>,
    ) -> MergeLedger {
        MergeLedger {
            config,
            pools: Box::new(pools),
            builder,
            supervisor,
            kept: BTreeMap::new(),
            readings: BTreeMap::new(),
            quarantined: BTreeSet::new(),
            doubts: BTreeMap::new(),
            reports: VecDeque::new(),
            said: Timestamp::default(),
            said_all: Timestamp::default(),
            stands: BTreeMap::new(),
        }
    }

    /// Checks a deposit against registration and caps.
    fn check(&self, deposit: &FinalDeposit) -> Result<(), Fault> {
        let FinalDeposit { chain, serial, token, amount, .. } = *deposit;
        let registered = self.config.chains.get(&chain);
        let registered = registered.filter(|_| token == self.config.token);
        let ChainConfig { token: l1, cap } = *registered.ok_or(Fault::Unregistered)?;
        if scale_down(amount, l1.scale()).is_none() {
            return Err(Fault::Dust { serial, amount, decimals: l1.decimals });
        }
        let pool = self.pool_with_kept(chain, amount);
        if pool > cap {
            return Err(Fault::ChainCap { serial, pool, cap });
        }
        let supply = self.config.chains.keys().fold(Amount::ZERO, |supply, of| {
            let more = if *of == chain { amount } else { Amount::ZERO };
            add(supply, self.pool_with_kept(*of, more))
        });
        let cap = self.config.merge_cap;
        if supply > cap {
            return Err(Fault::MergeCap { serial, supply, cap });
        }
        Ok(())
    }

    /// What the chain will owe with `more` and with the deposits that are still kept. Those that
    /// the builder has executed by now are in its pool already.
    fn pool_with_kept(&self, chain: ChainId, more: Amount) -> Amount {
        let (pool, cursor) = self.pools.executed(chain, self.config.token);
        let kept = self.kept.range((chain, cursor)..).take_while(|((of, _), _)| *of == chain);
        kept.fold(add(pool, more), |sum, (_, kept)| add(sum, kept.deposit.amount))
    }

    /// Compares what a contract says with itself and with what the rollup counts on.
    fn reconcile(&self, reading: &Reading) -> Result<(), Fault> {
        let Reading { chain, at_block, balance, locked, pending, unconsumed, .. } = *reading;
        let registered = self.config.chains.get(&chain);
        let registered = registered.filter(|_| reading.token == self.config.token);
        let l1 = registered.ok_or(Fault::Unregistered)?.token;
        if balance < locked {
            return Err(Fault::Balance { at_block, balance, locked });
        }
        let free = locked.checked_sub(pending).and_then(|left| left.checked_sub(unconsumed));
        let free = free.ok_or(Fault::Books { at_block, locked, pending, unconsumed })?;
        // What does not fit 128 bits is more than any pool.
        let free = scale_up(free, l1.scale()).unwrap_or(Amount(u128::MAX));
        let committed = reading.committed;
        match self.pools.after(chain, self.config.token, committed) {
            Some(pool) if pool > free => Err(Fault::Pool { committed, pool, free }),
            // A block that is not known here yet is compared with the next reading.
            Some(_) | None => Ok(()),
        }
    }

    /// Whether something can be done before the next tick. What waits for another reading cannot.
    fn is_busy(&self) -> bool {
        let mut kept = self.kept.iter().filter(|((chain, _), _)| !self.doubts.contains_key(chain));
        kept.any(|(_, kept)| kept.is_under_way())
    }

    /// A reading contradicts itself or the rollup. One may be wrong, so the chain's deposits wait for the next ones;
    /// when they say the same, they are held back until a person has looked.
    fn doubt(&mut self, chain: ChainId, fault: Fault) {
        let readings = self.doubts.entry(chain).or_default();
        *readings = readings.saturating_add(1);
        if *readings >= READINGS || fault == Fault::Unregistered {
            return self.quarantine(chain, fault);
        }
        let token = self.config.token;
        tracing::warn!(%chain, %token, %fault, readings, "a reading does not fit: deposits wait for the next");
    }

    /// Holds back the chain's deposits, and reports why, once.
    fn quarantine(&mut self, chain: ChainId, fault: Fault) {
        if !self.quarantined.insert(chain) {
            return;
        }
        // The builder's cursor stays below these, so that a restart reads them again.
        self.kept.retain(|(of, _), _| *of != chain);
        let discrepancy = Discrepancy { chain, token: self.config.token, fault };
        tracing::error!(%discrepancy, "quarantine");
        self.reports.push_back(discrepancy);
        // At once: a panic before the next idle call would take it along, and the ledger that is built
        // in its place would not know that deposits were held back.
        self.report();
    }

    fn report(&mut self) {
        while let Some(report) = self.reports.pop_front() {
            if let Err(Refused::Full(report) | Refused::Closed(report)) =
                self.supervisor.tell(report)
            {
                return self.reports.push_front(report);
            }
        }
    }

    /// Takes in what the builder answered.
    fn hear(&mut self) {
        let mut done = Vec::new();
        for (key, kept) in &mut self.kept {
            let Stage::Asked(pending) = &mut kept.stage else { continue };
            match pending.poll_now() {
                None => {}
                Some(Ok(Credited::Executed)) => done.push((*key, None)),
                Some(Ok(Credited::Refused(reason))) => done.push((*key, Some(reason))),
                Some(answer) => {
                    kept.stage = Stage::Later;
                    kept.waits = answer == Ok(Credited::Waiting);
                }
            }
        }
        for ((chain, serial), refused) in done {
            self.kept.remove(&(chain, serial));
            if let Some(reason) = refused {
                self.quarantine(chain, Fault::Refused { serial, reason });
            }
        }
    }

    /// Tells the builder of new deposits, in order, until it has no more room.
    fn forward(&mut self) {
        for ((chain, _), kept) in &mut self.kept {
            if !matches!(kept.stage, Stage::New) || self.doubts.contains_key(chain) {
                continue;
            }
            match self.builder.ask(Credit(kept.deposit.clone())) {
                Ok(pending) => kept.stage = Stage::Asked(pending),
                Err(Refused::Full(_) | Refused::Closed(_)) => return,
            }
        }
    }

    /// Has deposits told again to the builder, not too often: those whose turn has come, and those that follow them
    /// without a gap. What waits for a deposit of another ledger is told seldom, to learn whether that is still why.
    fn say_again(&mut self, now: Timestamp) {
        if now.since(self.said) < SAY_AGAIN_MS {
            return;
        }
        self.said = now;
        let all = now.since(self.said_all) >= SAY_ALL_MS;
        if all {
            self.said_all = now;
            self.find_stuck(now);
        }
        let mut turn: Option<(ChainId, Serial)> = None;
        for ((chain, serial), kept) in &mut self.kept {
            let next = match turn {
                Some((of, next)) if of == *chain => next,
                _ => self.pools.executed(*chain, self.config.token).1,
            };
            // What is before the builder's next deposit was executed, and only the answer was lost.
            let due = *serial <= next;
            turn = Some((*chain, if due { next.max(serial.next()) } else { next }));
            if (due || all) && matches!(kept.stage, Stage::Later) {
                kept.stage = Stage::New;
            }
        }
    }

    /// Holds back a chain that fills the ledger and does not move. While the builder takes nothing at all its answers
    /// say so, and no chain is to blame.
    fn find_stuck(&mut self, now: Timestamp) {
        if self.load() != Load::Saturated {
            return self.stands.clear();
        }
        let mut waiting: BTreeMap<ChainId, usize> = BTreeMap::new();
        // One that could not be said again, because the builder is full, says nothing of its chain.
        let answered = |kept: &Kept| kept.waits && matches!(kept.stage, Stage::Later);
        for ((chain, _), _) in self.kept.iter().filter(|(_, kept)| answered(kept)) {
            *waiting.entry(*chain).or_default() += 1;
        }
        self.stands.retain(|chain, _| waiting.contains_key(chain));
        for (chain, waiting) in waiting {
            let (_, cursor) = self.pools.executed(chain, self.config.token);
            let (stood, since) = self.stands.entry(chain).or_insert((cursor, now));
            if *stood != cursor {
                (*stood, *since) = (cursor, now);
            } else if now.since(*since) >= STUCK_MS {
                self.quarantine(chain, Fault::Backlog { missing: cursor, waiting });
            }
        }
    }

    /// The last reading of a chain.
    pub fn reading(&self, chain: ChainId) -> Option<&Reading> {
        self.readings.get(&chain)
    }

    /// The chains whose deposits are held back.
    pub fn quarantined(&self) -> &BTreeSet<ChainId> {
        &self.quarantined
    }
}

/// A sum that does not fit 128 bits is above every cap, and so is the largest amount.
fn add(sum: Amount, more: Amount) -> Amount {
    sum.checked_add(more).unwrap_or(Amount(u128::MAX))
}

impl Machine for MergeLedger {
    fn idle(&mut self, turn: &mut Turn) {
        self.hear();
        if self.load() == Load::Saturated {
            // A saturated machine gets no ticks.
            self.say_again(turn.now);
        }
        self.forward();
        self.report();
    }

    fn load(&self) -> Load {
        if self.kept.len() >= self.config.kept_max {
            Load::Saturated
        } else if self.is_busy() || !self.reports.is_empty() {
            Load::Waiting
        } else {
            Load::Clear
        }
    }
}

impl Handle<DepositFinal> for MergeLedger {
    fn handle(&mut self, DepositFinal(deposit): DepositFinal, _: &mut Turn) {
        let (chain, serial) = (deposit.chain, deposit.serial);
        if self.quarantined.contains(&chain) {
            return;
        }
        match self.kept.get(&(chain, serial)) {
            Some(known) if known.deposit == deposit => return,
            Some(_) => return self.quarantine(chain, Fault::Conflict { serial }),
            None => {}
        }
        let (_, cursor) = self.pools.executed(chain, self.config.token);
        if serial < cursor {
            return;
        }
        match self.check(&deposit) {
            Ok(()) => {
                self.kept
                    .insert((chain, serial), Kept { deposit, stage: Stage::New, waits: false });
            }
            Err(fault) => self.quarantine(chain, fault),
        }
    }
}

impl Handle<Reading> for MergeLedger {
    fn handle(&mut self, reading: Reading, _: &mut Turn) {
        match self.reconcile(&reading) {
            Ok(()) => drop(self.doubts.remove(&reading.chain)),
            Err(fault) => self.doubt(reading.chain, fault),
        }
        // A foreign chain has no place in the table, which so stays as small as the network.
        if self.config.chains.contains_key(&reading.chain) {
            self.readings.insert(reading.chain, reading);
        }
    }
}

impl Handle<Tick> for MergeLedger {
    fn handle(&mut self, _: Tick, turn: &mut Turn) {
        self.say_again(turn.now);
    }
}
