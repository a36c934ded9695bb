//! Alarms: what does not go on without a person, or has stood still for too long. `docs/operations.md` has a section
//! for each [`Kind`], and a test holds the two against each other.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zklink::id::ChainId;
use zklink_client::AlarmView;
use zklink_mechanism::timestamp::Timestamp;

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Deposits of a token of a chain are held back.
    HeldBack,
    /// A chain is not read any more, until the node is restarted.
    WatcherHalted,
    /// A chain contradicts itself, and is read again.
    ChainInDoubt,
    /// The final part of a chain does not grow.
    ChainStandsStill,
    /// A chain could not be read to its end for some time.
    ChainUnread,
    /// An endpoint does not answer, or lags behind the other one.
    EndpointFails,
    /// Contracts and archive differ: nothing more is sent.
    SettlementDiverged,
    /// A chain refuses a step again and again.
    StepRefused,
    /// Nothing can be sent to a chain.
    SettlementFails,
    /// A transaction is not mined.
    TransactionStuck,
    /// A sealed block gets no proof.
    ProofMissing,
    /// Sealed blocks wait, and the hub moves none of them on.
    SettlementStandsStill,
    /// An attester signs nothing more of a chain.
    AttesterStopped,
    /// An attester cannot read a chain.
    AttesterFails,
    /// A worker with a process of its own is not connected, or does not follow.
    WorkerAway,
    /// Two processes are one worker.
    WorkerTwice,
    /// The hub has blocks that this node lacks.
    StoreBehind,
    /// There is hardly any room on the disk.
    DiskLow,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 18] = [
        Kind::HeldBack,
        Kind::WatcherHalted,
        Kind::ChainInDoubt,
        Kind::ChainStandsStill,
        Kind::ChainUnread,
        Kind::EndpointFails,
        Kind::SettlementDiverged,
        Kind::StepRefused,
        Kind::SettlementFails,
        Kind::TransactionStuck,
        Kind::ProofMissing,
        Kind::SettlementStandsStill,
        Kind::AttesterStopped,
        Kind::AttesterFails,
        Kind::WorkerAway,
        Kind::WorkerTwice,
        Kind::StoreBehind,
        Kind::DiskLow,
    ];

    /// Its name in the RPC, in the log and in the documents. Never changed: people's alert rules have it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::HeldBack => "held-back",
            Kind::WatcherHalted => "watcher-halted",
            Kind::ChainInDoubt => "chain-in-doubt",
            Kind::ChainStandsStill => "chain-stands-still",
            Kind::ChainUnread => "chain-unread",
            Kind::EndpointFails => "endpoint-fails",
            Kind::SettlementDiverged => "settlement-diverged",
            Kind::StepRefused => "step-refused",
            Kind::SettlementFails => "settlement-fails",
            Kind::TransactionStuck => "transaction-stuck",
            Kind::ProofMissing => "proof-missing",
            Kind::SettlementStandsStill => "settlement-stands-still",
            Kind::AttesterStopped => "attester-stopped",
            Kind::AttesterFails => "attester-fails",
            Kind::WorkerAway => "worker-away",
            Kind::WorkerTwice => "worker-twice",
            Kind::StoreBehind => "store-behind",
            Kind::DiskLow => "disk-low",
        }
    }
}

/// How long something may be so before it is an alarm, seconds. What cannot mend itself is one at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// A chain that contradicts itself.
    pub in_doubt_s: u64,
    /// The final part of a chain that does not grow. Ethereum finalizes every six minutes, with a delay of thirteen.
    pub stands_still_s: u64,
    /// A chain that is not read to its end, or not by an attester.
    pub unread_s: u64,
    /// An endpoint that fails while another one answers.
    pub endpoint_s: u64,
    /// A chain to which nothing can be sent.
    pub sending_fails_s: u64,
    /// A transaction that is not mined.
    pub transaction_s: u64,
    /// The oldest block without a proof.
    pub proof_s: u64,
    /// Sealed blocks of which the hub moves none on.
    pub settlement_s: u64,
    /// A worker that is not there, or there twice. A restart of its process is over sooner.
    pub worker_s: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            in_doubt_s: 120,
            stands_still_s: 1_800,
            unread_s: 600,
            endpoint_s: 300,
            sending_fails_s: 600,
            transaction_s: 900,
            proof_s: 1_800,
            settlement_s: 3_600,
            worker_s: 300,
        }
    }
}

impl Bounds {
    /// The bound of a kind, milliseconds.
    fn of(&self, kind: Kind) -> u64 {
        let seconds = match kind {
            Kind::HeldBack
            | Kind::WatcherHalted
            | Kind::SettlementDiverged
            | Kind::StepRefused
            | Kind::AttesterStopped
            | Kind::StoreBehind
            | Kind::DiskLow => 0,
            Kind::ChainInDoubt => self.in_doubt_s,
            Kind::ChainStandsStill => self.stands_still_s,
            Kind::ChainUnread | Kind::AttesterFails => self.unread_s,
            Kind::EndpointFails => self.endpoint_s,
            Kind::SettlementFails => self.sending_fails_s,
            Kind::TransactionStuck => self.transaction_s,
            Kind::ProofMissing => self.proof_s,
            Kind::SettlementStandsStill => self.settlement_s,
            Kind::WorkerAway | Kind::WorkerTwice => self.worker_s,
        };
        seconds.saturating_mul(1_000)
    }
}

