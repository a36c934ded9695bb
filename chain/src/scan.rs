//! Reads the final part of a chain, range after range, without a gap and with an eye on every seam.
//!
//! Each range must continue the last block that was read (by parent hash), and every block with an
//! event must still have the hash that the event names after the events were read. A seam that does
//! not fit leads back to the newest block that still stands. The scanner does no I/O: it is asked
//! for the next question and told the answer.

use std::collections::{BTreeMap, VecDeque};

use super::client::{At, ChainClient, ClientError, Hash, Header, Log, LogQuery};
use super::finality::{Ageing, Anchor, Finality};

/// What is read, and how.
#[derive(Clone, Debug)]
pub struct ScanConfig {
    /// The first block to read.
    pub first_block: u64,
    /// When a block is final.
    pub finality: Finality,
    /// The most blocks in one question for events.
    pub max_range: u64,
    /// How many ends of ranges are kept to go back to.
    pub checkpoints: usize,
    /// How often the anchor is asked for, milliseconds.
    pub poll_ms: u64,
    /// The contracts.
    pub addresses: Vec<[u8; 20]>,
    /// The first topics of the events.
    pub events: Vec<[u8; 32]>,
}

/// What the scanner wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A block.
    Header(At),
    /// The events of a range.
    Logs(LogQuery),
}

/// What the chain answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A block, or that there is none.
    Header(Option<Header>),
    /// The events of a range.
    Logs(Vec<Log>),
}

/// Answers a scanner's question.
///
/// # Errors
/// [`ClientError`].
pub async fn tell(client: &dyn ChainClient, question: &Question) -> Result<Told, ClientError> {
    Ok(match question {
        Question::Header(at) => Told::Header(client.header(*at).await?),
        Question::Logs(query) => Told::Logs(client.logs(query.clone()).await?),
    })
}

/// What an answer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing yet.
    None,
    /// The chain was read up to a block.
    Read {
        /// The events, in order.
        logs: Vec<Log>,
        /// The last block that was read.
        to: Header,
        /// Whether there is nothing more to read now.
        caught_up: bool,
    },
    /// Everything above this height is void; the next range begins after it.
    Rewound {
        /// The last height that still stands.
        to: u64,
    },
    /// No block that is still known stands: the chain was rewound further than was kept.
    Lost,
}

#[derive(Debug)]
enum Phase {
    /// Until the next poll.
    Rest { until: u64 },
    /// The tag of the finality rule.
    Tag,
    /// The anchor below the tip.
    Depth(u64),
    /// The first block of the range, which must continue the last one. Its end, if the anchor is that.
    Seam { goal: u64, end: Option<Header> },
    /// The last block of the range.
    End { goal: u64, first: Header },
    /// The events.
    Events { goal: u64, first: Header, end: Header },
    /// The blocks with events, and the end, once more.
    Verify { goal: u64, end: Header, logs: Vec<Log>, open: BTreeMap<u64, Hash> },
    /// The newest checkpoint, after a seam did not fit.
    Probe,
}

/// The scanner of one chain.
#[derive(Debug)]
pub struct Scanner {
    config: ScanConfig,
    phase: Phase,
    ageing: Ageing,
    /// The ends of the ranges that were read, newest last.
    checkpoints: VecDeque<Header>,
    /// Whether the list above begins at the beginning.
    complete: bool,
    /// The height that the finality rule reached when it was asked last.
    goal: Option<u64>,
    range: Range,
    /// Ranges in a row without an event.
    quiet: u32,
}

/// After so many ranges without an event the pause between two becomes longer by one more period.
const QUIET_STEP: u32 = 8;

/// After so many answers in a row the limit of an endpoint is tried again: it may have been one busy range, or another
/// endpoint may answer by now.
const TRIED_AGAIN: u32 = 256;

/// How many blocks to ask for at once, learnt from what is refused: between the longest range that was answered and the
/// shortest that was not. Most servers have a limit, and few say which.
#[derive(Debug)]
struct Range {
    /// The most that is ever asked for.
    max: u64,
    /// What is asked for next.
    next: u64,
    /// The longest that was answered since a refusal.
    good: u64,
    /// The shortest that was refused.
    bad: Option<u64>,
    /// Answers since the last refusal.
    answers: u32,
}

impl Range {
    fn new(max: u64) -> Range {
        let max = max.max(1);
        Range { max, next: max, good: 1, bad: None, answers: 0 }
    }

