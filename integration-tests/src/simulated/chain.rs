//! A simulated chain: blocks with hashes and parents, a pool of transactions, finality, reorganisations.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use zklink::token::Address;
use zklink::tx::keccak;
use zklink_chain::client::{At, Call, Hash, Header, Log, LogQuery};
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::world::Seed;

use super::abi;
use super::contracts::{Refused, SimulatedContracts};

/// Blocks whose contracts can still be asked.
const SNAPSHOTS: usize = 192;

/// A transaction.
#[derive(Clone, Debug)]
pub struct SimulatedTx {
    /// Its hash.
    pub hash: Hash,
    /// Who sent it.
    pub from: Address,
    /// Its place among the transactions of the sender, which are mined in this order.
    pub nonce: u64,
    /// What it does.
    pub call: Call,
}

/// A block.
#[derive(Clone, Debug)]
pub struct SimulatedBlock {
    /// Its header.
    pub header: Header,
    /// Its events.
    pub logs: Vec<Log>,
    /// Its transactions, and what became of each.
    pub txs: Vec<(SimulatedTx, Result<(), Refused>)>,
    after: Option<Arc<SimulatedContracts>>,
}

/// What becomes of the transactions of blocks that a reorganisation takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are mined again, in the same order.
    Remined,
    /// They vanish.
    Dropped,
    /// Each is mined again or vanishes, and those that come again come in another order.
    Mixed,
}

/// A chain.
#[derive(Debug)]
pub struct SimulatedChain {
    lag: u64,
    blocks: Vec<SimulatedBlock>,
    pool: VecDeque<SimulatedTx>,
    /// Mined transactions of each sender.
    mined: BTreeMap<Address, u64>,
    branch: u64,
    sent: u64,
}

/// A chain that is shared by everybody who reads it or sends to it.
#[derive(Clone, Debug)]
pub struct SimulatedChainHandle(Arc<Mutex<SimulatedChain>>);

impl SimulatedChainHandle {
    /// Shares a chain.
    pub fn new(chain: SimulatedChain) -> Self {
        Self(Arc::new(Mutex::new(chain)))
    }

    /// The chain. The World has one thread, so nobody waits here.
    pub fn lock(&self) -> MutexGuard<'_, SimulatedChain> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl SimulatedChain {
    /// A chain with a first block, whose final block lies `lag` below its tip.
    pub fn new(lag: u64, contracts: SimulatedContracts) -> SimulatedChain {
        let hash = keccak(&[b"simulated genesis", &[contracts.registration.chain.0]]);
        let header = Header { number: 0, hash, parent: [0; 32], timestamp: 0 };
        let after = Some(Arc::new(contracts));
        let genesis = SimulatedBlock { header, logs: Vec::new(), txs: Vec::new(), after };
        let (pool, mined) = (VecDeque::new(), BTreeMap::new());
        SimulatedChain { lag, blocks: vec![genesis], pool, mined, branch: 0, sent: 0 }
    }

