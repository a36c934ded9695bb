//! Native execution and the circuit agree: whatever execution accepts is provable, and the public inputs are those that
//! the contract computes.

#[path = "support/blocks.rs"]
mod blocks;

use blocks::{FEE, apply_key, check, edit_counters, full, full_small, idle, sign, world};
use proptest::prelude::*;
use zklink::amount::{Amount, Fee};
use zklink::fixtures::{COIN, Dice, ONE, Scenario, Sealed, USDC};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, ShapeId, SubAccountId, TokenId};
use zklink::op::{Deposit, Op};
use zklink::reject::Reject;
use zklink::shape::{NANO, SMALL, shape};
use zklink::tx::{ChangePubKeyTx, KeyAuth, TransferTx, Tx, WithdrawTx};

fn provable(sealed: &Sealed) {
    assert_eq!(check(sealed).first_failure(), None, "block {}", sealed.block.head.number);
}

fn story(id: ShapeId) -> Vec<Sealed> {
    let mut world = Scenario::new();
    let mut blocks = Vec::new();
    world.deposit(1, USDC, 1, 5_000_000).expect("a deposit");
    blocks.push(world.seal(id));
    world.set_key(1).expect("a key");
    let to = Scenario::owner(1);
    let tx = world.transfer(1, to, ONE, 1000);
    world.send(1, tx).expect("to itself");
    blocks.push(world.seal(id));
    let tx = world.transfer(1, Scenario::owner(9), ONE / 3, 1000);
    world.send(1, tx).expect("to a new account");
    let tx = world.withdraw(1, 1, USDC, ONE, 50);
    world.send(1, tx).expect("a withdrawal");
    blocks.push(world.seal(id));
    blocks.push(world.seal(id));
    blocks
}

#[test]
fn a_story_of_all_operations_is_provable() {
    for id in [NANO, SMALL] {
        story(id).iter().for_each(provable);
    }
}

#[test]
fn a_block_with_an_operation_in_every_slot_is_provable() {
    let sealed = full();
    let room = sealed.block.shape().expect("a known shape").room;
    let slots = sealed.block.slots();
    assert_eq!((slots.queue.len(), slots.signed.len()), (room.queue, room.signed));
    provable(&sealed);
    provable(&full_small());
    for id in [NANO, SMALL] {
        provable(&idle(id));
    }
}

/// A transfer of user 1 between sub-accounts of owners.
fn transfer(world: &Scenario, from: u8, to: Owner, to_sub: u8, amount: u128, fee: Fee) -> Tx {
    transfer_by(world, 1, from, to, to_sub, amount, fee)
}

/// A transfer of user `n` between sub-accounts of owners.
fn transfer_by(
    world: &Scenario,
    n: u8,
    from: u8,
    to: Owner,
    to_sub: u8,
    amount: u128,
    fee: Fee,
) -> Tx {
    let account_id = world.account(n);
    let from_sub_account_id = SubAccountId(from);
    let nonce = world.state.sub_account(account_id, from_sub_account_id).map(|sub| sub.nonce);
    Tx::Transfer(TransferTx {
        account_id,
        from_sub_account_id,
        to,
        to_sub_account_id: SubAccountId(to_sub),
        token: USDC,
        amount: Amount(amount),
        fee,
        nonce: nonce.unwrap_or_default(),
        key_version: world.key_version(account_id),
    })
}

/// Sends a transaction of user 1 in a block of its own.
fn alone(world: &Scenario, tx: Tx) -> Result<(), Reject> {
    let mut world = world.clone();
    world.send(1, tx)?;
    provable(&world.seal(SMALL));
    Ok(())
}

#[test]
fn transfers_at_the_edges_are_provable() {
    let world = world();
    let held = 5 * ONE;
    let fee_owner = Owner::from_evm([0xfe; 20]);
    let (me, other, new) = (Scenario::owner(1), Scenario::owner(2), Scenario::owner(200));
    let fee = Fee::closest(Amount(FEE));
    let last = SubAccountId::COUNT - 1;
    let contract = Owner::contract(ChainId(3), [1; 20]);
    for (to, sub) in
        [(me, 0), (me, last), (fee_owner, 0), (other, 0), (other, last), (new, last), (contract, 0)]
    {
        for (amount, fee) in [
            (0, Fee::ZERO),
            (1, Fee::ZERO),
            (held, Fee::ZERO),
            (held - FEE, fee),
            (0, Fee::exact(Amount(held)).expect("five is a mantissa")),
        ] {
            alone(&world, transfer(&world, 0, to, sub, amount, fee)).expect("it is covered");
        }
    }
    let refused = |amount, fee| alone(&world, transfer(&world, 0, other, 0, amount, fee));
    assert!(matches!(refused(held + 1, Fee::ZERO), Err(Reject::Balance { .. })));
    assert!(matches!(refused(held, Fee(32)), Err(Reject::Balance { .. })));
    assert!(matches!(refused(u128::MAX, Fee::ZERO), Err(Reject::Balance { .. })));
    assert_eq!(refused(u128::MAX, fee), Err(Reject::AmountOverflow));
    assert!(matches!(refused(0, Fee(u16::MAX)), Err(Reject::Balance { .. })));
}

