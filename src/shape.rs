//! Shapes: how many slots of each kind a block has, and how many leaves its operations may touch.
//!
//! Each shape has its own proving key. The contract knows it by its id. A shape never changes once it is deployed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::id::{AccountId, ChainId, ShapeId, SubAccountId, TokenId};
use crate::op::{Noop, Op, SlotKind};
use crate::state::Cell;

/// A block shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its number in the registry of the hub.
    pub id: ShapeId,
    /// What people and key files call it.
    pub name: &'static str,
    /// The slots in the order in which their operations happen.
    pub slots: Vec<SlotKind>,
    /// Account groups: for each, the number of balances of each of its sub-accounts.
    pub accounts: Vec<Vec<usize>>,
    /// Chain groups: for each, the number of its pools.
    pub chains: Vec<usize>,
}

/// The leaves that a block opens, padding included, in the order of the groups of its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkingSet {
    /// Accounts, distinct.
    pub accounts: Vec<AccountGroup>,
    /// Chains, distinct.
    pub chains: Vec<ChainGroup>,
}

/// An account that a block opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountGroup {
    /// The account.
    pub id: AccountId,
    /// Its sub-accounts, distinct, each with its tokens, distinct.
    pub sub_accounts: Vec<(SubAccountId, Vec<TokenId>)>,
}

/// A chain that a block opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainGroup {
    /// The chain.
    pub id: ChainId,
    /// The tokens whose pools are opened, distinct.
    pub tokens: Vec<TokenId>,
}

/// The smallest shape: for tests that prove, and for a network that is almost idle.
pub const NANO: ShapeId = ShapeId(1);
/// The shape of a development network.
pub const SMALL: ShapeId = ShapeId(2);

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    use SlotKind::*;
    vec![
        Shape {
            id: NANO,
            name: "nano",
            slots: vec![Deposit, ChangePubKey, Transfer, TransferToNew, Withdraw],
            accounts: vec![vec![1], vec![1], vec![1]],
            chains: vec![1],
        },
        Shape {
            id: SMALL,
            name: "small",
            slots: vec![
                Deposit,
                Deposit,
                ChangePubKey,
                ChangePubKey,
                Transfer,
                TransferToNew,
                Withdraw,
                Transfer,
                Deposit,
                Withdraw,
            ],
            accounts: vec![vec![2, 1], vec![2], vec![1], vec![1], vec![1]],
            chains: vec![2, 1],
        },
    ]
});

/// All shapes, the cheapest first.
pub fn shapes() -> &'static [Shape] {
    &SHAPES
}

/// The shape with this id.
pub fn shape(id: ShapeId) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.id == id)
}

impl Shape {
    /// Words of the on-chain vector, its head included.
    pub fn onchain_words(&self) -> usize {
        crate::layout::HEAD_WORDS + self.words(true)
    }

    /// Words of the data vector.
    pub fn data_words(&self) -> usize {
        self.words(false)
    }

    fn words(&self, onchain: bool) -> usize {
        let slots = self.slots.iter().filter(|slot| slot.is_onchain() == onchain);
        slots.map(|slot| slot.words()).sum()
    }

    /// Puts operations into slots without changing their order, and fills the other slots with [`Noop`]s.
    ///
    /// Nothing when they do not fit.
    pub fn fill(&self, ops: &[Op]) -> Option<Vec<Op>> {
        let mut filled = Vec::with_capacity(self.slots.len());
        let mut waiting = ops.iter().filter(|op| op.slot_kind().is_some()).peekable();
        for slot in &self.slots {
            let op = waiting.next_if(|op| op.slot_kind() == Some(*slot));
            filled.push(op.cloned().unwrap_or(Op::Noop(Noop { slot: *slot })));
        }
        waiting.peek().is_none().then_some(filled)
    }

    /// Finds a group for every account and chain that the cells name, and pads the rest with leaves that nothing
    /// touches. Nothing when they do not fit.
    pub fn working_set(&self, cells: &BTreeSet<Cell>) -> Option<WorkingSet> {
        let mut accounts: BTreeMap<AccountId, BTreeMap<SubAccountId, BTreeSet<TokenId>>> =
            BTreeMap::new();
        let mut chains: BTreeMap<ChainId, BTreeSet<TokenId>> = BTreeMap::new();
        for cell in cells {
            match *cell {
                Cell::Balance(id, sub, token) => {
                    accounts.entry(id).or_default().entry(sub).or_default().insert(token);
                }
                Cell::Pool(chain, token) => {
                    chains.entry(chain).or_default().insert(token);
                }
            }
        }
        let accounts = self.place_accounts(accounts)?;
        let chains = self.place_chains(chains)?;
        Some(WorkingSet { accounts, chains })
    }

    fn place_accounts(
        &self,
        wanted: BTreeMap<AccountId, BTreeMap<SubAccountId, BTreeSet<TokenId>>>,
    ) -> Option<Vec<AccountGroup>> {
        let needs: Vec<_> = wanted.into_iter().collect();
        let sizes: Vec<Vec<usize>> =
            needs.iter().map(|(_, subs)| subs.values().map(BTreeSet::len).collect()).collect();
        let places = place(&sizes, &self.accounts)?;
        let used: BTreeSet<u32> = needs.iter().map(|(id, _)| id.0).collect();
        let mut padding = (0..AccountId::COUNT).rev().filter(|id| !used.contains(id));
        let mut groups = Vec::with_capacity(self.accounts.len());
        for (group, sizes) in self.accounts.iter().enumerate() {
            let (id, subs) = match places.iter().position(|place| *place == group) {
                Some(need) => needs[need].clone(),
                None => (AccountId(padding.next()?), BTreeMap::new()),
            };
            groups.push(AccountGroup { id, sub_accounts: pad_sub_accounts(subs, sizes)? });
        }
        Some(groups)
    }

