//! The World: machines and drivers of a node in one thread, on virtual time, from a seed.
//!
//! Every message becomes an event `(due, id)` with its `Debug` text. Delays between machines come from the seed, and so
//! does the order of drivers that are woken at the same time; each mailbox keeps the order in which it was told, as it
//! does under actix. Time jumps to the next event or timer, so an hour costs nothing, and the same seed gives the same
//! log byte by byte. The machines and drivers, their bounds and their restarts are those of the node.

mod host;
mod machine;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

pub use self::host::WorldHost;
use self::machine::AnySupervised;
pub use self::machine::MachineRef;
use self::time::{Task, Time};
use crate::clock::Tick;
use crate::machine::{Load, Machine};
use crate::platform::Reach;
use crate::port::{Mailbox, Pending, Port, Unanswered};
use crate::supervised::{Fault, Origin, Supervised};
use crate::supervisor::{self, NextOrders, Order, Supervisor};
use crate::timestamp::Timestamp;

/// Longest delay of a message, in virtual milliseconds.
const DELAY_MAX_MS: u64 = 3;
/// How long a machine with waiting work rests, in virtual milliseconds; as in the shell.
const NAP_MS: u64 = 5;
/// How often orders are asked of the supervisor, in virtual milliseconds.
const SUPERVISE_MS: u64 = 50;
/// A driver that runs so often without time passing never rests: a defect.
const RUNS_MAX: u32 = 100_000;
/// Why a machine panicked that was made to.
const BY_ORDER: &str = "by order of the World";
/// Characters of a message in the log of events.
const TEXT_MAX: usize = 160;

/// Numbers that look random and follow from a seed (SplitMix64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Seed(pub u64);

impl Seed {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be zero. Its bias is irrelevant for simulations.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// As [`Seed::below`], for indices.
    pub fn below_usize(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a usize fits into 64 bits");
        usize::try_from(self.below(bound)).expect("it is below a usize")
    }
}

/// What a filter sees of a message.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The machine that is told.
    pub to: &'a str,
    /// `Debug` text of the message.
    pub text: &'a str,
    /// When it was told.
    pub now: Timestamp,
}

/// What a filter does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Delivers it as usual.
    Pass,
    /// Loses it; an asker is told [`Unanswered::Dropped`].
    Drop,
    /// Delivers it so many milliseconds later, and everything behind it in that mailbox too.
    Delay(u64),
}

/// A condition did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("not so within {max_ms} virtual ms; seed {seed}; last events:\n{tail}")]
pub struct TooLate {
    seed: u64,
    max_ms: u64,
    tail: String,
}

type Work = Box<dyn FnOnce(&World) + Send>;
type Filter = Box<dyn FnMut(&Delivery) -> Verdict + Send>;

struct Event {
    text: String,
    work: Work,
}

struct Inner {
    seed: Seed,
    now: Timestamp,
    next_id: u64,
    events: BTreeMap<(Timestamp, u64), Event>,
    latest: BTreeMap<String, Timestamp>,
    napping: BTreeSet<String>,
    log: Vec<String>,
    filter: Option<Filter>,
    machines: BTreeMap<String, Arc<dyn AnySupervised>>,
    tasks: BTreeMap<u64, Task>,
    lives: u32,
    /// Drivers that ran since time passed.
    runs: u32,
    /// Why the supervisor of a life stopped it.
    stopped: BTreeMap<u32, String>,
}

/// See the module. Clones are the same world.
#[derive(Clone)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
    time: Arc<Time>,
    first_seed: u64,
    thread: ThreadId,
    faults: Option<Port<Fault>>,
}

impl World {
    /// A world with nothing in it but a supervisor.
    pub fn new(seed: u64, config: supervisor::Config) -> Self {
        let inner = Inner {
            seed: Seed(seed),
            now: Timestamp(0),
            next_id: 0,
            events: BTreeMap::new(),
            latest: BTreeMap::new(),
            napping: BTreeSet::new(),
            log: Vec::new(),
            filter: None,
            machines: BTreeMap::new(),
            tasks: BTreeMap::new(),
            lives: 0,
            runs: 0,
            stopped: BTreeMap::new(),
        };
        let (inner, time) = (Arc::new(Mutex::new(inner)), Arc::new(Time::new()));
        let thread = thread::current().id();
        let mut world = Self { inner, time, first_seed: seed, thread, faults: None };
        let address = world.start("supervisor", 256, Origin::Once(Supervisor::new(config)));
        world.faults = Some(address.port());
        world.supervise(0, address.port());
        world
    }

