//! The trees of a state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    EMPTY, EMPTY_TOKENS, SubAccountRoots, account_leaf, account_words, amount_to_fr, chain_leaf,
    empty_rest, empty_slots_root, empty_tokens_root, order_slot_leaf, root_of_parts,
    sub_account_lanes, sub_account_leaf, system_hash,
};
use crate::amount::Amount;
use crate::hash::{Domain, Fr, compress4_each, hash_many_each};
use crate::id::{AccountId, ChainId, Serial, SubAccountId, TokenId};
use crate::state::{Account, Cell, State, SubAccount, System};
use crate::tree::{Path, Tree};

/// Leaves whose paths are wanted. The parents of each are among them.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Accounts.
    pub accounts: Vec<AccountId>,
    /// Accounts of which nothing below the leaf is wanted.
    pub bare_accounts: Vec<AccountId>,
    /// Sub-accounts.
    pub sub_accounts: Vec<(AccountId, SubAccountId)>,
    /// Balances.
    pub balances: Vec<(AccountId, SubAccountId, TokenId)>,
    /// Chains.
    pub chains: Vec<ChainId>,
    /// Pools.
    pub pools: Vec<(ChainId, TokenId)>,
}

/// Trees of one account.
#[derive(Clone, Debug)]
struct AccountTree {
    sub_accounts: Tree,
    balances: BTreeMap<SubAccountId, Tree>,
    /// Roots of the order slots of sub-accounts that have some.
    slots: BTreeMap<SubAccountId, Fr>,
    /// When it was used last: see [`StateTree::forget`].
    used: u64,
}

impl AccountTree {
    fn new() -> AccountTree {
        let sub_accounts = Tree::with_empty(Arc::clone(&EMPTY.sub_accounts));
        AccountTree { sub_accounts, balances: BTreeMap::new(), slots: BTreeMap::new(), used: 0 }
    }

    fn balances(&mut self, sub: SubAccountId) -> &mut Tree {
        let empty = || Tree::with_empty(Arc::clone(&EMPTY_TOKENS));
        self.balances.entry(sub).or_insert_with(empty)
    }

    /// Roots below the leaf of a sub-account.
    fn roots(&mut self, sub: SubAccountId) -> SubAccountRoots {
        let balances = self.balances.get_mut(&sub).map_or_else(empty_tokens_root, Tree::root);
        let slots = self.slots.get(&sub).copied().unwrap_or_else(empty_slots_root);
        SubAccountRoots { balances, slots, rest: empty_rest() }
    }
}

/// Accounts whose leaves are written together when the trees of a whole state are made.
const TOGETHER: usize = 4_096;
/// Accounts of which the trees below the leaf are kept: some KiB each. Of the others only the leaf is, and the rest is
/// made again from the state when it is needed.
const KEPT: usize = 1 << 15;

/// Accounts whose leaves are written, each with the sub-accounts that are.
type Touched = BTreeMap<AccountId, BTreeSet<SubAccountId>>;

/// The leaf of an account is not that of what the state says of it: state and trees do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree has another leaf of account {0} than the state")]
pub struct OtherLeaf(pub AccountId);

/// The trees of a state. They are kept beside it and follow it block by block.
#[derive(Clone, Debug)]
pub struct StateTree {
    accounts: Tree,
    /// Below the leaves, of the accounts that were used last.
    account_trees: BTreeMap<AccountId, AccountTree>,
    /// Counts updates.
    turn: u64,
    /// How many of them are kept.
    kept: usize,
    chains: Tree,
    pools: BTreeMap<ChainId, Tree>,
    system: Fr,
}

impl StateTree {
    /// The trees of a state.
    pub fn of(state: &State) -> StateTree {
        let mut tree = StateTree::without_accounts(state);
        let mut accounts = state.accounts().map(|(id, _)| id).peekable();
        while accounts.peek().is_some() {
            let loaded = tree.load(state, accounts.by_ref().take(TOGETHER));
            tree.write_accounts(state, &loaded);
            tree.forget();
        }
        tree
    }

