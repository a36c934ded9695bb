//! Shapes: how many slots of each kind a block has, and how many leaves its operations may touch.
//!
//! A shape is a list of counts and knows no topology: any operations in any order fit that have room in each count.
//! Each shape has its own proving key. The contract knows it by its id. A shape never changes once it is deployed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::commitment::Places;
use crate::id::{AccountId, ChainId, ShapeId, SubAccountId, TokenId};
use crate::layout::HEAD_WORDS;
use crate::op::{Op, SlotKind};
use crate::state::Cell;

/// A node of a tree that stands for all leaves below it: the way from there to the root is opened once for those of
/// them that a block touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Levels between the leaves and the node.
    pub levels: usize,
}

/// 65,536 accounts with one beginning of their numbers.
pub const ACCOUNT_PAGE: Page = Page { levels: 8 };
/// 64 tokens with one beginning of their numbers.
pub const TOKEN_PAGE: Page = Page { levels: 3 };

impl Page {
    /// The page of a leaf.
    pub const fn of(self, leaf: u64) -> u64 {
        leaf >> (2 * self.levels)
    }

    /// The first leaf of a page.
    pub const fn first(self, page: u64) -> u64 {
        page << (2 * self.levels)
    }

    /// The leaves of a page, the last one first.
    fn leaves(self, page: u64) -> impl Iterator<Item = u64> {
        (self.first(page)..self.first(page + 1)).rev()
    }
}

/// The page of an account.
pub fn account_page(id: AccountId) -> u8 {
    u8::try_from(ACCOUNT_PAGE.of(id.0.into())).expect("the tree has 2^24 places")
}

/// The page of a token.
pub fn token_page(id: TokenId) -> u16 {
    id.0 >> (2 * TOKEN_PAGE.levels)
}

/// Counts of what a block has room for, or of what operations need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Operations of the chains' queues.
    pub queue: usize,
    /// Signed operations.
    pub signed: usize,
    /// Accounts.
    pub accounts: usize,
    /// Pages of accounts.
    pub account_pages: usize,
    /// Sub-accounts of all accounts.
    pub sub_accounts: usize,
    /// Balances of all sub-accounts.
    pub balances: usize,
    /// Pages of balances of all sub-accounts.
    pub balance_pages: usize,
    /// Tokens in which fees are paid.
    pub fee_tokens: usize,
    /// Chains.
    pub chains: usize,
    /// Pools of all chains.
    pub pools: usize,
    /// Pages of pools of all chains.
    pub pool_pages: usize,
}

impl Counts {
    /// Whether none of the counts is above the room.
    pub fn fit(&self, room: &Counts) -> bool {
        let (need, room) = (self.list(), room.list());
        need.iter().zip(room).all(|(need, room)| *need <= room)
    }

    fn list(&self) -> [usize; 11] {
        [
            self.queue,
            self.signed,
            self.accounts,
            self.sub_accounts,
            self.balances,
            self.fee_tokens,
            self.chains,
            self.pools,
            self.account_pages,
            self.balance_pages,
            self.pool_pages,
        ]
    }
}

/// A block shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its number in the registry of the hub.
    pub id: ShapeId,
    /// What people and key files call it.
    pub name: &'static str,
    /// What a block has room for.
    pub room: Counts,
}

/// The smallest shape: for tests that prove, and for a network that is almost idle. Any one operation fits: a payer, a
/// receiver and the fee account lie in three pages at most.
pub const NANO: ShapeId = ShapeId(1);
/// The shape of a development network.
pub const SMALL: ShapeId = ShapeId(2);
/// 32 operations of as many users.
pub const MEDIUM: ShapeId = ShapeId(3);
/// 128 operations of many users: most of its constraints are leaves.
pub const WIDE: ShapeId = ShapeId(4);
/// 128 operations of few users.
pub const DEEP: ShapeId = ShapeId(5);
/// 512 operations of few users.
pub const DEEPEST: ShapeId = ShapeId(6);

