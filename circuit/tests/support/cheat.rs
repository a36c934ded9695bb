//! A cheating operator: he opens the leaves that he likes, puts the operations that he likes into the slots, and makes
//! everything right that he can make right by himself: Merkle paths, roots, and what is published.

// Every test file takes from here what it needs.
#![allow(dead_code)]

use zklink::block::PublicData;
use zklink::commitment::{StateTree, account_leaf, chain_leaf, sub_account_leaf};
use zklink::fixtures::Scenario;
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, Nonce, Owner, Serial, ShapeId, SubAccountId, TokenId};
use zklink::key::Signature;
use zklink::layout::HEAD_WORD;
use zklink::op::{Noop, Op, SlotKind};
use zklink::shape::Shape;
use zklink::state::State;
use zklink::tree::Tree;
use zklink_circuit::check::CheckSystem;
use zklink_circuit::witness::{
    AccountWitness, AmountWitness, ChainWitness, SlotWitness, SubAccountWitness, Witness,
};

use crate::blocks::synthesize;

/// Sub-accounts with their tokens.
pub(crate) type Subs<'a> = &'a [(u8, &'a [TokenId])];

/// The variable that holds the output of a hash.
const OUTPUT: &str = "box84/next";

/// A block of a shape of its own, under construction.
#[derive(Clone, Debug)]
pub(crate) struct Cheat {
    /// The shape.
    pub shape: Shape,
    /// What the circuit is given.
    pub witness: Witness,
    /// Leaves of the accounts before the block.
    accounts: Tree,
    /// Leaves of the sub-accounts of each account that is opened.
    sub_accounts: Vec<Tree>,
    /// Leaves of the chains before the block.
    chains: Tree,
}

impl Cheat {
    /// Opens leaves of a state between two blocks.
    pub(crate) fn open(
        world: &Scenario,
        accounts: &[(u32, Subs<'_>)],
        chains: &[(u8, &[TokenId])],
    ) -> Cheat {
        let (state, mut tree) = (&world.state, world.tree.clone());
        let sizes = |subs: Subs<'_>| subs.iter().map(|(_, tokens)| tokens.len()).collect();
        let shape = Shape {
            id: ShapeId(0x7777),
            name: "cheat",
            slots: Vec::new(),
            accounts: accounts.iter().map(|(_, subs)| sizes(subs)).collect(),
            chains: chains.iter().map(|(_, tokens)| tokens.len()).collect(),
        };
        let [old_accounts, old_chains, markets, _] = tree.parts();
        let mut all = (accounts_tree(state, &mut tree), chains_tree(state, &mut tree));
        assert_eq!((all.0.root(), all.1.root()), (old_accounts, old_chains));
        let sub_accounts =
            accounts.iter().map(|(id, _)| sub_accounts_tree(state, &mut tree, AccountId(*id)));
        let sub_accounts = sub_accounts.collect();
        let accounts = accounts.iter().map(|(id, subs)| account(state, &mut tree, *id, subs));
        let accounts = accounts.collect();
        let chains = chains.iter().map(|(id, tokens)| chain(state, &mut tree, *id, tokens));
        let chains = chains.collect();
        let witness = Witness {
            public: PublicData { onchain: Vec::new(), data: Vec::new() },
            system: state.system,
            timestamp: state.system.timestamp + 1,
            old_roots: [old_accounts, old_chains, markets],
            accounts,
            chains,
            slots: Vec::new(),
        };
        Cheat { shape, witness, accounts: all.0, sub_accounts, chains: all.1 }
    }

    /// Adds a slot whose cells are looked up among the leaves.
    pub(crate) fn slot(mut self, kind: SlotKind, op: Op, signature: Option<Signature>) -> Cheat {
        let fee_account = self.witness.system.fee_account;
        let fee = |token| self.balance(fee_account, SubAccountId(0), token);
        let (mut balance, mut to_balance, mut fee_balance, mut pool) = (None, None, None, None);
        match &op {
            Op::Noop(_) => {}
            Op::Deposit(op) => {
                balance = self.balance(op.account, op.sub_account, op.token);
                pool = self.pool(op.chain, op.token);
            }
            Op::Transfer(op) => {
                balance = self.balance(op.account, op.sub_account, op.token);
                to_balance = self.balance(op.to_account, op.to_sub_account, op.token);
                fee_balance = fee(op.token);
            }
            Op::Withdraw(op) => {
                balance = self.balance(op.account, op.sub_account, op.token);
                fee_balance = fee(op.token);
                pool = self.pool(op.chain, op.token);
            }
            Op::ChangePubKey(op) => {
                balance = self.balance(op.account, op.sub_account, op.fee_token);
                fee_balance = fee(op.fee_token);
            }
        }
        self.shape.slots.push(kind);
        let slot = SlotWitness { op, signature, balance, to_balance, fee_balance, pool };
        self.witness.slots.push(slot);
        self
    }

    /// Adds a slot that is switched off.
    pub(crate) fn idle(self, kind: SlotKind) -> Cheat {
        self.slot(kind, Op::Noop(Noop { slot: kind }), None)
    }

    fn balance(&self, account: AccountId, sub: SubAccountId, token: TokenId) -> Option<usize> {
        let subs = self.witness.accounts.iter().flat_map(|account| {
            account.sub_accounts.iter().map(move |sub| (account.id, sub.id, &sub.balances))
        });
        let mut cells = subs.flat_map(|(account, sub, balances)| {
            balances.iter().map(move |balance| (account, sub, balance.token))
        });
        cells.position(|cell| cell == (account, sub, token))
    }

    fn pool(&self, chain: ChainId, token: TokenId) -> Option<usize> {
        let chains = self.witness.chains.iter();
        let mut cells =
            chains.flat_map(|chain| chain.pools.iter().map(move |pool| (chain.id, pool.token)));
        cells.position(|cell| cell == (chain, token))
    }

    /// Makes paths, roots and public data fit what the circuit computes. Only for sub-accounts and chains of which one
    /// cell changes: the path of a second one would have to follow the first.
    pub(crate) fn settle(mut self) -> Cheat {
        if self.shape.accounts.iter().any(|subs| subs.len() > 1) {
            self.settle_sub_accounts();
        }
        let cs = self.synthesize();
        let mut tree = self.accounts.clone();
        for (at, account) in self.witness.accounts.iter_mut().enumerate() {
            account.path = tree.path(account.id.0.into());
            let leaf = cs.value(&format!("close/account {at}/new leaf/link1/{OUTPUT}"));
            tree.set(account.id.0.into(), leaf);
        }
        let mut tree = self.chains.clone();
        for (at, chain) in self.witness.chains.iter_mut().enumerate() {
            chain.path = tree.path(chain.id.0.into());
            tree.set(chain.id.0.into(), cs.value(&format!("close/chain {at}/new leaf/{OUTPUT}")));
        }
        self.witness.public = self.published(&self.synthesize());
        self
    }

    fn settle_sub_accounts(&mut self) {
        let cs = self.synthesize();
        let mut number = 0;
        for (at, account) in self.witness.accounts.iter_mut().enumerate() {
            let mut tree = self.sub_accounts[at].clone();
            for sub in &mut account.sub_accounts {
                sub.path = tree.path(sub.id.0.into());
                let place = format!("close/account {at}/sub-account {number}/new leaf/{OUTPUT}");
                tree.set(sub.id.0.into(), cs.value(&place));
                number += 1;
            }
        }
    }

    /// What the operations say, below the roots that the circuit computes.
    fn published(&self, cs: &CheckSystem) -> PublicData {
        let root = |name: &str| cs.value(&format!("{name} root/{OUTPUT}"));
        let system = &self.witness.system;
        let number = Fr::from(u64::from(system.number.0)) + Fr::one();
        let values = [number, self.witness.timestamp.into(), u64::from(self.shape.id.0).into()];
        let weights = HEAD_WORD.weights();
        let head = weights.into_iter().zip(values).map(|(weight, value)| weight * value).sum();
        let mut public = PublicData { onchain: vec![root("old"), root("new"), head], data: vec![] };
        for (kind, slot) in self.shape.slots.iter().zip(&self.witness.slots) {
            let vector = if kind.is_onchain() { &mut public.onchain } else { &mut public.data };
            vector.extend(slot.op.words());
        }
        public
    }

    /// The constraint system as it is.
    pub(crate) fn synthesize(&self) -> CheckSystem {
        synthesize(&self.shape, &self.witness)
    }

    /// What catches the cheat, after everything else was made right.
    pub(crate) fn caught(self) -> Vec<String> {
        self.settle().failures()
    }

    /// What catches the cheat as it is.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.synthesize().failures().into_iter().map(str::to_owned).collect()
    }
}

fn accounts_tree(state: &State, tree: &mut StateTree) -> Tree {
    let nobody = AccountId(AccountId::COUNT - 1);
    let empty = account_leaf(Owner::NONE, None, Nonce(0), tree.sub_accounts_root(nobody));
    let mut accounts = Tree::new(AccountId::DEPTH, empty);
    for (id, account) in state.accounts() {
        let subs = tree.sub_accounts_root(id);
        let leaf = account_leaf(account.owner, account.key.as_ref(), account.nonce, subs);
        accounts.set(id.0.into(), leaf);
    }
    accounts
}

fn sub_accounts_tree(state: &State, tree: &mut StateTree, id: AccountId) -> Tree {
    let unused = AccountId(AccountId::COUNT - 1);
    let none = tree.balances_root(unused, SubAccountId(0));
    let empty = sub_account_leaf(none, Nonce(0), 0);
    let mut leaves = Tree::new(SubAccountId::DEPTH, empty);
    for (sub_id, sub) in state.account(id).iter().flat_map(|account| &account.sub_accounts) {
        let leaf = sub_account_leaf(tree.balances_root(id, *sub_id), sub.nonce, sub.epoch);
        leaves.set(sub_id.0.into(), leaf);
    }
    assert_eq!(leaves.root(), tree.sub_accounts_root(id));
    leaves
}

fn chains_tree(state: &State, tree: &mut StateTree) -> Tree {
    let unused = tree.pools_root(ChainId(ChainId::MAX));
    let mut chains = Tree::new(ChainId::DEPTH, chain_leaf(Serial(0), unused));
    for (id, chain) in state.chains() {
        chains.set(id.0.into(), chain_leaf(chain.cursor, tree.pools_root(id)));
    }
    chains
}

fn account(state: &State, tree: &mut StateTree, id: u32, subs: Subs<'_>) -> AccountWitness {
    let id = AccountId(id);
    let sub_accounts = subs.iter().map(|(sub, tokens)| {
        let sub = SubAccountId(*sub);
        let balances = tokens.iter().map(|token| AmountWitness {
            token: *token,
            amount: state.balance(id, sub, *token).0,
            path: tree.balance_path(id, sub, *token),
        });
        let balances = balances.collect();
        SubAccountWitness {
            id: sub,
            counters: state.sub_account(id, sub).cloned().unwrap_or_default(),
            balances_root: tree.balances_root(id, sub),
            balances,
            path: tree.sub_account_path(id, sub),
        }
    });
    let sub_accounts = sub_accounts.collect();
    AccountWitness {
        id,
        account: state.account(id).cloned().unwrap_or_default(),
        sub_accounts_root: tree.sub_accounts_root(id),
        sub_accounts,
        path: tree.account_path(id),
    }
}

fn chain(state: &State, tree: &mut StateTree, id: u8, tokens: &[TokenId]) -> ChainWitness {
    let id = ChainId(id);
    let pools = tokens.iter().map(|token| AmountWitness {
        token: *token,
        amount: state.pool(id, *token).0,
        path: tree.pool_path(id, *token),
    });
    let pools = pools.collect();
    ChainWitness {
        id,
        cursor: state.cursor(id).0,
        pools_root: tree.pools_root(id),
        pools,
        path: tree.chain_path(id),
    }
}
