//! What the simulated hub holds besides: the blocks and their stages.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zklink::block::{Block, PublicData, rolling_content};
use zklink::hash::{fr_from_be_bytes, fr_to_be_bytes};
use zklink::id::{BlockNumber, ChainId};
use zklink::tx::keccak;

use super::contracts::Refused;

/// How far a block's timestamp may run ahead of the chain's clock, seconds.
const AHEAD_MAX: u64 = 15 * 60;
/// How far it may lag behind, seconds.
const BEHIND_MAX: u64 = 14 * 24 * 3600;

/// Whether a proof proves a statement: a flag, or a real check.
#[derive(Clone)]
pub struct Verifier(Arc<Check>);

type Check = dyn Fn(&[[u8; 32]; 4], &[u8]) -> bool + Send + Sync;

impl Verifier {
    /// A verifier that asks this closure.
    pub fn new(check: impl Fn(&[[u8; 32]; 4], &[u8]) -> bool + Send + Sync + 'static) -> Verifier {
        Verifier(Arc::new(check))
    }

    /// A verifier that takes exactly the [`simulated_proof`] of the statement.
    pub fn simulated() -> Verifier {
        Verifier::new(|inputs, proof| proof == simulated_proof(inputs))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// What stands for a proof where nothing is proven: a digest that anybody can make.
pub fn simulated_proof(inputs: &[[u8; 32]; 4]) -> Vec<u8> {
    keccak(&[b"simulated proof", &inputs.concat()]).to_vec()
}

/// A block as it is handed to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committing {
    /// The digest of its public data.
    pub d: [u8; 32],
    /// The on-chain vector.
    pub onchain: Vec<[u8; 32]>,
    /// The data vector.
    pub data: Vec<[u8; 32]>,
}

/// A block that the hub has.
#[derive(Clone, Debug)]
pub struct HubBlock {
    /// The root after it.
    pub root: [u8; 32],
    /// Unix time in seconds.
    pub timestamp: u64,
    /// What must be proven.
    pub inputs: [[u8; 32]; 4],
    /// The rolling content of each chain with operations in it.
    pub contents: BTreeMap<ChainId, [u8; 32]>,
}

/// The hub's blocks, genesis first.
#[derive(Clone, Debug)]
pub struct SimulatedHub {
    /// The blocks.
    pub blocks: Vec<Arc<HubBlock>>,
    /// The last proven block.
    pub proven: BlockNumber,
    /// The last released block.
    pub released: BlockNumber,
    /// For each chain the last block up to which it agreed.
    pub acked: BTreeMap<ChainId, BlockNumber>,
    /// For each chain its last released block, and the last one that it was told of.
    pub releases: BTreeMap<ChainId, (BlockNumber, BlockNumber)>,
    acks: BTreeMap<(ChainId, BlockNumber), [u8; 32]>,
    last: BTreeMap<ChainId, BlockNumber>,
    verifier: Verifier,
}

fn index(number: BlockNumber) -> usize {
    usize::try_from(number.0).unwrap_or(usize::MAX)
}

impl SimulatedHub {
    /// A hub at genesis.
    pub fn new(genesis_root: [u8; 32], verifier: Verifier) -> SimulatedHub {
        let genesis = HubBlock {
            root: genesis_root,
            timestamp: 0,
            inputs: [[0; 32]; 4],
            contents: BTreeMap::new(),
        };
        SimulatedHub {
            blocks: vec![Arc::new(genesis)],
            proven: BlockNumber(0),
            released: BlockNumber(0),
            acked: BTreeMap::new(),
            releases: BTreeMap::new(),
            acks: BTreeMap::new(),
            last: BTreeMap::new(),
            verifier,
        }
    }

    /// The last block.
    pub fn committed(&self) -> BlockNumber {
        let last = u32::try_from(self.blocks.len() - 1).unwrap_or(u32::MAX);
        BlockNumber(last)
    }

    /// A block.
    pub fn block(&self, number: BlockNumber) -> Option<&HubBlock> {
        self.blocks.get(index(number)).map(|block| &**block)
    }

    /// The last block with operations of a chain, and the content there.
    pub fn content(&self, chain: ChainId) -> (BlockNumber, [u8; 32]) {
        let last = self.last.get(&chain).copied().unwrap_or_default();
        (last, self.rolling(last, chain))
    }

    /// The rolling content of a chain after a block with operations of it; zero for any other.
    pub fn rolling(&self, number: BlockNumber, chain: ChainId) -> [u8; 32] {
        let found = self.block(number).and_then(|block| block.contents.get(&chain));
        found.copied().unwrap_or_default()
    }