static SHAPES: [Shape; 6] = [
    Shape {
        id: NANO,
        name: "nano",
        room: Counts {
            queue: 4,
            signed: 4,
            accounts: 3,
            account_pages: 3,
            sub_accounts: 3,
            balances: 4,
            balance_pages: 4,
            fee_tokens: 1,
            chains: 1,
            pools: 1,
            pool_pages: 1,
        },
    },
    Shape {
        id: SMALL,
        name: "small",
        room: Counts {
            queue: 8,
            signed: 8,
            accounts: 6,
            account_pages: 3,
            sub_accounts: 7,
            balances: 10,
            balance_pages: 8,
            fee_tokens: 2,
            chains: 2,
            pools: 3,
            pool_pages: 3,
        },
    },
    Shape {
        id: MEDIUM,
        name: "medium",
        room: Counts {
            queue: 8,
            signed: 28,
            accounts: 42,
            account_pages: 10,
            sub_accounts: 43,
            balances: 52,
            balance_pages: 43,
            fee_tokens: 4,
            chains: 3,
            pools: 9,
            pool_pages: 4,
        },
    },
    Shape {
        id: WIDE,
        name: "wide",
        room: Counts {
            queue: 24,
            signed: 104,
            accounts: 184,
            account_pages: 17,
            sub_accounts: 184,
            balances: 206,
            balance_pages: 184,
            fee_tokens: 4,
            chains: 3,
            pools: 12,
            pool_pages: 4,
        },
    },
    Shape {
        id: DEEP,
        name: "deep",
        room: Counts {
            queue: 23,
            signed: 105,
            accounts: 13,
            account_pages: 5,
            sub_accounts: 13,
            balances: 25,
            balance_pages: 13,
            fee_tokens: 4,
            chains: 3,
            pools: 12,
            pool_pages: 4,
        },
    },
    Shape {
        id: DEEPEST,
        name: "deepest",
        room: Counts {
            queue: 88,
            signed: 424,
            accounts: 34,
            account_pages: 6,
            sub_accounts: 36,
            balances: 48,
            balance_pages: 36,
            fee_tokens: 4,
            chains: 3,
            pools: 12,
            pool_pages: 4,
        },
    },
];

/// All shapes, by their ids.
pub fn shapes() -> &'static [Shape] {
    &SHAPES
}

/// The shape with this id.
pub fn shape(id: ShapeId) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.id == id)
}

impl Shape {
    /// The most words of the on-chain vector, its head included.
    pub fn onchain_words(&self) -> usize {
        HEAD_WORDS + self.digest_words()
    }

    /// The most words of the data vector: two for each signed operation.
    pub fn data_words(&self) -> usize {
        2 * self.room.signed
    }

    /// About how many thousands of constraints its circuit has: puts shapes in the order of what a proof costs.
    pub fn weight(&self) -> usize {
        let Counts { queue, signed, accounts, account_pages, sub_accounts, .. } = self.room;
        let Counts { balances, balance_pages, chains, pools, pool_pages, .. } = self.room;
        let leaves = 6 * accounts + 3 * sub_accounts + 2 * (balances + pools) + 2 * chains;
        4 * signed + queue + leaves + 2 * account_pages + 3 * (balance_pages + pool_pages)
    }

    /// Words of all slots, used or not.
    pub(crate) fn digest_words(&self) -> usize {
        SlotKind::Queue.words() * self.room.queue + SlotKind::Signed.words() * self.room.signed
    }

    /// The leaves that a block with these cells opens, padding included. Nothing when they do not fit.
    pub fn working_set(&self, cells: &BTreeSet<Cell>) -> Option<WorkingSet> {
        let mut set = WorkingSet::of(cells);
        set.pad(&self.room).then_some(set)
    }
}

/// What the operations of an open block need, kept up to date operation by operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    queue: usize,
    signed: usize,
    leaves: Leaves,
}

/// Distinct leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Leaves {
    accounts: BTreeSet<AccountId>,
    account_pages: BTreeSet<u8>,
    sub_accounts: BTreeSet<(AccountId, SubAccountId)>,
    balances: BTreeSet<(AccountId, SubAccountId, TokenId)>,
    balance_pages: BTreeSet<(AccountId, SubAccountId, u16)>,
    fee_tokens: BTreeSet<TokenId>,
    chains: BTreeSet<ChainId>,
    pools: BTreeSet<(ChainId, TokenId)>,
    pool_pages: BTreeSet<(ChainId, u16)>,
}

impl Leaves {
    fn of(cells: &BTreeSet<Cell>) -> Leaves {
        let mut leaves = Leaves::default();
        for cell in cells {
            match *cell {
                Cell::Balance(account, sub, token) => {
                    leaves.accounts.insert(account);
                    leaves.sub_accounts.insert((account, sub));
                    leaves.balances.insert((account, sub, token));
                    leaves.account_pages.insert(account_page(account));
                    leaves.balance_pages.insert((account, sub, token_page(token)));
                }
                Cell::Pool(chain, token) => {
                    leaves.chains.insert(chain);
                    leaves.pools.insert((chain, token));
                    leaves.pool_pages.insert((chain, token_page(token)));
                }
                Cell::Cursor(chain) => {
                    leaves.chains.insert(chain);
                }
            }
        }
        leaves
    }

