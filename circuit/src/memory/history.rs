//! What each operation of a block will find in the memory.
//!
//! Slots are synthesised one kind after the other, operations happen in another order: so the values that they read are
//! worked out before. Nothing is decided here. If it were wrong, the block would have no proof.

use std::collections::BTreeMap;

use zklink::commitment::amount_to_fr;
use zklink::hash::Fr;
use zklink::id::{ChainId, Owner, TokenId};
use zklink::layout::{low_word, power_of_two};
use zklink::op::{ChangePubKey, Op, Transfer, Withdraw};

use super::Kind;
use crate::op::Clock;
use crate::witness::{QueueWitness, SignedWitness, Witness};

/// A cell by its number.
pub(super) type Key = [u8; 32];

/// The values of a cell and the time of its last access.
pub(super) type Held = (Vec<Fr>, Fr);

/// See the module. Empty while keys are made.
#[derive(Clone, Debug, Default)]
pub struct History {
    found: BTreeMap<(Key, u64), Held>,
}

/// The memory while the operations happen.
struct Replay {
    held: BTreeMap<Key, Held>,
    found: BTreeMap<(Key, u64), Held>,
}

impl History {
    /// What the operations of the witness find.
    pub fn of(witness: &Witness, clock: &Clock) -> History {
        let mut replay = Replay { held: opened(witness), found: BTreeMap::new() };
        let mut queue = witness.queue.iter().enumerate().peekable();
        for (rank, signed) in witness.signed.iter().enumerate() {
            while let Some((slot, op)) = queue.next_if(|(_, op)| usize::from(op.at) <= rank) {
                replay.queue(op, clock.queue_time(slot, op.at));
            }
            replay.signed(signed, clock.signed_time(rank));
        }
        for (slot, op) in queue {
            replay.queue(op, clock.queue_time(slot, op.at));
        }
        History { found: replay.found }
    }

    pub(super) fn found(&self, key: Key, time: Fr) -> Option<Held> {
        self.found.get(&(key, number(time))).cloned()
    }
}

/// A time as a number.
pub(super) fn number(time: Fr) -> u64 {
    let bytes = time.to_bytes();
    u64::from_le_bytes(bytes[..8].try_into().expect("32 bytes are more than eight"))
}

/// What the leaves hold before the block.
fn opened(witness: &Witness) -> BTreeMap<Key, Held> {
    let mut held = BTreeMap::new();
    let mut put = |key: Key, values: Vec<Fr>| held.insert(key, (values, Fr::zero()));
    for leaf in &witness.accounts {
        let account = &leaf.account;
        let key = account.key.map_or((Fr::zero(), Fr::zero()), |key| (key.x(), key.y()));
        let counters =
            [account.key_version.0, account.nonce.0].map(|count| u64::from(count).into());
        put(cell(Kind::Owner, leaf.id.0.into()), owner(account.owner));
        put(cell(Kind::Key, leaf.id.0.into()), [&counters[..], &[key.0, key.1]].concat());
    }
    for leaf in &witness.sub_accounts {
        let nonce = u64::from(leaf.nonce.0).into();
        put(cell(Kind::SubAccount, place(leaf.account.0, leaf.id.0)), vec![nonce]);
    }
    for leaf in &witness.balances {
        let key = balance(place(leaf.account.0, leaf.sub_account.0), leaf.leaf.token);
        put(key, vec![amount_to_fr(leaf.leaf.amount)]);
    }
    for leaf in &witness.chains {
        put(cell(Kind::Cursor, leaf.id.0.into()), vec![leaf.cursor.0.into()]);
    }
    for leaf in &witness.pools {
        put(pool(leaf.chain, leaf.leaf.token), vec![amount_to_fr(leaf.leaf.amount)]);
    }
    held
}

impl Replay {
    /// An access: what it finds, and what it leaves.
    fn access(&mut self, key: Key, time: u64, count: usize, change: impl FnOnce(&[Fr]) -> Vec<Fr>) {
        let none = || (vec![Fr::zero(); count], Fr::zero());
        let found = self.held.get(&key).cloned().unwrap_or_else(none);
        self.held.insert(key, (change(&found.0), Fr::from(time)));
        self.found.insert((key, time), found);
    }

