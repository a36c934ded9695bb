//! The table of all stages, and a walk through them on development chains.

use std::sync::{Arc, Mutex};

use zklink::amount::{Amount, Fee};
use zklink::block::Head;
use zklink::commitment::StateTree;
use zklink::id::{AccountId, Nonce, Owner, ShapeId, SubAccountId};
use zklink::key::SecretKey;
use zklink::op::{self, Op};
use zklink::shape::{SMALL, shape};
use zklink::state::{DeploymentId, State};
use zklink::tx::{ChangePubKeyTx, KeyAuth};

use super::book::AttestationBook;
use super::driver::{Report, RoundError, SettlementStatus, Settler};
use super::*;
use crate::attester::driver::{Line, answer};
use crate::attester::history::History;
use crate::attester::{AttestedChain, Attester, AttesterConfig};
use crate::chain::client::At;
use crate::chain::finality::Finality;
use crate::chain::testing::{COIN, Direct, HUB, SPOKE, Testnet, USD, key};
use crate::deploy::ShapePlan;
use crate::port::Port;
use crate::timestamp::Timestamp;
use crate::turn::Turn;

/// Blocks in memory, with proofs that may be missing.
#[derive(Default)]
struct Shelf {
    blocks: Vec<SealedBlock>,
    proofs: u32,
}

impl SettlementSource for Shelf {
    fn sealed(&self) -> BlockNumber {
        BlockNumber(self.blocks.len() as u32)
    }

    fn block(&self, number: BlockNumber) -> Option<SealedBlock> {
        self.blocks.get((number.0 as usize).checked_sub(1)?).cloned()
    }

    fn proof(&self, number: BlockNumber) -> Option<Vec<u8>> {
        (number.0 <= self.proofs).then(|| vec![1; 512])
    }
}

/// A block with operations of the given chains; its root is its number.
fn block(number: u32, chains: &[ChainId]) -> SealedBlock {
    let mut new_root = [0; 32];
    new_root[28..].copy_from_slice(&number.to_be_bytes());
    SealedBlock {
        number: BlockNumber(number),
        shape: 1,
        timestamp: 0,
        new_root,
        inputs: [[0; 32]; 4],
        onchain: Vec::new(),
        data: Vec::new(),
        chains: chains.iter().map(|chain| (*chain, ChainPart::default())).collect(),
    }
}

/// Block 1 is for both chains, block 2 for none, block 3 for the spoke, block 4 for the hub.
fn shelf(proofs: u32) -> Shelf {
    let chains: [&[ChainId]; 4] = [&[HUB, SPOKE], &[], &[SPOKE], &[HUB]];
    let blocks = (1..).zip(chains).map(|(number, chains)| block(number, chains)).collect();
    Shelf { blocks, proofs }
}

fn view(committed: u32, acked: u32, released: u32, paid: u32) -> ChainView {
    ChainView {
        committed: BlockNumber(committed),
        acked: BlockNumber(acked),
        released: BlockNumber(released),
        paid: BlockNumber(paid),
        rolling: [1; 32],
        hub_rolling: [1; 32],
    }
}

fn hub(committed: u32, proven: u32, released: u32, acked: [u32; 2]) -> HubView {
    HubView {
        committed: BlockNumber(committed),
        proven: BlockNumber(proven),
        released: BlockNumber(released),
        root: if committed == 0 { [9; 32] } else { block(committed, &[]).new_root },
        acked: [HUB, SPOKE].into_iter().zip(acked.map(BlockNumber)).collect(),
    }
}

fn message(sequence: u64) -> Vec<Deliverable> {
    let (payload, signatures) = (vec![1], vec![[0; 65]]);
    vec![Deliverable { source: HUB, sequence, payload, signatures }]
}

fn decide(
    chain: ChainId,
    view: ChainView,
    hub: HubView,
    deliverable: &[Deliverable],
    proofs: u32,
) -> Result<Option<Step>, Diverged> {
    let situation = Situation { chain, hub_id: HUB, view: &view, hub: &hub, deliverable };
    next_step(&situation, &shelf(proofs))
}

