//! Operations that reach for other cells than they say.

use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{ChainId, Owner};
use zklink::layout::power_of_two;
use zklink::op::{Deposit, Op};

use super::{HONEST, MEMORY, USDC_ONLY, change_of, deposit_of, over, transfer_of};
use crate::blocks::world;
use crate::cheat::{Cheat, Subs};
use crate::ops::{change_key, deposit, transfer, withdraw};

const COIN_ONLY: Subs<'_> = &[(0, &[COIN])];

#[test]
fn a_deposit_goes_to_its_owner_or_to_a_new_account() {
    let world = world();
    assert_eq!(deposit_of(&world, deposit(2, ONE, Scenario::owner(1))).caught(), HONEST);
    let op = deposit(5, ONE, Owner { home: ChainId(0), address: [0xee; 32] });
    assert_eq!(over(&world, &[0, 5]).queue(op, 0).caught(), HONEST);
}

#[test]
fn operations_on_chain_zero_are_refused() {
    let world = world();
    let no_chain = ["open/chain 0/a chain/nonzero"];
    let open = || Cheat::open(&world, &[(0, USDC_ONLY), (2, USDC_ONLY)], &[(0, &[USDC])]);
    let op = Deposit { chain: ChainId(0), ..deposit(2, ONE, Scenario::owner(1)) };
    assert_eq!(open().queue(op, 0).caught(), no_chain);
    let op = zklink::op::Withdraw { chain: ChainId(0), ..withdraw(2, 0, Scenario::owner(1)) };
    assert_eq!(open().by(&world, 1, Op::Withdraw(op)).caught(), no_chain);
    // A key change opens no chain.
    let mut op = change_key(&world, 2, 7);
    op.chain = ChainId(0);
    assert_eq!(change_of(&world, op, 7).caught(), ["signed/slot 0/change key/a chain"]);
}

#[test]
fn the_pool_of_another_chain_is_refused() {
    // The deposit arrived on chain 1; the operator raises what chain 2 owes, and moves its cursor.
    let world = world();
    let cheat = Cheat::open(&world, &[(2, USDC_ONLY)], &[(2, &[USDC])]);
    let op = deposit(2, ONE, Scenario::owner(1));
    assert_eq!(cheat.queue(op, 0).caught(), MEMORY);
}

#[test]
fn the_pool_of_another_token_is_refused() {
    let world = world();
    let accounts = [(0, USDC_ONLY), (2, USDC_ONLY)];
    let open = || Cheat::open(&world, &accounts, &[(1, &[COIN])]);
    assert_eq!(open().queue(deposit(2, ONE, Scenario::owner(1)), 0).caught(), MEMORY);
    let op = Op::Withdraw(withdraw(2, 0, Scenario::owner(1)));
    assert_eq!(open().by(&world, 1, op).caught(), MEMORY);
}

#[test]
fn a_balance_of_another_token_is_refused() {
    let world = world();
    let payer = [(0, USDC_ONLY), (2, COIN_ONLY), (3, USDC_ONLY)];
    let payee = [(0, USDC_ONLY), (2, USDC_ONLY), (3, COIN_ONLY)];
    for accounts in [payer, payee] {
        let cheat = Cheat::open(&world, &accounts, &[]);
        // Nothing moves, so that nothing else can fail.
        let mut op = transfer(2, 3, 0);
        op.fee = zklink::amount::Fee::ZERO;
        assert_eq!(cheat.by(&world, 1, Op::Transfer(op)).caught(), MEMORY);
    }
}

#[test]
fn another_sub_account_is_refused() {
    let world = world();
    let second: Subs<'_> = &[(1, &[USDC])];
    let accounts = [(0, USDC_ONLY), (2, USDC_ONLY), (3, second)];
    let cheat = Cheat::open(&world, &accounts, &[]);
    assert_eq!(cheat.by(&world, 1, Op::Transfer(transfer(2, 3, ONE))).caught(), MEMORY);
}

#[test]
fn a_pool_is_not_a_balance() {
    // The payment raises what chain 1 owes instead of what account 3 holds: the address of a pool at its place.
    let world = world();
    let honest = transfer_of(&world, transfer(2, 3, ONE));
    let pool = Fr::from(5) * power_of_two(64) + Fr::from(1 << 16 | u64::from(USDC.0));
    let balance = Fr::from(1) * power_of_two(64) + Fr::from(3 << 24 | u64::from(USDC.0));
    let held = Fr::from(15) * Fr::from(ONE as u64);
    let second = honest.moment(0) + 1;
    // What is added to the address of a balance if the operation is a withdrawal.
    let cheat = honest
        .choose("signed/slot 0/pool or balance", pool - balance)
        .choose("signed/slot 0/other/value 0/held", held)
        .choose_before("signed/slot 0/other", second, 0)
        .touch("close/balance 2/new", &[Fr::from(5) * Fr::from(ONE as u64)], 0)
        .touch("close/pool 0/new", &[Fr::from(16) * Fr::from(ONE as u64)], second);
    assert_eq!(cheat.caught(), ["signed/slot 0/pool or balance"]);
}

