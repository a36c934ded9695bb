//! The chain behind a lock, its miner, its server and the handle.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use alloy_primitives::{Address, B256, U256};
use jsonrpsee::server::ServerHandle;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;

use crate::chain::{Chain, ChainEvent};
use crate::config::{DevChainConfig, Limits, Mining};
use crate::error::{ChainError, StartError};
use crate::rpc;

/// Events that a slow subscriber may be behind before it is cut off.
const EVENTS_BEHIND: usize = 1024;

/// The chain and the snapshots of it.
struct Timeline {
    chain: Chain,
    snapshots: BTreeMap<u64, Chain>,
    next_snapshot: u64,
    mining: Mining,
}

/// What server, miner and handle share.
pub(crate) struct Node {
    timeline: RwLock<Timeline>,
    events: broadcast::Sender<ChainEvent>,
    /// Tells the miner that a transaction came or the way of mining changed.
    wake: Notify,
    limits: Limits,
}

impl Node {
    fn new(config: Arc<DevChainConfig>) -> Self {
        let (limits, mining) = (config.limits.clone(), config.mining);
        let chain = Chain::new(config);
        let timeline = Timeline { chain, snapshots: BTreeMap::new(), next_snapshot: 0, mining };
        let (events, _) = broadcast::channel(EVENTS_BEHIND);
        Self { timeline: RwLock::new(timeline), events, wake: Notify::new(), limits }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }

    pub(crate) fn read<R>(
        &self,
        look: impl FnOnce(&Chain) -> Result<R, ChainError>,
    ) -> Result<R, ChainError> {
        look(&self.timeline.read().map_err(|_| ChainError::Broken)?.chain)
    }

    fn change<R>(
        &self,
        change: impl FnOnce(&mut Timeline) -> Result<R, ChainError>,
    ) -> Result<R, ChainError> {
        change(&mut *self.timeline.write().map_err(|_| ChainError::Broken)?)
    }

    pub(crate) fn write<R>(
        &self,
        change: impl FnOnce(&mut Chain) -> Result<R, ChainError>,
    ) -> Result<R, ChainError> {
        self.change(|timeline| change(&mut timeline.chain))
    }

    /// Changes the chain and tells subscribers what happened, in order: the lock is held until the
    /// events are in the channel.
    fn publish(
        &self,
        change: impl FnOnce(&mut Timeline) -> Result<Vec<ChainEvent>, ChainError>,
    ) -> Result<(), ChainError> {
        self.change(|timeline| {
            for event in change(timeline)? {
                // No receiver is no error: nobody has subscribed.
                let _ = self.events.send(event);
            }
            Ok(())
        })
    }

    pub(crate) fn submit(&self, raw: &[u8]) -> Result<B256, ChainError> {
        let hash = self.write(|chain| chain.submit(raw))?;
        self.wake.notify_one();
        Ok(hash)
    }

    /// Mines blocks from what waits, each `interval` seconds of chain time after the one before.
    pub(crate) fn mine(&self, blocks: u64, interval: u64) -> Result<(), ChainError> {
        let limit = self.limits.mine_blocks;
        if blocks > limit {
            return Err(ChainError::MineBlocks { asked: blocks, limit });
        }
        for index in 0..blocks {
            self.publish(|timeline| {
                if index > 0 && interval > 0 {
                    timeline.chain.clock.increase(interval)?;
                }
                Ok(vec![timeline.chain.mine(&[], true)])
            })?;
        }
        Ok(())
    }

    pub(crate) fn rollback(&self, depth: u64) -> Result<(), ChainError> {
        self.publish(|timeline| Ok(timeline.chain.rollback(depth)?.0))
    }

    pub(crate) fn reorg(
        &self,
        depth: u64,
        placed: &[(Vec<u8>, u64)],
        keep: bool,
    ) -> Result<(), ChainError> {
        self.publish(|timeline| timeline.chain.reorg(depth, placed, keep))
    }

