//! A cheating operator: he opens the leaves that he likes, puts the operations that he likes into the slots, finds in
//! the memory what he likes, and makes everything right that he can make right by himself: Merkle paths, roots,
//! quotients, and what is published.

// Every test file takes from here what it needs.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use zklink::amount::Fee;
use zklink::block::PublicData;
use zklink::commitment::{
    ACCOUNT_WORD, StateTree, account_leaf, amount_to_fr, chain_leaf, sub_account_leaf,
};
use zklink::fixtures::Scenario;
use zklink::hash::{Domain, Fr, compress4, compress8, hash_many};
use zklink::id::{AccountId, ChainId, Owner, Serial, ShapeId, SubAccountId, TokenId};
use zklink::key::{SecretKey, Signature, sign};
use zklink::layout::power_of_two;
use zklink::op::{Deposit, Op};
use zklink::shape::{ACCOUNT_PAGE, Counts, Page, Shape, TOKEN_PAGE, account_page, token_page};
use zklink::state::{Account, State, SubAccount};
use zklink::tree::{Path, Tree};
use zklink_circuit::check::CheckSystem;
use zklink_circuit::op::Clock;
use zklink_circuit::witness::{
    AccountPageWitness, AccountWitness, AmountWitness, BalancePageWitness, BalanceWitness,
    ChainWitness, NodeWitness, PoolPageWitness, PoolWitness, QueueWitness, SignedWitness,
    SubAccountWitness, Witness,
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
    /// Variables that he sets as he likes; all that depends on them follows.
    pub chosen: BTreeMap<String, Fr>,
    /// The roots between leaves that go with them.
    roots: BTreeMap<String, Fr>,
    /// The state before the block, and its trees.
    state: State,
    tree: StateTree,
}

/// What a block publishes, and its digest.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// The words of all slots behind those of the head, used or not.
    pub all: Vec<Fr>,
    /// The two vectors.
    pub vectors: PublicData,
}

impl Published {
    /// The public inputs.
    pub(crate) fn inputs(&self) -> [Fr; 4] {
        self.vectors.inputs(digest(&self.all))
    }
}

/// The digest of the words of all slots: seven a step.
pub(crate) fn digest(words: &[Fr]) -> Fr {
    words.chunks(7).fold(Fr::from(words.len() as u64), |state, chunk| {
        let lane = |at: usize| match at {
            0 => state,
            at => chunk.get(at - 1).copied().unwrap_or(Fr::zero()),
        };
        compress8(Domain::PublicData, std::array::from_fn(lane))
    })
}

