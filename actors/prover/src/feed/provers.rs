//! What the feed knows about its provers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zklink::id::BlockNumber;
use zklink_mechanism::timestamp::Timestamp;

use super::config::Config;

/// Longest name of a prover, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The name by which a prover presents itself. Whoever lets provers in checks that it is theirs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProverId(String);

impl TryFrom<String> for ProverId {
    type Error = BadProverId;

    fn try_from(name: String) -> Result<Self, BadProverId> {
        ProverId::new(&name)
    }
}

impl From<ProverId> for String {
    fn from(id: ProverId) -> String {
        id.0
    }
}

/// A name that no prover may have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a prover's name has 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or underscores")]
pub struct BadProverId;

impl ProverId {
    /// A name that is safe to print.
    ///
    /// # Errors
    /// [`BadProverId`] for an empty or long name, or one with other characters.
    pub fn new(name: &str) -> Result<Self, BadProverId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
        (fits && name.bytes().all(plain)).then(|| Self(name.to_owned())).ok_or(BadProverId)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a prover gets no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum LeaseRefusal {
    /// It sent too many wrong proofs.
    #[error("too many wrong proofs: barred until {0}; check the prover's keys and version")]
    Barred(Timestamp),
    /// As many provers are alive as the feed knows at a time.
    #[error("too many provers: raise the limit in the configuration, or try later")]
    TooManyProvers,
}

/// How one prover is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProverProgress {
    /// The prover.
    pub prover: ProverId,
    /// Whether it was heard of lately or holds a lease.
    pub alive: bool,
    /// The block that it works on.
    pub block: Option<BlockNumber>,
    /// Proofs of it that were accepted.
    pub proven: u64,
    /// Leases that ran out on it.
    pub expired: u64,
    /// Wrong proofs since it was last barred.
    pub strikes: u32,
    /// Until when it gets nothing.
    pub barred_until: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Prover {
    heard: Timestamp,
    lease: Option<(BlockNumber, Timestamp)>,
    proven: u64,
    expired: u64,
    strikes: u32,
    barred_until: Option<Timestamp>,
}

impl Prover {
    fn is_alive(&self, now: Timestamp, alive_ms: u64) -> bool {
        let works = self.lease.is_some_and(|(_, deadline)| deadline > now);
        works || now.since(self.heard) < alive_ms
    }

    fn is_barred(&self, now: Timestamp) -> bool {
        self.barred_until.is_some_and(|until| until > now)
    }
}

pub(super) struct Provers {
    config: Config,
    known: BTreeMap<ProverId, Prover>,
}

impl Provers {
    pub(super) fn new(config: Config) -> Self {
        Self { config, known: BTreeMap::new() }
    }

    /// Notes that a prover is there; says no to one that is barred or one too many.
    pub(super) fn heard(&mut self, id: &ProverId, now: Timestamp) -> Result<(), LeaseRefusal> {
        if !self.known.contains_key(id) {
            self.forget(now);
            if self.known.len() >= self.config.provers_max {
                return Err(LeaseRefusal::TooManyProvers);
            }
        }
        let prover = self.known.entry(id.clone()).or_default();
        prover.heard = now;
        match prover.barred_until {
            Some(until) if until > now => Err(LeaseRefusal::Barred(until)),
            _ => Ok(()),
        }
    }

    /// Drops provers that are neither alive nor barred, so that names cannot pile up.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let alive_ms = self.config.alive_ms;
        self.known.retain(|_, prover| prover.is_alive(now, alive_ms) || prover.is_barred(now));
    }

    /// Provers that are alive and not barred.
    pub(super) fn usable(&self, now: Timestamp) -> impl Iterator<Item = &ProverId> {
        let alive_ms = self.config.alive_ms;
        let usable =
            move |prover: &Prover| prover.is_alive(now, alive_ms) && !prover.is_barred(now);
        self.known.iter().filter(move |(_, prover)| usable(prover)).map(|(id, _)| id)
    }

    pub(super) fn leased(&mut self, id: &ProverId, block: BlockNumber, deadline: Timestamp) {
        self.change(id, |prover| prover.lease = Some((block, deadline)));
    }

    pub(super) fn released(&mut self, id: &ProverId) {
        self.change(id, |prover| prover.lease = None);
    }

    pub(super) fn proved(&mut self, id: &ProverId) {
        self.change(id, |prover| prover.proven += 1);
    }

    pub(super) fn expired(&mut self, id: &ProverId) {
        self.change(id, |prover| prover.expired += 1);
    }

    /// Counts a wrong proof; bars the prover at the limit. Returns its strikes.
    pub(super) fn strike(&mut self, id: &ProverId, now: Timestamp) -> u32 {
        let Config { strikes_max, bar_ms, .. } = self.config;
        let Some(prover) = self.known.get_mut(id) else { return 0 };
        prover.strikes += 1;
        let strikes = prover.strikes;
        if strikes >= strikes_max {
            prover.barred_until = Some(now.after(bar_ms));
            prover.strikes = 0;
        }
        strikes
    }

    pub(super) fn progress(&self, now: Timestamp) -> Vec<ProverProgress> {
        let progress = self.known.iter().map(|(id, prover)| ProverProgress {
            prover: id.clone(),
            alive: prover.is_alive(now, self.config.alive_ms),
            block: prover.lease.map(|(block, _)| block),
            proven: prover.proven,
            expired: prover.expired,
            strikes: prover.strikes,
            barred_until: prover.barred_until.filter(|until| *until > now),
        });
        progress.collect()
    }

    fn change(&mut self, id: &ProverId, change: impl FnOnce(&mut Prover)) {
        if let Some(prover) = self.known.get_mut(id) {
            change(prover);
        }
    }
}
