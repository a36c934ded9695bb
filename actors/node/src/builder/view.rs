//! What readers see of the builder: a copy of its state, which shares with it all that is equal, and the open block.
//!
//! The builder never waits for a reader: where one is looking, the news waits for the next turn.
//! What is seen was executed, and is on disk a moment later; a crash in between takes it back
//! for everybody, and nobody was told that it was accepted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use zklink::op::Op;
use zklink::state::State;
use zklink::tx::TxHash;
use zklink_store::record::Source;

use super::ledger::Place;

/// An operation of the open block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The operation.
    pub op: Op,
    /// What it came from.
    pub source: Source,
    /// Where it stands.
    pub place: Place,
}

/// One step of the builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An operation was executed.
    Executed(Box<Executed>),
    /// The open block was sealed.
    Sealed,
}

/// What readers see.
#[derive(Debug, Default)]
pub struct View {
    /// The executed state: sealed blocks and the open one.
    pub state: State,
    /// The operations of the open block, in order.
    pub open: Vec<Executed>,
    by_hash: BTreeMap<TxHash, usize>,
}

impl View {
    /// A view of a state between two blocks.
    pub fn of(state: State) -> View {
        View { state, ..View::default() }
    }

    /// The transaction or deposit with this hash, if it is in the open block.
    pub fn open_tx(&self, hash: TxHash) -> Option<&Executed> {
        self.by_hash.get(&hash).and_then(|index| self.open.get(*index))
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Executed(executed) => {
                self.by_hash.insert(executed.source.hash(), self.open.len());
                self.open.push(*executed);
            }
            Step::Sealed => {
                self.open.clear();
                self.by_hash.clear();
            }
        }
    }
}

/// A handle for readers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ViewReader(Arc<RwLock<View>>);

impl ViewReader {
    /// Looks at the view. Look briefly: news waits meanwhile.
    pub fn read(&self) -> RwLockReadGuard<'_, View> {
        // A poisoned lock means that `follow` panicked, and the builder with it: the node stops.
        // Until then the last whole step is still a truthful answer.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The builder's end of the view.
#[derive(Debug)]
pub struct Publisher {
    view: ViewReader,
    news: VecDeque<Step>,
}

impl Publisher {
    /// A publisher of this view.
    pub fn new(view: View) -> Publisher {
        let view = ViewReader(Arc::new(RwLock::new(view)));
        Publisher { view, news: VecDeque::new() }
    }

    /// A handle for readers.
    pub fn reader(&self) -> ViewReader {
        self.view.clone()
    }

    /// Notes a step; [`Publisher::publish`] shows it.
    pub fn note(&mut self, step: Step) {
        self.news.push_back(step);
    }

    /// Shows all that was noted, and the state to which it led, unless a reader is looking just now.
    pub fn publish(&mut self, state: &State) {
        if self.news.is_empty() {
            return;
        }
        if let Ok(mut view) = self.view.0.try_write() {
            self.news.drain(..).for_each(|step| view.follow(step));
            view.state = state.clone();
        }
    }

    /// Number of steps that are not shown yet.
    pub fn waiting(&self) -> usize {
        self.news.len()
    }
}
