//! Leaves that are not in the state, twice in the block, or at another place.

use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, SubAccountId};

use super::{HONEST, USDC_ONLY, over};
use crate::blocks::world;
use crate::cheat::{Cheat, Subs};
use crate::ops::deposit;

/// Everything that the tests below open, honestly.
fn idle() -> Cheat {
    let subs: Subs<'_> = &[(0, &[USDC, COIN]), (1, &[USDC])];
    let chains: &[(u8, &[zklink::id::TokenId])] = &[(1, &[USDC, COIN]), (2, &[USDC])];
    Cheat::open(&world(), &[(2, subs), (3, USDC_ONLY)], chains)
}

/// A name and a way to spoil a witness.
type Spoiled = (&'static str, fn(&mut Cheat));

#[test]
fn leaves_of_the_state_pass() {
    assert_eq!(idle().caught(), HONEST);
}

#[test]
fn the_same_leaf_twice_is_refused() {
    let world = world();
    let gap = |kind: &str| vec![format!("open/distinct/{kind}/gap 0/recomposed")];
    let open = |accounts: &[(u32, Subs<'_>)]| Cheat::open(&world, accounts, &[]).caught();
    assert_eq!(open(&[(2, &[]), (2, &[])]), gap("accounts"));
    assert_eq!(open(&[(2, &[(0, &[]), (0, &[])])]), gap("sub-accounts"));
    assert_eq!(open(&[(2, &[(0, &[USDC, USDC])])]), gap("balances"));
    let open = |chains: &[(u8, &[zklink::id::TokenId])]| Cheat::open(&world, &[], chains).caught();
    assert_eq!(open(&[(1, &[]), (1, &[])]), gap("chains"));
    assert_eq!(open(&[(1, &[USDC, USDC])]), gap("pools"));
}

#[test]
fn leaves_ascend() {
    // A falling order would be as good, if it were not the way to open one twice.
    let world = world();
    let gap = |kind: &str| vec![format!("open/distinct/{kind}/gap 0/recomposed")];
    let open = |accounts: &[(u32, Subs<'_>)]| Cheat::open(&world, accounts, &[]).caught();
    assert_eq!(open(&[(3, &[]), (2, &[])]), gap("accounts"));
    assert_eq!(open(&[(2, &[(1, &[]), (0, &[])])]), gap("sub-accounts"));
    assert_eq!(open(&[(2, &[(0, &[COIN, USDC])])]), gap("balances"));
    let open = |chains: &[(u8, &[zklink::id::TokenId])]| Cheat::open(&world, &[], chains).caught();
    assert_eq!(open(&[(2, &[]), (1, &[])]), gap("chains"));
    assert_eq!(open(&[(1, &[COIN, USDC])]), gap("pools"));
}

#[test]
fn ids_above_the_tree_do_not_alias() {
    // zkSync Lite: bits of the index above the depth of the tree were free, and ids that differ in them named one leaf.
    // Here an address is the sum of exactly the bits that lead to the leaf.
    let world = world();
    let mut op = deposit(2, ONE, Scenario::owner(1));
    op.sub_account = SubAccountId(32);
    let mut cheat = over(&world, &[2]).queue(op, 0).settle();
    // The circuit has no bit for it: what it publishes is sub-account 0.
    assert_eq!(cheat.failures(), HONEST);
    let honest = zklink::op::Op::Deposit(op).words(0);
    let mut published = cheat.published();
    published.all[3..].copy_from_slice(&honest);
    published.vectors.onchain[3..].copy_from_slice(&honest);
    cheat.witness.inputs = published.inputs();
    assert_eq!(cheat.failures(), [super::OTHER_DIGEST, super::OTHER_ONCHAIN]);
    let cs = idle().settle().synthesize();
    let bits = |prefix: &str| cs.aux_paths().iter().filter(|path| path.starts_with(prefix)).count();
    assert_eq!(bits("open/account 0/id/bit"), 24);
    assert_eq!(bits("open/sub-account 0/account/bit"), 24);
    assert_eq!(bits("open/sub-account 0/id/bit"), 5);
    assert_eq!(bits("open/balance 0/account/bit"), 24);
    assert_eq!(bits("open/balance 0/sub/bit"), 5);
    assert_eq!(bits("open/balance 0/token/bit"), 16);
    assert_eq!(bits("open/chain 0/id/bit"), 6);
    assert_eq!(bits("open/pool 0/chain/bit"), 6);
    assert_eq!(bits("open/pool 0/token/bit"), 16);
}

#[test]
fn the_leaf_of_another_account_is_refused() {
    // Account 4 with the leaf of account 2, and its own path.
    let world = world();
    let mut cheat = Cheat::open(&world, &[(2, &[])], &[]);
    cheat.witness.accounts[0].id = AccountId(4);
    assert_eq!(cheat.caught(), ["close/account 0/level0/old child/child on the path"]);
    // And with the path of account 2: the bits of the id lead elsewhere.
    let mut cheat = Cheat::open(&world, &[(2, &[])], &[]).settle();
    cheat.witness.accounts[0].id = AccountId(4);
    assert_eq!(cheat.failures()[0], "close/account 0/level0/old child/child on the path");
}

#[test]
fn a_leaf_has_the_parent_that_its_address_names() {
    // The balances of account 3 below the sub-account of account 2, and below one that is not open.
    let world = world();
    for (account, expected) in [(2, false), (9, true)] {
        let mut cheat = Cheat::open(&world, &[(2, &[(0, &[])]), (3, USDC_ONLY)], &[]).settle();
        cheat.witness.balances[0].account = AccountId(account);
        cheat.witness.balance_pages[0].account = AccountId(account);
        let caught = cheat.failures();
        let parent = "close/balance page 0/level4/old parent/";
        assert!(caught.iter().any(|path| path.starts_with(parent)), "{caught:?}");
        assert_eq!(caught.contains(&super::MEMORY[0].to_owned()), expected, "{caught:?}");
    }
}

#[test]
fn a_leaf_is_in_the_page_that_its_address_names() {
    let mut cheat = Cheat::open(&world(), &[(3, USDC_ONLY)], &[]).settle();
    cheat.witness.balance_pages[0].page = 1;
    let caught = cheat.failures();
    assert!(caught.contains(&super::MEMORY[0].to_owned()), "{caught:?}");
    let mut cheat = Cheat::open(&world(), &[(3, USDC_ONLY)], &[]).settle();
    cheat.witness.account_pages[0].page = 1;
    let caught = cheat.failures();
    assert!(caught.contains(&super::MEMORY[0].to_owned()), "{caught:?}");
}

#[test]
fn the_same_page_twice_is_refused() {
    let gap = |kind: &str| vec![format!("open/distinct/{kind} pages/gap 0/recomposed")];
    let mut cheat = over(&world(), &[2]);
    cheat.witness.account_pages.push(cheat.witness.account_pages[0].clone());
    cheat.shape.room.account_pages += 1;
    assert_eq!(cheat.caught()[..1], gap("account"));
    let mut cheat = over(&world(), &[2]);
    let page = cheat.witness.balance_pages[0].clone();
    cheat.witness.balance_pages.insert(0, page);
    cheat.shape.room.balance_pages += 1;
    assert_eq!(cheat.caught()[..1], gap("balance"));
    let mut cheat = over(&world(), &[2]);
    let page = cheat.witness.pool_pages[0].clone();
    cheat.witness.pool_pages.insert(0, page);
    cheat.shape.room.pool_pages += 1;
    assert_eq!(cheat.caught()[..1], gap("pool"));
}

#[test]
fn an_invented_leaf_is_refused() {
    let spoil: [Spoiled; 9] = [
        ("close/balance 0", |cheat| cheat.witness.balances[0].leaf.amount.0 += 1),
        ("close/sub-account 0", |cheat| cheat.witness.sub_accounts[0].nonce.0 += 1),
        ("close/sub-account 0", |cheat| cheat.witness.sub_accounts[0].epoch += 1),
        ("close/account 0", |cheat| cheat.witness.accounts[0].account.owner = Scenario::owner(66)),
        ("close/account 0", |cheat| {
            cheat.witness.accounts[0].account.key = Some(Scenario::key(66).public());
        }),
        ("close/account 0", |cheat| cheat.witness.accounts[0].account.nonce.0 += 1),
        ("close/account 0", |cheat| cheat.witness.accounts[0].account.key_version.0 += 1),
        ("close/chain 0", |cheat| cheat.witness.chains[0].cursor.0 += 1),
        ("close/pool 0", |cheat| cheat.witness.pools[0].leaf.amount.0 += 1),
    ];
    for (leaf, spoil) in spoil {
        let mut cheat = over(&world(), &[2]);
        spoil(&mut cheat);
        assert_eq!(cheat.caught(), [format!("{leaf}/level0/old child/child on the path")]);
    }
}

#[test]
fn what_a_leaf_carries_through_is_that_of_its_old_leaf() {
    let spoil: [Spoiled; 3] = [
        ("close/sub-account 0", |cheat| cheat.witness.sub_accounts[0].roots[1] += Fr::one()),
        ("close/sub-account 0", |cheat| cheat.witness.sub_accounts[0].roots[2] += Fr::one()),
        ("close/chain 0", |cheat| cheat.witness.chains[0].roots[1] += Fr::one()),
    ];
    for (leaf, spoil) in spoil {
        let mut cheat = over(&world(), &[2]);
        spoil(&mut cheat);
        assert_eq!(cheat.caught(), [format!("{leaf}/level0/old child/child on the path")]);
    }
}

#[test]
fn a_root_inside_of_a_leaf_cannot_be_replaced() {
    let spoil: [Spoiled; 6] = [
        ("balance page 0/level4", |cheat| cheat.witness.sub_accounts[0].roots[0] += Fr::one()),
        ("sub-account 0/level2", |cheat| {
            cheat.witness.accounts[0].sub_accounts_root += Fr::one();
        }),
        ("pool page 0/level4", |cheat| cheat.witness.chains[0].roots[0] += Fr::one()),
        ("balance 0/level2", |cheat| cheat.witness.balance_pages[0].node.node += Fr::one()),
        ("account 0/level7", |cheat| cheat.witness.account_pages[0].node.node += Fr::one()),
        ("pool 0/level2", |cheat| cheat.witness.pool_pages[0].node.node += Fr::one()),
    ];
    for (place, spoil) in spoil {
        let mut cheat = idle().settle();
        spoil(&mut cheat);
        let expected = format!("close/{place}/old parent");
        assert!(cheat.failures()[0].starts_with(&expected), "{place}: {:?}", cheat.failures());
    }
}

#[test]
fn a_sibling_cannot_change() {
    // zkSync Lite: the siblings of the fee account's leaf were free before and after, so that balances beside the path
    // could be replaced. Here one set of children serves both, and it hashes to the old root.
    let cheat = idle().settle();
    for level in [0, 5, 7] {
        for child in 0..4 {
            let mut cheat = cheat.clone();
            cheat.witness.accounts[1].path[level][child] += Fr::one();
            let account = cheat.witness.accounts[1].id.0 as usize;
            let on_path = account >> (2 * level) & 3 == child;
            let expected = match (on_path, level) {
                (true, _) => format!("level{level}/old child/child on the path"),
                (false, 7) => "level7/old parent/box84/fifth".to_owned(),
                (false, _) => format!("level{}/old child/child on the path", level + 1),
            };
            assert_eq!(cheat.failures()[0], format!("close/account 1/{expected}"));
        }
    }
    let cs = cheat.synthesize();
    let children = cs
        .aux_paths()
        .iter()
        .filter(|path| path.starts_with("close/account 1/level") && path.contains("/child"));
    assert_eq!(children.count(), 8 * 4);
    for child in 0..4 {
        let mut cheat = cheat.clone();
        cheat.witness.account_pages[0].node.path[3][child] += Fr::one();
        let expected = match child {
            0 => "close/account page 0/level3/old child/child on the path",
            _ => "close/account page 0/level3/old parent/box84/fifth",
        };
        assert_eq!(cheat.failures()[0], expected);
    }
}

#[test]
fn children_cannot_be_swapped() {
    // Account 2 is called account 3, and the two children change places with it.
    let world = world();
    let mut cheat = Cheat::open(&world, &[(2, &[])], &[]).settle();
    cheat.witness.accounts[0].id = AccountId(3);
    cheat.witness.accounts[0].path[0].swap(2, 3);
    let caught = cheat.failures();
    assert_eq!(caught[0], "close/account 0/level1/old child/child on the path");
}

#[test]
fn padding_is_a_real_leaf() {
    // The account of nobody holds nothing, whatever the operator would like.
    let world = world();
    let mut cheat = Cheat::open(&world, &[(77, USDC_ONLY)], &[(63, &[USDC])]);
    assert_eq!(cheat.clone().caught(), HONEST);
    cheat.witness.balances[0].leaf.amount.0 = ONE;
    assert_eq!(cheat.caught(), ["close/balance 0/level0/old child/child on the path"]);
}

#[test]
fn a_node_is_not_a_leaf() {
    // The root of the balances of a sub-account where its leaf should stand: the domains differ.
    let mut cheat = idle().settle();
    let sub = &mut cheat.witness.sub_accounts[0];
    let node = sub.roots[0];
    sub.path[0][0] = node;
    let place = "close/sub-account 0/level0/old child/child on the path";
    assert_eq!(cheat.failures()[0], place);
}
