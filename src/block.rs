//! Blocks: ordered operations of one shape, and the public data from which anybody can replay them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::commitment::{OtherLeaf, StateTree};
use crate::hash::{Domain, Fr, compress8, fr_to_be_bytes};
use crate::id::{AccountId, BlockNumber, ChainId, ShapeId};
use crate::layout::{BadWord, HEAD_WORD, HEAD_WORDS, narrow};
use crate::op::{Op, Published, SlotKind};
use crate::reject::Reject;
use crate::shape::{Load, Shape, WorkingSet, shape};
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
    /// The operations in the order in which they happen.
    pub ops: Vec<Op>,
}

/// The operations of a block by the kind of their slots, each kind in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots<'a> {
    /// Operations of the queues; `at` is the number of signed operations before each.
    pub queue: Vec<Published<&'a Op>>,
    /// Signed operations; `at` is their rank.
    pub signed: Vec<Published<&'a Op>>,
}

/// What a block publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicData {
    /// Head and words of the on-chain operations: what contracts read.
    #[serde(with = "crate::hash::form")]
    pub onchain: Vec<Fr>,
    /// Words of the other operations.
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
    /// An operation names an account that cannot be.
    #[error("operation {index} names a place that no tree has")]
    Form {
        /// Its index.
        index: usize,
    },
    /// The words are not those of a block.
    #[error("word: {0}")]
    Word(#[from] BadWord),
    /// An operation breaks a rule.
    #[error("operation {index}: {reject}")]
    Op {
        /// Its index.
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
    /// State and trees do not belong together.
    #[error(transparent)]
    Trees(#[from] OtherLeaf),
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

    /// Checks that the operations fit the shape and have ids that can be published. A block that was stored may not.
    ///
    /// # Errors
    /// [`BlockError::Shape`], [`BlockError::Full`], [`BlockError::Form`].
    pub fn check_form(&self, fee_account: AccountId) -> Result<(), BlockError> {
        let shape = self.shape()?;
        let exists = |cell| match cell {
            Cell::Balance(account, sub, _) => account.is_valid() && sub.is_valid(),
            Cell::Pool(chain, _) | Cell::Cursor(chain) => chain.is_valid(),
        };
        // A refused deposit touches no account, and publishes one.
        let is_published = |op: &Op| match op {
            Op::Deposit(deposit) => deposit.account.is_valid(),
            _ => true,
        };
        let strange = |op: &Op| !is_published(op) || !op.cells(fee_account).into_iter().all(exists);
        if let Some(index) = self.ops.iter().position(strange) {
            return Err(BlockError::Form { index });
        }
        if !Load::of(&self.ops, fee_account).counts().fit(&shape.room) {
            return Err(BlockError::Full(shape.id));
        }
        Ok(())
    }

    /// The operations by the kind of their slots.
    ///
    /// # Panics
    /// When there are 2^16 signed operations: no shape has so many.
    pub fn slots(&self) -> Slots<'_> {
        let mut slots = Slots::default();
        for op in &self.ops {
            let at = u16::try_from(slots.signed.len()).expect("a shape has fewer than 2^16 slots");
            match op.slot_kind() {
                SlotKind::Queue => slots.queue.push(Published { op, at }),
                SlotKind::Signed => slots.signed.push(Published { op, at }),
            }
        }
        slots
    }

    /// Replays the block on the state before it: applies its operations, advances the clock and compares roots.
    ///
    /// # Errors
    /// The first thing that is wrong. The state may then be half-changed; replay on a copy where that matters.
    pub fn replay(&self, state: &mut State, tree: &mut StateTree) -> Result<(), BlockError> {
        self.check_form(state.system.fee_account)?;
        let number = self.head.number;
        let follows = state.system.number.next() == Some(number);
        if !follows || self.head.timestamp < state.system.timestamp {
            return Err(BlockError::Order(number));
        }
        if tree.root() != self.head.old_root {
            return Err(BlockError::Root(number));
        }
        let cells = self.cells(state);
        tree.prepare(state, cells.iter().filter_map(Cell::account))?;
        for (index, op) in self.ops.iter().enumerate() {
            op.apply(state).map_err(|reject| BlockError::Op { index, reject })?;
        }
        state.end_block(number, self.head.timestamp);
        tree.update(state, &cells);
        if tree.root() != self.head.new_root {
            return Err(BlockError::Root(number));
        }
        Ok(())
    }

    /// What the block publishes.
    pub fn public_data(&self) -> PublicData {
        let slots = self.slots();
        let mut onchain = self.head.words().to_vec();
        let (signed, others): (Vec<_>, Vec<_>) =
            slots.signed.into_iter().partition(|published| published.op.is_onchain());
        onchain.extend(slots.queue.iter().chain(&signed).flat_map(Published::words));
        let mut data: Vec<Fr> = others.iter().flat_map(Published::words).collect();
        data.truncate(data.iter().rposition(|word| *word != Fr::zero()).map_or(0, |last| last + 1));
        PublicData { onchain, data }
    }

    /// Reads a block from what it published.
    ///
    /// # Errors
    /// [`BlockError`] when the words are not those of a block.
    pub fn decode(public: &PublicData) -> Result<Block, BlockError> {
        let (head, mut words) = Head::decode(&public.onchain)?;
        let (mut queue, mut onchain) = (Vec::new(), Vec::new());
        while !words.is_empty() {
            let published = Op::take_onchain(&mut words)?;
            match published.op.slot_kind() {
                SlotKind::Queue if onchain.is_empty() => queue.push(published),
                SlotKind::Queue => return Err(BadWord::Place(published.at).into()),
                SlotKind::Signed => onchain.push(published),
            }
        }
        let signed = in_ranks(onchain, data_ops(&public.data)?)?;
        if signed.len() > usize::from(u16::MAX) {
            return Err(BlockError::Full(head.shape));
        }
        Ok(Block { head, ops: in_order(queue, signed)? })
    }

    /// The digest that the circuit makes of the words of all slots, used or not: seven elements a step.
    ///
    /// # Errors
    /// [`BlockError::Shape`], [`BlockError::Full`].
    pub fn digest(&self) -> Result<Fr, BlockError> {
        let shape = self.shape()?;
        let slots = self.slots();
        let mut words = self.head.words().to_vec();
        let room = shape.room;
        for (kind, ops, room) in [
            (SlotKind::Queue, &slots.queue, room.queue),
            (SlotKind::Signed, &slots.signed, room.signed),
        ] {
            let empty = room.checked_sub(ops.len()).ok_or(BlockError::Full(shape.id))?;
            for published in ops {
                let mut slot = published.words();
                slot.resize(kind.words(), Fr::zero());
                words.extend(slot);
            }
            words.extend(std::iter::repeat_n(Fr::zero(), empty * kind.words()));
        }
        Ok(digest(&words))
    }

    /// The public inputs of the proof: digest, point, value of the data, value of the on-chain words.
    ///
    /// # Errors
    /// As [`Block::digest`].
    pub fn public_inputs(&self) -> Result<[Fr; 4], BlockError> {
        Ok(self.public_data().inputs(self.digest()?))
    }

    /// What the block holds for each chain that it touches.
    pub fn contents(&self) -> BTreeMap<ChainId, Content> {
        let slots = self.slots();
        let mut contents: BTreeMap<ChainId, Content> = BTreeMap::new();
        let mut payouts: BTreeMap<ChainId, usize> = BTreeMap::new();
        for published in slots.queue.iter().chain(&slots.signed) {
            let Some(chain) = published.op.chain() else { continue };
            let content = contents.entry(chain).or_default();
            let words = published.words().into_iter().map(fr_to_be_bytes);
            if matches!(published.op, Op::Withdraw(_)) {
                let count = payouts.entry(chain).or_default();
                if count.is_multiple_of(CHUNK) {
                    content.chunks.push(Vec::new());
                }
                *count += 1;
                content.chunks.last_mut().expect("pushed above").extend(words);
            } else {
                content.rest.extend(words);
            }
        }
        contents
    }

    /// The words of each chain's own operations, in order: what its contract is given.
    pub fn chain_words(&self) -> BTreeMap<ChainId, Vec<[u8; 32]>> {
        let slots = self.slots();
        let mut words: BTreeMap<ChainId, Vec<[u8; 32]>> = BTreeMap::new();
        for published in slots.queue.iter().chain(&slots.signed) {
            if let Some(chain) = published.op.chain() {
                let of_chain = words.entry(chain).or_default();
                of_chain.extend(published.words().into_iter().map(fr_to_be_bytes));
            }
        }
        words
    }
}

impl Published<&Op> {
    /// Its public words.
    pub fn words(&self) -> Vec<Fr> {
        self.op.words(self.at)
    }
}

/// The operations of a data vector. Behind its end all words are zero, as its value at z says, and it leaves out such
/// words: the last operation may lack its second.
fn data_ops(data: &[Fr]) -> Result<Vec<Op>, BadWord> {
    if data.last() == Some(&Fr::zero()) {
        return Err(BadWord::TrailingZero);
    }
    let padded = [data, &[Fr::zero()]].concat();
    let (mut words, mut ops) = (&padded[..], Vec::new());
    while words.len() > 1 {
        ops.push(Op::take_data(&mut words)?);
    }
    Ok(ops)
}

/// Puts the signed operations in order: on-chain ones stand at their ranks, the others take what is left.
fn in_ranks(onchain: Vec<Published<Op>>, data: Vec<Op>) -> Result<Vec<Op>, BadWord> {
    let mut onchain = onchain.into_iter().peekable();
    let mut data = data.into_iter();
    let mut ops = Vec::with_capacity(onchain.len() + data.len());
    loop {
        let rank = ops.len();
        let here = onchain.next_if(|published| usize::from(published.at) == rank);
        match here.map(|published| published.op).or_else(|| data.next()) {
            Some(op) => ops.push(op),
            None => break,
        }
    }
    match onchain.next() {
        Some(stray) => Err(BadWord::Place(stray.at)),
        None => Ok(ops),
    }
}

/// Puts each operation of the queues behind as many signed ones as it says.
fn in_order(queue: Vec<Published<Op>>, signed: Vec<Op>) -> Result<Vec<Op>, BadWord> {
    let count = signed.len();
    let mut ops = Vec::with_capacity(queue.len() + count);
    let mut signed = signed.into_iter();
    for Published { op, at } in queue {
        // `at` falls along the queue when more signed operations stand before than it says.
        let before = count - signed.len();
        let more = usize::from(at).checked_sub(before).filter(|more| *more <= signed.len());
        ops.extend(signed.by_ref().take(more.ok_or(BadWord::Place(at))?));
        ops.push(op);
    }
    ops.extend(signed);
    Ok(ops)
}

impl Head {
    /// The words at the start of the on-chain vector.
    fn words(&self) -> [Fr; HEAD_WORDS] {
        let Head { number, timestamp, shape, old_root, new_root } = *self;
        let packed = HEAD_WORD.pack([number.0.into(), timestamp.into(), shape.0.into()]);
        [old_root, new_root, packed]
    }

    /// The head, and what stands behind it.
    fn decode(onchain: &[Fr]) -> Result<(Head, &[Fr]), BlockError> {
        let short = BadWord::Length { expected: HEAD_WORDS, found: onchain.len() };
        let ([old_root, new_root, packed], rest) =
            onchain.split_first_chunk::<HEAD_WORDS>().ok_or(short)?;
        let [number, timestamp, shape] = HEAD_WORD.unpack(packed)?;
        let head = Head {
            number: BlockNumber(narrow("number", number)?),
            timestamp: narrow("timestamp", timestamp)?,
            shape: ShapeId(narrow("shape", shape)?),
            old_root: *old_root,
            new_root: *new_root,
        };
        Ok((head, rest))
    }
}

/// The rolling content of a chain after a block with operations for it.
///
/// `keccak(previous, number as uint256, content)`: it binds every operation of the chain since genesis and with them
/// its priority cursor.
pub fn rolling_content(previous: [u8; 32], number: BlockNumber, content: [u8; 32]) -> [u8; 32] {
    keccak(&[&previous, &word(&number.0.to_be_bytes()), &content])
}

/// Withdrawals in one chunk of the content of a chain: what one transaction can pay.
pub const CHUNK: usize = 32;

/// What a block holds for one chain, cut so that a payout needs a part of it only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Words of deposits and key changes, in order.
    pub rest: Vec<[u8; 32]>,
    /// Words of the withdrawals in order, [`CHUNK`] of them at a time.
    pub chunks: Vec<Vec<[u8; 32]>>,
}

