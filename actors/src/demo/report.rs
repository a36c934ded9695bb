//! The report: what happened, in a form with which others can check it. All hashes, words and points are 0x-hex.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use zklink::hash::{Fr, fr_to_be_bytes};
use zklink::id::{BlockNumber, ChainId, Owner, ShapeId, TokenId};
use zklink::shape::Counts;
use zklink_circuit::proving::ShapeKey;

use super::story::{AccountStory, Holdings, Outcome};
use crate::local::LocalNetwork;
use crate::local::books::TokenBook;
use crate::local::watch::{BlockRecord, Record, Settled};
use crate::show::hex0x;

/// The version of the form below.
const VERSION: u32 = 2;

/// The whole report.
#[derive(Serialize)]
pub(super) struct Report {
    version: u32,
    deployment_id: String,
    genesis_root: String,
    genesis: GenesisReport,
    chains: Vec<ChainReport>,
    blocks: Vec<BlockReport>,
    /// Deliveries of messages between chains, which belong to no single block.
    messages: Vec<TxReport>,
    accounts: Vec<AccountReport>,
    solvency: Vec<TokenReport>,
    expectations: Vec<CheckReport>,
}

/// The state before the first block, and the shapes of blocks: what others need to begin with.
#[derive(Serialize)]
struct GenesisReport {
    deployment_id: String,
    fee_owner: Owner,
    insurance_owner: Owner,
    shapes: Vec<ShapeReport>,
}

#[derive(Serialize)]
struct ShapeReport {
    id: ShapeId,
    name: &'static str,
    constraints: usize,
    /// The most words of the on-chain vector, head included, and of the data vector.
    onchain_words: usize,
    data_words: usize,
    /// Its slots of each kind and its leaves.
    room: Counts,
}

#[derive(Serialize)]
struct ChainReport {
    chain_id: ChainId,
    evm_chain_id: u64,
    rpc_url: String,
    role: &'static str,
    contracts: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct BlockReport {
    number: BlockNumber,
    shape: &'static str,
    operations: usize,
    constraints: usize,
    old_root: String,
    new_root: String,
    /// d, z, the value of the data vector, the value of the on-chain vector.
    public_inputs: [String; 4],
    /// As bellman writes it: 192 bytes.
    proof: String,
    /// As bellman writes it.
    verifying_key: String,
    /// All on-chain words, then all data words.
    public_data: String,
    onchain: Vec<String>,
    data: Vec<String>,
    witness_ms: u64,
    prove_ms: u64,
    transactions: Vec<TxReport>,
}

#[derive(Serialize)]
struct TxReport {
    chain_id: ChainId,
    step: String,
    /// First and last block that it is about.
    blocks: Option<(BlockNumber, BlockNumber)>,
    hash: String,
    gas: u64,
}

#[derive(Serialize)]
struct AccountReport {
    name: &'static str,
    address: Owner,
    before: HoldingsReport,
    after: HoldingsReport,
}

#[derive(Serialize)]
struct HoldingsReport {
    l1: Vec<L1Holding>,
    l2: Vec<L2Holding>,
}

/// An amount in units of the chain.
#[derive(Serialize)]
struct L1Holding {
    chain_id: ChainId,
    token: TokenId,
    decimals: u8,
    units: String,
}

/// An amount in 18 decimals.
#[derive(Serialize)]
struct L2Holding {
    token: TokenId,
    amount: String,
}

#[derive(Serialize)]
struct TokenReport {
    token: TokenId,
    symbol: String,
    /// The sum of all balances on L2, in 18 decimals.
    liabilities: String,
    /// The sum of the pools, in 18 decimals.
    pools: String,
    solvent: bool,
    chains: Vec<PoolReport>,
}

#[derive(Serialize)]
struct PoolReport {
    chain_id: ChainId,
    decimals: u8,
    /// In 18 decimals; what follows is in units of the chain.
    pool: String,
    held: String,
    locked: String,
    pending: String,
    unconsumed: String,
    covered: bool,
}

#[derive(Serialize)]
struct CheckReport {
    what: String,
    met: bool,
    found: String,
}

/// Collects everything.
///
/// # Errors
/// The archive cannot be read, or lacks what it must have after settlement.
pub(super) fn make(
    network: &LocalNetwork,
    record: &Record,
    books: &[TokenBook],
    outcome: &Outcome,
) -> Result<Report> {
    let deployment = &network.deployment;
    let blocks = record.blocks.iter().map(|(number, block)| block_report(network, *number, block));
    let checks = outcome.checks.iter().map(|check| CheckReport {
        what: check.what.clone(),
        met: check.met,
        found: check.found.clone(),
    });
    Ok(Report {
        version: VERSION,
        deployment_id: hex0x(deployment.deployment_id.0),
        genesis_root: hex0x(deployment.genesis_root),
        genesis: genesis(network),
        chains: chains(network),
        blocks: blocks.collect::<Result<_>>()?,
        messages: record.messages.iter().map(tx).collect(),
        accounts: outcome.accounts.iter().map(account).collect(),
        solvency: books.iter().map(token).collect(),
        expectations: checks.collect(),
    })
}

/// Writes the report, whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(path: &Path, report: &Report) -> Result<()> {
    let beside = path.with_extension("tmp");
    let text = serde_json::to_string_pretty(report)?;
    std::fs::write(&beside, text + "\n")
        .with_context(|| format!("writing {}", beside.display()))?;
    std::fs::rename(&beside, path).with_context(|| format!("writing {}", path.display()))
}

