//! The root of the state, and paths below it.

use std::collections::BTreeMap;

use zklink::amount::Amount;
use zklink::commitment::{StateTree, account_leaf, amount_to_fr, chain_leaf, order_slot_leaf};
use zklink::fixtures::{COIN, Dice, ONE, Scenario, USDC};
use zklink::hash::{Domain, Fr, compress4, hash_many};
use zklink::id::{AccountId, ChainId, Nonce, Owner, Serial, SubAccountId, TokenId};
use zklink::layout::low_word;
use zklink::op::{Deposit, Op, Transfer};
use zklink::shape::{MEDIUM, SMALL, shape};
use zklink::state::{Account, OrderSlot, State, SubAccount};
use zklink::tree::root_of;

/// The root of a tree of four children a node, hashed level by level.
fn merkle(depth: usize, empty: Fr, leaves: &BTreeMap<u64, Fr>) -> Fr {
    let (mut level, mut empty) = (leaves.clone(), empty);
    for _ in 0..depth {
        let mut above = BTreeMap::new();
        for parent in level.keys().map(|index| index / 4) {
            let child = |at| level.get(&(4 * parent + at)).copied().unwrap_or(empty);
            above.insert(parent, compress4(Domain::Node, [0, 1, 2, 3].map(child)));
        }
        empty = compress4(Domain::Node, [empty; 4]);
        level = above;
    }
    level.get(&0).copied().unwrap_or(empty)
}

fn number(value: u128) -> Fr {
    let high = Fr::from((value >> 64) as u64);
    high * power(64) + Fr::from(value as u64)
}

fn power(exponent: u64) -> Fr {
    Fr::from(2).pow_vartime(&[exponent, 0, 0, 0])
}

fn amounts<'a>(of: impl IntoIterator<Item = (&'a TokenId, &'a Amount)>) -> Fr {
    let leaves = of.into_iter().map(|(token, amount)| (u64::from(token.0), number(amount.0)));
    merkle(8, Fr::zero(), &leaves.collect())
}

/// `nonce4 epoch4 amount16`, from the top of 31 bytes.
fn order(slot: &OrderSlot) -> Fr {
    number(slot.nonce.0.into()) * power(216)
        + number(slot.epoch.into()) * power(184)
        + number(slot.remaining.0) * power(56)
}

fn sub_leaf(sub: &SubAccount) -> Fr {
    let slots = sub.slots.iter().map(|(id, slot)| (u64::from(id.0), order(slot)));
    let slots = merkle(5, Fr::zero(), &slots.collect());
    let rest = compress4(Domain::SubAccountRest, [Fr::zero(); 4]);
    let counters = number(sub.nonce.0.into()) + number(sub.epoch.into()) * power(32);
    compress4(Domain::SubAccountLeaf, [amounts(&sub.balances), slots, rest, counters])
}

/// The leaf: `home1 owner_top1 created8 recipient_home1 recipient_top1 key_version4 nonce4`, owner, recipient, key,
/// subs.
fn leaf(account: &Account) -> Fr {
    let subs = account.sub_accounts.iter().map(|(id, sub)| (u64::from(id.0), sub_leaf(sub)));
    let subs = merkle(3, sub_leaf(&SubAccount::default()), &subs.collect());
    let (owner, recipient) = (account.owner, account.recipient);
    let fields: [(u128, u64); 7] = [
        (owner.home.0.into(), 1),
        (owner.address[0].into(), 1),
        (account.created.into(), 8),
        (recipient.home.0.into(), 1),
        (recipient.address[0].into(), 1),
        (account.key_version.0.into(), 4),
        (account.nonce.0.into(), 4),
    ];
    let mut head = Fr::zero();
    let mut bits = 248;
    for (value, bytes) in fields {
        bits -= 8 * bytes;
        head += number(value) * power(bits);
    }
    let low = |owner: Owner| {
        owner.address[1..]
            .iter()
            .fold(Fr::zero(), |sum, byte| sum * Fr::from(256) + Fr::from(u64::from(*byte)))
    };
    let key = account.key.map_or([Fr::zero(); 2], |key| [key.x(), key.y()]);
    let words = [head, low(owner), low(recipient), key[0], key[1], subs];
    hash_many(Domain::AccountLeaf, &words)
}

