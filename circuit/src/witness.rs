//! What the prover knows: a block, its L2 signatures, the leaves that it touches, and their paths.
//!
//! Nothing is decided here. The block is applied by the protocol's own rules; this only arranges the old leaves and the
//! paths in the order in which the circuit opens and closes them.

use serde::{Deserialize, Serialize};
use zklink::amount::{Amount, Fee};
use zklink::block::{Block, BlockError, PublicData};
use zklink::commitment::StateTree;
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, Nonce, Owner, Serial, ShapeId, SubAccountId, TokenId};
use zklink::key::Signature;
use zklink::op::{Deposit, Op};
use zklink::shape::{ACCOUNT_PAGE, Page, Shape, TOKEN_PAGE, WorkingSet};
use zklink::state::{Account, State, SubAccount, System};
use zklink::tree::{Path, Tree};
use zklink::tx::{SignedTx, Tx};

/// The witness of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// What the block publishes.
    pub public: PublicData,
    /// The public inputs of the proof.
    #[serde(with = "zklink::hash::form")]
    pub inputs: [Fr; 4],
    /// The system's facts before the block.
    pub system: System,
    /// Unix time of the block.
    pub timestamp: u64,
    /// Accounts root, chains root and markets root before the block.
    #[serde(with = "zklink::hash::form")]
    pub old_roots: [Fr; 3],
    /// The accounts.
    pub accounts: Vec<AccountWitness>,
    /// Their pages.
    pub account_pages: Vec<AccountPageWitness>,
    /// The sub-accounts.
    pub sub_accounts: Vec<SubAccountWitness>,
    /// The balances.
    pub balances: Vec<BalanceWitness>,
    /// Their pages.
    pub balance_pages: Vec<BalancePageWitness>,
    /// The chains.
    pub chains: Vec<ChainWitness>,
    /// The pools.
    pub pools: Vec<PoolWitness>,
    /// Their pages.
    pub pool_pages: Vec<PoolPageWitness>,
    /// The tokens in which fees are paid, padded with none.
    pub fee_tokens: Vec<Option<TokenId>>,
    /// The operations of the queues, in order.
    pub queue: Vec<QueueWitness>,
    /// The signed operations, in order.
    pub signed: Vec<SignedWitness>,
}

/// An account before the block, and its path when the accounts before it were closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountWitness {
    /// Its id.
    pub id: AccountId,
    /// Its fields before the block, without its sub-accounts.
    pub account: Account,
    /// Root of its sub-accounts before the block.
    #[serde(with = "zklink::hash::form")]
    pub sub_accounts_root: Fr,
    /// Path of the account below its page.
    #[serde(with = "zklink::hash::form")]
    pub path: Path,
}

/// A sub-account before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubAccountWitness {
    /// Its account.
    pub account: AccountId,
    /// Its id.
    pub id: SubAccountId,
    /// Its nonce before the block.
    pub nonce: Nonce,
    /// Its epoch before the block.
    pub epoch: u32,
    /// Balances root, order slots root and rest before the block.
    #[serde(with = "zklink::hash::form")]
    pub roots: [Fr; 3],
    /// Path of the sub-account below the root of its account.
    #[serde(with = "zklink::hash::form")]
    pub path: Path,
}

/// An amount before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountWitness {
    /// The token.
    pub token: TokenId,
    /// The amount.
    pub amount: Amount,
    /// Path of the amount below its page.
    #[serde(with = "zklink::hash::form")]
    pub path: Path,
}

/// A balance before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceWitness {
    /// Whose it is.
    pub account: AccountId,
    /// Its sub-account.
    pub sub_account: SubAccountId,
    /// The amount.
    pub leaf: AmountWitness,
}

/// A pool before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolWitness {
    /// Its chain.
    pub chain: ChainId,
    /// The amount.
    pub leaf: AmountWitness,
}

/// A chain before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainWitness {
    /// Its id.
    pub id: ChainId,
    /// Its cursor.
    pub cursor: Serial,
    /// Pools root and quarantine root before the block.
    #[serde(with = "zklink::hash::form")]
    pub roots: [Fr; 2],
    /// Path of the chain.
    #[serde(with = "zklink::hash::form")]
    pub path: Path,
}