    /// So many blocks were answered.
    fn answered(&mut self, blocks: u64) {
        self.answers = self.answers.saturating_add(1);
        if self.answers >= TRIED_AGAIN {
            (self.bad, self.answers) = (None, 0);
        }
        if blocks < self.next {
            // The end of the chain was nearer: it says nothing of longer ranges.
            return;
        }
        self.good = self.good.max(blocks);
        self.next = match self.bad {
            // Near enough: an eighth more is not worth a refused question.
            Some(bad) if bad - self.good.min(bad) <= self.good / 8 + 1 => self.good,
            Some(bad) => self.good.midpoint(bad),
            None => self.good.saturating_mul(2).min(self.max),
        };
    }

    /// So many blocks were too much.
    fn refused(&mut self, blocks: u64) {
        self.answers = 0;
        self.bad = Some(blocks.max(2));
        if self.good >= blocks {
            // What was answered before is too much by now.
            self.good = 1;
        }
        self.next = if self.good > 1 { self.good } else { (blocks / 2).max(1) };
    }
}

impl Scanner {
    /// A scanner that has read nothing.
    pub fn new(config: ScanConfig) -> Self {
        Self {
            range: Range::new(config.max_range),
            quiet: 0,
            config,
            phase: Phase::Rest { until: 0 },
            ageing: Ageing::default(),
            checkpoints: VecDeque::new(),
            complete: true,
            goal: None,
        }
    }

    /// A scanner that has read everything up to a block of this number and hash. When the chain has another block
    /// there, all is void, and it begins at the first block.
    pub fn behind(config: ScanConfig, number: u64, hash: Hash) -> Self {
        let (parent, timestamp) = (Hash::default(), 0);
        let mut scanner = Self::new(config);
        scanner.checkpoints.push_back(Header { number, hash, parent, timestamp });
        scanner
    }

    /// The last block that was read.
    pub fn scanned(&self) -> Option<&Header> {
        self.checkpoints.back()
    }

    /// The height that the finality rule reached when it was asked last.
    pub fn goal(&self) -> Option<u64> {
        self.goal
    }

    fn from(&self) -> u64 {
        self.scanned().map_or(self.config.first_block, |last| last.number.saturating_add(1))
    }

    /// The last block of the next range towards `goal`.
    fn range_end(&self, goal: u64) -> u64 {
        goal.min(self.from().saturating_add(self.range.next - 1))
    }

    /// The next question, or nothing until later. The same question comes again until it is
    /// answered.
    pub fn next(&mut self, now: u64) -> Option<Question> {
        if let Phase::Rest { until } = self.phase {
            if now < until {
                return None;
            }
            self.phase = Phase::Tag;
        }
        let at = |height| Some(Question::Header(At::Number(height)));
        match &self.phase {
            Phase::Rest { .. } => None,
            Phase::Tag => Some(Question::Header(self.config.finality.tag())),
            Phase::Depth(height) => at(*height),
            Phase::Seam { .. } => at(self.from()),
            Phase::End { goal, .. } => at(self.range_end(*goal)),
            Phase::Events { first, end, .. } => Some(Question::Logs(LogQuery {
                from: first.number,
                to: end.number,
                addresses: self.config.addresses.clone(),
                events: self.config.events.clone(),
            })),
            Phase::Verify { open, .. } => open.keys().next().copied().and_then(at),
            Phase::Probe => self.scanned().map(|header| header.number).and_then(at),
        }
    }

    /// The question asks for more than the endpoint gives in one answer: less will be asked, at once. False when less
    /// cannot be asked; it is then a question that was not answered.
    #[must_use]
    pub fn asks_less(&mut self) -> bool {
        match &self.phase {
            Phase::Events { goal, first, end } if end.number > first.number => {
                self.range.refused(end.number - first.number + 1);
                self.phase = Phase::Seam { goal: *goal, end: None };
                true
            }
            _ => false,
        }
    }

    /// The question was not answered: begin again with a fresh anchor.
    pub fn failed(&mut self, now: u64) {
        // A probe must be finished: what it asks about may be void.
        if !matches!(self.phase, Phase::Probe) {
            self.rest(now, self.config.poll_ms);
        }
    }

