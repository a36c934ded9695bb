//! The properties that recovery rests on: replaying the journal and replaying public data lead to the same root.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zklink::amount::{Amount, Fee};
use zklink::audit::audit;
use zklink::block::{Block, Head, PublicData};
use zklink::commitment::StateTree;
use zklink::fixtures::{Dice, Scenario};
use zklink::id::{AccountId, ChainId, Owner, SubAccountId, TokenId};
use zklink::layout::power_of_two;
use zklink::op::{Deposit, Op};
use zklink::shape::{SMALL, shape};
use zklink::state::State;
use zklink::token::scale_up;

/// What the journal of a node records.
enum Entry {
    /// An operation was applied.
    Op(Op),
    /// A block was sealed.
    End(Head),
}

/// Random blocks: the journal of what happened, and the blocks with the state before them.
fn run(seed: u64, ops: usize) -> (Scenario, Vec<Entry>, Vec<(Block, State)>) {
    let mut dice = Dice::new(seed);
    let mut world = Scenario::new();
    let small = shape(SMALL).expect("a known shape");
    let (mut journal, mut blocks) = (Vec::new(), Vec::new());
    let mut seal = |world: &mut Scenario, journal: &mut Vec<Entry>| {
        let sealed = world.seal(SMALL);
        journal.push(Entry::End(sealed.block.head));
        blocks.push((sealed.block, sealed.before));
        audit(&world.state).expect("the books balance after every block");
    };
    for _ in 0..ops {
        let before = world.clone();
        if let Ok(op) = world.random_op(&mut dice) {
            if !world.fits(small) {
                world = before;
                seal(&mut world, &mut journal);
                continue;
            }
            journal.push(Entry::Op(op));
            audit(&world.state).expect("the books balance after every operation");
        } else {
            assert_eq!(world.state, before.state, "a rejection changes nothing");
        }
    }
    seal(&mut world, &mut journal);
    (world, journal, blocks)
}

/// Adds to a word of what a block published, and checks what comes of it.
///
/// What the new words say is refused, or it is another block. If that block leads to the same root, it differs in what
/// only the contracts bind: whom they pay, who authorised a key, in what order things happened that do not depend on
/// each other. Nobody who has the published words takes it for the first block.
fn check_changed_word(block: &Block, before: &State, at: usize, bit: usize) {
    let mut public = block.public_data();
    let onchain = public.onchain.len();
    let change = power_of_two(bit);
    match at.checked_sub(onchain) {
        None => public.onchain[at] += change,
        Some(at) => public.data[at] += change,
    }
    let Ok(changed) = Block::decode(&public) else { return };
    assert_eq!(changed.public_data(), public, "a block has one form");
    assert_ne!(&changed, block);
    let mut tree = StateTree::of(before);
    if changed.replay(&mut before.clone(), &mut tree).is_ok() {
        assert_eq!(bound_by_the_root(&changed), bound_by_the_root(block), "word {at}, bit {bit}");
    }
}

/// A block without what its root does not depend on.
fn bound_by_the_root(block: &Block) -> Block {
    let mut bound = block.clone();
    bound.head.shape = SMALL;
    for op in &mut bound.ops {
        match op {
            // A refused deposit moves the cursor of its chain and nothing else.
            Op::Deposit(deposit) if deposit.refused => {
                *deposit = Deposit {
                    account: AccountId(0),
                    sub_account: SubAccountId(0),
                    token: TokenId(0),
                    amount: Amount::ZERO,
                    owner: Owner::NONE,
                    ..*deposit
                };
            }
            Op::Deposit(_) => {}
            Op::Transfer(transfer) => {
                let from = (transfer.account, transfer.sub_account);
                if from == (transfer.to_account, transfer.to_sub_account) {
                    transfer.amount = Amount::ZERO;
                }
                transfer.fee = transfer.fee.canonical();
            }
            Op::Withdraw(withdraw) => {
                let paid = scale_up(withdraw.l1_amount, withdraw.scale).expect("it was replayed");
                (withdraw.l1_amount, withdraw.scale) = (paid.0, 0);
                withdraw.to = Owner::NONE;
                withdraw.fee = withdraw.fee.canonical();
            }
            Op::ChangePubKey(change) => {
                change.chain = ChainId(0);
                change.fee = change.fee.canonical();
                if change.fee == Fee::ZERO {
                    (change.fee_token, change.sub_account) = (TokenId(0), SubAccountId(0));
                }
            }
        }
    }
    bound.ops.sort_by_key(|op| format!("{op:?}"));
    bound
}