impl Content {
    /// The Keccak hashes of the rest and of each chunk, in order.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        let parts = std::iter::once(&self.rest).chain(&self.chunks);
        parts.map(|words| keccak(&[words.concat().as_slice()])).collect()
    }

    /// The content hash: the hash of [`Content::hashes`].
    pub fn hash(&self) -> [u8; 32] {
        keccak(&[self.hashes().concat().as_slice()])
    }
}

/// The digest of the words of all slots.
fn digest(words: &[Fr]) -> Fr {
    words.chunks(7).fold(Fr::from(words.len() as u64), |state, chunk| {
        let mut lanes = [Fr::zero(); 8];
        lanes[0] = state;
        lanes[1..=chunk.len()].copy_from_slice(chunk);
        compress8(Domain::PublicData, lanes)
    })
}

impl PublicData {
    /// The point at which the contract asks for the value of both polynomials. It is fixed after the digest and after
    /// what was published, so that the two cannot be chosen to meet by chance.
    pub fn point(&self, digest: Fr) -> Fr {
        let hash = |words: &[Fr]| {
            let bytes: Vec<[u8; 32]> = words.iter().copied().map(fr_to_be_bytes).collect();
            keccak(&[bytes.concat().as_slice()])
        };
        reduce(keccak(&[&fr_to_be_bytes(digest), &hash(&self.onchain), &hash(&self.data)]))
    }