    /// As [`StateTree::of`], with the leaves of all accounts in order: they are believed, so that little is hashed. The
    /// root says whether they are right; [`StateTree::prepare`], whether they belong to this state.
    ///
    /// Nothing when there are more or fewer of them than accounts.
    pub fn of_leaves(state: &State, leaves: &[Fr]) -> Option<StateTree> {
        let mut tree = StateTree::without_accounts(state);
        if state.account_count() != leaves.len() {
            return None;
        }
        let places = state.accounts().map(|(id, _)| u64::from(id.0));
        let leaves = places.zip(leaves.iter().copied());
        tree.accounts = Tree::of_leaves(Arc::clone(&EMPTY.accounts), leaves);
        Some(tree)
    }

    fn without_accounts(state: &State) -> StateTree {
        let mut tree = StateTree {
            accounts: Tree::with_empty(Arc::clone(&EMPTY.accounts)),
            account_trees: BTreeMap::new(),
            turn: 0,
            kept: KEPT,
            chains: Tree::with_empty(Arc::clone(&EMPTY.chains)),
            pools: BTreeMap::new(),
            system: system_hash(&state.system),
        };
        for (id, chain) in state.chains() {
            for (token, amount) in &chain.pools {
                tree.set_pool(id, *token, *amount);
            }
            tree.set_chain(id, chain.cursor);
        }
        tree
    }

    /// The leaves of accounts, for [`StateTree::of_leaves`].
    pub fn account_leaves(&self, ids: impl IntoIterator<Item = AccountId>) -> Vec<Fr> {
        ids.into_iter().map(|id| self.accounts.leaf(u64::from(id.0))).collect()
    }

    /// Makes what is below the leaves of these accounts ready for [`StateTree::opened`] and [`StateTree::update`]. The
    /// state is the one that the trees stand for, so that a leaf which is not its own is noticed here.
    ///
    /// # Errors
    /// [`OtherLeaf`]; the trees must not be used any more.
    pub fn prepare(
        &mut self,
        state: &State,
        accounts: impl IntoIterator<Item = AccountId>,
    ) -> Result<(), OtherLeaf> {
        let loaded = self.load(state, accounts);
        let before: Vec<_> = loaded.keys().map(|id| self.accounts.leaf(u64::from(id.0))).collect();
        self.write_accounts(state, &loaded);
        for (id, before) in loaded.keys().zip(before) {
            if self.accounts.leaf(u64::from(id.0)) != before {
                return Err(OtherLeaf(*id));
            }
        }
        Ok(())
    }

    /// Fills in the trees of accounts that are not here, from a state; gives these accounts, whose leaves are not
    /// written.
    fn load(&mut self, state: &State, accounts: impl IntoIterator<Item = AccountId>) -> Touched {
        self.turn += 1;
        let mut loaded = Touched::new();
        for id in accounts {
            if let Some(tree) = self.account_trees.get_mut(&id) {
                tree.used = self.turn;
                continue;
            }
            let mut tree = AccountTree { used: self.turn, ..AccountTree::new() };
            let subs = state.account(id).into_iter().flat_map(|account| &account.sub_accounts);
            let mut written = BTreeSet::new();
            for (sub_id, sub) in subs {
                written.insert(*sub_id);
                for (token, amount) in &sub.balances {
                    tree.balances(*sub_id).set(u64::from(token.0), amount_to_fr(*amount));
                }
            }
            self.account_trees.insert(id, tree);
            loaded.insert(id, written);
        }
        loaded
    }

    /// Forgets the trees that were not used for the longest time, when there are many more than are to be kept.
    fn forget(&mut self) {
        let count = self.account_trees.len();
        if count <= self.kept + self.kept / 4 {
            return;
        }
        let mut uses: Vec<u64> = self.account_trees.values().map(|tree| tree.used).collect();
        let (_, oldest, _) = uses.select_nth_unstable(count - self.kept);
        let oldest = *oldest;
        self.account_trees.retain(|_, tree| tree.used >= oldest);
    }