    /// Starts a machine with room for `capacity` waiting messages.
    pub fn start<A: Machine>(
        &self,
        name: &str,
        capacity: usize,
        origin: Origin<A>,
    ) -> MachineRef<A> {
        self.start_under(self.faults.clone(), name, capacity, origin)
    }

    fn start_under<A: Machine>(
        &self,
        faults: Option<Port<Fault>>,
        name: &str,
        capacity: usize,
        origin: Origin<A>,
    ) -> MachineRef<A> {
        let mailbox = Mailbox::new(capacity);
        let supervised = Supervised::new(name, Arc::clone(&mailbox), faults, origin);
        let supervised = Arc::new(Mutex::new(supervised));
        let any: Arc<dyn AnySupervised> = Arc::<Mutex<Supervised<A>>>::clone(&supervised);
        let before = self.inner().machines.insert(name.to_owned(), any);
        assert!(before.is_none(), "two machines are called {name}");
        MachineRef { world: self.clone(), name: name.to_owned(), mailbox, supervised }
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.inner().now
    }

    /// Does something every `period_ms` from then on: a driver.
    pub fn every(&self, period_ms: u64, mut act: impl FnMut(Timestamp) + Send + 'static) {
        self.repeat(period_ms, Box::new(move |world| act(world.now())));
    }

    /// Ticks a machine.
    pub fn tick_every(&self, period_ms: u64, port: Port<Tick>) {
        self.every(period_ms, move |_| drop(port.tell(Tick)));
    }

    /// Puts a filter in front of all mailboxes, instead of the one before.
    pub fn filter(&self, filter: impl FnMut(&Delivery) -> Verdict + Send + 'static) {
        self.inner().filter = Some(Box::new(filter));
    }

    /// Stops a machine as the node does: its ports close, what waits is finished, it is dropped.
    ///
    /// # Errors
    /// [`TooLate`] when that takes longer than `max_ms` of virtual time.
    pub fn stop(&self, name: &str, max_ms: u64) -> Result<(), TooLate> {
        self.note(format!("stop {name}"));
        let supervised = self.named(name);
        supervised.close();
        let load = supervised.idle(self.now());
        self.rest(name, load);
        self.run_until(|| supervised.is_done(), max_ms)?;
        supervised.kill();
        Ok(())
    }

    /// Kills a machine in mid-flight: it is dropped without a farewell, and its ports are closed.
    pub fn kill(&self, name: &str) {
        self.note(format!("kill {name}"));
        self.named(name).kill();
    }

    /// Makes a machine fall as if a handler of it had panicked: the supervisor hears of it.
    pub fn panic(&self, name: &str) {
        self.note(format!("panic of {name}"));
        self.named(name).panic();
    }

    /// Kills a machine and forgets it: its node is gone, and no supervisor builds it again.
    pub fn bury(&self, name: &str) {
        self.kill(name);
        self.inner().machines.remove(name);
    }

    /// Drops everything: machines, drivers and events hold the World, and the World holds them.
    pub fn end(&self) {
        let mut inner = self.inner();
        let events = std::mem::take(&mut inner.events);
        let machines = std::mem::take(&mut inner.machines);
        let (tasks, filter) = (std::mem::take(&mut inner.tasks), inner.filter.take());
        drop(inner);
        let _entered = self.time.enter();
        drop((events, machines, tasks, filter));
    }