    fn of_op(op: &Op, fee_account: AccountId) -> Leaves {
        let mut leaves = Leaves::of(&op.cells(fee_account));
        leaves.fee_tokens.extend(op.fee_token());
        leaves
    }
}

impl Load {
    /// The counts.
    pub fn counts(&self) -> Counts {
        self.with(0, 0, &Leaves::default())
    }

    /// The counts with one more operation: the work of that operation, however many the block has.
    pub fn counts_with(&self, op: &Op, fee_account: AccountId) -> Counts {
        let queue = usize::from(op.slot_kind() == SlotKind::Queue);
        self.with(queue, 1 - queue, &Leaves::of_op(op, fee_account))
    }

    fn with(&self, queue: usize, signed: usize, more: &Leaves) -> Counts {
        fn union<T: Ord>(have: &BTreeSet<T>, more: &BTreeSet<T>) -> usize {
            have.len() + more.iter().filter(|leaf| !have.contains(leaf)).count()
        }
        let have = &self.leaves;
        Counts {
            queue: self.queue + queue,
            signed: self.signed + signed,
            accounts: union(&have.accounts, &more.accounts),
            sub_accounts: union(&have.sub_accounts, &more.sub_accounts),
            balances: union(&have.balances, &more.balances),
            fee_tokens: union(&have.fee_tokens, &more.fee_tokens),
            chains: union(&have.chains, &more.chains),
            pools: union(&have.pools, &more.pools),
            account_pages: union(&have.account_pages, &more.account_pages),
            balance_pages: union(&have.balance_pages, &more.balance_pages),
            pool_pages: union(&have.pool_pages, &more.pool_pages),
        }
    }

    /// Adds an operation.
    pub fn add(&mut self, op: &Op, fee_account: AccountId) {
        match op.slot_kind() {
            SlotKind::Queue => self.queue += 1,
            SlotKind::Signed => self.signed += 1,
        }
        let more = Leaves::of_op(op, fee_account);
        self.leaves.accounts.extend(more.accounts);
        self.leaves.sub_accounts.extend(more.sub_accounts);
        self.leaves.balances.extend(more.balances);
        self.leaves.fee_tokens.extend(more.fee_tokens);
        self.leaves.chains.extend(more.chains);
        self.leaves.pools.extend(more.pools);
        self.leaves.account_pages.extend(more.account_pages);
        self.leaves.balance_pages.extend(more.balance_pages);
        self.leaves.pool_pages.extend(more.pool_pages);
    }

    /// The load of a list of operations.
    pub fn of<'a>(ops: impl IntoIterator<Item = &'a Op>, fee_account: AccountId) -> Load {
        let mut load = Load::default();
        for op in ops {
            load.add(op, fee_account);
        }
        load
    }
}

/// The leaves that a block opens, padding included. Each list is strictly ascending.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WorkingSet {
    /// Accounts, each in one of the pages.
    pub accounts: Vec<AccountId>,
    /// Pages of accounts.
    pub account_pages: Vec<u8>,
    /// Sub-accounts, each of one of the accounts.
    pub sub_accounts: Vec<(AccountId, SubAccountId)>,
    /// Balances, each in one of the pages.
    pub balances: Vec<(AccountId, SubAccountId, TokenId)>,
    /// Pages of balances, each of one of the sub-accounts.
    pub balance_pages: Vec<(AccountId, SubAccountId, u16)>,
    /// Chains.
    pub chains: Vec<ChainId>,
    /// Pools, each in one of the pages.
    pub pools: Vec<(ChainId, TokenId)>,
    /// Pages of pools, each of one of the chains.
    pub pool_pages: Vec<(ChainId, u16)>,
}

impl WorkingSet {
    /// The leaves whose paths the circuit needs. A page has the path of any of its leaves.
    pub fn places(&self) -> Places {
        let first = |page: u16| {
            let first = TOKEN_PAGE.first(page.into());
            TokenId(u16::try_from(first).expect("a page begins below 2^16"))
        };
        let bare = self.account_pages.iter().map(|page| ACCOUNT_PAGE.first((*page).into()));
        let balances = self.balance_pages.iter().map(|(id, sub, page)| (*id, *sub, first(*page)));
        let pools = self.pool_pages.iter().map(|(chain, page)| (*chain, first(*page)));
        Places {
            accounts: self.accounts.clone(),
            bare_accounts: bare
                .map(|id| AccountId(u32::try_from(id).expect("below 2^24")))
                .collect(),
            sub_accounts: self.sub_accounts.clone(),
            balances: self.balances.iter().copied().chain(balances).collect(),
            chains: self.chains.clone(),
            pools: self.pools.iter().copied().chain(pools).collect(),
        }
    }