    pub(crate) fn snapshot(&self) -> Result<u64, ChainError> {
        self.change(|timeline| {
            while timeline.snapshots.len() >= self.limits.snapshots.max(1) {
                timeline.snapshots.pop_first();
            }
            let id = timeline.next_snapshot;
            timeline.next_snapshot += 1;
            timeline.snapshots.insert(id, timeline.chain.clone());
            Ok(id)
        })
    }

    /// Goes back to a snapshot, which is used up by it, as are all later ones. This is time travel
    /// and not an event of the chain: it may cross finality, and subscribers are not told.
    pub(crate) fn revert(&self, id: u64) -> Result<bool, ChainError> {
        let found = self.change(|timeline| {
            let mut later = timeline.snapshots.split_off(&id);
            let Some(chain) = later.remove(&id) else {
                timeline.snapshots.append(&mut later);
                return Ok(false);
            };
            timeline.chain = chain;
            Ok(true)
        })?;
        self.wake.notify_one();
        Ok(found)
    }

    pub(crate) fn set_mining(&self, mining: Mining) -> Result<(), ChainError> {
        self.change(|timeline| {
            timeline.mining = mining;
            Ok(())
        })?;
        self.wake.notify_one();
        Ok(())
    }

    fn wake_if_ready(&self) {
        // A broken chain has nothing ready; the miner learns of it at its next block.
        if self.read(|chain| Ok(chain.is_ready())).unwrap_or(false) {
            self.wake.notify_one();
        }
    }

    /// What the miner does when it is woken (`due` is false) or when a block is due.
    fn tick(&self, due: bool) -> Result<bool, ChainError> {
        let mut mined = false;
        self.publish(|timeline| {
            mined = match timeline.mining {
                Mining::Auto => due || timeline.chain.is_ready(),
                Mining::Interval => due,
                Mining::Manual => false,
            };
            Ok(if mined { vec![timeline.chain.mine(&[], true)] } else { Vec::new() })
        })?;
        Ok(mined)
    }
}

/// Makes blocks until it is told to stop or the chain breaks.
async fn run_miner(node: Arc<Node>, period: std::time::Duration, mut stop: watch::Receiver<bool>) {
    let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due = tokio::select! {
            biased;
            // An error means that the handle is gone, which stops the chain as well.
            _ = stop.changed() => return,
            () = node.wake.notified() => false,
            _ = timer.tick() => true,
        };
        // Executing a block can take long, so it must not block the thread of other tasks.
        let ticking = Arc::clone(&node);
        let ticked = tokio::task::spawn_blocking(move || ticking.tick(due)).await;
        match ticked {
            Ok(Ok(true)) => {
                timer.reset();
                // A block that was full leaves transactions behind: go on at once.
                node.wake_if_ready();
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => return tracing::error!(%error, "the miner stops"),
            Err(error) => return tracing::error!(%error, "the miner panicked; the chain is broken"),
        }
    }
}

/// Starts development chains.
#[derive(Debug)]
pub struct DevChain;

impl DevChain {
    /// Starts a chain on the current tokio runtime, and returns once it answers.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    ///
    /// # Errors
    /// A configuration that makes no sense, or an address that cannot be served on.
    pub async fn start(config: DevChainConfig) -> Result<DevChainHandle, StartError> {
        config.check()?;
        let config = Arc::new(config);
        let node = Arc::new(Node::new(Arc::clone(&config)));
        let (server, address) = rpc::serve(Arc::clone(&node), &config).await?;
        let (stop, stopped) = watch::channel(false);
        let miner = tokio::spawn(run_miner(Arc::clone(&node), config.block_time, stopped));
        tracing::info!(chain_id = config.chain_id, %address, "development chain started");
        Ok(DevChainHandle { node, config, address, server, stop, miner })
    }
}

/// A running chain, and what a developer may do with it. Dropping it stops the chain.
///
/// The methods that are not async wait for a block that is being made (milliseconds), and what
/// they did is visible to every client when they return.
pub struct DevChainHandle {
    node: Arc<Node>,
    config: Arc<DevChainConfig>,
    address: SocketAddr,
    server: ServerHandle,
    stop: watch::Sender<bool>,
    miner: JoinHandle<()>,
}

