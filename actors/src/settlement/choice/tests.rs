//! The table of all stages.

use std::collections::BTreeMap;

use super::*;
use crate::chain::testing::{HUB, SPOKE};
use crate::settlement::tests::Shelf;
use crate::settlement::{ChainPart, SealedBlock};

/// A block with operations of the given chains; its root is its number.
fn block(number: u32, chains: &[ChainId]) -> SealedBlock {
    let mut new_root = [0; 32];
    new_root[28..].copy_from_slice(&number.to_be_bytes());
    SealedBlock {
        number: BlockNumber(number),
        shape: 1,
        timestamp: 0,
        new_root,
        inputs: [[0; 32]; 4],
        onchain: Vec::new(),
        data: Vec::new(),
        chains: chains.iter().map(|chain| (*chain, ChainPart::default())).collect(),
    }
}

/// Block 1 is for both chains, block 2 for none, block 3 for the spoke, block 4 for the hub.
fn shelf(proofs: u32) -> Shelf {
    let chains: [&[ChainId]; 4] = [&[HUB, SPOKE], &[], &[SPOKE], &[HUB]];
    let blocks = (1..).zip(chains).map(|(number, chains)| block(number, chains)).collect();
    Shelf { blocks, proofs }
}

fn view(committed: u32, acked: u32, released: u32, paid: u32) -> ChainView {
    ChainView {
        committed: BlockNumber(committed),
        acked: BlockNumber(acked),
        released: BlockNumber(released),
        paid: BlockNumber(paid),
        ..ChainView::default()
    }
}

fn hub(committed: u32, proven: u32, released: u32, acked: [u32; 2]) -> HubView {
    HubView {
        committed: BlockNumber(committed),
        proven: BlockNumber(proven),
        released: BlockNumber(released),
        root: if committed == 0 { [9; 32] } else { block(committed, &[]).new_root },
        acked: [HUB, SPOKE].into_iter().zip(acked.map(BlockNumber)).collect(),
        contents: contents(BlockNumber(committed)),
    }
}

fn message(sequence: u64) -> Vec<Deliverable> {
    let (payload, signatures) = (vec![1], vec![[0; 65]]);
    vec![Deliverable { source: HUB, sequence, payload, signatures }]
}

/// What a hub holds of each chain that has the blocks of the shelf up to one of them.
fn contents(committed: BlockNumber) -> BTreeMap<ChainId, (BlockNumber, [u8; 32])> {
    let of = |(chain, blocks): (ChainId, [u32; 2])| {
        let last = blocks.into_iter().rfind(|number| *number <= committed.0).unwrap_or_default();
        let rolling = shelf(0).rolling(chain, BlockNumber(last)).unwrap();
        (chain, (BlockNumber(last), rolling))
    };
    [(HUB, [1, 4]), (SPOKE, [1, 3])].map(of).into()
}

/// A chain that holds what the archive has.
fn sound(chain: ChainId, view: ChainView) -> ChainView {
    let rolling = |number| shelf(0).rolling(chain, number).unwrap_or_default();
    ChainView { rolling: rolling(view.committed), acked_rolling: rolling(view.acked), ..view }
}

fn decide_all(
    chain: ChainId,
    view: ChainView,
    hub: HubView,
    deliverable: &[Deliverable],
    proofs: u32,
) -> Result<Vec<Step>, Diverged> {
    let situation = Situation { chain, hub_id: HUB, view: &view, hub: &hub, deliverable };
    next_steps(&situation, &shelf(proofs))
}

fn decide(
    chain: ChainId,
    view: ChainView,
    hub: HubView,
    deliverable: &[Deliverable],
    proofs: u32,
) -> Result<Option<Step>, Diverged> {
    let steps = decide_all(chain, sound(chain, view), hub, deliverable, proofs)?;
    Ok(steps.into_iter().next())
}

