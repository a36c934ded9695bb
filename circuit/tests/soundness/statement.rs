//! What is published, the order of blocks, and the public inputs.

use zklink::fixtures::{ONE, Scenario};
use zklink::hash::Fr;
use zklink::id::BlockNumber;
use zklink::op::{Op, SlotKind};
use zklink::state::DeploymentId;
use zklink_circuit::statement::PUBLIC_INPUTS;

use super::{HONEST, OTHER_DATA, OTHER_ONCHAIN, block, transfer_of};
use crate::blocks::{full, synthesize, witness, world};
use crate::ops::{deposit, transfer};

#[test]
fn every_published_word_is_bound() {
    let sealed = full();
    let shape = sealed.block.shape().expect("a known shape");
    let honest = witness(&sealed);
    for at in 0..honest.public.onchain.len() {
        let mut cheat = honest.clone();
        cheat.public.onchain[at] += Fr::one();
        assert_eq!(synthesize(shape, &cheat).failures(), OTHER_ONCHAIN, "word {at}");
    }
    for at in 0..honest.public.data.len() {
        let mut cheat = honest.clone();
        cheat.public.data[at] += Fr::one();
        assert_eq!(synthesize(shape, &cheat).failures(), OTHER_DATA, "word {at}");
    }
}

#[test]
fn words_cannot_move_from_one_vector_to_the_other() {
    let sealed = full();
    let shape = sealed.block.shape().expect("a known shape");
    let mut cheat = witness(&sealed);
    let last = cheat.public.onchain.pop().expect("it is not empty");
    cheat.public.data.insert(0, last);
    let cs = synthesize(shape, &cheat);
    let caught = ["statement/d is the digest", OTHER_ONCHAIN[1], OTHER_DATA[1]];
    assert_eq!(cs.failures(), caught);
}

#[test]
fn every_public_input_is_bound() {
    let cs = &mut crate::blocks::check(&full());
    assert_eq!(cs.public_inputs().len(), PUBLIC_INPUTS);
    assert_eq!(cs.first_failure(), None);
    let inputs = [
        ("statement/d", "statement/d is the digest"),
        ("statement/y data", "statement/data/y data is the value"),
        ("statement/y onchain", "statement/y onchain is the value"),
    ];
    for (input, catches) in inputs {
        for change in [Fr::one(), -Fr::from(2)] {
            let honest = cs.value(input);
            cs.tamper(input, honest + change);
            assert_eq!(cs.failures(), [catches]);
            cs.tamper(input, honest);
        }
    }
    let honest = cs.value("statement/z");
    cs.tamper("statement/z", honest + Fr::one());
    assert!(cs.failures().len() > 10, "every evaluation uses z");
}

#[test]
fn another_old_root_is_another_statement() {
    // The contract compares the old root with the one that it has, so that it must be among the published words and be
    // the root of the leaves that were opened.
    let world = world();
    let mut cheat = transfer_of(&world, transfer(2, 3, ONE)).settle();
    cheat.witness.public.onchain[0] += Fr::one();
    assert_eq!(cheat.failures(), OTHER_ONCHAIN);
    for part in 0..3 {
        let mut cheat = transfer_of(&world, transfer(2, 3, ONE)).settle();
        let published = cheat.witness.public.clone();
        cheat.witness.old_roots[part] += Fr::one();
        cheat.witness.public = published;
        let caught = cheat.failures();
        assert!(caught.ends_with(&OTHER_ONCHAIN.map(String::from)), "{caught:?}");
    }
}

#[test]
fn another_deployment_is_another_state() {
    let world = world();
    let honest = transfer_of(&world, transfer(2, 3, ONE)).settle();
    let mut cheat = honest.clone();
    cheat.witness.system.deployment = DeploymentId([7; 31]);
    let caught = cheat.failures();
    assert_eq!(caught[..1], super::BAD_SIGNATURE);
    assert_eq!(caught[1..], OTHER_ONCHAIN);
}

#[test]
fn the_systems_facts_are_in_the_old_root() {
    let world = world();
    let op = Op::Deposit(deposit(2, ONE, Scenario::owner(1)));
    let honest = block(&world).slot(SlotKind::Deposit, op, None).settle();
    let spoil: [fn(&mut zklink::state::System); 5] = [
        |system| system.number.0 += 1,
        |system| system.timestamp -= 1,
        |system| system.fee_account.0 = 2,
        |system| system.insurance_account.0 = 2,
        |system| system.deployment.0[30] ^= 1,
    ];
    for spoil in spoil {
        let mut cheat = honest.clone();
        spoil(&mut cheat.witness.system);
        assert_eq!(cheat.failures(), OTHER_ONCHAIN);
    }
}

#[test]
fn a_number_cannot_be_skipped_or_used_again() {
    let world = world();
    let honest = block(&world).settle();
    let number = u128::from(world.state.system.number.0);
    for other in [number, number + 2] {
        let mut cheat = honest.clone();
        let packed = [other, cheat.witness.timestamp.into(), cheat.shape.id.0.into()];
        cheat.witness.public.onchain[2] = zklink::layout::HEAD_WORD.pack(packed);
        assert_eq!(cheat.failures(), OTHER_ONCHAIN);
    }
}

#[test]
fn another_shape_cannot_be_claimed() {
    let world = world();
    let mut cheat = block(&world).settle();
    let number = u128::from(world.state.system.number.0) + 1;
    let packed = [number, cheat.witness.timestamp.into(), 2];
    cheat.witness.public.onchain[2] = zklink::layout::HEAD_WORD.pack(packed);
    assert_eq!(cheat.failures(), OTHER_ONCHAIN);
}

#[test]
fn time_does_not_go_back() {
    let world = world();
    let mut cheat = block(&world);
    cheat.witness.timestamp = world.state.system.timestamp;
    assert_eq!(cheat.clone().caught(), HONEST, "it may stand still");
    cheat.witness.timestamp -= 1;
    assert_eq!(cheat.caught(), ["system/time goes on/recomposed"]);
}

#[test]
fn the_last_number_is_the_end() {
    let mut world = world();
    world.state.system.number = BlockNumber(u32::MAX);
    assert_eq!(block(&world).caught(), ["system/new number range/recomposed"]);
    world.state.system.number = BlockNumber(u32::MAX - 1);
    assert_eq!(block(&world).caught(), HONEST);
}