#[test]
fn the_next_step_of_the_hub_follows_from_the_stages() {
    use Step::{Ack, Commit, CommitBlock, Pay, ProveBlock, ReleaseBlock};
    let n = BlockNumber;
    let table = [
        // Own part first, then the block, then the ack, which waits for the block.
        (view(0, 0, 0, 0), hub(0, 0, 0, [0, 0]), 0, Some(Commit(n(1)))),
        (view(1, 0, 0, 0), hub(0, 0, 0, [0, 0]), 0, Some(Commit(n(4)))),
        (view(4, 0, 0, 0), hub(0, 0, 0, [0, 0]), 0, Some(CommitBlock(n(1)))),
        (view(1, 0, 0, 0), hub(1, 0, 0, [0, 0]), 0, Some(Ack(n(1)))),
        (view(4, 1, 0, 0), hub(1, 0, 0, [1, 0]), 0, Some(CommitBlock(n(2)))),
        (view(4, 1, 0, 0), hub(4, 0, 0, [1, 0]), 0, Some(Ack(n(4)))),
        (view(4, 4, 0, 0), hub(4, 0, 0, [4, 0]), 0, None),
        // A proof that is there goes before new work, once every chain of the block agrees.
        (view(1, 0, 0, 0), hub(1, 0, 0, [0, 0]), 1, Some(Ack(n(1)))),
        (view(1, 1, 0, 0), hub(1, 0, 0, [1, 0]), 1, Some(Commit(n(4)))),
        (view(1, 1, 0, 0), hub(1, 0, 0, [1, 1]), 1, Some(ProveBlock(n(1)))),
        (view(4, 4, 0, 0), hub(4, 0, 0, [4, 3]), 4, Some(ProveBlock(n(1)))),
        // Released only when every chain of the block agrees.
        (view(4, 4, 0, 0), hub(4, 1, 0, [4, 0]), 1, None),
        (view(4, 4, 0, 0), hub(4, 1, 0, [4, 1]), 1, Some(ReleaseBlock(n(1)))),
        (view(4, 4, 1, 1), hub(4, 2, 1, [4, 1]), 2, Some(ReleaseBlock(n(2)))),
        (view(4, 4, 1, 1), hub(4, 4, 2, [4, 1]), 4, None),
        (view(4, 4, 1, 1), hub(4, 4, 2, [4, 3]), 4, Some(ReleaseBlock(n(3)))),
        // What was released is paid before anything else.
        (view(4, 4, 1, 0), hub(4, 4, 1, [4, 3]), 4, Some(Pay(n(1)))),
        (view(4, 4, 4, 1), hub(4, 4, 4, [4, 3]), 4, Some(Pay(n(4)))),
        (view(4, 4, 4, 4), hub(4, 4, 4, [4, 3]), 4, None),
    ];
    for (index, (view, hub, proofs, expected)) in table.into_iter().enumerate() {
        let step = decide(HUB, view, hub, &[], proofs);
        assert_eq!(step, Ok(expected), "row {index}");
    }
}

#[test]
fn the_next_step_of_a_spoke_follows_from_the_stages() {
    use Step::{Ack, Commit, Deliver, Pay};
    let n = BlockNumber;
    let deliver = |sequence| Some(Deliver { source: HUB, sequence });
    let table = [
        (view(0, 0, 0, 0), hub(0, 0, 0, [0, 0]), vec![], Some(Commit(n(1)))),
        (view(1, 0, 0, 0), hub(0, 0, 0, [0, 0]), vec![], Some(Commit(n(3)))),
        (view(3, 0, 0, 0), hub(2, 0, 0, [0, 0]), vec![], None),
        (view(1, 0, 0, 0), hub(2, 0, 0, [0, 0]), vec![], Some(Ack(n(1)))),
        (view(3, 0, 0, 0), hub(3, 0, 0, [0, 0]), vec![], Some(Ack(n(3)))),
        (view(3, 3, 0, 0), hub(4, 4, 2, [4, 3]), vec![], None),
        (view(3, 3, 0, 0), hub(4, 4, 2, [4, 3]), message(0), deliver(0)),
        (view(3, 3, 1, 0), hub(4, 4, 2, [4, 3]), message(1), Some(Pay(n(1)))),
        (view(3, 3, 1, 1), hub(4, 4, 2, [4, 3]), message(1), deliver(1)),
        (view(3, 3, 3, 1), hub(4, 4, 3, [4, 3]), vec![], Some(Pay(n(3)))),
        (view(3, 3, 3, 3), hub(4, 4, 4, [4, 3]), vec![], None),
        // A spoke never proves nor releases.
        (view(3, 3, 0, 0), hub(4, 1, 0, [4, 3]), vec![], None),
    ];
    for (index, (view, hub, messages, expected)) in table.into_iter().enumerate() {
        let step = decide(SPOKE, view, hub, &messages, 4);
        assert_eq!(step, Ok(expected), "row {index}");
    }
}

