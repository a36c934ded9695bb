//! A walk through all stages on development chains.

use std::sync::{Arc, Mutex};

use alloy_primitives::U256;
use tokio::sync::watch;
use zklink::amount::{Amount, Fee};
use zklink::block::Head;
use zklink::commitment::StateTree;
use zklink::id::{AccountId, KeyVersion, Nonce, Owner, ShapeId, SubAccountId, TokenId};
use zklink::key::SecretKey;
use zklink::op::{self, Op};
use zklink::shape::{SMALL, shape};
use zklink::state::{DeploymentId, State};
use zklink::tx::{ChangePubKeyTx, KeyAuth, SignedTx, Tx, TxHash};
use zklink_chain::client::At;
use zklink_chain::contracts::{
    OperationsCommit, Rollup, read, to_abi, to_abi_word, transaction, words_to_abi,
};
use zklink_chain::deploy::ShapePlan;
use zklink_chain::finality::Finality;
use zklink_chain::testing::{COIN, GENESIS, HUB, SPOKE, Testnet, USD, key};
use zklink_mechanism::port::Port;
use zklink_mechanism::probe::Direct;
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;
use zklink_store::record::{AcceptedDeposit, AcceptedTx, DepositRefusal, FinalDeposit};

use super::book::AttestationBook;
use super::driver::{Done, Memory, Report, RoundError, SettlementStatus, Settler};
use super::*;
use crate::attester::driver::{OracleReader, answer};
use crate::attester::history::History;
use crate::attester::{AttestedChain, Attester, AttesterConfig};

/// Blocks in memory, with proofs that may be missing.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) blocks: Vec<SealedBlock>,
    pub(super) proofs: u32,
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

const DEPLOYMENT: DeploymentId = DeploymentId([7; 31]);

/// Seals operations into a block of the small shape.
fn seal(state: &mut State, tree: &mut StateTree, ops: &[Op], timestamp: u64) -> Block {
    let number = state.system.number.next().unwrap();
    let old_root = tree.root();
    for op in ops {
        op.apply(state).unwrap();
    }
    state.end_block(number, timestamp);
    let head = Head { number, timestamp, shape: SMALL, old_root, new_root: old_root };
    let mut block = Block { head, ops: ops.to_vec() };
    tree.update(state, &block.cells(state));
    block.head.new_root = tree.root();
    block
}

/// The source of an operation. Nothing reads the transaction of a withdrawal.
fn source(op: &Op, serials: &mut BTreeMap<ChainId, u64>, payer: Owner, tx: &SignedTx) -> Source {
    let Op::Deposit(op) = op else {
        return Source::Tx(AcceptedTx { tx: tx.clone(), hash: TxHash([0; 32]), time: 0 });
    };
    let next = serials.entry(op.chain).or_default();
    let serial = Serial(*next);
    *next += 1;
    let deposit = FinalDeposit {
        chain: op.chain,
        serial,
        token: op.token,
        payer,
        owner: op.owner,
        sub_account: op.sub_account,
        amount: op.amount,
        l1_tx: [0; 32],
        l1_block: 0,
    };
    let refused = op.refused.then_some(DepositRefusal::BadReceiver);
    Source::Deposit(AcceptedDeposit { deposit, account: op.account, refused, time: 0 })
}

/// Locks the tokens of the story: of Alice on the hub's chain, 50 wei for a contract of a chain that is not connected,
/// and of Bob on the spoke.
async fn lock(net: &Testnet) {
    let (alice, bob) = (net.wallet(HUB, "alice"), net.wallet(SPOKE, "bob"));
    alice.deposit_native(10u128.pow(18), alice.owner(), SubAccountId(0)).await.unwrap();
    alice.deposit_native(50, STRANGER, SubAccountId(0)).await.unwrap();
    let usd = net.token(SPOKE, USD);
    bob.mint(usd, bob.address(), 1000).await.unwrap();
    bob.approve(usd, 1000).await.unwrap();
    bob.deposit_erc20(USD, 1000, alice.owner(), SubAccountId(0)).await.unwrap();
}

