//! The order of operations, and slots that are neither on nor off.

use zklink::amount::{Amount, Fee};
use zklink::fixtures::{ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{ChainId, SubAccountId};
use zklink::key::SecretKey;
use zklink::op::{Deposit, Op, Transfer, Withdraw};

use super::{
    HONEST, MEMORY, OTHER_DIGEST, OTHER_ONCHAIN, USDC_ONLY, block, deposit_of, transfer_of,
};
use crate::blocks::world;
use crate::cheat::Cheat;
use crate::ops::{deposit, transfer, withdraw};

/// A block over two chains.
fn wide(world: &Scenario) -> Cheat {
    let accounts = [(0, USDC_ONLY), (2, USDC_ONLY), (3, USDC_ONLY), (4, USDC_ONLY)];
    Cheat::open(world, &accounts, &[(1, &[USDC]), (2, &[USDC])])
}

fn on_chain_two(account: u32, user: u8) -> Deposit {
    Deposit { chain: ChainId(2), ..deposit(account, ONE, Scenario::owner(user)) }
}

/// A payment of nothing by user 2 to himself.
fn nothing() -> Op {
    Op::Transfer(Transfer { fee: Fee::ZERO, ..transfer(3, 3, 0) })
}

#[test]
fn queue_operations_stand_where_they_say() {
    // What a deposit brings to chain 2 can be paid there only after it.
    let world = world();
    let pay =
        Op::Withdraw(Withdraw { chain: ChainId(2), ..withdraw(2, 1_000_000, Scenario::owner(1)) });
    let cheat = |at| wide(&world).queue(on_chain_two(3, 2), at).by(&world, 1, pay.clone());
    assert_eq!(cheat(0).caught(), HONEST);
    let caught = cheat(1).caught();
    assert_eq!(caught[0], "signed/slot 0/left in the pool/recomposed");
    // He finds what will be there later: the one access reads what the other leaves, and both are content.
    let moments = (cheat(1).moment(0) + 1, cheat(1).queue_moment(0, 1));
    assert!(moments.0 < moments.1);
    let full = Fr::from(ONE as u64);
    let before = "signed/slot 0/other/access before";
    let bits = cheat(1).time_bits();
    let late = cheat(1)
        .choose("signed/slot 0/other/value 0/held", full)
        .choose_bits(before, 0, bits)
        .choose(&format!("{before}/bit0/bit"), Fr::from(moments.0 - 1) - Fr::from(moments.1))
        .choose("queue/slot 0/pool/value 0/held", Fr::zero())
        .choose_before("queue/slot 0/pool", moments.1, 0)
        .touch("close/pool 1/new", &[Fr::zero()], moments.0);
    assert_eq!(late.caught(), [format!("{before}/bit0/bit")]);
}

#[test]
fn places_in_the_queue_do_not_fall() {
    let world = world();
    let cheat = |first, second| {
        let one = deposit(2, ONE, Scenario::owner(1));
        wide(&world).queue(one, first).queue(on_chain_two(4, 3), second).by(&world, 2, nothing())
    };
    for (first, second) in [(0, 0), (0, 1), (1, 1)] {
        assert_eq!(cheat(first, second).caught(), HONEST);
    }
    assert_eq!(cheat(1, 0).caught(), ["queue/slot 1/in order/recomposed"]);
}

#[test]
fn places_are_at_most_the_number_of_signed_operations() {
    let world = world();
    let op = deposit(2, ONE, Scenario::owner(1));
    let range = ["queue/slot 0/at most all/recomposed"];
    assert_eq!(block(&world).queue(op, 1).by(&world, 2, nothing()).caught(), HONEST);
    assert_eq!(block(&world).queue(op, 2).by(&world, 2, nothing()).caught(), range);
    assert_eq!(block(&world).queue(op, 1).idle_signed().caught(), range);
    // How many there are is counted.
    let cheat = block(&world).queue(op, 1).idle_signed().choose("signed/count", Fr::one());
    assert_eq!(cheat.caught(), ["signed/counted"]);
}

/// The leaves that [`nothing`] touches, as if it had not.
fn untouched(cheat: Cheat) -> Cheat {
    let honest = cheat.synthesize();
    let leaves = [
        ("close/balance 2/new", 1),
        ("close/sub-account 2/new nonce", 1),
        ("close/account 2/new owner", 2),
        ("close/account 2/new key", 4),
    ];
    leaves.into_iter().fold(cheat, |cheat, (leaf, count)| {
        let value = |at: usize| honest.value(&format!("{leaf}/value {at}/held"));
        let mut values: Vec<Fr> = (0..count).map(value).collect();
        if leaf.ends_with("nonce") {
            values[0] -= Fr::one();
        }
        cheat.touch(leaf, &values, 0)
    })
}

#[test]
fn no_idle_slot_stands_before_an_operation() {
    let world = world();
    let mut one = [0; 32];
    one[0] = 1;
    let dummy = SecretKey::from_bytes(&one).expect("one is a secret key");
    let cheat = block(&world)
        .by(&world, 2, nothing())
        .by(&world, 1, Op::Transfer(transfer(2, 4, ONE)))
        .choose("signed/slot 0/type/transfer", Fr::zero())
        .choose_bits("signed/slot 0/to/account", 0, 24);
    let cheat = untouched(cheat).sign_computed(0, &dummy);
    assert_eq!(cheat.caught(), ["signed/slot 1/on before off"]);
    // A queue slot.
    let cheat = wide(&world)
        .queue(Deposit { amount: Amount(0), ..on_chain_two(3, 2) }, 0)
        .queue(deposit(2, ONE, Scenario::owner(1)), 0)
        .choose("queue/slot 0/done", Fr::zero())
        .touch("close/chain 1/new cursor", &[Fr::zero()], 0)
        .touch("close/pool 1/new", &[Fr::zero()], 0);
    let leaves = [("close/balance 2/new", 1), ("close/account 2/new owner", 2)];
    let honest = cheat.synthesize();
    let cheat = leaves.into_iter().fold(cheat, |cheat, (leaf, count)| {
        let value = |at: usize| honest.value(&format!("{leaf}/value {at}/held"));
        let values: Vec<Fr> = (0..count).map(value).collect();
        cheat.touch(leaf, &values, 0)
    });
    assert_eq!(cheat.caught(), ["queue/slot 1/on before off"]);
}

#[test]
fn two_types_at_once_are_refused() {
    let world = world();
    let types = ["transfer", "transfer to new", "withdraw", "change key"];
    for other in &types[1..] {
        let cheat = transfer_of(&world, transfer(2, 3, 0));
        let cheat = cheat.choose(&format!("signed/slot 0/type/{other}"), Fr::one());
        let caught = cheat.caught();
        assert_eq!(caught[0], "signed/slot 0/type/at most one", "{other}");
    }
    // Halves of two types are no bits.
    let half = Fr::from(2).invert().expect("the field is odd");
    let cheat = transfer_of(&world, transfer(2, 3, ONE))
        .choose("signed/slot 0/type/transfer", half)
        .choose("signed/slot 0/type/withdraw", half);
    let caught = cheat.caught();
    assert_eq!(caught[..2], ["signed/slot 0/type/transfer", "signed/slot 0/type/withdraw"]);
}

#[test]
fn an_operation_is_not_of_another_type() {
    // The user signed a payment; the operator calls it something else.
    let world = world();
    for (other, at_least) in [("transfer to new", 1), ("withdraw", 2), ("change key", 2)] {
        let cheat = transfer_of(&world, transfer(2, 3, ONE))
            .choose("signed/slot 0/type/transfer", Fr::zero())
            .choose(&format!("signed/slot 0/type/{other}"), Fr::one());
        assert!(cheat.caught().len() >= at_least, "{other}");
    }
}

#[test]
fn a_slot_cannot_be_off_and_publish() {
    let world = world();
    let honest = deposit_of(&world, deposit(2, ONE, Scenario::owner(1))).settle();
    let mut cheat = block(&world).idle_queue().settle();
    assert_eq!(cheat.failures(), HONEST);
    let (of_honest, mut published) = (honest.published(), cheat.published());
    published.vectors.onchain.extend(&of_honest.vectors.onchain[3..]);
    cheat.witness.inputs = published.inputs();
    assert_eq!(cheat.failures(), [OTHER_ONCHAIN]);
    published.all[3..].copy_from_slice(&of_honest.all[3..]);
    cheat.witness.inputs = published.inputs();
    assert_eq!(cheat.failures(), [OTHER_DIGEST, OTHER_ONCHAIN]);
}

#[test]
fn a_slot_cannot_be_on_and_publish_nothing() {
    let world = world();
    let mut cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(1))).settle();
    let mut published = cheat.published();
    published.vectors.onchain.truncate(3);
    cheat.witness.inputs = published.inputs();
    assert_eq!(cheat.failures(), [OTHER_ONCHAIN]);
    published.all[3..].fill(Fr::zero());
    cheat.witness.inputs = published.inputs();
    assert_eq!(cheat.failures(), [OTHER_DIGEST, OTHER_ONCHAIN]);
}

