//! The root of the state, and the paths below it.
//!
//! `root = hash4(accounts, chains, markets, system)`; the form of each part is in `docs/adr/0004-second-edition.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::amount::Amount;
use crate::hash::{Domain, Fr, compress4, compress4_each, hash_many, hash_many_each};
use crate::id::{AccountId, ChainId, Owner, Serial, SlotId, SubAccountId, TokenId};
use crate::layout::{Packed, field, low_bytes, low_word, power_of_two};
use crate::state::{Account, Cell, OrderSlot, State, SubAccount, System};
use crate::tree::{Path, Tree};

/// The packed word of an account leaf: all of the account but the low parts of addresses, the key and the sub-accounts.
pub const ACCOUNT_WORD: Packed<7> = Packed::new([
    field("home", 1),
    field("owner_top", 1),
    field("created", 8),
    field("recipient_home", 1),
    field("recipient_top", 1),
    field("key_version", 4),
    field("nonce", 4),
]);

/// The leaf of an order slot.
pub const ORDER_SLOT_WORD: Packed<3> =
    Packed::new([field("nonce", 4), field("epoch", 4), field("remaining", 16)]);

/// Values of the empty nodes of a tree of tokens, from the leaf to the root.
static EMPTY_TOKENS: LazyLock<Vec<Fr>> = LazyLock::new(|| empty_nodes(TokenId::DEPTH, Fr::zero()));

/// Values of the empty nodes of the other trees, from the leaf to the root.
struct Empty {
    slots: Vec<Fr>,
    sub_accounts: Vec<Fr>,
    accounts: Vec<Fr>,
    chains: Vec<Fr>,
}

static EMPTY: LazyLock<Empty> = LazyLock::new(|| {
    let slots = empty_nodes(SlotId::DEPTH, Fr::zero());
    let none = empty_tokens_root();
    let fresh = SubAccountRoots { balances: none, slots: slots[SlotId::DEPTH], rest: empty_rest() };
    let sub_leaf = sub_account_leaf(&fresh, &SubAccount::default());
    let sub_accounts = empty_nodes(SubAccountId::DEPTH, sub_leaf);
    let sub_root = *sub_accounts.last().expect("a tree has a root");
    let accounts = empty_nodes(AccountId::DEPTH, account_leaf(&Account::default(), sub_root));
    let chains = empty_nodes(ChainId::DEPTH, chain_leaf(Serial(0), none, Fr::zero()));
    Empty { slots, sub_accounts, accounts, chains }
});

fn empty_nodes(depth: usize, leaf: Fr) -> Vec<Fr> {
    let mut nodes = vec![leaf];
    for level in 0..depth {
        nodes.push(compress4(Domain::Node, [nodes[level]; 4]));
    }
    nodes
}

/// Root of an empty tree of tokens; also of the markets, until perpetuals exist.
pub fn empty_tokens_root() -> Fr {
    EMPTY_TOKENS[TokenId::DEPTH]
}

/// Root of the order slots of a sub-account that has none.
pub fn empty_slots_root() -> Fr {
    EMPTY.slots[SlotId::DEPTH]
}

/// An amount as a field element.
pub fn amount_to_fr(amount: Amount) -> Fr {
    Fr::from_raw([amount.0 as u64, (amount.0 >> 64) as u64, 0, 0])
}

/// What a sub-account leaf has beside its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAccountRoots {
    /// Root of the balances.
    pub balances: Fr,
    /// Root of the order slots.
    pub slots: Fr,
    /// Positions, collaterals and extension: see [`sub_account_rest`].
    pub rest: Fr,
}

/// Hash of positions, collaterals and extension root. All three are zero until perpetuals and NFTs exist.
pub fn sub_account_rest(positions: Fr, collaterals: Fr, extension: Fr) -> Fr {
    compress4(Domain::SubAccountRest, [positions, collaterals, extension, Fr::zero()])
}

/// [`sub_account_rest`] of a sub-account that has none of them.
pub fn empty_rest() -> Fr {
    sub_account_rest(Fr::zero(), Fr::zero(), Fr::zero())
}

/// Leaf of an order slot; zero when the slot is fresh.
pub fn order_slot_leaf(slot: &OrderSlot) -> Fr {
    ORDER_SLOT_WORD.pack([slot.nonce.0.into(), slot.epoch.into(), slot.remaining.0])
}

/// Leaf of a sub-account: balances, order slots, rest, and `nonce + epoch * 2^32`.
pub fn sub_account_leaf(roots: &SubAccountRoots, sub: &SubAccount) -> Fr {
    compress4(Domain::SubAccountLeaf, sub_account_lanes(roots, sub))
}

fn sub_account_lanes(roots: &SubAccountRoots, sub: &SubAccount) -> [Fr; 4] {
    let counters = Fr::from(u64::from(sub.epoch) << 32 | u64::from(sub.nonce.0));
    [roots.balances, roots.slots, roots.rest, counters]
}

/// The packed word of an account leaf.
pub fn account_word(account: &Account) -> Fr {
    let Account { owner, recipient, key_version, nonce, created, .. } = account;
    ACCOUNT_WORD.pack([
        owner.home.0.into(),
        owner.top().into(),
        (*created).into(),
        recipient.home.0.into(),
        recipient.top().into(),
        key_version.0.into(),
        nonce.0.into(),
    ])
}

