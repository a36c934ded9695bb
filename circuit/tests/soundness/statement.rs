//! What is published, the order of blocks, and the public inputs.

use zklink::fixtures::{ONE, Scenario};
use zklink::hash::Fr;
use zklink::id::{BlockNumber, Nonce};
use zklink::layout::HEAD_WORD;
use zklink::op::{Op, Transfer};
use zklink::state::DeploymentId;
use zklink_circuit::check::CheckSystem;
use zklink_circuit::statement::PUBLIC_INPUTS;

use super::{
    BAD_SIGNATURE, HONEST, OTHER_DATA, OTHER_DIGEST, OTHER_ONCHAIN, block, deposit_of, over,
    transfer_of,
};
use crate::blocks::{full, synthesize, witness, world};
use crate::cheat::{Cheat, Published};
use crate::ops::{Said, deposit, transfer, withdraw};

/// A block that publishes words of all kinds, with an idle slot behind those of each kind.
fn varied() -> Cheat {
    let world = world();
    let made = Transfer { new_owner: Some(Scenario::owner(9)), ..transfer(2, 5, ONE) };
    let cheat = over(&world, &[0, 2, 3, 5])
        .queue(deposit(2, ONE, Scenario::owner(1)), 0)
        .idle_queue()
        .by(&world, 2, Op::Transfer(transfer(3, 2, ONE)))
        .by(&world, 1, Op::Transfer(made));
    let paid = Op::Withdraw(withdraw(2, 7, Scenario::owner(8)));
    let said = Said::next(&world, &paid);
    let said = Said { nonce: Nonce(said.nonce.0 + 1), ..said };
    let cheat = cheat.saying(1, paid, said).idle_signed().settle();
    assert_eq!(cheat.failures(), HONEST);
    cheat
}

/// What fails when this is published.
fn publishing(cheat: &Cheat, published: &Published) -> Vec<String> {
    let mut cheat = cheat.clone();
    cheat.witness.inputs = published.inputs();
    cheat.failures()
}

#[test]
fn every_published_word_is_bound() {
    let cheat = varied();
    let honest = cheat.published();
    for at in 0..honest.all.len() {
        let mut other = honest.clone();
        other.all[at] += Fr::one();
        assert_eq!(publishing(&cheat, &other), [OTHER_DIGEST], "word {at}");
    }
    for at in 0..honest.vectors.onchain.len() {
        let mut other = honest.clone();
        other.vectors.onchain[at] += Fr::one();
        assert_eq!(publishing(&cheat, &other), [OTHER_ONCHAIN], "word {at}");
    }
    for at in 0..honest.vectors.data.len() {
        let mut other = honest.clone();
        other.vectors.data[at] += Fr::one();
        assert_eq!(publishing(&cheat, &other), [OTHER_DATA], "word {at}");
    }
}

#[test]
fn no_word_is_left_out_or_put_in() {
    let cheat = varied();
    let honest = cheat.published();
    for at in 0..honest.vectors.onchain.len() {
        let mut other = honest.clone();
        other.vectors.onchain.remove(at);
        assert_eq!(publishing(&cheat, &other), [OTHER_ONCHAIN], "without word {at}");
        for word in [Fr::zero(), Fr::from(7)] {
            let mut other = honest.clone();
            other.vectors.onchain.insert(at, word);
            assert_eq!(publishing(&cheat, &other), [OTHER_ONCHAIN], "with a word before {at}");
        }
    }
    for at in 0..honest.vectors.data.len() {
        let mut other = honest.clone();
        other.vectors.data.remove(at);
        assert_eq!(publishing(&cheat, &other), [OTHER_DATA], "without word {at}");
        let mut other = honest.clone();
        // At the next power of the root of unity.
        other.vectors.data.insert(at, Fr::zero());
        assert_eq!(publishing(&cheat, &other), [OTHER_DATA], "with a word before {at}");
    }
    // An unused word behind the others.
    let mut other = honest.clone();
    other.vectors.data.push(Fr::from(7));
    assert_eq!(publishing(&cheat, &other), [OTHER_DATA]);
    // Zeros at the end say nothing, in neither vector: whoever reads them has to know where they end.
    let mut other = honest.clone();
    other.vectors.data.push(Fr::zero());
    other.vectors.onchain.push(Fr::zero());
    assert_eq!(publishing(&cheat, &other), HONEST);
}

