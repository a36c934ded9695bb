//! How long a start reads, with a snapshot of the state and without, on a real disk.
//!
//! `cargo bench -p zklink-node --bench start`; `ZKLINK_BENCH_TRANSACTIONS` is how many transfers the
//! journal has (20000), `ZKLINK_BENCH_ACCOUNTS` among how many accounts (200).

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a measurement of time")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zklink::amount::{Amount, Fee};
use zklink::id::{
    AccountId, BlockNumber, ChainId, KeyVersion, Nonce, Owner, Serial, SubAccountId, TokenId,
};
use zklink::key::SecretKey;
use zklink::shape::shapes;
use zklink::state::{DeploymentId, State};
use zklink::token::{Chain, L1Token, Network, Token};
use zklink::tx::{ChangePubKeyTx, CheckedTx, KeyAuth, SignedTx, TransferTx, Tx};
use zklink_mechanism::machine::Handle;
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;
use zklink_node::builder::{Config, Entered, Entry, Ledger};
use zklink_node::roots::{Policy, Rooted};
use zklink_node::snapshot::{Base, Restored, restore};
use zklink_store::archive::parity::ParityStore;
use zklink_store::archive::{Archive, Keep, Made};
use zklink_store::fold;
use zklink_store::journal::Log;
use zklink_store::journal::disk::FileDisk;
use zklink_store::journal::segment::{SEGMENT_BYTES, SegmentLog};
use zklink_store::record::{FinalDeposit, KeyAuthorised, Record};

const CHAIN: ChainId = ChainId(1);
const USD: TokenId = TokenId(1);
const DEPLOYMENT: DeploymentId = DeploymentId([7; 31]);
/// The accounts before these belong to the operator.
const FIRST: u32 = 2;

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn base() -> Base {
    let l1 = L1Token { address: [0x22; 20], decimals: 18 };
    let token = Token { symbol: "USD".to_owned(), chains: BTreeMap::from([(CHAIN, l1)]) };
    let chain = Chain { evm_chain_id: 31_337, contract: [0x11; 20], reserved: Default::default() };
    let network = Network {
        chains: BTreeMap::from([(CHAIN, chain)]),
        tokens: BTreeMap::from([(USD, token)]),
    };
    let owner = |byte| Owner::from_evm([byte; 20]);
    Base {
        network: Arc::new(network),
        shapes: shapes().iter().map(|shape| shape.id).collect(),
        genesis: State::genesis(DEPLOYMENT, owner(0xfe), owner(0xfd)),
        proven: BlockNumber(0),
    }
}

/// A ledger whose records go to a journal on disk.
struct Writer {
    base: Base,
    ledger: Ledger,
    log: SegmentLog<FileDisk>,
    group: Vec<Vec<u8>>,
    keys: Vec<SecretKey>,
    now: u64,
}

impl Writer {
    fn new(folder: &Path, accounts: u32) -> Writer {
        let base = base();
        let ledger = Ledger::new(Arc::clone(&base.network), &base.shapes, base.genesis.clone());
        let keys = (0..accounts).map(|n| SecretKey::from_seed(&n.to_be_bytes())).collect();
        Writer { base, ledger, log: open_log(folder), group: Vec::new(), keys, now: 1_000 }
    }

    fn owner(n: u32) -> Owner {
        let mut address = [1; 20];
        address[..4].copy_from_slice(&n.to_be_bytes());
        Owner::from_evm(address)
    }

    fn write(&mut self, record: &Record) {
        self.group.push(record.encode());
        if self.group.len() >= 1_000 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.log.append(std::mem::take(&mut self.group)).unwrap();
    }

    fn enter(&mut self, entry: &Entry) {
        self.now += 1;
        let Entered { records, .. } = self.ledger.enter(entry, Timestamp(self.now)).unwrap();
        records.iter().for_each(|record| self.write(record));
    }

    fn send(&mut self, tx: SignedTx) {
        let tx = CheckedTx::new(tx, DEPLOYMENT, &self.base.network).unwrap();
        self.enter(&Entry::Tx(Box::new(tx)));
    }

    fn sign(&self, n: u32, tx: Tx) -> SignedTx {
        tx.sign(&self.keys[n as usize], DEPLOYMENT, &self.base.network).unwrap()
    }

