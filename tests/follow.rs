//! Whoever follows the rollup relies on the proof for signatures and on replay for the rest: a block that does not
//! follow the state, has another form than its shape or breaks a rule of an operation is refused with the reason.

use zklink::amount::{Amount, Fee};
use zklink::block::{Block, BlockError, Head};
use zklink::commitment::StateTree;
use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, BlockNumber, ChainId, Nonce, Owner, ShapeId, SubAccountId, TokenId};
use zklink::op::{ChangePubKey, Deposit, Op, Transfer, Withdraw};
use zklink::reject::Reject;
use zklink::shape::{NANO, SMALL};
use zklink::state::State;

const PAYER: AccountId = AccountId(2);
const OTHER: AccountId = AccountId(3);
/// Has an owner and no key.
const KEYLESS: AccountId = AccountId(4);
const NOBODY: AccountId = AccountId(77);
const SUB: SubAccountId = SubAccountId(0);

/// Users 1 and 2 have keys and 1000 USDC each on chain 1, user 3 has 5 COIN; all of it is in the block before.
fn world() -> Scenario {
    let mut world = Scenario::new();
    for user in [1, 2] {
        world.deposit(1, USDC, user, 1_000_000_000).expect("it is in order");
        world.set_key(user).expect("it is authorised");
    }
    world.deposit(1, COIN, 3, 5 * ONE).expect("it is in order");
    world.seal(SMALL);
    world
}

fn deposit() -> Deposit {
    Deposit {
        chain: ChainId(1),
        account: PAYER,
        sub_account: SUB,
        token: USDC,
        amount: Amount(ONE),
        owner: Scenario::owner(1),
        refused: false,
    }
}

fn transfer() -> Transfer {
    Transfer {
        account: PAYER,
        sub_account: SUB,
        to_account: OTHER,
        to_sub_account: SubAccountId(31),
        token: USDC,
        amount: Amount(ONE),
        fee: Fee::closest(Amount(ONE / 10)),
        new_owner: None,
    }
}

fn to_new() -> Transfer {
    Transfer { to_account: NOBODY, new_owner: Some(Scenario::owner(9)), ..transfer() }
}

fn withdraw() -> Withdraw {
    Withdraw {
        chain: ChainId(1),
        account: PAYER,
        sub_account: SUB,
        token: USDC,
        l1_amount: 5,
        scale: 12,
        fee: Fee::ZERO,
        to: Scenario::owner(1),
    }
}

fn change() -> ChangePubKey {
    ChangePubKey {
        chain: ChainId(1),
        account: PAYER,
        sub_account: SUB,
        fee_token: USDC,
        fee: Fee::ZERO,
        nonce: Nonce(1),
        owner: Scenario::owner(1),
        key: Scenario::key(7).public(),
    }
}

/// A block with these operations that follows the state, whose new root is not known.
fn block(world: &Scenario, ops: Vec<Op>) -> Block {
    let old_root = StateTree::of(&world.state).root();
    let number = world.state.system.number.next().expect("few blocks");
    let timestamp = world.state.system.timestamp;
    Block { head: Head { number, timestamp, shape: SMALL, old_root, new_root: Fr::zero() }, ops }
}

fn replay(world: &Scenario, block: &Block) -> Result<State, BlockError> {
    let mut state = world.state.clone();
    let mut tree = StateTree::of(&state);
    block.replay(&mut state, &mut tree)?;
    assert_eq!(tree.root(), StateTree::of(&state).root());
    Ok(state)
}

/// The block with the root to which its operations lead.
fn completed(world: &Scenario, mut block: Block) -> Block {
    let mut state = world.state.clone();
    for op in &block.ops {
        op.apply(&mut state).expect("it is in order");
    }
    state.end_block(block.head.number, block.head.timestamp);
    block.head.new_root = StateTree::of(&state).root();
    block
}

