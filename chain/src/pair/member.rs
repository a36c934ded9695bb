//! The two endpoints of a pair, with what is known of their state.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::client::{Answer, At, ChainClient, ClientError, Complaint};
use crate::health::Health;

/// Where an endpoint stands that is too far behind the other one.
#[derive(Clone, Copy, Debug)]
struct Stand {
    /// The block that it has.
    number: u64,
    /// How many blocks the other one is ahead.
    behind: u64,
    /// Since when it has this block and is too far behind.
    since: Instant,
}

struct Member {
    client: Arc<dyn ChainClient>,
    health: Health,
    /// For `latest`, `safe` and `finalized`: nothing while it keeps up.
    stands: Mutex<[Option<Stand>; 3]>,
}

impl Member {
    fn stands(&self) -> MutexGuard<'_, [Option<Stand>; 3]> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot(at: At) -> usize {
    match at {
        At::Latest | At::Near(_) | At::Number(_) => 0,
        At::Safe => 1,
        At::Finalized => 2,
    }
}

/// Two endpoints. A lenient pair and the strict one that is made of it know the same of them.
pub(super) struct Members {
    members: [Member; 2],
    /// Which one is asked first where one is enough.
    preferred: AtomicUsize,
}

impl Members {
    pub(super) fn new(first: Arc<dyn ChainClient>, second: Arc<dyn ChainClient>) -> Self {
        let members = [first, second].map(|client| Member {
            client,
            health: Health::default(),
            stands: Mutex::default(),
        });
        Self { members, preferred: AtomicUsize::new(0) }
    }

    /// Asks one of them, and notes how it answers.
    pub(super) async fn ask<'a, T: 'a>(
        &'a self,
        member: usize,
        question: &'static str,
        ask: impl FnOnce(&'a dyn ChainClient) -> Answer<'a, T>,
    ) -> Result<T, ClientError> {
        let member = &self.members[member];
        member.health.noted(question, ask(&*member.client).await)
    }

    pub(super) fn name(&self, member: usize) -> String {
        self.members[member].client.name()
    }

    /// Both, the one first that shall be asked where one is enough: it did not fail last, and does not stand behind.
    pub(super) fn in_order(&self) -> [usize; 2] {
        let first = self.preferred.load(SeqCst);
        let second = 1 - first;
        if self.is_behind(first) && !self.is_behind(second) {
            return [second, first];
        }
        [first, second]
    }

    /// This one is asked first from now on.
    pub(super) fn prefer(&self, member: usize) {
        self.preferred.store(member, SeqCst);
    }

    /// Whether it is too far behind the other one.
    pub(super) fn is_behind(&self, member: usize) -> bool {
        self.members[member].stands().iter().any(Option::is_some)
    }

    /// Whether it has stood still below a height for so long.
    pub(super) fn stands_below(&self, member: usize, height: u64, still: Duration) -> bool {
        let stands = self.members[member].stands();
        let mut stands = stands.iter().flatten();
        stands.any(|stand| stand.number < height && stand.since.elapsed() >= still)
    }

    /// It is not behind the other one.
    pub(super) fn keeps_up(&self, member: usize, at: At) {
        self.members[member].stands()[slot(at)] = None;
    }

    /// Takes down how far it is behind, if that is too far; for how long it has stood there.
    pub(super) fn compared(
        &self,
        member: usize,
        at: At,
        number: u64,
        behind: Option<u64>,
    ) -> Option<Duration> {
        let place = &mut self.members[member].stands()[slot(at)];
        let before = place.filter(|stand| stand.number == number);
        let since = before.map_or_else(Instant::now, |stand| stand.since);
        *place = behind.map(|behind| Stand { number, behind, since });
        behind.map(|_| since.elapsed())
    }

    pub(super) fn complaints(&self) -> Vec<Complaint> {
        let mut told = Vec::new();
        for member in &self.members {
            told.extend(member.health.complaints());
            let behind = member.stands().iter().flatten().map(|stand| stand.behind).max();
            told.extend(behind.map(|blocks| Complaint {
                endpoint: member.client.name(),
                fault: format!("stands {blocks} blocks behind"),
            }));
        }
        told.sort();
        told
    }
}
