//! What the prover knows: a block, its L2 signatures, the leaves that it touches, and their paths.
//!
//! Nothing is decided here. The block is applied by the protocol's own rules; this only arranges the old leaves and the
//! paths in the order in which the circuit opens and closes them.

use serde::{Deserialize, Serialize};
use zklink::block::{Block, BlockError, PublicData};
use zklink::commitment::StateTree;
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, ShapeId, SubAccountId, TokenId};
use zklink::key::Signature;
use zklink::op::Op;
use zklink::shape::{Shape, WorkingSet};
use zklink::state::{Account, State, SubAccount, System};
use zklink::tree::Path;

/// The witness of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// What the block publishes.
    pub public: PublicData,
    /// The system's facts before the block.
    pub system: System,
    /// Unix time of the block.
    pub timestamp: u64,
    /// Accounts root, chains root and markets root before the block.
    #[serde(with = "zklink::hash::form")]
    pub old_roots: [Fr; 3],
    /// The accounts in the order of their groups.
    pub accounts: Vec<AccountWitness>,
    /// The chains in the order of their groups.
    pub chains: Vec<ChainWitness>,
    /// The operations, one for each slot.
    pub slots: Vec<SlotWitness>,
}

/// An account before the block, and its path when the groups before it were closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountWitness {
    /// Its id.
    pub id: AccountId,
    /// Owner, key and nonce before the block; the sub-accounts are listed apart.
    pub account: Account,
    /// Root of its sub-accounts before the block.
    #[serde(with = "zklink::hash::form")]
    pub sub_accounts_root: Fr,
    /// Its sub-accounts.
    pub sub_accounts: Vec<SubAccountWitness>,
    /// Path of the account.
    #[serde(with = "zklink::hash::form")]
    pub path: Path,
}

/// A sub-account before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubAccountWitness {
    /// Its id.
    pub id: SubAccountId,
    /// Nonce and epoch before the block.
    pub counters: SubAccount,
    /// Root of its balances before the block.
    #[serde(with = "zklink::hash::form")]
    pub balances_root: Fr,
    /// Its balances.
    pub balances: Vec<AmountWitness>,
    /// Path of the sub-account.
    #[serde(with = "zklink::hash::form")]
    pub path: Path,
}

/// An amount before the block: a balance or a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountWitness {
    /// The token.
    pub token: TokenId,
    /// The amount.
    pub amount: u128,
    /// Path of the amount.
    #[serde(with = "zklink::hash::form")]
    pub path: Path,
}

/// A chain before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainWitness {
    /// Its id.
    pub id: ChainId,
    /// Its cursor.
    pub cursor: u64,
    /// Root of its pools before the block.
    #[serde(with = "zklink::hash::form")]
    pub pools_root: Fr,
    /// Its pools.
    pub pools: Vec<AmountWitness>,
    /// Path of the chain.
    #[serde(with = "zklink::hash::form")]
    pub path: Path,
}

/// The operation of a slot, and where in the working set it finds its cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotWitness {
    /// The operation.
    pub op: Op,
    /// Its L2 signature; none for an empty slot and for a deposit.
    pub signature: Option<Signature>,
    /// Place of the balance that is debited, or credited by a deposit.
    pub balance: Option<usize>,
    /// Place of the balance that a transfer credits.
    pub to_balance: Option<usize>,
    /// Place of the balance that receives the fee.
    pub fee_balance: Option<usize>,
    /// Place of the pool.
    pub pool: Option<usize>,
}

/// Bytes are not a witness.
#[derive(Debug, thiserror::Error)]
pub enum BadWitness {
    /// They do not parse.
    #[error("the witness does not parse: {0}")]
    Parse(#[from] serde_json::Error),
    /// Its lists have other lengths than the shape says.
    #[error("the witness does not have the form of shape {0}")]
    Form(ShapeId),
}

impl Witness {
    /// The bytes that travel to a prover.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and lists, into memory")
    }