/// An owner whose deposits are refused.
const STRANGER: Owner = Owner { home: ChainId(9), address: [0x55; 32] };

fn deposit(chain: ChainId, token: TokenId, amount: u128, owner: Owner) -> Op {
    let refused = owner == STRANGER;
    Op::Deposit(op::Deposit {
        chain,
        account: AccountId(if refused { 0 } else { 2 }),
        sub_account: SubAccountId(0),
        token,
        amount: Amount(amount),
        owner,
        refused,
    })
}

/// A deployment with two blocks: deposits on both chains, of which one is refused, and a key change; a withdrawal on
/// the spoke.
async fn walk_net() -> (Testnet, Shelf) {
    let mut state = GENESIS.state(DEPLOYMENT);
    let mut tree = StateTree::of(&state);
    let verifying_key = zklink_chain::testing::some_verifying_key();
    let plan = ShapePlan::of(shape(SMALL).unwrap(), verifying_key);
    let net = Testnet::start_with(1, &plan, true).await;
    lock(&net).await;
    let now = net.clients[&HUB].header(At::Latest).await.unwrap().unwrap().timestamp;
    let alice = net.wallet(SPOKE, "alice");
    let l2 = SecretKey::from_seed(b"alice");
    let account = AccountId(2);
    let mut change = ChangePubKeyTx {
        chain_id: SPOKE,
        account_id: account,
        sub_account_id: SubAccountId(0),
        new_pub_key: l2.public(),
        fee_token: USD,
        fee: Fee(0),
        nonce: Nonce(0),
        key_version: KeyVersion(0),
        eth_auth_data: KeyAuth::Onchain,
    };
    let network = net.deployment.network();
    alice.authorise(&mut change, &network.chains[&SPOKE]);
    let signed = Tx::ChangePubKey(change).sign(&l2, DEPLOYMENT, &network).unwrap();
    let first = [
        deposit(HUB, COIN, 10u128.pow(18), alice.owner()),
        deposit(HUB, COIN, 50, STRANGER),
        deposit(SPOKE, USD, 1000, alice.owner()),
        Op::ChangePubKey(op::ChangePubKey {
            chain: SPOKE,
            account,
            sub_account: SubAccountId(0),
            fee_token: USD,
            fee: Fee(0),
            nonce: Nonce(0),
            owner: alice.owner(),
            key: l2.public(),
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
    let payer = |chain| if chain == HUB { alice.owner() } else { net.wallet(SPOKE, "bob").owner() };
    let mut serials = BTreeMap::new();
    let blocks = [&first[..], &second].map(|ops| {
        let block = seal(&mut state, &mut tree, ops, now);
        let sources = ops.iter().map(|op| {
            let payer = payer(op.chain().unwrap_or(HUB));
            source(op, &mut serials, payer, &signed)
        });
        SealedBlock::of(&StoredBlock { block, sources: sources.collect() }).unwrap()
    });
    (net, Shelf { blocks: blocks.into(), proofs: 2 })
}

/// Both blocks of the walk.
const BOTH: Range = Range { first: BlockNumber(1), last: BlockNumber(2) };

const PERIODS: Periods = Periods { poll_ms: 1, quiet_ms: 1 };

struct Walk {
    net: Testnet,
    hub: tokio::sync::Mutex<HubReader>,
    settlers: Vec<Settler>,
    attesters: Vec<Attester>,
    statuses: Vec<watch::Sender<SettlementStatus>>,
    now: u64,
}

fn walk(net: Testnet, shelf: Shelf, report: &Report) -> Walk {
    let deployment = &net.deployment;
    let attester_keys = ["attester 1", "attester 2", "attester 3"].map(key);
    let oracles = deployment.chains.iter().map(|chain| (chain.id, chain.oracle)).collect();
    let addresses = attester_keys.iter().map(|key| key.address()).collect();
    let book = AttestationBook::new(DEPLOYMENT, oracles, addresses, 2);
    let book = Arc::new(Mutex::new(book));
    let contracts_of = |chain: &zklink_chain::deploy::DeployedChain| Contracts {
        rollup: chain.rollup,
        hub: chain.hub.map(|hub| hub.contract),
        oracle: chain.oracle,
        first_block: chain.first_block,
    };
    let chains = deployment.chains.iter();
    let contracts: BTreeMap<_, _> = chains.map(|chain| (chain.id, contracts_of(chain))).collect();
    let source: Arc<dyn SettlementSource> = Arc::new(shelf);
    let (client, contract) = (net.clients[&HUB].clone(), contracts[&HUB].hub.unwrap());
    let ids = contracts.keys().copied().collect();
    let (hub, news) = HubReader::new(client, contract, ids, Arc::clone(&source), PERIODS);
    let settler = |chain| Settler {
        chain,
        hub_id: HUB,
        contracts: contracts[&chain],
        sender: net.sender(chain, "validator"),
        hub: news.clone(),
        source: Arc::clone(&source),
        routes: {
            let (ids, book) = (contracts.keys().copied(), Port::new(Direct(Arc::clone(&book))));
            routes_to(chain, HUB, ids, contracts[&chain].oracle, &book)
        },
        publication: Arc::new(Calldata),
        report: report.clone(),
        max_log_range: 3,
        periods: PERIODS,
    };
    let attested = |chain: &zklink_chain::deploy::DeployedChain| AttestedChain {
        oracle: chain.oracle,
        first_block: chain.first_block,
        finality: Finality::FINALIZED,
        max_range: 100,
        checkpoints: 10,
        periods: PERIODS,
    };
    // The third attester is down.
    let attesters = attester_keys.into_iter().take(2).map(|key| {
        let chains = deployment.chains.iter().map(|chain| (chain.id, attested(chain))).collect();
        let config = AttesterConfig { deployment: DEPLOYMENT, chains, offer_ms: 1 };
        Attester::new(config, key, History::in_memory(), Port::new(Direct(Arc::clone(&book))))
    });
    let settlers = vec![settler(HUB), settler(SPOKE)];
    let attesters = attesters.collect();
    let statuses = settlers.iter().map(|_| watch::Sender::default()).collect();
    Walk { net, hub: hub.into(), settlers, attesters, statuses, now: 0 }
}

impl Walk {
    /// One round of a settler that knows of no failure.
    async fn round(&self, settler: usize) -> Result<Option<Done>, RoundError> {
        let status = &self.statuses[settler];
        let mut memory = Memory::new(PERIODS);
        self.read_hub().await;
        self.settlers[settler].round(&mut memory, Timestamp(0), status).await
    }

    /// Lets everybody hear what the hub says now.
    async fn read_hub(&self) {
        let mut hub = self.hub.lock().await;
        let later = hub.asked_at.map_or(Timestamp(0), |at| at.after(PERIODS.quiet_ms));
        hub.beat(later).await;
    }

    /// Lets the attesters read both chains.
    async fn attest(&mut self) {
        for chain in &self.net.deployment.chains {
            self.net.chains[&chain.id].mine(2).unwrap();
            let line = OracleReader {
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
    for _ in 0..8 {
        for settler in 0..walk.settlers.len() {
            while walk.round(settler).await.unwrap().is_some() {}
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
            "commit the chain's part of blocks 1 to 2",
            "ack block 2",
            "deliver message 0 of chain 1",
            "pay blocks 1 to 2",
        ]
    );
    assert_eq!(
        of(HUB),
        [
            "commit the chain's part of block 1",
            "commit blocks 1 to 2 on the hub",
            "ack block 1",
            "deliver message 0 of chain 2",
            "prove blocks 1 to 2",
            "release blocks 1 to 2",
            "tell chain 1 that block 1 is released",
            "refund the refused deposits of block 1",
            "pay block 1",
            "tell chain 2 that block 2 is released",
        ]
    );
    assert!(done.iter().all(|done| done.gas_used > 21_000 && done.gas_price > 0));
    let paid_through = |settler: usize| walk.statuses[settler].borrow().paid;
    assert_eq!((paid_through(0), paid_through(1)), (BlockNumber(1), BlockNumber(2)));
    let wallet = walk.net.wallet(SPOKE, "bob");
    let paid = wallet.balance(walk.net.token(SPOKE, USD), [0x77; 20]).await.unwrap();
    assert_eq!(paid, 400);
    // The refused deposit is a claim of its payer.
    let alice = walk.net.wallet(HUB, "alice");
    let contracts = walk.settlers[0].contracts;
    let call = Rollup::pendingCall { owner: to_abi(alice.address()), token: COIN.0 };
    let client = &*walk.net.clients[&HUB];
    let pending = read(client, contracts.rollup, &call, At::Latest).await.unwrap();
    assert_eq!(pending, U256::from(50));
    alice.claim(COIN).await.unwrap();
    let locked = Rollup::lockedCall { token: COIN.0 };
    let locked = read(client, contracts.rollup, &locked, At::Latest).await.unwrap();
    assert_eq!(locked, U256::from(10u128.pow(18)));
}

/// Anybody may pay a released block. One of refused deposits has nothing to pay, and then counts as paid.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_a_stranger_paid_is_refunded_all_the_same() {
    let (net, shelf) = walk_net().await;
    let mut walk = walk(net, shelf, &Report::default());
    let told = Step::SendRelease { chain: HUB, number: BlockNumber(1) };
    let mut last = None;
    for _ in 0..30 {
        last = walk.round(0).await.unwrap().map(|done| done.step);
        if last == Some(told.clone()) {
            break;
        }
        if last.is_none() {
            while walk.round(1).await.unwrap().is_some() {}
            walk.attest().await;
        }
    }
    assert_eq!(last, Some(told));
    let settler = &walk.settlers[0];
    let (contracts, client) = (settler.contracts, &*walk.net.clients[&HUB]);
    let height = read_tip(client).await.unwrap().number;
    let view = read_chain_view(client, contracts.rollup, height).await.unwrap();
    let (hub, deliverable, refunds) = (&HubView::default(), &[], &[]);
    let situation = Situation {
        chain: HUB,
        hub_id: HUB,
        view: &view,
        hub,
        deliverable,
        refunds,
        routes: &settler.routes,
        publication: &Calldata,
    };
    let pay = Step::Pay(vec![Part { number: BlockNumber(1), first: 0, chunks: 0 }]);
    let call = call_of(&pay, &situation, &*settler.source, contracts).unwrap();
    settler.sender.send(call).await.unwrap();
    let height = read_tip(client).await.unwrap().number;
    assert_eq!(
        read_chain_view(client, contracts.rollup, height).await.unwrap().paid,
        BlockNumber(1)
    );
    let next = walk.round(0).await.unwrap().unwrap();
    assert_eq!(next.step, Step::Refund(BlockNumber(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_of_the_hub_is_settled_again() {
    let (net, shelf) = walk_net().await;
    let report = Report::default();
    let walk = walk(net, shelf, &report);
    let first = walk.round(0).await.unwrap().unwrap();
    let second = walk.round(0).await.unwrap().unwrap();
    assert_eq!(second.step, Step::CommitBlocks(BOTH));
    // The hub's chain loses the block with the second transaction.
    walk.net.chains[&HUB].rollback(1).unwrap();
    let again = walk.round(0).await.unwrap().unwrap();
    assert_eq!((again.step, first.step), (second.step, Step::Commit(Range::one(BlockNumber(1)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_the_contract_refuses_is_told_in_words() {
    let (net, mut shelf) = walk_net().await;
    // The deposit on the spoke was 1000, not what this block says.
    let words = &mut shelf.blocks[0].chains.get_mut(&SPOKE).unwrap().words;
    words[0][24] ^= 1;
    let report = Report::default();
    let walk = walk(net, shelf, &report);
    let error = walk.round(1).await.unwrap_err();
    let RoundError::Send { step, .. } = &error else { panic!("{error}") };
    assert_eq!(step, &Step::Commit(BOTH));
    let text = error.to_string();
    assert!(text.contains("DepositMismatch(index 0, serial 0)"), "{text}");
    assert_eq!(report.done(), vec![]);
    assert_eq!(ShapeId(2), SMALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_reader_is_no_word_about_the_hub() {
    let (net, shelf) = walk_net().await;
    let Walk { hub, settlers, .. } = walk(net, shelf, &Report::default());
    let news = settlers[0].hub.clone();
    drop(hub);
    let wait = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(wait, news.latest()).await.is_err(), "it waits for the end");
    assert!(tokio::time::timeout(wait, news.fresh()).await.is_err(), "it waits for the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_refused_for_ever_holds_up_nothing_but_itself() {
    let (net, mut shelf) = walk_net().await;
    // A witness too many: the hub's own part of block 1 is refused, the block itself is not.
    shelf.blocks[0].chains.get_mut(&HUB).unwrap().key_witnesses.push(Vec::new());
    let report = Report::default();
    let mut walk = walk(net, shelf, &report);
    let settler = walk.settlers.remove(0);
    let (status, heard) = tokio::sync::watch::channel(SettlementStatus::default());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let period = std::time::Duration::from_millis(2);
    let running = tokio::spawn(settler.run(status, stopped.clone()));
    let following = tokio::spawn(walk.hub.into_inner().run(|_| {}, stopped));
    let patience = std::time::Duration::from_secs(20);
    let later = async {
        let mut heard = heard.clone();
        let again = |status: &SettlementStatus| {
            status.failing.first().is_some_and(|failing| failing.failures >= 3)
        };
        drop(heard.wait_for(again).await.unwrap());
        while report.done().is_empty() {
            tokio::time::sleep(period).await;
        }
    };
    tokio::time::timeout(patience, later).await.unwrap();
    stop.send_replace(true);
    running.await.unwrap();
    following.await.unwrap();
    let done: Vec<Step> = report.done().into_iter().map(|done| done.step).collect();
    assert_eq!(done, [Step::CommitBlocks(BOTH)]);
    let status = heard.borrow().clone();
    let [failing] = &status.failing[..] else { panic!("{status:?}") };
    assert_eq!(failing.step, Step::Commit(Range::one(BlockNumber(1))));
    assert!(failing.error.contains("WitnessCount(expected 0, given 1)"), "{}", failing.error);
    assert_eq!((status.failures, &status.last_error, &status.diverged), (0, &None, &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_not_the_archives_are_taken_back_while_they_are_not_acked() {
    let (net, shelf) = walk_net().await;
    let words = words_to_abi(&shelf.blocks[1].chains[&SPOKE].words);
    let report = Report::default();
    let walk = walk(net, shelf, &report);
    // As another store with the same key did: block 2 without block 1 before it.
    let spoke = &walk.settlers[1];
    let info = OperationsCommit { number: 2, words, keyWitnesses: vec![], payers: vec![] };
    let call = Rollup::commitCall { previousRolling: to_abi_word([0; 32]), blocks: vec![info] };
    let rollup = spoke.contracts.rollup;
    spoke.sender.send(transaction(rollup, &call)).await.unwrap();
    let mut steps = Vec::new();
    while let Some(done) = walk.round(1).await.unwrap() {
        steps.push(done.step);
    }
    assert_eq!(steps, [Step::RevertCommits(BlockNumber(0)), Step::Commit(BOTH)]);
}
