//! What execution costs: operations, signatures, and the root after a block.
//!
//! `cargo bench -p zklink --bench state`

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use zklink::amount::{Amount, Fee};
use zklink::commitment::StateTree;
use zklink::fixtures::{Dice, ONE, Scenario, USDC};
use zklink::hash::{Domain, Fr, compress4, compress4_each};
use zklink::id::{AccountId, ChainId, Owner, SubAccountId};
use zklink::op::{Deposit, Op, Transfer};
use zklink::state::State;
use zklink::tx::KeyAuthorisations;

/// Accounts of the state whose root is computed.
const ACCOUNTS: u32 = 2_000;

fn deposit(account: u32) -> Op {
    let mut owner = [0; 32];
    owner[..4].copy_from_slice(&(account + 1).to_be_bytes());
    Op::Deposit(Deposit {
        chain: ChainId(1),
        account: AccountId(account),
        sub_account: SubAccountId(0),
        token: USDC,
        amount: Amount(ONE),
        owner: Owner { home: ChainId(0), address: owner },
        refused: false,
    })
}

fn transfer(account: u32, to_account: u32) -> Op {
    Op::Transfer(Transfer {
        account: AccountId(account),
        sub_account: SubAccountId(0),
        to_account: AccountId(to_account),
        to_sub_account: SubAccountId(0),
        token: USDC,
        amount: Amount(1),
        fee: Fee::ZERO,
        new_owner: None,
    })
}

/// Users 1 and 2 with money and keys.
fn world() -> Scenario {
    let mut world = Scenario::new();
    for user in [1, 2] {
        world.deposit(1, USDC, user, 1_000_000_000).expect("a deposit");
        world.set_key(user).expect("a key");
    }
    world
}

fn operations(criterion: &mut Criterion) {
    let world = world();
    let (one, other) = (world.account(1), world.account(2));
    let mut group = criterion.benchmark_group("apply");
    let mut state = world.state.clone();
    let pay = transfer(one.0, other.0);
    group.bench_function("transfer", |bench| {
        bench.iter(|| black_box(&pay).apply(&mut state).expect("there is enough"));
    });
    let mut state = world.state.clone();
    let op = deposit(77);
    group.bench_function("deposit", |bench| {
        bench.iter(|| black_box(&op).apply(&mut state).expect("the supply is far"));
    });
    group.finish();

    let tx = world.transfer(1, Scenario::owner(2), ONE, 0);
    let deployment = world.state.system.deployment;
    let signed = tx.sign(&Scenario::key(1), deployment, &world.network).expect("it is in range");
    let none = KeyAuthorisations::default();
    criterion.bench_function("verify a signed transfer", |bench| {
        let verify = || black_box(&signed).verify(&world.state, &world.network, &none);
        bench.iter(|| verify().expect("the signature is right"));
    });
}

/// A state of many accounts, all of which can pay.
fn crowd() -> (State, StateTree) {
    let mut state = world().state;
    let key = state.account(AccountId(2)).and_then(|account| account.key).expect("it is set");
    for account in 10..ACCOUNTS {
        deposit(account).apply(&mut state).expect("a deposit");
        let change = zklink::op::ChangePubKey {
            chain: ChainId(1),
            account: AccountId(account),
            sub_account: SubAccountId(0),
            fee_token: USDC,
            fee: Fee::ZERO,
            nonce: Default::default(),
            owner: state.account(AccountId(account)).expect("just made").owner,
            key,
        };
        Op::ChangePubKey(change).apply(&mut state).expect("its first key");
    }
    let tree = StateTree::of(&state);
    (state, tree)
}

fn roots(criterion: &mut Criterion) {
    let lanes: [Fr; 4] = [1, 2, 3, 4].map(Fr::from);
    criterion.bench_function("hash of four elements", |bench| {
        bench.iter(|| compress4(Domain::Node, black_box(lanes)));
    });
    let eight = [lanes; 8];
    criterion.bench_function("eight hashes of four elements", |bench| {
        bench.iter(|| compress4_each(Domain::Node, black_box(&eight)));
    });
    let (state, mut tree) = crowd();
    tree.root();
    let mut group = criterion.benchmark_group("root");
    for count in [1, 5, 100] {
        let mut dice = Dice::new(count);
        let mut state = state.clone();
        let mut any = || 10 + dice.below(u64::from(ACCOUNTS) - 10) as u32;
        let mut cells = BTreeSet::new();
        for _ in 0..count {
            let op = transfer(any(), any());
            op.apply(&mut state).expect("all can pay");
            cells.extend(op.cells(state.system.fee_account));
        }
        group.bench_function(format!("after {count} transfers"), |bench| {
            let update = |mut tree: StateTree| {
                tree.update(&state, &cells);
                // The tree goes back, so that dropping it is not counted.
                (tree.root(), tree)
            };
            bench.iter_batched(|| tree.clone(), update, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = benches;
    config = quick();
    targets = operations, roots
}
criterion_main!(benches);