    fn place_chains(
        &self,
        wanted: BTreeMap<ChainId, BTreeSet<TokenId>>,
    ) -> Option<Vec<ChainGroup>> {
        let needs: Vec<_> = wanted.into_iter().collect();
        let sizes: Vec<Vec<usize>> = needs.iter().map(|(_, set)| vec![set.len()]).collect();
        let groups: Vec<Vec<usize>> = self.chains.iter().map(|size| vec![*size]).collect();
        let places = place(&sizes, &groups)?;
        let used: BTreeSet<u8> = needs.iter().map(|(id, _)| id.0).collect();
        let mut padding = (0..=ChainId::MAX).rev().filter(|id| !used.contains(id));
        let mut placed = Vec::with_capacity(self.chains.len());
        for (group, size) in self.chains.iter().enumerate() {
            let (id, tokens) = match places.iter().position(|place| *place == group) {
                Some(need) => needs[need].clone(),
                None => (ChainId(padding.next()?), BTreeSet::new()),
            };
            placed.push(ChainGroup { id, tokens: pad_tokens(tokens, *size) });
        }
        Some(placed)
    }
}

/// Gives each need the smallest free group that holds it, the largest needs first. Deterministic.
fn place(needs: &[Vec<usize>], groups: &[Vec<usize>]) -> Option<Vec<usize>> {
    let descending = |sizes: &[usize]| {
        let mut sizes = sizes.to_vec();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    };
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|need| std::cmp::Reverse(descending(&needs[*need])));
    let mut places = vec![usize::MAX; needs.len()];
    for need in order {
        let wanted = descending(&needs[need]);
        let fitting = (0..groups.len()).filter(|group| {
            let offered = descending(&groups[*group]);
            !places.contains(group)
                && wanted.len() <= offered.len()
                && wanted.iter().zip(&offered).all(|(wanted, offered)| wanted <= offered)
        });
        places[need] = fitting.min_by_key(|group| descending(&groups[*group]))?;
    }
    Some(places)
}

/// Puts sub-accounts into the places of a group, the largest into the largest, and pads the rest.
fn pad_sub_accounts(
    subs: BTreeMap<SubAccountId, BTreeSet<TokenId>>,
    sizes: &[usize],
) -> Option<Vec<(SubAccountId, Vec<TokenId>)>> {
    let used: BTreeSet<u8> = subs.keys().map(|id| id.0).collect();
    let mut padding = (0..SubAccountId::COUNT).rev().filter(|id| !used.contains(id));
    let mut needs: Vec<_> = subs.into_iter().collect();
    needs.sort_by_key(|(id, tokens)| (std::cmp::Reverse(tokens.len()), *id));
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|place| (std::cmp::Reverse(sizes[*place]), *place));
    let mut placed = vec![(SubAccountId(0), Vec::new()); sizes.len()];
    let mut needs = needs.into_iter();
    for place in order {
        let (id, tokens) = match needs.next() {
            Some(need) => need,
            None => (SubAccountId(padding.next()?), BTreeSet::new()),
        };
        placed[place] = (id, pad_tokens(tokens, sizes[place]));
    }
    Some(placed)
}

fn pad_tokens(tokens: BTreeSet<TokenId>, size: usize) -> Vec<TokenId> {
    let padding = (0..=u16::MAX).rev().map(TokenId).filter(|token| !tokens.contains(token));
    tokens.iter().copied().chain(padding).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(account: u32, sub: u8, token: u16) -> Cell {
        Cell::Balance(AccountId(account), SubAccountId(sub), TokenId(token))
    }

    #[test]
    fn groups_are_padded_with_distinct_leaves() {
        let small = shape(SMALL).expect("it is in the table");
        let cells = BTreeSet::from([balance(7, 1, 3), balance(7, 1, 4), balance(2, 0, 3)]);
        let set = small.working_set(&cells).expect("two accounts fit");
        let ids: BTreeSet<_> = set.accounts.iter().map(|group| group.id).collect();
        assert_eq!(ids.len(), small.accounts.len());
        for group in &set.accounts {
            let subs: BTreeSet<_> = group.sub_accounts.iter().map(|(id, _)| *id).collect();
            assert_eq!(subs.len(), group.sub_accounts.len());
        }
        let seven = set.accounts.iter().find(|group| group.id == AccountId(7));
        let tokens = &seven.expect("it is in the set").sub_accounts[0].1;
        assert_eq!(tokens, &[TokenId(3), TokenId(4)]);
        for (group, sizes) in set.accounts.iter().zip(&small.accounts) {
            let got: Vec<_> = group.sub_accounts.iter().map(|(_, tokens)| tokens.len()).collect();
            assert_eq!(&got, sizes);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let nano = shape(NANO).expect("it is in the table");
        let many = (0..4).map(|account| balance(account, 0, 1)).collect();
        assert_eq!(nano.working_set(&many), None);
        let wide = BTreeSet::from([balance(0, 0, 1), balance(0, 0, 2)]);
        assert_eq!(nano.working_set(&wide), None);
        let chains = (1..3).map(|chain| Cell::Pool(ChainId(chain), TokenId(1))).collect();
        assert_eq!(nano.working_set(&chains), None);
    }

    #[test]
    fn ids_and_names_are_unique() {
        let ids: BTreeSet<_> = shapes().iter().map(|shape| shape.id).collect();
        let names: BTreeSet<_> = shapes().iter().map(|shape| shape.name).collect();
        assert_eq!((ids.len(), names.len()), (shapes().len(), shapes().len()));
    }
}