    /// Takes the next block at `now`, the chain's own time in seconds.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn commit_block(&mut self, given: &Committing, now: u64) -> Result<(), Refused> {
        let last = &self.blocks[self.blocks.len() - 1];
        let elements = |words: &[[u8; 32]]| -> Result<Vec<_>, Refused> {
            let elements: Option<_> = words.iter().map(|word| fr_from_be_bytes(*word)).collect();
            elements.ok_or_else(|| "WordOutOfRange".into())
        };
        let (onchain, data) = (elements(&given.onchain)?, elements(&given.data)?);
        let public = PublicData { onchain, data };
        let block = Block::decode(&public).map_err(|bad| Refused(bad.to_string()))?;
        let head = block.head;
        if self.committed().next() != Some(head.number) {
            return Err("NotTheNextBlock".into());
        }
        let earliest = now.saturating_sub(BEHIND_MAX).max(last.timestamp);
        if !(earliest..=now + AHEAD_MAX).contains(&head.timestamp) {
            return Err(Refused(format!("BadTimestamp({}, {earliest})", head.timestamp)));
        }
        if fr_to_be_bytes(head.old_root) != last.root {
            return Err("HeadMismatch".into());
        }
        let inputs = block.public_inputs().map_err(|bad| Refused(bad.to_string()))?;
        let inputs = inputs.map(fr_to_be_bytes);
        // The contract leaves this to the proof; a simulated proof could not tell.
        if inputs[0] != given.d {
            return Err("the digest is not that of the public data".into());
        }
        let mut contents = BTreeMap::new();
        let number = head.number;
        for (chain, content) in block.contents() {
            let (_, before) = self.content(chain);
            contents.insert(chain, rolling_content(before, number, content.hash()));
        }
        for (chain, rolling) in &contents {
            self.last.insert(*chain, number);
            if self.acks.get(&(*chain, number)) == Some(rolling) {
                self.agree(*chain, number);
            }
        }
        let (root, timestamp) = (fr_to_be_bytes(head.new_root), head.timestamp);
        self.blocks.push(Arc::new(HubBlock { root, timestamp, inputs, contents }));
        Ok(())
    }

    fn agree(&mut self, chain: ChainId, number: BlockNumber) {
        let through = self.acked.entry(chain).or_default();
        *through = number.max(*through);
    }

    /// Notes what a chain holds.
    pub fn acknowledge(&mut self, chain: ChainId, number: BlockNumber, rolling: [u8; 32]) {
        self.acks.insert((chain, number), rolling);
        if rolling != [0; 32] && self.rolling(number, chain) == rolling {
            self.agree(chain, number);
        }
    }

    /// Takes the proof of the next block.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn prove(
        &mut self,
        number: BlockNumber,
        inputs: &[[u8; 32]; 4],
        proof: &[u8],
    ) -> Result<(), Refused> {
        let next = self.proven.next().filter(|next| *next == number);
        let block = next.and_then(|next| self.block(next)).ok_or("NotTheNextBlock")?;
        if block.inputs != *inputs {
            return Err("CommitmentMismatch".into());
        }
        if !(self.verifier.0)(inputs, proof) {
            return Err("ProofRefused".into());
        }
        self.proven = number;
        Ok(())
    }

    /// Marks all blocks up to this one released.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn release(&mut self, number: BlockNumber) -> Result<(), Refused> {
        if number <= self.released {
            return Err("NothingToRelease".into());
        }
        if number > self.proven {
            return Err("NotProven".into());
        }
        for number in (self.released.0 + 1..=number.0).map(BlockNumber) {
            let block = self.block(number).ok_or("NotProven")?;
            let agreed = |chain: &ChainId| self.acked.get(chain).is_some_and(|to| *to >= number);
            if !block.contents.keys().all(agreed) {
                return Err("NotAcked".into());
            }
            for chain in block.contents.keys().copied().collect::<Vec<_>>() {
                self.releases.entry(chain).or_default().0 = number;
            }
        }
        self.released = number;
        Ok(())
    }

    /// The last released block of a chain that was not told of it, with root and content. From then on it was told.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn take_release(
        &mut self,
        chain: ChainId,
    ) -> Result<(BlockNumber, [u8; 32], [u8; 32]), Refused> {
        let (released, sent) = self.releases.entry(chain).or_default();
        if *released <= *sent {
            return Err("NothingToRelease".into());
        }
        *sent = *released;
        let number = *released;
        let root = self.block(number).map(|block| block.root).unwrap_or_default();
        Ok((number, root, self.rolling(number, chain)))
    }
}
