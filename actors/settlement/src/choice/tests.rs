//! The table of all stages.

use std::collections::BTreeMap;

use zklink_chain::testing::{HUB, SPOKE};

use super::*;
use crate::tests::Shelf;
use crate::{Calldata, ChainPart, PayGas, SealedBlock};

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
        height: 0,
        committed: BlockNumber(committed),
        proven: BlockNumber(proven),
        released: BlockNumber(released),
        root: if committed == 0 { [9; 32] } else { block(committed, &[]).new_root },
        acked: [HUB, SPOKE].into_iter().zip(acked.map(BlockNumber)).collect(),
        contents: contents(BlockNumber(committed)),
        releases: BTreeMap::new(),
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

fn blocks(first: u32, last: u32) -> Range {
    Range { first: BlockNumber(first), last: BlockNumber(last) }
}

/// The payout of a block without withdrawals on the chain.
fn paid(number: u32) -> Step {
    Step::Pay(vec![Part { number: BlockNumber(number), first: 0, chunks: 0 }])
}

fn decide_all(
    chain: ChainId,
    view: ChainView,
    hub: HubView,
    deliverable: &[Deliverable],
    proofs: u32,
) -> Result<Vec<Step>, Diverged> {
    let (view, hub) = (&view, &hub);
    let situation = Situation {
        chain,
        hub_id: HUB,
        view,
        hub,
        deliverable,
        refunds: &[],
        routes: &Routes::new(),
        publication: &Calldata,
    };
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
    use Step::{Ack, Commit, CommitBlocks, ProveBlocks, ReleaseBlocks};
    let n = BlockNumber;
    let table = [
        // Own part first, then the blocks, then the ack, which waits for them.
        (view(0, 0, 0, 0), hub(0, 0, 0, [0, 0]), 0, Some(Commit(blocks(1, 4)))),
        (view(1, 0, 0, 0), hub(0, 0, 0, [0, 0]), 0, Some(Commit(blocks(4, 4)))),
        (view(4, 0, 0, 0), hub(0, 0, 0, [0, 0]), 0, Some(CommitBlocks(blocks(1, 4)))),
        (view(1, 0, 0, 0), hub(1, 0, 0, [0, 0]), 0, Some(Ack(n(1)))),
        (view(4, 1, 0, 0), hub(1, 0, 0, [1, 0]), 0, Some(CommitBlocks(blocks(2, 4)))),
        (view(4, 1, 0, 0), hub(4, 0, 0, [1, 0]), 0, Some(Ack(n(4)))),
        (view(4, 4, 0, 0), hub(4, 0, 0, [4, 0]), 0, None),
        // A proof that is there goes before new work, once every chain of the block agrees.
        (view(1, 0, 0, 0), hub(1, 0, 0, [0, 0]), 1, Some(Ack(n(1)))),
        (view(1, 1, 0, 0), hub(1, 0, 0, [1, 0]), 1, Some(Commit(blocks(4, 4)))),
        (view(1, 1, 0, 0), hub(1, 0, 0, [1, 1]), 1, Some(ProveBlocks(blocks(1, 1)))),
        (view(4, 4, 0, 0), hub(4, 0, 0, [4, 1]), 4, Some(ProveBlocks(blocks(1, 2)))),
        (view(4, 4, 0, 0), hub(4, 0, 0, [4, 3]), 4, Some(ProveBlocks(blocks(1, 4)))),
        // Released only when every chain of the block agrees.
        (view(4, 4, 0, 0), hub(4, 1, 0, [4, 0]), 1, None),
        (view(4, 4, 0, 0), hub(4, 1, 0, [4, 1]), 1, Some(ReleaseBlocks(blocks(1, 1)))),
        (view(4, 4, 1, 1), hub(4, 2, 1, [4, 1]), 2, Some(ReleaseBlocks(blocks(2, 2)))),
        (view(4, 4, 1, 1), hub(4, 4, 2, [4, 1]), 4, None),
        (view(4, 4, 1, 1), hub(4, 4, 2, [4, 3]), 4, Some(ReleaseBlocks(blocks(3, 4)))),
        // What was released is paid before anything else.
        (view(4, 4, 1, 0), hub(4, 4, 1, [4, 3]), 4, Some(paid(1))),
        (view(4, 4, 4, 1), hub(4, 4, 4, [4, 3]), 4, Some(paid(4))),
        (view(4, 4, 4, 4), hub(4, 4, 4, [4, 3]), 4, None),
    ];
    for (index, (view, hub, proofs, expected)) in table.into_iter().enumerate() {
        let step = decide(HUB, view, hub, &[], proofs);
        assert_eq!(step, Ok(expected), "row {index}");
    }
}

