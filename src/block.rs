//! Blocks: ordered operations of one shape, and the public data from which anybody can replay them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::commitment::StateTree;
use crate::hash::{Domain, Fr, compress8, fr_to_be_bytes};
use crate::id::{AccountId, BlockNumber, ChainId, ShapeId};
use crate::layout::{BadWord, HEAD_WORD, HEAD_WORDS, narrow};
use crate::op::{Op, SlotKind};
use crate::reject::Reject;
use crate::shape::{Shape, WorkingSet, shape};
use crate::state::{Cell, State};
use crate::tx::{keccak, word};

/// Number of evaluations that a blob holds.
pub const BLOB_ELEMENTS: usize = 4096;

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub number: BlockNumber,
    /// Unix time in seconds.
    pub timestamp: u64,
    /// Its shape.
    pub shape: ShapeId,
    /// Root before it.
    #[serde(with = "crate::hash::form")]
    pub old_root: Fr,
    /// Root after it.
    #[serde(with = "crate::hash::form")]
    pub new_root: Fr,
}

/// A sealed block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The head.
    pub head: Head,
    /// One operation for each slot of the shape.
    pub ops: Vec<Op>,
}

/// What a block publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicData {
    /// Head and words of the on-chain slots: what contracts read.
    #[serde(with = "crate::hash::form")]
    pub onchain: Vec<Fr>,
    /// Words of the other slots.
    #[serde(with = "crate::hash::form")]
    pub data: Vec<Fr>,
}

/// A block cannot be built or replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// No such shape.
    #[error("shape {0} is not known")]
    Shape(ShapeId),
    /// The operations need more slots or leaves than any shape has.
    #[error("the operations do not fit shape {0}")]
    Full(ShapeId),
    /// An operation is not of the kind of its slot, or names an account that cannot be.
    #[error("operation {index} does not have the form of its slot")]
    Form {
        /// The slot.
        index: usize,
    },
    /// The words are not those of a block.
    #[error("word: {0}")]
    Word(#[from] BadWord),
    /// An operation breaks a rule.
    #[error("operation {index}: {reject}")]
    Op {
        /// Its slot.
        index: usize,
        /// The rule.
        reject: Reject,
    },
    /// The number is not the next one, or the time goes backwards.
    #[error("block {0} does not follow the state")]
    Order(BlockNumber),
    /// The replay leads to another root.
    #[error("block {0} leads to another root than it says")]
    Root(BlockNumber),
}

