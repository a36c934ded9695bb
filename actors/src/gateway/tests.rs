//! The typed client against a real gateway, builder, journal and archive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::core::client::{ClientT, Error};
use jsonrpsee::core::params::BatchRequestBuilder;
use jsonrpsee::rpc_params;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zklink::amount::{Amount, Fee};
use zklink::id::{AccountId, BlockNumber, ChainId, Owner, SubAccountId, TokenId};
use zklink::tx::SignedTx;
use zklink_client::error::code;
use zklink_client::wallet::{Payment, Payout};
use zklink_client::{
    AccountQuery, BlockOnChain, BlockTx, ChainTx, Client, ClientError, HexBytes, HistoryKind,
    TxBody, TxStatus, Wallet, ZkLinkClient,
};

use super::*;
use crate::archive::Archive;
use crate::archive::store::SimStore;
use crate::builder::fixture::{HUB, SPOKE, UNIT, USD, User, deposit, ledger, network, shape_ids};
use crate::builder::{Builder, Credit, Credited, FinalDeposit, SealNow, fold};
use crate::clock::SystemClock;
use crate::journal::Journal;
use crate::journal::segment::{SEGMENT_BYTES, SegmentLog};
use crate::journal::sim::SimDisk;
use crate::machine::Origin;
use crate::port::Port;
use crate::shell::{Crew, Thread};
use crate::supervisor::{self, Supervisor};

const WAIT: Duration = Duration::from_secs(10);

/// A settlement that committed block 2 and proved block 1.
struct TwoBlocks;

impl Stages for TwoBlocks {
    fn committed(&self) -> BlockNumber {
        BlockNumber(2)
    }

    fn verified(&self) -> BlockNumber {
        BlockNumber(1)
    }

    fn on_chain(&self, block: BlockNumber) -> BlockOnChain {
        let tx = ChainTx { chain_id: HUB, tx_hash: HexBytes([9; 32]) };
        let committed = if block <= self.committed() { vec![tx] } else { Vec::new() };
        BlockOnChain { committed, ..BlockOnChain::default() }
    }
}

/// A faucet that gives up to one unit.
struct OneUnit;

impl Faucet for OneUnit {
    fn drip(
        &self,
        request: FaucetRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = api::Dripped> + Send + '_>> {
        let given = if request.amount.0 <= UNIT { Ok([8; 32]) } else { Err("too much".into()) };
        Box::pin(std::future::ready(given))
    }
}

/// A node behind a real socket.
struct Served {
    gateway: Gateway,
    credit: Port<Credit>,
    seal: Port<SealNow>,
}

struct Setup {
    limits: Limits,
    config: crate::builder::Config,
    faucet: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        let limits = Limits { calls_per_second: 0, ..Limits::default() };
        let config =
            crate::builder::Config { block_age_max_ms: 1_000_000, ..Default::default() };
        Setup { limits, config, faucet: false }
    }
}

