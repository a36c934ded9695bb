//! The properties that recovery rests on: replaying the journal and replaying public data lead to the same root.

use proptest::prelude::*;
use zklink::audit::audit;
use zklink::block::{Block, PublicData};
use zklink::commitment::StateTree;
use zklink::fixtures::{Dice, Scenario};
use zklink::op::Op;
use zklink::shape::{SMALL, shape};
use zklink::state::State;

/// Random blocks: the journal of applied operations, and the blocks with the state before them.
fn run(seed: u64, ops: usize) -> (Scenario, Vec<Op>, Vec<(Block, State)>) {
    let mut dice = Dice::new(seed);
    let mut world = Scenario::new();
    let small = shape(SMALL).expect("a known shape");
    let (mut journal, mut blocks) = (Vec::new(), Vec::new());
    for _ in 0..ops {
        let before = world.clone();
        if let Ok(op) = world.random_op(&mut dice) {
            if !world.fits(small) {
                world = before;
                let sealed = world.seal(SMALL);
                blocks.push((sealed.block, sealed.before));
                continue;
            }
            journal.push(op);
            audit(&world.state).expect("the books balance after every operation");
        } else {
            assert_eq!(world.state, before.state, "a rejection changes nothing");
        }
    }
    let sealed = world.seal(SMALL);
    blocks.push((sealed.block, sealed.before));
    (world, journal, blocks)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn journal_replay_gives_the_same_state(seed in any::<u64>()) {
        let (world, journal, _) = run(seed, 60);
        let mut replayed = Scenario::new().state;
        for op in &journal {
            prop_assert_eq!(op.apply(&mut replayed), Ok(()));
        }
        replayed.system = world.state.system;
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

    #[test]
    fn a_changed_word_never_replays_to_the_same_root(seed in any::<u64>(), at in any::<usize>()) {
        let (_, _, blocks) = run(seed, 20);
        let (block, before) = &blocks[0];
        let mut public = block.public_data();
        let words = public.onchain.len() + public.data.len();
        let at = at % words;
        if at < public.onchain.len() {
            public.onchain[at] += zklink::hash::Fr::from(1u64 << 40);
        } else {
            let at = at - public.onchain.len();
            public.data[at] += zklink::hash::Fr::from(1u64 << 40);
        }
        let mut tree = StateTree::of(before);
        let replayed = Block::decode(&public).and_then(|block| block.replay(&mut before.clone(), &mut tree));
        prop_assert!(replayed.is_err());
    }
}
