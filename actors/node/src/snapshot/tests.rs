//! A start from a snapshot is the same as a start from the journal alone, and a bad snapshot is passed over.

use std::sync::Arc;

use proptest::prelude::*;
use zklink::amount::Amount;
use zklink::id::{AccountId, ChainId, Nonce};
use zklink::tx::SignedTx;
use zklink_mechanism::machine::Handle;
use zklink_mechanism::port::{Pending, ReplyTo};
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::turn::Turn;
use zklink_mechanism::world::Seed;
use zklink_migrations::schema::{Column, KEY_SNAPSHOTS};
use zklink_store::archive::store::{Store, Write};
use zklink_store::archive::{Archive, Keep, Made};
use zklink_store::fold;
use zklink_store::journal::segment::{SEGMENT_BYTES, SegmentLog};
use zklink_store::record::{KeyAuthorised, Record};
use zklink_store::simulation::SimDisk;
use zklink_store::simulation::SimStore;

use super::*;
use crate::builder::fixture::*;
use crate::builder::{Builder, Config, Entry, Ledger, Refusal, SealNow, Submit};
use crate::roots::{RootMaker, Rooted};

const USERS: u8 = 4;

/// A ledger with its records and the transactions that it took.
struct Life {
    ledger: Ledger,
    records: Vec<Record>,
    txs: Vec<SignedTx>,
    chance: Seed,
    now: u64,
}

impl Life {
    fn new(seed: u64) -> Life {
        let (records, txs) = (Vec::new(), Vec::new());
        Life { ledger: ledger(), records, txs, chance: Seed(seed), now: 1_000 }
    }

    fn user(&mut self) -> (User, Option<AccountId>) {
        let user = User::new(1 + u8::try_from(self.chance.below(u64::from(USERS))).unwrap());
        let account = self.ledger.state().account_of(user.owner);
        (user, account)
    }

    fn chain(&mut self) -> ChainId {
        if self.chance.below(2) == 0 { HUB } else { SPOKE }
    }

    /// What may come next: a transaction, or nothing when this user cannot send one.
    fn tx(&mut self) -> Option<SignedTx> {
        let ((user, account), (other, _)) = (self.user(), self.user());
        let account = account?;
        let state = self.ledger.state();
        let sub = state.sub_account(account, zklink::id::SubAccountId(0));
        let (nonce, of_keys) = (sub.map_or(0, |sub| sub.nonce.0), state.account(account)?.nonce.0);
        let chain = self.chain();
        Some(match self.chance.below(6) {
            0 => user.key_tx(account, of_keys, Some(())),
            1 => user.key_tx(account, of_keys, None),
            2 => user.withdraw(account, nonce, chain, UNIT),
            _ => user.transfer(account, nonce, other.owner, UNIT),
        })
    }

    fn act(&mut self) {
        self.now += self.chance.below(3_000);
        let now = Timestamp(self.now);
        let entry = match self.chance.below(20) {
            0 | 1 => {
                let sealed = self.ledger.seal(now).expect("balanced");
                return self.records.extend(sealed.map(Record::Sealed));
            }
            2 | 3 => {
                let ((user, account), chain) = (self.user(), self.chain());
                let state = self.ledger.state();
                let next = account.and_then(|id| state.account(id)).map_or(0, |a| a.nonce.0);
                let nonce = Nonce(next + u32::try_from(self.chance.below(3)).unwrap());
                let key = KeyAuthorised { chain, owner: user.owner, nonce, key: user.key.public() };
                if self.ledger.authorise(&key) {
                    self.records.push(Record::KeyAuthorised(key));
                }
                return;
            }
            4..7 => {
                let ((user, _), chain) = (self.user(), self.chain());
                let serial = self.ledger.state().cursor(chain).0;
                Entry::Deposit(deposit(chain, serial, user.owner, 50 * UNIT))
            }
            _ => {
                let Some(tx) = self.tx() else { return };
                self.txs.push(tx.clone());
                entry(tx)
            }
        };
        if let Ok(entered) = self.ledger.enter(&entry, now) {
            self.records.extend(entered.records);
        }
    }
}

fn live(seed: u64, acts: u64) -> Life {
    let mut life = Life::new(seed);
    (0..acts).for_each(|_| life.act());
    life
}

/// A journal of these records.
fn journal(records: &[Record]) -> SegmentLog<SimDisk> {
    let (mut log, _) = SegmentLog::open(SimDisk::new(), b"test", SEGMENT_BYTES).unwrap();
    // Groups of one, as at a slow pace: the archive takes them in other groups.
    for record in records {
        log.append(vec![record.encode()]).unwrap();
    }
    log
}

