//! Blocks: their public data, the public inputs of their proofs, and the content that each chain agrees to.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Serialize;
use zklink::block::{Block, blob_root, rolling_content};
use zklink::commitment::StateTree;
use zklink::fixtures::{COIN, ONE, Scenario, Sealed, USDC};
use zklink::id::{ChainId, ShapeId};
use zklink::layout::HEAD_WORDS;
use zklink::shape::{NANO, SMALL, shapes};
use zklink::tx::keccak;

use super::{bytes, word, words};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vectors {
    shapes: Vec<ShapeExample>,
    /// The places of the first elements of a blob: `w^brp12(i)`.
    blob_roots: Vec<String>,
    genesis_root: String,
    /// Consecutive blocks of one deployment.
    blocks: Vec<BlockExample>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShapeExample {
    id: u16,
    name: &'static str,
    onchain_words: usize,
    data_words: usize,
    slots: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockExample {
    pub(super) number: u32,
    pub(super) timestamp: u64,
    pub(super) shape: u16,
    pub(super) old_root: String,
    pub(super) new_root: String,
    pub(super) onchain: Vec<String>,
    pub(super) data: Vec<String>,
    pub(super) onchain_hash: String,
    pub(super) data_hash: String,
    pub(super) digest: String,
    pub(super) z: String,
    pub(super) y_data: String,
    pub(super) y_onchain: String,
    pub(super) contents: Vec<Content>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    pub(super) chain: u8,
    pub(super) words: Vec<String>,
    pub(super) words_hash: String,
    pub(super) rolling_before: String,
    pub(super) rolling_after: String,
}

/// The time at which the story begins, Unix seconds.
pub(super) const START: u64 = 1_700_000_000;

pub(super) fn vectors() -> Result<Vectors> {
    let (genesis_root, blocks) = play(None)?;
    Ok(Vectors {
        shapes: shapes()
            .iter()
            .map(|shape| ShapeExample {
                id: shape.id.0,
                name: shape.name,
                onchain_words: shape.onchain_words(),
                data_words: shape.data_words(),
                slots: shape.slots.iter().map(|slot| format!("{slot:?}")).collect(),
            })
            .collect(),
        blob_roots: (0..8).map(|index| word(blob_root(index))).collect(),
        genesis_root,
        blocks,
    })
}

/// The genesis root and the blocks of the story, each of its own shape or all of one.
pub(super) fn play(shape: Option<ShapeId>) -> Result<(String, Vec<BlockExample>)> {
    let mut world = Scenario::new();
    let genesis_root = word(world.tree.root());
    world.state.system.timestamp = START;
    let mut rolling = BTreeMap::new();
    let mut blocks = Vec::new();
    for (usual, fill) in STORY {
        fill(&mut world)?;
        blocks.push(seal(&mut world, shape.unwrap_or(usual), &mut rolling)?);
    }
    Ok((genesis_root, blocks))
}

type Fill = fn(&mut Scenario) -> Result<()>;

/// A full block, an empty one, one with several chains, and one without operations for any chain.
const STORY: [(ShapeId, Fill); 5] = [
    (NANO, |world| {
        world.deposit(1, USDC, 1, 1_000_000_000)?;
        world.set_key(1)?;
        Ok(())
    }),
    (NANO, |_| Ok(())),
    (SMALL, |world| {
        world.deposit(2, USDC, 2, 400 * ONE)?;
        world.deposit(1, USDC, 2, 5_000_000)?;
        world.set_key(2)?;
        let pay = world.transfer(1, Scenario::owner(2), 3 * ONE, ONE / 100);
        world.send(1, pay)?;
        let new = world.transfer(1, Scenario::owner(3), 2 * ONE, ONE / 100);
        world.send(1, new)?;
        let out = world.withdraw(2, 1, USDC, 20 * ONE, ONE / 10);
        world.send(2, out)?;
        Ok(())
    }),
    (NANO, |world| {
        let pay = world.transfer(2, Scenario::owner(1), ONE, ONE / 100);
        world.send(2, pay)?;
        Ok(())
    }),
    (SMALL, |world| {
        world.deposit(3, COIN, 1, 9 * ONE)?;
        let out = world.withdraw(1, 2, USDC, 11 * ONE, 0);
        world.send(1, out)?;
        Ok(())
    }),
];

fn seal(
    world: &mut Scenario,
    shape: ShapeId,
    rolling: &mut BTreeMap<ChainId, [u8; 32]>,
) -> Result<BlockExample> {
    let Sealed { block, mut before, mut tree, .. } = world.seal(shape);
    let public = block.public_data();
    let decoded = Block::decode(&public)?;
    decoded.replay(&mut before, &mut tree)?;
    let root = StateTree::of(&before).root();
    ensure!(root == block.head.new_root, "block {} does not replay", block.head.number);
    ensure!(public.onchain.len() >= HEAD_WORDS, "a block has a head");
    let [digest, z, y_data, y_onchain] = public.public_inputs();
    let mut contents = Vec::new();
    for (chain, chain_words) in block.chain_words() {
        let current = rolling.entry(chain).or_default();
        let after = rolling_content(*current, block.head.number, &chain_words);
        contents.push(Content {
            chain: chain.0,
            words: chain_words.iter().map(|word| bytes(word)).collect(),
            words_hash: bytes(&keccak(&[chain_words.concat().as_slice()])),
            rolling_before: bytes(current),
            rolling_after: bytes(&after),
        });
        *current = after;
    }
    let [onchain, data] = [words(&public.onchain), words(&public.data)];
    Ok(BlockExample {
        number: block.head.number.0,
        timestamp: block.head.timestamp,
        shape: block.head.shape.0,
        old_root: word(block.head.old_root),
        new_root: word(block.head.new_root),
        onchain_hash: hash_of(&public.onchain),
        data_hash: hash_of(&public.data),
        onchain,
        data,
        digest: word(digest),
        z: word(z),
        y_data: word(y_data),
        y_onchain: word(y_onchain),
        contents,
    })
}

fn hash_of(elements: &[zklink::hash::Fr]) -> String {
    let joined: Vec<u8> = elements.iter().copied().flat_map(zklink::hash::fr_to_be_bytes).collect();
    bytes(&keccak(&[&joined]))
}
