//! The auditor of the whole: reads the archive and the chains, believes neither, and compares.
//!
//! It keeps a state of its own, made of the archived blocks only, and looks after every block of every chain.

use std::collections::BTreeMap;

use zklink::audit::audit;
use zklink::block::{Block, rolling_content};
use zklink::commitment::StateTree;
use zklink::hash::Fr;
use zklink::id::{BlockNumber, ChainId, TokenId};
use zklink::op::Op;
use zklink::state::State;
use zklink::token::scale_up;
use zklink_node::pool_history::PoolHistory;
use zklink_store::archive::ArchiveReader;
use zklink_store::record::SealedBlock;
use zklink_store::record::Source;

use crate::network::{HUB, genesis};
use crate::simulated::{SimulatedChainHandle, SimulatedContracts};

/// The auditor.
#[derive(Debug)]
pub struct Auditor {
    archive: ArchiveReader,
    chains: BTreeMap<ChainId, SimulatedChainHandle>,
    state: State,
    blocks: Vec<SealedBlock>,
    pools: PoolHistory,
    supply: BTreeMap<(ChainId, TokenId), u128>,
    credited: BTreeMap<ChainId, u64>,
    /// The content of each chain after each block with operations of it.
    contents: BTreeMap<ChainId, BTreeMap<BlockNumber, [u8; 32]>>,
    /// Whether reorganisations stay below finality, so that what was credited must be there for ever.
    pub finality_holds: bool,
}

type Checked = Result<(), String>;

impl Auditor {
    /// An auditor at genesis.
    pub fn new(archive: ArchiveReader, chains: BTreeMap<ChainId, SimulatedChainHandle>) -> Auditor {
        let supply = chains.iter().flat_map(|(chain, handle)| {
            let contracts = handle.lock().contracts();
            supply_of(&contracts).into_iter().map(move |(token, units)| ((*chain, token), units))
        });
        let (state, pools) = (genesis(), PoolHistory::default());
        pools.note(&state);
        Auditor {
            supply: supply.collect(),
            archive,
            chains,
            state,
            blocks: Vec::new(),
            pools,
            credited: BTreeMap::new(),
            contents: BTreeMap::new(),
            finality_holds: true,
        }
    }

    /// Reads another archive from now on; the blocks that it has known must be there, too.
    pub fn turn_to(&mut self, archive: ArchiveReader) {
        self.archive = archive;
    }

    /// The state after all blocks that were ever archived.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All blocks that were ever archived, in order.
    pub fn blocks(&self) -> &[SealedBlock] {
        &self.blocks
    }

