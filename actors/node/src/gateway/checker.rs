//! The checker of signatures: takes what waits, and checks it together.
//!
//! It stands before the builder, on threads of its own: what a stranger signs wrongly costs the builder nothing. A
//! transaction waits a moment for others, because a signature costs a fraction among them, and what is checked together
//! also goes through the builder, to the disk and to the view together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use zklink::reject::Reject;
use zklink::state::{DeploymentId, State};
use zklink::token::Network;
use zklink::tx::{CheckedTx, KeyAuthorisations, SignedTx, Tx, TxHash};

use crate::builder::ViewReader;

/// Transactions that may wait to be checked; beyond them the node is overloaded.
const WAITING_MAX: usize = 4_096;
/// Transactions that are checked together: in a sum, a wrong signature among them makes all of them dearer.
const TOGETHER_MAX: usize = 64;
/// With so many nobody waits for more.
const ENOUGH: usize = 16;
/// How long the first one waits for others.
const GATHERING: Duration = Duration::from_millis(2);

/// What was found out about a transaction.
pub(super) type Checked = Result<CheckedTx, Wrong>;

/// Why a transaction goes no further.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It cannot even be hashed.
    Form(Reject),
    /// Its signature is wrong, or what a state asks of it first.
    Signature(TxHash, Reject),
    /// Too many wait.
    Overloaded,
    /// The check itself failed.
    Failed,
}

/// A transaction that waits.
struct Waiting {
    signed: SignedTx,
    reply: oneshot::Sender<Checked>,
}

/// See the module. Its threads end with the last copy of it.
#[derive(Clone)]
pub(super) struct Checker {
    queue: mpsc::Sender<Waiting>,
}

impl Checker {
    /// Starts the threads: one for every two cores.
    pub(super) fn start(view: ViewReader, network: Arc<Network>) -> Checker {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.div_ceil(2) {
            let (waiting, view, network) =
                (Arc::clone(&waiting), view.clone(), Arc::clone(&network));
            std::thread::spawn(move || {
                while let Some(batch) = next_batch(&waiting) {
                    // A panic is one of this batch, which is answered by that; the next one must be checked all the
                    // same.
                    let checked = AssertUnwindSafe(|| check(batch, &view, &network));
                    if catch_unwind(checked).is_err() {
                        tracing::error!("the check of signatures panicked");
                    }
                }
            });
        }
        Checker { queue }
    }

    /// Has a transaction checked.
    pub(super) async fn check(&self, signed: SignedTx) -> Checked {
        let (reply, checked) = oneshot::channel();
        self.queue.try_send(Waiting { signed, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Wrong::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Wrong::Failed,
        })?;
        checked.await.unwrap_or(Err(Wrong::Failed))
    }
}

/// Waits for a transaction, and takes those that wait behind it; nothing at the end.
fn next_batch(waiting: &Mutex<mpsc::Receiver<Waiting>>) -> Option<Vec<Waiting>> {
    let mut queue = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut batch = vec![queue.blocking_recv()?];
    if queue.len() < ENOUGH {
        std::thread::sleep(GATHERING);
    }
    while batch.len() < TOGETHER_MAX
        && let Ok(next) = queue.try_recv()
    {
        batch.push(next);
    }
    Some(batch)
}

fn check(batch: Vec<Waiting>, view: &ViewReader, network: &Network) {
    let (signed, replies): (Vec<SignedTx>, Vec<_>) =
        batch.into_iter().map(|waiting| (waiting.signed, waiting.reply)).unzip();
    // A copy costs nothing, and nobody waits for the signatures.
    let state = view.read().state.clone();
    let signers: Vec<_> = signed.iter().map(|tx| tx.signer(&state)).collect();
    let deployment: DeploymentId = state.system.deployment;
    let mut formed = CheckedTx::new_each(signed, deployment, network);
    let known = formed.iter_mut().zip(&signers);
    let known = known.filter_map(|(tx, signer)| Some((tx.as_mut().ok()?, (*signer)?)));
    let mut results = CheckedTx::check_each(known).into_iter();
    for ((tx, signer), reply) in formed.into_iter().zip(signers).zip(replies) {
        let checked = tx.map_err(Wrong::Form).and_then(|tx| {
            // Whom the state does not know yet, the builder will check.
            let result = signer.map_or(Ok(()), |_| results.next().expect("one for each signer"));
            match result {
                Ok(()) => Ok(tx),
                Err(reject) => Err(refused(&tx, reject, &state, network)),
            }
        });
        // Whoever does not wait any more has hung up.
        drop(reply.send(checked));
    }
}

/// What else is wrong with a transaction comes first, as in the builder. Of a key change that is the owner's signature,
/// which is dear.
fn refused(tx: &CheckedTx, reject: Reject, state: &State, network: &Network) -> Wrong {
    let first = match &tx.signed().tx {
        Tx::ChangePubKey(_) => None,
        Tx::Transfer(_) | Tx::Withdraw(_) => {
            tx.verify_unsigned(state, network, &KeyAuthorisations::default()).err()
        }
    };
    Wrong::Signature(tx.hash(), first.unwrap_or(reject))
}
