//! What an attester has signed and still offers to the book.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use zklink::id::ChainId;
use zklink_mechanism::port::Port;

use crate::book::Attestation;

/// Attestations of one channel that are kept, on the average of all channels; beyond it reading pauses.
const KEPT_OF_CHANNEL: usize = 2_048;
/// The least of all bounds, for deployments with few chains.
const KEPT_LEAST: usize = 16_384;
/// Attestations of one channel that are offered in one go: as many as the book's window takes.
const OFFER: usize = 256;

/// A message: source, destination, number.
type Key = (ChainId, ChainId, u64);

/// See the module.
#[derive(Debug)]
pub(super) struct Offers {
    book: Port<Attestation>,
    /// Everything signed that the destination has not taken for good.
    kept: BTreeMap<Key, Attestation>,
    kept_max: usize,
    /// How many messages the destination has taken for good, by source and destination.
    taken: BTreeMap<(ChainId, ChainId), u64>,
    /// How many it has at its tip.
    latest: BTreeMap<(ChainId, ChainId), u64>,
    /// What the book did not take yet.
    outbox: VecDeque<Key>,
}

impl Offers {
    /// No offers yet, between so many chains. Messages go between the hub and each other chain.
    pub(super) fn new(book: Port<Attestation>, chains: usize) -> Offers {
        let channels = chains.saturating_sub(1).saturating_mul(2);
        let kept_max = channels.saturating_mul(KEPT_OF_CHANNEL).max(KEPT_LEAST);
        Offers {
            book,
            kept: BTreeMap::new(),
            kept_max,
            taken: BTreeMap::new(),
            latest: BTreeMap::new(),
            outbox: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.kept.len() >= self.kept_max
    }

    /// Whether a message may still have to be delivered.
    pub(super) fn wants(&self, (source, destination, sequence): Key) -> bool {
        sequence >= self.taken_for_good((source, destination))
    }

    /// How many messages of a source a destination has taken for good, as far as is known.
    pub(super) fn taken_for_good(&self, channel: (ChainId, ChainId)) -> u64 {
        self.taken.get(&channel).copied().unwrap_or_default()
    }

    /// Whether a destination has not taken something yet that is kept, from any of these sources.
    pub(super) fn waits(&self, mut sources: impl Iterator<Item = ChainId>, to: ChainId) -> bool {
        sources.any(|from| {
            let next = self.latest.get(&(from, to)).copied().unwrap_or_default();
            self.kept.range((from, to, next)..=(from, to, u64::MAX)).next().is_some()
        })
    }

    /// Keeps a new attestation and offers it.
    pub(super) fn add(&mut self, attestation: Attestation) {
        let key = (attestation.source, attestation.destination, attestation.sequence);
        if self.kept.insert(key, attestation).is_none() {
            self.outbox.push_back(key);
        }
    }

    /// Takes how many messages of a source a destination has: at its tip, and finally. Forgets what is final, and
    /// offers again what is not taken. Returns whether the message that is needed next is missing although the source
    /// was read up to `next`: then an endpoint said more than was true, and the source must be read again.
    pub(super) fn taken(
        &mut self,
        (source, destination): (ChainId, ChainId),
        latest: u64,
        settled: Option<u64>,
        next: u64,
    ) -> bool {
        let channel = |sequence| (source, destination, sequence);
        self.latest.insert((source, destination), latest);
        if let Some(settled) = settled {
            self.taken.insert((source, destination), settled);
            self.forget(channel(0)..channel(settled));
        }
        if self.is_full() {
            // Room comes before the case that the destination takes so many deliveries back.
            self.forget(channel(0)..channel(latest.saturating_sub(OFFER as u64)));
        }
        let wanted = self.kept.range(channel(latest)..=channel(u64::MAX)).take(OFFER);
        let wanted: Vec<Key> = wanted.map(|(key, _)| *key).collect();
        // What waits already is not offered twice.
        self.outbox.retain(|key| !wanted.contains(key));
        self.outbox.extend(wanted);
        let final_count = self.taken_for_good((source, destination));
        let needed = latest.max(final_count);
        needed < next && !self.kept.contains_key(&channel(needed))
    }

    fn forget(&mut self, keys: Range<Key>) {
        if keys.start < keys.end {
            let done: Vec<Key> = self.kept.range(keys).map(|(key, _)| *key).collect();
            for key in done {
                self.kept.remove(&key);
            }
        }
    }

    /// Hands the book as much as it takes.
    pub(super) fn deliver(&mut self) {
        while let Some(key) = self.outbox.front() {
            // What was delivered meanwhile is on offer no more.
            if let Some(attestation) = self.kept.get(key)
                && self.book.tell(attestation.clone()).is_err()
            {
                return;
            }
            self.outbox.pop_front();
        }
    }
}