    /// Goes back to the end of a range that was read, or to the beginning, and reads what comes after it again, not
    /// before `until`.
    pub fn back_to(&mut self, end: Option<Header>, until: u64) {
        self.phase = Phase::Rest { until };
        let Some(end) = end else {
            self.checkpoints.clear();
            self.complete = true;
            return;
        };
        while self.scanned().is_some_and(|last| last.number > end.number) {
            self.checkpoints.pop_back();
        }
        if self.scanned() != Some(&end) {
            // Older than all that are remembered; when it does not stand any more either, the scanner is lost.
            self.checkpoints = VecDeque::from([end]);
            self.complete = false;
        }
    }

    /// Up to four times as long while nothing happens: most questions are asked of chains on which nothing happens.
    fn pause(&self) -> u64 {
        let times = 1 + u64::from(self.quiet / QUIET_STEP).min(3);
        self.config.poll_ms.saturating_mul(times)
    }

    fn rest(&mut self, now: u64, millis: u64) {
        self.phase = Phase::Rest { until: now.saturating_add(millis) };
    }

    /// Takes the answer to the last question.
    pub fn told(&mut self, told: Told, now: u64) -> Progress {
        let phase = std::mem::replace(&mut self.phase, Phase::Rest { until: now });
        match (phase, told) {
            (Phase::Tag, Told::Header(Some(tagged))) => self.tagged(&tagged, now),
            (Phase::Depth(height), Told::Header(Some(anchor))) if anchor.number == height => {
                self.anchored(&anchor, now)
            }
            (Phase::Seam { goal, end }, Told::Header(Some(first)))
                if first.number == self.from() =>
            {
                return self.seam(goal, end, first);
            }
            (Phase::End { goal, first }, Told::Header(Some(end))) => {
                if end.number == self.range_end(goal) {
                    self.phase = Phase::Events { goal, first, end };
                }
            }
            (Phase::Events { goal, first, end }, Told::Logs(logs)) => {
                self.range.answered(end.number.saturating_sub(first.number).saturating_add(1));
                self.phase = verify(goal, &first, end, logs)
                    .unwrap_or(Phase::Rest { until: now.saturating_add(self.config.poll_ms) });
            }
            (Phase::Verify { goal, end, logs, open }, Told::Header(header)) => {
                return self.verified(goal, end, logs, open, header, now);
            }
            (Phase::Probe, Told::Header(header)) => return self.probed(header),
            // No such block (yet), or an answer to another question: begin again.
            (Phase::Probe, _) => self.phase = Phase::Probe,
            _ => self.rest(now, self.config.poll_ms),
        }
        Progress::None
    }

    fn tagged(&mut self, tagged: &Header, now: u64) {
        match (self.config.finality.anchor, self.config.finality.height(tagged)) {
            (Anchor::Confirmations(_), Some(height)) => self.phase = Phase::Depth(height),
            (_, Some(_)) => self.anchored(tagged, now),
            (_, None) => self.rest(now, self.config.poll_ms),
        }
    }

    fn anchored(&mut self, anchor: &Header, now: u64) {
        let Some(goal) = self.ageing.reach(self.config.finality, anchor, now) else {
            return self.rest(now, self.config.poll_ms);
        };
        // Not the highest ever: an endpoint that once named a height that does not exist would be believed for ever.
        self.goal = Some(goal);
        if goal >= self.from() {
            let end = Some(*anchor).filter(|anchor| anchor.number == self.range_end(goal));
            self.phase = Phase::Seam { goal, end };
        } else {
            self.rest(now, self.pause());
        }
    }

    fn seam(&mut self, goal: u64, end: Option<Header>, first: Header) -> Progress {
        if self.scanned().is_some_and(|last| last.hash != first.parent) {
            self.phase = Phase::Probe;
        } else if let Some(end) = end.filter(|end| end.number > first.number) {
            self.phase = Phase::Events { goal, first, end };
        } else if self.range_end(goal) == first.number {
            self.phase = Phase::Events { goal, first, end: first };
        } else {
            self.phase = Phase::End { goal, first };
        }
        Progress::None
    }