fn naive_root(state: &State) -> Fr {
    let accounts = state.accounts().map(|(id, account)| (u64::from(id.0), leaf(account)));
    let accounts = merkle(12, leaf(&Account::default()), &accounts.collect());
    let chain = |cursor: u64, pools: Fr| {
        compress4(Domain::ChainLeaf, [Fr::from(cursor), pools, Fr::zero(), Fr::zero()])
    };
    let chains = state.chains();
    let chains = chains.map(|(id, of)| (u64::from(id.0), chain(of.cursor.0, amounts(&of.pools))));
    let chains = merkle(3, chain(0, amounts(&BTreeMap::new())), &chains.collect());
    let markets = merkle(8, Fr::zero(), &BTreeMap::new());
    let system = &state.system;
    let clock = number(system.number.0.into()) + Fr::from(system.timestamp) * power(32);
    let operator =
        number(system.fee_account.0.into()) + number(system.insurance_account.0.into()) * power(32);
    let deployment = low_word(system.deployment.0);
    let system = compress4(Domain::System, [clock, operator, deployment, Fr::zero()]);
    compress4(Domain::StateRoot, [accounts, chains, markets, system])
}

/// A state with all that a state can have: order slots and recipients, which no operation makes yet, are edited in.
fn rich() -> Scenario {
    let mut world = Scenario::new();
    let mut dice = Dice::new(3);
    for _ in 0..60 {
        let before = world.clone();
        if world.random_op(&mut dice).is_ok()
            && !world.fits(shape(SMALL).expect("the test gives a right value"))
        {
            world = before;
            world.seal(SMALL);
        }
    }
    world.deposit(1, COIN, 1, ONE).expect("it is in order");
    world.state.system.timestamp = u64::MAX - 5;
    let mut stored = serde_json::to_value(&world.state).expect("a state can be stored");
    let account = &mut stored["accounts"]["2"];
    account["recipient"] = format!("0x{}@3", "b7".repeat(32)).into();
    account["owner"] = format!("0x{}@2", "a9".repeat(32)).into();
    account["created"] = (1u64 << 40).into();
    let sub = &mut account["sub_accounts"]["0"];
    sub["epoch"] = 3.into();
    sub["slots"] = serde_json::json!({
        "0": {"nonce": 1, "epoch": 2, "remaining": "340282366920938463463374607431768211455"},
        "1023": {"nonce": u32::MAX, "epoch": u32::MAX, "remaining": "7"},
    });
    world.state = serde_json::from_value(stored).expect("the edited state can be read");
    world.state.rebuild_index();
    world
}

#[test]
fn the_root_is_what_its_description_says() {
    for state in [State::default(), Scenario::new().state, rich().state] {
        assert_eq!(StateTree::of(&state).root(), naive_root(&state));
    }
    let slot = OrderSlot { nonce: Nonce(7), epoch: 9, remaining: Amount(11) };
    assert_eq!(order_slot_leaf(&slot), order(&slot));
    assert_eq!(order_slot_leaf(&OrderSlot::default()), Fr::zero(), "a fresh slot is zero");
    assert_eq!(amount_to_fr(Amount(u128::MAX)), number(u128::MAX));
}

#[test]
fn paths_lead_from_every_leaf_to_the_root() {
    let state = rich().state;
    let mut tree = StateTree::of(&state);
    let [accounts, chains, markets, _] = tree.parts();
    assert_eq!(markets, merkle(8, Fr::zero(), &BTreeMap::new()));
    for (id, account) in state.accounts() {
        for (sub_id, sub) in &account.sub_accounts {
            for (token, amount) in &sub.balances {
                let path = tree.balance_path(id, *sub_id, *token);
                let root = root_of(&path, token.0.into(), number(amount.0));
                assert_eq!(tree.balances_root(id, *sub_id), root);
                assert_eq!(tree.sub_account_roots(id, *sub_id).balances, root);
            }
            let path = tree.sub_account_path(id, *sub_id);
            let root = root_of(&path, sub_id.0.into(), sub_leaf(sub));
            assert_eq!(tree.sub_accounts_root(id), root);
        }
        let own = account_leaf(account, tree.sub_accounts_root(id));
        assert_eq!(own, leaf(account));
        assert_eq!(root_of(&tree.account_path(id), id.0.into(), own), accounts);
    }
    for (id, chain) in state.chains() {
        for (token, amount) in &chain.pools {
            let path = tree.pool_path(id, *token);
            assert_eq!(tree.pools_root(id), root_of(&path, token.0.into(), number(amount.0)));
        }
        let own = chain_leaf(chain.cursor, tree.pools_root(id), Fr::zero());
        assert_eq!(root_of(&tree.chain_path(id), id.0.into(), own), chains);
    }
}