    /// The height of the tip.
    pub fn tip(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    /// How far the final block lies below the tip.
    pub fn lag(&self) -> u64 {
        self.lag
    }

    /// The contracts at the tip.
    pub fn contracts(&self) -> Arc<SimulatedContracts> {
        self.contracts_at(self.tip()).expect("the tip has a snapshot")
    }

    /// The contracts at the final block.
    pub fn final_contracts(&self) -> Arc<SimulatedContracts> {
        let height = self.tip().saturating_sub(self.lag);
        self.contracts_at(height).expect("the final block has a snapshot")
    }

    /// The contracts after a block; nothing when it is unknown or was long ago.
    pub fn contracts_at(&self, height: u64) -> Option<Arc<SimulatedContracts>> {
        self.blocks.get(usize::try_from(height).ok()?)?.after.clone()
    }

    /// Changes the contracts at the tip out of nowhere: for the setup of a test and for faults.
    pub fn alter(&mut self, change: impl FnOnce(&mut SimulatedContracts)) {
        let mut contracts = (*self.contracts()).clone();
        change(&mut contracts);
        if let Some(tip) = self.blocks.last_mut() {
            tip.after = Some(Arc::new(contracts));
        }
    }

    /// Number of mined transactions of a sender.
    pub fn mined(&self, from: Address) -> u64 {
        self.mined.get(&from).copied().unwrap_or_default()
    }

    /// The same, as a node says that lags `behind` blocks behind the tip.
    pub fn mined_as_of(&self, from: Address, behind: u64) -> u64 {
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        let unseen = self.blocks.iter().rev().take(behind).flat_map(|block| &block.txs);
        let unseen = unseen.filter(|(tx, _)| tx.from == from).count() as u64;
        self.mined(from).saturating_sub(unseen)
    }

    /// Hands in a transaction of a user, whose wallet takes the first nonce that is free.
    pub fn submit(&mut self, from: Address, call: Call) -> Hash {
        let pooled = |nonce: u64| self.pool.iter().any(|tx| tx.from == from && tx.nonce == nonce);
        let mut nonces = self.mined(from)..;
        let nonce = nonces.find(|nonce| !pooled(*nonce)).unwrap_or_default();
        self.pool_up(from, nonce, call)
    }

    /// Hands in a signed transaction, in the place of what waits with its nonce. Refusals are in the words of geth.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn submit_signed(&mut self, tx: SimulatedTx) -> Result<(), Refused> {
        if self.pool.iter().any(|waiting| waiting.hash == tx.hash) {
            return Err("already known".into());
        }
        if tx.nonce < self.mined(tx.from) {
            return Err("nonce too low".into());
        }
        self.pool.retain(|waiting| (waiting.from, waiting.nonce) != (tx.from, tx.nonce));
        self.pool.push_back(tx);
        Ok(())
    }

    fn pool_up(&mut self, from: Address, nonce: u64, call: Call) -> Hash {
        self.sent += 1;
        let hash = keccak(&[b"simulated transaction", &self.sent.to_be_bytes(), &from, &call.data]);
        self.pool.push_back(SimulatedTx { hash, from, nonce, call });
        hash
    }