#[test]
fn a_block_in_order_is_replayed() {
    let world = world();
    let ops = vec![
        Op::Deposit(deposit()),
        Op::Transfer(transfer()),
        Op::Transfer(to_new()),
        Op::Withdraw(withdraw()),
        Op::ChangePubKey(change()),
    ];
    let block = completed(&world, block(&world, ops));
    let after = replay(&world, &block).expect("it is in order");
    assert_eq!(after.system.number, block.head.number);
    let new = after.account(NOBODY).expect("a transfer made it");
    assert_eq!((new.owner, new.created), (Scenario::owner(9), world.state.system.timestamp));
    assert_eq!((new.key, new.nonce), (None, Nonce(0)));
    let payer = after.account(PAYER).expect("it is there");
    assert_eq!((payer.nonce, payer.key_version.0), (Nonce(2), 2));
    assert_eq!(payer.key, Some(Scenario::key(7).public()));
    assert_eq!(payer.sub_accounts[&SUB].nonce, Nonce(3));
    assert_eq!(after.balance(OTHER, SubAccountId(31), USDC), Amount(ONE));
    let fees = 2 * (ONE / 10);
    assert_eq!(after.balance(AccountId(0), SUB, USDC), Amount(fees));
    let paid_out = 5 * 10u128.pow(12);
    let left = 1000 * ONE + ONE - 2 * ONE - fees - paid_out;
    assert_eq!(after.balance(PAYER, SUB, USDC), Amount(left));
    assert_eq!(after.pool(ChainId(1), USDC), Amount(2001 * ONE - paid_out));
    assert_eq!(after.cursor(ChainId(1)).0, world.state.cursor(ChainId(1)).0 + 1);
}

#[test]
fn a_block_that_does_not_follow_is_refused() {
    let mut world = world();
    world.state.end_block(BlockNumber(5), 1000);
    let good = completed(&world, block(&world, Vec::new()));
    assert!(replay(&world, &good).is_ok());
    for number in [0, 4, 5, 7, u32::MAX] {
        let mut late = good.clone();
        late.head.number = BlockNumber(number);
        let late = completed(&world, late);
        assert_eq!(replay(&world, &late), Err(BlockError::Order(BlockNumber(number))));
    }
    let at = |timestamp| {
        let mut block = good.clone();
        block.head.timestamp = timestamp;
        replay(&world, &completed(&world, block))
    };
    assert_eq!(at(999), Err(BlockError::Order(BlockNumber(6))), "the time goes back");
    assert!(at(1000).is_ok() && at(1001).is_ok() && at(u64::MAX).is_ok());
    // No number follows the last one.
    world.state.end_block(BlockNumber(u32::MAX), 1000);
    let mut after_last = good;
    after_last.head.old_root = StateTree::of(&world.state).root();
    for number in [0, u32::MAX] {
        after_last.head.number = BlockNumber(number);
        let wanted = Err(BlockError::Order(BlockNumber(number)));
        assert_eq!(replay(&world, &after_last), wanted);
    }
}

#[test]
fn roots_are_compared_on_both_sides() {
    let world = world();
    let good = completed(&world, block(&world, vec![Op::Transfer(transfer())]));
    assert!(replay(&world, &good).is_ok());
    let wrong = Err(BlockError::Root(good.head.number));
    let mut other = good.clone();
    other.head.old_root += Fr::one();
    assert_eq!(replay(&world, &other), wrong);
    let mut other = good.clone();
    other.head.new_root += Fr::one();
    assert_eq!(replay(&world, &other), wrong);
    let mut other = good;
    other.head.timestamp += 1;
    assert_eq!(replay(&world, &other), wrong, "the time is in the root");
}

