//! The typed client against a real gateway, builder, journal and archive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use zklink::amount::{Amount, Fee};
use zklink::commitment::StateTree;
use zklink::fees::{FeeTable, LeastFees};
use zklink::id::{AccountId, BlockNumber, ChainId, Owner, SubAccountId, TokenId};
use zklink::tx::{SignedTx, Tx};
use zklink_client::error::code;
use zklink_client::wallet::{Payment, Payout};
use zklink_client::{
    AccountQuery, AlarmView, BlockOnChain, BlockTx, ChainTx, Client, ClientError, HexBytes,
    HistoryKind, TxBody, TxStatus, Wallet, ZkLinkClient,
};
use zklink_mechanism::clock::SystemClock;
use zklink_mechanism::host::Host;
use zklink_mechanism::platform::{Platform, Reach};
use zklink_mechanism::port::Port;
use zklink_mechanism::shell::Thread;
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::supervisor::{self, Supervisor};
use zklink_store::archive::Archive;
use zklink_store::fold;
use zklink_store::journal::segment::{SEGMENT_BYTES, SegmentLog};
use zklink_store::journal::{Journal, Log};
use zklink_store::record::FinalDeposit;
use zklink_store::simulation::SimDisk;
use zklink_store::simulation::SimStore;

use super::*;
use crate::builder::fixture::{
    HUB, SPOKE, UNIT, USD, User, deposit, genesis, ledger, network, shape_ids,
};
use crate::builder::{Builder, Credit, Credited, HubProgress, SealNow, ViewReader};
use crate::roots::{self, Policy, RootMaker};
use crate::snapshot::Snapshot;

mod bounds;
mod browsers;
mod connections;
mod settled;

const WAIT: Duration = Duration::from_secs(10);

/// A settlement that stands where a test puts it, at first with block 2 committed and block 1 proven.
struct Standing(Arc<Mutex<Reached>>);

impl Stages for Standing {
    fn reached(&self) -> Reached {
        self.0.lock().expect("no panic").clone()
    }

    fn on_chain(&self, block: BlockNumber) -> BlockOnChain {
        let tx = ChainTx { chain_id: HUB, tx_hash: HexBytes([9; 32]) };
        let committed = if block <= self.reached().committed { vec![tx] } else { Vec::new() };
        BlockOnChain { committed, ..BlockOnChain::default() }
    }

    fn payouts(&self, chain: ChainId, block: BlockNumber) -> Vec<ChainTx> {
        let paid = self.reached().paid.get(&chain).is_some_and(|paid| block <= *paid);
        let tx = ChainTx { chain_id: chain, tx_hash: HexBytes([7; 32]) };
        if paid { vec![tx] } else { Vec::new() }
    }
}

/// A faucet that gives up to one unit.
struct OneUnit;

impl Faucet for OneUnit {
    fn drip(
        &self,
        request: FaucetRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = Dripped> + Send + '_>> {
        let given = if request.amount.0 <= UNIT {
            Ok([8; 32])
        } else {
            Err(NoDrip::Refused("too much".into()))
        };
        Box::pin(std::future::ready(given))
    }
}

/// A node behind a real socket.
struct Served {
    gateway: Gateway,
    view: ViewReader,
    credit: Port<Credit>,
    seal: Port<SealNow>,
    hub: Port<HubProgress>,
    reached: Arc<Mutex<Reached>>,
    alarms: watch::Sender<Vec<AlarmView>>,
}

struct Setup {
    limits: Limits,
    config: crate::builder::Config,
    faucet: bool,
    fees: FeeTable,
}

impl Default for Setup {
    fn default() -> Setup {
        let limits = Limits { calls_per_second: 0, ..Limits::default() };
        let config = crate::builder::Config { block_age_max_ms: 1_000_000, ..Default::default() };
        Setup { limits, config, faucet: false, fees: FeeTable::default() }
    }
}

