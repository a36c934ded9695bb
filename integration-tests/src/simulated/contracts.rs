//! What the simulated contracts of one chain hold, and what each transaction does to it.
//!
//! Written from the rules of ADR 0004 section 8, not from the Solidity: a second account of the same books. A
//! transaction runs on a copy, so that a refusal changes nothing.

mod stages;

pub use stages::{Paying, Recording};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zklink::amount::Amount;
use zklink::id::{BlockNumber, ChainId, Owner, TokenId};
use zklink::op::Withdraw;
use zklink::state::DeploymentId;
use zklink::token::{Address, Chain, L1Token, scale_down, scale_up};

use super::hub::SimulatedHub;

/// What is registered when a chain's contracts are set up; it never changes.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The chain.
    pub chain: ChainId,
    /// The hub.
    pub hub: ChainId,
    /// Binds messages to the deployment.
    pub deployment: DeploymentId,
    /// The EVM chain id and our contract, as key changes bind them.
    pub domain: Chain,
    /// The hub's contract, on the hub's chain.
    pub hub_contract: Option<Address>,
    /// The contract that records keys.
    pub recorder: Address,
    /// The light oracle.
    pub oracle: Address,
    /// The only sender of commits.
    pub validator: Address,
    /// The tokens.
    pub tokens: BTreeMap<TokenId, L1Token>,
    /// All chains of the deployment.
    pub chains: BTreeSet<ChainId>,
    /// The attesters.
    pub attesters: BTreeSet<Address>,
    /// So many of them must sign.
    pub threshold: usize,
}

impl Registration {
    /// Our contract, which holds the tokens.
    pub fn rollup(&self) -> Address {
        self.domain.contract
    }

    /// The native coin, if the chain has it.
    pub fn native(&self) -> Option<TokenId> {
        let mut tokens = self.tokens.iter();
        tokens.find(|(_, token)| token.address == [0; 20]).map(|(id, _)| *id)
    }

    fn token(&self, token: TokenId) -> Result<&L1Token, Refused> {
        self.tokens.get(&token).ok_or_else(|| Refused(format!("UnknownToken({token})")))
    }
}

/// A contract refused a transaction; the text names the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the simulated contract refuses: {0}")]
pub struct Refused(pub String);

impl From<&str> for Refused {
    fn from(text: &str) -> Refused {
        Refused(text.to_owned())
    }
}

/// What the contract counts of one token, in the chain's units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenBook {
    /// Everything that is owed.
    pub locked: u128,
    /// The part of it that waits for receivers who could not be paid.
    pub pending: u128,
    /// The part of it that is in no account: in the queue, or refused and not refunded.
    pub unconsumed: u128,
}

impl TokenBook {
    /// What is there for balances on L2; nothing when the books contradict themselves.
    pub fn free(&self) -> Option<u128> {
        self.locked.checked_sub(self.pending)?.checked_sub(self.unconsumed)
    }
}

/// A deposit in the queue, its amount with 18 decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The token.
    pub token: TokenId,
    /// The sub-account that gets it.
    pub sub_account: u8,
    /// How much.
    pub amount: u128,
    /// Who gets it.
    pub owner: Owner,
    /// Who paid it.
    pub payer: Address,
}

/// What the chain holds of a block. The first of them is that of genesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimulatedRecord {
    /// The block.
    pub number: BlockNumber,
    /// The content of all blocks up to it.
    pub rolling: [u8; 32],
    /// The next open deposit after it.
    pub cursor: u64,
}

/// Something that a contract tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimulatedEvent {
    /// A deposit was queued.
    Queued(u64, Queued),
    /// The operations of a block were recorded.
    Committed(SimulatedRecord),
    /// An owner authorised a key.
    Key(Address, u32, [[u8; 32]; 2]),
    /// A message left: destination, number, payload.
    Sent(ChainId, u64, Vec<u8>),
}

/// The contracts of one chain.
#[derive(Clone, Debug)]
pub struct SimulatedContracts {
    /// What never changes.
    pub registration: Arc<Registration>,
    /// The books by token.
    pub books: BTreeMap<TokenId, TokenBook>,
    /// What everybody has, the vault among them, in the chain's units.
    pub balances: BTreeMap<(Address, TokenId), u128>,
    /// All deposits ever.
    pub queue: Vec<Queued>,
    /// The records, genesis first.
    pub records: Vec<SimulatedRecord>,
    /// Index of the last acked record.
    pub acked: usize,
    /// Index of the last released record.
    pub released: usize,
    /// Index of the last record that is paid to the end.
    pub paid: usize,
    /// Chunks of the next record that are paid.
    pub chunks: usize,
    /// Refused deposits whose payers have a claim.
    pub refunded: BTreeSet<u64>,
    /// What waits for receivers who could not be paid.
    pub pending: BTreeMap<(Address, TokenId), u128>,
    /// Receivers who refuse payments.
    pub refusing: BTreeSet<Address>,
    /// All payouts that were made or deferred, for auditors: block, receiver, token, units.
    pub payouts: Vec<(BlockNumber, Address, TokenId, u128)>,
    /// Messages that left, by destination.
    pub sent: BTreeMap<ChainId, Vec<Vec<u8>>>,
    /// The number of the next message of each source.
    pub delivered: BTreeMap<ChainId, u64>,
    /// What only the hub has.
    pub hub: Option<SimulatedHub>,
    keys: BTreeSet<(ChainId, Address, u32, [[u8; 32]; 2])>,
    events: Vec<SimulatedEvent>,
}

