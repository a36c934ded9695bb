//! One chain as an attester reads it.
//!
//! Events say what left the chain; the oracle's own storage, read at a final height, says whether that is true and
//! whether it is all. Nothing that an endpoint says leaves a trace that a restart would have to clear: what does not
//! fit is read again, first from the last range, then from further and further back, less and less often.

use std::collections::{BTreeMap, VecDeque};

use zklink::id::ChainId;
use zklink::tx::keccak;
use zklink_chain::client::{Hash, Header, Log};
use zklink_chain::contracts::{SentMessage, sent_event};
use zklink_chain::scan::{Progress, ScanConfig, Scanner, Told};
use zklink_mechanism::timestamp::Timestamp;

use super::places;
use super::{AttestedChain, Refusal, Request};
use crate::Periods;

/// Messages whose hashes are asked for in one go.
const CONFIRMED_AT_ONCE: usize = 64;
/// The longest pause between two readings of what did not fit is this power of two times the usual one.
const PAUSE_DOUBLINGS: u32 = 6;

/// The next number of each channel.
type Next = BTreeMap<ChainId, u64>;

/// How far a chain was read.
#[derive(Clone, Debug, Default)]
struct Place {
    /// The last block; nothing before the first range.
    end: Option<Header>,
    next: Next,
}

/// A message with the block that it left in.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) message: SentMessage,
    pub(super) block: u64,
    pub(super) block_hash: Hash,
}

/// A range whose events were read and are not confirmed yet.
#[derive(Debug)]
struct Unconfirmed {
    place: Place,
    /// The final height at which the contract is asked.
    height: u64,
    /// Whether the range ends there, so that the contract's counts must be those of the range.
    caught_up: bool,
    found: VecDeque<Found>,
}

/// A chain that is read.
#[derive(Debug)]
pub(super) struct Source {
    scanner: Scanner,
    /// Everything up to here is confirmed.
    place: Place,
    /// Where the contract's counts agreed, newest last.
    whole: VecDeque<Place>,
    whole_max: usize,
    unconfirmed: Option<Unconfirmed>,
    periods: Periods,
    /// Pauses in a row after which nothing new was there: each is twice as long as the one before it.
    silent: u32,
    /// The end of the present pause.
    rest: Option<Timestamp>,
    /// Times in a row that something did not fit.
    doubts: u32,
    refusal: Option<Refusal>,
}

impl Source {
    /// A source that was read up to a place, or not at all.
    pub(super) fn new(chain: &AttestedChain, read: Option<&places::Place>) -> Source {
        let config = ScanConfig {
            first_block: chain.first_block,
            finality: chain.finality,
            max_range: chain.max_range,
            checkpoints: chain.checkpoints,
            poll_ms: chain.periods.poll_ms,
            addresses: vec![chain.oracle],
            events: vec![sent_event()],
        };
        let mut source = Source {
            scanner: Scanner::new(config.clone()),
            place: Place::default(),
            whole: VecDeque::new(),
            whole_max: chain.checkpoints.max(1),
            unconfirmed: None,
            periods: chain.periods,
            silent: 0,
            rest: None,
            doubts: 0,
            refusal: None,
        };
        if let Some(read) = read.filter(|read| read.number >= chain.first_block) {
            source.scanner = Scanner::behind(config, read.number, read.hash);
            source.place =
                Place { end: source.scanner.scanned().copied(), next: read.next.clone() };
            source.whole.push_back(source.place.clone());
        }
        source
    }

    /// What to ask next; nothing for now. While nothing is `expected`, a chain that brings nothing new is asked less
    /// and less often.
    pub(super) fn next(&mut self, now: Timestamp, expected: bool) -> Option<Request> {
        let Some(unconfirmed) = &self.unconfirmed else { return self.scan(now, expected) };
        let height = unconfirmed.height;
        if unconfirmed.found.is_empty() {
            return Some(Request::Counts { height });
        }
        let found = unconfirmed.found.iter().take(CONFIRMED_AT_ONCE);
        let messages = found.map(|found| (found.message.destination, found.message.sequence));
        Some(Request::Hashes { height, messages: messages.collect() })
    }

