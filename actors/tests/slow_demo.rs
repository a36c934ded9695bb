//! The demonstration as its users start it, and its report as those read it who believe nothing else: every proof is
//! verified by bellman with what stands in the report alone, and the books are added up again.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use bellman::groth16::{Proof, VerifyingKey, prepare_verifying_key, verify_proof};
use bls12_381::{Bls12, Scalar};
use serde::Deserialize;
use zklink::block::{Block, PublicData};
use zklink::commitment::StateTree;
use zklink::id::{Owner, ShapeId};
use zklink::shape::{Counts, shape};
use zklink::state::{DeploymentId, State};

/// The report, with exactly these keys: one that is missing, or that this test does not know, is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    version: u32,
    deployment_id: String,
    genesis_root: String,
    genesis: Genesis,
    chains: Vec<Chain>,
    blocks: Vec<BlockEntry>,
    messages: Vec<Transaction>,
    accounts: Vec<Account>,
    solvency: Vec<Token>,
    expectations: Vec<Expectation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Genesis {
    deployment_id: String,
    fee_owner: Owner,
    insurance_owner: Owner,
    shapes: Vec<ShapeEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeEntry {
    id: ShapeId,
    name: String,
    constraints: usize,
    onchain_words: usize,
    data_words: usize,
    room: Counts,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    chain_id: u64,
    evm_chain_id: u64,
    rpc_url: String,
    role: String,
    contracts: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockEntry {
    number: u32,
    shape: String,
    operations: usize,
    constraints: usize,
    old_root: String,
    new_root: String,
    public_inputs: [String; 4],
    proof: String,
    verifying_key: String,
    public_data: String,
    onchain: Vec<String>,
    data: Vec<String>,
    witness_ms: u64,
    prove_ms: u64,
    transactions: Vec<Transaction>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Transaction {
    chain_id: u64,
    step: String,
    blocks: Option<(u32, u32)>,
    hash: String,
    gas: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    name: String,
    address: String,
    before: Holdings,
    after: Holdings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holdings {
    l1: Vec<L1Holding>,
    l2: Vec<L2Holding>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct L1Holding {
    chain_id: u64,
    token: u16,
    decimals: u32,
    units: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct L2Holding {
    token: u16,
    amount: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    token: u16,
    symbol: String,
    liabilities: String,
    pools: String,
    solvent: bool,
    chains: Vec<Pool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pool {
    chain_id: u64,
    decimals: u32,
    pool: String,
    held: String,
    locked: String,
    pending: String,
    unconsumed: String,
    covered: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    what: String,
    met: bool,
    found: String,
}

/// Runs the program as a user does, in a folder that is gone afterwards.
fn demonstration(report: &Path, more: &[&str]) -> String {
    // The keys of the other tests of this repository, so that they are made once.
    let keys = Path::new(env!("CARGO_TARGET_TMPDIR")).join("keys");
    let output = Command::new(env!("CARGO_BIN_EXE_zklink"))
        .args(["demo", "--shape", "nano", "--keys"])
        .arg(keys)
        .arg("--report")
        .arg(report)
        .args(more)
        .output()
        .unwrap();
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    assert!(out.contains("Everything came as expected."), "{out}\n{err}");
    out
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("0x").expect("bytes are 0x-hex")).unwrap()
}

fn word(text: &str) -> [u8; 32] {
    bytes(text).try_into().unwrap()
}

/// A field element: 32 bytes, highest first, below the modulus.
fn field(text: &str) -> Scalar {
    let mut little = word(text);
    little.reverse();
    Option::from(Scalar::from_bytes(&little)).expect("a canonical field element")
}

fn units(text: &str) -> u128 {
    text.parse().unwrap()
}

/// Whether bellman takes the proof for these inputs, by the key in the report.
fn verifies(block: &BlockEntry, proof: &str, inputs: &[Scalar; 4]) -> bool {
    let key = VerifyingKey::<Bls12>::read(&bytes(&block.verifying_key)[..]).unwrap();
    let Ok(proof) = Proof::<Bls12>::read(&bytes(proof)[..]) else { return false };
    verify_proof(&prepare_verifying_key(&key), &proof, inputs).is_ok()
}

fn check_block(block: &BlockEntry, other: &BlockEntry) -> Block {
    let inputs = [0, 1, 2, 3].map(|at| field(&block.public_inputs[at]));
    assert!(verifies(block, &block.proof, &inputs), "block {}: the proof", block.number);
    for at in 0..4 {
        let mut wrong = inputs;
        wrong[at] += Scalar::one();
        assert!(!verifies(block, &block.proof, &wrong), "block {}: input {at}", block.number);
    }
    assert!(!verifies(block, &other.proof, &inputs), "a proof of another block");

    // The inputs are those of the public data, and the public data are those of the block.
    let words = |of: &[String]| of.iter().map(|text| field(text)).collect::<Vec<_>>();
    let public = PublicData { onchain: words(&block.onchain), data: words(&block.data) };
    let joined = block.onchain.iter().chain(&block.data).flat_map(|word| bytes(word));
    assert_eq!(bytes(&block.public_data), joined.collect::<Vec<u8>>());
    let decoded = Block::decode(&public).unwrap();
    assert_eq!(decoded.public_inputs().unwrap(), inputs, "block {}", block.number);
    assert_eq!(decoded.public_data(), public);
    assert_eq!(decoded.head.number.0, block.number);
    assert_eq!(decoded.head.old_root, field(&block.old_root));
    assert_eq!(decoded.head.new_root, field(&block.new_root));
    assert_eq!(block.operations, decoded.ops.len());
    assert!(block.operations > 0 && block.constraints > 0 && block.prove_ms > 0);
    assert_eq!(block.shape, "nano");
    assert!(block.witness_ms < 60_000, "witnesses are made in far less");
    decoded
}

/// The state before the first block, from what the report says of it.
fn genesis(report: &Report) -> (State, StateTree) {
    let Genesis { deployment_id, fee_owner, insurance_owner, shapes } = &report.genesis;
    assert_eq!(deployment_id, &report.deployment_id);
    let deployment = DeploymentId(bytes(deployment_id).try_into().unwrap());
    let state = State::genesis(deployment, *fee_owner, *insurance_owner);
    let mut tree = StateTree::of(&state);
    assert_eq!(tree.root(), field(&report.genesis_root));
    let [entry] = &shapes[..] else { panic!("{shapes:?}") };
    let known = shape(entry.id).unwrap();
    assert_eq!((entry.name.as_str(), entry.room), (known.name, known.room));
    assert_eq!(
        (entry.onchain_words, entry.data_words),
        (known.onchain_words(), known.data_words())
    );
    assert!(report.blocks.iter().all(|block| block.constraints == entry.constraints));
    (state, tree)
}

/// Each block goes through every step on the hub, once.
fn check_transactions(block: &BlockEntry, hub: u64) {
    let on_hub = block.transactions.iter().filter(|tx| tx.chain_id == hub);
    let steps: Vec<&str> = on_hub.map(|tx| tx.step.as_str()).collect();
    for wanted in ["commitBlocks", "proveBlocks", "releaseBlocks"] {
        let count = steps.iter().filter(|step| **step == wanted).count();
        assert_eq!(count, 1, "block {}: {wanted} among {steps:?}", block.number);
    }
    for tx in &block.transactions {
        let (first, last) = tx.blocks.expect("a transaction of a block says which");
        assert!((first..=last).contains(&block.number), "{tx:?}");
        check_transaction(tx);
    }
}

fn check_transaction(tx: &Transaction) {
    assert_ne!(word(&tx.hash), [0; 32]);
    assert!(tx.gas > 21_000, "{tx:?}");
}

/// Every token on L2 is owed by a chain, and every chain holds what it owes.
fn check_books(tokens: &[Token]) {
    for token in tokens {
        assert!(token.solvent, "{token:?}");
        let owed: u128 = token.chains.iter().map(|chain| units(&chain.pool)).sum();
        assert_eq!(units(&token.liabilities), owed, "{}", token.symbol);
        assert_eq!(units(&token.pools), owed, "{}", token.symbol);
        for chain in &token.chains {
            assert!(chain.covered, "{chain:?}");
            let held = units(&chain.held);
            assert_eq!(
                held,
                units(&chain.locked),
                "a contract that nobody gave a present: {chain:?}"
            );
            let free = held - units(&chain.pending) - units(&chain.unconsumed);
            let free = free * 10u128.pow(18 - chain.decimals);
            assert_eq!(free, units(&chain.pool), "chain {}: {}", chain.chain_id, token.symbol);
        }
    }
    let usdc = tokens.iter().find(|token| token.symbol == "USDC").unwrap();
    assert_eq!(usdc.chains.iter().map(|chain| chain.decimals).collect::<Vec<_>>(), [6, 18]);
    assert!(units(&usdc.liabilities) > 0);
}

/// What people have on chains and on L2 together, in 18 decimals.
fn wealth<'a>(token: u16, of: impl Iterator<Item = &'a Holdings>) -> u128 {
    let total = of.map(|holdings| {
        let l1 = holdings.l1.iter().filter(|holding| holding.token == token);
        let l1 = l1.map(|holding| units(&holding.units) * 10u128.pow(18 - holding.decimals));
        let l2 = holdings.l2.iter().filter(|holding| holding.token == token);
        l1.sum::<u128>() + l2.map(|holding| units(&holding.amount)).sum::<u128>()
    });
    total.sum()
}

/// No USDC came into being: what the people lost went to the fee account.
fn check_accounts(report: &Report) {
    let usdc = report.solvency.iter().find(|token| token.symbol == "USDC").unwrap();
    let before = wealth(usdc.token, report.accounts.iter().map(|account| &account.before));
    let after = wealth(usdc.token, report.accounts.iter().map(|account| &account.after));
    let on_l2 = report.accounts.iter().flat_map(|account| &account.after.l2);
    let on_l2: u128 = on_l2
        .filter(|holding| holding.token == usdc.token)
        .map(|holding| units(&holding.amount))
        .sum();
    let fees = units(&usdc.liabilities) - on_l2;
    assert!(fees > 0, "the story pays fees");
    assert_eq!(before, after + fees);
    let names: Vec<&str> = report.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["Alice", "Bob", "Carol", "Dora", "Newcomer"]);
    assert!(report.accounts.iter().all(|account| bytes(&account.address).len() == 20));
    let holdings = report.accounts.iter().flat_map(|account| [&account.before, &account.after]);
    for holding in holdings.flat_map(|holdings| &holdings.l1) {
        let chain = report.chains.iter().find(|chain| chain.chain_id == holding.chain_id).unwrap();
        let named = format!("token {} ", holding.token);
        assert!(chain.contracts.keys().any(|name| name.starts_with(&named)), "{holding:?}");
    }
}

#[test]
fn the_report_of_the_demonstration_proves_itself() {
    the_report_proves_itself(&[]);
}

#[test]
fn it_is_the_same_with_processes_for_the_prover_the_attesters_and_a_replica() {
    let said = the_report_proves_itself(&["--processes"]);
    let lines = said.lines().filter(|line| line.contains("[replica]"));
    let lines: Vec<&str> = lines.collect();
    let caught_up = lines.iter().any(|line| line.contains("records of the node are here"));
    assert!(caught_up, "{lines:?}");
}

fn the_report_proves_itself(more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let said = demonstration(&path, more);
    let text = std::fs::read_to_string(&path).unwrap();
    let report: Report = serde_json::from_str(&text).unwrap();

    assert_eq!(report.version, 2);
    assert_eq!(bytes(&report.deployment_id).len(), 31);
    assert_eq!(report.chains.iter().map(|chain| chain.chain_id).collect::<Vec<_>>(), [1, 2, 3]);
    let hub = report.chains.iter().find(|chain| chain.role == "hub").unwrap();
    for chain in &report.chains {
        assert!(chain.rpc_url.starts_with("http://127.0.0.1:"), "{chain:?}");
        assert!(chain.contracts.values().all(|address| bytes(address).len() == 20));
        assert_eq!(chain.contracts.contains_key("verifier of shape 1"), chain.role == "hub");
        let same = report.chains.iter().filter(|other| other.evm_chain_id == chain.evm_chain_id);
        assert_eq!(same.count(), 1);
    }

    assert!(report.blocks.len() > 1, "a story of more than one block");
    let (mut state, mut tree) = genesis(&report);
    let mut root = &report.genesis_root;
    for (at, block) in report.blocks.iter().enumerate() {
        assert_eq!(block.number as usize, at + 1);
        assert_eq!(&block.old_root, root, "block {} does not follow", block.number);
        root = &block.new_root;
        let decoded = check_block(block, &report.blocks[(at + 1) % report.blocks.len()]);
        decoded.replay(&mut state, &mut tree).unwrap();
        check_transactions(block, hub.chain_id);
    }
    report.messages.iter().for_each(check_transaction);
    assert!(report.messages.len() > 1, "spokes and hub have spoken");
    check_books(&report.solvency);
    check_accounts(&report);
    assert!(report.expectations.len() > 5, "{:?}", report.expectations);
    for expectation in &report.expectations {
        assert!(expectation.met, "{}: {}", expectation.what, expectation.found);
    }
    said
}