#[test]
fn contracts_that_hold_something_else_stop_settlement() {
    let n = BlockNumber;
    let ahead = decide(SPOKE, view(0, 0, 0, 0), hub(5, 0, 0, [0, 0]), &[], 0);
    assert_eq!(ahead, Err(Diverged::Ahead { committed: n(5), sealed: n(4) }));
    let mut other_root = hub(2, 0, 0, [0, 0]);
    other_root.root = [8; 32];
    assert_eq!(decide(HUB, view(0, 0, 0, 0), other_root, &[], 0), Err(Diverged::Root(n(2))));
    let mut other = view(1, 0, 0, 0);
    other.hub_rolling = [2; 32];
    let content = Err(Diverged::Content { chain: SPOKE, number: n(1) });
    assert_eq!(decide(SPOKE, other, hub(1, 0, 0, [0, 0]), &[], 0), content);
    // Before the hub has the block there is nothing to compare.
    other.hub_rolling = [0; 32];
    assert_eq!(decide(SPOKE, other, hub(0, 0, 0, [0, 0]), &[], 0), Ok(Some(Step::Commit(n(3)))));
}

const DEPLOYMENT: DeploymentId = DeploymentId([7; 31]);

fn genesis() -> State {
    State::genesis(DEPLOYMENT, Owner([1; 32]), Owner([2; 32]))
}

/// Seals operations into a block of the small shape.
fn seal(state: &mut State, tree: &mut StateTree, ops: &[Op], timestamp: u64) -> Block {
    let ops = shape(SMALL).unwrap().fill(ops).unwrap();
    let number = state.system.number.next().unwrap();
    let old_root = tree.root();
    let mut cells = std::collections::BTreeSet::new();
    for op in &ops {
        op.apply(state).unwrap();
        cells.extend(op.cells(state.system.fee_account));
    }
    (state.system.number, state.system.timestamp) = (number, timestamp);
    tree.update(state, &cells);
    let head = Head { number, timestamp, shape: SMALL, old_root, new_root: tree.root() };
    Block { head, ops }
}