/// A node before the block, and its path when the nodes before it were closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeWitness {
    /// Its value.
    #[serde(with = "zklink::hash::form")]
    pub node: Fr,
    /// Its path below the root of the tree.
    #[serde(with = "zklink::hash::form")]
    pub path: Path,
}

/// A page of accounts before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPageWitness {
    /// Its number.
    pub page: u8,
    /// Its node.
    pub node: NodeWitness,
}

/// A page of the balances of a sub-account before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancePageWitness {
    /// The account.
    pub account: AccountId,
    /// The sub-account.
    pub sub_account: SubAccountId,
    /// Its number.
    pub page: u16,
    /// Its node.
    pub node: NodeWitness,
}

/// A page of the pools of a chain before the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolPageWitness {
    /// The chain.
    pub chain: ChainId,
    /// Its number.
    pub page: u16,
    /// Its node.
    pub node: NodeWitness,
}

/// An operation of a chain's queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueWitness {
    /// The operation.
    pub op: Deposit,
    /// The number of signed operations before it.
    pub at: u16,
}

/// A signed operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedWitness {
    /// The operation.
    pub op: Op,
    /// Its L2 signature.
    pub signature: Signature,
    /// The fee that was signed.
    #[serde(with = "zklink::amount::fee_bits")]
    pub max_fee: Fee,
    /// The receiver that a payment names; nobody for other types.
    pub receiver: Owner,
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

impl SignedWitness {
    /// An operation and the transaction from which it came.
    pub fn of(op: &Op, signed: &SignedTx) -> SignedWitness {
        let receiver = match &signed.tx {
            Tx::Transfer(tx) => tx.to,
            Tx::Withdraw(_) | Tx::ChangePubKey(_) => Owner::NONE,
        };
        let max_fee = signed.tx.fee().1.canonical();
        let (op, signature) = (op.clone(), signed.signature.signature);
        SignedWitness { op, signature, max_fee, receiver }
    }
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
        let room = &shape.room;
        let amount = |leaf: &AmountWitness| leaf.path.len() == TOKEN_PAGE.levels;
        let above = |node: &NodeWitness, depth: usize| node.path.len() == depth;
        let (of_tokens, of_accounts) =
            (TokenId::DEPTH - TOKEN_PAGE.levels, AccountId::DEPTH - ACCOUNT_PAGE.levels);
        self.accounts.len() == room.accounts
            && self.sub_accounts.len() == room.sub_accounts
            && self.balances.len() == room.balances
            && self.chains.len() == room.chains
            && self.pools.len() == room.pools
            && self.account_pages.len() == room.account_pages
            && self.balance_pages.len() == room.balance_pages
            && self.pool_pages.len() == room.pool_pages
            && self.fee_tokens.len() == room.fee_tokens
            && self.queue.len() <= room.queue
            && self.signed.len() <= room.signed
            && self.accounts.iter().all(|leaf| leaf.path.len() == ACCOUNT_PAGE.levels)
            && self.sub_accounts.iter().all(|leaf| leaf.path.len() == SubAccountId::DEPTH)
            && self.balances.iter().all(|leaf| amount(&leaf.leaf))
            && self.chains.iter().all(|leaf| leaf.path.len() == ChainId::DEPTH)
            && self.pools.iter().all(|leaf| amount(&leaf.leaf))
            && self.account_pages.iter().all(|page| above(&page.node, of_accounts))
            && self.balance_pages.iter().all(|page| above(&page.node, of_tokens))
            && self.pool_pages.iter().all(|page| above(&page.node, of_tokens))
    }

    /// Applies the block to the state and its trees, and arranges what was touched. `signed` has the transaction of
    /// each signed operation, in order. The work depends on what the block touches, not on the size of the state.
    ///
    /// # Errors
    /// [`BlockError`] when the block does not fit its shape or does not follow the state. Both may then be
    /// half-changed: the caller throws them away.
    ///
    /// # Panics
    /// When there are not as many transactions as signed operations.
    pub fn build(
        block: &Block,
        signed: &[SignedTx],
        state: &mut State,
        tree: &mut StateTree,
    ) -> Result<Witness, BlockError> {
        let slots = block.slots();
        assert_eq!(signed.len(), slots.signed.len(), "one transaction for each signed operation");
        let set = block.working_set(state)?;
        let system = state.system;
        let [accounts_root, chains_root, markets_root, _] = tree.parts();
        tree.prepare(state, set.accounts.iter().copied())?;
        let mut opened = tree.opened(&set.places());
        let mut leaves = Leaves::before(&set, state, &mut opened);
        block.replay(state, tree)?;
        leaves.close(state, &mut opened);
        let fee_tokens = fee_tokens(block)?;
        let queue = slots.queue.iter().filter_map(|queued| match queued.op {
            Op::Deposit(op) => Some(QueueWitness { op: *op, at: queued.at }),
            _ => None,
        });
        let signed = slots.signed.iter().zip(signed);
        let signed = signed.map(|(published, signed)| SignedWitness::of(published.op, signed));
        Ok(Witness {
            public: block.public_data(),
            inputs: block.public_inputs()?,
            system,
            timestamp: block.head.timestamp,
            old_roots: [accounts_root, chains_root, markets_root],
            accounts: leaves.accounts,
            account_pages: leaves.account_pages,
            sub_accounts: leaves.sub_accounts,
            balances: leaves.balances,
            balance_pages: leaves.balance_pages,
            chains: leaves.chains,
            pools: leaves.pools,
            pool_pages: leaves.pool_pages,
            fee_tokens,
            queue: queue.collect(),
            signed: signed.collect(),
        })
    }
}