    fn queue(&mut self, QueueWitness { op, .. }: &QueueWitness, time: u64) {
        self.access(cell(Kind::Cursor, op.chain.0.into()), time, 1, |old| vec![old[0] + Fr::one()]);
        if op.refused {
            return;
        }
        let amount = amount_to_fr(op.amount);
        self.access(pool(op.chain, op.token), time, 1, |old| vec![old[0] + amount]);
        let to = balance(place(op.account.0, op.sub_account.0), op.token);
        self.access(to, time, 1, |old| vec![old[0] + amount]);
        self.access(cell(Kind::Owner, op.account.0.into()), time, 2, |_| owner(op.owner));
    }

    fn signed(&mut self, signed: &SignedWitness, time: u64) {
        match &signed.op {
            Op::Deposit(_) => {}
            Op::Transfer(op) => self.transfer(op, signed.receiver, time),
            Op::Withdraw(op) => self.withdraw(op, time),
            Op::ChangePubKey(op) => self.change_key(op, time),
        }
    }

    fn transfer(&mut self, op: &Transfer, receiver: Owner, time: u64) {
        let amount = amount_to_fr(op.amount);
        let from = place(op.account.0, op.sub_account.0);
        self.pay(from, op.token, amount + amount_to_fr(op.fee.amount()), time);
        let to = balance(place(op.to_account.0, op.to_sub_account.0), op.token);
        self.access(to, time + 1, 1, |old| vec![old[0] + amount]);
        self.access(cell(Kind::Key, op.account.0.into()), time, 4, <[Fr]>::to_vec);
        self.access(cell(Kind::Owner, op.to_account.0.into()), time, 2, |_| owner(receiver));
    }

    fn withdraw(&mut self, op: &Withdraw, time: u64) {
        let unit = Fr::from(10).pow_vartime(&[op.scale.into(), 0, 0, 0]);
        let amount = amount_to_fr(zklink::amount::Amount(op.l1_amount)) * unit;
        let from = place(op.account.0, op.sub_account.0);
        self.pay(from, op.token, amount + amount_to_fr(op.fee.amount()), time);
        self.access(pool(op.chain, op.token), time + 1, 1, |old| vec![old[0] - amount]);
        self.access(cell(Kind::Key, op.account.0.into()), time, 4, <[Fr]>::to_vec);
    }

    fn change_key(&mut self, op: &ChangePubKey, time: u64) {
        let from = balance(place(op.account.0, op.sub_account.0), op.fee_token);
        let fee = amount_to_fr(op.fee.amount());
        self.access(from, time, 1, |old| vec![old[0] - fee]);
        self.access(cell(Kind::Key, op.account.0.into()), time, 4, |old| {
            vec![old[0] + Fr::one(), old[1] + Fr::one(), op.key.x(), op.key.y()]
        });
        self.access(cell(Kind::Owner, op.account.0.into()), time, 2, |_| owner(op.owner));
    }

    fn pay(&mut self, from: u64, token: TokenId, needed: Fr, time: u64) {
        self.access(balance(from, token), time, 1, |old| vec![old[0] - needed]);
        self.access(cell(Kind::SubAccount, from), time, 1, |old| vec![old[0] + Fr::one()]);
    }
}

fn cell(kind: Kind, address: u64) -> Key {
    (kind.base() + Fr::from(address)).to_bytes()
}

fn place(account: u32, sub: u8) -> u64 {
    u64::from(account) << 8 | u64::from(sub)
}

fn balance(place: u64, token: TokenId) -> Key {
    cell(Kind::Balance, place << 16 | u64::from(token.0))
}

fn pool(chain: ChainId, token: TokenId) -> Key {
    cell(Kind::Pool, u64::from(chain.0) << 16 | u64::from(token.0))
}

fn owner(owner: Owner) -> Vec<Fr> {
    let head = Fr::from(u64::from(owner.home.0)) * power_of_two(8);
    vec![head + Fr::from(u64::from(owner.top())), low_word(owner.low())]
}