/// A deployment with two blocks: deposits on both chains and a key change; a withdrawal on the
/// spoke.
async fn walk_net() -> (Testnet, Shelf) {
    let mut state = genesis();
    let mut tree = StateTree::of(&state);
    let of_shape = shape(SMALL).unwrap();
    let verifying_key = crate::chain::testing::some_verifying_key();
    let plan = ShapePlan::of(of_shape, verifying_key);
    let root = fr_to_be_bytes(tree.root());
    let net = Testnet::start_with(1, &plan, root, true).await;
    let (alice, bob) = (net.wallet(HUB, "alice"), net.wallet(SPOKE, "bob"));
    alice.deposit_native(10u128.pow(18), alice.owner(), SubAccountId(0)).await.unwrap();
    let usd = net.token(SPOKE, USD);
    bob.mint(usd, bob.address(), 1000).await.unwrap();
    bob.approve(usd, 1000).await.unwrap();
    bob.deposit_erc20(USD, 1000, alice.owner(), SubAccountId(0)).await.unwrap();
    let now = net.clients[&HUB].header(At::Latest).await.unwrap().unwrap().timestamp;
    let account = AccountId(2);
    let deposit = |chain, token, amount| {
        Op::Deposit(op::Deposit {
            chain,
            account,
            sub_account: SubAccountId(0),
            token,
            amount: Amount(amount),
            owner: alice.owner(),
        })
    };
    let l2 = SecretKey::from_seed(b"alice").public();
    let mut change = ChangePubKeyTx {
        chain_id: SPOKE,
        account_id: account,
        sub_account_id: SubAccountId(0),
        new_pub_key: l2,
        fee_token: USD,
        fee: Fee(0),
        nonce: Nonce(0),
        eth_auth_data: KeyAuth::Onchain,
    };
    net.wallet(SPOKE, "alice").authorise(&mut change, &net.deployment.network().chains[&SPOKE]);
    let first = [
        deposit(HUB, COIN, 10u128.pow(18)),
        deposit(SPOKE, USD, 1000),
        Op::ChangePubKey(op::ChangePubKey {
            chain: SPOKE,
            account,
            sub_account: SubAccountId(0),
            fee_token: USD,
            fee: Fee(0),
            nonce: Nonce(0),
            owner: alice.owner(),
            key: l2,
        }),
    ];
    let second = [Op::Withdraw(op::Withdraw {
        chain: SPOKE,
        account,
        sub_account: SubAccountId(0),
        token: USD,
        l1_amount: 400,
        scale: 0,
        fee: Fee(0),
        to: Owner::from_evm([0x77; 20]),
    })];
    let first = seal(&mut state, &mut tree, &first, now);
    let second = seal(&mut state, &mut tree, &second, now);
    let witnesses = [(SPOKE, vec![change.eth_auth_data.witness()])].into();
    let blocks =
        vec![SealedBlock::of(&first, witnesses), SealedBlock::of(&second, Default::default())];
    (net, Shelf { blocks, proofs: 2 })
}

struct Walk {
    net: Testnet,
    settlers: Vec<Settler>,
    attesters: Vec<Attester>,
    now: u64,
}

fn walk(net: Testnet, shelf: Shelf, report: &Report) -> Walk {
    let deployment = &net.deployment;
    let attester_keys = ["attester 1", "attester 2", "attester 3"].map(key);
    let chains = deployment.chains.iter().map(|chain| chain.id).collect();
    let addresses = attester_keys.iter().map(|key| key.address()).collect();
    let book = AttestationBook::new(DEPLOYMENT, chains, addresses, 2);
    let book = Arc::new(Mutex::new(book));
    let contracts: BTreeMap<_, _> = deployment
        .chains
        .iter()
        .map(|chain| (chain.id, Contracts { rollup: chain.rollup, oracle: chain.oracle }))
        .collect();
    let source: Arc<dyn SettlementSource> = Arc::new(shelf);
    let settler = |chain| Settler {
        chain,
        hub_id: HUB,
        contracts: contracts.clone(),
        sender: net.sender(chain, "validator"),
        hub: net.clients[&HUB].clone(),
        source: Arc::clone(&source),
        book: Port::new(Direct(Arc::clone(&book))),
        report: report.clone(),
    };
    let attested = |chain: &crate::deploy::DeployedChain| AttestedChain {
        oracle: chain.oracle,
        first_block: chain.first_block,
        finality: Finality::FINALIZED,
        max_range: 100,
        checkpoints: 10,
        poll_ms: 1,
    };
    // The third attester is down.
    let attesters = attester_keys.into_iter().take(2).map(|key| {
        let chains = deployment.chains.iter().map(|chain| (chain.id, attested(chain))).collect();
        let config = AttesterConfig { deployment: DEPLOYMENT, chains, offer_ms: 1 };
        Attester::new(config, key, History::in_memory(), Port::new(Direct(Arc::clone(&book))))
    });
    let (settlers, attesters) = (vec![settler(HUB), settler(SPOKE)], attesters.collect());
    Walk { net, settlers, attesters, now: 0 }
}