fn base() -> Base {
    Base { network: network(), shapes: shape_ids(), genesis: genesis(), proven: BlockNumber(0) }
}

/// Everything that a node's start reads.
struct Disk {
    log: SegmentLog<SimDisk>,
    store: SimStore,
    archive: Archive,
}

impl Disk {
    fn of(records: &[Record]) -> Disk {
        let (mut log, store) = (journal(records), SimStore::new());
        let opened = Archive::open(Arc::new(store.clone()), fold::fold(), &mut log);
        let (archive, _) = opened.unwrap();
        Disk { log, store, archive }
    }

    fn keep(&mut self, made: Vec<Made>) {
        let mut turn = Turn::at(Timestamp(0));
        self.archive.handle(Keep { made }, &mut turn);
        assert_eq!(turn.failure(), None);
    }

    fn restore(&mut self) -> Restored {
        self.restore_with(Config::default())
    }

    fn restore_with(&mut self, config: Config) -> Restored {
        restore(&base(), config, 1, &self.archive.reader(), &mut self.log).unwrap()
    }

    /// Stores what a maker makes, to the end. Returns how many snapshots.
    fn make(&mut self, maker: &mut RootMaker) -> usize {
        let mut count = 0;
        while let Some(Rooted { made, cut }) = maker.step().unwrap() {
            self.keep(made);
            if let Some(cut) = cut {
                count += 1;
                self.keep(vec![cut.make().unwrap().expect("it is small")]);
            }
        }
        count
    }

    fn blocks(&self) -> Vec<BlockNumber> {
        self.archive.reader().snapshots().unwrap().kept
    }

    fn damage(&self, block: BlockNumber, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.archive.reader().snapshot(block).unwrap().unwrap();
        change(&mut bytes);
        let key = block.0.to_be_bytes().to_vec();
        self.store.commit(vec![Write::put(Column::Snapshots, key, bytes)]).unwrap();
    }

    fn forget_snapshots(&self) {
        self.store.commit(vec![Write::delete(Column::Meta, KEY_SNAPSHOTS.to_vec())]).unwrap();
    }
}

/// What a builder says to a transaction, now or nothing when it must wait for the journal.
fn answer(builder: &mut Builder, tx: &SignedTx) -> Option<Result<Receipt, Refusal>> {
    let (reply, mut pending): (_, Pending<_>) = ReplyTo::new();
    let mut turn = Turn::at(Timestamp(1 << 40));
    builder.handle(Submit { tx: checked(tx.clone()), reply }, &mut turn);
    pending.poll_now().map(|answer| answer.unwrap())
}

/// Compares two builders in all that can be seen of them.
fn assert_same(one: &mut Builder, other: &mut Builder, txs: &[SignedTx]) {
    let (ledger, of_other) = (one.ledger(), other.ledger());
    assert_eq!(ledger.state(), of_other.state());
    let bytes = |ledger: &Ledger| zklink::binary::write(ledger.state());
    assert_eq!(bytes(ledger), bytes(of_other));
    assert_eq!(ledger.keys(), of_other.keys());
    assert_eq!(ledger.open_since(), of_other.open_since());
    {
        let (reader, of_other) = (one.reader(), other.reader());
        let (view, of_other) = (reader.read(), of_other.read());
        assert_eq!((&view.state, &view.open), (&of_other.state, &of_other.open));
    }
    for tx in txs {
        assert_eq!(answer(one, tx), answer(other, tx), "{tx:?}");
    }
    let mut turn = Turn::at(Timestamp(1 << 41));
    assert_eq!(one.handle(SealNow, &mut turn), other.handle(SealNow, &mut turn));
    assert_eq!(one.ledger().state(), other.ledger().state(), "the open block was the same");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Wherever the journal ends, whatever is proven and wherever the snapshots are.
    #[test]
    fn a_start_from_a_snapshot_is_a_start_from_genesis(seed: u64, acts in 20u64..160, cut: u64) {
        let life = live(seed, acts);
        let end = usize::try_from(cut % (life.records.len() as u64 + 1)).unwrap();
        let (records, mut chance) = (&life.records[..end], Seed(cut));
        let mut plain = Disk::of(records);
        let mut disk = Disk::of(records);
        let head = disk.archive.reader().head().unwrap().unwrap_or_default();
        let proven = chance.below(u64::from(head.0) + 1);
        for block in 1..=u32::try_from(proven).unwrap() {
            disk.keep(vec![Made::Proof { block: BlockNumber(block), bytes: vec![1; 192] }]);
        }
        let mut maker = disk.restore().roots;
        maker.policy.records = 1 + chance.below(20);
        disk.make(&mut maker);
        // The newest snapshot may be from before the end, as after a kill.
        let mut from_snapshot = disk.restore();
        let mut from_genesis = plain.restore();
        prop_assert_eq!(from_genesis.from, None);
        prop_assert_eq!(from_snapshot.from, disk.blocks().last().copied());

        let start = &mut from_snapshot.witness;
        prop_assert!(u64::from(start.state.system.number.0) <= proven);
        prop_assert_eq!(start.tree.root(), StateTree::of(&start.state).root());
        plain.make(&mut from_genesis.roots);
        disk.make(&mut from_snapshot.roots);
        prop_assert_eq!(from_genesis.roots.at(), from_snapshot.roots.at());
        let (reader, of_plain) = (disk.archive.reader(), plain.archive.reader());
        prop_assert_eq!(reader.rooted().unwrap(), Some(head));
        for block in (0..=head.0).map(BlockNumber) {
            prop_assert_eq!(reader.root(block).unwrap(), of_plain.root(block).unwrap());
        }
        let state = &from_genesis.roots.at().state;
        prop_assert_eq!(reader.root(head).unwrap(), Some(StateTree::of(state).root()));
        assert_same(&mut from_snapshot.builder, &mut from_genesis.builder, &life.txs);
    }
}