/// Leaf of an account with this root of its sub-accounts.
pub fn account_leaf(account: &Account, subs: Fr) -> Fr {
    hash_many(Domain::AccountLeaf, &account_words(account, subs))
}

fn account_words(account: &Account, subs: Fr) -> [Fr; 6] {
    let (x, y) = account.key.map_or((Fr::zero(), Fr::zero()), |key| (key.x(), key.y()));
    let (owner, recipient) = (low_word(account.owner.low()), low_word(account.recipient.low()));
    [account_word(account), owner, recipient, x, y, subs]
}

/// Leaf of a chain: its priority cursor, the root of its pools, and the root of its quarantine index, which is zero
/// until chains can be quarantined.
pub fn chain_leaf(cursor: Serial, pools: Fr, quarantine: Fr) -> Fr {
    compress4(Domain::ChainLeaf, [Fr::from(cursor.0), pools, quarantine, Fr::zero()])
}

/// The part of the root that holds the system's facts.
pub fn system_hash(system: &System) -> Fr {
    let clock =
        Fr::from(system.timestamp) * power_of_two(32) + Fr::from(u64::from(system.number.0));
    let insurance = u64::from(system.insurance_account.0) << 32;
    let accounts = Fr::from(insurance | u64::from(system.fee_account.0));
    let deployment = low_word(system.deployment.0);
    compress4(Domain::System, [clock, accounts, deployment, Fr::zero()])
}

/// The root of the state from its four parts.
pub fn root_of_parts(accounts: Fr, chains: Fr, markets: Fr, system: Fr) -> Fr {
    compress4(Domain::StateRoot, [accounts, chains, markets, system])
}

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
}

impl AccountTree {
    fn new() -> AccountTree {
        let sub_accounts = Tree::with_empty(EMPTY.sub_accounts.clone());
        AccountTree { sub_accounts, balances: BTreeMap::new(), slots: BTreeMap::new() }
    }

    fn balances(&mut self, sub: SubAccountId) -> &mut Tree {
        let empty = || Tree::with_empty(EMPTY_TOKENS.clone());
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

/// Accounts whose leaves are written, each with the sub-accounts that are.
type Touched = BTreeMap<AccountId, BTreeSet<SubAccountId>>;

/// The trees of a state. They are kept beside it and follow it block by block.
#[derive(Clone, Debug)]
pub struct StateTree {
    accounts: Tree,
    account_trees: BTreeMap<AccountId, AccountTree>,
    chains: Tree,
    pools: BTreeMap<ChainId, Tree>,
    system: Fr,
}

impl StateTree {
    /// The trees of a state.
    pub fn of(state: &State) -> StateTree {
        let mut tree = StateTree {
            accounts: Tree::with_empty(EMPTY.accounts.clone()),
            account_trees: BTreeMap::new(),
            chains: Tree::with_empty(EMPTY.chains.clone()),
            pools: BTreeMap::new(),
            system: system_hash(&state.system),
        };
        let mut accounts = state.accounts().peekable();
        while accounts.peek().is_some() {
            let mut touched = Touched::new();
            for (id, account) in accounts.by_ref().take(TOGETHER) {
                for (sub_id, sub) in &account.sub_accounts {
                    for (token, amount) in &sub.balances {
                        tree.set_balance(id, *sub_id, *token, *amount);
                    }
                }
                touched.insert(id, account.sub_accounts.keys().copied().collect());
            }
            tree.write_accounts(state, &touched);
        }
        for (id, chain) in state.chains() {
            for (token, amount) in &chain.pools {
                tree.set_pool(id, *token, *amount);
            }
            tree.set_chain(id, chain.cursor);
        }
        tree
    }

    /// Follows a state in which these cells, their owners, and the system's facts may have changed.
    pub fn update(&mut self, state: &State, cells: &BTreeSet<Cell>) {
        let mut accounts = Touched::new();
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
    /// costs what the block touches, however large the state is.
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
            let opened = AccountTree { sub_accounts, balances: BTreeMap::new(), slots };
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
        StateTree { accounts, account_trees, chains, pools: opened_pools, system: self.system }
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
        self.account_trees.entry(id).or_insert_with(AccountTree::new)
    }

    fn pool_tree(&mut self, chain: ChainId) -> &mut Tree {
        let empty = || Tree::with_empty(EMPTY_TOKENS.clone());
        self.pools.entry(chain).or_insert_with(empty)
    }
}

/// Root of the order slots of a sub-account.
fn slots_root(sub: &SubAccount) -> Fr {
    let mut tree = Tree::with_empty(EMPTY.slots.clone());
    for (id, slot) in &sub.slots {
        tree.set(u64::from(id.0), order_slot_leaf(slot));
    }
    tree.root()
}

/// Reads an owner from its home, the first byte of its address, and the word of the rest.
///
/// # Errors
/// When the word is wider than its part of an address, or no chain can have the number of the home.
pub fn owner_of(home: ChainId, top: u8, low: &Fr) -> Result<Owner, crate::layout::BadWord> {
    if home.0 > ChainId::MAX {
        return Err(crate::layout::BadWord::Range("home"));
    }
    Ok(Owner::join(home, top, low_bytes(low)?))
}