    /// Looks at everything.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&mut self) -> Checked {
        self.follow()?;
        for (chain, handle) in self.chains.clone() {
            let contracts = handle.lock().contracts();
            self.check_chain(chain, &contracts)?;
            self.check_stages(chain, &contracts)?;
        }
        Ok(())
    }

    /// Takes the blocks that came since, and holds the last known one against the archive.
    fn follow(&mut self) -> Checked {
        let head = self.archive.rooted().map_err(|error| error.to_string())?.unwrap_or_default();
        if let Some(last) = self.blocks.last()
            && head >= last.block.head.number
            && stored_block(&self.archive, last.block.head.number).as_ref() != Some(last)
        {
            return Err(format!("archived block {} has changed", last.block.head.number));
        }
        while self.state.system.number < head {
            let number = self.state.system.number.next().ok_or("numbers are used up")?;
            let sealed = stored_block(&self.archive, number);
            let sealed = sealed.ok_or_else(|| format!("block {number} is missing"))?;
            self.take(sealed)?;
        }
        Ok(())
    }

    fn take(&mut self, sealed: SealedBlock) -> Checked {
        let head = sealed.block.head;
        let decoded = Block::decode(&sealed.block.public_data()).map_err(|bad| bad.to_string())?;
        if decoded != sealed.block {
            return Err(format!("block {} is not what it publishes", head.number));
        }
        for op in &decoded.ops {
            op.apply(&mut self.state)
                .map_err(|reject| format!("block {}: {reject}", head.number))?;
        }
        self.state.end_block(head.number, head.timestamp);
        audit(&self.state).map_err(|imbalance| imbalance.to_string())?;
        self.pools.note(&self.state);
        for (chain, content) in sealed.block.contents() {
            let contents = self.contents.entry(chain).or_default();
            let before = contents.last_key_value().map(|(_, rolling)| *rolling);
            let rolling = rolling_content(before.unwrap_or_default(), head.number, content.hash());
            contents.insert(head.number, rolling);
        }
        for source in &sealed.sources {
            if let Source::Deposit(accepted) = source {
                self.check_deposit(&accepted.deposit)?;
            }
        }
        self.blocks.push(sealed);
        Ok(())
    }

    /// A deposit is credited once, in order, as the final part of its chain has it.
    fn check_deposit(&mut self, deposit: &zklink_store::record::FinalDeposit) -> Checked {
        let (chain, serial) = (deposit.chain, deposit.serial.0);
        let next = self.credited.entry(chain).or_default();
        if serial != *next {
            return Err(format!("chain {chain}: deposit {serial} credited where {next} was due"));
        }
        *next += 1;
        if !self.finality_holds {
            return Ok(());
        }
        let contracts = self.chains[&chain].lock().final_contracts();
        let queued = usize::try_from(serial).ok().and_then(|at| contracts.queue.get(at));
        let same = queued.is_some_and(|queued| {
            let payer = zklink::id::Owner::from_evm(queued.payer);
            (queued.token, queued.amount, queued.owner, payer)
                == (deposit.token, deposit.amount.0, deposit.owner, deposit.payer)
        });
        if same { Ok(()) } else { Err(format!("deposit {serial} of chain {chain} is not final")) }
    }

    /// The books of a chain against the pools: exactly, not only as a bound.
    fn check_chain(&self, chain: ChainId, contracts: &SimulatedContracts) -> Checked {
        if supply_of(contracts) != self.supply_of(chain) {
            return Err(format!("chain {chain}: tokens came from nowhere or went there"));
        }
        for (token, book) in &contracts.books {
            let vault = contracts.balance(contracts.registration.rollup(), *token);
            let free = book.free().ok_or_else(|| format!("chain {chain}: {book:?}"))?;
            if vault != book.locked {
                return Err(format!("chain {chain}: the vault has {vault}, the book {book:?}"));
            }
            let committed = contracts.last().number;
            if self.holds_ours(chain, contracts, contracts.records.len() - 1) == Some(false) {
                // A commit was mined without the one before it; settlement notices and it is reverted.
                continue;
            }
            // A block that the archive lost for the moment is compared when it is back.
            let Some(pool) = self.pools.after(chain, *token, committed) else { continue };
            let unpaid = self.unpaid(chain, *token, contracts, committed);
            let scale = contracts.registration.tokens[token].scale();
            let free = scale_up(free, scale).ok_or("a book above 128 bits")?.0;
            if pool.0.checked_add(unpaid) != Some(free) {
                return Err(format!(
                    "chain {chain}, token {token}, block {committed}: pool {pool:?} and {unpaid} \
                     to pay are not the {free} that are free"
                ));
            }
        }
        Ok(())
    }

    /// Whether a record of a chain is what the archived blocks say; nothing for one that is not known here.
    fn holds_ours(
        &self,
        chain: ChainId,
        contracts: &SimulatedContracts,
        index: usize,
    ) -> Option<bool> {
        let record = contracts.records[index];
        if index == 0 {
            return Some(true);
        }
        let ours = self.contents.get(&chain)?.get(&record.number)?;
        Some(*ours == record.rolling)
    }

    fn supply_of(&self, chain: ChainId) -> BTreeMap<TokenId, u128> {
        let own = self.supply.iter().filter(|((of, _), _)| *of == chain);
        own.map(|((_, token), units)| (*token, *units)).collect()
    }

    /// Payouts that are committed on a chain and not made, with 18 decimals.
    fn unpaid(
        &self,
        chain: ChainId,
        token: TokenId,
        contracts: &SimulatedContracts,
        committed: BlockNumber,
    ) -> u128 {
        let paid = contracts.records[contracts.paid].number;
        let blocks = self.blocks.iter().map(|sealed| &sealed.block);
        let open = blocks.filter(|block| (paid.0 + 1..=committed.0).contains(&block.head.number.0));
        let amounts = open.flat_map(|block| &block.ops).filter_map(|op| match op {
            Op::Withdraw(op) if (op.chain, op.token) == (chain, token) => {
                scale_up(op.l1_amount, op.scale).map(|amount| amount.0)
            }
            _ => None,
        });
        amounts.sum()
    }

    /// paid, released, acked, committed; nothing released that the hub did not release, finally.
    fn check_stages(&self, chain: ChainId, contracts: &SimulatedContracts) -> Checked {
        let SimulatedContracts { paid, released, acked, records, .. } = contracts;
        if !(paid <= released && released <= acked && *acked < records.len()) {
            return Err(format!("chain {chain}: the stages are out of order"));
        }
        if self.holds_ours(chain, contracts, *acked) == Some(false) {
            return Err(format!(
                "chain {chain} has acked something else than our blocks, for ever"
            ));
        }
        let hub = self.chains[&HUB].lock();
        let of_hub = if chain == HUB { hub.contracts() } else { hub.final_contracts() };
        let Some(of_hub) = &of_hub.hub else { return Err("the hub is none".to_owned()) };
        if self.finality_holds && records[*released].number > of_hub.released {
            return Err(format!("chain {chain} released what the hub did not"));
        }
        if !(of_hub.released <= of_hub.proven && of_hub.proven <= of_hub.committed()) {
            return Err("the stages of the hub are out of order".to_owned());
        }
        Ok(())
    }

    /// Whether everything that was sealed is released and paid, and every deposit that is queued is credited.
    pub fn is_settled(&self) -> bool {
        let head = self.state.system.number;
        let archived = self.archive.head().ok().flatten().unwrap_or_default();
        let released = self.chains[&HUB].lock().contracts();
        let released = released.hub.as_ref().is_some_and(|hub| hub.released == head);
        let paid = self.chains.iter().all(|(chain, handle)| {
            let contracts = handle.lock().contracts();
            let credited = self.credited.get(chain).copied().unwrap_or_default();
            contracts.paid + 1 == contracts.records.len()
                && contracts.queue.len() as u64 == credited
                && contracts.last().number >= self.last_of(*chain)
        });
        archived == head && released && paid
    }

    /// The last block with operations of a chain.
    fn last_of(&self, chain: ChainId) -> BlockNumber {
        let mut blocks = self.blocks.iter().rev().map(|sealed| &sealed.block);
        let last = blocks.find(|block| block.ops.iter().any(|op| op.chain() == Some(chain)));
        last.map(|block| block.head.number).unwrap_or_default()
    }
}

/// The root of a state without its times and the number of its last block: two runs of one story may have their blocks
/// at other times, and with them the times at which accounts were made, but nothing else may differ.
///
/// # Panics
/// When the state does not survive its own JSON.
pub fn timeless_root(state: &State) -> Fr {
    let mut json = serde_json::to_value(state).expect("a state can be written");
    let accounts = json["accounts"].as_object_mut().expect("a state has accounts");
    for account in accounts.values_mut() {
        account["created"] = 0.into();
    }
    let mut state: State = serde_json::from_value(json).expect("a state can be read");
    state.system.number = BlockNumber(0);
    state.system.timestamp = 0;
    StateTree::of(&state).root()
}

/// A block as the archive holds it.
///
/// # Panics
/// When the archive fails or holds something else: both are faults that a test must show.
pub fn stored_block(archive: &ArchiveReader, number: BlockNumber) -> Option<SealedBlock> {
    archive.block(number).expect("the simulated store reads")
}

/// The units of each token, whoever has them.
fn supply_of(contracts: &SimulatedContracts) -> BTreeMap<TokenId, u128> {
    let mut supply = BTreeMap::new();
    for ((_, token), units) in &contracts.balances {
        *supply.entry(*token).or_default() += units;
    }
    supply
}