/// What a witness is made of: the opened tree goes with the whole one, before the block and after.
#[test]
fn an_opened_tree_follows_the_cells_that_it_opens() {
    let world = rich();
    let mut state = world.state.clone();
    let mut whole = StateTree::of(&state);
    let last = AccountId(AccountId::COUNT - 1);
    let payer = state.accounts().find(|(_, account)| account.key.is_some());
    let (payer, _) = payer.expect("some users have keys");
    let ops = [
        Op::Deposit(Deposit {
            chain: ChainId(3),
            account: last,
            sub_account: SubAccountId(31),
            token: COIN,
            amount: Amount(ONE),
            owner: Scenario::owner(99),
            refused: false,
        }),
        Op::Transfer(Transfer {
            account: payer,
            sub_account: SubAccountId(0),
            to_account: AccountId(2),
            to_sub_account: SubAccountId(0),
            token: USDC,
            amount: Amount(0),
            fee: zklink::amount::Fee::ZERO,
            new_owner: None,
        }),
    ];
    let cells = ops.iter().flat_map(|op| op.cells(AccountId(0))).collect();
    let set =
        shape(MEDIUM).expect("the test gives a right value").working_set(&cells).expect("it fits");
    let mut opened = whole.opened(&set.places());
    assert_eq!(opened.root(), whole.root());
    for (id, sub, token) in &set.balances {
        assert_eq!(opened.balance_path(*id, *sub, *token), whole.balance_path(*id, *sub, *token));
    }
    for (id, sub) in &set.sub_accounts {
        assert_eq!(opened.sub_account_path(*id, *sub), whole.sub_account_path(*id, *sub));
        assert_eq!(opened.sub_account_roots(*id, *sub), whole.sub_account_roots(*id, *sub));
    }
    for id in &set.accounts {
        assert_eq!(opened.account_path(*id), whole.account_path(*id));
    }
    for (chain, token) in &set.pools {
        assert_eq!(opened.pool_path(*chain, *token), whole.pool_path(*chain, *token));
    }
    for chain in &set.chains {
        assert_eq!(opened.chain_path(*chain), whole.chain_path(*chain));
    }
    for op in &ops {
        op.apply(&mut state).expect("it is in order");
    }
    state.system.timestamp += 1;
    opened.update(&state, &cells);
    whole.update(&state, &cells);
    assert_eq!(opened.root(), whole.root());
    assert_eq!(whole.root(), naive_root(&state));
}

#[test]
fn what_a_chain_owes_is_the_sum_of_balances() {
    let world = rich();
    let of = |token| {
        let chains = world.state.chains().filter_map(|(_, chain)| chain.pools.get(&token));
        Amount(chains.map(|pool| pool.0).sum())
    };
    assert_eq!(world.state.supply(USDC), Some(of(USDC)));
    assert!(of(USDC) > Amount(0));
    assert_eq!(world.state.supply(TokenId(999)), Some(Amount(0)));
    let chain = world.state.chain(ChainId(1)).expect("it has deposits");
    assert_eq!(chain.cursor, world.state.cursor(ChainId(1)));
    assert!(chain.cursor > Serial(1));
    assert_eq!(world.state.chain(ChainId(9)), None);
    assert_eq!(world.state.cursor(ChainId(9)), Serial(0));
}

/// A name, an edit of the stored state, and what users and chains then hold.
type WrongBooks = (&'static str, fn(&mut serde_json::Value), u128, u128);

#[test]
fn the_books_name_the_token_that_does_not_balance() {
    let mut world = Scenario::new();
    world.deposit(1, USDC, 1, 5).expect("it is in order");
    let held = 5 * 10u128.pow(12);
    let mut stored = serde_json::to_value(&world.state).expect("a state can be stored");
    let edits: [WrongBooks; 3] = [
        (
            "a balance",
            |state| {
                state["accounts"]["2"]["sub_accounts"]["0"]["balances"]["17"] = "7".into();
            },
            7,
            held,
        ),
        ("a pool", |state| state["chains"]["1"]["pools"]["17"] = "7".into(), held, 7),
        ("a fee", |state| state["fees"] = serde_json::json!({"17": "7"}), held + 7, held),
    ];
    let right: State = serde_json::from_value(stored.clone()).expect("it was just stored");
    assert_eq!(zklink::audit::audit(&right), Ok(()));
    for (what, edit, balances, pools) in edits {
        let kept = stored.clone();
        edit(&mut stored);
        let wrong: State = serde_json::from_value(stored).expect("the edited state can be read");
        let found = zklink::audit::audit(&wrong);
        assert_eq!(found, Err(zklink::audit::Imbalance { token: USDC, balances, pools }), "{what}");
        stored = kept;
    }
}
