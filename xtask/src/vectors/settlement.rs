//! The story of the blocks once more, in the form that the tests of the contracts play against a hub: all blocks
//! of one shape.

use anyhow::{Context, Result};
use serde::Serialize;
use zklink::shape::{SMALL, shape};

use super::block::{BlockExample, START, in_shape};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vectors {
    genesis_root: String,
    timestamp: u64,
    shape: u16,
    onchain_words: usize,
    data_words: usize,
    blocks: Vec<Committed>,
}

/// What the hub is given of a block, and what it must compute.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Committed {
    number: u32,
    timestamp: u64,
    new_root: String,
    d: String,
    z: String,
    y_data: String,
    y_onchain: String,
    onchain: Vec<String>,
    data: Vec<String>,
    contents: Vec<Rolling>,
}

#[derive(Serialize)]
struct Rolling {
    chain: u8,
    /// The content hash of this block.
    content: String,
    rolling: String,
}

pub(super) fn vectors() -> Result<Vectors> {
    let small = shape(SMALL).context("the small shape is gone")?;
    let (genesis_root, blocks) = in_shape(SMALL)?;
    Ok(Vectors {
        genesis_root,
        timestamp: START,
        shape: small.id.0,
        onchain_words: small.onchain_words(),
        data_words: small.data_words(),
        blocks: blocks.into_iter().map(committed).collect(),
    })
}

fn committed(block: BlockExample) -> Committed {
    let contents = block.contents.into_iter();
    Committed {
        number: block.number,
        timestamp: block.timestamp,
        new_root: block.new_root,
        d: block.digest,
        z: block.z,
        y_data: block.y_data,
        y_onchain: block.y_onchain,
        onchain: block.onchain,
        data: block.data,
        contents: contents
            .map(|part| Rolling {
                chain: part.chain,
                content: part.content,
                rolling: part.rolling_after,
            })
            .collect(),
    }
}
