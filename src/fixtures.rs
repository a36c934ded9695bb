//! Deterministic users, networks and operations for tests and benchmarks.

use std::collections::{BTreeMap, BTreeSet};

use crate::amount::{Amount, Fee};
use crate::block::{Block, Head};
use crate::commitment::StateTree;
use crate::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, ShapeId, SubAccountId, TokenId};
use crate::key::SecretKey;
use crate::op::{Deposit, Op};
use crate::reject::Reject;
use crate::shape::{Load, Shape, shape};
use crate::state::{DeploymentId, State};
use crate::token::{Chain, L1Token, Network, Token, scale_up};
use crate::tx::{ChangePubKeyTx, KeyAuth, KeyAuthorisations, SignedTx, TransferTx, Tx, WithdrawTx};

mod random;

/// A token with 6 decimals on chain 1 and 18 on chain 2.
pub const USDC: TokenId = TokenId(17);
/// The native coin, on chains 1 and 3.
pub const COIN: TokenId = TokenId(32);
/// One whole token.
pub const ONE: u128 = 10u128.pow(18);

/// Small, seedable and ours: tests must not change when a library changes its generator.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator whose numbers depend on the seed only.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number (splitmix64).
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}

/// The network of the fixtures: three chains, two tokens.
pub fn network() -> Network {
    let chain = |id: u8| Chain {
        evm_chain_id: 90_000 + u64::from(id),
        contract: [0xc0 + id; 20],
        reserved: BTreeSet::from([Owner::from_evm([0xb0 + id; 20])]),
    };
    let l1 = |id: u8, decimals| L1Token { address: [0x70 + id; 20], decimals };
    let usdc = BTreeMap::from([(ChainId(1), l1(1, 6)), (ChainId(2), l1(2, 18))]);
    let native = L1Token { address: [0; 20], decimals: 18 };
    let coin = BTreeMap::from([(ChainId(1), native), (ChainId(3), native)]);
    Network {
        chains: (1..=3).map(|id| (ChainId(id), chain(id))).collect(),
        tokens: BTreeMap::from([
            (USDC, Token { symbol: "USDC".into(), chains: usdc }),
            (COIN, Token { symbol: "COIN".into(), chains: coin }),
        ]),
    }
}

/// A running rollup with users whose keys are known.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The state.
    pub state: State,
    /// Its trees, at the root of the last block.
    pub tree: StateTree,
    /// The network.
    pub network: Network,
    /// Keys that owners authorised on chain.
    pub authorised: KeyAuthorisations,
    /// Operations since the last block, with what their senders signed.
    pub open: Vec<(Op, Option<SignedTx>)>,
    before: State,
}

/// A sealed block with all that its witness is made of.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The block.
    pub block: Block,
    /// For each signed operation, in order, what its sender signed.
    pub signed: Vec<SignedTx>,
    /// The state before the block.
    pub before: State,
    /// The trees of that state.
    pub tree: StateTree,
}

impl Scenario {
    /// Genesis.
    pub fn new() -> Scenario {
        let owner = Owner::from_evm([0xfe; 20]);
        let insurance = Owner::from_evm([0xfd; 20]);
        let state = State::genesis(DeploymentId([0xd1; 31]), owner, insurance);
        Scenario {
            tree: StateTree::of(&state),
            before: state.clone(),
            state,
            network: network(),
            authorised: KeyAuthorisations::default(),
            open: Vec::new(),
        }
    }

    /// The owner address of user `n`.
    pub fn owner(n: u8) -> Owner {
        Owner::from_evm([n; 20])
    }

    /// The L2 key of user `n`.
    pub fn key(n: u8) -> SecretKey {
        SecretKey::from_seed(&[n; 32])
    }

    /// The account of user `n`.
    ///
    /// # Panics
    /// When the user has none yet.
    pub fn account(&self, n: u8) -> AccountId {
        self.state.account_of(Scenario::owner(n)).expect("the user made a deposit before")
    }

    /// The state at the start of the open block.
    pub fn before(&self) -> &State {
        &self.before
    }