    /// Reads what [`Witness::encode`] wrote, for a block of this shape.
    ///
    /// # Errors
    /// [`BadWitness`]: a witness of another form would be read out of bounds.
    pub fn decode(bytes: &[u8], shape: &Shape) -> Result<Witness, BadWitness> {
        let witness: Witness = serde_json::from_slice(bytes)?;
        if witness.has_form(shape) { Ok(witness) } else { Err(BadWitness::Form(shape.id)) }
    }

    fn has_form(&self, shape: &Shape) -> bool {
        let account = |(witness, sizes): (&AccountWitness, &Vec<usize>)| {
            let subs = witness.sub_accounts.iter().zip(sizes);
            witness.sub_accounts.len() == sizes.len()
                && witness.path.len() == AccountId::DEPTH
                && subs.into_iter().all(|(sub, size)| {
                    sub.path.len() == SubAccountId::DEPTH && has_amounts(&sub.balances, *size)
                })
        };
        let chain = |(witness, size): (&ChainWitness, &usize)| {
            witness.path.len() == ChainId::DEPTH && has_amounts(&witness.pools, *size)
        };
        self.public.onchain.len() == shape.onchain_words()
            && self.public.data.len() == shape.data_words()
            && self.accounts.len() == shape.accounts.len()
            && self.chains.len() == shape.chains.len()
            && self.slots.len() == shape.slots.len()
            && self.accounts.iter().zip(&shape.accounts).all(account)
            && self.chains.iter().zip(&shape.chains).all(chain)
    }

    /// Applies the block to the state and its trees, and arranges what was touched. `signatures` has one place for each
    /// slot: the L2 signature of its operation, if it has one.
    ///
    /// # Errors
    /// [`BlockError`] when the block does not fit its shape or does not follow the state. Both may then be
    /// half-changed: the caller throws them away.
    pub fn build(
        block: &Block,
        signatures: &[Option<Signature>],
        state: &mut State,
        tree: &mut StateTree,
    ) -> Result<Witness, BlockError> {
        assert_eq!(signatures.len(), block.ops.len(), "one place for each slot");
        let set = block.working_set(state)?;
        let system = state.system;
        let [accounts_root, chains_root, markets_root, _] = tree.parts();
        let (mut accounts, mut chains) = old_leaves(&set, state, tree);
        // The replay works on a copy of the trees; the originals are led to the new root leaf by leaf below.
        block.replay(state, &mut tree.clone())?;
        for account in &mut accounts {
            close_account(account, state, tree);
        }
        for chain in &mut chains {
            close_chain(chain, state, tree);
        }
        tree.set_system(&state.system);
        if tree.root() != block.head.new_root {
            return Err(BlockError::Root(block.head.number));
        }
        let places = Places::of(&set);
        let slots = block.ops.iter().zip(signatures);
        let fee_account = system.fee_account;
        Ok(Witness {
            public: block.public_data(),
            system,
            timestamp: block.head.timestamp,
            old_roots: [accounts_root, chains_root, markets_root],
            accounts,
            chains,
            slots: slots.map(|(op, signature)| places.slot(op, signature, fee_account)).collect(),
        })
    }
}

fn has_amounts(amounts: &[AmountWitness], size: usize) -> bool {
    amounts.len() == size && amounts.iter().all(|amount| amount.path.len() == TokenId::DEPTH)
}

/// The leaves before the block; the paths come later.
fn old_leaves(
    set: &WorkingSet,
    state: &State,
    tree: &mut StateTree,
) -> (Vec<AccountWitness>, Vec<ChainWitness>) {
    let unpathed = |token, amount| AmountWitness { token, amount, path: Path::new() };
    let mut accounts = Vec::with_capacity(set.accounts.len());
    for group in &set.accounts {
        let sub_accounts = group.sub_accounts.iter().map(|(sub, tokens)| SubAccountWitness {
            id: *sub,
            counters: state.sub_account(group.id, *sub).cloned().unwrap_or_default(),
            balances_root: tree.balances_root(group.id, *sub),
            balances: tokens
                .iter()
                .map(|token| unpathed(*token, state.balance(group.id, *sub, *token).0))
                .collect(),
            path: Path::new(),
        });
        let sub_accounts = sub_accounts.collect();
        accounts.push(AccountWitness {
            id: group.id,
            account: state.account(group.id).cloned().unwrap_or_default(),
            sub_accounts_root: tree.sub_accounts_root(group.id),
            sub_accounts,
            path: Path::new(),
        });
    }
    let chains = set.chains.iter().map(|group| ChainWitness {
        id: group.id,
        cursor: state.cursor(group.id).0,
        pools_root: tree.pools_root(group.id),
        pools: group
            .tokens
            .iter()
            .map(|token| unpathed(*token, state.pool(group.id, *token).0))
            .collect(),
        path: Path::new(),
    });
    (accounts, chains.collect())
}

