//! Native execution and the circuit agree: on random blocks every accepted operation is provable, and the public
//! inputs are those that the contract computes.

use bellman::Circuit;
use proptest::prelude::*;
use zklink::block::Block;
use zklink::fixtures::{Dice, ONE, Scenario, Sealed, USDC};
use zklink::id::ShapeId;
use zklink::shape::{NANO, SMALL, shape};
use zklink_circuit::block::BlockCircuit;
use zklink_circuit::check::CheckSystem;
use zklink_circuit::witness::Witness;

fn check(sealed: &Sealed) -> CheckSystem {
    let block: &Block = &sealed.block;
    let (mut state, mut tree) = (sealed.before.clone(), sealed.tree.clone());
    let witness = Witness::build(block, &sealed.signatures, &mut state, &mut tree)
        .expect("what execution accepts has a witness");
    assert_eq!(tree.root(), block.head.new_root);
    let shape = block.shape().expect("a known shape");
    let mut cs = CheckSystem::new();
    BlockCircuit { shape, witness: Some(&witness) }
        .synthesize(&mut cs)
        .expect("all values are there");
    assert_eq!(cs.public_inputs(), block.public_data().public_inputs());
    cs
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
        for sealed in story(id) {
            let cs = check(&sealed);
            assert_eq!(cs.first_failure(), None, "block {}", sealed.block.head.number);
            println!("{id}: {} constraints", cs.constraint_count());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn random_blocks_are_provable(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let mut world = Scenario::new();
        let small = shape(SMALL).expect("a known shape");
        let mut blocks = 0;
        while blocks < 4 {
            let before = world.clone();
            if world.random_op(&mut dice).is_ok() && !world.fits(small) {
                world = before;
                let cs = check(&world.seal(SMALL));
                prop_assert_eq!(cs.first_failure(), None);
                blocks += 1;
            }
        }
    }
}
