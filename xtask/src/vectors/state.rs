//! The state: roots of its parts, and one balance with the whole path up to the root.

use anyhow::{Result, ensure};
use serde::Serialize;
use zklink::amount::Amount;
use zklink::commitment::{
    StateTree, SubAccountRoots, account_leaf, account_word, amount_to_fr, chain_leaf, empty_rest,
    empty_slots_root, empty_tokens_root, order_slot_leaf, root_of_parts, sub_account_leaf,
    sub_account_rest, system_hash,
};
use zklink::fixtures::{ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, BlockNumber, ChainId, Nonce, SubAccountId, TokenId};
use zklink::state::{Account, OrderSlot, State};
use zklink::tree::{Path, root_of};

use super::{bytes, word, words};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vectors {
    empty_tokens_root: String,
    empty_slots_root: String,
    /// The rest of a sub-account without positions, collaterals and extension, and one of 1, 2, 3.
    empty_rest: String,
    rest_of_1_2_3: String,
    order_slot: OrderSlotExample,
    empty_sub_account_leaf: String,
    empty_account_leaf: String,
    empty_chain_leaf: String,
    genesis: Roots,
    /// After deposits, a key change, transfers and a withdrawal.
    later: Roots,
    accounts: Vec<AccountExample>,
    chains: Vec<ChainExample>,
    /// Balances under the later root, each with its path.
    balances: Vec<BalanceProof>,
    /// Pools under the later root, each with its path.
    pools: Vec<PoolProof>,
}