#[test]
fn a_transfer_without_debit_or_credit_is_refused() {
    // The operation says what moves; the leaf stays as it was.
    let world = world();
    let held = Fr::from(5) * Fr::from(ONE as u64);
    for leaf in ["close/balance 1/new", "close/balance 2/new"] {
        let cheat = transfer_of(&world, transfer(2, 3, ONE)).touch(leaf, &[held], 0);
        assert_eq!(cheat.caught(), MEMORY);
        // Nor with the time of the access.
        let honest = transfer_of(&world, transfer(2, 3, ONE));
        let moment = honest.moment(0) + u64::from(leaf.contains('2'));
        assert_eq!(honest.touch(leaf, &[held], moment).caught(), MEMORY);
    }
    let pool = Fr::from(15) * Fr::from(ONE as u64);
    let cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(1)));
    assert_eq!(cheat.touch("close/pool 0/new", &[pool], 0).caught(), MEMORY);
}

#[test]
fn another_account_than_published_is_refused() {
    // He credits account 4 and publishes account 3.
    let world = world();
    let mut cheat = transfer_of(&world, transfer(2, 4, ONE)).settle();
    let mut published = cheat.published();
    let honest = Op::Transfer(transfer(2, 3, ONE)).words(0)[0];
    published.vectors.data[0] = honest;
    cheat.witness.inputs = published.inputs();
    assert_eq!(cheat.failures(), [super::OTHER_DATA]);
    published.all[3] = honest;
    cheat.witness.inputs = published.inputs();
    assert_eq!(cheat.failures(), [super::OTHER_DIGEST, super::OTHER_DATA]);
}

#[test]
fn a_payment_to_oneself_pays_once() {
    // The second moment finds what the first one left; the operator lets it find what was there before.
    let world = world();
    let held = Fr::from(5) * Fr::from(ONE as u64);
    let honest = transfer_of(&world, transfer(2, 2, ONE));
    assert_eq!(honest.clone().caught(), HONEST);
    let second = honest.moment(0) + 1;
    let gained = held + Fr::from(ONE as u64);
    let cheat = honest
        .choose("signed/slot 0/other/value 0/held", held)
        .choose_before("signed/slot 0/other", second, 0)
        .touch("close/balance 1/new", &[gained], second);
    assert_eq!(cheat.caught(), MEMORY);
}

#[test]
fn what_an_operation_does_not_touch_stays() {
    // Every value that a leaf may change, changed in a block that has no operation.
    let world = world();
    let leaves = [
        ("close/balance 1/new", 0, 1),
        ("close/sub-account 1/new nonce", 0, 1),
        ("close/account 1/new owner", 0, 2),
        ("close/account 1/new owner", 1, 2),
        ("close/account 1/new key", 0, 4),
        ("close/account 1/new key", 1, 4),
        ("close/account 1/new key", 2, 4),
        ("close/account 1/new key", 3, 4),
        ("close/chain 0/new cursor", 0, 1),
        ("close/pool 0/new", 0, 1),
    ];
    let honest = super::block(&world).settle().synthesize();
    for (leaf, changed, count) in leaves {
        let value = |at: usize| honest.value(&format!("{leaf}/value {at}/held"));
        let mut values: Vec<Fr> = (0..count).map(value).collect();
        values[changed] += Fr::one();
        let cheat = super::block(&world).touch(leaf, &values, 0);
        assert_eq!(cheat.caught(), MEMORY, "{leaf} {changed}");
    }
}

#[test]
fn a_leaf_that_is_not_opened_is_not_there() {
    let world = world();
    let op = Op::Transfer(transfer(2, 2, ONE));
    let cheat = Cheat::open(&world, &[(0, USDC_ONLY), (2, USDC_ONLY)], &[]);
    assert_eq!(cheat.by(&world, 1, op.clone()).caught(), HONEST);
    // Without its balance, without its sub-account, without the account.
    let none: [&[(u32, Subs<'_>)]; 3] =
        [&[(0, USDC_ONLY), (2, &[(0, &[])])], &[(0, USDC_ONLY), (2, &[])], &[(0, USDC_ONLY)]];
    for accounts in none {
        let cheat = Cheat::open(&world, accounts, &[]).by(&world, 1, op.clone());
        let mut caught = cheat.caught();
        caught.retain(|path| !path.starts_with("signed/slot 0/"));
        assert_eq!(caught, MEMORY);
    }
}
