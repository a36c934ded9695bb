//! Blocks: their public data, the public inputs of their proofs, and the content that each chain agrees to.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use zklink::amount::{Amount, Fee};
use zklink::block::{Block, blob_element, data_root, rolling_content};
use zklink::commitment::StateTree;
use zklink::fixtures::{COIN, ONE, Scenario, Sealed, USDC};
use zklink::hash::{Fr, fr_to_be_bytes};
use zklink::id::{AccountId, ChainId, Owner, ShapeId, SubAccountId, TokenId};
use zklink::key::SecretKey;
use zklink::layout::HEAD_WORDS;
use zklink::op::{Deposit, Op};
use zklink::shape::{Counts, DEEP, NANO, SMALL, shapes};
use zklink::state::{State, System};
use zklink::tx::{ChangePubKeyTx, KeyAuth, TransferTx, Tx, WithdrawTx, keccak};

use super::{bytes, word, words};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vectors {
    shapes: Vec<ShapeExample>,
    /// The places of the first words of the data vector, and the elements of a blob that hold them.
    data_roots: Vec<String>,
    blob_elements: Vec<usize>,
    genesis_root: String,
    /// Of what the state with that root is made.
    genesis: Genesis,
    /// Consecutive blocks of one deployment.
    blocks: Vec<BlockExample>,
}

/// The state before the first block.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Genesis {
    deployment_id: String,
    timestamp: u64,
    fee_owner: GenesisOwner,
    insurance_owner: GenesisOwner,
    root: String,
}