    fn verified(
        &mut self,
        goal: u64,
        end: Header,
        logs: Vec<Log>,
        mut open: BTreeMap<u64, Hash>,
        header: Option<Header>,
        now: u64,
    ) -> Progress {
        let expected = open.pop_first();
        let holds = header.is_some_and(|header| expected == Some((header.number, header.hash)));
        if !holds {
            // The chain changed while it was read; nothing of this range was used yet.
            self.rest(now, self.config.poll_ms);
            return Progress::None;
        }
        if !open.is_empty() {
            self.phase = Phase::Verify { goal, end, logs, open };
            return Progress::None;
        }
        self.checkpoints.push_back(end);
        if self.checkpoints.len() > self.config.checkpoints.max(1) {
            self.checkpoints.pop_front();
            self.complete = false;
        }
        let caught_up = end.number >= goal;
        self.quiet = if logs.is_empty() { self.quiet.saturating_add(1) } else { 0 };
        if caught_up {
            self.rest(now, self.pause());
        } else {
            // With a fresh anchor: many servers know the state of recent blocks only, and who uses the events may
            // want to ask a contract about them at the anchor's height.
            self.phase = Phase::Tag;
        }
        Progress::Read { logs, to: end, caught_up }
    }

    /// The newest checkpoint still stands, or the one before it is asked about.
    fn probed(&mut self, header: Option<Header>) -> Progress {
        let stands = self.scanned().zip(header).filter(|(last, found)| last.hash == found.hash);
        if let Some(to) = stands.map(|(last, _)| last.number) {
            self.ageing.clear();
            return Progress::Rewound { to };
        }
        self.checkpoints.pop_back();
        if !self.checkpoints.is_empty() {
            self.phase = Phase::Probe;
            return Progress::None;
        }
        self.ageing.clear();
        if self.complete {
            // Everything was read under our eyes, so it can all be read again.
            return Progress::Rewound { to: self.config.first_block.saturating_sub(1) };
        }
        Progress::Lost
    }
}

/// The blocks to look at again: all that events name, and the end. Nothing when the events
/// contradict each other or the headers.
fn verify(goal: u64, first: &Header, end: Header, logs: Vec<Log>) -> Option<Phase> {
    // The end stands for all before it: each block names the hash of the one before.
    let mut open = BTreeMap::from([(end.number, end.hash)]);
    for log in &logs {
        if log.block < first.number || log.block > end.number {
            return None;
        }
        if *open.entry(log.block).or_insert(log.block_hash) != log.block_hash {
            return None;
        }
    }
    Some(Phase::Verify { goal, end, logs, open })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks until `blocks` are read of a server that refuses more than `limit` at once; returns how many questions were
    /// answered and refused.
    fn read(range: &mut Range, limit: u64, blocks: u64) -> (u32, u32) {
        let (mut read, mut answered, mut refused) = (0, 0, 0);
        while read < blocks {
            let asked = range.next.min(blocks - read);
            if asked > limit {
                range.refused(asked);
                refused += 1;
            } else {
                range.answered(asked);
                (read, answered) = (read + asked, answered + 1);
            }
        }
        (answered, refused)
    }

    #[test]
    fn the_limit_of_a_server_is_found_and_kept_to() {
        for limit in [1, 2, 7, 10, 100, 499, 1_000, 1_999] {
            let mut range = Range::new(2_000);
            let (_, refused) = read(&mut range, limit, 50 * limit);
            assert!(refused <= 18, "{limit}: {refused} refused on the way to the limit");
            let (answered, refused) = read(&mut range, limit, 200 * limit);
            let least = u32::try_from(200 * limit / limit).unwrap();
            assert!(answered <= least * 5 / 4 + 1, "{limit}: {answered} for what needs {least}");
            assert!(refused <= 8, "{limit}: {refused} refused where the limit is known");
        }
        let mut range = Range::new(2_000);
        assert_eq!(read(&mut range, u64::MAX, 10_000), (5, 0), "no limit, no caution");
    }

    #[test]
    fn a_limit_that_was_lifted_is_noticed_and_one_that_fell_is_too() {
        let mut range = Range::new(2_000);
        read(&mut range, 10, 1_000);
        assert!(range.next <= 10);
        read(&mut range, u64::MAX, 20 * u64::from(TRIED_AGAIN));
        assert_eq!(range.next, 2_000);
        let (_, refused) = read(&mut range, 3, 300);
        assert!(refused <= 16, "{refused}");
    }

    #[test]
    fn the_end_of_the_chain_says_nothing_of_the_limit() {
        let mut range = Range::new(2_000);
        range.refused(2_000);
        range.answered(1_000);
        let next = range.next;
        (0..50).for_each(|_| range.answered(1));
        assert_eq!(range.next, next);
    }
}