#[test]
fn operations_that_do_not_fit_the_shape_are_refused() {
    let world = world();
    let full = |shape| Err(BlockError::Full(shape));
    // One too many of the signed ones, and of the queue.
    for op in [Op::Transfer(transfer()), Op::Deposit(deposit())] {
        let fits = block(&world, vec![op.clone(); 8]);
        assert!(replay(&world, &completed(&world, fits)).is_ok(), "eight fit");
        assert_eq!(replay(&world, &block(&world, vec![op; 9])), full(SMALL));
    }
    // Sub-accounts, tokens and chains have their counts too.
    let to = |sub| Op::Transfer(Transfer { to_sub_account: SubAccountId(sub), ..transfer() });
    let mut wide = block(&world, (0..4).map(to).collect());
    assert!(replay(&world, &completed(&world, wide.clone())).is_ok());
    wide.head.shape = NANO;
    assert_eq!(replay(&world, &wide), full(NANO));
    let mut unknown = block(&world, Vec::new());
    unknown.head.shape = ShapeId(999);
    assert_eq!(replay(&world, &unknown), Err(BlockError::Shape(ShapeId(999))));
    assert_eq!(unknown.digest(), Err(BlockError::Shape(ShapeId(999))));
    let many = block(&world, vec![Op::Transfer(transfer()); 9]);
    assert_eq!(many.digest(), Err(BlockError::Full(SMALL)));
    assert_eq!(many.public_inputs(), Err(BlockError::Full(SMALL)));
}

#[test]
fn ids_outside_of_the_trees_are_refused_before_anything_happens() {
    let world = world();
    let (account, sub) = (AccountId(AccountId::COUNT), SubAccountId(SubAccountId::COUNT));
    let (chain, none) = (ChainId(64), ChainId(0));
    let outside = [
        Op::Deposit(Deposit { account, ..deposit() }),
        Op::Deposit(Deposit { sub_account: sub, ..deposit() }),
        Op::Deposit(Deposit { chain, ..deposit() }),
        Op::Deposit(Deposit { chain: none, ..deposit() }),
        Op::Deposit(Deposit { chain, account: AccountId(0), refused: true, ..deposit() }),
        Op::Deposit(Deposit { account, refused: true, ..deposit() }),
        Op::Transfer(Transfer { account, ..transfer() }),
        Op::Transfer(Transfer { sub_account: sub, ..transfer() }),
        Op::Transfer(Transfer { to_account: account, ..transfer() }),
        Op::Transfer(Transfer { to_sub_account: sub, ..transfer() }),
        Op::Withdraw(Withdraw { account, ..withdraw() }),
        Op::Withdraw(Withdraw { sub_account: sub, ..withdraw() }),
        Op::Withdraw(Withdraw { chain, ..withdraw() }),
        Op::Withdraw(Withdraw { chain: none, ..withdraw() }),
        Op::ChangePubKey(ChangePubKey { account, ..change() }),
        Op::ChangePubKey(ChangePubKey { sub_account: sub, ..change() }),
    ];
    for op in outside {
        let block = block(&world, vec![Op::Deposit(deposit()), op.clone()]);
        let refused = Err(BlockError::Form { index: 1 });
        assert_eq!(block.check_form(AccountId(0)), refused.clone().map(drop::<()>), "{op:?}");
        assert_eq!(replay(&world, &block).map(drop), refused, "{op:?}");
    }
}

/// An operation, and why no state like that of the tests admits it.
fn broken() -> Vec<(Op, Reject)> {
    let mismatch = Reject::OwnerMismatch;
    let outside = Owner { home: ChainId(64), ..Scenario::owner(1) };
    let contract = Owner::contract(ChainId(1), [1; 20]);
    let refuse = |deposit: Deposit| Op::Deposit(Deposit { refused: true, ..deposit });
    let all = Amount(1000 * ONE);
    let mut broken = vec![
        (Op::Deposit(Deposit { owner: Owner::NONE, ..deposit() }), Reject::BadReceiver),
        (Op::Deposit(Deposit { owner: outside, ..deposit() }), Reject::BadReceiver),
        (Op::Deposit(Deposit { owner: contract, ..deposit() }), mismatch(PAYER)),
        (Op::Deposit(Deposit { account: OTHER, ..deposit() }), mismatch(OTHER)),
        (Op::Deposit(Deposit { amount: Amount(1 << 121), ..deposit() }), Reject::AmountOverflow),
        (Op::Deposit(Deposit { amount: Amount(u128::MAX), ..deposit() }), Reject::AmountOverflow),
        (refuse(deposit()), Reject::BadAccount(PAYER)),
        (
            refuse(Deposit { account: AccountId(0), owner: outside, ..deposit() }),
            Reject::BadReceiver,
        ),
        (
            refuse(Deposit { account: AccountId(0), sub_account: SubAccountId(32), ..deposit() }),
            Reject::BadSubAccount(SubAccountId(32)),
        ),
        (
            Op::ChangePubKey(ChangePubKey { chain: ChainId(0), ..change() }),
            Reject::UnknownChain(ChainId(0)),
        ),
        (
            Op::ChangePubKey(ChangePubKey { chain: ChainId(64), ..change() }),
            Reject::UnknownChain(ChainId(64)),
        ),
        (
            Op::ChangePubKey(ChangePubKey { account: NOBODY, ..change() }),
            Reject::AccountNotFound(NOBODY),
        ),
        (Op::ChangePubKey(ChangePubKey { owner: Scenario::owner(2), ..change() }), mismatch(PAYER)),
        (Op::ChangePubKey(ChangePubKey { owner: contract, ..change() }), mismatch(PAYER)),
        (
            Op::ChangePubKey(ChangePubKey { fee: Fee::closest(Amount(1001 * ONE)), ..change() }),
            Reject::Balance { available: all, needed: Amount(1001 * ONE) },
        ),
    ];
    for found in [Nonce(0), Nonce(2)] {
        let expected = Nonce(1);
        let op = Op::ChangePubKey(ChangePubKey { nonce: found, ..change() });
        broken.push((op, Reject::Nonce { expected, found }));
    }
    broken
}

