//! Follows what happens in the node: shows it, and writes it down for tables and reports.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use zklink::id::{BlockNumber, ChainId, ShapeId};
use zklink::shape::shape;
use zklink_circuit::groth16::Stage;
use zklink_node::events::Event;

use crate::show::{Show, Work, group};

/// What is known of a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockRecord {
    /// Its shape.
    pub(crate) shape: ShapeId,
    /// Operations.
    pub(crate) ops: usize,
    /// Milliseconds for its witness.
    pub(crate) witness_ms: u64,
    /// Milliseconds for its proof.
    pub(crate) prove_ms: u64,
    /// The transactions that settled it, in order. One that settled several blocks is with each of them.
    pub(crate) transactions: Vec<Settled>,
}

/// A transaction of settlement.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    /// Where.
    pub(crate) chain: ChainId,
    /// What it did.
    pub(crate) step: String,
    /// The first and the last block that it is about; nothing for messages between chains.
    pub(crate) blocks: Option<(BlockNumber, BlockNumber)>,
    /// Its hash.
    pub(crate) hash: [u8; 32],
    /// The gas that it used.
    pub(crate) gas: u64,
}

impl Settled {
    /// The part of its gas that one block answers for: the same for each of its blocks.
    pub(crate) fn gas_of_block(&self) -> u64 {
        let blocks = self.blocks.map_or(1, |(first, last)| last.0.saturating_sub(first.0) + 1);
        self.gas / u64::from(blocks.max(1))
    }
}

/// Everything that was heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The blocks.
    pub(crate) blocks: BTreeMap<BlockNumber, BlockRecord>,
    /// Messages between chains that were delivered: they belong to no single block.
    pub(crate) messages: Vec<Settled>,
}

/// The record, shared with who listens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Record>>);

impl Log {
    /// What was heard so far.
    pub(crate) fn record(&self) -> Record {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        // Entries are whole even if a thread died while it held the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens until the node is gone.
pub(crate) async fn follow(mut events: Receiver<Event>, show: Show, log: Log) {
    let mut bars: BTreeMap<BlockNumber, Work> = BTreeMap::new();
    loop {
        match events.recv().await {
            Ok(event) => {
                note(&event, &log);
                tell(event, &show, &mut bars);
            }
            // Only bars move so fast that events are missed; what they end with comes again.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn note(event: &Event, log: &Log) {
    let mut record = log.lock();
    match event {
        Event::BlockSealed { number, shape, ops } => {
            let block = record.blocks.entry(*number).or_default();
            (block.shape, block.ops) = (*shape, *ops);
        }
        Event::WitnessMade { number, millis } => {
            record.blocks.entry(*number).or_default().witness_ms = *millis;
        }
        Event::Proven { number, millis } => {
            record.blocks.entry(*number).or_default().prove_ms = *millis;
        }
        Event::Settled { chain, step, blocks, hash, gas, .. } => {
            let (step, blocks) = (step.clone(), *blocks);
            let settled = Settled { chain: *chain, step, blocks, hash: *hash, gas: *gas };
            match blocks {
                Some((first, last)) => {
                    for number in (first.0..=last.0).map(BlockNumber) {
                        let block = record.blocks.entry(number).or_default();
                        block.transactions.push(settled.clone());
                    }
                }
                None => record.messages.push(settled),
            }
        }
        Event::Proving { .. } | Event::DepositFinal { .. } => {}
    }
}

fn tell(event: Event, show: &Show, bars: &mut BTreeMap<BlockNumber, Work>) {
    match event {
        Event::DepositFinal { chain, serial, .. } => {
            show.line(format!("  chain {chain}: deposit {serial} is final"));
        }
        Event::BlockSealed { number, shape: id, ops } => {
            let name = shape(id).map_or("unknown", |shape| shape.name);
            let plural = if ops == 1 { "" } else { "s" };
            show.line(format!("  block {number} sealed: {ops} operation{plural}, shape {name}"));
        }
        Event::WitnessMade { number, millis } => {
            show.line(format!("  block {number} witness made in {millis} ms"));
        }
        Event::Proving { number, stage, done } => {
            let bar = bars.entry(number).or_insert_with(|| show.bar("proving"));
            bar.say(&format!("proving block {number}: {}", words(stage)));
            bar.share(done);
        }
        Event::Proven { number, millis } => {
            bars.remove(&number);
            show.line(format!("  block {number} proven in {:.1} s", seconds(millis)));
        }
        Event::Settled { chain, step, blocks, gas, success, .. } => {
            let of = match blocks {
                Some((first, last)) if first == last => format!(" block {first}"),
                Some((first, last)) => format!(" blocks {first} to {last}"),
                None => String::new(),
            };
            let failed = if success { "" } else { "  FAILED" };
            let gas = group(&gas.to_string());
            show.line(format!("  chain {chain}: {step}{of}, {gas} gas{failed}"));
        }
    }
}

/// Milliseconds as seconds, for people.
pub(crate) fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Witness => "running the circuit",
        Stage::Constraints => "checking constraints",
        Stage::Quotient => "quotient",
        Stage::PointA => "point A",
        Stage::PointB => "point B",
        Stage::PointC => "point C",
        Stage::Verification => "verifying",
    }
}