impl std::fmt::Debug for DevChainHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevChainHandle")
            .field("chain_id", &self.config.chain_id)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl DevChainHandle {
    /// The chain id.
    pub fn chain_id(&self) -> u64 {
        self.config.chain_id
    }

    /// Where the chain is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for HTTP clients.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address for WebSocket clients.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Number of the latest block.
    ///
    /// # Errors
    /// [`ChainError::Broken`], as for every method here.
    pub fn latest(&self) -> Result<u64, ChainError> {
        self.node.read(|chain| Ok(chain.latest()))
    }

    /// Number of the newest final block, if there is one.
    ///
    /// # Errors
    /// [`ChainError::Broken`].
    pub fn finalized(&self) -> Result<Option<u64>, ChainError> {
        self.node.read(|chain| Ok(chain.finalized()))
    }

    /// Mines blocks now, the first of them from what waits.
    ///
    /// # Errors
    /// More blocks than [`Limits::mine_blocks`].
    pub fn mine(&self, blocks: u64) -> Result<(), ChainError> {
        self.node.mine(blocks, 0)
    }

    /// Replaces the newest `depth` blocks by as many others. Transactions of the old blocks go
    /// into the new ones as far as they still can, but their block hashes and numbers change.
    ///
    /// # Errors
    /// [`ChainError::Finality`] when a final block would go.
    pub fn reorg(&self, depth: u64) -> Result<(), ChainError> {
        self.node.reorg(depth, &[], true)
    }

    /// Replaces the newest `depth` blocks by as many others that hold only the given signed
    /// transactions, each in the new block of its index (from 0). What was in the old blocks is
    /// lost. This is `anvil_reorg`.
    ///
    /// # Errors
    /// [`ChainError::Finality`] when a final block would go, [`ChainError::ReorgBlock`] for an
    /// index beyond the last new block, or what is wrong with a transaction.
    pub fn reorg_with(&self, depth: u64, placed: &[(Vec<u8>, u64)]) -> Result<(), ChainError> {
        self.node.reorg(depth, placed, false)
    }

    /// Takes back the newest `depth` blocks. Their transactions are lost.
    ///
    /// # Errors
    /// [`ChainError::Finality`] when a final block would go.
    pub fn rollback(&self, depth: u64) -> Result<(), ChainError> {
        self.node.rollback(depth)
    }

    /// Keeps the whole chain as it is now, and returns the number to revert to it with.
    ///
    /// # Errors
    /// [`ChainError::Broken`].
    pub fn snapshot(&self) -> Result<u64, ChainError> {
        self.node.snapshot()
    }

    /// Goes back to a snapshot; false if it is unknown or was used already. This is time travel,
    /// not a reorganisation: it may cross finality and subscribers are not told.
    ///
    /// # Errors
    /// [`ChainError::Broken`].
    pub fn revert(&self, snapshot: u64) -> Result<bool, ChainError> {
        self.node.revert(snapshot)
    }

    /// Moves the chain's clock forward; seen from the next block on.
    ///
    /// # Errors
    /// [`ChainError::Time`] when it would be too far.
    pub fn increase_time(&self, seconds: u64) -> Result<(), ChainError> {
        self.node.write(|chain| chain.clock.increase(seconds).map(|_| ()))
    }

    /// Sets the balance of an account, wei.
    ///
    /// # Errors
    /// [`ChainError::Broken`].
    pub fn set_balance(&self, address: Address, balance: U256) -> Result<(), ChainError> {
        self.node.write(|chain| {
            chain.set_balance(address, balance);
            Ok(())
        })
    }

    /// Changes when blocks are made.
    ///
    /// # Errors
    /// [`ChainError::Broken`].
    pub fn set_mining(&self, mining: Mining) -> Result<(), ChainError> {
        self.node.set_mining(mining)
    }

    /// Stops miner and server, and returns when both are gone and the port is free.
    pub async fn stop(self) {
        // The miner may be gone already, and a server that stopped by itself is stopped too.
        let _ = self.stop.send(true);
        let _ = self.miner.await;
        let _ = self.server.stop();
        self.server.stopped().await;
    }
}
