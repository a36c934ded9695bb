//! The state machine behind the builder: a state, and the block that is open on it.
//!
//! There is one way in ([`Ledger::enter`]) and one way to close a block ([`Ledger::seal`]). Production calls them
//! with what arrives, replay with what the journal says: the same code. Nothing is hashed here: the root of a block
//! follows from its records, and is made behind them ([`crate::roots`]).

use std::sync::Arc;

use zklink::amount::Amount;
use zklink::audit::{Books, Imbalance};
use zklink::fees::FeeTable;
use zklink::id::{AccountId, BlockNumber, ChainId, Nonce, Owner, ShapeId, SubAccountId};
use zklink::op::{Deposit, Op};
use zklink::reject::Reject;
use zklink::shape::{Counts, Load, Shape, shape};
use zklink::state::{Cell, Ended, State};
use zklink::token::Network;
use zklink::tx::{CheckedTx, KeyAuthorisations};
use zklink_mechanism::timestamp::Timestamp;
use zklink_store::record::{
    AcceptedDeposit, AcceptedTx, DepositRefusal, Executed, FinalDeposit, KeyAuthorised, Record,
    Seal, Source,
};

use super::calldata::Calldata;

/// Keys may be authorised for the next nonce of the owner's account and so many after it.
const NONCES_AHEAD: u32 = 16;
/// Keys of one owner for one nonce on one chain: more than anybody makes mistakes.
const KEYS_A_NONCE: usize = 16;

/// Something that asks to be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A user's transaction.
    Tx(Box<CheckedTx>),
    /// The next deposit of a chain.
    Deposit(FinalDeposit),
}

/// Where an executed operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The block that it is in: not sealed yet.
    pub block: BlockNumber,
    /// Its place among the block's operations.
    pub index: u32,
    /// When it was executed.
    pub time: Timestamp,
}

/// What executing an entry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// Where it stands.
    pub place: Place,
    /// The operation that came of it.
    pub op: Op,
    /// What the operation came from, as its block will say.
    pub source: Source,
    /// What the journal is to hold, in order: the block that was sealed to make room, if one
    /// was, and the entry.
    pub records: Vec<Record>,
}

/// Why an entry was not executed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A rule of the protocol forbids it. Nothing has changed.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// No shape of this deployment has room for it, even in a block of its own.
    #[error("no block of this deployment has room for it: use other sub-accounts or amounts")]
    NoShape,
    /// The ledger must not be used any more.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// The ledger cannot go on. The node stops, and a person looks at it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Tokens came from nowhere, or went there.
    #[error("the books do not balance after block {0}: {1}")]
    Imbalance(BlockNumber, Imbalance),
    /// Block numbers are used up.
    #[error("block numbers are used up")]
    Numbers,
    /// The open block fits no shape, although each of its operations was checked to fit.
    #[error("the open block fits no shape")]
    Unfit,
}