#[test]
fn payments_of_the_fee_account_itself_are_provable() {
    // The fee account pays, receives, and takes the fee: one cell in three roles.
    let mut world = world();
    let fee_owner = Owner::from_evm([0xfe; 20]);
    let tx = world.transfer(1, fee_owner, ONE, FEE);
    world.send(1, tx).expect("money for the fee account");
    world.seal(SMALL);
    let key = Scenario::key(0xfe);
    let account_id = world.state.system.fee_account;
    let change = ChangePubKeyTx {
        chain_id: ChainId(1),
        account_id,
        sub_account_id: SubAccountId(0),
        new_pub_key: key.public(),
        fee_token: USDC,
        fee: Fee::closest(Amount(FEE)),
        nonce: Nonce(0),
        key_version: KeyVersion(0),
        eth_auth_data: KeyAuth::Onchain,
    };
    world.authorised.insert(change.chain_id, fee_owner, Nonce(0), &change.new_pub_key);
    let signed = sign(&world, 0xfe, Tx::ChangePubKey(change));
    world.submit(&signed).expect("the fee account gets a key");
    let pay = Tx::Transfer(TransferTx {
        account_id,
        from_sub_account_id: SubAccountId(0),
        to: fee_owner,
        to_sub_account_id: SubAccountId(0),
        token: USDC,
        amount: Amount(ONE / 2),
        fee: Fee::closest(Amount(FEE)),
        nonce: Nonce(0),
        key_version: KeyVersion(1),
    });
    let signed = sign(&world, 0xfe, pay);
    world.submit(&signed).expect("it pays itself");
    let withdraw = Tx::Withdraw(WithdrawTx {
        to_chain_id: ChainId(1),
        account_id,
        sub_account_id: SubAccountId(0),
        to: fee_owner,
        token: USDC,
        amount: Amount(ONE / 2),
        max_fee: Fee::closest(Amount(FEE)),
        nonce: Nonce(1),
        key_version: KeyVersion(1),
    });
    let signed = sign(&world, 0xfe, withdraw);
    world.submit(&signed).expect("it withdraws");
    provable(&world.seal(NANO));
}

#[test]
fn withdrawals_at_the_edges_are_provable() {
    let mut world = world();
    let most = (1 << Amount::POOL_BITS) - 1;
    world.deposit(3, COIN, 1, most).expect("up to the bound of a pool");
    provable(&world.seal(SMALL));
    assert_eq!(world.clone().deposit(3, COIN, 2, 1), Err(Reject::AmountOverflow));
    for (chain, token, amount) in [
        (1, USDC, 0),
        (1, USDC, 10u128.pow(12)),
        (1, USDC, 5 * ONE),
        (3, COIN, 1),
        (3, COIN, most),
        (1, COIN, 4 * ONE),
    ] {
        alone(&world, world.withdraw(1, chain, token, amount, 0)).expect("it is covered");
    }
    let refused = |chain, token, amount| alone(&world, world.withdraw(1, chain, token, amount, 0));
    assert!(matches!(refused(1, USDC, 1), Err(Reject::Dust { .. })));
    assert!(matches!(refused(3, COIN, most + 1), Err(Reject::Reserve { .. })));
    assert!(matches!(refused(2, USDC, ONE), Err(Reject::Reserve { .. })));
    assert!(matches!(refused(3, COIN, u128::MAX), Err(Reject::Balance { .. })));
}

#[test]
fn the_last_nonces_are_provable_and_no_more() {
    let mut world = world();
    edit_counters(&mut world, u32::MAX - 1, u32::MAX);
    apply_key(&mut world, 1, 1);
    let tx = world.transfer(1, Scenario::owner(2), 1, 0);
    world.send(1, tx).expect("the last nonce");
    provable(&world.seal(NANO));
    let tx = world.transfer(1, Scenario::owner(2), 1, 0);
    assert_eq!(world.send(1, tx), Err(Reject::NonceExhausted));
    let key = blocks::change_key(&world, 1, 1);
    world.authorised.insert(key.chain_id, Scenario::owner(1), key.nonce, &key.new_pub_key);
    let signed = sign(&world, 1, Tx::ChangePubKey(key));
    assert_eq!(world.submit(&signed), Err(Reject::NonceExhausted));
}