async fn start(setup: Setup) -> (Host, Served) {
    let limits = supervisor::Config {
        backoff_first_ms: 10,
        backoff_max_ms: 100,
        failures_max: 3,
        window_ms: 1_000,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (mut host, _) =
        Host::supervised_by(Arc::clone(&clock), Supervisor::new(limits)).await.expect("a thread");
    let opened = SegmentLog::open(SimDisk::new(), b"test", SEGMENT_BYTES);
    let (mut log, _) = opened.expect("an empty disk");
    let opened = Archive::open(Arc::new(SimStore::new()), fold::fold(), &mut log);
    let (archive, _) = opened.expect("an empty store");
    let reader = archive.reader();
    let thread = Thread::start();
    let archive = host.start(&thread, "archive", 1_024, Origin::Once(archive)).await;
    let archive = archive.expect("a thread");
    let policy = Policy { records: u64::MAX, receipts_max: 1 };
    let at = (Snapshot::genesis(log.start(), genesis()), StateTree::of(&genesis()));
    let maker = RootMaker::new(reader.clone(), network(), policy, at, BlockNumber(0));
    let (cuts, _) = mpsc::channel(1);
    let (offload, stop) = (host.offload(), host.stopping());
    host.drive("root-maker", roots::drive(maker, archive.port(), cuts, offload, stop));
    let journal = Journal::new(Box::new(log), archive.port());
    let journal = host.start(&thread, "journal", 1_024, Origin::Once(journal)).await;
    let journal = journal.expect("a thread").port();
    let mut builder = Builder::new(setup.config, ledger(), journal);
    builder.ask_fees(setup.fees.clone());
    let view = builder.reader();
    let builder = host.start(&thread, "builder", 1_024, Origin::Once(builder)).await;
    let builder = builder.expect("a thread");
    let faucet: Option<Arc<dyn Faucet>> = if setup.faucet { Some(Arc::new(OneUnit)) } else { None };
    let (committed, verified) = (BlockNumber(2), BlockNumber(1));
    let reached = Arc::new(Mutex::new(Reached { committed, verified, ..Reached::default() }));
    let (alarms, alarms_heard) = watch::channel(Vec::new());
    let sources = Sources {
        view: view.clone(),
        archive: reader,
        submit: builder.port(),
        proving: None,
        stages: Arc::new(Standing(Arc::clone(&reached))),
        alarms: alarms_heard,
        faucet,
    };
    let about = About {
        network: network(),
        fees: setup.fees,
        shapes: shape_ids(),
        confirmations: BTreeMap::from([(SPOKE, 12)]),
        key_chain: HUB,
    };
    let api = Api::new(sources, about, setup.limits.request_timeout);
    let here = "127.0.0.1:0".parse().expect("an address");
    let gateway = Gateway::start(here, setup.limits, clock, api).await.expect("a free port");
    let (credit, seal, hub) = (builder.port(), builder.port(), builder.port());
    (host, Served { gateway, view, credit, seal, hub, reached, alarms })
}

/// Runs a test against a node.
fn served(setup: Setup, test: impl AsyncFnOnce(&Host, Served)) {
    zklink_mechanism::shell::run(async {
        let (host, served) = start(setup).await;
        test(&host, served).await;
    });
}

impl Served {
    fn http(&self) -> String {
        format!("http://{}", self.gateway.address())
    }

    fn reach(&self, change: impl FnOnce(&mut Reached)) {
        change(&mut self.reached.lock().expect("no panic"));
    }

    async fn client(&self) -> Client {
        Client::connect(&self.http()).await.expect("it serves")
    }

    async fn credit(&self, deposit: FinalDeposit) {
        let (chain, serial) = (deposit.chain, deposit.serial);
        let pending = self.credit.ask(Credit(deposit)).expect("room");
        assert_eq!(pending.wait(WAIT).await, Ok(Credited::Executed));
        while self.view.read().state.cursor(chain) <= serial {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Seals the open block and waits until readers see that.
    async fn seal(&self, client: &Client) -> BlockNumber {
        let pending = self.seal.ask(SealNow).expect("room");
        let number = pending.wait(WAIT).await.expect("an answer").expect("not empty");
        loop {
            let open = client.pending_block(0, None, None, None).await.expect("a list");
            let latest = client.latest_block().await.expect("numbers");
            if open.is_empty() && latest.last_block_number == number {
                return number;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the server says to these bytes, until it closes or is silent for long.
    async fn raw(&self, body: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.gateway.address()).await.expect("it listens");
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.expect("it reads");
        // The server may answer and close before it has read an oversized body.
        let _ = socket.write_all(body).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(WAIT, socket.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn payment(to: Owner, units: u128) -> Payment {
    Payment {
        from: SubAccountId(0),
        to,
        to_sub_account: SubAccountId(0),
        token: USD,
        amount: Amount(units * UNIT),
        fee: Fee::ZERO,
    }
}

/// A dollar, to Alice herself on a chain.
fn payout(chain: ChainId, to: Owner) -> Payout {
    let (from, amount, max_fee) = (SubAccountId(0), Amount(UNIT), Fee::ZERO);
    Payout { chain, from, to, token: USD, amount, max_fee }
}

/// Alice with 100 dollars and a key.
async fn alice(served: &Served, client: &Client) -> (User, Wallet) {
    let alice = User::new(1);
    served.credit(deposit(HUB, 0, alice.owner, 100 * UNIT)).await;
    let wallet = Wallet::connect(client, alice.owner, alice.key.clone()).await.expect("a node");
    let authorise = Some(|digest| alice.authorise(digest));
    let tx = wallet.change_pub_key(client, HUB, (USD, Fee::ZERO), authorise).await;
    client.send(&tx.expect("an account")).await.expect("authorised");
    (alice, wallet)
}

fn code_of<T: std::fmt::Debug>(result: Result<T, impl Into<ClientError>>) -> i32 {
    let error: ClientError = result.expect_err("it must be refused").into();
    match &error {
        ClientError::Rpc { code, hint, .. } => {
            assert!(!hint.is_empty(), "every error says what to do: {error}");
            *code
        }
        other => panic!("not an answer of the node: {other}"),
    }
}

#[test]
fn a_life_through_the_client() {
    served(Setup::default(), async |_, served| {
        for scheme in ["http", "ws"] {
            let address = format!("{scheme}://{}", served.gateway.address());
            let client = Client::connect(&address).await.expect("it serves");
            let chains = client.support_chains().await.expect("chains");
            assert_eq!((chains.len(), chains[0].gas_token_id), (2, Some(TokenId(2))));
            assert_eq!(chains[1].deposit_confirmation, Some(12));
        }
        let client = served.client().await;
        let (alice, wallet) = alice(&served, &client).await;
        let bob = User::new(2);
        let tx = wallet.transfer(&client, payment(bob.owner, 30)).await.expect("an account");
        let hash = client.send(&tx).await.expect("affordable");
        assert_eq!(client.send(&tx).await.expect("the same"), hash);
        let info = client.wait_executed(hash, WAIT).await.expect("executed");
        assert_eq!(info.receipt.status, TxStatus::Executed);
        assert_eq!(info.tx, TxBody::Signed(Box::new(tx)));

        let account = client.account(alice.owner.into()).await.expect("an account");
        assert_eq!(account.pub_key, Some(alice.key.public()));
        assert_eq!(account.sub_account_nonces[&SubAccountId(0)].0, 1);
        let balances = client.balances(account.id, None).await.expect("an account");
        assert_eq!(balances[&SubAccountId(0)][&USD], Amount(70 * UNIT));
        let snapshot = client.snapshot(alice.owner.into(), None, None).await.expect("an account");
        assert_eq!((snapshot.id, snapshot.pub_key_hash), (account.id, account.pub_key_hash));
        assert_eq!((&snapshot.balances, snapshot.block_number), (&balances, BlockNumber(0)));
        assert_eq!(snapshot.sub_account_nonces, account.sub_account_nonces);
        let other = Some(SubAccountId(1));
        let snapshot = client.snapshot(account.id.into(), other, None).await.expect("an account");
        assert_eq!((snapshot.balances.len(), snapshot.sub_account_nonces.len()), (0, 0));
        let pending = client.pending_block(0, Some(true), None, None).await.expect("a list");
        let details = pending.iter().filter(|tx| matches!(tx, BlockTx::Detail(_))).count();
        assert!(details >= 1, "{pending:?}");

        let number = served.seal(&client).await;
        let info = client.transaction(hash, Some(false)).await.expect("known");
        assert_eq!(info.receipt.block, number);
        let block = client.block(None, Some(false), None).await.expect("sealed");
        assert_eq!(block.number, number);
        assert!(block.transactions.contains(&BlockTx::Hash(hash)));
        let latest = client.latest_block().await.expect("numbers");
        assert_eq!((latest.last_block_number, latest.committed.0), (number, 2));
        assert_eq!(latest.timestamp, block.timestamp);
        let network = client.network().await.expect("a network");
        assert_eq!(network.state_root, block.root_hash);
        assert_eq!(&network.network().expect("possible"), wallet.network());
    });
}

#[test]
fn what_was_sealed_is_shown_with_its_stage() {
    served(Setup::default(), async |_, served| {
        let client = served.client().await;
        let (alice, wallet) = alice(&served, &client).await;
        let mut hashes = Vec::new();
        for stage in [TxStatus::Verified, TxStatus::Committed, TxStatus::Sealed] {
            let tx = wallet.withdraw(&client, payout(HUB, alice.owner)).await.expect("an account");
            let hash = client.send(&tx).await.expect("affordable");
            let number = served.seal(&client).await;
            client.wait_executed(hash, WAIT).await.expect("executed");
            let info = client.transaction(hash, None).await.expect("known");
            assert_eq!((info.receipt.block, info.receipt.status), (number, stage));
            hashes.push(hash);
        }
        let on_chain = client.block_on_chain(BlockNumber(2)).await.expect("sealed");
        assert_eq!(on_chain.committed[0].chain_id, HUB);

        let page = client.history(HistoryKind::Withdraw, alice.owner, 0, 2).await.expect("a page");
        assert_eq!((page.total_page_num, page.page_data.len()), (2, 2));
        assert_eq!(page.page_data[0].tx_hash, hashes[2], "newest first");
        let page = client.history(HistoryKind::Withdraw, alice.owner, 1, 2).await.expect("a page");
        assert_eq!(page.page_data[0].tx_hash, hashes[0]);
        let page = client.history(HistoryKind::Withdraw, alice.owner, 9, 2).await.expect("a page");
        assert_eq!(page.page_data, []);
        let page = client.history(HistoryKind::Deposit, alice.owner, 0, 9).await.expect("a page");
        assert!(matches!(&page.page_data[0].tx, TxBody::Deposit(of) if of.from_chain_id == HUB));
        let deposit = page.page_data[0].tx_hash;
        client.transaction(deposit, None).await.expect("a deposit has a hash, too");
        let reserve = client.token_reserve(USD, Some(true)).await.expect("a token");
        let expected = [(HUB, Amount(97 * UNIT)), (SPOKE, Amount::ZERO)];
        assert_eq!(reserve, BTreeMap::from(expected));
    });
}

#[test]
fn every_refusal_has_its_code_and_a_hint() {
    served(Setup::default(), async |_, served| {
        let client = served.client().await;
        let (alice, wallet) = alice(&served, &client).await;
        let bob = User::new(2).owner;
        let id = AccountId(2);
        let cases: Vec<(SignedTx, i32)> = vec![
            (alice.transfer(id, 5, bob, UNIT), 205),
            (alice.transfer(id, 0, bob, 1_000 * UNIT), 206),
            (alice.transfer(id, 0, Owner::NONE, UNIT), 106),
            (alice.transfer(AccountId(77), 0, bob, UNIT), 201),
            (alice.transfer(AccountId(1), 0, bob, UNIT), 204),
            (alice.withdraw(id, 0, SPOKE, UNIT), 208),
            (User::new(3).transfer(id, 0, bob, UNIT), 110),
            (alice.key_tx(id, 1, None), 108),
        ];
        for (tx, code) in cases {
            assert_eq!(code_of(client.send(&tx).await), code, "{tx:?}");
        }
        let mut dust = alice.withdraw(id, 0, HUB, UNIT);
        if let Tx::Withdraw(withdraw) = &mut dust.tx {
            withdraw.amount = Amount(UNIT + 1);
        }
        assert_eq!(code_of(client.send(&dust).await), 106);
        let none = AccountQuery::Id(AccountId(99));
        assert_eq!(code_of(client.account(none).await), 201);
        assert_eq!(code_of(client.account(bob.into()).await), 201);
        assert_eq!(code_of(client.account(AccountId(1 << 24).into()).await), 101);
        assert_eq!(code_of(client.balances(id, Some(SubAccountId(32))).await), 102);
        assert_eq!(code_of(client.snapshot(none, None, None).await), 201);
        assert_eq!(code_of(client.snapshot(id.into(), Some(SubAccountId(32)), None).await), 102);
        let earlier = client.snapshot(id.into(), None, Some(BlockNumber(1))).await;
        assert_eq!(code_of(earlier), code::UNSUPPORTED);
        assert_eq!(code_of(client.token_reserve(TokenId(9), None).await), 103);
        assert_eq!(code_of(client.pending_block(0, None, None, Some(101)).await), 104);
        assert_eq!(code_of(client.history(HistoryKind::Deposit, bob, 0, 0).await), 104);
        assert_eq!(code_of(client.transaction(HexBytes([1; 32]), None).await), 203);
        assert_eq!(code_of(client.block(None, None, None).await), 214);
        assert_eq!(code_of(client.block(Some(BlockNumber(9)), None, None).await), 214);
        assert_eq!(code_of(client.block_on_chain(BlockNumber(1)).await), 214);
        assert_eq!(code_of(client.block(None, None, Some(true)).await), code::PARAMS);
        assert_eq!(code_of(client.provers().await), code::UNSUPPORTED);
        let faucet = client.dev_faucet(bob, HUB, USD, Amount(1)).await;
        assert_eq!(code_of(faucet), code::UNSUPPORTED);
        let info = client.network().await.expect("a network");
        assert!(!info.dev);
        drop(wallet);
    });
}

#[test]
fn the_least_fee_can_be_asked_for_and_is_then_taken() {
    let fee = |cents| Fee::exact(Amount(cents * UNIT / 100)).expect("a round fee");
    let (transfer, withdraw) = (fee(2), fee(300));
    let least = LeastFees { transfer, transfer_to_new: fee(50), withdraw, ..Default::default() };
    let fees = FeeTable([(USD, least)].into());
    served(Setup { fees, ..Setup::default() }, async |_, served| {
        let client = served.client().await;
        let tokens = client.support_tokens().await.expect("tokens");
        assert_eq!(tokens[&USD].least_fees, least);
        assert_eq!(tokens[&TokenId(2)].least_fees, LeastFees::default());
        let (alice, wallet) = alice(&served, &client).await;
        let bob = User::new(2).owner;
        let cheap = Payment { fee: fee(1), ..payment(bob, 5) };
        let tx = wallet.transfer(&client, cheap).await.expect("it is signed");
        assert_eq!(code_of(client.send(&tx).await), 207);
        let asked = client.estimate_transaction_fee(tx.tx).await.expect("a fee");
        assert_eq!(asked, fee(50), "it makes an account");
        let tx = wallet.transfer(&client, Payment { fee: asked, ..cheap }).await;
        let tx = tx.expect("it is signed");
        client.send(&tx).await.expect("it pays enough");
        let again = client.estimate_transaction_fee(tx.tx).await.expect("a fee");
        assert_eq!(again, fee(2), "now there is one");
        let out = alice.withdraw(AccountId(2), 1, HUB, UNIT);
        assert_eq!(client.estimate_transaction_fee(out.tx.clone()).await.expect("a fee"), withdraw);
        assert_eq!(code_of(client.send(&out).await), 207);
        let mut unknown = out.tx;
        if let Tx::Withdraw(withdraw) = &mut unknown {
            withdraw.token = TokenId(9);
        }
        assert_eq!(code_of(client.estimate_transaction_fee(unknown).await), 103);
    });
}

#[test]
fn the_faucet_of_a_development_network_gives() {
    served(Setup { faucet: true, ..Setup::default() }, async |_, served| {
        let client = served.client().await;
        let owner = User::new(1).owner;
        let given = client.dev_faucet(owner, HUB, USD, Amount(UNIT)).await;
        assert_eq!(given.expect("within its limit"), HexBytes([8; 32]));
        let too_much = client.dev_faucet(owner, HUB, USD, Amount(2 * UNIT)).await;
        assert_eq!(code_of(too_much), code::TX_FORMAT);
        assert_eq!(code_of(client.dev_faucet(owner, ChainId(9), USD, Amount(1)).await), 100);
        assert_eq!(code_of(client.dev_faucet(owner, SPOKE, TokenId(2), Amount(1)).await), 103);
        assert!(client.network().await.expect("a network").dev);
    });
}
