//! The root of the state, and the paths below it.
//!
//! `root = hash4(accounts, chains, markets, system)`; the shape of each part is in `docs/adr/0001-the-spine.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::amount::Amount;
use crate::hash::{Domain, Fr, compress4, hash_many};
use crate::id::{AccountId, ChainId, Nonce, Owner, Serial, SubAccountId, TokenId};
use crate::key::PublicKey;
use crate::layout::{low_bytes, low_word, power_of_two};
use crate::state::{Account, Cell, State, SubAccount, System};
use crate::tree::{Path, Tree};

/// Values of the empty nodes of a tree of tokens, from the leaf to the root.
static EMPTY_TOKENS: LazyLock<Vec<Fr>> = LazyLock::new(|| empty_nodes(TokenId::DEPTH, Fr::zero()));

/// Values of the empty nodes of the other trees, from the leaf to the root.
struct Empty {
    sub_accounts: Vec<Fr>,
    accounts: Vec<Fr>,
    chains: Vec<Fr>,
}

static EMPTY: LazyLock<Empty> = LazyLock::new(|| {
    let none = empty_tokens_root();
    let sub_leaf = sub_account_leaf(none, Nonce(0), 0);
    let sub_accounts = empty_nodes(SubAccountId::DEPTH, sub_leaf);
    let sub_root = *sub_accounts.last().expect("a tree has a root");
    let accounts =
        empty_nodes(AccountId::DEPTH, account_leaf(Owner::NONE, None, Nonce(0), sub_root));
    let chains = empty_nodes(ChainId::DEPTH, chain_leaf(Serial(0), none));
    Empty { sub_accounts, accounts, chains }
});

fn empty_nodes(depth: usize, leaf: Fr) -> Vec<Fr> {
    let mut nodes = vec![leaf];
    for level in 0..depth {
        nodes.push(compress4(Domain::Node, [nodes[level]; 4]));
    }
    nodes
}

/// Root of an empty tree of tokens; also of the trees that do not hold anything yet: order slots, positions, markets.
pub fn empty_tokens_root() -> Fr {
    EMPTY_TOKENS[TokenId::DEPTH]
}

/// An amount as a field element.
pub fn amount_to_fr(amount: Amount) -> Fr {
    Fr::from_raw([amount.0 as u64, (amount.0 >> 64) as u64, 0, 0])
}

/// Leaf of a sub-account: balances, order slots, positions, and `nonce + epoch * 2^32`.
pub fn sub_account_leaf(balances: Fr, nonce: Nonce, epoch: u32) -> Fr {
    let counters = Fr::from(u64::from(epoch) << 32 | u64::from(nonce.0));
    let none = empty_tokens_root();
    compress4(Domain::SubAccountLeaf, [balances, none, none, counters])
}

/// Leaf of an account.
pub fn account_leaf(owner: Owner, key: Option<&PublicKey>, nonce: Nonce, subs: Fr) -> Fr {
    let (x, y) = key.map_or((Fr::zero(), Fr::zero()), |key| (key.x(), key.y()));
    let top = Fr::from(u64::from(owner.top()));
    let nonce = Fr::from(u64::from(nonce.0));
    hash_many(Domain::AccountLeaf, &[top, low_word(owner.low()), x, y, nonce, subs])
}

/// Leaf of a chain: its priority cursor and the root of its pools.
pub fn chain_leaf(cursor: Serial, pools: Fr) -> Fr {
    compress4(Domain::ChainLeaf, [Fr::from(cursor.0), pools, Fr::zero(), Fr::zero()])
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

/// Trees of one account.
#[derive(Clone, Debug)]
struct AccountTree {
    sub_accounts: Tree,
    balances: BTreeMap<SubAccountId, Tree>,
}

impl AccountTree {
    fn new() -> AccountTree {
        let sub_accounts = Tree::with_empty(EMPTY.sub_accounts.clone());
        AccountTree { sub_accounts, balances: BTreeMap::new() }
    }

    fn balances(&mut self, sub: SubAccountId) -> &mut Tree {
        let empty = || Tree::with_empty(EMPTY_TOKENS.clone());
        self.balances.entry(sub).or_insert_with(empty)
    }
}

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
        for (id, account) in state.accounts() {
            tree.write_account(id, account);
        }
        for (id, chain) in state.chains() {
            for (token, amount) in &chain.pools {
                tree.set_pool(id, *token, *amount);
            }
            tree.set_chain(id, chain.cursor);
        }
        tree
    }

    fn write_account(&mut self, id: AccountId, account: &Account) {
        for (sub_id, sub) in &account.sub_accounts {
            for (token, amount) in &sub.balances {
                self.set_balance(id, *sub_id, *token, *amount);
            }
            self.set_sub_account(id, *sub_id, sub);
        }
        self.set_account(id, account);
    }

    /// Follows a state in which these cells, their owners, and the system's facts may have changed.
    pub fn update(&mut self, state: &State, cells: &BTreeSet<Cell>) {
        let mut sub_accounts = BTreeSet::new();
        let mut chains = BTreeSet::new();
        for cell in cells {
            match *cell {
                Cell::Balance(account, sub, token) => {
                    self.set_balance(account, sub, token, state.balance(account, sub, token));
                    sub_accounts.insert((account, sub));
                }
                Cell::Pool(chain, token) => {
                    self.set_pool(chain, token, state.pool(chain, token));
                    chains.insert(chain);
                }
            }
        }
        let nobody = Account::default();
        for (id, sub_id) in &sub_accounts {
            let unused = SubAccount::default();
            self.set_sub_account(*id, *sub_id, state.sub_account(*id, *sub_id).unwrap_or(&unused));
        }
        for id in sub_accounts.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>() {
            self.set_account(id, state.account(id).unwrap_or(&nobody));
        }
        for id in chains {
            self.set_chain(id, state.cursor(id));
        }
        self.set_system(&state.system);
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

    /// Writes the counters of a sub-account and takes over the root of its balances.
    pub fn set_sub_account(&mut self, id: AccountId, sub_id: SubAccountId, sub: &SubAccount) {
        let tree = self.account_tree(id);
        let leaf = sub_account_leaf(tree.balances(sub_id).root(), sub.nonce, sub.epoch);
        tree.sub_accounts.set(u64::from(sub_id.0), leaf);
    }

    /// Writes owner, key and nonce of an account and takes over the root of its sub-accounts.
    pub fn set_account(&mut self, id: AccountId, account: &Account) {
        let subs = self.account_tree(id).sub_accounts.root();
        let leaf = account_leaf(account.owner, account.key.as_ref(), account.nonce, subs);
        self.accounts.set(u64::from(id.0), leaf);
    }

    /// Writes a pool. Its chain must be written after it.
    pub fn set_pool(&mut self, chain: ChainId, token: TokenId, amount: Amount) {
        self.pool_tree(chain).set(u64::from(token.0), amount_to_fr(amount));
    }

    /// Writes the cursor of a chain and takes over the root of its pools.
    pub fn set_chain(&mut self, chain: ChainId, cursor: Serial) {
        let leaf = chain_leaf(cursor, self.pool_tree(chain).root());
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

/// Reads an owner from its two field elements.
///
/// # Errors
/// When one of them is wider than its part of an address.
pub fn owner_of(top: u8, low: &Fr) -> Result<Owner, crate::layout::BadWord> {
    Ok(Owner::join(top, low_bytes(low)?))
}