/// The journal does not lead to where it says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Something that was accepted once is refused now.
    #[error("a record that was accepted is refused now ({0}): run the program that wrote it")]
    Refused(#[from] Denied),
    /// An accepted entry has other consequences than it had.
    #[error("{0} has other consequences than recorded: run the program that wrote it")]
    Different(&'static str),
    /// A block ends otherwise than it did.
    #[error("block {0} comes out different from the recorded one: run the program that wrote it")]
    Block(BlockNumber),
}

/// What an entry asks for.
#[derive(Debug)]
struct Resolved {
    op: Op,
    /// Why it is a refused deposit, if it is one.
    refused: Option<DepositRefusal>,
}

impl From<Op> for Resolved {
    fn from(op: Op) -> Resolved {
        Resolved { op, refused: None }
    }
}

/// The block that is open.
#[derive(Debug, Default)]
struct Open {
    ops: usize,
    load: Load,
    calldata: Calldata,
    since: Option<Timestamp>,
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    network: Arc<Network>,
    shapes: Vec<&'static Shape>,
    state: State,
    books: Books,
    keys: KeyAuthorisations,
    open: Open,
    /// What new transactions must pay. No part of the state: replay does not ask for it.
    fees: FeeTable,
    /// The latest time that a block may carry which is sealed now, Unix seconds.
    seal_by: u64,
}

impl Ledger {
    /// A ledger on a state between two blocks. `shapes` are those that the deployment has keys
    /// for, in any order; ids that nobody knows are left out.
    pub fn new(network: Arc<Network>, shapes: &[ShapeId], state: State) -> Ledger {
        Ledger::resume(network, shapes, state, KeyAuthorisations::default())
    }

    /// As [`Ledger::new`], with the keys that were authorised until then.
    pub fn resume(
        network: Arc<Network>,
        shapes: &[ShapeId],
        state: State,
        keys: KeyAuthorisations,
    ) -> Ledger {
        let mut shapes: Vec<_> = shapes.iter().filter_map(|id| shape(*id)).collect();
        shapes.sort_by_key(|shape| shape.weight());
        let (books, open) = (Books::of(&state), Open::default());
        let (fees, seal_by) = (FeeTable::default(), u64::MAX);
        Ledger { network, shapes, state, books, keys, open, fees, seal_by }
    }

    /// Asks new transactions for these fees from now on. What the journal holds was accepted and stays so.
    pub fn ask_fees(&mut self, fees: FeeTable) {
        self.fees = fees;
    }

    /// Seals blocks with no later time than this from now on, Unix seconds. A block never carries an earlier time than
    /// the one before it, even if that one is later than this.
    pub fn seal_by(&mut self, seconds: u64) {
        self.seal_by = seconds;
    }

    /// The executed state: sealed blocks and the open one.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Chains and tokens.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// The keys that owners authorised on chains and have not used yet.
    pub fn keys(&self) -> &KeyAuthorisations {
        &self.keys
    }

    /// When the first operation of the open block was executed; nothing while it is empty.
    pub fn open_since(&self) -> Option<Timestamp> {
        self.open.since
    }

    /// Executes an entry at `now`, or refuses it and changes nothing. When the open block has no
    /// room for it, that block is sealed first.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn enter(&mut self, entry: &Entry, now: Timestamp) -> Result<Entered, Denied> {
        let resolved = match entry {
            Entry::Tx(tx) => self.fees.admit(tx, &self.state, &self.network, &self.keys)?.into(),
            Entry::Deposit(deposit) => self.resolve_deposit(deposit)?,
        };
        self.execute(entry, resolved, now)
    }

    /// Executes what [`Ledger::enter`] or replay has made of an entry.
    fn execute(
        &mut self,
        entry: &Entry,
        Resolved { op, refused }: Resolved,
        now: Timestamp,
    ) -> Result<Entered, Denied> {
        let mut records = Vec::new();
        let fee_account = self.fee_account();
        let before = Books::look(&self.state, op.cells(fee_account));
        let has_shape = self.shape_for(&self.open.load.counts_with(&op, fee_account)).is_some();
        if has_shape && self.open.calldata.has_room(&op) {
            op.apply(&mut self.state)?;
            self.books.note(before);
        } else if self.shape_for(&Load::default().counts_with(&op, fee_account)).is_some() {
            records.push(Record::Sealed(self.close_before(&op, before, now)?));
        } else {
            return Err(Denied::NoShape);
        }
        let source = source(entry, &op, refused, now);
        let place = self.push(&op, now);
        records.push(Record::Executed(Executed { op: op.clone(), source: source.clone() }));
        Ok(Entered { place, op, source, records })
    }

    /// Remembers a key that an owner authorised on a chain; false when it is known already, or
    /// is for a nonce that is used up or too far ahead.
    pub fn authorise(&mut self, key: &KeyAuthorised) -> bool {
        let account = self.state.account_of(key.owner).and_then(|id| self.state.account(id));
        let next = account.map(|account| account.nonce).unwrap_or_default();
        let ahead = key.nonce.0.checked_sub(next.0);
        if ahead.is_none_or(|ahead| ahead >= NONCES_AHEAD) || self.has_many_keys(key) {
            return false;
        }
        let before = self.keys.0.len();
        self.keys.insert(key.chain, key.owner, key.nonce, &key.key);
        self.keys.0.len() > before
    }

    /// Whether the owner authorised so many keys for this nonce that no more are remembered.
    fn has_many_keys(&self, key: &KeyAuthorised) -> bool {
        let from = (key.chain, key.owner, key.nonce, String::new());
        let of_nonce = |known: &&(ChainId, Owner, Nonce, String)| {
            (known.0, known.1, known.2) == (key.chain, key.owner, key.nonce)
        };
        self.keys.0.range(from..).take_while(of_nonce).count() >= KEYS_A_NONCE
    }

    /// Seals the open block, and says nothing when it is empty.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn seal(&mut self, now: Timestamp) -> Result<Option<Seal>, Broken> {
        if self.open.ops == 0 {
            return Ok(None);
        }
        let (number, timestamp) = self.next_head(self.seal_time(now))?;
        self.end(number, timestamp);
        self.close(None).map(Some)
    }

    /// Does again what a record says was done; gives what an entry among them did.
    ///
    /// # Errors
    /// [`ReplayError`]: the journal is of another program, or of another genesis.
    pub fn replay(&mut self, record: &Record) -> Result<Option<Entered>, ReplayError> {
        match record {
            Record::Executed(executed) => {
                let time = Timestamp(executed.source.time());
                let entry = match &executed.source {
                    Source::Tx(accepted) => {
                        let (tx, deployment) = (accepted.tx.clone(), self.state.system.deployment);
                        let tx = CheckedTx::new(tx, deployment, &self.network);
                        Entry::Tx(Box::new(tx.map_err(Denied::from)?))
                    }
                    Source::Deposit(accepted) => Entry::Deposit(accepted.deposit.clone()),
                };
                self.replay_entry(&entry, time, record).map(Some)
            }
            Record::KeyAuthorised(key) if self.authorise(key) => Ok(None),
            Record::KeyAuthorised(_) => Err(ReplayError::Different("a key authorisation")),
            Record::Sealed(seal) => {
                let (number, timestamp) = self.next_head(seal.timestamp).map_err(Denied::from)?;
                self.end(number, timestamp);
                let made = self.close(Some(seal.shape)).map_err(Denied::from)?;
                if made == *seal { Ok(None) } else { Err(ReplayError::Block(seal.number)) }
            }
        }
    }

    fn replay_entry(
        &mut self,
        entry: &Entry,
        time: Timestamp,
        record: &Record,
    ) -> Result<Entered, ReplayError> {
        let resolved = self.resolve(entry)?;
        let entered = self.execute(entry, resolved, time)?;
        if entered.records == [record.clone()] {
            Ok(entered)
        } else {
            Err(ReplayError::Different("an entry"))
        }
    }

    /// Checks everything but the fee, balances and reserves, and gives the operation.
    fn resolve(&self, entry: &Entry) -> Result<Resolved, Denied> {
        match entry {
            Entry::Tx(tx) => Ok(tx.verify(&self.state, &self.network, &self.keys)?.into()),
            Entry::Deposit(deposit) => self.resolve_deposit(deposit),
        }
    }

    /// The operation of the next deposit of a chain. One that cannot be credited is refused, so that no deposit stops
    /// those behind it.
    fn resolve_deposit(&self, deposit: &FinalDeposit) -> Result<Resolved, Denied> {
        let FinalDeposit { chain, serial, token, owner, sub_account, amount, .. } = *deposit;
        self.network.l1_token(chain, token)?;
        let expected = self.state.cursor(chain);
        if serial != expected {
            return Err(Reject::Serial { chain, expected: expected.0 }.into());
        }
        let (account, refused) = match self.receiver(deposit) {
            Ok(account) => (account, None),
            Err(reject) => match DepositRefusal::of(&reject) {
                Some(refusal) => (AccountId(0), Some(refusal)),
                None => return Err(reject.into()),
            },
        };
        let is_refused = refused.is_some();
        let op = Deposit { chain, account, sub_account, token, amount, owner, refused: is_refused };
        Ok(Resolved { op: Op::Deposit(op), refused })
    }

    /// The account that a deposit is credited to.
    fn receiver(&self, deposit: &FinalDeposit) -> Result<AccountId, Reject> {
        self.network.check_owner(deposit.owner)?;
        let account = match self.state.account_of(deposit.owner) {
            Some(account) => account,
            None => self.state.next_account()?,
        };
        let pool = self.state.pool(deposit.chain, deposit.token).checked_add(deposit.amount);
        let fits = pool.is_some_and(|pool| pool.0 >> Amount::POOL_BITS == 0);
        if fits { Ok(account) } else { Err(Reject::AmountOverflow) }
    }

    fn fee_account(&self) -> AccountId {
        self.state.system.fee_account
    }

    /// The cheapest shape that has room for so much.
    fn shape_for(&self, counts: &Counts) -> Option<&'static Shape> {
        self.shapes.iter().copied().find(|shape| counts.fit(&shape.room))
    }

    fn push(&mut self, op: &Op, now: Timestamp) -> Place {
        let index = u32::try_from(self.open.ops).expect("a shape has few slots");
        if let Op::ChangePubKey(change) = op {
            forget_keys(&mut self.keys, &self.network, change.owner, change.nonce);
        }
        self.open.load.add(op, self.fee_account());
        self.open.calldata.add(op);
        self.open.ops += 1;
        self.open.since.get_or_insert(now);
        let number = self.state.system.number.next();
        Place { block: number.expect("closing the block before checked it"), index, time: now }
    }

    /// The time of a block that is sealed now.
    fn seal_time(&self, now: Timestamp) -> u64 {
        now.seconds().min(self.seal_by)
    }

    /// Number and time of the block that is closed next.
    fn next_head(&self, timestamp: u64) -> Result<(BlockNumber, u64), Broken> {
        let system = &self.state.system;
        let number = system.number.next().ok_or(Broken::Numbers)?;
        // One more number must be left, so that the next block can be opened.
        number.next().ok_or(Broken::Numbers)?;
        Ok((number, system.timestamp.max(timestamp)))
    }

    /// Ends the open block in the state.
    fn end(&mut self, number: BlockNumber, timestamp: u64) -> Ended {
        let (account, fees) = (self.fee_account(), self.state.fees());
        let credited = fees.keys().map(|token| Cell::Balance(account, SubAccountId(0), *token));
        self.books.note(Books::look(&self.state, credited));
        self.state.end_block(number, timestamp)
    }

    /// Closes the open block, and executes an operation that has no room in it, as the first one behind it.
    ///
    /// Whether the block is really closed turns out with the operation: a rejected one must not be able to seal blocks.
    fn close_before(
        &mut self,
        op: &Op,
        before: Vec<(Cell, Amount)>,
        now: Timestamp,
    ) -> Result<Seal, Denied> {
        let (number, timestamp) = self.next_head(self.seal_time(now))?;
        let ended = self.end(number, timestamp);
        if let Err(reject) = op.apply(&mut self.state) {
            self.state.reopen_block(ended);
            return Err(reject.into());
        }
        self.books.note(before);
        Ok(self.close(None)?)
    }

    /// Closes the open block, which [`Ledger::end`] has ended. `shape` is the one that a recorded block had; otherwise
    /// it is the cheapest that fits.
    fn close(&mut self, shape: Option<ShapeId>) -> Result<Seal, Broken> {
        let open = std::mem::take(&mut self.open);
        let counts = open.load.counts();
        let chosen = match shape {
            Some(id) => self.shapes.iter().copied().find(|shape| shape.id == id),
            None => self.shape_for(&counts),
        };
        let chosen = chosen.filter(|shape| counts.fit(&shape.room)).ok_or(Broken::Unfit)?;
        let (number, timestamp) = (self.state.system.number, self.state.system.timestamp);
        let closed = self.books.close(&self.state);
        closed.map_err(|imbalance| Broken::Imbalance(number, imbalance))?;
        Ok(Seal { number, timestamp, shape: chosen.id })
    }
}