    /// The public inputs of the proof of a block with this digest: digest, point, value of the data, value of the
    /// on-chain words.
    pub fn inputs(&self, digest: Fr) -> [Fr; 4] {
        let z = self.point(digest);
        [digest, z, evaluate_data(&self.data, z), evaluate(&self.onchain, z)]
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

/// The element of a blob that holds word `index` of the data: a blob counts the roots of unity in bit-reversed order.
pub fn blob_element(index: usize) -> usize {
    assert!(index < BLOB_ELEMENTS, "a blob has 4096 elements");
    let reversed = (index as u64).reverse_bits() >> (64 - BLOB_ELEMENTS.trailing_zeros());
    usize::try_from(reversed).expect("below 4096")
}

/// A primitive 4096th root of unity: `7^((r-1)/4096)`, as EIP-4844 takes it.
pub fn data_root() -> Fr {
    use ff::PrimeField;
    let two_adic = Fr::ROOT_OF_UNITY;
    let squarings = Fr::S - BLOB_ELEMENTS.trailing_zeros();
    (0..squarings).fold(two_adic, |root, _| root.square())
}

/// The value at z of the polynomial of degree below 4096 that is `words[k]` at `w^k` and zero at the other 4096th roots
/// of unity. Barycentric formula. The point-evaluation precompile says the same of a blob that has word k at
/// [`blob_element`].
pub fn evaluate_data(words: &[Fr], z: Fr) -> Fr {
    let size = Fr::from(BLOB_ELEMENTS as u64);
    let vanishing = z.pow_vartime(&[BLOB_ELEMENTS as u64, 0, 0, 0]) - Fr::one();
    let inverse = |value: Fr| Option::<Fr>::from(value.invert());
    let (mut sum, mut root) = (Fr::zero(), Fr::one());
    for word in words {
        match inverse(z - root) {
            Some(inverted) => sum += word * root * inverted,
            None => return *word,
        }
        root *= data_root();
    }
    sum * vanishing * inverse(size).expect("4096 is not zero in the field")
}