/// The tokens of the fees of a block in ascending order, padded with none.
fn fee_tokens(block: &Block) -> Result<Vec<Option<TokenId>>, BlockError> {
    let tokens: std::collections::BTreeSet<_> =
        block.ops.iter().filter_map(Op::fee_token).collect();
    let mut tokens: Vec<_> = tokens.into_iter().map(Some).collect();
    tokens.resize(block.shape()?.room.fee_tokens, None);
    Ok(tokens)
}

/// The leaves of a working set.
struct Leaves {
    accounts: Vec<AccountWitness>,
    account_pages: Vec<AccountPageWitness>,
    sub_accounts: Vec<SubAccountWitness>,
    balances: Vec<BalanceWitness>,
    balance_pages: Vec<BalancePageWitness>,
    chains: Vec<ChainWitness>,
    pools: Vec<PoolWitness>,
    pool_pages: Vec<PoolPageWitness>,
}

impl Leaves {
    /// The leaves before the block; the paths come later.
    fn before(set: &WorkingSet, state: &State, tree: &mut StateTree) -> Leaves {
        let amount = |token, amount| AmountWitness { token, amount, path: Path::new() };
        let accounts = set.accounts.iter().map(|id| {
            let mut account = state.account(*id).cloned().unwrap_or_default();
            account.sub_accounts.clear();
            let sub_accounts_root = tree.sub_accounts_root(*id);
            AccountWitness { id: *id, account, sub_accounts_root, path: Path::new() }
        });
        let accounts = accounts.collect();
        let sub_accounts = set.sub_accounts.iter().map(|(account, id)| {
            let sub = state.sub_account(*account, *id);
            let roots = tree.sub_account_roots(*account, *id);
            SubAccountWitness {
                account: *account,
                id: *id,
                nonce: sub.map(|sub| sub.nonce).unwrap_or_default(),
                epoch: sub.map(|sub| sub.epoch).unwrap_or_default(),
                roots: [roots.balances, roots.slots, roots.rest],
                path: Path::new(),
            }
        });
        let sub_accounts = sub_accounts.collect();
        let balances = set.balances.iter().map(|(account, sub, token)| BalanceWitness {
            account: *account,
            sub_account: *sub,
            leaf: amount(*token, state.balance(*account, *sub, *token)),
        });
        let chains = set.chains.iter().map(|id| ChainWitness {
            id: *id,
            cursor: state.cursor(*id),
            roots: [tree.pools_root(*id), Fr::zero()],
            path: Path::new(),
        });
        let chains = chains.collect();
        let pools = set.pools.iter().map(|(chain, token)| PoolWitness {
            chain: *chain,
            leaf: amount(*token, state.pool(*chain, *token)),
        });
        let (balances, pools) = (balances.collect(), pools.collect());
        let (account_pages, balance_pages, pool_pages) = pages_before(set, tree);
        Leaves {
            accounts,
            account_pages,
            sub_accounts,
            balances,
            balance_pages,
            chains,
            pools,
            pool_pages,
        }
    }