#[test]
fn the_next_step_of_the_hub_follows_from_the_stages() {
    use Step::{Ack, Commit, CommitBlock, Pay, ProveBlock, ReleaseBlock};
    let n = BlockNumber;
    let table = [
        // Own part first, then the block, then the ack, which waits for the block.
        (view(0, 0, 0, 0), hub(0, 0, 0, [0, 0]), 0, Some(Commit(n(1)))),
        (view(1, 0, 0, 0), hub(0, 0, 0, [0, 0]), 0, Some(Commit(n(4)))),
        (view(4, 0, 0, 0), hub(0, 0, 0, [0, 0]), 0, Some(CommitBlock(n(1)))),
        (view(1, 0, 0, 0), hub(1, 0, 0, [0, 0]), 0, Some(Ack(n(1)))),
        (view(4, 1, 0, 0), hub(1, 0, 0, [1, 0]), 0, Some(CommitBlock(n(2)))),
        (view(4, 1, 0, 0), hub(4, 0, 0, [1, 0]), 0, Some(Ack(n(4)))),
        (view(4, 4, 0, 0), hub(4, 0, 0, [4, 0]), 0, None),
        // A proof that is there goes before new work, once every chain of the block agrees.
        (view(1, 0, 0, 0), hub(1, 0, 0, [0, 0]), 1, Some(Ack(n(1)))),
        (view(1, 1, 0, 0), hub(1, 0, 0, [1, 0]), 1, Some(Commit(n(4)))),
        (view(1, 1, 0, 0), hub(1, 0, 0, [1, 1]), 1, Some(ProveBlock(n(1)))),
        (view(4, 4, 0, 0), hub(4, 0, 0, [4, 3]), 4, Some(ProveBlock(n(1)))),
        // Released only when every chain of the block agrees.
        (view(4, 4, 0, 0), hub(4, 1, 0, [4, 0]), 1, None),
        (view(4, 4, 0, 0), hub(4, 1, 0, [4, 1]), 1, Some(ReleaseBlock(n(1)))),
        (view(4, 4, 1, 1), hub(4, 2, 1, [4, 1]), 2, Some(ReleaseBlock(n(2)))),
        (view(4, 4, 1, 1), hub(4, 4, 2, [4, 1]), 4, None),
        (view(4, 4, 1, 1), hub(4, 4, 2, [4, 3]), 4, Some(ReleaseBlock(n(3)))),
        // What was released is paid before anything else.
        (view(4, 4, 1, 0), hub(4, 4, 1, [4, 3]), 4, Some(Pay(n(1)))),
        (view(4, 4, 4, 1), hub(4, 4, 4, [4, 3]), 4, Some(Pay(n(4)))),
        (view(4, 4, 4, 4), hub(4, 4, 4, [4, 3]), 4, None),
    ];
    for (index, (view, hub, proofs, expected)) in table.into_iter().enumerate() {
        let step = decide(HUB, view, hub, &[], proofs);
        assert_eq!(step, Ok(expected), "row {index}");
    }
}

#[test]
fn the_next_step_of_a_spoke_follows_from_the_stages() {
    use Step::{Ack, Commit, Deliver, Pay};
    let n = BlockNumber;
    let deliver = |sequence| Some(Deliver { source: HUB, sequence });
    let table = [
        (view(0, 0, 0, 0), hub(0, 0, 0, [0, 0]), vec![], Some(Commit(n(1)))),
        (view(1, 0, 0, 0), hub(0, 0, 0, [0, 0]), vec![], Some(Commit(n(3)))),
        (view(3, 0, 0, 0), hub(0, 0, 0, [0, 0]), vec![], None),
        (view(3, 0, 0, 0), hub(2, 0, 0, [0, 0]), vec![], Some(Ack(n(1)))),
        (view(3, 1, 0, 0), hub(2, 0, 0, [0, 1]), vec![], None),
        (view(1, 0, 0, 0), hub(2, 0, 0, [0, 0]), vec![], Some(Ack(n(1)))),
        (view(3, 0, 0, 0), hub(3, 0, 0, [0, 0]), vec![], Some(Ack(n(3)))),
        (view(3, 3, 0, 0), hub(4, 4, 2, [4, 3]), vec![], None),
        (view(3, 3, 0, 0), hub(4, 4, 2, [4, 3]), message(0), deliver(0)),
        (view(3, 3, 1, 0), hub(4, 4, 2, [4, 3]), message(1), Some(Pay(n(1)))),
        (view(3, 3, 1, 1), hub(4, 4, 2, [4, 3]), message(1), deliver(1)),
        (view(3, 3, 3, 1), hub(4, 4, 3, [4, 3]), vec![], Some(Pay(n(3)))),
        (view(3, 3, 3, 3), hub(4, 4, 4, [4, 3]), vec![], None),
        // A spoke never proves nor releases.
        (view(3, 3, 0, 0), hub(4, 1, 0, [4, 3]), vec![], None),
    ];
    for (index, (view, hub, messages, expected)) in table.into_iter().enumerate() {
        let step = decide(SPOKE, view, hub, &messages, 4);
        assert_eq!(step, Ok(expected), "row {index}");
    }
}

/// A hub that never catches up must not keep the chain from acking, and each ack costs a message.
#[test]
fn a_chain_that_is_ahead_of_the_hub_acks_when_a_proof_waits_for_it() {
    let ahead = |proofs| decide(SPOKE, view(3, 0, 0, 0), hub(2, 0, 0, [0, 0]), &[], proofs);
    assert_eq!(ahead(0), Ok(None));
    assert_eq!(ahead(1), Ok(Some(Step::Ack(BlockNumber(1)))));
}