    /// The leaves of the cells alone.
    fn of(cells: &BTreeSet<Cell>) -> WorkingSet {
        let leaves = Leaves::of(cells);
        WorkingSet {
            accounts: leaves.accounts.into_iter().collect(),
            sub_accounts: leaves.sub_accounts.into_iter().collect(),
            balances: leaves.balances.into_iter().collect(),
            chains: leaves.chains.into_iter().collect(),
            pools: leaves.pools.into_iter().collect(),
            account_pages: leaves.account_pages.into_iter().collect(),
            balance_pages: leaves.balance_pages.into_iter().collect(),
            pool_pages: leaves.pool_pages.into_iter().collect(),
        }
    }

    /// Fills each list with leaves that nothing touches, those with the highest ids first; false when one is too long.
    fn pad(&mut self, room: &Counts) -> bool {
        self.pad_accounts(room) && self.pad_balances(room) && self.pad_pools(room)
    }

    fn pad_accounts(&mut self, room: &Counts) -> bool {
        if !fill(&mut self.account_pages, room.account_pages, (0..=u8::MAX).rev()) {
            return false;
        }
        let accounts = self.account_pages.iter().rev();
        let accounts = accounts.flat_map(|page| ACCOUNT_PAGE.leaves((*page).into()));
        let accounts = accounts.map(|id| AccountId(u32::try_from(id).expect("below 2^24")));
        if !fill(&mut self.accounts, room.accounts, accounts) {
            return false;
        }
        let subs = self
            .accounts
            .iter()
            .rev()
            .flat_map(|id| (0..SubAccountId::COUNT).rev().map(|sub| (*id, SubAccountId(sub))));
        fill(&mut self.sub_accounts, room.sub_accounts, subs)
    }

    fn pad_balances(&mut self, room: &Counts) -> bool {
        let pages = self.sub_accounts.iter().rev();
        let pages = pages.flat_map(|(id, sub)| token_pages().map(|page| (*id, *sub, page)));
        if !fill(&mut self.balance_pages, room.balance_pages, pages) {
            return false;
        }
        let balances = self.balance_pages.iter().rev();
        let balances =
            balances.flat_map(|(id, sub, page)| tokens_of(*page).map(|token| (*id, *sub, token)));
        fill(&mut self.balances, room.balances, balances)
    }

    fn pad_pools(&mut self, room: &Counts) -> bool {
        let chains = (1..=ChainId::MAX).rev().map(ChainId);
        if !fill(&mut self.chains, room.chains, chains) {
            return false;
        }
        let pages = self.chains.iter().rev();
        let pages = pages.flat_map(|chain| token_pages().map(|page| (*chain, page)));
        if !fill(&mut self.pool_pages, room.pool_pages, pages) {
            return false;
        }
        let pools = self.pool_pages.iter().rev();
        let pools = pools.flat_map(|(chain, page)| tokens_of(*page).map(|token| (*chain, token)));
        fill(&mut self.pools, room.pools, pools)
    }
}

/// All pages of tokens, the last one first.
fn token_pages() -> impl Iterator<Item = u16> {
    (0..=token_page(TokenId(u16::MAX))).rev()
}

/// The tokens of a page, the last one first.
fn tokens_of(page: u16) -> impl Iterator<Item = TokenId> {
    let tokens = TOKEN_PAGE.leaves(page.into());
    tokens.map(|token| TokenId(u16::try_from(token).expect("a page ends below 2^16")))
}