    /// Notes the path of each leaf and page and writes its new value, in the order of the circuit.
    fn close(&mut self, after: &State, tree: &mut StateTree) {
        // Pages are closed one after the other in trees in which their leaves are not written yet.
        let mut upper = tree.clone();
        self.close_balances(after, tree, &mut upper);
        for leaf in &mut self.sub_accounts {
            leaf.path = tree.sub_account_path(leaf.account, leaf.id);
            let unused = SubAccount::default();
            let new = after.sub_account(leaf.account, leaf.id).unwrap_or(&unused);
            tree.set_sub_account(leaf.account, leaf.id, new);
        }
        for leaf in &mut self.accounts {
            leaf.path = tree.account_path(leaf.id);
            leaf.path.truncate(ACCOUNT_PAGE.levels);
            let nobody = Account::default();
            tree.set_account(leaf.id, after.account(leaf.id).unwrap_or(&nobody));
        }
        for page in &mut self.account_pages {
            let (lower, upper) = (tree.accounts_tree(), upper.accounts_tree());
            page.node.path = close_page(ACCOUNT_PAGE, page.page.into(), lower, upper);
        }
        for PoolWitness { chain, leaf } in &mut self.pools {
            leaf.path = tree.pool_path(*chain, leaf.token);
            leaf.path.truncate(TOKEN_PAGE.levels);
            tree.set_pool(*chain, leaf.token, after.pool(*chain, leaf.token));
        }
        for PoolPageWitness { chain, page, node } in &mut self.pool_pages {
            let (lower, upper) = (tree.pools_tree(*chain), upper.pools_tree(*chain));
            node.path = close_page(TOKEN_PAGE, (*page).into(), lower, upper);
        }
        for leaf in &mut self.chains {
            leaf.path = tree.chain_path(leaf.id);
            tree.set_chain(leaf.id, after.cursor(leaf.id));
        }
    }

    fn close_balances(&mut self, after: &State, tree: &mut StateTree, upper: &mut StateTree) {
        for BalanceWitness { account, sub_account, leaf } in &mut self.balances {
            leaf.path = tree.balance_path(*account, *sub_account, leaf.token);
            leaf.path.truncate(TOKEN_PAGE.levels);
            let new = after.balance(*account, *sub_account, leaf.token);
            tree.set_balance(*account, *sub_account, leaf.token, new);
        }
        for BalancePageWitness { account, sub_account, page, node } in &mut self.balance_pages {
            let lower = tree.balances_tree(*account, *sub_account);
            let upper = upper.balances_tree(*account, *sub_account);
            node.path = close_page(TOKEN_PAGE, (*page).into(), lower, upper);
        }
    }
}

/// The pages before the block; the paths come later.
fn pages_before(
    set: &WorkingSet,
    tree: &mut StateTree,
) -> (Vec<AccountPageWitness>, Vec<BalancePageWitness>, Vec<PoolPageWitness>) {
    let open = |of: Page, page: u64, tree: &mut Tree| NodeWitness {
        node: tree.node_at(of.levels, page),
        path: Path::new(),
    };
    let accounts = set.account_pages.iter().map(|page| AccountPageWitness {
        page: *page,
        node: open(ACCOUNT_PAGE, (*page).into(), tree.accounts_tree()),
    });
    let accounts = accounts.collect();
    let balances = set.balance_pages.iter().map(|(account, sub, page)| BalancePageWitness {
        account: *account,
        sub_account: *sub,
        page: *page,
        node: open(TOKEN_PAGE, (*page).into(), tree.balances_tree(*account, *sub)),
    });
    let balances = balances.collect();
    let pools = set.pool_pages.iter().map(|(chain, page)| PoolPageWitness {
        chain: *chain,
        page: *page,
        node: open(TOKEN_PAGE, (*page).into(), tree.pools_tree(*chain)),
    });
    (accounts, balances, pools.collect())
}

/// The path of a page in the upper tree, which takes the node over from the lower one.
fn close_page(of: Page, page: u64, lower: &mut Tree, upper: &mut Tree) -> Path {
    let path = upper.path_from(of.levels, page);
    upper.set_node(of.levels, page, lower.node_at(of.levels, page));
    path
}
