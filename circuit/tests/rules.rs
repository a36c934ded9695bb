//! The rules of execution and those of the circuit are the same: what [`Op::apply`] accepts is provable, leads to the
//! root to which execution leads, and can be read from what it publishes; what it rejects is not provable, even if
//! whoever has to sign it does.

#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/cheat.rs"]
mod cheat;
#[path = "support/ops.rs"]
mod ops;

use std::collections::BTreeMap;

use cheat::Cheat;
use ops::{Said, change_key};
use zklink::amount::{Amount, Fee};
use zklink::block::Block;
use zklink::fixtures::{COIN, Dice, ONE, Scenario, USDC};
use zklink::id::{AccountId, ChainId, Nonce, Owner, SubAccountId, TokenId};
use zklink::op::{ChangePubKey, Deposit, Op, Transfer, Withdraw};
use zklink::state::Cell;

/// Users 1 to 3 with accounts 2 to 4, user 3 without a key; account 5 is a contract's; user 1 has a second sub-account.
fn world() -> Scenario {
    let mut world = blocks::world();
    let tx = world.transfer(1, Owner::contract(ChainId(2), [9; 20]), ONE, 0);
    world.send(1, tx).expect("to a new contract");
    let op = Op::Deposit(Deposit {
        sub_account: SubAccountId(1),
        ..ops::deposit(2, 3 * ONE, Scenario::owner(1))
    });
    op.apply(&mut world.state).expect("a deposit");
    world.open.push((op, None));
    world.seal(zklink::shape::SMALL);
    world
}

fn one_of<T: Copy>(dice: &mut Dice, list: &[T]) -> T {
    list[dice.below(list.len() as u64) as usize]
}

fn account(dice: &mut Dice) -> AccountId {
    AccountId(one_of(dice, &[2, 2, 2, 3, 3, 4, 5, 6, 0, AccountId::COUNT - 1]))
}

fn sub_account(dice: &mut Dice) -> SubAccountId {
    SubAccountId(one_of(dice, &[0, 0, 0, 1, 31]))
}

fn token(dice: &mut Dice) -> TokenId {
    one_of(dice, &[USDC, USDC, USDC, COIN, TokenId(0), TokenId(u16::MAX)])
}

fn amount(dice: &mut Dice) -> u128 {
    let most = 1 << Amount::POOL_BITS;
    one_of(dice, &[0, 1, ONE, ONE, 3 * ONE, 4 * ONE, 5 * ONE, most - 1, most, u128::MAX])
}

fn fee(dice: &mut Dice) -> Fee {
    one_of(dice, &[Fee::ZERO, Fee(3), Fee(32), Fee(1 << 5 | 18), Fee(10 << 5 | 1), Fee(u16::MAX)])
}

fn chain(dice: &mut Dice) -> ChainId {
    ChainId(one_of(dice, &[1, 1, 1, 2, 63, 0]))
}

fn owner(dice: &mut Dice) -> Owner {
    let top_only = Owner::join(ChainId(0), 1, [0; 31]);
    let low_only = Owner::join(ChainId(0), 0, [1; 31]);
    one_of(
        dice,
        &[
            Scenario::owner(1),
            Scenario::owner(2),
            Scenario::owner(9),
            Owner::contract(ChainId(2), [9; 20]),
            Owner::contract(ChainId(63), [1; 20]),
            Owner::NONE,
            Owner { home: ChainId(1), ..Owner::NONE },
            top_only,
            low_only,
        ],
    )
}

fn random_op(world: &Scenario, dice: &mut Dice) -> Op {
    match dice.below(5) {
        0 => {
            let account = account(dice);
            let known = ops::owner_of(world, account.0);
            let refused = dice.below(4) == 0;
            Op::Deposit(Deposit {
                chain: chain(dice),
                account: if refused && dice.below(2) == 0 { AccountId(0) } else { account },
                sub_account: sub_account(dice),
                token: token(dice),
                amount: Amount(amount(dice)),
                owner: if dice.below(2) == 0 { known } else { owner(dice) },
                refused,
            })
        }
        1 | 2 => Op::Transfer(Transfer {
            account: account(dice),
            sub_account: sub_account(dice),
            to_account: account(dice),
            to_sub_account: sub_account(dice),
            token: token(dice),
            amount: Amount(amount(dice)),
            fee: fee(dice),
            new_owner: (dice.below(3) == 0).then(|| owner(dice)),
        }),
        3 => Op::Withdraw(Withdraw {
            chain: chain(dice),
            account: account(dice),
            sub_account: sub_account(dice),
            token: token(dice),
            l1_amount: one_of(dice, &[0, 1, 3, ONE, 4 * ONE, u128::MAX]),
            scale: one_of(dice, &[0, 0, 12, 18, 18, 19, 31]),
            fee: fee(dice),
            to: owner(dice),
        }),
        _ => {
            let honest = change_key(world, account(dice).0, 7);
            Op::ChangePubKey(ChangePubKey {
                chain: chain(dice),
                sub_account: sub_account(dice),
                fee_token: token(dice),
                fee: fee(dice),
                nonce: if dice.below(4) == 0 { Nonce(2) } else { honest.nonce },
                owner: if dice.below(4) == 0 { owner(dice) } else { honest.owner },
                ..honest
            })
        }
    }
}