/// The payee of a withdrawal does not enter the root: only the contracts keep the words apart.
#[test]
fn another_payee_is_another_block_with_the_same_root() {
    let mut seen = 0;
    for (block, before) in (0..8).flat_map(|seed| run(seed, 80).2) {
        for index in 0..block.ops.len() {
            let mut other = block.clone();
            let Op::Withdraw(withdraw) = &mut other.ops[index] else { continue };
            withdraw.to = Scenario::owner(99);
            let mut tree = StateTree::of(&before);
            assert_eq!(other.replay(&mut before.clone(), &mut tree), Ok(()));
            assert_ne!(other.public_data(), block.public_data());
            assert_ne!(other.contents(), block.contents());
            seen += 1;
        }
    }
    assert!(seen > 2, "some blocks have withdrawals");
}

/// What a random operation is, as far as the tests want it to come up.
fn kind(op: &Op, state: &State) -> &'static str {
    let of = |id| state.account(id).map(|account| account.owner).unwrap_or_default();
    match op {
        Op::Deposit(op) if op.refused => "refused deposit",
        Op::Deposit(op) if op.owner.is_contract() => "deposit for a contract",
        Op::Deposit(op) if op.sub_account.0 > 0 => "deposit for a sub-account",
        Op::Deposit(_) => "deposit",
        Op::Transfer(op) if op.new_owner.is_some() => "transfer to new",
        Op::Transfer(op) if op.account != op.to_account => "transfer",
        Op::Transfer(op) if op.sub_account != op.to_sub_account => "transfer within an account",
        Op::Transfer(_) => "transfer to the same sub-account",
        Op::Withdraw(_) => "withdrawal",
        Op::ChangePubKey(op) if of(op.account).is_contract() => "key of a contract",
        Op::ChangePubKey(op) if op.nonce.0 > 0 => "another key",
        Op::ChangePubKey(_) => "first key",
    }
}

#[test]
fn random_operations_are_of_all_kinds_and_the_same_for_a_seed() {
    let (mut world, mut dice) = (Scenario::new(), Dice::new(1));
    let (mut again, mut same) = (Scenario::new(), Dice::new(1));
    let (mut kinds, mut contracts_that_pay, mut lower) = (BTreeMap::new(), 0, 0);
    for _ in 0..1500 {
        let found = world.random_op(&mut dice);
        assert_eq!(again.random_op(&mut same), found);
        let Ok(op) = found else { continue };
        *kinds.entry(kind(&op, &world.state)).or_insert(0) += 1;
        let (_, signed) = world.open.last().expect("it was just added");
        if let (Op::Transfer(op), state) = (&op, &world.state) {
            let owner = state.account(op.account).expect("it paid").owner;
            contracts_that_pay += u32::from(owner.is_contract());
        }
        if let (Op::Withdraw(op), Some(signed)) = (&op, signed) {
            lower += u32::from(op.fee.amount() < signed.tx.fee().1.amount());
        }
    }
    assert_eq!(kinds.len(), 12, "{kinds:?}");
    assert!(kinds.values().all(|count| *count > 3), "{kinds:?}");
    assert!(contracts_that_pay > 3 && lower > 3, "{contracts_that_pay} {lower}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn journal_replay_gives_the_same_state(seed in any::<u64>()) {
        let (world, journal, _) = run(seed, 60);
        let mut replayed = Scenario::new().state;
        for entry in &journal {
            match entry {
                Entry::Op(op) => prop_assert_eq!(op.apply(&mut replayed), Ok(())),
                Entry::End(head) => {
                    replayed.end_block(head.number, head.timestamp);
                }
            }
        }
        prop_assert_eq!(StateTree::of(&replayed).root(), StateTree::of(&world.state).root());
        prop_assert_eq!(&replayed, &world.state);
    }

    #[test]
    fn public_data_alone_rebuild_the_state(seed in any::<u64>()) {
        let (world, _, blocks) = run(seed, 60);
        let mut state = Scenario::new().state;
        let mut tree = StateTree::of(&state);
        for (block, before) in &blocks {
            prop_assert_eq!(&state, before);
            let public: PublicData = block.public_data();
            let decoded = Block::decode(&public).expect("it was just encoded");
            prop_assert_eq!(&decoded, block);
            decoded.replay(&mut state, &mut tree).expect("it follows");
        }
        prop_assert_eq!(&state, &world.state);
        prop_assert_eq!(tree.root(), StateTree::of(&state).root());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_changed_word_is_refused_or_another_block(
        seed in any::<u64>(),
        at in any::<usize>(),
        bit in 0..255usize,
    ) {
        let (_, _, blocks) = run(seed, 20);
        let (block, before) = &blocks[0];
        let public = block.public_data();
        check_changed_word(block, before, at % (public.onchain.len() + public.data.len()), bit);
    }
}