    fn scan(&mut self, now: Timestamp, expected: bool) -> Option<Request> {
        if expected {
            (self.silent, self.rest) = (0, None);
        }
        if self.rest.is_some_and(|until| now < until) {
            return None;
        }
        let question = self.scanner.next(now.0);
        match (&question, self.rest) {
            (Some(_), _) => self.rest = None,
            (None, Some(_)) => {}
            (None, None) => {
                let pause = self.periods.poll_ms.saturating_mul(1 << self.silent.min(16));
                self.rest = Some(now.after(pause.min(self.periods.quiet_ms)));
                self.silent = self.silent.saturating_add(1);
            }
        }
        question.map(Request::Scan)
    }

    /// Whether the contract is asked about what was read.
    pub(super) fn confirms(&self) -> bool {
        self.unconfirmed.is_some()
    }

    /// The newest place at which the contract's counts agreed and every message before which was `taken`.
    pub(super) fn settled(&self, taken: impl Fn(ChainId, u64) -> bool) -> Option<places::Place> {
        let mut whole = self.whole.iter().rev();
        let place = whole.find(|place| place.next.iter().all(|(to, next)| taken(*to, *next)))?;
        let (end, next) = (place.end?, place.next.clone());
        Some(places::Place { number: end.number, hash: end.hash, next })
    }

    /// Takes an answer to the scanner. Returns the messages that are `known`: they were confirmed before, and asking
    /// for them again would cost a question each after every start and every failure, so that an endpoint which
    /// answers only so many would be asked for the same ones for ever.
    pub(super) fn told(
        &mut self,
        told: Told,
        now: Timestamp,
        known: impl Fn(&SentMessage) -> bool,
    ) -> Result<Vec<Found>, Refusal> {
        match self.scanner.told(told, now.0) {
            Progress::None => {}
            Progress::Lost => {
                self.whole.clear();
                self.back_to(Place::default(), now);
                return Err(Refusal::Lost);
            }
            Progress::Rewound { to } => {
                let void = |place: &Place| place.end.is_none_or(|end| end.number > to);
                while self.whole.back().is_some_and(void) {
                    self.whole.pop_back();
                }
                let again = self.last_whole();
                let from = again.end.map_or(0, |end| end.number);
                tracing::warn!(
                    to,
                    from,
                    "the chain has other blocks than were read: it is read again"
                );
                // What comes again is held against the history.
                self.back_to(again, now);
            }
            Progress::Read { logs, to, caught_up } => {
                return self.read(&logs, to, caught_up, known);
            }
        }
        Ok(Vec::new())
    }

    /// Takes the events of a range, whose numbers must go on without a hole.
    fn read(
        &mut self,
        logs: &[Log],
        to: Header,
        caught_up: bool,
        known: impl Fn(&SentMessage) -> bool,
    ) -> Result<Vec<Found>, Refusal> {
        if !logs.is_empty() {
            self.silent = 0;
        }
        let mut next = self.place.next.clone();
        let (mut found, mut again) = (VecDeque::new(), Vec::new());
        for log in logs {
            let message = SentMessage::decode(log)?;
            let (destination, sequence) = (message.destination, message.sequence);
            let expected = next.entry(destination).or_default();
            if sequence != *expected {
                return Err(Refusal::Gap { destination, expected: *expected, found: sequence });
            }
            *expected = sequence.saturating_add(1);
            let is_known = known(&message);
            let message = Found { message, block: log.block, block_hash: log.block_hash };
            if is_known { again.push(message) } else { found.push_back(message) }
        }
        let place = Place { end: Some(to), next };
        if found.is_empty() && !caught_up {
            // Nothing new to believe. Whether something was hidden is seen from the counts at the end.
            self.place = place;
            return Ok(again);
        }
        // What was sent stays in the contract's storage, so any final height from the end of the range on will do; at
        // the newest one a server still has the state.
        let height = self.scanner.goal().unwrap_or(to.number).max(to.number);
        self.unconfirmed = Some(Unconfirmed { place, height, caught_up, found });
        Ok(again)
    }

