//! The supervisor decides what follows from a fault.
//!
//! It is told of faults by the supervised machines and *pulled* for orders by the host, so that no port leads
//! from it back to the machines. It never touches a machine itself.

use std::collections::{BTreeMap, VecDeque};

use crate::machine::{Handle, Machine};
use crate::port::Message;
use crate::supervised::Fault;
use crate::timestamp::Timestamp;
use crate::turn::Turn;

/// When a machine is rebuilt, and when the supervisor gives up on it.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Wait before the first rebuild, in milliseconds; doubles with every failure in the window.
    pub backoff_first_ms: u64,
    /// The longest wait, in milliseconds.
    pub backoff_max_ms: u64,
    /// So many failures of one machine within the window are mended; one more stops the node.
    pub failures_max: usize,
    /// Length of the window, in milliseconds.
    pub window_ms: u64,
}

/// A follower holds what others told it, and loses that when it falls: they are to be built again
/// after it, so that they tell it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetoldBy {
    /// The follower.
    pub machine: String,
    /// Followers themselves, who tell everything again that is not done yet.
    pub sources: Vec<String>,
}

impl Message for RetoldBy {
    type Reply = ();
}

/// What is to be done now? Asked by the host.
#[derive(Debug)]
pub struct NextOrders;

impl Message for NextOrders {
    type Reply = Vec<Order>;
}

/// Something that the host does for the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Build this machine again.
    Rebuild(String),
    /// Stop the node in order, and give this reason.
    Stop(String),
}

/// Somebody wants the node to stop: a signal, or an operator.
#[derive(Debug)]
pub struct RequestStop {
    /// Why, for the log.
    pub reason: String,
}

impl Message for RequestStop {
    type Reply = ();
}

#[derive(Debug, Default)]
struct Record {
    failures: VecDeque<Timestamp>,
    due: Option<Timestamp>,
    sources: Vec<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Supervisor {
    config: Config,
    /// Why the node stops, once it does.
    stopping: Option<String>,
    machines: BTreeMap<String, Record>,
}

impl Supervisor {
    /// A supervisor of a running node.
    pub fn new(config: Config) -> Self {
        Self { config, stopping: None, machines: BTreeMap::new() }
    }

    /// The first reason stays: what follows from it would only hide it.
    fn stop(&mut self, reason: String) {
        self.stopping.get_or_insert(reason);
    }

