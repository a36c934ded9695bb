//! What happens in the node, for people who watch: the demo, the log, later subscriptions.
//!
//! Nothing depends on an event being heard. A slow listener misses the oldest ones and is told how many.

use tokio::sync::broadcast;
use zklink::id::{BlockNumber, ChainId, ShapeId};
use zklink_circuit::groth16::Stage;

/// Events that wait for a slow listener.
const BACKLOG: usize = 1024;

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A block was sealed.
    BlockSealed {
        /// The block.
        number: BlockNumber,
        /// Its shape.
        shape: ShapeId,
        /// Operations in it, Noops not counted.
        ops: usize,
    },
    /// The witness of a block was made.
    WitnessMade {
        /// The block.
        number: BlockNumber,
        /// How long that took, in milliseconds.
        millis: u64,
    },
    /// A prover is at work.
    Proving {
        /// The block.
        number: BlockNumber,
        /// What it does.
        stage: Stage,
        /// The share of the work that is done, 0 to 1.
        done: f32,
    },
    /// A proof was accepted by the feed.
    Proven {
        /// The block.
        number: BlockNumber,
        /// How long the prover took, in milliseconds.
        millis: u64,
    },
    /// A transaction of the settlement was mined.
    Settled {
        /// The chain.
        chain: ChainId,
        /// What it did, such as `commit` or `prove`.
        step: String,
        /// The block of L2 that it belongs to, if it does.
        number: Option<BlockNumber>,
        /// The transaction on the chain.
        hash: [u8; 32],
        /// Gas that it used.
        gas: u64,
        /// Whether it succeeded.
        success: bool,
    },
}

/// Where events are told and heard.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Events {
    /// Nobody listens yet.
    pub fn new() -> Events {
        Events(broadcast::channel(BACKLOG).0)
    }

    /// Tells an event. That nobody listens is no error.
    pub fn tell(&self, event: Event) {
        drop(self.0.send(event));
    }

    /// Hears what is told from now on.
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}