    fn open_account(&mut self, n: u32) {
        let (owner, key) = (Self::owner(n), self.keys[n as usize].public());
        self.enter(&Entry::Deposit(FinalDeposit {
            chain: CHAIN,
            serial: Serial(u64::from(n)),
            token: USD,
            payer: owner,
            owner,
            sub_account: SubAccountId(0),
            amount: Amount(1 << 80),
            l1_tx: [3; 32],
            l1_block: 1,
        }));
        let authorised = KeyAuthorised { chain: CHAIN, owner, nonce: Nonce(0), key };
        assert!(self.ledger.authorise(&authorised));
        self.write(&Record::KeyAuthorised(authorised));
        let change = ChangePubKeyTx {
            chain_id: CHAIN,
            account_id: AccountId(FIRST + n),
            sub_account_id: SubAccountId(0),
            new_pub_key: key,
            fee_token: USD,
            fee: Fee::ZERO,
            nonce: Nonce(0),
            key_version: KeyVersion(0),
            eth_auth_data: KeyAuth::Onchain,
        };
        self.send(self.sign(n, Tx::ChangePubKey(change)));
    }

    fn transfer(&mut self, place: u32) {
        let accounts = u32::try_from(self.keys.len()).unwrap();
        let n = place % accounts;
        let transfer = TransferTx {
            account_id: AccountId(FIRST + n),
            from_sub_account_id: SubAccountId(0),
            to: Self::owner((n + 1 + place / accounts) % accounts),
            to_sub_account_id: SubAccountId(0),
            token: USD,
            amount: Amount(1_000),
            fee: Fee::ZERO,
            nonce: Nonce(place / accounts),
            key_version: KeyVersion(1),
        };
        self.send(self.sign(n, Tx::Transfer(transfer)));
    }
}

fn open_log(folder: &Path) -> SegmentLog<FileDisk> {
    let disk = FileDisk::open(&folder.join("journal")).unwrap();
    SegmentLog::open(disk, &DEPLOYMENT.0, SEGMENT_BYTES).unwrap().0
}

/// Journal and archive, which has caught up.
fn open(folder: &Path) -> (SegmentLog<FileDisk>, Archive) {
    let mut log = open_log(folder);
    let store = Arc::new(ParityStore::open(&folder.join("archive")).unwrap());
    let (archive, _) = Archive::open(store, fold::fold(), &mut log).unwrap();
    (log, archive)
}

/// What a start took: journal and archive, then the state.
struct Start {
    open: Duration,
    restore: Duration,
    archive: Archive,
    restored: Restored,
}

fn start(folder: &Path) -> Start {
    let begun = Instant::now();
    let (mut log, archive) = open(folder);
    let open = begun.elapsed();
    let (reader, config) = (archive.reader(), Config::default());
    let restored = restore(&base(), config, Policy::RECORDS, &reader, &mut log).unwrap();
    Start { open, restore: begun.elapsed() - open, archive, restored }
}

fn main() {
    let transactions = number("ZKLINK_BENCH_TRANSACTIONS", 20_000);
    let accounts = number("ZKLINK_BENCH_ACCOUNTS", 200);
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), accounts);
    (0..accounts).for_each(|n| writer.open_account(n));
    (0..transactions).for_each(|place| writer.transfer(place));
    writer.flush();
    let (records, state) = (writer.log.end(), writer.ledger.state().clone());
    drop(writer);
    // The archive is filled once, which is no part of what is compared.
    drop(open(folder.path()));

    let without = start(folder.path());
    assert_eq!(without.restored.from, None);
    assert_eq!(*without.restored.builder.ledger().state(), state);
    let (mut maker, mut archive, mut sizes) = (without.restored.roots, without.archive, Vec::new());
    let begun = Instant::now();
    while let Some(Rooted { mut made, cut }) = maker.step().unwrap() {
        if let Some(snapshot) = cut.and_then(|cut| cut.make().unwrap()) {
            let Made::Snapshot { bytes, .. } = &snapshot else { panic!("a snapshot") };
            sizes.push(bytes.len());
            made.push(snapshot);
        }
        archive.handle(Keep { made }, &mut Turn::at(Timestamp(0)));
    }
    let making = begun.elapsed();
    // Both hold the store, which only one may open.
    drop((maker, archive));
    let with = start(folder.path());
    assert_eq!(*with.restored.builder.ledger().state(), state);

    let (before, after) = (without.open + without.restore, with.open + with.restore);
    println!("{transactions} transfers among {accounts} accounts, {records} records");
    println!(
        "roots and {} snapshots in {making:.2?}, the last of {:?} bytes",
        sizes.len(),
        sizes.last()
    );
    println!("               journal, archive       state       start");
    println!("without        {:>16.2?} {:>11.2?} {before:>11.2?}", without.open, without.restore);
    println!("with a snapshot{:>16.2?} {:>11.2?} {after:>11.2?}", with.open, with.restore);
    println!(
        "{} records replayed behind it; ratio {:.1}, of the state {:.1}",
        with.restored.replayed,
        before.as_secs_f64() / after.as_secs_f64(),
        without.restore.as_secs_f64() / with.restore.as_secs_f64()
    );
}