/// A disk with three snapshots and records behind the last.
fn three() -> (Disk, Life) {
    let mut seed = 1;
    loop {
        let life = live(seed, 120);
        let mut disk = Disk::of(&life.records);
        let mut maker = disk.restore().roots;
        maker.policy.records = 20;
        if disk.make(&mut maker) >= 3 && disk.restore().replayed > 0 {
            return (disk, life);
        }
        seed += 1;
    }
}

#[test]
fn a_bad_snapshot_is_passed_over_for_an_older_one_and_at_last_for_the_journal() {
    let (mut disk, life) = three();
    let blocks = disk.blocks();
    let [first, second, third] = blocks[..] else { panic!("{blocks:?}") };
    assert_eq!(disk.restore().from, Some(third));
    disk.damage(third, |bytes| bytes[100] ^= 1);
    assert_eq!(disk.restore().from, Some(second));
    disk.damage(second, |bytes| bytes.truncate(30));
    assert_eq!(disk.restore().from, Some(first));
    let key = first.0.to_be_bytes().to_vec();
    disk.store.commit(vec![Write::delete(Column::Snapshots, key)]).unwrap();
    let mut from_journal = disk.restore();
    assert_eq!((from_journal.from, from_journal.replayed), (None, life.records.len() as u64));
    let mut plain = Disk::of(&life.records).restore();
    assert_same(&mut from_journal.builder, &mut plain.builder, &life.txs);
}

/// Each is a snapshot with a right checksum that this node did not make.
#[test]
fn a_snapshot_that_contradicts_the_journal_is_passed_over() {
    type Change = fn(&mut Snapshot);
    let changes: [(Change, &str); 8] = [
        (|s| s.position -= 1, "no such block"),
        (|s| s.position = u64::MAX, "no such block"),
        (|s| s.position = 0, "no such block"),
        (|s| s.chain[0] ^= 1, "no such block"),
        (|s| s.seal = None, "no such block"),
        (|s| s.state.system.number.0 += 1, "another deployment or block"),
        (|s| s.state.system.deployment.0[0] ^= 1, "another deployment or block"),
        (|s| s.state.system.fee_account = AccountId(1), "the root"),
    ];
    let (mut disk, _) = three();
    let third = disk.blocks()[2];
    let good = disk.archive.reader().snapshot(third).unwrap().unwrap();
    for (change, reason) in changes {
        let (mut changed, leaves) = Snapshot::decode(&good).unwrap();
        change(&mut changed);
        disk.damage(third, |bytes| *bytes = changed.encode(&leaves));
        let reader = disk.archive.reader();
        let error = Snapshot::load(third, &reader, &mut disk.log, &genesis()).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_ne!(disk.restore().from, Some(third));
    }
    // Leaves of something else, one too many, one too few, none that is an element.
    let (snapshot, leaves) = Snapshot::decode(&good).unwrap();
    let one = leaves.len() - 1;
    let other = [&leaves[..one], &[Fr::one()]].concat();
    let more = [&leaves[..], &[Fr::one()]].concat();
    for leaves in [&other[..], &more, &leaves[..one]] {
        disk.damage(third, |bytes| *bytes = snapshot.encode(leaves));
        assert_ne!(disk.restore().from, Some(third));
    }
    let mut bytes = snapshot.encode(&leaves);
    let end = bytes.len();
    bytes[end - 32..].fill(0xff);
    let digest = Sha256::digest(&bytes[HEADER_BYTES..]);
    bytes[MAGIC.len()..HEADER_BYTES].copy_from_slice(&digest);
    disk.damage(third, |stored| *stored = bytes);
    assert_ne!(disk.restore().from, Some(third));
    disk.damage(third, |bytes| *bytes = good);
    assert_eq!(disk.restore().from, Some(third));
}