    /// Takes the hashes that the contract has of the messages that were asked for. Returns those that left.
    pub(super) fn hashes(&mut self, hashes: &[Hash]) -> Result<Vec<Found>, Refusal> {
        let Some(unconfirmed) = &mut self.unconfirmed else { return Ok(Vec::new()) };
        let asked = unconfirmed.found.len().min(CONFIRMED_AT_ONCE);
        let confirmed: Vec<Found> = unconfirmed.found.drain(..asked).collect();
        for (index, found) in confirmed.iter().enumerate() {
            let SentMessage { destination, sequence, payload } = &found.message;
            if hashes.get(index) != Some(&keccak(&[payload])) {
                let (destination, sequence) = (*destination, *sequence);
                return Err(Refusal::Invented { destination, sequence });
            }
        }
        if unconfirmed.found.is_empty()
            && !unconfirmed.caught_up
            && let Some(done) = self.unconfirmed.take()
        {
            self.place = done.place;
        }
        Ok(confirmed)
    }

    /// Takes how many messages the contract has sent to each partner at the end of what was read.
    pub(super) fn counts(&mut self, counts: &BTreeMap<ChainId, u64>) -> Result<(), Refusal> {
        let Some(done) = self.unconfirmed.take() else { return Ok(()) };
        for (destination, sent) in counts {
            let read = done.place.next.get(destination).copied().unwrap_or_default();
            if *sent != read {
                return Err(Refusal::Hidden { destination: *destination, read, sent: *sent });
            }
        }
        self.place = done.place.clone();
        self.whole.push_back(done.place);
        if self.whole.len() > self.whole_max {
            self.whole.pop_front();
        }
        self.doubts = 0;
        self.refusal = None;
        Ok(())
    }

    /// The last question asked for too much: whether less is asked from now on.
    pub(super) fn asks_less(&mut self) -> bool {
        self.unconfirmed.is_none() && self.scanner.asks_less()
    }

    /// The chain did not answer.
    pub(super) fn failed(&mut self, now: Timestamp) {
        self.silent = 0;
        if self.unconfirmed.is_some() {
            // With a fresh anchor: the state of the old one may be gone.
            self.back_to(self.place.clone(), now.after(self.periods.poll_ms));
        } else {
            self.scanner.failed(now.0);
        }
    }

    /// Something does not fit: it is read again after a pause. Where messages may be hidden, also what lies before
    /// it, each time more of it.
    pub(super) fn refuse(&mut self, refusal: Refusal, now: Timestamp) {
        if matches!(refusal, Refusal::Gap { .. } | Refusal::Hidden { .. }) {
            // First to the last place at which the counts agreed, then before it: the agreement may have been a lie.
            let deeper = self.doubts.checked_sub(1).map_or(0, |n| 1_usize << n.min(16));
            self.whole.truncate(self.whole.len().saturating_sub(deeper));
            self.place = self.last_whole();
        }
        self.silent = 0;
        let pause = self.periods.poll_ms.saturating_mul(1 << self.doubts.min(PAUSE_DOUBLINGS));
        self.back_to(self.place.clone(), now.after(pause));
        self.doubts = self.doubts.saturating_add(1);
        self.refusal = Some(refusal);
    }

    /// Reads everything again.
    pub(super) fn begin_again(&mut self, now: Timestamp) {
        self.whole.clear();
        self.back_to(Place::default(), now);
    }

    fn back_to(&mut self, place: Place, until: Timestamp) {
        self.unconfirmed = None;
        self.scanner.back_to(place.end, until.0);
        self.place = place;
    }

    fn last_whole(&self) -> Place {
        self.whole.back().cloned().unwrap_or_default()
    }

    /// The last height at which everything was there.
    pub(super) fn whole(&self) -> Option<u64> {
        self.whole.back()?.end.map(|end| end.number)
    }

    /// The height up to which everything is confirmed.
    pub(super) fn scanned(&self) -> Option<u64> {
        self.place.end.map(|end| end.number)
    }

    /// The number of the next message to a chain.
    pub(super) fn next_to(&self, destination: ChainId) -> u64 {
        self.place.next.get(&destination).copied().unwrap_or_default()
    }

    /// What did not fit last, until the counts agree again.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }
}