#[test]
fn the_next_step_of_a_spoke_follows_from_the_stages() {
    use Step::{Ack, Commit, Deliver};
    let n = BlockNumber;
    let deliver = |first| Some(Deliver { source: HUB, first, count: 1 });
    let table = [
        (view(0, 0, 0, 0), hub(0, 0, 0, [0, 0]), vec![], Some(Commit(blocks(1, 3)))),
        (view(1, 0, 0, 0), hub(0, 0, 0, [0, 0]), vec![], Some(Commit(blocks(3, 3)))),
        (view(3, 0, 0, 0), hub(0, 0, 0, [0, 0]), vec![], None),
        (view(3, 0, 0, 0), hub(2, 0, 0, [0, 0]), vec![], Some(Ack(n(1)))),
        (view(3, 1, 0, 0), hub(2, 0, 0, [0, 1]), vec![], None),
        (view(1, 0, 0, 0), hub(2, 0, 0, [0, 0]), vec![], Some(Ack(n(1)))),
        (view(3, 0, 0, 0), hub(3, 0, 0, [0, 0]), vec![], Some(Ack(n(3)))),
        (view(3, 3, 0, 0), hub(4, 4, 2, [4, 3]), vec![], None),
        (view(3, 3, 0, 0), hub(4, 4, 2, [4, 3]), message(0), deliver(0)),
        (view(3, 3, 1, 0), hub(4, 4, 2, [4, 3]), message(1), Some(paid(1))),
        (view(3, 3, 1, 1), hub(4, 4, 2, [4, 3]), message(1), deliver(1)),
        (view(3, 3, 3, 1), hub(4, 4, 3, [4, 3]), vec![], Some(paid(3))),
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
    use Step::{Ack, Commit, CommitBlocks, Deliver, ProveBlocks, ReleaseBlocks, SendRelease};
    let n = BlockNumber;
    let messages: Vec<Deliverable> = [(SPOKE, 5), (SPOKE, 6), (ChainId(9), 0)]
        .map(|(source, sequence)| Deliverable { source, sequence, ..message(0).remove(0) })
        .into();
    let all = |view, hub| decide_all(HUB, sound(HUB, view), hub, &messages, 4).unwrap();
    let delivered = vec![
        Deliver { source: SPOKE, first: 5, count: 2 },
        Deliver { source: SPOKE, first: 5, count: 1 },
        Deliver { source: ChainId(9), first: 0, count: 1 },
    ];
    let behind = vec![
        SendRelease { chain: SPOKE, number: n(1) },
        ReleaseBlocks(blocks(2, 2)),
        ProveBlocks(blocks(3, 3)),
        Commit(blocks(4, 4)),
        CommitBlocks(blocks(4, 4)),
    ];
    let mut told = hub(3, 2, 1, [1, 3]);
    told.releases = [(HUB, (n(1), n(1))), (SPOKE, (n(1), n(0)))].into();
    let expected = [vec![paid(1)], delivered.clone(), behind].concat();
    assert_eq!(all(view(1, 1, 1, 0), told), expected);
    // Behind a range its first block alone: one that is refused holds up none before it.
    let behind =
        [Ack(n(1)), Commit(blocks(4, 4)), CommitBlocks(blocks(3, 4)), CommitBlocks(blocks(3, 3))];
    let expected = [delivered, behind.into()].concat();
    assert_eq!(all(view(1, 0, 0, 0), hub(2, 0, 0, [0, 0])), expected);
}

#[test]
fn refused_deposits_are_refunded_before_the_payouts() {
    let (view, hub) = (sound(HUB, view(4, 4, 1, 0)), hub(4, 4, 1, [4, 3]));
    let refunds = [BlockNumber(1)];
    let situation = Situation {
        chain: HUB,
        hub_id: HUB,
        view: &view,
        hub: &hub,
        deliverable: &[],
        refunds: &refunds,
        routes: &Routes::new(),
        publication: &Calldata,
    };
    let steps = next_steps(&situation, &shelf(4)).unwrap();
    assert_eq!(steps[..2], [Step::Refund(BlockNumber(1)), paid(1)]);
}

/// Blocks with so many withdrawals on the spoke.
fn paying_shelf(withdrawals: &[usize]) -> Shelf {
    let mut shelf = Shelf::default();
    for (number, count) in (1..).zip(withdrawals) {
        let mut block = block(number, &[SPOKE]);
        let part = block.chains.get_mut(&SPOKE).unwrap();
        part.words = vec![[7; 32]; 2 * count];
        part.content.chunks = part.words.chunks(64).map(<[[u8; 32]]>::to_vec).collect();
        shelf.blocks.push(block);
    }
    shelf
}

#[test]
fn payouts_go_in_whole_chunks_as_far_as_the_gas_of_one_transaction_reaches() {
    let gas = PayGas { base: 100_000, portion: 120_000, withdrawal: 200_000 };
    let shelf = paying_shelf(&[80, 0, 5, 60]);
    let parts = |paid: u32, chunks| {
        let at = (BlockNumber(paid), chunks);
        let parts = payouts(&shelf, SPOKE, at, BlockNumber(4), &gas);
        let parts = parts.into_iter().map(|part| (part.number.0, part.first, part.chunks));
        parts.collect::<Vec<_>>()
    };
    // 32 withdrawals cost 6.4 million gas: two chunks fit, then what is left with the next blocks.
    assert_eq!(parts(0, 0), [(1, 0, 2)]);
    assert_eq!(parts(0, 2), [(1, 2, 1), (2, 0, 0), (3, 0, 1), (4, 0, 1)]);
    assert_eq!(parts(3, 1), [(4, 1, 1)]);
    assert_eq!(parts(4, 0), []);
    assert!(gas.of(1, 64) <= 15_000_000 && gas.of(1, 80) > 15_000_000);
    // A chunk is paid, however much it costs.
    let dear = PayGas { withdrawal: 1_000_000, ..gas };
    let first = payouts(&shelf, SPOKE, (BlockNumber(0), 0), BlockNumber(4), &dear);
    assert_eq!(first, [Part { number: BlockNumber(1), first: 0, chunks: 1 }]);
}

#[test]
fn a_range_ends_before_its_words_pass_the_bound() {
    let shelf = paying_shelf(&[800, 800, 300, 9_000, 1]);
    let words = |block: &SealedBlock| block.chains[&SPOKE].words.len();
    let range = |from: u32| range_of((from..=5).map(BlockNumber), &shelf, WORDS_MAX, words);
    assert_eq!(range(1), Some(blocks(1, 2)), "3500 words are the bound");
    assert_eq!(range(3), Some(blocks(3, 3)));
    assert_eq!(range(4), Some(blocks(4, 4)), "one block goes whatever it has");
    assert_eq!(range(6), None);
}

/// Also of a spoke that is ahead of the hub, which cannot say yet what the spoke should hold.
#[test]
fn wrong_records_that_are_not_acked_are_taken_back_before_anything_else() {
    use Step::{Commit, Deliver, RevertCommits};
    let n = BlockNumber;
    let mut wrong = sound(SPOKE, view(3, 1, 1, 0));
    wrong.rolling[0] ^= 1;
    let deliver = Deliver { source: HUB, first: 7, count: 1 };
    for committed in [0, 4] {
        let hub = hub(committed, 0, 0, [0, 0]);
        let steps = decide_all(SPOKE, wrong, hub, &message(7), 0).unwrap();
        // Neither acked nor built upon.
        assert_eq!(steps, [RevertCommits(n(1)), paid(1), deliver.clone()]);
    }
    // The chain holds block 2, in which the archive has nothing for it.
    let mut invented = sound(SPOKE, view(2, 0, 0, 0));
    invented.rolling = [3; 32];
    let steps = decide_all(SPOKE, invented, hub(0, 0, 0, [0, 0]), &[], 0).unwrap();
    assert_eq!(steps, [RevertCommits(n(0))]);
    let mended = sound(SPOKE, view(1, 1, 1, 1));
    let steps = decide_all(SPOKE, mended, hub(0, 0, 0, [0, 0]), &[], 0).unwrap();
    assert_eq!(steps, [Commit(blocks(3, 3))]);
}

#[test]
fn a_block_that_is_missing_stops_settlement() {
    let mut gap = shelf(0);
    gap.blocks.truncate(1);
    assert_eq!(gap.rolling(SPOKE, BlockNumber(2)), None);
    assert_eq!(gap.rolling(SPOKE, BlockNumber(0)), Some([0; 32]));
}