impl Block {
    /// The shape of the block.
    ///
    /// # Errors
    /// [`BlockError::Shape`].
    pub fn shape(&self) -> Result<&'static Shape, BlockError> {
        shape(self.head.shape).ok_or(BlockError::Shape(self.head.shape))
    }

    /// The cells that its operations touch.
    pub fn cells(&self, state: &State) -> BTreeSet<Cell> {
        let fee_account = state.system.fee_account;
        self.ops.iter().flat_map(|op| op.cells(fee_account)).collect()
    }

    /// The leaves that its proof opens.
    ///
    /// # Errors
    /// [`BlockError::Shape`], [`BlockError::Full`].
    pub fn working_set(&self, state: &State) -> Result<WorkingSet, BlockError> {
        let set = self.shape()?.working_set(&self.cells(state));
        set.ok_or(BlockError::Full(self.head.shape))
    }

    /// Checks that the block has one operation for each slot of its shape, of the slot's kind, with ids that can be
    /// published. A block from [`Block::decode`] has this form; one that was stored otherwise may not.
    ///
    /// # Errors
    /// [`BlockError::Shape`], [`BlockError::Form`].
    pub fn check_form(&self) -> Result<(), BlockError> {
        let shape = self.shape()?;
        let fits = |(index, (op, slot)): (usize, (&Op, &SlotKind))| {
            let kind = match op {
                Op::Noop(noop) => Some(noop.slot),
                other => other.slot_kind(),
            };
            let places = op.cells(AccountId(0)).into_iter().all(|cell| match cell {
                Cell::Balance(account, ..) => account.is_valid(),
                Cell::Pool(..) => true,
            });
            (kind == Some(*slot) && places).then_some(()).ok_or(BlockError::Form { index })
        };
        if self.ops.len() != shape.slots.len() {
            return Err(BlockError::Form { index: self.ops.len().min(shape.slots.len()) });
        }
        self.ops.iter().zip(&shape.slots).enumerate().try_for_each(fits)
    }

    /// Replays the block on the state before it: applies its operations, advances the clock and compares roots.
    ///
    /// # Errors
    /// The first thing that is wrong. The state may then be half-changed; replay on a copy where that matters.
    pub fn replay(&self, state: &mut State, tree: &mut StateTree) -> Result<(), BlockError> {
        self.check_form()?;
        let number = self.head.number;
        let follows = state.system.number.next() == Some(number);
        if !follows || self.head.timestamp < state.system.timestamp {
            return Err(BlockError::Order(number));
        }
        if tree.root() != self.head.old_root {
            return Err(BlockError::Root(number));
        }
        for (index, op) in self.ops.iter().enumerate() {
            op.apply(state).map_err(|reject| BlockError::Op { index, reject })?;
        }
        state.system.number = number;
        state.system.timestamp = self.head.timestamp;
        tree.update(state, &self.cells(state));
        if tree.root() != self.head.new_root {
            return Err(BlockError::Root(number));
        }
        Ok(())
    }

    /// What the block publishes.
    pub fn public_data(&self) -> PublicData {
        let Head { number, timestamp, shape, old_root, new_root } = self.head;
        let packed = HEAD_WORD.pack([number.0.into(), timestamp.into(), shape.0.into()]);
        let mut onchain = vec![old_root, new_root, packed];
        let mut data = Vec::new();
        for op in &self.ops {
            let vector = if is_onchain(op) { &mut onchain } else { &mut data };
            vector.extend(op.words());
        }
        PublicData { onchain, data }
    }

    /// Reads a block from what it published.
    ///
    /// # Errors
    /// [`BlockError`] when the words are not those of a block.
    pub fn decode(public: &PublicData) -> Result<Block, BlockError> {
        let head = Head::decode(&public.onchain)?;
        let shape = shape(head.shape).ok_or(BlockError::Shape(head.shape))?;
        check_length(&public.onchain, shape.onchain_words())?;
        check_length(&public.data, shape.data_words())?;
        let mut onchain = &public.onchain[HEAD_WORDS..];
        let mut data = &public.data[..];
        let mut ops = Vec::with_capacity(shape.slots.len());
        for slot in &shape.slots {
            let vector = if slot.is_onchain() { &mut onchain } else { &mut data };
            let (words, rest) = vector.split_at(slot.words());
            *vector = rest;
            ops.push(Op::decode(*slot, words)?);
        }
        Ok(Block { head, ops })
    }

    /// The words of each chain's own operations, in order: what its contract is given.
    pub fn chain_words(&self) -> BTreeMap<ChainId, Vec<[u8; 32]>> {
        let mut words: BTreeMap<ChainId, Vec<[u8; 32]>> = BTreeMap::new();
        for op in &self.ops {
            if let Some(chain) = op.chain() {
                let of_chain = words.entry(chain).or_default();
                of_chain.extend(op.words().iter().copied().map(fr_to_be_bytes));
            }
        }
        words
    }
}

impl Head {
    fn decode(onchain: &[Fr]) -> Result<Head, BlockError> {
        let [old_root, new_root, packed] = onchain
            .first_chunk::<HEAD_WORDS>()
            .ok_or(BadWord::Length { expected: HEAD_WORDS, found: onchain.len() })?;
        let [number, timestamp, shape] = HEAD_WORD.unpack(packed)?;
        Ok(Head {
            number: BlockNumber(narrow("number", number)?),
            timestamp: narrow("timestamp", timestamp)?,
            shape: ShapeId(narrow("shape", shape)?),
            old_root: *old_root,
            new_root: *new_root,
        })
    }
}

fn is_onchain(op: &Op) -> bool {
    let kind = match op {
        Op::Noop(noop) => Some(noop.slot),
        other => other.slot_kind(),
    };
    kind.is_some_and(SlotKind::is_onchain)
}

fn check_length(words: &[Fr], expected: usize) -> Result<(), BadWord> {
    if words.len() != expected {
        return Err(BadWord::Length { expected, found: words.len() });
    }
    Ok(())
}

