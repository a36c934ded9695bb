//! The drivers that read chains: of watchers and of attesters.

use std::sync::{Arc, Mutex};

use zklink_chain::client::ChainClient;
use zklink_mechanism::port::{Message, Pending, Port};
use zklink_mechanism::timestamp::Timestamp;
use zklink_node::watcher::driver::{Contract, answer as answer_watcher};
use zklink_node::watcher::{self, ChainStatus};
use zklink_settlement::attester::driver::{Line, answer as answer_attester};
use zklink_settlement::attester::{self, AttesterStatus};

use super::{Driver, at_once, pause_ms};

/// A machine that says what to ask a chain, and is told the answer.
pub trait Reader: Send + 'static {
    /// Asks for the next request.
    type Next: Message<Reply = Option<Self::Request>>;
    /// A request.
    type Request: Send + 'static;
    /// Tells the answer.
    type Outcome: Message;

    /// The question for the next request.
    fn next(&self) -> Self::Next;
    /// Does what was asked for; says whether the chain failed.
    fn answer(&self, request: &Self::Request) -> (Self::Outcome, bool);
    /// Requests in a row that failed, from the machine's reply.
    fn failures(&self, reply: <Self::Outcome as Message>::Reply) -> u32;
}

/// The pull loop around a [`Reader`].
pub struct ReadLoop<R: Reader> {
    reader: R,
    next: Port<R::Next>,
    outcome: Port<R::Outcome>,
    asked: Option<Pending<Option<R::Request>>>,
    told: Option<(Pending<<R::Outcome as Message>::Reply>, bool)>,
    due: Timestamp,
    period_ms: u64,
}

impl<R: Reader> ReadLoop<R> {
    /// A loop that pauses for `period_ms` when there is nothing to ask.
    pub fn new(reader: R, next: Port<R::Next>, outcome: Port<R::Outcome>, period_ms: u64) -> Self {
        let (asked, told, due) = (None, None, Timestamp(0));
        Self { reader, next, outcome, asked, told, due, period_ms }
    }

    fn rest(&mut self, now: Timestamp, failures: u32) {
        self.due = now.after(pause_ms(self.period_ms, failures));
    }
}

impl<R: Reader> Driver for ReadLoop<R> {
    fn beat(&mut self, now: Timestamp) {
        if let Some((told, failed)) = &mut self.told {
            let Some(reply) = told.poll_now() else { return };
            let failures = reply.map(|reply| self.reader.failures(reply)).unwrap_or_default();
            if *failed {
                self.rest(now, failures);
            }
            self.told = None;
        }
        if let Some(asked) = &mut self.asked {
            let Some(reply) = asked.poll_now() else { return };
            self.asked = None;
            let Ok(Some(request)) = reply else { return self.rest(now, 0) };
            let (outcome, failed) = self.reader.answer(&request);
            self.told = self.outcome.ask(outcome).ok().map(|pending| (pending, failed));
            return;
        }
        if now >= self.due {
            self.asked = self.next.ask(self.reader.next()).ok();
        }
    }
}

/// The status of a watcher, for tests.
pub type SharedStatus = Arc<Mutex<Option<ChainStatus>>>;

/// Reads for a watcher.
pub struct WatcherReader {
    /// The chain.
    pub client: Arc<dyn ChainClient>,
    /// The contract there.
    pub contract: Contract,
    /// Where the last status is shown.
    pub status: SharedStatus,
}

impl Reader for WatcherReader {
    type Next = watcher::NextRequest;
    type Request = watcher::Request;
    type Outcome = watcher::Outcome;

    fn next(&self) -> Self::Next {
        watcher::NextRequest
    }

    fn answer(&self, request: &Self::Request) -> (Self::Outcome, bool) {
        let response = at_once(answer_watcher(&*self.client, &self.contract, request));
        let failed = matches!(response, watcher::Response::Failed(_));
        (watcher::Outcome(response), failed)
    }

    fn failures(&self, reply: ChainStatus) -> u32 {
        let failures = reply.failures;
        *self.status.lock().expect("no holder of this lock panics") = Some(reply);
        failures
    }
}

/// Reads for an attester.
pub struct AttesterReader {
    /// The chain.
    pub line: Line,
}

impl Reader for AttesterReader {
    type Next = attester::NextRequest;
    type Request = attester::Request;
    type Outcome = attester::Outcome;

    fn next(&self) -> Self::Next {
        attester::NextRequest(self.line.chain)
    }

    fn answer(&self, request: &Self::Request) -> (Self::Outcome, bool) {
        let response = at_once(answer_attester(&self.line, request));
        let failed = matches!(response, attester::Response::Failed(_));
        (attester::Outcome(self.line.chain, response), failed)
    }

    fn failures(&self, reply: Option<AttesterStatus>) -> u32 {
        reply.map(|status| status.failures).unwrap_or_default()
    }
}