fn broken_transfers() -> Vec<(Op, Reject)> {
    let fee = transfer().fee.amount();
    let outside = Owner { home: ChainId(64), ..Scenario::owner(9) };
    let all = Amount(1000 * ONE);
    let needed = Amount(all.0 + fee.0);
    vec![
        (Op::Transfer(Transfer { new_owner: Some(Owner::NONE), ..to_new() }), Reject::BadReceiver),
        (Op::Transfer(Transfer { new_owner: Some(outside), ..to_new() }), Reject::BadReceiver),
        (Op::Transfer(Transfer { account: NOBODY, ..transfer() }), Reject::AccountNotFound(NOBODY)),
        (Op::Transfer(Transfer { account: KEYLESS, ..transfer() }), Reject::KeyNotSet(KEYLESS)),
        (
            Op::Transfer(Transfer { to_account: NOBODY, ..transfer() }),
            Reject::AccountNotFound(NOBODY),
        ),
        // A transfer to a new receiver makes an account where there is none.
        (Op::Transfer(Transfer { to_account: OTHER, ..to_new() }), Reject::OwnerMismatch(OTHER)),
        (
            Op::Transfer(Transfer {
                to_account: OTHER,
                new_owner: Some(Scenario::owner(2)),
                ..to_new()
            }),
            Reject::OwnerMismatch(OTHER),
        ),
        (
            Op::Transfer(Transfer { amount: Amount(u128::MAX), ..transfer() }),
            Reject::AmountOverflow,
        ),
        (
            Op::Transfer(Transfer { amount: all, ..transfer() }),
            Reject::Balance { available: all, needed },
        ),
        (
            Op::Transfer(Transfer { token: TokenId(0), ..transfer() }),
            Reject::Balance { available: Amount(0), needed: Amount(ONE + fee.0) },
        ),
        (
            Op::Transfer(Transfer { sub_account: SubAccountId(1), ..transfer() }),
            Reject::Balance { available: Amount(0), needed: Amount(ONE + fee.0) },
        ),
    ]
}