    /// Follows a state in which these cells, their owners, and the system's facts may have changed.
    pub fn update(&mut self, state: &State, cells: &BTreeSet<Cell>) {
        let mut accounts = self.load(state, cells.iter().filter_map(Cell::account));
        let mut chains = BTreeSet::new();
        for cell in cells {
            match *cell {
                Cell::Balance(account, sub, token) => {
                    self.set_balance(account, sub, token, state.balance(account, sub, token));
                    accounts.entry(account).or_default().insert(sub);
                }
                Cell::Pool(chain, token) => {
                    self.set_pool(chain, token, state.pool(chain, token));
                    chains.insert(chain);
                }
                Cell::Cursor(chain) => {
                    chains.insert(chain);
                }
            }
        }
        self.write_accounts(state, &accounts);
        for id in chains {
            self.set_chain(id, state.cursor(id));
        }
        self.set_system(&state.system);
        self.forget();
    }

    /// Writes the leaves of accounts and of sub-accounts whose balances are written: all of a kind together, so that
    /// their hashes are made at once.
    fn write_accounts(&mut self, state: &State, touched: &Touched) {
        let take = |id: &AccountId| {
            let tree = self.account_trees.remove(id);
            (*id, tree.unwrap_or_else(AccountTree::new))
        };
        let mut trees: Vec<(AccountId, AccountTree)> = touched.keys().map(take).collect();
        Tree::hash_together(trees.iter_mut().flat_map(|(_, tree)| tree.balances.values_mut()));
        let (mut places, mut lanes) = (Vec::new(), Vec::new());
        let unused = SubAccount::default();
        for (at, (id, tree)) in trees.iter_mut().enumerate() {
            for sub_id in &touched[id] {
                let sub = state.sub_account(*id, *sub_id).unwrap_or(&unused);
                if !sub.slots.is_empty() {
                    tree.slots.insert(*sub_id, slots_root(sub));
                }
                places.push((at, *sub_id));
                lanes.push(sub_account_lanes(&tree.roots(*sub_id), sub));
            }
        }
        let leaves = compress4_each(Domain::SubAccountLeaf, &lanes);
        for ((at, sub_id), leaf) in places.into_iter().zip(leaves) {
            trees[at].1.sub_accounts.set(u64::from(sub_id.0), leaf);
        }
        Tree::hash_together(trees.iter_mut().map(|(_, tree)| &mut tree.sub_accounts));
        let nobody = Account::default();
        let words = |(id, tree): &mut (AccountId, AccountTree)| {
            account_words(state.account(*id).unwrap_or(&nobody), tree.sub_accounts.root())
        };
        let words: Vec<[Fr; 6]> = trees.iter_mut().map(words).collect();
        let leaves = hash_many_each(Domain::AccountLeaf, &words);
        for ((id, tree), leaf) in trees.into_iter().zip(leaves) {
            self.accounts.set(u64::from(id.0), leaf);
            self.account_trees.insert(id, tree);
        }
    }