impl Cheat {
    /// Opens leaves of a state between two blocks.
    pub(crate) fn open(
        world: &Scenario,
        accounts: &[(u32, Subs<'_>)],
        chains: &[(u8, &[TokenId])],
    ) -> Cheat {
        let (state, mut tree) = (&world.state, world.tree.clone());
        let [old_accounts, old_chains, markets, _] = tree.parts();
        let mut witness = Witness {
            public: PublicData { onchain: Vec::new(), data: Vec::new() },
            inputs: [Fr::zero(); 4],
            system: state.system,
            timestamp: state.system.timestamp + 1,
            old_roots: [old_accounts, old_chains, markets],
            accounts: Vec::new(),
            account_pages: Vec::new(),
            sub_accounts: Vec::new(),
            balances: Vec::new(),
            balance_pages: Vec::new(),
            chains: Vec::new(),
            pools: Vec::new(),
            pool_pages: Vec::new(),
            fee_tokens: vec![None],
            queue: Vec::new(),
            signed: Vec::new(),
        };
        for (id, subs) in accounts {
            witness.accounts.push(account(state, &mut tree, *id));
            for (sub, tokens) in *subs {
                witness.sub_accounts.push(sub_account(state, &mut tree, *id, *sub));
                let leaves =
                    tokens.iter().map(|token| balance(state, &mut tree, *id, *sub, *token));
                witness.balances.extend(leaves);
            }
        }
        for (id, tokens) in chains {
            witness.chains.push(chain(state, &mut tree, *id));
            witness.pools.extend(tokens.iter().map(|token| pool(state, &mut tree, *id, *token)));
        }
        open_pages(&mut witness, &mut tree);
        let room = Counts {
            accounts: witness.accounts.len(),
            account_pages: witness.account_pages.len(),
            sub_accounts: witness.sub_accounts.len(),
            balances: witness.balances.len(),
            balance_pages: witness.balance_pages.len(),
            fee_tokens: 1,
            chains: witness.chains.len(),
            pools: witness.pools.len(),
            pool_pages: witness.pool_pages.len(),
            ..Counts::default()
        };
        let shape = Shape { id: ShapeId(0x7777), name: "cheat", room };
        Cheat {
            shape,
            witness,
            chosen: BTreeMap::new(),
            roots: BTreeMap::new(),
            state: state.clone(),
            tree,
        }
    }

    /// Adds a queue operation after `at` signed ones.
    pub(crate) fn queue(mut self, op: Deposit, at: u16) -> Cheat {
        self.witness.queue.push(QueueWitness { op, at });
        self.shape.room.queue += 1;
        self
    }

    /// Adds a signed operation. `receiver` is whom a payment names; the most that was signed as a fee is what is taken.
    pub(crate) fn signed(mut self, op: Op, signature: Signature, receiver: Owner) -> Cheat {
        let max_fee = match &op {
            Op::Deposit(_) => Fee::ZERO,
            Op::Transfer(op) => op.fee,
            Op::Withdraw(op) => op.fee,
            Op::ChangePubKey(op) => op.fee,
        };
        let tokens = &mut self.witness.fee_tokens;
        let new = op.fee_token().filter(|token| !tokens.contains(&Some(*token)));
        let free = tokens.iter_mut().find(|token| token.is_none());
        if let Some((free, token)) = free.zip(new) {
            *free = Some(token);
        }
        self.witness.signed.push(SignedWitness { op, signature, max_fee, receiver });
        self.shape.room.signed += 1;
        self
    }

    /// Adds a queue slot without an operation.
    pub(crate) fn idle_queue(mut self) -> Cheat {
        self.shape.room.queue += 1;
        self
    }

    /// Adds a signed slot without an operation.
    pub(crate) fn idle_signed(mut self) -> Cheat {
        self.shape.room.signed += 1;
        self
    }

    /// The tokens in which fees are collected.
    pub(crate) fn fee_tokens(mut self, tokens: &[Option<TokenId>]) -> Cheat {
        self.shape.room.fee_tokens = tokens.len();
        self.witness.fee_tokens = tokens.to_vec();
        self
    }

    /// Sets a variable as he likes.
    pub(crate) fn choose(mut self, path: &str, value: Fr) -> Cheat {
        self.chosen.insert(path.to_owned(), value);
        self
    }

    /// Sets the bits of a number.
    pub(crate) fn choose_bits(mut self, number: &str, value: u128, bits: usize) -> Cheat {
        for bit in 0..bits {
            let digit = if bit < 128 { value >> bit & 1 } else { 0 };
            let path = format!("{number}/bit{bit}/bit");
            self = self.choose(&path, Fr::from(digit as u64));
        }
        self
    }

    /// Says that the access at `time` finds what was left at `before`.
    pub(crate) fn choose_before(self, access: &str, time: u64, before: u64) -> Cheat {
        let bits = self.time_bits();
        self.choose_bits(&format!("{access}/access before"), u128::from(time - 1 - before), bits)
    }

    /// Takes these values out at the end, as if they had been left at `last`.
    pub(crate) fn touch(mut self, leaf: &str, values: &[Fr], last: u64) -> Cheat {
        for (at, value) in values.iter().enumerate() {
            self = self.choose(&format!("{leaf}/value {at}/held"), *value);
        }
        let bits = self.time_bits();
        self.choose_bits(&format!("{leaf}/last access"), last.into(), bits)
    }

    /// Signs with this key what the circuit computes for the slot.
    pub(crate) fn sign_computed(mut self, rank: usize, key: &SecretKey) -> Cheat {
        let message = format!("signed/slot {rank}/signature/message/{OUTPUT}");
        let message = self.synthesize().value(&message);
        self.witness.signed[rank].signature = sign(key, message);
        self
    }

    /// Bits of the times of the memory.
    pub(crate) fn time_bits(&self) -> usize {
        let room = &self.shape.room;
        let roots = [room.accounts, room.sub_accounts, room.balances, room.balance_pages];
        let roots = roots.into_iter().max().unwrap_or(0).max(room.pools).max(room.pool_pages);
        Clock::of(room).bits(roots, room.fee_tokens)
    }

    /// The two moments of the signed operation with this rank.
    pub(crate) fn moment(&self, rank: usize) -> u64 {
        2 * (rank as u64 + 1) * (self.shape.room.queue as u64 + 1)
    }

    /// The moment of the queue operation in this slot, after `at` signed ones.
    pub(crate) fn queue_moment(&self, slot: usize, at: u64) -> u64 {
        2 * (at * (self.shape.room.queue as u64 + 1) + slot as u64 + 1)
    }

    /// Makes paths, roots and public inputs fit what the circuit computes.
    pub(crate) fn settle(mut self) -> Cheat {
        let cs = self.synthesize();
        self.settle_accounts(&cs);
        self.settle_chains(&cs);
        self.publish_honestly();
        self
    }

    /// Makes the public inputs those of what the slots publish.
    pub(crate) fn publish_honestly(&mut self) {
        self.witness.inputs = self.published().inputs();
    }

    fn settle_accounts(&mut self, cs: &CheckSystem) {
        let Witness { accounts, account_pages, sub_accounts, balances, balance_pages, .. } =
            &mut self.witness;
        let roots = &mut self.roots;
        let (state, tree) = (&self.state, &mut self.tree);
        let mut tokens: BTreeMap<(AccountId, SubAccountId), Halves> = BTreeMap::new();
        for (at, balance) in balances.iter_mut().enumerate() {
            let (place, index) = ((balance.account, balance.sub_account), balance.leaf.token.0);
            let tree = tokens.entry(place).or_insert_with(|| balances_tree(state, place).into());
            let leaf = format!("close/balance {at}");
            balance.leaf.path = tree.path(TOKEN_PAGE, index.into(), &leaf, roots);
            tree.lower.set(index.into(), cs.value(&format!("{leaf}/new/value 0/held")));
        }
        for (at, page) in balance_pages.iter_mut().enumerate() {
            let place = (page.account, page.sub_account);
            let tree = tokens.entry(place).or_insert_with(|| balances_tree(state, place).into());
            let leaf = format!("close/balance page {at}");
            page.node.path = tree.close(TOKEN_PAGE, page.page.into(), &leaf, roots);
        }
        let mut subs: BTreeMap<AccountId, Tree> = BTreeMap::new();
        for (at, sub) in sub_accounts.iter_mut().enumerate() {
            let all = subs.entry(sub.account);
            let all = all.or_insert_with(|| sub_accounts_tree(state, tree, sub.account));
            sub.path = all.path(sub.id.0.into());
            roots.insert(format!("close/sub-account {at}/parent/value 0/held"), all.root());
            let root = tokens.get_mut(&(sub.account, sub.id)).map(|tree| tree.lower.root());
            let root = root.unwrap_or(sub.roots[0]);
            roots.insert(format!("close/sub-account {at}/new balances/value 0/held"), root);
            let nonce = cs.value(&format!("close/sub-account {at}/new nonce/value 0/held"));
            let counters = nonce + Fr::from(u64::from(sub.epoch)) * power_of_two(32);
            let lanes = [root, sub.roots[1], sub.roots[2], counters];
            all.set(sub.id.0.into(), compress4(Domain::SubAccountLeaf, lanes));
        }
        let mut all = Halves::from(accounts_tree(state, tree));
        for (at, account) in accounts.iter_mut().enumerate() {
            let leaf = format!("close/account {at}");
            account.path = all.path(ACCOUNT_PAGE, account.id.0.into(), &leaf, roots);
            let root = subs.get_mut(&account.id).map(Tree::root);
            let root = root.unwrap_or(account.sub_accounts_root);
            roots.insert(format!("close/account {at}/new sub-accounts/value 0/held"), root);
            all.lower.set(account.id.0.into(), new_account_leaf(cs, at, account, root));
        }
        for (at, page) in account_pages.iter_mut().enumerate() {
            let leaf = format!("close/account page {at}");
            page.node.path = all.close(ACCOUNT_PAGE, page.page.into(), &leaf, roots);
        }
    }

    fn settle_chains(&mut self, cs: &CheckSystem) {
        let Witness { chains, pools, pool_pages, .. } = &mut self.witness;
        let (state, roots) = (&self.state, &mut self.roots);
        let mut tokens: BTreeMap<ChainId, Halves> = BTreeMap::new();
        for (at, pool) in pools.iter_mut().enumerate() {
            let tree = tokens.entry(pool.chain);
            let tree = tree.or_insert_with(|| pools_tree(state, pool.chain).into());
            let (leaf, index) = (format!("close/pool {at}"), pool.leaf.token.0);
            pool.leaf.path = tree.path(TOKEN_PAGE, index.into(), &leaf, roots);
            tree.lower.set(index.into(), cs.value(&format!("{leaf}/new/value 0/held")));
        }
        for (at, page) in pool_pages.iter_mut().enumerate() {
            let tree = tokens.entry(page.chain);
            let tree = tree.or_insert_with(|| pools_tree(state, page.chain).into());
            let leaf = format!("close/pool page {at}");
            page.node.path = tree.close(TOKEN_PAGE, page.page.into(), &leaf, roots);
        }
        let mut all = chains_tree(&self.state, &mut self.tree);
        for (at, chain) in chains.iter_mut().enumerate() {
            chain.path = all.path(chain.id.0.into());
            let root = tokens.get_mut(&chain.id).map(|tree| tree.lower.root());
            let root = root.unwrap_or(chain.roots[0]);
            roots.insert(format!("close/chain {at}/new pools/value 0/held"), root);
            let cursor = cs.value(&format!("close/chain {at}/new cursor/value 0/held"));
            let lanes = [cursor, root, chain.roots[1], Fr::zero()];
            all.set(chain.id.0.into(), compress4(Domain::ChainLeaf, lanes));
        }
    }

    /// What the slots publish, below the roots that the circuit computes.
    pub(crate) fn published(&self) -> Published {
        let cs = self.synthesize();
        let root = |name: &str| cs.value(&format!("{name} root/{OUTPUT}"));
        let head = [root("old"), root("new"), self.head_word(&cs)];
        let mut published = Published {
            all: head.to_vec(),
            vectors: PublicData { onchain: head.to_vec(), data: Vec::new() },
        };
        for slot in 0..self.shape.room.queue {
            let value = |name: &str| cs.value(&format!("queue/slot {slot}/{name}"));
            let words = ["words/first", "words/second"].map(value);
            if value("done") + value("refused") != Fr::zero() {
                published.vectors.onchain.extend(words);
            }
            published.all.extend(words);
        }
        for rank in 0..self.shape.room.signed {
            let value = |name: &str| cs.value(&format!("signed/slot {rank}/{name}"));
            let is = |kind: &str| value(&format!("type/{kind}")) != Fr::zero();
            let first = ["transfer", "transfer to new", "withdraw", "change key"];
            let first = first.map(|kind| value(&format!("words/{kind}"))).into_iter().sum();
            let words: [Fr; 4] =
                [first, value("words/low"), value("published x"), value("published y")];
            published.all.extend(words);
            let vectors = &mut published.vectors;
            if is("change key") {
                vectors.onchain.extend(words);
            } else if is("withdraw") {
                vectors.onchain.extend(&words[..2]);
            } else if is("transfer to new") {
                vectors.data.extend(&words[..2]);
            } else if is("transfer") {
                vectors.data.push(first);
            }
        }
        // As a block does: the vector does not show zero words at its end.
        let data = &mut published.vectors.data;
        data.truncate(data.iter().rposition(|word| *word != Fr::zero()).map_or(0, |last| last + 1));
        published
    }

    fn head_word(&self, cs: &CheckSystem) -> Fr {
        let number = cs.value("system/number") + Fr::one();
        let shape = Fr::from(u64::from(self.shape.id.0));
        let [of_number, of_time, of_shape] = zklink::layout::HEAD_WORD.weights();
        number * of_number + cs.value("system/new time") * of_time + shape * of_shape
    }

    /// The constraint system as it is.
    pub(crate) fn synthesize(&self) -> CheckSystem {
        let mut cs = synthesize(&self.shape, &self.witness);
        if !self.chosen.is_empty() {
            for (path, value) in self.roots.iter().chain(&self.chosen) {
                cs.tamper(path, *value);
            }
            let all = self.roots.keys().chain(self.chosen.keys());
            let chosen: Vec<&str> = all.map(String::as_str).collect();
            cs.follow(&chosen);
            for rank in 0..self.witness.signed.len() {
                settle_signature(&mut cs, rank, &chosen);
            }
        }
        cs
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

/// Of a signature that fits what the slot signs after all, the point of small order is the neutral one.
fn settle_signature(cs: &mut CheckSystem, rank: usize, chosen: &[&str]) {
    let signature = format!("signed/slot {rank}/signature");
    let shift = [format!("{signature}/T/x"), format!("{signature}/T/y")];
    let mut all = chosen.to_vec();
    all.extend(shift.iter().map(String::as_str));
    let set = |cs: &mut CheckSystem, point: [Fr; 2]| {
        let before = [cs.tamper(&shift[0], point[0]), cs.tamper(&shift[1], point[1])];
        cs.follow(&all);
        before
    };
    let before = set(cs, [Fr::zero(), Fr::one()]);
    let differs = format!("{signature}/R/");
    if cs.failures().iter().any(|path| path.starts_with(&differs)) {
        set(cs, before);
    }
}

/// The leaf of an account as the circuit writes it.
fn new_account_leaf(cs: &CheckSystem, at: usize, account: &AccountWitness, subs: Fr) -> Fr {
    let value = |name: &str| cs.value(&format!("close/account {at}/{name}"));
    let key = |at: usize| value(&format!("new key/value {at}/held"));
    let old = &account.account;
    let tail = u64::from(old.recipient.home.0) << 8 | u64::from(old.recipient.top());
    let kept = Fr::from(old.created) * power_of_two(16) + Fr::from(tail) + value("kept/created");
    let [_, of_owner, _, _, of_kept, of_version, of_nonce] = ACCOUNT_WORD.weights();
    let word = value("new owner/value 0/held") * of_owner
        + kept * of_kept
        + key(0) * of_version
        + key(1) * of_nonce;
    let recipient = zklink::layout::low_word(old.recipient.low());
    let low = value("new owner/value 1/held");
    hash_many(Domain::AccountLeaf, &[word, low, recipient, key(2), key(3), subs])
}

/// A tree while its leaves are written, and as the pages see it: they are written one after the other.
struct Halves {
    lower: Tree,
    upper: Tree,
}

impl From<Tree> for Halves {
    fn from(tree: Tree) -> Halves {
        Halves { upper: tree.clone(), lower: tree }
    }
}

impl Halves {
    /// The path of a leaf below its page, and what it finds there.
    fn path(&mut self, of: Page, index: u64, leaf: &str, roots: &mut BTreeMap<String, Fr>) -> Path {
        let node = self.lower.node_at(of.levels, of.of(index));
        roots.insert(format!("{leaf}/parent/value 0/held"), node);
        self.lower.path(index)[..of.levels].to_vec()
    }

    /// The path of a page, which takes its new value over, and what it finds there.
    fn close(&mut self, of: Page, page: u64, leaf: &str, roots: &mut BTreeMap<String, Fr>) -> Path {
        let (path, node) =
            (self.upper.path_from(of.levels, page), self.lower.node_at(of.levels, page));
        roots.insert(format!("{leaf}/new/value 0/held"), node);
        // The pages of accounts stand below the root itself, which is not in the memory.
        if of != ACCOUNT_PAGE {
            roots.insert(format!("{leaf}/parent/value 0/held"), self.upper.root());
        }
        self.upper.set_node(of.levels, page, node);
        path
    }
}

/// Opens the pages of the members.
fn open_pages(witness: &mut Witness, tree: &mut StateTree) {
    let node = |tree: &mut Tree, of: Page, page: u64| NodeWitness {
        node: tree.node_at(of.levels, page),
        path: tree.path_from(of.levels, page),
    };
    let pages: BTreeSet<_> =
        witness.accounts.iter().map(|account| account_page(account.id)).collect();
    witness.account_pages.extend(pages.into_iter().map(|page| AccountPageWitness {
        page,
        node: node(tree.accounts_tree(), ACCOUNT_PAGE, page.into()),
    }));
    let balances = witness.balances.iter();
    let pages: BTreeSet<_> = balances
        .map(|leaf| (leaf.account, leaf.sub_account, token_page(leaf.leaf.token)))
        .collect();
    let pages = pages.into_iter().map(|(account, sub_account, page)| BalancePageWitness {
        account,
        sub_account,
        page,
        node: node(tree.balances_tree(account, sub_account), TOKEN_PAGE, page.into()),
    });
    witness.balance_pages.extend(pages);
    let pools = witness.pools.iter();
    let pages: BTreeSet<_> = pools.map(|leaf| (leaf.chain, token_page(leaf.leaf.token))).collect();
    witness.pool_pages.extend(pages.into_iter().map(|(chain, page)| PoolPageWitness {
        chain,
        page,
        node: node(tree.pools_tree(chain), TOKEN_PAGE, page.into()),
    }));
}

fn balances_tree(state: &State, (account, sub): (AccountId, SubAccountId)) -> Tree {
    let mut tree = Tree::new(TokenId::DEPTH, Fr::zero());
    let balances = state.sub_account(account, sub).into_iter().flat_map(|sub| &sub.balances);
    balances.for_each(|(token, amount)| tree.set(token.0.into(), amount_to_fr(*amount)));
    tree
}

fn pools_tree(state: &State, chain: ChainId) -> Tree {
    let mut tree = Tree::new(TokenId::DEPTH, Fr::zero());
    let pools = state.chain(chain).into_iter().flat_map(|chain| &chain.pools);
    pools.for_each(|(token, amount)| tree.set(token.0.into(), amount_to_fr(*amount)));
    tree
}

fn accounts_tree(state: &State, tree: &mut StateTree) -> Tree {
    let nobody = AccountId(AccountId::COUNT / 2);
    let empty = account_leaf(&Account::default(), tree.sub_accounts_root(nobody));
    let mut accounts = Tree::new(AccountId::DEPTH, empty);
    for (id, account) in state.accounts() {
        accounts.set(id.0.into(), account_leaf(account, tree.sub_accounts_root(id)));
    }
    accounts
}

fn sub_accounts_tree(state: &State, tree: &mut StateTree, id: AccountId) -> Tree {
    let unused = AccountId(AccountId::COUNT / 2);
    let fresh = tree.sub_account_roots(unused, SubAccountId(0));
    let empty = sub_account_leaf(&fresh, &SubAccount::default());
    let mut leaves = Tree::new(SubAccountId::DEPTH, empty);
    for (sub_id, sub) in state.account(id).iter().flat_map(|account| &account.sub_accounts) {
        let roots = tree.sub_account_roots(id, *sub_id);
        leaves.set(sub_id.0.into(), sub_account_leaf(&roots, sub));
    }
    leaves
}

fn chains_tree(state: &State, tree: &mut StateTree) -> Tree {
    let unused = tree.pools_root(ChainId(ChainId::MAX));
    let empty = chain_leaf(Serial(0), unused, Fr::zero());
    let mut chains = Tree::new(ChainId::DEPTH, empty);
    for (id, chain) in state.chains() {
        chains.set(id.0.into(), chain_leaf(chain.cursor, tree.pools_root(id), Fr::zero()));
    }
    chains
}

fn account(state: &State, tree: &mut StateTree, id: u32) -> AccountWitness {
    let id = AccountId(id);
    let mut account = state.account(id).cloned().unwrap_or_default();
    account.sub_accounts.clear();
    let sub_accounts_root = tree.sub_accounts_root(id);
    let path = tree.account_path(id)[..ACCOUNT_PAGE.levels].to_vec();
    AccountWitness { id, account, sub_accounts_root, path }
}

fn sub_account(state: &State, tree: &mut StateTree, id: u32, sub: u8) -> SubAccountWitness {
    let (account, id) = (AccountId(id), SubAccountId(sub));
    let found = state.sub_account(account, id).cloned().unwrap_or_default();
    let roots = tree.sub_account_roots(account, id);
    SubAccountWitness {
        account,
        id,
        nonce: found.nonce,
        epoch: found.epoch,
        roots: [roots.balances, roots.slots, roots.rest],
        path: tree.sub_account_path(account, id),
    }
}

fn balance(
    state: &State,
    tree: &mut StateTree,
    id: u32,
    sub: u8,
    token: TokenId,
) -> BalanceWitness {
    let (account, sub_account) = (AccountId(id), SubAccountId(sub));
    let amount = state.balance(account, sub_account, token);
    let path = tree.balance_path(account, sub_account, token)[..TOKEN_PAGE.levels].to_vec();
    BalanceWitness { account, sub_account, leaf: AmountWitness { token, amount, path } }
}

fn chain(state: &State, tree: &mut StateTree, id: u8) -> ChainWitness {
    let id = ChainId(id);
    let roots = [tree.pools_root(id), Fr::zero()];
    ChainWitness { id, cursor: state.cursor(id), roots, path: tree.chain_path(id) }
}

fn pool(state: &State, tree: &mut StateTree, chain: u8, token: TokenId) -> PoolWitness {
    let chain = ChainId(chain);
    let (amount, path) = (state.pool(chain, token), tree.pool_path(chain, token));
    let path = path[..TOKEN_PAGE.levels].to_vec();
    PoolWitness { chain, leaf: AmountWitness { token, amount, path } }
}