/// Notes the paths of an account's leaves and writes their new values, in the order of the circuit.
fn close_account(witness: &mut AccountWitness, after: &State, tree: &mut StateTree) {
    let id = witness.id;
    for sub in &mut witness.sub_accounts {
        for balance in &mut sub.balances {
            balance.path = tree.balance_path(id, sub.id, balance.token);
            let new = after.balance(id, sub.id, balance.token);
            tree.set_balance(id, sub.id, balance.token, new);
        }
        sub.path = tree.sub_account_path(id, sub.id);
        let unused = SubAccount::default();
        tree.set_sub_account(id, sub.id, after.sub_account(id, sub.id).unwrap_or(&unused));
    }
    witness.path = tree.account_path(id);
    let nobody = Account::default();
    tree.set_account(id, after.account(id).unwrap_or(&nobody));
}

/// Notes the paths of a chain's leaves and writes their new values, in the order of the circuit.
fn close_chain(witness: &mut ChainWitness, after: &State, tree: &mut StateTree) {
    let id = witness.id;
    for pool in &mut witness.pools {
        pool.path = tree.pool_path(id, pool.token);
        tree.set_pool(id, pool.token, after.pool(id, pool.token));
    }
    witness.path = tree.chain_path(id);
    tree.set_chain(id, after.cursor(id));
}

/// Where each cell stands in the flat lists of the working set.
struct Places {
    balances: Vec<(AccountId, SubAccountId, TokenId)>,
    pools: Vec<(ChainId, TokenId)>,
}

impl Places {
    fn of(set: &WorkingSet) -> Places {
        let mut balances = Vec::new();
        for group in &set.accounts {
            for (sub, tokens) in &group.sub_accounts {
                balances.extend(tokens.iter().map(|token| (group.id, *sub, *token)));
            }
        }
        let pools = set.chains.iter();
        let pools = pools.flat_map(|group| group.tokens.iter().map(|token| (group.id, *token)));
        Places { balances, pools: pools.collect() }
    }

    fn balance(&self, account: AccountId, sub: SubAccountId, token: TokenId) -> Option<usize> {
        self.balances.iter().position(|place| *place == (account, sub, token))
    }

    fn pool(&self, chain: ChainId, token: TokenId) -> Option<usize> {
        self.pools.iter().position(|place| *place == (chain, token))
    }

    fn slot(&self, op: &Op, signature: &Option<Signature>, fee_account: AccountId) -> SlotWitness {
        let fee = |token| self.balance(fee_account, SubAccountId(0), token);
        let (mut balance, mut to_balance, mut fee_balance, mut pool) = (None, None, None, None);
        match op {
            Op::Noop(_) => {}
            Op::Deposit(op) => {
                balance = self.balance(op.account, op.sub_account, op.token);
                pool = self.pool(op.chain, op.token);
            }
            Op::Transfer(op) => {
                balance = self.balance(op.account, op.sub_account, op.token);
                to_balance = self.balance(op.to_account, op.to_sub_account, op.token);
                fee_balance = fee(op.token);
            }
            Op::Withdraw(op) => {
                balance = self.balance(op.account, op.sub_account, op.token);
                fee_balance = fee(op.token);
                pool = self.pool(op.chain, op.token);
            }
            Op::ChangePubKey(op) => {
                balance = self.balance(op.account, op.sub_account, op.fee_token);
                fee_balance = fee(op.fee_token);
            }
        }
        let (op, signature) = (op.clone(), *signature);
        SlotWitness { op, signature, balance, to_balance, fee_balance, pool }
    }
}