/// Coins from nowhere: the leaves are those of the block, so that the root is right; the books or the first use of the
/// account tell.
#[test]
fn a_snapshot_whose_accounts_do_not_have_their_leaves_is_noticed_before_they_are_used() {
    let (mut disk, _) = three();
    let third = disk.blocks()[2];
    let good = disk.archive.reader().snapshot(third).unwrap().unwrap();
    let (snapshot, leaves) = Snapshot::decode(&good).unwrap();
    let change = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = serde_json::to_value(&snapshot.state).unwrap();
        change(&mut json["accounts"]);
        let state: State = serde_json::from_value(json).unwrap();
        assert_ne!(state, snapshot.state);
        Snapshot { state, ..snapshot.clone() }.encode(&leaves)
    };
    let richer = change(&|accounts| {
        let holder = accounts
            .as_object_mut()
            .unwrap()
            .values_mut()
            .find(|account| account["sub_accounts"]["0"]["balances"]["1"].is_string());
        let balance = &mut holder.expect("somebody has something")["sub_accounts"]["0"]["balances"];
        balance["1"] = (1u128 << 100).to_string().into();
    });
    disk.damage(third, |bytes| *bytes = richer);
    assert_ne!(disk.restore().from, Some(third), "its books do not balance");
    let nonce = change(&|accounts| {
        for account in accounts.as_object_mut().unwrap().values_mut() {
            account["nonce"] = (account["nonce"].as_u64().unwrap() + 1).into();
        }
    });
    disk.damage(third, |bytes| *bytes = nonce);
    let reader = disk.archive.reader();
    let loaded = Snapshot::load(third, &reader, &mut disk.log, &genesis());
    let (changed, mut tree) = loaded.expect("leaves, root and books are right");
    let ids: Vec<AccountId> = changed.state.accounts().map(|(id, _)| id).collect();
    let noticed = tree.prepare(&changed.state, [ids[1]]);
    assert_eq!(noticed, Err(zklink::commitment::OtherLeaf(ids[1])));
}

#[test]
fn a_root_that_comes_out_otherwise_than_before_is_a_fault() {
    let (mut disk, _) = three();
    disk.forget_snapshots();
    let mut maker = disk.restore().roots;
    disk.keep(vec![Made::Root { block: BlockNumber(2), root: Fr::one() }]);
    let fault = loop {
        match maker.step() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("there is a block"),
            Err(fault) => break fault,
        }
    };
    assert!(fault.to_string().starts_with("block 2 leads to another root than before"), "{fault}");
}

#[test]
fn a_snapshot_holds_as_many_receipts_as_the_builder() {
    let (mut disk, life) = three();
    disk.forget_snapshots();
    let config = Config { receipts_max: 7, ..Config::default() };
    let mut plain = disk.restore_with(config);
    disk.make(&mut plain.roots);
    assert_eq!(plain.roots.at().receipts.len(), 7);
    let mut restored = disk.restore_with(config);
    assert!(restored.from.is_some());
    assert_same(&mut restored.builder, &mut plain.builder, &life.txs);
}

#[test]
fn an_id_outside_of_the_trees_is_noticed() {
    let mut state = genesis();
    let deposit = zklink::op::Deposit {
        chain: HUB,
        account: AccountId(2),
        sub_account: zklink::id::SubAccountId(0),
        token: USD,
        amount: Amount(UNIT),
        owner: User::new(1).owner,
        refused: false,
    };
    zklink::op::Op::Deposit(deposit).apply(&mut state).unwrap();
    assert!(ids_fit(&state));
    let text = serde_json::to_string(&state).unwrap();
    for (id, other) in
        [(r#""2":{"owner"#, r#""16777216":{"owner"#), (r#""1":{"cursor"#, r#""64":{"cursor"#)]
    {
        let state: State = serde_json::from_str(&text.replace(id, other)).unwrap();
        assert!(text.contains(id) && !ids_fit(&state), "{id} in {text}");
    }
}
