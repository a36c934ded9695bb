//! What users have sent to the node, and what they were told. It outlives the node: a user whose question was lost asks
//! again, as the RPC's clients do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zklink::reject::Reject;
use zklink::tx::{CheckedTx, SignedTx, TxHash};
use zklink_mechanism::port::{Pending, Port, ReplyTo};
use zklink_mechanism::timestamp::Timestamp;
use zklink_node::builder::{Receipt, Refusal, Submit, ViewReader};

use crate::network::{DEPLOYMENT, network};

/// How long a user waits before a question is repeated, virtual milliseconds.
const AGAIN_MS: u64 = 300;

/// The way to the node, while it runs.
#[derive(Clone, Debug)]
pub struct NodeAccess {
    /// Takes transactions.
    pub submit: Port<Submit>,
    /// Shows the executed state.
    pub view: ViewReader,
}

/// What a user knows of a transaction.
#[derive(Debug)]
enum State {
    Waiting(Timestamp),
    Asked(Pending<Result<Receipt, Refusal>>),
    Accepted(Receipt),
    Rejected(Reject),
}

#[derive(Debug)]
struct Sent {
    lane: usize,
    tx: SignedTx,
    hash: TxHash,
    patient: bool,
    state: State,
}

#[derive(Debug, Default)]
struct Inner {
    node: Option<NodeAccess>,
    sent: Vec<Sent>,
    open: Vec<usize>,
    busy: Busy,
}

/// How often the node asked to come back later.
#[derive(Debug, Default)]
struct Busy {
    overloaded: u64,
    behind: u64,
}

/// See the module. Clones are the same requests.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Mutex<Inner>>);

impl Requests {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to the node; nothing while none runs.
    pub fn node(&self) -> Option<NodeAccess> {
        self.inner().node.clone()
    }

    /// The node that runs from now on, or that none does.
    pub fn set_node(&self, node: Option<NodeAccess>) {
        self.inner().node = node;
    }

    /// Sends a transaction. Those of one lane go one after the other. A patient user repeats also what was rejected.
    pub fn send(&self, lane: usize, tx: SignedTx, patient: bool) -> TxHash {
        let hash = tx.tx.hash(DEPLOYMENT, &network()).expect("the fields are in range");
        let mut inner = self.inner();
        let number = inner.sent.len();
        inner.sent.push(Sent { lane, tx, hash, patient, state: State::Waiting(Timestamp(0)) });
        inner.open.push(number);
        hash
    }

    /// Whether nothing of a lane is open.
    pub fn is_idle(&self, lane: usize) -> bool {
        let inner = self.inner();
        inner.open.iter().all(|number| inner.sent[*number].lane != lane)
    }

    /// Number of transactions that have no final answer.
    pub fn open(&self) -> usize {
        self.inner().open.len()
    }

    /// How often the node said that it was overloaded.
    pub fn overloaded(&self) -> u64 {
        self.inner().busy.overloaded
    }

    /// How often the node said that settlement is behind.
    pub fn behind(&self) -> u64 {
        self.inner().busy.behind
    }

    /// All receipts.
    pub fn accepted(&self) -> Vec<Receipt> {
        let inner = self.inner();
        let receipts = inner.sent.iter().filter_map(|sent| match &sent.state {
            State::Accepted(receipt) => Some(*receipt),
            _ => None,
        });
        receipts.collect()
    }

    /// All rejections.
    pub fn rejected(&self) -> Vec<(TxHash, Reject)> {
        let inner = self.inner();
        let rejected = inner.sent.iter().filter_map(|sent| match &sent.state {
            State::Rejected(reject) => Some((sent.hash, reject.clone())),
            _ => None,
        });
        rejected.collect()
    }

    /// Whether a transaction was acknowledged.
    pub fn is_accepted(&self, hash: TxHash) -> bool {
        self.accepted().iter().any(|receipt| receipt.hash == hash)
    }

    /// Asks what is to be asked, and hears what was answered.
    pub fn beat(&self, now: Timestamp) {
        let mut inner = self.inner();
        let Inner { node, sent, open, busy } = &mut *inner;
        let mut lanes = BTreeSet::new();
        for number in open.iter() {
            let sent = &mut sent[*number];
            if lanes.insert(sent.lane) {
                sent.beat(node.as_ref(), now, busy);
            }
        }
        open.retain(|number| {
            !matches!(sent[*number].state, State::Accepted(_) | State::Rejected(_))
        });
    }
}

impl Sent {
    fn beat(&mut self, node: Option<&NodeAccess>, now: Timestamp, busy: &mut Busy) {
        let Busy { overloaded, behind } = busy;
        match &mut self.state {
            State::Waiting(due) if now >= *due => {
                let Some(node) = node else { return };
                let (reply, pending) = ReplyTo::new();
                let tx = CheckedTx::new(self.tx.clone(), DEPLOYMENT, &network());
                let tx = Box::new(tx.expect("users of the World sign what has a form"));
                let submit = Submit { tx, reply };
                match node.submit.tell(submit) {
                    Ok(()) => self.state = State::Asked(pending),
                    Err(_) => {
                        *overloaded += 1;
                        self.state = State::Waiting(now.after(AGAIN_MS));
                    }
                }
            }
            State::Asked(pending) => {
                let Some(answer) = pending.poll_now() else { return };
                self.state = match answer {
                    Ok(Ok(receipt)) => State::Accepted(receipt),
                    Ok(Err(Refusal::Rejected(reject))) if !self.patient => State::Rejected(reject),
                    Ok(Err(refusal)) => {
                        *overloaded += u64::from(refusal == Refusal::Overloaded);
                        *behind += u64::from(matches!(refusal, Refusal::SettlementBehind { .. }));
                        State::Waiting(now.after(AGAIN_MS))
                    }
                    Err(_) => State::Waiting(now.after(AGAIN_MS)),
                };
            }
            State::Waiting(_) | State::Accepted(_) | State::Rejected(_) => {}
        }
    }
}