    /// Applies the next deposit of a chain: `amount` in the units of the chain.
    pub fn deposit(
        &mut self,
        chain: u8,
        token: TokenId,
        n: u8,
        amount: u128,
    ) -> Result<Op, Reject> {
        self.deposit_to(chain, token, (Scenario::owner(n), SubAccountId(0)), amount)
    }

    /// Applies the next deposit of a chain for a sub-account of any owner.
    pub fn deposit_to(
        &mut self,
        chain: u8,
        token: TokenId,
        (owner, sub_account): (Owner, SubAccountId),
        amount: u128,
    ) -> Result<Op, Reject> {
        let account = match self.state.account_of(owner) {
            Some(id) => id,
            None => self.state.next_account()?,
        };
        let chain = ChainId(chain);
        let amount = self.deposited(chain, token, amount)?;
        let refused = false;
        self.queued(Deposit { chain, account, sub_account, token, amount, owner, refused })
    }

    /// Refuses the next deposit of a chain.
    pub fn refuse_deposit(
        &mut self,
        chain: u8,
        token: TokenId,
        owner: Owner,
        amount: u128,
    ) -> Result<Op, Reject> {
        let chain = ChainId(chain);
        let amount = self.deposited(chain, token, amount)?;
        let (account, sub_account, refused) = (AccountId(0), SubAccountId(0), true);
        self.queued(Deposit { chain, account, sub_account, token, amount, owner, refused })
    }

    fn deposited(&self, chain: ChainId, token: TokenId, amount: u128) -> Result<Amount, Reject> {
        let scale = self.network.l1_token(chain, token)?.scale();
        scale_up(amount, scale).ok_or(Reject::AmountOverflow)
    }

    fn queued(&mut self, deposit: Deposit) -> Result<Op, Reject> {
        let op = Op::Deposit(deposit);
        op.apply(&mut self.state)?;
        self.open.push((op.clone(), None));
        Ok(op)
    }

    /// Refuses the next deposit of a chain, which is for user `n`: `amount` in the units of the chain.
    pub fn refuse(&mut self, chain: u8, token: TokenId, n: u8, amount: u128) -> Result<Op, Reject> {
        let chain = ChainId(chain);
        let scale = self.network.l1_token(chain, token)?.scale();
        let op = Op::Deposit(Deposit {
            chain,
            account: AccountId(0),
            sub_account: SubAccountId(0),
            token,
            amount: scale_up(amount, scale).ok_or(Reject::AmountOverflow)?,
            owner: Scenario::owner(n),
            refused: true,
        });
        op.apply(&mut self.state)?;
        self.open.push((op.clone(), None));
        Ok(op)
    }

    /// Signs with the key of user `n`, verifies and applies.
    pub fn send(&mut self, n: u8, tx: Tx) -> Result<Op, Reject> {
        let signed = self.sign(tx, &Scenario::key(n))?;
        self.submit(&signed)
    }

    /// Verifies and applies a signed transaction.
    pub fn submit(&mut self, signed: &SignedTx) -> Result<Op, Reject> {
        let op = signed.verify(&self.state, &self.network, &self.authorised)?;
        self.signed(op, signed)
    }

    /// Verifies and applies a signed withdrawal, and takes about this fee of what its payer allowed.
    ///
    /// # Panics
    /// When it is no withdrawal, or its payer allowed less.
    pub fn submit_for(&mut self, signed: &SignedTx, fee: Fee) -> Result<Op, Reject> {
        let mut op = signed.verify(&self.state, &self.network, &self.authorised)?;
        let Op::Withdraw(withdraw) = &mut op else { panic!("{op:?} has the fee that was signed") };
        assert!(fee.amount() <= withdraw.fee.amount(), "the payer allowed less");
        withdraw.fee = withdraw.fee.at_most(fee.amount());
        self.signed(op, signed)
    }

    fn signed(&mut self, op: Op, signed: &SignedTx) -> Result<Op, Reject> {
        op.apply(&mut self.state)?;
        self.open.push((op.clone(), Some(signed.clone())));
        Ok(op)
    }

    /// Gives user `n` the key of the fixtures, authorised on chain 1; the fee is paid in USDC.
    pub fn set_key(&mut self, n: u8) -> Result<Op, Reject> {
        let account_id = self.account(n);
        self.set_key_of(account_id, ChainId(1), &Scenario::key(n))
    }