/// Adds candidates that are not in the sorted list until it has `size` members; false when it has more, or when
/// there are too few.
fn fill<T: Ord + Clone>(
    list: &mut Vec<T>,
    size: usize,
    candidates: impl Iterator<Item = T>,
) -> bool {
    let missing = match size.checked_sub(list.len()) {
        None => return false,
        Some(missing) => missing,
    };
    let unused = candidates.filter(|candidate| list.binary_search(candidate).is_err());
    let padding: Vec<T> = unused.take(missing).collect();
    list.extend(padding);
    list.sort_unstable();
    list.len() == size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(account: u32, sub: u8, token: u16) -> Cell {
        Cell::Balance(AccountId(account), SubAccountId(sub), TokenId(token))
    }

    fn is_ascending<T: Ord>(list: &[T]) -> bool {
        list.windows(2).all(|pair| pair[0] < pair[1])
    }

    #[test]
    fn a_set_is_padded_with_distinct_leaves_below_its_own() {
        let small = shape(SMALL).expect("it is in the table");
        let cells = BTreeSet::from([
            balance(7, 1, 3),
            balance(7, 1, 4),
            balance(2, 0, 3),
            Cell::Cursor(ChainId(9)),
        ]);
        let set = small.working_set(&cells).expect("two accounts fit");
        let room = &small.room;
        let sizes = (set.accounts.len(), set.sub_accounts.len(), set.balances.len());
        assert_eq!(sizes, (room.accounts, room.sub_accounts, room.balances));
        assert_eq!((set.chains.len(), set.pools.len()), (room.chains, room.pools));
        assert!(is_ascending(&set.accounts) && is_ascending(&set.sub_accounts));
        assert!(is_ascending(&set.balances) && is_ascending(&set.chains));
        assert!(is_ascending(&set.pools) && set.chains.contains(&ChainId(9)));
        assert!(set.sub_accounts.iter().all(|(id, _)| set.accounts.contains(id)));
        assert!(set.balances.iter().all(|(id, sub, _)| set.sub_accounts.contains(&(*id, *sub))));
        assert!(set.pools.iter().all(|(chain, _)| set.chains.contains(chain)));
        assert!(set.balances.contains(&(AccountId(7), SubAccountId(1), TokenId(4))));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let nano = shape(NANO).expect("it is in the table");
        let many = (0..4).map(|account| balance(account, 0, 1)).collect();
        assert_eq!(nano.working_set(&many), None);
        let wide = (0..5).map(|token| balance(0, 0, token)).collect();
        assert_eq!(nano.working_set(&wide), None);
        let subs = (0..4).map(|sub| balance(0, sub, 1)).collect();
        assert_eq!(nano.working_set(&subs), None);
        let chains = (1..3).map(|chain| Cell::Cursor(ChainId(chain))).collect();
        assert_eq!(nano.working_set(&chains), None);
    }

    #[test]
    fn any_one_operation_fits_any_shape() {
        // Payer, receiver and fee account lie in three pages. A payment touches the most balances, a withdrawal and a
        // deposit a pool and a chain as well.
        let far = [0, 70_000, (1 << 24) - 1].map(|account| balance(account, 31, u16::MAX));
        let near = [0, 140_000].map(|account| balance(account, 0, 1));
        let of_chain = [Cell::Pool(ChainId(63), TokenId(1)), Cell::Cursor(ChainId(63))];
        for shape in shapes() {
            assert!(shape.working_set(&BTreeSet::from(far)).is_some(), "{}", shape.name);
            let with_pool = near.into_iter().chain(of_chain).collect();
            assert!(shape.working_set(&with_pool).is_some(), "{}", shape.name);
        }
    }

    #[test]
    fn pages_are_those_of_their_leaves() {
        assert_eq!(
            [0, 65_535, 65_536, (1 << 24) - 1].map(|id| account_page(AccountId(id))),
            [0, 0, 1, 255]
        );
        assert_eq!([0, 63, 64, u16::MAX].map(|id| token_page(TokenId(id))), [0, 0, 1, 1023]);
    }

    #[test]
    fn weights_are_about_thousands_of_constraints() {
        // The counts of constraints are pinned in circuit/tests/budget.rs.
        let weights: Vec<usize> = shapes().iter().map(Shape::weight).collect();
        assert_eq!(weights, [80, 166, 790, 3136, 701, 2354]);
    }

    #[test]
    fn each_count_binds() {
        let room = shapes()[0].room;
        assert!(room.fit(&room));
        for at in 0..11 {
            let mut list = room.list();
            list[at] += 1;
            let [queue, signed, accounts, sub_accounts, balances, fee_tokens, chains, pools, ..] =
                list;
            let [.., account_pages, balance_pages, pool_pages] = list;
            let more = Counts {
                queue,
                signed,
                accounts,
                account_pages,
                sub_accounts,
                balances,
                balance_pages,
                fee_tokens,
                chains,
                pools,
                pool_pages,
            };
            assert!(!more.fit(&room) && room.fit(&more), "count {at}");
        }
    }

    #[test]
    fn ids_and_names_are_unique() {
        let ids: BTreeSet<_> = shapes().iter().map(|shape| shape.id).collect();
        let names: BTreeSet<_> = shapes().iter().map(|shape| shape.name).collect();
        assert_eq!((ids.len(), names.len()), (shapes().len(), shapes().len()));
    }
}