#[test]
fn contracts_that_hold_something_else_stop_settlement() {
    let n = BlockNumber;
    let ahead = decide(SPOKE, view(0, 0, 0, 0), hub(5, 0, 0, [0, 0]), &[], 0);
    assert_eq!(ahead, Err(Diverged::Ahead { committed: n(5), sealed: n(4) }));
    let mut other_root = hub(2, 0, 0, [0, 0]);
    other_root.root = [8; 32];
    assert_eq!(decide(HUB, view(0, 0, 0, 0), other_root, &[], 0), Err(Diverged::Root(n(2))));
    let ahead = decide(SPOKE, view(5, 1, 0, 0), hub(4, 0, 0, [0, 0]), &[], 0);
    assert_eq!(ahead, Err(Diverged::Ahead { committed: n(5), sealed: n(4) }));
    // What is acked cannot be taken back.
    let mut other = sound(SPOKE, view(3, 1, 0, 0));
    other.acked_rolling = [2; 32];
    let content = Err(Diverged::Content { chain: SPOKE, number: n(1) });
    assert_eq!(decide_all(SPOKE, other, hub(0, 0, 0, [0, 0]), &[], 0), content);
    // Roots that agree say nothing of who is paid.
    let mut other_content = hub(4, 0, 0, [0, 0]);
    other_content.contents.get_mut(&SPOKE).unwrap().1 = [2; 32];
    let content = Err(Diverged::HubContent { chain: SPOKE, number: n(3) });
    assert_eq!(decide(SPOKE, view(0, 0, 0, 0), other_content, &[], 0), content);
}

#[test]
fn all_that_a_chain_would_take_is_listed_so_that_none_waits_for_another() {
    use Step::{Ack, Commit, CommitBlock, Deliver, Pay, ProveBlock, ReleaseBlock};
    let n = BlockNumber;
    let messages: Vec<Deliverable> = [(SPOKE, 5), (ChainId(9), 0)]
        .map(|(source, sequence)| Deliverable { source, sequence, ..message(0).remove(0) })
        .into();
    let all = |view, hub| decide_all(HUB, sound(HUB, view), hub, &messages, 4).unwrap();
    let (first, second) =
        (Deliver { source: SPOKE, sequence: 5 }, Deliver { source: ChainId(9), sequence: 0 });
    let expected = vec![
        Pay(n(1)),
        first.clone(),
        second.clone(),
        ReleaseBlock(n(2)),
        ProveBlock(n(3)),
        Commit(n(4)),
        CommitBlock(n(4)),
    ];
    assert_eq!(all(view(1, 1, 1, 0), hub(3, 2, 1, [1, 3])), expected);
    let expected = vec![first, second, Ack(n(1)), Commit(n(4)), CommitBlock(n(3))];
    assert_eq!(all(view(1, 0, 0, 0), hub(2, 0, 0, [0, 0])), expected);
}

/// Also of a spoke that is ahead of the hub, which cannot say yet what the spoke should hold.
#[test]
fn wrong_records_that_are_not_acked_are_taken_back_before_anything_else() {
    use Step::{Commit, Deliver, Pay, RevertCommits};
    let n = BlockNumber;
    let mut wrong = sound(SPOKE, view(3, 1, 1, 0));
    wrong.rolling[0] ^= 1;
    let deliver = Deliver { source: HUB, sequence: 7 };
    for committed in [0, 4] {
        let hub = hub(committed, 0, 0, [0, 0]);
        let steps = decide_all(SPOKE, wrong, hub, &message(7), 0).unwrap();
        // Neither acked nor built upon.
        assert_eq!(steps, [RevertCommits(n(1)), Pay(n(1)), deliver.clone()]);
    }
    // The chain holds block 2, in which the archive has nothing for it.
    let mut invented = sound(SPOKE, view(2, 0, 0, 0));
    invented.rolling = [3; 32];
    let steps = decide_all(SPOKE, invented, hub(0, 0, 0, [0, 0]), &[], 0).unwrap();
    assert_eq!(steps, [RevertCommits(n(0))]);
    let mended = sound(SPOKE, view(1, 1, 1, 1));
    let steps = decide_all(SPOKE, mended, hub(0, 0, 0, [0, 0]), &[], 0).unwrap();
    assert_eq!(steps, [Commit(n(3))]);
}

#[test]
fn a_block_that_is_missing_stops_settlement() {
    let mut gap = shelf(0);
    gap.blocks.truncate(1);
    assert_eq!(gap.rolling(SPOKE, BlockNumber(2)), None);
    assert_eq!(gap.rolling(SPOKE, BlockNumber(0)), Some([0; 32]));
}