#[test]
fn an_idle_slot_touches_nothing_and_takes_nothing() {
    let world = world();
    let held = world.state.balance(world.account(1), SubAccountId(0), USDC);
    let taken = [Fr::from(held.0 as u64) - Fr::one()];
    for idle in [block(&world).idle_queue(), block(&world).idle_signed()] {
        assert_eq!(idle.clone().caught(), HONEST);
        for moment in [0, idle.moment(0), idle.queue_moment(0, 0)] {
            let cheat = idle.clone().touch("close/balance 1/new", &taken, moment);
            assert_eq!(cheat.caught(), MEMORY);
        }
    }
}

#[test]
fn an_idle_slot_pays_no_fee() {
    // A fee from nowhere: the slot is off, and its fee is collected.
    let world = world();
    let cheat = block(&world).idle_signed().fee_tokens(&[Some(USDC)]);
    let held = world.state.balance(zklink::id::AccountId(0), SubAccountId(0), USDC);
    let more = [Fr::from(held.0 as u64) + Fr::from(7)];
    let end = cheat.moment(1);
    let cheat = cheat
        .choose_bits("signed/slot 0/fee/mantissa", 7, 11)
        .choose_bits("signed/slot 0/fee/most", 7, 11)
        .choose_bits("signed/slot 0/token", USDC.0.into(), 16)
        .choose("signed/slot 0/payer/value 0/held", Fr::from(7))
        .choose("signed/slot 0/fee/pays", Fr::one())
        .choose("signed/slot 0/fee/token/place 0/bit", Fr::one())
        .touch("close/balance 0/new", &more, end);
    let caught = caught_but_for_the_signature(cheat);
    assert_eq!(caught, ["signed/slot 0/fee/none if off"]);
}

/// What is caught, after the dummy key signed whatever the slot says.
fn caught_but_for_the_signature(cheat: Cheat) -> Vec<String> {
    let mut caught = cheat.caught();
    caught.retain(|path| !path.starts_with("signed/slot 0/signature/"));
    caught
}
