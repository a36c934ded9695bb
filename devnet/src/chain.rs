//! Blocks over state: mining, tags, rollback.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{Header, TxEnvelope};
use alloy_eips::eip1559::BaseFeeParams;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_rpc_types_eth::Log;
use revm::context::{BlockEnv, CfgEnv};

use crate::block::{BlockRecord, Common, Included};
use crate::clock::{self, ChainClock};
use crate::config::DevChainConfig;
use crate::error::ChainError;
use crate::execution;
use crate::pool::Pool;
use crate::state::{State, StateView, Undo};

mod admission;
mod builder;

/// What subscribers are told, in the order in which it happened.
#[derive(Clone, Debug)]
pub(crate) enum ChainEvent {
    /// A new head, with its logs.
    Block { hash: B256, header: Arc<Header>, logs: Arc<Vec<Log>> },
    /// Logs of blocks that were taken back, each marked as removed, newest block first.
    Removed(Arc<Vec<Log>>),
}

/// One chain. Cloning it makes a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    config: Arc<DevChainConfig>,
    blocks: Vec<BlockRecord>,
    numbers: BTreeMap<B256, u64>,
    included: BTreeMap<B256, (u64, usize)>,
    state: State,
    /// Undo records of the newest blocks, oldest first.
    undos: VecDeque<Undo>,
    /// What was changed outside of blocks since the latest one.
    unsealed: Undo,
    pool: Pool,
    pub(crate) clock: ChainClock,
    /// How often blocks were taken back: makes the new blocks differ from the old.
    forks: u64,
    finalized: Option<u64>,
}

impl Chain {
    /// A chain with nothing but its genesis block.
    pub(crate) fn new(config: Arc<DevChainConfig>) -> Self {
        let mut state = State::default();
        let mut undo = Undo::default();
        for (address, balance) in &config.funded {
            state.set_balance(*address, *balance, &mut undo);
        }
        let genesis = BlockRecord {
            hash: B256::ZERO,
            state_root: state.next_root(B256::ZERO, &undo),
            mix_hash: keccak256(config.chain_id.to_be_bytes()),
            timestamp: config.genesis_time.unwrap_or_else(clock::now),
            base_fee: config.base_fee,
            body: None,
        };
        let mut chain = Self {
            config,
            blocks: Vec::new(),
            numbers: BTreeMap::new(),
            included: BTreeMap::new(),
            state,
            undos: VecDeque::new(),
            unsealed: Undo::default(),
            pool: Pool::default(),
            clock: ChainClock::default(),
            forks: 0,
            finalized: None,
        };
        let genesis = genesis.seal(chain.common(), 0, B256::ZERO);
        chain.numbers.insert(genesis.hash, 0);
        chain.blocks.push(genesis);
        chain.advance_finality();
        chain
    }