#[test]
fn the_last_account_and_the_last_chain_are_provable() {
    let mut world = world();
    let op = Op::Deposit(Deposit {
        chain: ChainId(ChainId::MAX),
        account: AccountId(AccountId::COUNT - 1),
        sub_account: SubAccountId(SubAccountId::COUNT - 1),
        token: TokenId(u16::MAX),
        amount: Amount(1),
        owner: Owner { home: ChainId(ChainId::MAX), address: [0xff; 32] },
        refused: false,
    });
    op.apply(&mut world.state).expect("all ids are in range");
    world.open.push((op, None));
    provable(&world.seal(NANO));
    // That the last place is taken does not keep the next newcomer out.
    let free = (0..).find(|id| world.state.account(AccountId(*id)).is_none());
    let tx = world.transfer(1, Scenario::owner(77), 1, 0);
    let Ok(Op::Transfer(made)) = world.send(1, tx) else { panic!("a place is free") };
    assert_eq!(Some(made.to_account.0), free);
}

/// Mostly small numbers, and those around every power of two.
fn extreme() -> impl Strategy<Value = u128> {
    prop_oneof![
        0u128..3,
        (0u32..128, -1i8..=1).prop_map(|(bit, by)| (1u128 << bit).wrapping_add_signed(by.into())),
        (0u128..7).prop_map(|units| units * ONE),
        any::<u128>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// Whatever execution accepts is provable; most of these are refused, and refusing is fine.
    #[test]
    fn operations_with_extreme_values_are_provable(
        amounts in proptest::collection::vec((extreme(), any::<u16>(), 0u8..6, 0u8..32), 24),
    ) {
        let mut world = world();
        let small = shape(SMALL).expect("a known shape");
        for (amount, fee, kind, sub) in amounts {
            let before = world.clone();
            let (me, other) = (Scenario::owner(1), Scenario::owner(3));
            // Most fees are small, so that some are covered.
            let fee = Fee(if fee % 3 == 0 { fee } else { fee >> 8 << 5 });
            let sent = match kind {
                0 => world.deposit(1, USDC, 1, amount),
                1 => world.deposit(2, USDC, 2, amount),
                2 => world.send(1, transfer(&world, 0, me, sub, amount, fee)),
                3 => world.send(1, transfer(&world, sub, other, 0, amount, fee)),
                4 => world.send(1, transfer(&world, 0, Scenario::owner(100 + sub), sub, amount, fee)),
                _ => world.send(1, world.withdraw(1, 1, USDC, amount, fee.amount().0)),
            };
            if sent.is_err() || !world.fits(small) {
                world = before;
            }
        }
        provable(&world.seal(SMALL));
    }

    #[test]
    fn random_blocks_are_provable(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let mut world = Scenario::new();
        let small = shape(SMALL).expect("a known shape");
        let mut blocks = 0;
        while blocks < 3 {
            let before = world.clone();
            if random_op(&mut world, &mut dice).is_ok() && !world.fits(small) {
                world = before;
                provable(&world.seal(SMALL));
                blocks += 1;
            }
        }
    }
}

/// Users 1 to 4; a contract at the address of each, on chain 2; and others.
fn somebody(dice: &mut Dice) -> Owner {
    let n = 1 + dice.below(4) as u8;
    match dice.below(4) {
        0 => Scenario::owner(n),
        1 => Owner::contract(ChainId(2), [n; 20]),
        2 => Owner::contract(ChainId(1 + dice.below(3) as u8), [5 + dice.below(200) as u8; 20]),
        _ => Scenario::owner(5 + dice.below(150) as u8),
    }
}

/// A random operation of the fixtures, or one of those that they do not have: refused deposits, contracts,
/// sub-accounts, payments to oneself.
fn random_op(world: &mut Scenario, dice: &mut Dice) -> Result<Op, Reject> {
    let n = 1 + dice.below(4) as u8;
    let known = world.state.account_of(Scenario::owner(n)).is_some();
    match dice.below(8) {
        0 => world.refuse(1 + dice.below(2) as u8, USDC, dice.roll() as u8, dice.roll().into()),
        1 => deposit_for(world, somebody(dice), dice),
        2 if known => {
            let (from, to) = (dice.below(3) as u8, dice.below(3) as u8);
            let amount = u128::from(dice.below(1 << 40));
            let owner = if from == to { somebody(dice) } else { Scenario::owner(n) };
            let tx = transfer_by(world, n, from, owner, to, amount, Fee(dice.below(64) as u16));
            world.send(n, tx)
        }
        _ => world.random_op(dice),
    }
}

/// A deposit for any owner, to any sub-account.
fn deposit_for(world: &mut Scenario, owner: Owner, dice: &mut Dice) -> Result<Op, Reject> {
    let account = world.state.account_of(owner).map_or_else(|| world.state.next_account(), Ok)?;
    let op = Op::Deposit(Deposit {
        chain: ChainId(1 + dice.below(3) as u8),
        account,
        sub_account: SubAccountId(dice.below(3) as u8),
        token: if dice.below(3) == 0 { COIN } else { USDC },
        amount: Amount(dice.roll().into()),
        owner,
        refused: false,
    });
    op.apply(&mut world.state)?;
    world.open.push((op.clone(), None));
    Ok(op)
}
