//! Who is let in, and what they may say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zklink_prover::feed::ProverId;

use crate::token::Token;
use crate::{AWAY, IN_FLIGHT, PLACES_MAX};

/// Processes of one worker that are told apart. More than one is a mistake already.
const PROCESSES_MAX: usize = 8;
/// Longest name: the place of a prover still fits behind it.
const NAME_BYTES_MAX: usize = 60;

/// What a worker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes jobs and hands in proofs.
    Prover,
    /// Hands in signatures.
    Attester,
    /// Keeps a copy of the journal. It sees everything that users sent.
    Replica,
}

impl Role {
    /// As in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Role::Prover => "prover",
            Role::Attester => "attester",
            Role::Replica => "replica",
        }
    }
}

/// A worker that is let in.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Bounds its calls, over all of its connections.
    pub(crate) calls: Arc<Semaphore>,
    /// The processes that showed its token, each with when it was heard last.
    heard: Mutex<BTreeMap<u64, Instant>>,
}

/// Whether a worker is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// How many processes with its token were heard in the last minute.
    pub processes: usize,
}

impl Worker {
    /// Notes that one of its processes is at work.
    pub(crate) fn is_heard(&self, process: u64) {
        let now = Instant::now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|_, at| now.duration_since(*at) < AWAY);
        if heard.len() < PROCESSES_MAX || heard.contains_key(&process) {
            heard.insert(process, now);
        }
    }

    fn presence(&self) -> Presence {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let processes = heard.values().filter(|at| at.elapsed() < AWAY).count();
        Presence { name: self.name.clone(), role: self.role, processes }
    }

    /// How the feed knows its prover at a place: by the name of the token, with the place behind all but the first.
    pub(crate) fn prover(&self, place: u8) -> Option<ProverId> {
        let name = match place {
            0 => self.name.clone(),
            1..PLACES_MAX => format!("{}.{place}", self.name),
            _ => return None,
        };
        ProverId::new(&name).ok()
    }
}

/// A worker cannot be let in like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWorker {
    /// The name could not be told from that of a prover's place, or is unfit to be shown.
    #[error(
        "{0:?}: a worker's name has 1 to {NAME_BYTES_MAX} letters, digits, dashes or underscores"
    )]
    Name(String),
    /// Two workers could not be told apart.
    #[error("{0} and {1} have the same token: give each worker a token of its own")]
    SameToken(String, String),
}

/// The workers of a node. Clones are of the same workers.
#[derive(Clone, Debug, Default)]
pub struct Workers(BTreeMap<[u8; 32], Arc<Worker>>);

impl Workers {
    /// Lets a worker in.
    ///
    /// # Errors
    /// [`BadWorker`].
    pub fn add(&mut self, name: &str, role: Role, token: &Token) -> Result<(), BadWorker> {
        let sound = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains('.');
        if !sound || ProverId::new(name).is_err() {
            return Err(BadWorker::Name(name.to_owned()));
        }
        if let Some(other) = self.0.get(&token.digest()) {
            return Err(BadWorker::SameToken(other.name.clone(), name.to_owned()));
        }
        // A replica asks for the next records when it has the last ones.
        let in_flight = if role == Role::Replica { 1 } else { IN_FLIGHT };
        let (name, calls) = (name.to_owned(), Arc::new(Semaphore::new(in_flight)));
        let heard = Mutex::default();
        self.0.insert(token.digest(), Arc::new(Worker { name, role, calls, heard }));
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Who of them is there.
    pub fn presence(&self) -> Vec<Presence> {
        self.0.values().map(|worker| worker.presence()).collect()
    }

    /// Whose token this is.
    pub(crate) fn by_token(&self, token: &Token) -> Option<Arc<Worker>> {
        self.0.get(&token.digest()).cloned()
    }
}