impl Walk {
    /// Lets the attesters read both chains.
    async fn attest(&mut self) {
        for chain in &self.net.deployment.chains {
            self.net.chains[&chain.id].mine(2).unwrap();
            let line = Line {
                chain: chain.id,
                client: self.net.clients[&chain.id].clone(),
                oracle: chain.oracle,
                partners: vec![if chain.id == HUB { SPOKE } else { HUB }],
            };
            for attester in &mut self.attesters {
                self.now += 10_000;
                let mut turn = Turn::at(Timestamp(self.now));
                while let Some(request) = attester.next(line.chain, &mut turn) {
                    let response = answer(&line, &request).await;
                    attester.outcome(line.chain, response, &mut turn);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_blocks_walk_from_commit_to_payout_over_the_light_oracle() {
    let (net, shelf) = walk_net().await;
    let report = Report::default();
    let mut walk = walk(net, shelf, &report);
    let (status, _) = tokio::sync::watch::channel(SettlementStatus::default());
    for _ in 0..8 {
        for settler in &walk.settlers {
            while settler.round(&status).await.unwrap().is_some() {}
        }
        walk.attest().await;
    }
    let done = report.done();
    let of = |chain| -> Vec<String> {
        let steps = done.iter().filter(|done| done.chain == chain);
        steps.map(|done| done.step.to_string()).collect()
    };
    assert_eq!(
        of(SPOKE),
        [
            "commit the chain's part of block 1",
            "ack block 1",
            "commit the chain's part of block 2",
            "ack block 2",
            "deliver message 0 of chain 1",
            "pay block 1",
            "deliver message 1 of chain 1",
            "pay block 2",
        ]
    );
    assert_eq!(
        of(HUB),
        [
            "commit the chain's part of block 1",
            "commit block 1 on the hub",
            "ack block 1",
            "commit block 2 on the hub",
            "deliver message 0 of chain 2",
            "deliver message 1 of chain 2",
            "prove block 1",
            "release block 1",
            "pay block 1",
            "prove block 2",
            "release block 2",
        ]
    );
    assert!(done.iter().all(|done| done.gas_used > 21_000 && done.gas_price > 0));
    let wallet = walk.net.wallet(SPOKE, "bob");
    let paid = wallet.balance(walk.net.token(SPOKE, USD), [0x77; 20]).await.unwrap();
    assert_eq!(paid, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_of_the_hub_is_settled_again() {
    let (net, shelf) = walk_net().await;
    let report = Report::default();
    let walk = walk(net, shelf, &report);
    let (status, _) = tokio::sync::watch::channel(SettlementStatus::default());
    let hub = &walk.settlers[0];
    let first = hub.round(&status).await.unwrap().unwrap();
    let second = hub.round(&status).await.unwrap().unwrap();
    assert_eq!(second.step, Step::CommitBlock(BlockNumber(1)));
    // The hub's chain loses the block with the second transaction.
    walk.net.chains[&HUB].rollback(1).unwrap();
    let again = hub.round(&status).await.unwrap().unwrap();
    assert_eq!((again.step, first.step), (second.step, Step::Commit(BlockNumber(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_the_contract_refuses_is_told_in_words() {
    let (net, mut shelf) = walk_net().await;
    // The deposit on the spoke was 1000, not what this block says.
    let words = &mut shelf.blocks[0].chains.get_mut(&SPOKE).unwrap().words;
    words[0][24] ^= 1;
    let report = Report::default();
    let walk = walk(net, shelf, &report);
    let (status, _) = tokio::sync::watch::channel(SettlementStatus::default());
    let error = walk.settlers[1].round(&status).await.unwrap_err();
    let RoundError::Send { step, .. } = &error else { panic!("{error}") };
    assert_eq!(step, &Step::Commit(BlockNumber(1)));
    let text = error.to_string();
    assert!(text.contains("DepositMismatch(index 0, serial 0)"), "{text}");
    assert_eq!(report.done(), vec![]);
    assert_eq!(ShapeId(2), SMALL);
}
