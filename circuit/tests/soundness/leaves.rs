//! Leaves that are not in the state, twice in the block, or at another place.

use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, SubAccountId};
use zklink::op::{Op, SlotKind};

use super::{HONEST, OTHER_ONCHAIN, USDC_ONLY, block};
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
fn the_same_account_twice_is_refused() {
    let world = world();
    let cheat = Cheat::open(&world, &[(2, USDC_ONLY), (2, USDC_ONLY)], &[]);
    assert_eq!(cheat.caught(), ["open/distinct accounts/0 and 1/nonzero"]);
}

#[test]
fn the_same_sub_account_twice_is_refused() {
    let world = world();
    let cheat = Cheat::open(&world, &[(2, &[(0, &[USDC]), (0, &[COIN])])], &[]);
    assert_eq!(cheat.caught(), ["open/account 0/distinct sub-accounts/0 and 1/nonzero"]);
}

#[test]
fn the_same_token_twice_is_refused() {
    let world = world();
    let cheat = Cheat::open(&world, &[(2, &[(0, &[USDC, USDC])])], &[]);
    let place = "open/account 0/sub-account 0/distinct balances/0 and 1/nonzero";
    assert_eq!(cheat.caught(), [place]);
    let cheat = Cheat::open(&world, &[], &[(1, &[USDC, USDC])]);
    assert_eq!(cheat.caught(), ["open/chain 0/distinct pools/0 and 1/nonzero"]);
}

#[test]
fn the_same_chain_twice_is_refused() {
    let world = world();
    let cheat = Cheat::open(&world, &[], &[(1, &[USDC]), (1, &[COIN])]);
    assert_eq!(cheat.caught(), ["open/distinct chains/0 and 1/nonzero"]);
}

#[test]
fn ids_above_the_tree_do_not_alias() {
    // zkSync Lite: bits of the index above the depth of the tree were free, and ids that differ in them named one leaf.
    // Here a published id is the sum of exactly the bits that lead to the leaf.
    let world = world();
    let mut op = deposit(2, ONE, Scenario::owner(1));
    op.sub_account = SubAccountId(32);
    let mut cheat = block(&world).slot(SlotKind::Deposit, Op::Deposit(op), None);
    cheat.witness.slots[0].balance = Some(1);
    assert_eq!(cheat.caught(), OTHER_ONCHAIN);
    let cs = idle().settle().synthesize();
    let bits = |prefix: &str| cs.aux_paths().iter().filter(|path| path.starts_with(prefix)).count();
    assert_eq!(bits("open/account 0/id/bit"), 24);
    assert_eq!(bits("open/account 0/sub-account 0/id/bit"), 5);
    assert_eq!(bits("open/account 0/sub-account 0/balance 0/token/bit"), 16);
    assert_eq!(bits("open/chain 0/id/bit"), 6);
}

#[test]
fn the_leaf_of_another_account_is_refused() {
    // Account 4 with the leaf of account 2, and its own path.
    let world = world();
    let mut cheat = Cheat::open(&world, &[(2, USDC_ONLY)], &[]);
    cheat.witness.accounts[0].id = AccountId(4);
    assert_eq!(cheat.caught(), ["close/account 0/level0/old child/child on the path"]);
    // And with the path of account 2: the bits of the id lead elsewhere.
    let mut cheat = Cheat::open(&world, &[(2, USDC_ONLY)], &[]).settle();
    cheat.witness.accounts[0].id = AccountId(4);
    assert_eq!(cheat.failures()[0], "close/account 0/level0/old child/child on the path");
}

#[test]
fn an_invented_leaf_is_refused() {
    let spoil: [Spoiled; 9] = [
        ("close/account 0/sub-account 0/balance 0/level0", |cheat| {
            cheat.witness.accounts[0].sub_accounts[0].balances[0].amount += 1;
        }),
        ("close/account 0/sub-account 0/balance 1/level0", |cheat| {
            cheat.witness.accounts[0].sub_accounts[0].balances[1].amount += 1;
        }),
        ("close/account 0/sub-account 0/level0", |cheat| {
            cheat.witness.accounts[0].sub_accounts[0].counters.nonce.0 += 1;
        }),
        ("close/account 0/sub-account 0/level0", |cheat| {
            cheat.witness.accounts[0].sub_accounts[0].counters.epoch += 1;
        }),
        ("close/account 0/level0", |cheat| {
            cheat.witness.accounts[0].account.owner = Scenario::owner(66);
        }),
        ("close/account 0/level0", |cheat| {
            cheat.witness.accounts[0].account.key = Some(Scenario::key(66).public());
        }),
        ("close/account 0/level0", |cheat| cheat.witness.accounts[0].account.nonce.0 += 1),
        ("close/chain 0/level0", |cheat| cheat.witness.chains[0].cursor += 1),
        ("close/chain 1/pool 0/level0", |cheat| cheat.witness.chains[1].pools[0].amount += 1),
    ];
    for (level, spoil) in spoil {
        let mut cheat = idle().settle();
        spoil(&mut cheat);
        let expected = format!("{level}/old child/child on the path");
        assert_eq!(cheat.failures()[0], expected);
    }
}

#[test]
fn a_root_inside_of_a_leaf_cannot_be_replaced() {
    let mut cheat = idle().settle();
    cheat.witness.accounts[0].sub_accounts[0].balances_root += Fr::one();
    let caught = cheat.failures();
    assert!(caught[0].starts_with("close/account 0/sub-account 0/balance 0/level7/old parent"));
    let mut cheat = idle().settle();
    cheat.witness.accounts[0].sub_accounts_root += Fr::one();
    let caught = cheat.failures();
    assert!(caught[0].starts_with("close/account 0/sub-account 0/level2/old parent"));
    let mut cheat = idle().settle();
    cheat.witness.chains[0].pools_root += Fr::one();
    assert!(cheat.failures()[0].starts_with("close/chain 0/pool 0/level7/old parent"));
}

#[test]
fn a_sibling_cannot_change() {
    // zkSync Lite: the siblings of the fee account's leaf were free before and after, so that balances beside the path
    // could be replaced. Here one set of children serves both, and it hashes to the old root.
    let cheat = idle().settle();
    for level in [0, 5, 11] {
        for child in 0..4 {
            let mut cheat = cheat.clone();
            cheat.witness.accounts[1].path[level][child] += Fr::one();
            let account = cheat.witness.accounts[1].id.0 as usize;
            let on_path = account >> (2 * level) & 3 == child;
            let expected = match (on_path, level) {
                (true, _) => format!("level{level}/old child/child on the path"),
                (false, 11) => "level11/old parent/box84/fifth".to_owned(),
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
    assert_eq!(children.count(), 12 * 4);
}

#[test]
fn children_cannot_be_swapped() {
    // Account 2 is called account 3, and the two children change places with it.
    let world = world();
    let mut cheat = Cheat::open(&world, &[(2, USDC_ONLY)], &[]).settle();
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
    cheat.witness.accounts[0].sub_accounts[0].balances[0].amount = ONE;
    let place = "close/account 0/sub-account 0/balance 0/level0/old child/child on the path";
    assert_eq!(cheat.caught(), [place]);
}

#[test]
fn a_node_is_not_a_leaf() {
    // The root of the balances of a sub-account where its leaf should stand: the domains differ.
    let mut cheat = idle().settle();
    let sub = &mut cheat.witness.accounts[0].sub_accounts[0];
    let node = sub.balances_root;
    sub.path[0][0] = node;
    let place = "close/account 0/sub-account 0/level0/old child/child on the path";
    assert_eq!(cheat.failures()[0], place);
}