    /// The trees as far as these leaves and the way from them to the root: what a witness is made of. It
    /// costs what the block touches, however large the state is. The accounts are [`StateTree::prepare`]d.
    ///
    /// Paths of other leaves are not in it.
    pub fn opened(&mut self, places: &Places) -> StateTree {
        // A parent of which no child is opened still has its root.
        let mut subs: BTreeMap<_, BTreeSet<u64>> =
            places.accounts.iter().map(|id| (*id, BTreeSet::new())).collect();
        let mut tokens: BTreeMap<_, BTreeSet<u64>> =
            places.sub_accounts.iter().map(|place| (*place, BTreeSet::new())).collect();
        let mut pools: BTreeMap<_, BTreeSet<u64>> =
            places.chains.iter().map(|id| (*id, BTreeSet::new())).collect();
        for (id, sub) in &places.sub_accounts {
            subs.entry(*id).or_default().insert(u64::from(sub.0));
        }
        for (id, sub, token) in &places.balances {
            tokens.entry((*id, *sub)).or_default().insert(u64::from(token.0));
        }
        for (chain, token) in &places.pools {
            pools.entry(*chain).or_default().insert(u64::from(token.0));
        }
        let mut account_trees = BTreeMap::new();
        for (id, subs) in subs {
            let tree = self.account_tree(id);
            let sub_accounts = tree.sub_accounts.opened(subs);
            let slots = tree.slots.clone();
            let opened = AccountTree { sub_accounts, slots, ..AccountTree::new() };
            account_trees.insert(id, opened);
        }
        for ((id, sub), tokens) in tokens {
            let balances = self.account_tree(id).balances(sub).opened(tokens);
            let opened = account_trees.get_mut(&id).expect("the account of each sub-account");
            opened.balances.insert(sub, balances);
        }
        let accounts = places.accounts.iter().chain(&places.bare_accounts);
        let accounts = self.accounts.opened(accounts.map(|id| u64::from(id.0)));
        let chains = self.chains.opened(places.chains.iter().map(|id| u64::from(id.0)));
        let mut opened_pools = BTreeMap::new();
        for (chain, tokens) in pools {
            opened_pools.insert(chain, self.pool_tree(chain).opened(tokens));
        }
        let (pools, system) = (opened_pools, self.system);
        let (turn, kept) = (0, self.kept);
        StateTree { accounts, account_trees, turn, kept, chains, pools, system }
    }

    /// The root of the state.
    pub fn root(&mut self) -> Fr {
        let [accounts, chains, markets, system] = self.parts();
        root_of_parts(accounts, chains, markets, system)
    }

    /// The four parts of the root: accounts, chains, markets, system.
    pub fn parts(&mut self) -> [Fr; 4] {
        [self.accounts.root(), self.chains.root(), empty_tokens_root(), self.system]
    }

    /// The tree of all accounts.
    pub fn accounts_tree(&mut self) -> &mut Tree {
        &mut self.accounts
    }

    /// The tree of the balances of a sub-account.
    pub fn balances_tree(&mut self, id: AccountId, sub: SubAccountId) -> &mut Tree {
        self.account_tree(id).balances(sub)
    }

    /// The tree of the pools of a chain.
    pub fn pools_tree(&mut self, chain: ChainId) -> &mut Tree {
        self.pool_tree(chain)
    }

    /// Path of a balance below the balances root of its sub-account.
    pub fn balance_path(&mut self, id: AccountId, sub: SubAccountId, token: TokenId) -> Path {
        self.account_tree(id).balances(sub).path(u64::from(token.0))
    }

    /// Root of the balances of a sub-account.
    pub fn balances_root(&mut self, id: AccountId, sub: SubAccountId) -> Fr {
        self.account_tree(id).balances(sub).root()
    }

    /// Path of a sub-account below the sub-accounts root of its account.
    pub fn sub_account_path(&mut self, id: AccountId, sub: SubAccountId) -> Path {
        self.account_tree(id).sub_accounts.path(u64::from(sub.0))
    }

    /// Root of the sub-accounts of an account.
    pub fn sub_accounts_root(&mut self, id: AccountId) -> Fr {
        self.account_tree(id).sub_accounts.root()
    }

    /// Path of an account below the accounts root.
    pub fn account_path(&mut self, id: AccountId) -> Path {
        self.accounts.path(u64::from(id.0))
    }

    /// Path of a pool below the pools root of its chain.
    pub fn pool_path(&mut self, chain: ChainId, token: TokenId) -> Path {
        self.pool_tree(chain).path(u64::from(token.0))
    }