    /// Gives an account a key that its owner authorised by a call on a chain; sub-account 0 pays no fee.
    ///
    /// # Panics
    /// When there is no such account.
    pub fn set_key_of(
        &mut self,
        account_id: AccountId,
        chain_id: ChainId,
        key: &SecretKey,
    ) -> Result<Op, Reject> {
        let account = self.state.account(account_id).expect("the account was made before");
        let (nonce, key_version) = (account.nonce, account.key_version);
        let new_pub_key = key.public();
        self.authorised.insert(chain_id, account.owner, nonce, &new_pub_key);
        let tx = Tx::ChangePubKey(ChangePubKeyTx {
            chain_id,
            account_id,
            sub_account_id: SubAccountId(0),
            new_pub_key,
            fee_token: USDC,
            fee: Fee::ZERO,
            nonce,
            key_version,
            eth_auth_data: KeyAuth::Onchain,
        });
        let signed = self.sign(tx, key)?;
        self.submit(&signed)
    }

    /// Signs with a key for the deployment of the fixtures.
    pub fn sign(&self, tx: Tx, key: &SecretKey) -> Result<SignedTx, Reject> {
        tx.sign(key, self.state.system.deployment, &self.network)
    }

    /// A transfer of user `n` with the next nonce.
    pub fn transfer(&self, n: u8, to: Owner, amount: u128, fee: u128) -> Tx {
        let account_id = self.account(n);
        Tx::Transfer(TransferTx {
            account_id,
            from_sub_account_id: SubAccountId(0),
            to,
            to_sub_account_id: SubAccountId(0),
            token: USDC,
            amount: Amount(amount),
            fee: Fee::closest(Amount(fee)),
            nonce: self.nonce(account_id),
            key_version: self.key_version(account_id),
        })
    }

    /// A withdrawal of user `n` with the next nonce: `amount` in 18 decimals.
    pub fn withdraw(&self, n: u8, chain: u8, token: TokenId, amount: u128, fee: u128) -> Tx {
        let account_id = self.account(n);
        Tx::Withdraw(WithdrawTx {
            to_chain_id: ChainId(chain),
            account_id,
            sub_account_id: SubAccountId(0),
            to: Scenario::owner(n),
            token,
            amount: Amount(amount),
            max_fee: Fee::closest(Amount(fee)),
            nonce: self.nonce(account_id),
            key_version: self.key_version(account_id),
        })
    }

    /// The next nonce of sub-account 0.
    pub fn nonce(&self, id: AccountId) -> Nonce {
        let sub = self.state.sub_account(id, SubAccountId(0));
        sub.map(|sub| sub.nonce).unwrap_or_default()
    }

    /// The version of the account's key.
    pub fn key_version(&self, id: AccountId) -> KeyVersion {
        self.state.account(id).map(|account| account.key_version).unwrap_or_default()
    }

    /// Whether the open operations fit the shape.
    pub fn fits(&self, shape: &Shape) -> bool {
        let ops = self.open.iter().map(|(op, _)| op);
        Load::of(ops, self.state.system.fee_account).counts().fit(&shape.room)
    }

    /// Seals the open operations.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn seal(&mut self, id: ShapeId) -> Sealed {
        assert!(self.fits(shape(id).expect("a known shape")), "the operations fit the shape");
        let old_root = self.tree.root();
        let (ops, signed): (Vec<Op>, Vec<_>) = std::mem::take(&mut self.open).into_iter().unzip();
        let signed = signed.into_iter().flatten().collect();
        let number = self.state.system.number.next().expect("few blocks");
        let timestamp = self.state.system.timestamp + 12;
        self.state.end_block(number, timestamp);
        let (before, tree) = (self.before.clone(), self.tree.clone());
        let head = Head { number, timestamp, shape: id, old_root, new_root: old_root };
        let mut block = Block { head, ops };
        self.tree.update(&self.state, &block.cells(&self.before));
        block.head.new_root = self.tree.root();
        self.before = self.state.clone();
        Sealed { block, signed, before, tree }
    }
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario::new()
    }
}