fn broken_withdrawals() -> Vec<(Op, Reject)> {
    let all = 1000 * ONE;
    let contract = Owner::contract(ChainId(1), [1; 20]);
    let needed = Amount(5 * 10u128.pow(12));
    vec![
        (Op::Withdraw(Withdraw { to: Owner::NONE, ..withdraw() }), Reject::BadReceiver),
        (Op::Withdraw(Withdraw { to: contract, ..withdraw() }), Reject::BadReceiver),
        (Op::Withdraw(Withdraw { scale: 19, ..withdraw() }), Reject::AmountOverflow),
        (Op::Withdraw(Withdraw { l1_amount: u128::MAX, ..withdraw() }), Reject::AmountOverflow),
        (Op::Withdraw(Withdraw { account: NOBODY, ..withdraw() }), Reject::AccountNotFound(NOBODY)),
        (Op::Withdraw(Withdraw { account: KEYLESS, ..withdraw() }), Reject::KeyNotSet(KEYLESS)),
        (
            Op::Withdraw(Withdraw { l1_amount: 1001, scale: 18, ..withdraw() }),
            Reject::Balance { available: Amount(all), needed: Amount(1001 * ONE) },
        ),
        (
            Op::Withdraw(Withdraw {
                l1_amount: 1000,
                scale: 18,
                fee: transfer().fee,
                ..withdraw()
            }),
            Reject::Balance {
                available: Amount(all),
                needed: Amount(all + transfer().fee.amount().0),
            },
        ),
        (
            Op::Withdraw(Withdraw { chain: ChainId(2), ..withdraw() }),
            Reject::Reserve { chain: ChainId(2), token: USDC, available: Amount(0), needed },
        ),
    ]
}

#[test]
fn every_rule_of_an_operation_is_a_rule_of_replay() {
    let world = world();
    let coin = Deposit { token: COIN, account: KEYLESS, owner: Scenario::owner(3), ..deposit() };
    let all = broken().into_iter().chain(broken_transfers()).chain(broken_withdrawals());
    for (op, reject) in all {
        let block = block(&world, vec![Op::Deposit(coin), op.clone()]);
        let refused = Err(BlockError::Op { index: 1, reject: reject.clone() });
        assert_eq!(replay(&world, &block), refused, "{op:?}");
        let mut state = world.state.clone();
        assert_eq!(op.apply(&mut state), Err(reject));
        assert_eq!(state, world.state, "a rejection changes nothing: {op:?}");
    }
}

#[test]
fn a_pool_has_121_bits() {
    let mut world = world();
    let room = (1 << Amount::POOL_BITS) - world.state.pool(ChainId(1), USDC).0;
    let above = Op::Deposit(Deposit { amount: Amount(room), ..deposit() });
    assert_eq!(above.apply(&mut world.state), Err(Reject::AmountOverflow));
    let last = Op::Deposit(Deposit { amount: Amount(room - 1), ..deposit() });
    assert_eq!(last.apply(&mut world.state), Ok(()));
    assert_eq!(world.state.pool(ChainId(1), USDC).0, (1 << 121) - 1);
    let one = Op::Deposit(Deposit { amount: Amount(1), ..deposit() });
    assert_eq!(one.apply(&mut world.state), Err(Reject::AmountOverflow));
}

/// What a refused deposit says of its receiver does not matter, as long as circuit and words can hold it.
#[test]
fn a_refused_deposit_moves_the_cursor_and_nothing_else() {
    let mut world = world();
    let before = world.state.clone();
    let owners = [Scenario::owner(1), Owner::NONE, Owner::contract(ChainId(63), [9; 20])];
    for (count, owner) in owners.into_iter().enumerate() {
        let amount = Amount(u128::MAX);
        let op = Deposit { account: AccountId(0), owner, amount, refused: true, ..deposit() };
        assert_eq!(Op::Deposit(op).apply(&mut world.state), Ok(()));
        let serial = before.cursor(ChainId(1)).0 + 1 + count as u64;
        assert_eq!(world.state.cursor(ChainId(1)).0, serial);
    }
    let accounts = |state: &State| -> Vec<_> {
        state.accounts().map(|(id, account)| (id, account.clone())).collect()
    };
    assert_eq!(accounts(&world.state), accounts(&before));
    let pools = |state: &State| state.chain(ChainId(1)).expect("it has deposits").pools.clone();
    assert_eq!(pools(&world.state), pools(&before));
    assert_eq!(world.state.fees(), before.fees());
    // It follows in a block, and the words tell it from one that is credited.
    let op = Deposit { account: AccountId(0), refused: true, ..deposit() };
    let block = completed(&world, block(&world, vec![Op::Deposit(op)]));
    assert!(replay(&world, &block).is_ok());
    assert_eq!(Block::decode(&block.public_data()), Ok(block));
    assert_eq!(Op::Deposit(op).cells(AccountId(0)).len(), 1);
}