    /// Root of the pools of a chain.
    pub fn pools_root(&mut self, chain: ChainId) -> Fr {
        self.pool_tree(chain).root()
    }

    /// Path of a chain below the chains root.
    pub fn chain_path(&mut self, chain: ChainId) -> Path {
        self.chains.path(u64::from(chain.0))
    }

    /// Writes a balance. Its sub-account and account must be written after it.
    pub fn set_balance(&mut self, id: AccountId, sub: SubAccountId, token: TokenId, to: Amount) {
        let balances = self.account_tree(id).balances(sub);
        balances.set(u64::from(token.0), amount_to_fr(to));
    }

    /// Roots below the leaf of a sub-account.
    pub fn sub_account_roots(&mut self, id: AccountId, sub: SubAccountId) -> SubAccountRoots {
        self.account_tree(id).roots(sub)
    }

    /// Writes the counters and order slots of a sub-account and takes over the root of its balances.
    pub fn set_sub_account(&mut self, id: AccountId, sub_id: SubAccountId, sub: &SubAccount) {
        let tree = self.account_tree(id);
        if !sub.slots.is_empty() {
            tree.slots.insert(sub_id, slots_root(sub));
        }
        let roots = tree.roots(sub_id);
        tree.sub_accounts.set(u64::from(sub_id.0), sub_account_leaf(&roots, sub));
    }

    /// Writes the fields of an account and takes over the root of its sub-accounts.
    pub fn set_account(&mut self, id: AccountId, account: &Account) {
        let subs = self.account_tree(id).sub_accounts.root();
        self.accounts.set(u64::from(id.0), account_leaf(account, subs));
    }

    /// Writes a pool. Its chain must be written after it.
    pub fn set_pool(&mut self, chain: ChainId, token: TokenId, amount: Amount) {
        self.pool_tree(chain).set(u64::from(token.0), amount_to_fr(amount));
    }

    /// Writes the cursor of a chain and takes over the root of its pools.
    pub fn set_chain(&mut self, chain: ChainId, cursor: Serial) {
        let leaf = chain_leaf(cursor, self.pool_tree(chain).root(), Fr::zero());
        self.chains.set(u64::from(chain.0), leaf);
    }

    /// Writes the system's facts.
    pub fn set_system(&mut self, system: &System) {
        self.system = system_hash(system);
    }

    fn account_tree(&mut self, id: AccountId) -> &mut AccountTree {
        let is_new = self.accounts.leaf(u64::from(id.0)) == EMPTY.accounts[0];
        self.account_trees.entry(id).or_insert_with(|| {
            assert!(is_new, "the tree of account {id} is used before it was prepared");
            AccountTree::new()
        })
    }

    fn pool_tree(&mut self, chain: ChainId) -> &mut Tree {
        let empty = || Tree::with_empty(Arc::clone(&EMPTY_TOKENS));
        self.pools.entry(chain).or_insert_with(empty)
    }
}