/// The rolling content of a chain after a block with operations for it.
///
/// `keccak(previous, number as uint256, keccak(words))`: it binds every operation of the chain since genesis and with
/// them its priority cursor.
pub fn rolling_content(previous: [u8; 32], number: BlockNumber, words: &[[u8; 32]]) -> [u8; 32] {
    let content = keccak(&[words.concat().as_slice()]);
    keccak(&[&previous, &word(&number.0.to_be_bytes()), &content])
}

impl PublicData {
    /// The digest that the circuit makes of both vectors: seven elements a step.
    pub fn digest(&self) -> Fr {
        let lengths = (self.onchain.len() as u64) << 32 | self.data.len() as u64;
        let mut state = Fr::from(lengths);
        let elements: Vec<Fr> = self.onchain.iter().chain(&self.data).copied().collect();
        for chunk in elements.chunks(7) {
            let mut lanes = [Fr::zero(); 8];
            lanes[0] = state;
            lanes[1..=chunk.len()].copy_from_slice(chunk);
            state = compress8(Domain::PublicData, lanes);
        }
        state
    }

    /// The point at which the contract asks for the value of both polynomials. It is fixed after the digest and after
    /// what was published, so that the two cannot be chosen to meet by chance.
    pub fn point(&self) -> Fr {
        let hash = |words: &[Fr]| {
            let bytes: Vec<[u8; 32]> = words.iter().copied().map(fr_to_be_bytes).collect();
            keccak(&[bytes.concat().as_slice()])
        };
        let digest = fr_to_be_bytes(self.digest());
        reduce(keccak(&[&digest, &hash(&self.onchain), &hash(&self.data)]))
    }

    /// The public inputs of the proof: digest, point, value of the data, value of the on-chain words.
    pub fn public_inputs(&self) -> [Fr; 4] {
        let z = self.point();
        [self.digest(), z, evaluate_blob(&self.data, z), evaluate(&self.onchain, z)]
    }
}

/// A 256-bit number modulo the order of the field.
pub fn reduce(bytes: [u8; 32]) -> Fr {
    let mut wide = [0u8; 64];
    wide[32..].copy_from_slice(&bytes);
    wide.reverse();
    Fr::from_bytes_wide(&wide)
}

/// `sum of words[i] * z^i`.
pub fn evaluate(words: &[Fr], z: Fr) -> Fr {
    words.iter().rev().fold(Fr::zero(), |sum, word| sum * z + word)
}

/// The place of element `index` on the domain of a blob: `w^bitreverse12(index)`.
pub fn blob_root(index: usize) -> Fr {
    assert!(index < BLOB_ELEMENTS, "a blob has 4096 elements");
    let reversed = (index as u64).reverse_bits() >> (64 - BLOB_ELEMENTS.trailing_zeros());
    blob_generator().pow_vartime(&[reversed, 0, 0, 0])
}

/// A primitive 4096th root of unity: `7^((r-1)/4096)`, as EIP-4844 takes it.
fn blob_generator() -> Fr {
    use ff::PrimeField;
    let two_adic = Fr::ROOT_OF_UNITY;
    let squarings = Fr::S - BLOB_ELEMENTS.trailing_zeros();
    (0..squarings).fold(two_adic, |root, _| root.square())
}

/// The value at z of the polynomial that has the words as evaluations over the domain of a blob, and zeros after
/// them: what the point-evaluation precompile says of a blob. Barycentric formula.
pub fn evaluate_blob(words: &[Fr], z: Fr) -> Fr {
    let size = Fr::from(BLOB_ELEMENTS as u64);
    let vanishing = z.pow_vartime(&[BLOB_ELEMENTS as u64, 0, 0, 0]) - Fr::one();
    let inverse = |value: Fr| Option::<Fr>::from(value.invert());
    let mut sum = Fr::zero();
    for (index, word) in words.iter().enumerate() {
        let root = blob_root(index);
        match inverse(z - root) {
            Some(inverted) => sum += word * root * inverted,
            None => return *word,
        }
    }
    sum * vanishing * inverse(size).expect("4096 is not zero in the field")
}