#[derive(Serialize)]
struct OrderSlotExample {
    nonce: u32,
    epoch: u32,
    remaining: String,
    leaf: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Roots {
    number: u32,
    timestamp: u64,
    fee_account: u32,
    insurance_account: u32,
    deployment_id: String,
    accounts: String,
    chains: String,
    markets: String,
    system: String,
    root: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountExample {
    account: u32,
    /// The chain of a contract; zero for a key pair.
    home: u8,
    owner: String,
    created: u64,
    recipient_home: u8,
    recipient: String,
    key_version: u32,
    nonce: u32,
    /// The packed word of the leaf.
    head: String,
    key_x: String,
    key_y: String,
    sub_accounts: String,
    leaf: String,
}

#[derive(Serialize)]
struct ChainExample {
    chain: u8,
    cursor: u64,
    pools: String,
    quarantine: String,
    leaf: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BalanceProof {
    account: u32,
    sub_account: u8,
    token: u16,
    amount: String,
    /// For each level the four children of the node, the leaf's own level first.
    balance_path: Vec<Vec<String>>,
    balances: String,
    slots: String,
    rest: String,
    sub_account_nonce: u32,
    sub_account_epoch: u32,
    sub_account_leaf: String,
    sub_account_path: Vec<Vec<String>>,
    sub_accounts: String,
    account_leaf: String,
    account_path: Vec<Vec<String>>,
    accounts: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolProof {
    chain: u8,
    token: u16,
    amount: String,
    pool_path: Vec<Vec<String>>,
    pools: String,
    cursor: u64,
    quarantine: String,
    chain_leaf: String,
    chain_path: Vec<Vec<String>>,
    chains: String,
}

/// A network in use: three users, two of them with keys, on two chains.
fn later() -> Result<Scenario> {
    let mut world = Scenario::new();
    world.deposit(1, USDC, 1, 1_000_000_000)?;
    world.deposit(2, USDC, 2, 250 * ONE)?;
    world.set_key(1)?;
    let to_two = world.transfer(1, Scenario::owner(2), 30 * ONE, ONE / 10);
    world.send(1, to_two)?;
    let to_new = world.transfer(1, Scenario::owner(3), 7 * ONE + 1, ONE / 10);
    world.send(1, to_new)?;
    let out = world.withdraw(1, 2, USDC, 100 * ONE, ONE / 5);
    world.send(1, out)?;
    // The end of a block credits the fees.
    world.state.end_block(BlockNumber(0), 1_700_000_000);
    Ok(world)
}

pub(super) fn vectors() -> Result<Vectors> {
    let genesis = Scenario::new().state;
    let state = later()?.state;
    let mut tree = StateTree::of(&state);
    let users = [(AccountId(2), SubAccountId(0), USDC), (AccountId(4), SubAccountId(0), USDC)];
    let nobody = (AccountId(9), SubAccountId(31), TokenId(u16::MAX));
    let mut balances = Vec::new();
    for place in users.into_iter().chain([nobody]) {
        balances.push(balance_proof(&state, &mut tree, place)?);
    }
    let mut pools = Vec::new();
    for (chain, token) in [(ChainId(1), USDC), (ChainId(3), USDC)] {
        pools.push(pool_proof(&state, &mut tree, chain, token)?);
    }
    let (sub, account, chain) = empty_leaves();
    Ok(Vectors {
        empty_tokens_root: word(empty_tokens_root()),
        empty_slots_root: word(empty_slots_root()),
        empty_rest: word(empty_rest()),
        rest_of_1_2_3: word(sub_account_rest(Fr::from(1), Fr::from(2), Fr::from(3))),
        order_slot: order_slot_example(),
        empty_sub_account_leaf: word(sub),
        empty_account_leaf: word(account),
        empty_chain_leaf: word(chain),
        genesis: roots(&genesis)?,
        later: roots(&state)?,
        accounts: state
            .accounts()
            .map(|(id, account)| account_example(&mut tree, id, account))
            .collect(),
        chains: state
            .chains()
            .map(|(id, chain)| {
                let pools = tree.pools_root(id);
                ChainExample {
                    chain: id.0,
                    cursor: chain.cursor.0,
                    pools: word(pools),
                    quarantine: word(Fr::zero()),
                    leaf: word(chain_leaf(chain.cursor, pools, Fr::zero())),
                }
            })
            .collect(),
        balances,
        pools,
    })
}

/// Leaves of a sub-account, an account and a chain that nothing has touched.
fn empty_leaves() -> (Fr, Fr, Fr) {
    let nobody = Account::default();
    let mut tree = StateTree::of(&State::default());
    let roots = tree.sub_account_roots(AccountId(0), SubAccountId(0));
    let sub = sub_account_leaf(&roots, &Default::default());
    let subs = tree.sub_accounts_root(AccountId(0));
    let chain = chain_leaf(Default::default(), empty_tokens_root(), Fr::zero());
    (sub, account_leaf(&nobody, subs), chain)
}

fn order_slot_example() -> OrderSlotExample {
    let slot = OrderSlot { nonce: Nonce(3), epoch: 2, remaining: Amount(5 * ONE / 2) };
    OrderSlotExample {
        nonce: slot.nonce.0,
        epoch: slot.epoch,
        remaining: slot.remaining.to_string(),
        leaf: word(order_slot_leaf(&slot)),
    }
}

fn roots(state: &State) -> Result<Roots> {
    let mut tree = StateTree::of(state);
    let [accounts, chains, markets, system] = tree.parts();
    ensure!(system == system_hash(&state.system), "the system's hash is not that of its facts");
    let root = root_of_parts(accounts, chains, markets, system);
    ensure!(root == tree.root(), "the root is not that of its parts");
    Ok(Roots {
        number: state.system.number.0,
        timestamp: state.system.timestamp,
        fee_account: state.system.fee_account.0,
        insurance_account: state.system.insurance_account.0,
        deployment_id: bytes(&state.system.deployment.0),
        accounts: word(accounts),
        chains: word(chains),
        markets: word(markets),
        system: word(system),
        root: word(root),
    })
}

fn account_example(tree: &mut StateTree, id: AccountId, account: &Account) -> AccountExample {
    let subs = tree.sub_accounts_root(id);
    let key = account.key.as_ref();
    let (x, y) = key.map_or((Fr::zero(), Fr::zero()), |key| (key.x(), key.y()));
    AccountExample {
        account: id.0,
        home: account.owner.home.0,
        owner: bytes(&account.owner.address),
        created: account.created,
        recipient_home: account.recipient.home.0,
        recipient: bytes(&account.recipient.address),
        key_version: account.key_version.0,
        nonce: account.nonce.0,
        head: word(account_word(account)),
        key_x: word(x),
        key_y: word(y),
        sub_accounts: word(subs),
        leaf: word(account_leaf(account, subs)),
    }
}

fn levels(path: &Path) -> Vec<Vec<String>> {
    path.iter().map(|children| words(children)).collect()
}

fn balance_proof(
    state: &State,
    tree: &mut StateTree,
    (id, sub_id, token): (AccountId, SubAccountId, TokenId),
) -> Result<BalanceProof> {
    let amount: Amount = state.balance(id, sub_id, token);
    let sub = state.sub_account(id, sub_id).cloned().unwrap_or_default();
    let account = state.account(id).cloned().unwrap_or_default();
    let balance_path = tree.balance_path(id, sub_id, token);
    let balances = root_of(&balance_path, token.0.into(), amount_to_fr(amount));
    let below = SubAccountRoots { balances, ..tree.sub_account_roots(id, sub_id) };
    let sub_leaf = sub_account_leaf(&below, &sub);
    let sub_account_path = tree.sub_account_path(id, sub_id);
    let sub_accounts = root_of(&sub_account_path, sub_id.0.into(), sub_leaf);
    let leaf = account_leaf(&account, sub_accounts);
    let account_path = tree.account_path(id);
    let accounts = root_of(&account_path, id.0.into(), leaf);
    ensure!(accounts == tree.parts()[0], "the path of {id} does not lead to the accounts root");
    Ok(BalanceProof {
        account: id.0,
        sub_account: sub_id.0,
        token: token.0,
        amount: amount.to_string(),
        balance_path: levels(&balance_path),
        balances: word(balances),
        slots: word(below.slots),
        rest: word(below.rest),
        sub_account_nonce: sub.nonce.0,
        sub_account_epoch: sub.epoch,
        sub_account_leaf: word(sub_leaf),
        sub_account_path: levels(&sub_account_path),
        sub_accounts: word(sub_accounts),
        account_leaf: word(leaf),
        account_path: levels(&account_path),
        accounts: word(accounts),
    })
}

fn pool_proof(
    state: &State,
    tree: &mut StateTree,
    chain: ChainId,
    token: TokenId,
) -> Result<PoolProof> {
    let amount = state.pool(chain, token);
    let cursor = state.cursor(chain);
    let pool_path = tree.pool_path(chain, token);
    let pools = root_of(&pool_path, token.0.into(), amount_to_fr(amount));
    let leaf = chain_leaf(cursor, pools, Fr::zero());
    let chain_path = tree.chain_path(chain);
    let chains = root_of(&chain_path, chain.0.into(), leaf);
    ensure!(
        chains == tree.parts()[1],
        "the path of chain {chain} does not lead to the chains root"
    );
    Ok(PoolProof {
        chain: chain.0,
        token: token.0,
        amount: amount.to_string(),
        pool_path: levels(&pool_path),
        pools: word(pools),
        cursor: cursor.0,
        quarantine: word(Fr::zero()),
        chain_leaf: word(leaf),
        chain_path: levels(&chain_path),
        chains: word(chains),
    })
}