fn genesis(network: &LocalNetwork) -> GenesisReport {
    let deployment = &network.deployment;
    let shape = |key: &ShapeKey| ShapeReport {
        id: key.shape.id,
        name: key.shape.name,
        constraints: key.constraints(),
        onchain_words: key.shape.onchain_words(),
        data_words: key.shape.data_words(),
        room: key.shape.room,
    };
    GenesisReport {
        deployment_id: hex0x(deployment.deployment_id.0),
        fee_owner: deployment.genesis.fee_owner,
        insurance_owner: deployment.genesis.insurance_owner,
        shapes: network.keys.iter().map(shape).collect(),
    }
}

fn chains(network: &LocalNetwork) -> Vec<ChainReport> {
    let deployment = &network.deployment;
    let report = |chain: &zklink_chain::deploy::DeployedChain| {
        let is_hub = chain.id == deployment.hub;
        let mut contracts = BTreeMap::from([
            ("rollup".to_owned(), hex0x(chain.rollup)),
            ("oracle".to_owned(), hex0x(chain.oracle)),
            ("key recorder".to_owned(), hex0x(chain.key_recorder)),
        ]);
        if let Some(hub) = chain.hub {
            contracts.insert("hub".to_owned(), hex0x(hub.contract));
            contracts.insert("local route".to_owned(), hex0x(hub.local_route));
        }
        for token in &chain.tokens {
            contracts.insert(format!("token {} {}", token.id, token.symbol), hex0x(token.address));
        }
        for shape in deployment.shapes.iter().filter(|_| is_hub) {
            contracts.insert(format!("verifier of shape {}", shape.id), hex0x(shape.verifier));
        }
        ChainReport {
            chain_id: chain.id,
            evm_chain_id: chain.evm_chain_id,
            rpc_url: network.chains.chain(chain.id).url.clone(),
            role: if is_hub { "hub" } else { "spoke" },
            contracts,
        }
    };
    deployment.chains.iter().map(report).collect()
}

fn block_report(
    network: &LocalNetwork,
    number: BlockNumber,
    record: &BlockRecord,
) -> Result<BlockReport> {
    let archive = network.node.archive();
    let missing = || format!("block {number} in the archive");
    let sealed = archive.block(number)?.with_context(missing)?;
    let proof = archive.proof(number)?.with_context(|| format!("the proof of block {number}"))?;
    let head = &sealed.block.head;
    let key = network.keys.get(head.shape).context("the key of a shape of the deployment")?;
    let mut verifying_key = Vec::new();
    key.key.verifying_key().write(&mut verifying_key)?;
    let public = sealed.block.public_data();
    let (onchain, data) = (words(&public.onchain), words(&public.data));
    let all = public.onchain.iter().chain(&public.data).flat_map(|word| fr_to_be_bytes(*word));
    let all: Vec<u8> = all.collect();
    Ok(BlockReport {
        number,
        shape: key.shape.name,
        operations: record.ops,
        constraints: key.constraints(),
        old_root: word(head.old_root),
        new_root: word(head.new_root),
        public_inputs: sealed.block.public_inputs()?.map(word),
        proof: hex0x(proof),
        verifying_key: hex0x(verifying_key),
        public_data: hex0x(all),
        onchain,
        data,
        witness_ms: record.witness_ms,
        prove_ms: record.prove_ms,
        transactions: record.transactions.iter().map(tx).collect(),
    })
}

fn word(word: Fr) -> String {
    hex0x(fr_to_be_bytes(word))
}

fn words(of: &[Fr]) -> Vec<String> {
    of.iter().copied().map(word).collect()
}

fn tx(settled: &Settled) -> TxReport {
    TxReport {
        chain_id: settled.chain,
        step: settled.step.clone(),
        blocks: settled.blocks,
        hash: hex0x(settled.hash),
        gas: settled.gas,
    }
}

fn account(story: &AccountStory) -> AccountReport {
    AccountReport {
        name: story.name,
        address: story.owner,
        before: holdings(&story.before),
        after: holdings(&story.after),
    }
}

fn holdings(holdings: &Holdings) -> HoldingsReport {
    let l1 = holdings.l1.iter().map(|(chain, token, decimals, units)| L1Holding {
        chain_id: *chain,
        token: *token,
        decimals: *decimals,
        units: units.to_string(),
    });
    let l2 = holdings.l2.iter();
    let l2 = l2.map(|(token, amount)| L2Holding { token: *token, amount: amount.to_string() });
    HoldingsReport { l1: l1.collect(), l2: l2.collect() }
}

fn token(book: &TokenBook) -> TokenReport {
    let pools = book.chains.iter().map(|chain| PoolReport {
        chain_id: chain.chain,
        decimals: chain.decimals,
        pool: chain.pool.to_string(),
        held: chain.held.to_string(),
        locked: chain.locked.to_string(),
        pending: chain.pending.to_string(),
        unconsumed: chain.unconsumed.to_string(),
        covered: chain.is_covered(),
    });
    TokenReport {
        token: book.token,
        symbol: book.symbol.clone(),
        liabilities: book.liabilities.to_string(),
        pools: book.pools.to_string(),
        solvent: book.is_solvent(),
        chains: pools.collect(),
    }
}