    fn backoff(&self, failures: usize) -> u64 {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
        self.config.backoff_first_ms.saturating_mul(factor).min(self.config.backoff_max_ms)
    }
}

impl Machine for Supervisor {}

impl Handle<Fault> for Supervisor {
    fn handle(&mut self, fault: Fault, turn: &mut Turn) {
        let Fault { machine, reason, fatal } = fault;
        if fatal {
            return self.stop(format!("{machine} {reason}"));
        }
        let window = self.config.window_ms;
        let record = self.machines.entry(machine.clone()).or_default();
        record.failures.retain(|failed| turn.now.since(*failed) < window);
        record.failures.push_back(turn.now);
        let failures = record.failures.len();
        if failures > self.config.failures_max {
            let text =
                format!("{machine} failed {failures} times in {window} ms, lastly: {reason}");
            return self.stop(text);
        }
        let due = turn.now.after(self.backoff(failures));
        self.machines.entry(machine).or_default().due = Some(due);
    }
}

impl Handle<RetoldBy> for Supervisor {
    fn handle(&mut self, RetoldBy { machine, sources }: RetoldBy, _: &mut Turn) {
        self.machines.entry(machine).or_default().sources = sources;
    }
}

impl Handle<NextOrders> for Supervisor {
    fn handle(&mut self, _: NextOrders, turn: &mut Turn) -> Vec<Order> {
        if let Some(reason) = &self.stopping {
            return vec![Order::Stop(reason.clone())];
        }
        let mut rebuilds = Vec::new();
        let mut sources = Vec::new();
        for (name, record) in &mut self.machines {
            if record.due.is_some_and(|due| due <= turn.now) {
                record.due = None;
                rebuilds.push(name.clone());
                sources.extend(record.sources.iter().cloned());
            }
        }
        // Sources come last: those whom they tell must listen again.
        rebuilds.retain(|name| !sources.contains(name));
        sources.sort();
        sources.dedup();
        rebuilds.extend(sources);
        rebuilds.into_iter().map(Order::Rebuild).collect()
    }
}

impl Handle<RequestStop> for Supervisor {
    fn handle(&mut self, request: RequestStop, _: &mut Turn) {
        self.stop(request.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Config =
        Config { backoff_first_ms: 100, backoff_max_ms: 300, failures_max: 3, window_ms: 10_000 };

    fn fault(machine: &str, fatal: bool) -> Fault {
        Fault { machine: machine.to_owned(), reason: "fell".to_owned(), fatal }
    }

    fn orders(supervisor: &mut Supervisor, now: u64) -> Vec<Order> {
        supervisor.handle(NextOrders, &mut Turn::at(Timestamp(now)))
    }

    #[test]
    fn the_backoff_doubles_up_to_its_bound() {
        let supervisor = Supervisor::new(POLICY);
        let waits = [1, 2, 3, 4, 64, 65, usize::MAX].map(|failures| supervisor.backoff(failures));
        assert_eq!(waits, [100, 200, 300, 300, 300, 300, 300]);
    }

    #[test]
    fn a_rebuild_is_ordered_once_and_when_it_is_due() {
        let mut supervisor = Supervisor::new(POLICY);
        supervisor.handle(fault("rpc", false), &mut Turn::at(Timestamp(1_000)));
        assert_eq!(orders(&mut supervisor, 1_099), []);
        assert_eq!(orders(&mut supervisor, 1_100), [Order::Rebuild("rpc".to_owned())]);
        assert_eq!(orders(&mut supervisor, 1_200), []);
    }

    #[test]
    fn the_sources_of_a_machine_are_built_again_after_it_and_once() {
        let mut supervisor = Supervisor::new(POLICY);
        let mut turn = Turn::at(Timestamp(0));
        for machine in ["ledger-1", "ledger-2"] {
            let sources = ["a-watcher", "b-watcher"].map(str::to_owned).to_vec();
            supervisor.handle(RetoldBy { machine: machine.to_owned(), sources }, &mut turn);
        }
        for fallen in ["ledger-2", "a-watcher", "ledger-1"] {
            supervisor.handle(fault(fallen, false), &mut turn);
        }
        let rebuilds = ["ledger-1", "ledger-2", "a-watcher", "b-watcher"];
        assert_eq!(orders(&mut supervisor, 100), rebuilds.map(|name| Order::Rebuild(name.into())));
        assert_eq!(orders(&mut supervisor, 200), []);
    }

    #[test]
    fn failures_count_for_each_machine_and_are_forgotten_after_the_window() {
        let mut supervisor = Supervisor::new(POLICY);
        for (now, machine) in [(0, "a"), (1, "a"), (2, "a"), (3, "b"), (10_001, "a")] {
            supervisor.handle(fault(machine, false), &mut Turn::at(Timestamp(now)));
            assert_eq!(supervisor.stopping, None, "at {now}");
        }
        supervisor.handle(fault("a", false), &mut Turn::at(Timestamp(10_001)));
        assert_eq!(supervisor.stopping, None, "two of the first three are out of the window");
        supervisor.handle(fault("a", false), &mut Turn::at(Timestamp(10_001)));
        let reason = "a failed 4 times in 10000 ms, lastly: fell".to_owned();
        assert_eq!(orders(&mut supervisor, 10_002), [Order::Stop(reason)]);
    }

    #[test]
    fn the_first_reason_to_stop_stays() {
        let mut supervisor = Supervisor::new(POLICY);
        let mut turn = Turn::at(Timestamp(0));
        supervisor.handle(fault("journal", true), &mut turn);
        supervisor.handle(RequestStop { reason: "signal".to_owned() }, &mut turn);
        assert_eq!(supervisor.stopping.as_deref(), Some("journal fell"));
    }
}