#[derive(Clone, Serialize)]
struct GenesisOwner {
    account: u32,
    /// The chain of a contract; zero for a key pair.
    home: u8,
    /// 32 bytes.
    address: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShapeExample {
    id: u16,
    name: &'static str,
    onchain_words: usize,
    data_words: usize,
    room: Counts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockExample {
    pub(super) number: u32,
    pub(super) timestamp: u64,
    pub(super) shape: u16,
    pub(super) old_root: String,
    pub(super) new_root: String,
    /// Names of the operations in the order in which they happen.
    pub(super) order: Vec<&'static str>,
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
    /// Words of deposits and key changes.
    pub(super) rest: Vec<String>,
    /// Words of the withdrawals, 32 of them a chunk.
    pub(super) chunks: Vec<Vec<String>>,
    /// Hashes of the rest and of each chunk.
    pub(super) hashes: Vec<String>,
    pub(super) content: String,
    pub(super) rolling_before: String,
    pub(super) rolling_after: String,
}

/// The time at which the story begins, Unix seconds.
pub(super) const START: u64 = 1_700_000_000;

pub(super) fn vectors() -> Result<Vectors> {
    let mut story = Story::new()?;
    for (shape, fill) in STORY.into_iter().chain([(DEEP, payouts as Fill)]) {
        story.play(shape, fill)?;
    }
    let roots = std::iter::successors(Some(Fr::one()), |root| Some(root * data_root()));
    Ok(Vectors {
        shapes: shapes().iter().map(shape_example).collect(),
        data_roots: roots.take(8).map(word).collect(),
        blob_elements: (0..8).map(blob_element).collect(),
        genesis_root: story.genesis.root.clone(),
        genesis: story.genesis,
        blocks: story.blocks,
    })
}

/// The genesis root and the blocks of the story, all of one shape.
pub(super) fn in_shape(shape: ShapeId) -> Result<(String, Vec<BlockExample>)> {
    let mut story = Story::new()?;
    for (_, fill) in STORY {
        story.play(shape, fill)?;
    }
    Ok((story.genesis.root, story.blocks))
}

/// What a state before the first block is made of, with the root of one that is made of nothing else.
fn genesis(state: &State) -> Result<Genesis> {
    let System { fee_account, insurance_account, deployment, timestamp, .. } = state.system;
    let owner = |id| state.account(id).map(|account| account.owner).context("genesis has an owner");
    let (fees, insurance) = (owner(fee_account)?, owner(insurance_account)?);
    let root = StateTree::of(&State::genesis(deployment, fees, insurance)).root();
    let example = |id: AccountId, owner: Owner| GenesisOwner {
        account: id.0,
        home: owner.home.0,
        address: bytes(&owner.address),
    };
    Ok(Genesis {
        deployment_id: bytes(&deployment.0),
        timestamp,
        fee_owner: example(fee_account, fees),
        insurance_owner: example(insurance_account, insurance),
        root: word(root),
    })
}

fn shape_example(shape: &zklink::shape::Shape) -> ShapeExample {
    ShapeExample {
        id: shape.id.0,
        name: shape.name,
        onchain_words: shape.onchain_words(),
        data_words: shape.data_words(),
        room: shape.room,
    }
}

/// A deployment whose blocks are examples.
struct Story {
    world: Scenario,
    genesis: Genesis,
    rolling: BTreeMap<ChainId, [u8; 32]>,
    blocks: Vec<BlockExample>,
}

impl Story {
    fn new() -> Result<Story> {
        let mut world = Scenario::new();
        let genesis = genesis(&world.state)?;
        ensure!(genesis.root == word(world.tree.root()), "genesis is more than its two owners");
        Ok(Story { world, genesis, rolling: BTreeMap::new(), blocks: Vec::new() })
    }

    fn play(&mut self, shape: ShapeId, fill: Fill) -> Result<()> {
        fill(&mut self.world)?;
        // The first block is made long after genesis, whose time is zero.
        let clock = &mut self.world.state.system.timestamp;
        *clock = START.max(*clock);
        self.blocks.push(seal(&mut self.world, shape, &mut self.rolling)?);
        Ok(())
    }
}

type Fill = fn(&mut Scenario) -> Result<()>;

/// What the blocks pin is said at each of them.
const STORY: [(ShapeId, Fill); 6] = [
    (NANO, first),
    (NANO, |_| Ok(())),
    (SMALL, mixed),
    (NANO, inside),
    (SMALL, strangers),
    (SMALL, second_key),
];

/// A deposit and a key.
fn first(world: &mut Scenario) -> Result<()> {
    world.deposit(1, USDC, 1, 1_000_000_000)?;
    world.set_key(1)?;
    Ok(())
}

/// Operations of both vectors and of two queues in turns: their places are in the words.
fn mixed(world: &mut Scenario) -> Result<()> {
    let new = world.transfer(1, Scenario::owner(3), 2 * ONE, ONE / 100);
    world.send(1, new)?;
    world.deposit(2, USDC, 2, 400 * ONE)?;
    world.set_key(2)?;
    world.deposit(1, USDC, 2, 5_000_000)?;
    let pay = world.transfer(1, Scenario::owner(2), 3 * ONE, ONE / 100);
    world.send(1, pay)?;
    let out = world.withdraw(2, 1, USDC, 20 * ONE, ONE / 10);
    world.send(2, out)?;
    let pay = world.transfer(2, Scenario::owner(1), ONE, ONE / 100);
    world.send(2, pay)?;
    Ok(())
}

/// Payments inside of one account: to itself, and to another sub-account.
fn inside(world: &mut Scenario) -> Result<()> {
    let itself = world.transfer(2, Scenario::owner(2), ONE, ONE / 100);
    world.send(2, itself)?;
    let Tx::Transfer(mut moved) = world.transfer(2, Scenario::owner(2), 4 * ONE, 0) else {
        anyhow::bail!("a transfer is a transfer");
    };
    moved.to_sub_account_id = SubAccountId(31);
    world.send(2, Tx::Transfer(moved))?;
    let back = Tx::Transfer(TransferTx {
        account_id: world.account(2),
        from_sub_account_id: SubAccountId(31),
        to: Scenario::owner(2),
        to_sub_account_id: SubAccountId(0),
        token: USDC,
        amount: Amount(ONE),
        fee: Fee::ZERO,
        nonce: Default::default(),
        key_version: world.key_version(world.account(2)),
    });
    world.send(2, back)?;
    Ok(())
}

/// A contract of chain 3, and the number under which the story knows its key.
const CONTRACT: (Owner, u8) = (contract([0xcc; 20], 3), 77);
/// An account of a chain whose addresses are wider than those of the EVM.
const WIDE: Owner = Owner { home: ChainId(2), address: [0x05; 32] };

const fn contract(evm: [u8; 20], home: u8) -> Owner {
    let mut address = [0; 32];
    let mut at = 0;
    while at < 20 {
        address[12 + at] = evm[at];
        at += 1;
    }
    Owner { home: ChainId(home), address }
}

/// Owners that are no key pairs, one of which sets its key on its chain; and a deposit that is refused.
fn strangers(world: &mut Scenario) -> Result<()> {
    let (owner, key) = CONTRACT;
    deposit(world, 3, COIN, (owner, SubAccountId(7)), 9 * ONE, false)?;
    deposit(world, 1, USDC, (WIDE, SubAccountId(0)), 3 * ONE, false)?;
    deposit(world, 1, USDC, (Owner::from_evm([0xc1; 20]), SubAccountId(1)), 2 * ONE, true)?;
    change_key(world, owner, ChainId(3), &Scenario::key(key))?;
    let account_id = world.state.account_of(owner).expect("it deposited");
    let out = Tx::Withdraw(WithdrawTx {
        to_chain_id: ChainId(3),
        account_id,
        sub_account_id: SubAccountId(7),
        to: Owner::from_evm([0xcc; 20]),
        token: COIN,
        amount: Amount(2 * ONE),
        max_fee: Fee::closest(Amount(ONE / 10)),
        nonce: Default::default(),
        key_version: world.key_version(account_id),
    });
    world.send(key, out)?;
    Ok(())
}

/// The key with which user 1 signs from then on.
const SECOND_KEY: u8 = 101;

/// A second key of an account, which signs at once.
fn second_key(world: &mut Scenario) -> Result<()> {
    change_key(world, Scenario::owner(1), ChainId(1), &Scenario::key(SECOND_KEY))?;
    let out = world.withdraw(1, 2, USDC, 11 * ONE, 0);
    world.send(SECOND_KEY, out)?;
    Ok(())
}

/// More withdrawals on one chain than a chunk of its content holds.
fn payouts(world: &mut Scenario) -> Result<()> {
    for payout in 1..=35 {
        let out = world.withdraw(1, 1, USDC, payout * ONE, 0);
        world.send(SECOND_KEY, out)?;
    }
    world.deposit(1, USDC, 1, 1_000_000)?;
    Ok(())
}

/// The next deposit of a chain, in 18 decimals.
fn deposit(
    world: &mut Scenario,
    chain: u8,
    token: TokenId,
    (owner, sub_account): (Owner, SubAccountId),
    amount: u128,
    refused: bool,
) -> Result<()> {
    let account = match world.state.account_of(owner) {
        _ if refused => AccountId(0),
        Some(account) => account,
        None => world.state.next_account()?,
    };
    let (chain, amount) = (ChainId(chain), Amount(amount));
    let op = Op::Deposit(Deposit { chain, account, sub_account, token, amount, owner, refused });
    op.apply(&mut world.state)?;
    world.open.push((op, None));
    Ok(())
}

/// A key change that the owner authorised by a call.
fn change_key(world: &mut Scenario, owner: Owner, chain: ChainId, key: &SecretKey) -> Result<()> {
    let account_id = world.state.account_of(owner).expect("it deposited");
    let account = world.state.account(account_id).cloned().unwrap_or_default();
    world.authorised.insert(chain, owner, account.nonce, &key.public());
    let tx = Tx::ChangePubKey(ChangePubKeyTx {
        chain_id: chain,
        account_id,
        sub_account_id: SubAccountId(0),
        new_pub_key: key.public(),
        fee_token: USDC,
        fee: Fee::ZERO,
        nonce: account.nonce,
        key_version: account.key_version,
        eth_auth_data: KeyAuth::Onchain,
    });
    let signed = tx.sign(key, world.state.system.deployment, &world.network)?;
    world.submit(&signed)?;
    Ok(())
}

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
    ensure!(decoded == block, "block {} does not survive its own words", block.head.number);
    let [digest, z, y_data, y_onchain] = block.public_inputs()?;
    let mut contents = Vec::new();
    for (chain, content) in block.contents() {
        let current = rolling.entry(chain).or_default();
        let after = rolling_content(*current, block.head.number, content.hash());
        let texts = |words: &Vec<[u8; 32]>| words.iter().map(|word| bytes(word)).collect();
        contents.push(Content {
            chain: chain.0,
            rest: texts(&content.rest),
            chunks: content.chunks.iter().map(texts).collect(),
            hashes: texts(&content.hashes()),
            content: bytes(&content.hash()),
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
        order: block.ops.iter().map(Op::name).collect(),
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

fn hash_of(elements: &[Fr]) -> String {
    let joined: Vec<u8> = elements.iter().copied().flat_map(fr_to_be_bytes).collect();
    bytes(&keccak(&[&joined]))
}