#[test]
fn words_have_their_order() {
    let cheat = varied();
    let honest = cheat.published();
    for at in 1..honest.vectors.onchain.len() {
        let mut other = honest.clone();
        other.vectors.onchain.swap(at - 1, at);
        assert_eq!(publishing(&cheat, &other), [OTHER_ONCHAIN], "word {at}");
    }
    for at in 1..honest.vectors.data.len() {
        let mut other = honest.clone();
        other.vectors.data.swap(at - 1, at);
        assert_eq!(publishing(&cheat, &other), [OTHER_DATA], "word {at}");
    }
    for at in 1..honest.all.len() {
        let mut other = honest.clone();
        other.all.swap(at - 1, at);
        if other.all != honest.all {
            assert_eq!(publishing(&cheat, &other), [OTHER_DIGEST], "word {at}");
        }
    }
}

#[test]
fn words_cannot_move_from_one_vector_to_the_other() {
    let cheat = varied();
    let mut other = cheat.published();
    let last = other.vectors.onchain.pop().expect("it is not empty");
    other.vectors.data.push(last);
    assert_eq!(publishing(&cheat, &other), [OTHER_ONCHAIN, OTHER_DATA]);
}

#[test]
fn every_public_input_is_bound() {
    let sealed = full();
    let shape = sealed.block.shape().expect("a known shape");
    let cs: &mut CheckSystem = &mut synthesize(shape, &witness(&sealed));
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
    let honest = transfer_of(&world, transfer(2, 3, ONE)).settle();
    let published = honest.published();
    assert_eq!(published.vectors.onchain[0], world.tree.clone().root());
    let mut other = published.clone();
    other.all[0] += Fr::one();
    other.vectors.onchain[0] += Fr::one();
    assert_eq!(publishing(&honest, &other), [OTHER_DIGEST, OTHER_ONCHAIN]);
    for part in 0..3 {
        let mut cheat = honest.clone();
        cheat.witness.old_roots[part] += Fr::one();
        let caught = publishing(&cheat, &published);
        assert!(caught.ends_with(&[OTHER_DIGEST, OTHER_ONCHAIN].map(String::from)), "{caught:?}");
    }
}

#[test]
fn the_systems_facts_are_in_the_old_root() {
    let world = world();
    let honest = deposit_of(&world, deposit(2, ONE, Scenario::owner(1))).settle();
    let published = honest.published();
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
        assert_eq!(publishing(&cheat, &published), [OTHER_DIGEST, OTHER_ONCHAIN]);
    }
    // The deployment is signed, too.
    let honest = transfer_of(&world, transfer(2, 3, ONE)).settle();
    let mut cheat = honest.clone();
    cheat.witness.system.deployment = DeploymentId([7; 31]);
    let caught = publishing(&cheat, &honest.published());
    assert_eq!(caught[..1], BAD_SIGNATURE);
    assert_eq!(caught[1..], [OTHER_DIGEST, OTHER_ONCHAIN]);
}

#[test]
fn number_time_and_shape_cannot_be_claimed() {
    let world = world();
    let honest = block(&world).settle();
    let number = u128::from(world.state.system.number.0) + 1;
    let (time, shape) = (u128::from(honest.witness.timestamp), u128::from(honest.shape.id.0));
    let claims = [
        [number - 1, time, shape],
        [number + 1, time, shape],
        [number, time + 1, shape],
        [number, time, 2],
    ];
    for claim in claims {
        let mut other = honest.published();
        let word = HEAD_WORD.pack(claim);
        (other.all[2], other.vectors.onchain[2]) = (word, word);
        assert_eq!(publishing(&honest, &other), [OTHER_DIGEST, OTHER_ONCHAIN]);
    }
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