    /// What a future gives that waits for nobody, such as the start of machines; timers are those of this world.
    ///
    /// # Panics
    /// When it waits all the same.
    pub fn at_once<T>(&self, future: impl Future<Output = T>) -> T {
        let _entered = self.time.enter();
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("machines of the World start at once: who waits here?"),
        }
    }

    fn next_life(&self) -> u32 {
        let mut inner = self.inner();
        inner.lives += 1;
        inner.lives
    }

    fn drive(&self, task: Task) {
        let id = {
            let mut inner = self.inner();
            inner.next_id += 1;
            let id = inner.next_id;
            inner.tasks.insert(id, task);
            id
        };
        self.time.wake(id);
    }

    fn kill_drivers(&self, life: u32) {
        let tasks = std::mem::take(&mut self.inner().tasks);
        let (dead, living) = tasks.into_iter().partition(|(_, task)| task.life == life);
        self.inner().tasks = living;
        let _entered = self.time.enter();
        drop::<BTreeMap<_, _>>(dead);
    }

    /// Builds a killed follower again.
    pub fn rebuild(&self, name: &str) {
        self.note(format!("rebuild {name}"));
        let load = self.named(name).rebuild();
        self.rest(name, load);
    }

    /// Why the supervisor stopped what is no life of a node, if it did.
    pub fn stopped(&self) -> Option<String> {
        self.stopped_life(0)
    }

    fn stopped_life(&self, life: u32) -> Option<String> {
        self.inner().stopped.get(&life).cloned()
    }

    /// Runs events until `done` holds.
    ///
    /// # Errors
    /// [`TooLate`] when `max_ms` of virtual time pass first; it names the seed.
    pub fn run_until(&self, mut done: impl FnMut() -> bool, max_ms: u64) -> Result<(), TooLate> {
        let limit = self.now().after(max_ms);
        while !done() {
            if !self.step(limit) {
                let tail =
                    self.inner().log.iter().rev().take(20).rev().cloned().collect::<Vec<_>>();
                return Err(TooLate { seed: self.first_seed, max_ms, tail: tail.join("\n") });
            }
        }
        Ok(())
    }

    /// Runs all events of the next `ms` of virtual time.
    pub fn run_for(&self, ms: u64) {
        let limit = self.now().after(ms);
        while self.step(limit) {}
        self.inner().now = limit;
    }

    /// Runs until a question is answered, at most `max_ms`.
    ///
    /// # Errors
    /// [`Unanswered`], as a driver would get it.
    pub fn answer<T>(&self, mut pending: Pending<T>, max_ms: u64) -> Result<T, Unanswered> {
        let mut answer = None;
        let ran = self.run_until(
            || {
                answer = pending.poll_now();
                answer.is_some()
            },
            max_ms,
        );
        answer.unwrap_or(Err(match ran {
            Ok(()) => Unanswered::Dropped,
            Err(_) => Unanswered::TimedOut,
        }))
    }

    /// Everything that happened, a line each.
    pub fn log(&self) -> String {
        self.inner().log.join("\n")
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        assert_eq!(thread::current().id(), self.thread, "the World has one thread: find the other");
        self.inner.lock().expect("the World's lock is not held while machines run")
    }

    fn machine_of(&self, name: &str) -> Option<Arc<dyn AnySupervised>> {
        self.inner().machines.get(name).cloned()
    }

    fn named(&self, name: &str) -> Arc<dyn AnySupervised> {
        self.machine_of(name).unwrap_or_else(|| panic!("no machine is called {name}"))
    }

    fn note(&self, text: String) {
        let mut inner = self.inner();
        let now = inner.now;
        inner.log.push(format!("{now} {text}"));
    }

    /// Whether a message passes, and with how much extra delay.
    fn judge(&self, to: &str, text: &str) -> Option<u64> {
        let (filter, now) = {
            let mut inner = self.inner();
            (inner.filter.take(), inner.now)
        };
        let Some(mut filter) = filter else { return Some(0) };
        let verdict = filter(&Delivery { to, text, now });
        self.inner().filter.get_or_insert(filter);
        match verdict {
            Verdict::Pass => Some(0),
            Verdict::Delay(ms) => Some(ms),
            Verdict::Drop => {
                self.note(format!("dropped on the way to {to}: {text}"));
                None
            }
        }
    }

    /// Queues a message behind what that mailbox was told before.
    fn post(&self, to: &str, extra_ms: u64, text: String, work: Work) {
        let due = {
            let mut inner = self.inner();
            let delay = inner.seed.below(DELAY_MAX_MS + 1) + extra_ms;
            let earliest = inner.now.after(delay);
            let latest = inner.latest.entry(to.to_owned()).or_default();
            *latest = earliest.max(*latest);
            *latest
        };
        self.schedule(due, format!("{to} <- {text}"), work);
    }

    fn schedule(&self, due: Timestamp, text: String, work: Work) {
        let mut inner = self.inner();
        let id = inner.next_id;
        inner.next_id += 1;
        inner.events.insert((due, id), Event { text, work });
    }

    /// Does the next thing if it is due by `limit`: runs a driver that is woken, or an event; else lets time pass.
    fn step(&self, limit: Timestamp) -> bool {
        let woken = self.time.count_woken();
        let (now, due, chosen) = {
            let mut inner = self.inner();
            let due = inner.events.first_key_value().map(|((due, _), _)| *due);
            // An event that is due now is one more to choose from.
            let choices = woken + usize::from(due.is_some_and(|due| due <= inner.now));
            let chosen = if woken > 0 { inner.seed.below_usize(choices) } else { 0 };
            (inner.now, due, chosen)
        };
        if chosen < woken {
            self.time.take(chosen).into_iter().for_each(|id| self.run_driver(id));
            return true;
        }
        match due.filter(|due| *due <= limit) {
            Some(due) if due <= now => self.run_event(),
            due => {
                let now = self.time.pass(due.unwrap_or(limit));
                let mut inner = self.inner();
                (inner.now, inner.runs) = (now, 0);
                drop(inner);
                // At the limit without an event nothing is left but drivers that are woken now.
                due.is_some() || now < limit || self.time.count_woken() > 0
            }
        }
    }

    fn run_event(&self) -> bool {
        let work = {
            let mut inner = self.inner();
            let Some(entry) = inner.events.first_entry() else { return false };
            let (due, id) = *entry.key();
            let Event { text, work } = entry.remove();
            if !text.is_empty() {
                inner.log.push(format!("{due} #{id} {text}"));
            }
            work
        };
        work(self);
        true
    }

    fn run_driver(&self, id: u64) {
        // One that has ended or was killed may still be woken.
        let Some(mut task) = self.inner().tasks.remove(&id) else { return };
        self.note(format!("{} runs", task.name));
        self.count_run(&task.name);
        let polled = catch_unwind(AssertUnwindSafe(|| self.time.poll(id, &mut task)));
        let reason = match polled {
            Ok(Poll::Pending) => return drop(self.inner().tasks.insert(id, task)),
            Ok(Poll::Ready(None)) => return,
            Ok(Poll::Ready(Some(fault))) => fault,
            Err(_) => "panicked".to_owned(),
        };
        self.note(format!("{} fell: {reason}", task.name));
        let told = task.faults.tell(Fault { machine: task.name, reason, fatal: true });
        assert!(told.is_ok(), "the supervisor does not listen");
    }

    fn count_run(&self, name: &str) {
        let mut inner = self.inner();
        inner.runs += 1;
        let runs = inner.runs;
        drop(inner);
        assert!(runs < RUNS_MAX, "{name} and others run all the time; seed {}", self.first_seed);
    }

    fn rest(&self, name: &str, load: Load) {
        if load == Load::Clear || !self.inner().napping.insert(name.to_owned()) {
            return;
        }
        let (due, name) = (self.now().after(NAP_MS), name.to_owned());
        let work: Work = Box::new(move |world| {
            world.inner().napping.remove(&name);
            if let Some(supervised) = world.machine_of(&name) {
                let load = supervised.idle(world.now());
                world.rest(&name, load);
            }
        });
        self.schedule(due, String::new(), work);
    }

    fn repeat(&self, period_ms: u64, mut act: Box<dyn FnMut(&World) + Send>) {
        let due = self.now().after(period_ms.max(1));
        self.schedule(
            due,
            String::new(),
            Box::new(move |world| {
                act(world);
                world.repeat(period_ms, act);
            }),
        );
    }

    /// Carries out the orders of a supervisor for as long as it listens; the one of the World always does.
    fn supervise(&self, life: u32, orders: Port<NextOrders>) {
        let mut asked: Option<Pending<Vec<Order>>> = None;
        let act = move |world: &World| {
            match asked.as_mut().and_then(Pending::poll_now) {
                Some(Ok(orders)) => {
                    asked = None;
                    orders.into_iter().for_each(|order| world.carry_out(life, order));
                }
                Some(Err(_)) => asked = None,
                None => {}
            }
            if asked.is_none() {
                asked = orders.ask(NextOrders).ok();
            }
        };
        self.repeat(SUPERVISE_MS, Box::new(act));
    }

    fn carry_out(&self, life: u32, order: Order) {
        match order {
            Order::Rebuild(name) => {
                if self.machine_of(&name).is_some() {
                    self.rebuild(&name);
                }
            }
            Order::Stop(reason) => {
                if self.stopped_life(life).is_none() {
                    self.note(format!("stop: {reason}"));
                    self.inner().stopped.insert(life, reason);
                }
            }
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World(seed {})", self.first_seed)
    }
}

#[cfg(test)]
mod tests;