async fn start(setup: Setup) -> (Crew, Served) {
    let limits = supervisor::Config {
        backoff_first_ms: 10,
        backoff_max_ms: 100,
        failures_max: 3,
        window_ms: 1_000,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (mut crew, _) =
        Crew::start(Arc::clone(&clock), Supervisor::new(limits)).await.expect("a thread");
    let opened = SegmentLog::open(SimDisk::new(), b"test", SEGMENT_BYTES);
    let (mut log, _) = opened.expect("an empty disk");
    let meaning: crate::archive::Fold = Box::new(|record| fold::fold(&record.payload));
    let opened = Archive::open(Arc::new(SimStore::new()), meaning, &mut log);
    let (archive, _) = opened.expect("an empty store");
    let reader = archive.reader();
    let thread = Thread::start();
    let archive = crew.seat(&thread, "archive", 1_024, Origin::Once(archive)).await;
    let journal = Journal::new(log, archive.expect("a thread").port());
    let journal = crew.seat(&thread, "journal", 1_024, Origin::Once(journal)).await;
    let builder = Builder::new(setup.config, ledger(), journal.expect("a thread").port());
    let view = builder.reader();
    let builder = crew.seat(&thread, "builder", 1_024, Origin::Once(builder)).await;
    let builder = builder.expect("a thread");
    let faucet: Option<Arc<dyn Faucet>> =
        if setup.faucet { Some(Arc::new(OneUnit)) } else { None };
    let sources = Sources {
        view,
        archive: reader,
        submit: builder.port(),
        proving: None,
        stages: Arc::new(TwoBlocks),
        faucet,
    };
    let about = About {
        network: network(),
        shapes: shape_ids(),
        confirmations: BTreeMap::from([(SPOKE, 12)]),
        key_chain: HUB,
    };
    let api = Api::new(sources, about, setup.limits.request_timeout);
    let here = "127.0.0.1:0".parse().expect("an address");
    let gateway = Gateway::start(here, setup.limits, clock, api).await.expect("a free port");
    (crew, Served { gateway, credit: builder.port(), seal: builder.port() })
}

/// Runs a test against a node.
fn served(setup: Setup, test: impl AsyncFnOnce(&Crew, Served)) {
    actix_rt::System::new().block_on(async {
        let (crew, served) = start(setup).await;
        test(&crew, served).await;
    });
}

impl Served {
    fn http(&self) -> String {
        format!("http://{}", self.gateway.address())
    }

    async fn client(&self) -> Client {
        Client::connect(&self.http()).await.expect("it serves")
    }

    async fn credit(&self, deposit: FinalDeposit) {
        let pending = self.credit.ask(Credit(deposit)).expect("room");
        assert_eq!(pending.wait(WAIT).await, Ok(Credited::Executed));
    }

    async fn seal(&self) -> BlockNumber {
        let pending = self.seal.ask(SealNow).expect("room");
        pending.wait(WAIT).await.expect("an answer").expect("not empty")
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
        let pending = client.pending_block(0, Some(true), None, None).await.expect("a list");
        let details = pending.iter().filter(|tx| matches!(tx, BlockTx::Detail(_))).count();
        assert!(details >= 1, "{pending:?}");

        let number = served.seal().await;
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
            let payout = Payout {
                chain: HUB,
                from: SubAccountId(0),
                to: alice.owner,
                token: USD,
                amount: Amount(UNIT),
                fee: Fee::ZERO,
            };
            let tx = wallet.withdraw(&client, payout).await.expect("an account");
            let hash = client.send(&tx).await.expect("affordable");
            let number = served.seal().await;
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
            (alice.withdraw(id, 0, HUB, UNIT + 1).clone(), 110),
            (alice.transfer(id, 5, bob, UNIT), 205),
            (alice.transfer(id, 0, bob, 1_000 * UNIT), 206),
            (alice.transfer(id, 0, Owner::NONE, UNIT), 106),
            (alice.transfer(AccountId(77), 0, bob, UNIT), 201),
            (alice.transfer(AccountId(1), 0, bob, UNIT), 204),
            (alice.withdraw(id, 0, SPOKE, UNIT), 208),
            (User::new(3).transfer(id, 0, bob, UNIT), 110),
            (alice.key_tx(id, 1, None), 108),
        ];
        for (tx, code) in cases.into_iter().skip(1) {
            assert_eq!(code_of(client.send(&tx).await), code, "{tx:?}");
        }
        let none = AccountQuery::Id(AccountId(99));
        assert_eq!(code_of(client.account(none).await), 201);
        assert_eq!(code_of(client.account(bob.into()).await), 201);
        assert_eq!(code_of(client.account(AccountId(1 << 24).into()).await), 101);
        assert_eq!(code_of(client.balances(id, Some(SubAccountId(32))).await), 102);
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
fn the_faucet_of_a_development_network_gives() {
    served(Setup { faucet: true, ..Setup::default() }, async |_, served| {
        let client = served.client().await;
        let owner = User::new(1).owner;
        let given = client.dev_faucet(owner, HUB, USD, Amount(UNIT)).await;
        assert_eq!(given.expect("within its limit"), HexBytes([8; 32]));
        let too_much = client.dev_faucet(owner, HUB, USD, Amount(2 * UNIT)).await;
        assert_eq!(code_of(too_much), code::INTERNAL);
        assert_eq!(code_of(client.dev_faucet(owner, ChainId(9), USD, Amount(1)).await), 100);
        assert_eq!(code_of(client.dev_faucet(owner, SPOKE, TokenId(2), Amount(1)).await), 103);
        assert!(client.network().await.expect("a network").dev);
    });
}

#[test]
fn what_is_not_json_rpc_is_refused() {
    served(Setup::default(), async |_, served| {
        assert!(served.raw(b"{nonsense").await.contains("-32700"));
        assert!(served.raw(b"[]").await.contains("-32600"));
        assert!(served.raw(br#"{"jsonrpc":"2.0","id":1,"method":1}"#).await.contains("-32600"));
        let unknown = br#"{"jsonrpc":"2.0","id":1,"method":"getMoney"}"#;
        assert!(served.raw(unknown).await.contains("-32601"));
        for params in [
            r#"[]"#,
            r#"["0x12"]"#,
            r#"[-1]"#,
            r#"{"account":{"id":1}}"#,
            r#"[18446744073709551616]"#,
        ] {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"getAccount","params":{params}}}"#
            );
            let answer = served.raw(body.as_bytes()).await;
            assert!(answer.contains("-32602"), "{params}: {answer}");
        }
        let tx = br#"{"jsonrpc":"2.0","id":1,"method":"sendTransaction",
            "params":[{"type":"Transfer","accountId":2}]}"#;
        let answer = served.raw(tx).await;
        assert!(answer.contains("-32602") && answer.contains("missing field"), "{answer}");
        let named = br#"{"jsonrpc":"2.0","id":1,"method":"getTokenReserve",
            "params":{"tokenId":1,"mapping":false}}"#;
        assert!(served.raw(named).await.contains(r#""result":{"1":"0","2":"0"}"#));
    });
}

#[test]
fn what_is_too_large_is_refused() {
    let limits =
        Limits { request_bytes_max: 2_000, batch_max: 3, calls_per_second: 0, ..Limits::default() };
    served(Setup { limits, ..Setup::default() }, async |_, served| {
        let answer = served.raw(&vec![b' '; 4_000]).await;
        assert!(answer.starts_with("HTTP/1.1 413") || answer.contains("-32007"), "{answer}");
        let client = served.client().await;
        let batch = |size: usize| {
            let mut batch = BatchRequestBuilder::new();
            for _ in 0..size {
                batch.insert("getChangePubkeyChainId", rpc_params![]).expect("no parameters");
            }
            batch
        };
        let answers = client.batch_request::<ChainId>(batch(3)).await.expect("within the limit");
        assert!(answers.into_ok().expect("all answered").all(|chain| chain == HUB));
        let refused = client.batch_request::<ChainId>(batch(4)).await;
        match refused {
            Err(Error::Call(object)) => assert_eq!(object.code(), -32010),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn who_calls_too_often_is_told_when_to_come_back() {
    let limits = Limits { burst: 5, calls_per_second: 1, ..Limits::default() };
    served(Setup { limits, ..Setup::default() }, async |_, served| {
        let address = format!("ws://{}", served.gateway.address());
        let client = Client::connect(&address).await.expect("it serves");
        for _ in 0..5 {
            client.change_pub_key_chain().await.expect("within the burst");
        }
        let refused = client.change_pub_key_chain().await.map_err(ClientError::from);
        match refused {
            Err(ClientError::Rpc { code: code::LIMIT, retry_after_ms: Some(wait), .. }) => {
                assert!(wait <= 1_000, "{wait}");
                tokio::time::sleep(Duration::from_millis(wait + 50)).await;
            }
            other => panic!("{other:?}"),
        }
        client.change_pub_key_chain().await.expect("waited as told");
        let mut batch = BatchRequestBuilder::new();
        for _ in 0..3 {
            batch.insert("getChangePubkeyChainId", rpc_params![]).expect("no parameters");
        }
        let answers = client.batch_request::<ChainId>(batch).await.expect("an answer");
        let errors = answers.into_ok().expect_err("all refused");
        assert!(errors.into_iter().all(|error| error.code() == code::LIMIT));
        let other = Client::connect(&address).await.expect("it serves");
        other.change_pub_key_chain().await.expect("another connection has its own bucket");
    });
}

#[test]
fn connections_are_bounded_and_freed() {
    let limits = Limits {
        connections_max: 8,
        connections_per_address_max: 8,
        calls_per_second: 0,
        idle: Duration::from_secs(60),
        ..Limits::default()
    };
    served(Setup { limits, ..Setup::default() }, async |_, served| {
        let mut sockets = Vec::new();
        for _ in 0..8 {
            sockets.push(TcpStream::connect(served.gateway.address()).await.expect("it listens"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut late = TcpStream::connect(served.gateway.address()).await.expect("a backlog");
        let mut byte = [0];
        let closed = tokio::time::timeout(WAIT, late.read(&mut byte)).await.expect("closed");
        assert!(matches!(closed, Ok(0) | Err(_)), "over the limit nothing is served");
        drop(sockets);
        tokio::time::sleep(Duration::from_millis(100)).await;
        served.client().await.change_pub_key_chain().await.expect("room again");
    });
}

#[test]
fn an_idle_connection_is_closed() {
    let idle = Duration::from_millis(200);
    let limits = Limits { idle, calls_per_second: 0, ..Limits::default() };
    served(Setup { limits, ..Setup::default() }, async |_, served| {
        let mut socket = TcpStream::connect(served.gateway.address()).await.expect("it listens");
        let mut byte = [0];
        let closed = tokio::time::timeout(WAIT, socket.read(&mut byte)).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    });
}

#[test]
fn many_clients_at_once_are_all_served() {
    served(Setup::default(), async |_, served| {
        let client = served.client().await;
        let (alice, _) = alice(&served, &client).await;
        let mut tasks = Vec::new();
        for number in 0..100u32 {
            let scheme = if number % 2 == 0 { "http" } else { "ws" };
            let address = format!("{scheme}://{}", served.gateway.address());
            let tx = alice.transfer(AccountId(2), number % 10, User::new(2).owner, UNIT);
            tasks.push(tokio::spawn(async move {
                let client = Client::connect(&address).await?;
                match client.send(&tx).await {
                    Err(error) if error.code() == Some(205) => {}
                    answer => drop(answer?),
                }
                Ok::<_, ClientError>(client.balances(AccountId(2), None).await?)
            }));
        }
        for task in tasks {
            task.await.expect("no panic").expect("an answer");
        }
        let account = client.account(alice.owner.into()).await.expect("an account");
        assert!(account.sub_account_nonces[&SubAccountId(0)].0 >= 1);
    });
}

#[test]
fn an_overloaded_node_says_so_and_reads_go_on() {
    let config = crate::builder::Config { waiting_max: 0, ..Default::default() };
    served(Setup { config, ..Setup::default() }, async |_, served| {
        let client = served.client().await;
        let tx = User::new(1).transfer(AccountId(2), 0, User::new(2).owner, UNIT);
        match client.send(&tx).await {
            Err(ClientError::Rpc { code: code::LIMIT, retry_after_ms: Some(_), .. }) => {}
            other => panic!("{other:?}"),
        }
        client.network().await.expect("reads do not need the builder");
    });
}

#[test]
fn a_stopped_builder_is_unavailable_and_a_stopped_gateway_is_gone() {
    served(Setup::default(), async |crew, served| {
        let client = served.client().await;
        let (alice, _) = alice(&served, &client).await;
        crew.stop("builder", WAIT).await.expect("it stops");
        let tx = alice.transfer(AccountId(2), 0, User::new(2).owner, UNIT);
        assert_eq!(code_of(client.send(&tx).await), code::UNAVAILABLE);
        client.account(alice.owner.into()).await.expect("reads go on");
        let address = served.http();
        served.gateway.stop(WAIT).await;
        let gone = Client::connect(&address).await.expect("lazy").network().await;
        assert!(matches!(gone, Err(Error::Transport(_))), "{gone:?}");
    });
}