/// Root of the order slots of a sub-account.
fn slots_root(sub: &SubAccount) -> Fr {
    let mut tree = Tree::with_empty(Arc::clone(&EMPTY.slots));
    for (id, slot) in &sub.slots {
        tree.set(u64::from(id.0), order_slot_leaf(slot));
    }
    tree.root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Scenario, USDC};

    /// Some users with money in two sub-accounts.
    fn world(users: u8) -> Scenario {
        let mut world = Scenario::new();
        for user in 1..=users {
            world.deposit(1, USDC, user, 1_000).expect("a deposit");
        }
        world
    }

    fn cells(state: &State, ids: impl IntoIterator<Item = u32>) -> BTreeSet<Cell> {
        let ids = ids.into_iter().map(AccountId).filter(|id| state.account(*id).is_some());
        ids.map(|id| Cell::Balance(id, SubAccountId(0), USDC)).collect()
    }

    /// Changes what some accounts hold. The books do not balance then, which is nothing to trees.
    fn change(state: &mut State, ids: impl IntoIterator<Item = u32>, amount: u128) {
        for id in ids {
            state.set_balance(AccountId(id), SubAccountId(0), USDC, Amount(amount));
        }
    }

    #[test]
    fn trees_of_leaves_are_those_of_the_state() {
        let world = world(20);
        let mut whole = StateTree::of(&world.state);
        let ids = || world.state.accounts().map(|(id, _)| id);
        let leaves = whole.account_leaves(ids());
        let mut tree = StateTree::of_leaves(&world.state, &leaves).expect("one for each account");
        assert_eq!(tree.parts(), whole.parts());
        assert!(tree.account_trees.is_empty());
        tree.prepare(&world.state, ids()).expect("the leaves are those of the state");
        for id in ids() {
            assert_eq!(tree.account_path(id), whole.account_path(id));
            assert_eq!(tree.sub_accounts_root(id), whole.sub_accounts_root(id));
            let balance = |tree: &mut StateTree| tree.balance_path(id, SubAccountId(0), USDC);
            assert_eq!(balance(&mut tree), balance(&mut whole));
        }
        assert!(StateTree::of_leaves(&world.state, &leaves[1..]).is_none());
    }

    #[test]
    fn accounts_that_were_not_prepared_are_followed_all_the_same() {
        let world = world(9);
        let (mut state, mut whole) = (world.state.clone(), StateTree::of(&world.state));
        let leaves = whole.account_leaves(state.accounts().map(|(id, _)| id));
        let mut tree = StateTree::of_leaves(&state, &leaves).expect("one for each account");
        for (round, ids) in [(1, 2..4), (2, 3..7), (3, 2..9)] {
            change(&mut state, ids.clone(), round);
            let cells = cells(&state, ids);
            tree.update(&state, &cells);
            whole.update(&state, &cells);
            assert_eq!(
                (tree.parts(), tree.parts()),
                (whole.parts(), StateTree::of(&state).parts())
            );
        }
    }

    #[test]
    fn an_account_that_is_not_what_its_leaf_says_is_noticed() {
        let world = world(5);
        let mut changed = world.state.clone();
        change(&mut changed, [3], 7);
        let whole = StateTree::of(&world.state);
        let leaves = whole.account_leaves(changed.accounts().map(|(id, _)| id));
        let mut tree = StateTree::of_leaves(&changed, &leaves).expect("one for each account");
        tree.prepare(&changed, [2, 4].map(AccountId)).expect("these are as they were");
        assert_eq!(tree.prepare(&changed, [AccountId(3)]), Err(OtherLeaf(AccountId(3))));
    }

    #[test]
    #[should_panic(expected = "before it was prepared")]
    fn the_tree_of_an_account_is_not_taken_for_empty() {
        let world = world(2);
        let leaves =
            StateTree::of(&world.state).account_leaves(world.state.accounts().map(|(id, _)| id));
        let mut tree = StateTree::of_leaves(&world.state, &leaves).expect("one for each account");
        tree.sub_accounts_root(AccountId(2));
    }

    #[test]
    fn what_was_used_last_is_kept() {
        let world = world(100);
        let mut tree = StateTree::of(&world.state);
        tree.kept = 40;
        let (root, state) = (tree.root(), &world.state);
        tree.update(state, &cells(state, 0..60));
        assert_eq!(tree.account_trees.len(), 60, "all of one turn stay together");
        tree.update(state, &cells(state, 50..100));
        tree.update(state, &cells(state, 80..90));
        let known: Vec<u32> = tree.account_trees.keys().map(|id| id.0).collect();
        assert_eq!(known, (50..100).collect::<Vec<u32>>());
        tree.update(state, &cells(state, 20..50));
        let known: Vec<u32> = tree.account_trees.keys().map(|id| id.0).collect();
        assert_eq!(known, (20..50).chain(80..90).collect::<Vec<u32>>());
        assert_eq!(tree.root(), root, "nothing changed");
    }
}