type Done = Result<(), Refused>;

impl SimulatedContracts {
    /// Contracts after their setup.
    pub fn new(registration: Registration, hub: Option<SimulatedHub>) -> SimulatedContracts {
        let books = registration.tokens.keys().map(|token| (*token, TokenBook::default()));
        SimulatedContracts {
            books: books.collect(),
            registration: Arc::new(registration),
            balances: BTreeMap::new(),
            queue: Vec::new(),
            records: vec![SimulatedRecord::default()],
            acked: 0,
            released: 0,
            paid: 0,
            chunks: 0,
            refunded: BTreeSet::new(),
            pending: BTreeMap::new(),
            refusing: BTreeSet::new(),
            payouts: Vec::new(),
            sent: BTreeMap::new(),
            delivered: BTreeMap::new(),
            hub,
            keys: BTreeSet::new(),
            events: Vec::new(),
        }
    }

    /// What was told since the last call.
    pub fn take_events(&mut self) -> Vec<SimulatedEvent> {
        std::mem::take(&mut self.events)
    }

    /// The last record.
    pub fn last(&self) -> SimulatedRecord {
        self.records.last().copied().unwrap_or_default()
    }

    /// What somebody has.
    pub fn balance(&self, holder: Address, token: TokenId) -> u128 {
        self.balances.get(&(holder, token)).copied().unwrap_or_default()
    }

    /// Gives somebody units out of nowhere: for the setup of a test.
    pub fn mint(&mut self, holder: Address, token: TokenId, units: u128) {
        *self.balances.entry((holder, token)).or_default() += units;
    }

    fn transfer(&mut self, token: TokenId, from: Address, to: Address, units: u128) -> Done {
        let left = self.balance(from, token).checked_sub(units);
        let left = left.ok_or("InsufficientBalance")?;
        self.balances.insert((from, token), left);
        self.mint(to, token, units);
        Ok(())
    }

    fn book(&mut self, token: TokenId) -> &mut TokenBook {
        self.books.entry(token).or_default()
    }

    /// Queues a deposit of so many units.
    ///
    /// # Errors
    /// [`Refused`], as all transactions.
    pub fn deposit(
        &mut self,
        from: Address,
        token: TokenId,
        units: u128,
        owner: Owner,
        sub_account: u8,
    ) -> Done {
        let scale = self.registration.token(token)?.scale();
        if units == 0 || owner.is_none() || sub_account >= 32 {
            return Err("BelowLeast, ZeroOwner or BadSubAccount".into());
        }
        let amount = scale_up(units, scale).ok_or("DepositCap")?.0;
        let vault = self.registration.rollup();
        self.transfer(token, from, vault, units)?;
        let book = self.book(token);
        book.locked += units;
        book.unconsumed += units;
        let queued = Queued { token, sub_account, amount, owner, payer: from };
        let serial = self.queue.len() as u64;
        self.queue.push(queued);
        self.events.push(SimulatedEvent::Queued(serial, queued));
        Ok(())
    }

    /// Authorises a key for an account nonce.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn set_auth_pub_key(&mut self, from: Address, key: [[u8; 32]; 2], nonce: u32) -> Done {
        if self.keys.insert((ChainId(0), from, nonce, key)) {
            self.events.push(SimulatedEvent::Key(from, nonce, key));
        }
        Ok(())
    }

    fn pay_out(&mut self, number: BlockNumber, op: &Withdraw) -> Done {
        let (token, units) = (op.token, op.l1_amount);
        let to = op.to.to_evm().ok_or("NotAnAddress")?;
        let free = self.book(token).free().ok_or("the books contradict themselves")?;
        if units > free {
            return Err(Refused(format!("InsufficientLocked({token}, {free}, {units})")));
        }
        self.payouts.push((number, to, token, units));
        if self.refusing.contains(&to) {
            self.book(token).pending += units;
            *self.pending.entry((to, token)).or_default() += units;
            return Ok(());
        }
        self.book(token).locked -= units;
        self.transfer(token, self.registration.rollup(), to, units)
    }

    /// Turns refused deposits into claims of their payers: those of the block in which the first one is number `first`
    /// of its deposits.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn refund_deposit(&mut self, serial: u64, payer: Address) -> Done {
        let queued = usize::try_from(serial).ok().and_then(|at| self.queue.get(at)).copied();
        let queued = queued.filter(|queued| queued.payer == payer).ok_or("DepositMismatch")?;
        if !self.refunded.insert(serial) {
            return Ok(());
        }
        let scale = self.registration.token(queued.token)?.scale();
        let units = scale_down(Amount(queued.amount), scale).ok_or("less than a unit")?;
        let book = self.book(queued.token);
        book.unconsumed = book.unconsumed.checked_sub(units).ok_or("unconsumed underflow")?;
        book.pending += units;
        *self.pending.entry((payer, queued.token)).or_default() += units;
        Ok(())
    }

    /// Pays what waits for a receiver.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn claim(&mut self, owner: Address, token: TokenId) -> Done {
        let units = self.pending.remove(&(owner, token)).ok_or("NothingToClaim")?;
        if self.refusing.contains(&owner) {
            return Err("ClaimFailed".into());
        }
        let book = self.book(token);
        book.pending -= units;
        book.locked -= units;
        self.transfer(token, self.registration.rollup(), owner, units)
    }
}

/// A number as an ABI word.
pub(super) fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}