    pub(crate) fn config(&self) -> &DevChainConfig {
        &self.config
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    fn common(&self) -> Common {
        Common { coinbase: self.config.coinbase, gas_limit: self.config.gas_limit }
    }

    fn rules(&self) -> CfgEnv {
        execution::rules(self.config.chain_id)
    }

    /// Number of the newest block.
    pub(crate) fn latest(&self) -> u64 {
        // There is always the genesis block.
        (self.blocks.len() as u64).saturating_sub(1)
    }

    fn head(&self) -> &BlockRecord {
        self.blocks.last().expect("a chain begins with its genesis block and never loses it")
    }

    pub(crate) fn block(&self, number: u64) -> Option<&BlockRecord> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn number_of(&self, hash: B256) -> Option<u64> {
        self.numbers.get(&hash).copied()
    }

    pub(crate) fn header(&self, number: u64) -> Option<Header> {
        let block = self.block(number)?;
        let parent = number.checked_sub(1).and_then(|parent| self.block(parent));
        let parent_hash = parent.map_or(B256::ZERO, |parent| parent.hash);
        Some(block.header(self.common(), number, parent_hash))
    }

    /// Where a transaction is: number of its block, the block, its index, itself.
    pub(crate) fn find(&self, hash: &B256) -> Option<(u64, &BlockRecord, u64, &Included)> {
        let (number, index) = *self.included.get(hash)?;
        let block = self.block(number)?;
        Some((number, block, index as u64, block.transactions().get(index)?))
    }

    /// Number of the newest final block. It never goes back, not even when blocks are taken back.
    pub(crate) fn finalized(&self) -> Option<u64> {
        self.finalized
    }

    fn advance_finality(&mut self) {
        let reached = self.latest().checked_sub(self.config.finality_lag_blocks);
        self.finalized = self.finalized.max(reached);
    }

    /// The number that a tag stands for. `pending` is the latest block here: there is no half-made
    /// block.
    pub(crate) fn resolve_tag(&self, tag: BlockNumberOrTag) -> Result<u64, ChainError> {
        match tag {
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => Ok(self.latest()),
            BlockNumberOrTag::Earliest => Ok(0),
            BlockNumberOrTag::Finalized => {
                self.finalized.ok_or(ChainError::TagNotFound("finalized"))
            }
            BlockNumberOrTag::Safe => {
                let safe = self.latest().checked_sub(self.config.safe_lag_blocks);
                safe.max(self.finalized).ok_or(ChainError::TagNotFound("safe"))
            }
            BlockNumberOrTag::Number(number) if number <= self.latest() => Ok(number),
            BlockNumberOrTag::Number(number) => Err(ChainError::BlockNotFound(number.to_string())),
        }
    }

    /// The number of the block that an id names.
    pub(crate) fn resolve(&self, id: BlockId) -> Result<u64, ChainError> {
        match id {
            BlockId::Number(tag) => self.resolve_tag(tag),
            BlockId::Hash(hash) => self
                .number_of(hash.block_hash)
                .ok_or_else(|| ChainError::BlockNotFound(hash.block_hash.to_string())),
        }
    }

    /// Looks at the state at the end of a block. The latest includes what was set outside of
    /// blocks since.
    pub(crate) fn with_state<R>(
        &self,
        number: u64,
        look: impl FnOnce(&StateView<'_>) -> R,
    ) -> Result<R, ChainError> {
        let oldest = self.latest().saturating_sub(self.undos.len() as u64);
        if number < oldest {
            return Err(ChainError::StatePruned { number, oldest });
        }
        let hashes = |number| self.block(number).map_or(B256::ZERO, |block| block.hash);
        let seen = (number - oldest) as usize;
        let unsealed = (number < self.latest()).then_some(&self.unsealed);
        let later = self.undos.iter().skip(seen).chain(unsealed);
        Ok(look(&StateView::new(&self.state, later, &hashes)))
    }

    /// Runs a call on the state at the end of a block. `pending` calls see the next block.
    pub(crate) fn with_call<R>(
        &self,
        id: BlockId,
        request: alloy_rpc_types_eth::TransactionRequest,
        look: impl FnOnce(execution::Call<'_>) -> Result<R, ChainError>,
    ) -> Result<R, ChainError> {
        let number = self.resolve(id)?;
        let block = self.block(number);
        let block = block.ok_or_else(|| ChainError::BlockNotFound(number.to_string()))?;
        let env = if id == BlockId::pending() {
            let next = self.next_block();
            self.environment(number.saturating_add(1), &next)
        } else {
            self.environment(number, block)
        };
        self.with_state(number, |view| {
            look(execution::Call::new(view, self.rules(), env, request)?)
        })?
    }

    fn environment(&self, number: u64, block: &BlockRecord) -> BlockEnv {
        BlockEnv {
            number: U256::from(number),
            beneficiary: self.config.coinbase,
            timestamp: U256::from(block.timestamp),
            gas_limit: self.config.gas_limit,
            basefee: block.base_fee,
            difficulty: U256::ZERO,
            prevrandao: Some(block.mix_hash),
            // The default has no excess blob gas and the blob fee of Prague.
            ..BlockEnv::default()
        }
    }

    /// Base fee of the block after the given one, wei per gas (EIP-1559).
    pub(crate) fn base_fee_after(&self, block: &BlockRecord) -> u64 {
        let limit = self.config.gas_limit;
        BaseFeeParams::ethereum().next_block_base_fee(block.gas_used(), limit, block.base_fee)
    }

    /// Base fee of the next block, wei per gas.
    pub(crate) fn next_base_fee(&self) -> u64 {
        self.base_fee_after(self.head())
    }

    /// The next nonce of an account. With `pending`, after what waits without a gap.
    pub(crate) fn nonce(&self, address: &Address, pending: bool) -> u64 {
        let next = self.state.account(address).nonce;
        if pending { self.pool.next_nonce(address, next) } else { next }
    }

    /// Whether a block made now would take a transaction.
    pub(crate) fn is_ready(&self) -> bool {
        self.pool.is_ready(self.next_base_fee(), |sender| self.nonce(sender, false))
    }

    /// Sets a balance outside of any transaction, wei. Seen at once in the latest state.
    pub(crate) fn set_balance(&mut self, address: Address, balance: U256) {
        self.state.set_balance(address, balance, &mut self.unsealed);
    }

    /// Takes back the newest blocks, and returns the removed logs and the transactions that were
    /// in them, in their old order. Never crosses finality.
    pub(crate) fn rollback(
        &mut self,
        depth: u64,
    ) -> Result<(Vec<ChainEvent>, Vec<Recovered<TxEnvelope>>), ChainError> {
        let most = self.latest() - self.finalized.unwrap_or(0);
        if depth > most {
            return Err(ChainError::Finality { depth, most });
        }
        if depth == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        self.state.revert(std::mem::take(&mut self.unsealed));
        let mut removed = Vec::new();
        let mut orphans = VecDeque::new();
        for _ in 0..depth {
            let number = self.latest();
            let undo = self.undos.pop_back();
            self.state.revert(undo.expect("undo records reach back to finality, see the config"));
            let block = self.blocks.pop().expect("depth is less than the number of blocks");
            self.numbers.remove(&block.hash);
            for tx in block.transactions().iter().rev() {
                self.included.remove(tx.transaction.tx_hash());
                orphans.push_front(tx.transaction.clone());
            }
            removed.extend(block.logs(number, true));
        }
        self.forks += 1;
        let events = if removed.is_empty() {
            Vec::new()
        } else {
            vec![ChainEvent::Removed(Arc::new(removed))]
        };
        Ok((events, orphans.into()))
    }

    /// Takes back the newest blocks and makes as many new ones. `placed` are transactions with the
    /// index of the new block that they go into; all others that were in the old blocks are gone,
    /// unless `keep` puts them back among those that wait, from where the first new block takes
    /// them.
    pub(crate) fn reorg(
        &mut self,
        depth: u64,
        placed: &[(Vec<u8>, u64)],
        keep: bool,
    ) -> Result<Vec<ChainEvent>, ChainError> {
        let mut forced: BTreeMap<u64, Vec<Recovered<TxEnvelope>>> = BTreeMap::new();
        for (raw, block) in placed {
            if *block >= depth {
                return Err(ChainError::ReorgBlock { block: *block, depth });
            }
            forced.entry(*block).or_default().push(self.decode(raw)?);
        }
        let (mut events, orphans) = self.rollback(depth)?;
        if keep {
            for orphan in orphans {
                // One that is refused now (say, its sender cannot pay any more) is lost, as it
                // would be in a real reorganisation.
                if let Err(error) = self.admit(orphan) {
                    tracing::debug!(%error, "a transaction of a block taken back is dropped");
                }
            }
        }
        for index in 0..depth {
            let forced = forced.remove(&index).unwrap_or_default();
            events.push(self.mine(&forced, keep));
        }
        Ok(events)
    }
}