/// Something that is so now, and is an alarm when it stays so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) kind: Kind,
    pub(super) chain: Option<ChainId>,
    /// What is concerned, besides the chain, and how far it has come: as long as this is the same, it stands still.
    pub(super) subject: String,
    /// What is so, in words; it may change while it lasts.
    pub(super) text: String,
}

/// A condition that has lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What it is about.
    pub kind: Kind,
    /// The chain, if it is about one.
    pub chain: Option<ChainId>,
    /// What is so.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
}

impl Alarm {
    /// As the RPC tells it.
    pub(super) fn view(&self) -> AlarmView {
        AlarmView {
            kind: self.kind.name().to_owned(),
            chain: self.chain.map(|chain| chain.0),
            text: self.text.clone(),
            since_ms: Some(self.since.0),
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind.name())?;
        if let Some(chain) = self.chain {
            write!(f, "chain {chain}: ")?;
        }
        f.write_str(&self.text)
    }
}

type Key = (Kind, Option<ChainId>, String);

/// Remembers since when each condition holds.
#[derive(Debug, Default)]
pub(super) struct Lasting(BTreeMap<Key, Timestamp>);

impl Lasting {
    /// The alarms among what is so at `now`. What is not so any more is forgotten.
    pub(super) fn alarms(
        &mut self,
        conditions: Vec<Condition>,
        bounds: &Bounds,
        now: Timestamp,
    ) -> Vec<Alarm> {
        let mut holds = BTreeMap::new();
        let mut alarms = Vec::new();
        for Condition { kind, chain, subject, text } in conditions {
            let key = (kind, chain, subject);
            let since = self.0.get(&key).copied().unwrap_or(now);
            if now.since(since) >= bounds.of(kind) {
                alarms.push(Alarm { kind, chain, text, since });
            }
            holds.insert(key, since);
        }
        self.0 = holds;
        alarms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId(2);

    fn stands(height: u64) -> Condition {
        let (kind, chain) = (Kind::ChainStandsStill, Some(CHAIN));
        Condition { kind, chain, subject: height.to_string(), text: format!("at {height}") }
    }

    #[test]
    fn what_lasts_is_an_alarm_and_what_moves_on_begins_anew() {
        let bounds = Bounds { stands_still_s: 10, ..Bounds::default() };
        let mut lasting = Lasting::default();
        let mut at = |now, height| lasting.alarms(vec![stands(height)], &bounds, Timestamp(now));
        assert_eq!(at(1_000, 5), []);
        assert_eq!(at(10_999, 5), []);
        let [alarm] = &at(11_000, 5)[..] else { panic!() };
        assert_eq!((alarm.since, alarm.chain), (Timestamp(1_000), Some(CHAIN)));
        assert_eq!(alarm.to_string(), "chain-stands-still: chain 2: at 5");
        assert_eq!(at(12_000, 6), [], "it moved");
        assert_eq!(at(21_999, 6), []);
        assert_eq!(at(22_000, 6).len(), 1);
        assert_eq!(lasting.alarms(Vec::new(), &bounds, Timestamp(23_000)), []);
        assert_eq!(lasting.alarms(vec![stands(6)], &bounds, Timestamp(24_000)), [], "anew");
    }

    #[test]
    fn what_cannot_mend_itself_is_an_alarm_at_once() {
        let mut lasting = Lasting::default();
        let halted = Condition { kind: Kind::WatcherHalted, ..stands(1) };
        assert_eq!(lasting.alarms(vec![halted], &Bounds::default(), Timestamp(7)).len(), 1);
    }

    /// The headings of the sections that name a kind, and the table of bounds, are what people find an alarm by.
    #[test]
    fn the_documents_name_every_alarm_and_none_that_is_not_there() {
        let text = include_str!("../../../../docs/operations.md");
        let told = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let told: Vec<(&str, &str)> = told.filter(|(name, _)| name.contains('-')).collect();
        let bounds = Bounds::default();
        let ours: Vec<(&str, String)> = Kind::ALL
            .iter()
            .map(|kind| {
                let seconds = bounds.of(*kind) / 1_000;
                let after = if seconds == 0 { "at once".into() } else { format!("{seconds} s") };
                (kind.name(), after)
            })
            .collect();
        let told = told.iter().map(|(name, rest)| {
            let after = rest.split(" |").next().unwrap_or_default();
            (*name, after.to_owned())
        });
        assert_eq!(told.collect::<Vec<_>>(), ours, "the table of alarms in docs/operations.md");
    }
}