    /// Whether a transaction would succeed after a block.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn estimate(&self, call: &Call, height: u64) -> Result<(), Refused> {
        let contracts = self.contracts_at(height).ok_or("no state at this block")?;
        let block = usize::try_from(height).ok().and_then(|height| self.blocks.get(height));
        let timestamp = block.map(|block| block.header.timestamp).unwrap_or_default();
        abi::execute(&mut (*contracts).clone(), call.from, call, timestamp)
    }

    /// Takes the next transaction out of the pool that can be mined.
    fn next_tx(&mut self) -> Option<SimulatedTx> {
        let mined = std::mem::take(&mut self.mined);
        let of = |from: &Address| mined.get(from).copied().unwrap_or_default();
        self.pool.retain(|tx| tx.nonce >= of(&tx.from));
        let found = self.pool.iter().position(|tx| tx.nonce == of(&tx.from));
        self.mined = mined;
        let tx = self.pool.remove(found?)?;
        *self.mined.entry(tx.from).or_default() += 1;
        Some(tx)
    }

    /// Mines a block with everything that waits and whose turn it is.
    pub fn mine(&mut self, now: Timestamp) {
        let before = self.blocks[self.blocks.len() - 1].header;
        let timestamp = now.seconds().max(before.timestamp);
        let (number, parent) = (before.number + 1, before.hash);
        let branch = self.branch.to_be_bytes();
        let hash = keccak(&[b"simulated block", &number.to_be_bytes(), &parent, &branch]);
        let header = Header { number, hash, parent, timestamp };
        let mut contracts = (*self.contracts()).clone();
        let registration = Arc::clone(&contracts.registration);
        let (mut txs, mut logs) = (Vec::new(), Vec::new());
        while let Some(tx) = self.next_tx() {
            let mut attempt = contracts.clone();
            let done = abi::execute(&mut attempt, tx.from, &tx.call, timestamp);
            if done.is_ok() {
                contracts = attempt;
            }
            for event in contracts.take_events() {
                let (address, topics, data) = abi::encode(&event, &registration);
                let (block, block_hash, tx_hash) = (number, hash, tx.hash);
                let index = logs.len() as u64;
                logs.push(Log { address, topics, data, block, block_hash, tx_hash, index });
            }
            txs.push((tx, done));
        }
        let after = Some(Arc::new(contracts));
        self.blocks.push(SimulatedBlock { header, logs, txs, after });
        if let Some(old) = self.blocks.len().checked_sub(SNAPSHOTS + 1) {
            self.blocks[old].after = None;
        }
    }

    /// Takes the newest `depth` blocks back and grows a branch that is one block longer.
    pub fn reorganise(&mut self, depth: u64, fate: Fate, seed: &mut Seed, now: Timestamp) {
        let depth = usize::try_from(depth).unwrap_or(usize::MAX).min(self.blocks.len() - 1);
        let removed = self.blocks.split_off(self.blocks.len() - depth);
        self.branch += 1;
        let txs = removed.into_iter().flat_map(|block| block.txs).map(|(tx, _)| tx);
        let txs = txs.inspect(|tx| {
            if let Some(mined) = self.mined.get_mut(&tx.from) {
                *mined -= 1;
            }
        });
        let txs: Vec<SimulatedTx> = txs.collect();
        let txs = txs.into_iter();
        let mut txs: Vec<SimulatedTx> = match fate {
            Fate::Remined => txs.collect(),
            Fate::Dropped => Vec::new(),
            Fate::Mixed => txs.filter(|_| seed.below(2) == 0).collect(),
        };
        if fate == Fate::Mixed {
            for last in (1..txs.len()).rev() {
                txs.swap(last, seed.below_usize(last + 1));
            }
        }
        // They waited before those that were handed in later.
        for tx in txs.into_iter().rev() {
            self.pool.push_front(tx);
        }
        for _ in 0..=depth {
            self.mine(now);
        }
    }

    /// The blocks, genesis first.
    pub fn blocks(&self) -> &[SimulatedBlock] {
        &self.blocks
    }

    /// A block's header, as a node says that lags `behind` blocks behind the tip.
    pub fn header(&self, at: At, behind: u64) -> Option<Header> {
        let tip = self.tip().saturating_sub(behind);
        let height = match at {
            At::Latest => tip,
            At::Safe => tip.checked_sub(self.lag.div_ceil(2))?,
            At::Finalized => tip.checked_sub(self.lag)?,
            At::Near(height) | At::Number(height) => height,
        };
        let block = self.blocks.get(usize::try_from(height).ok()?).filter(|_| height <= tip);
        block.map(|block| block.header)
    }

    /// The events of a range.
    pub fn logs(&self, query: &LogQuery) -> Vec<Log> {
        let range = (query.from..=query.to).map_while(|height| {
            usize::try_from(height).ok().and_then(|height| self.blocks.get(height))
        });
        let wanted = |log: &&Log| {
            let event = log.topics.first().is_some_and(|topic| query.events.contains(topic));
            query.addresses.contains(&log.address) && event
        };
        range.flat_map(|block| &block.logs).filter(wanted).cloned().collect()
    }

    /// The call data of a mined transaction.
    pub fn input(&self, hash: Hash) -> Option<Vec<u8>> {
        let mut txs = self.blocks.iter().rev().flat_map(|block| &block.txs);
        txs.find(|(tx, _)| tx.hash == hash).map(|(tx, _)| tx.call.data.clone())
    }

    /// Where a transaction was mined, and what became of it.
    pub fn outcome(&self, hash: Hash) -> Option<(Header, Result<(), Refused>)> {
        let recent = self.blocks.iter().rev().take(SNAPSHOTS);
        let mut found = recent.flat_map(|block| {
            let of = move |(tx, done): &(SimulatedTx, Result<(), Refused>)| {
                (tx.hash == hash).then(|| (block.header, done.clone()))
            };
            block.txs.iter().filter_map(of)
        });
        found.next()
    }
}