/// Forgets authorisations for a nonce that is used up, so that they do not pile up.
pub(crate) fn forget_keys(
    keys: &mut KeyAuthorisations,
    network: &Network,
    owner: Owner,
    nonce: Nonce,
) {
    for chain in network.chains.keys() {
        let from = (*chain, owner, nonce, String::new());
        let used: Vec<_> = keys
            .0
            .range(from..)
            .take_while(|key| key.0 == *chain && key.1 == owner && key.2 == nonce)
            .cloned()
            .collect();
        for key in used {
            keys.0.remove(&key);
        }
    }
}

/// What an executed operation came from, as journal and block say it.
fn source(entry: &Entry, op: &Op, refused: Option<DepositRefusal>, now: Timestamp) -> Source {
    match entry {
        Entry::Tx(tx) => {
            let (hash, time) = (tx.hash(), now.0);
            Source::Tx(AcceptedTx { tx: tx.signed().clone(), hash, time })
        }
        Entry::Deposit(deposit) => {
            let account = match op {
                Op::Deposit(op) => op.account,
                _ => unreachable!("a deposit becomes a deposit"),
            };
            let (deposit, time) = (deposit.clone(), now.0);
            Source::Deposit(AcceptedDeposit { deposit, account, refused, time })
        }
    }
}