/// The sub-accounts of an account with their tokens.
type SubsOf<'a> = Vec<(u8, &'a [TokenId])>;

/// A block of the operation alone over the leaves that it touches, signed by whoever has to.
fn block(world: &Scenario, op: &Op) -> Cheat {
    let mut accounts: BTreeMap<u32, BTreeMap<u8, Vec<TokenId>>> = BTreeMap::new();
    let mut chains: BTreeMap<u8, Vec<TokenId>> = BTreeMap::new();
    for cell in op.cells(world.state.system.fee_account) {
        match cell {
            Cell::Balance(account, sub, token) => {
                accounts.entry(account.0).or_default().entry(sub.0).or_default().push(token);
            }
            Cell::Pool(chain, token) => chains.entry(chain.0).or_default().push(token),
            Cell::Cursor(chain) => drop(chains.entry(chain.0).or_default()),
        }
    }
    let subs: Vec<(u32, SubsOf<'_>)> = accounts
        .iter()
        .map(|(id, subs)| (*id, subs.iter().map(|(sub, tokens)| (*sub, &tokens[..])).collect()))
        .collect();
    let accounts: Vec<_> = subs.iter().map(|(id, subs)| (*id, &subs[..])).collect();
    let chains: Vec<_> = chains.iter().map(|(id, tokens)| (*id, &tokens[..])).collect();
    let cheat = Cheat::open(world, &accounts, &chains);
    let signer = |account: AccountId| account.0.clamp(2, 4) as u8 - 1;
    let n = match op {
        Op::Deposit(op) => return cheat.queue(*op, 0),
        Op::Transfer(op) => signer(op.account),
        Op::Withdraw(op) => signer(op.account),
        Op::ChangePubKey(_) => 7,
    };
    let said = Said::next(world, op);
    cheat.signed(op.clone(), said.by(n, op), said.to)
}

/// Whether execution accepts it; the circuit must agree.
fn agree(world: &Scenario, op: &Op) -> bool {
    let mut state = world.state.clone();
    let applied = op.apply(&mut state);
    let cheat = block(world, op).settle();
    let failures = cheat.failures();
    assert_eq!(failures.is_empty(), applied.is_ok(), "{op:?}: {applied:?}, {failures:?}");
    if applied.is_err() {
        return false;
    }
    let number = state.system.number.next().expect("few blocks");
    let cells = op.cells(state.system.fee_account);
    state.end_block(number, cheat.witness.timestamp);
    let mut tree = world.tree.clone();
    tree.update(&state, &cells);
    let published = cheat.published();
    assert_eq!(published.vectors.onchain[1], tree.root(), "{op:?}");
    let block = Block::decode(&published.vectors).expect("it can be read");
    assert_eq!(block.ops, std::slice::from_ref(op));
    assert_eq!((block.head.number, block.head.new_root), (number, tree.root()));
    assert_eq!(block.public_data(), published.vectors);
    true
}

/// So many of each are tried.
const ACCEPTED: usize = 30;
/// Most operations are rejected.
const REJECTED: usize = 50;

#[test]
fn the_circuit_accepts_exactly_what_execution_accepts() {
    let world = world();
    let mut dice = Dice::new(20);
    let (mut accepted, mut rejected) = (0, 0);
    while accepted < ACCEPTED || rejected < REJECTED {
        let op = random_op(&world, &mut dice);
        let fine = op.apply(&mut world.state.clone()).is_ok();
        let wanted = if fine { accepted < ACCEPTED } else { rejected < REJECTED };
        if wanted {
            agree(&world, &op);
            *if fine { &mut accepted } else { &mut rejected } += 1;
        }
    }
}
