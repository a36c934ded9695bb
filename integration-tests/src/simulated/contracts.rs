//! What the simulated contracts of one chain hold, and what each transaction does to it.
//!
//! Written from the rules of ADR 0001 section 6, not from the Solidity: a second account of the same books. A
//! transaction runs on a copy, so that a refusal changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zklink::block::rolling_content;
use zklink::hash::fr_from_be_bytes;
use zklink::id::{BlockNumber, ChainId, Nonce, Owner, TokenId};
use zklink::op::{ChangePubKey, Deposit, Op, SlotKind, Withdraw};
use zklink::state::DeploymentId;
use zklink::token::{Address, Chain, L1Token, scale_down, scale_up};
use zklink::tx::{ChangePubKeyTx, KeyAuth, keccak, recover};
use zklink_actors::settlement::book::message_digest;

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
    /// The part of it that no commit has taken out of the queue.
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
    Queued(u64, Queued, Address),
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
    /// Index of the last paid record.
    pub paid: usize,
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
    keys: BTreeMap<(Address, u32), [u8; 32]>,
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
            pending: BTreeMap::new(),
            refusing: BTreeSet::new(),
            payouts: Vec::new(),
            sent: BTreeMap::new(),
            delivered: BTreeMap::new(),
            hub,
            keys: BTreeMap::new(),
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
            return Err("ZeroAmount, ZeroOwner or BadSubAccount".into());
        }
        let amount = scale_up(units, scale).ok_or("DepositCap")?.0;
        let vault = self.registration.rollup();
        self.transfer(token, from, vault, units)?;
        let book = self.book(token);
        book.locked += units;
        book.unconsumed += units;
        let queued = Queued { token, sub_account, amount, owner };
        let serial = self.queue.len() as u64;
        self.queue.push(queued);
        self.events.push(SimulatedEvent::Queued(serial, queued, from));
        Ok(())
    }

    /// Authorises a key for an account nonce.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn set_auth_pub_key(&mut self, from: Address, key: [[u8; 32]; 2], nonce: u32) -> Done {
        let hash = keccak(&[&key[0], &key[1]]);
        if self.keys.get(&(from, nonce)).is_some_and(|known| *known != hash) {
            return Err("KeyAlreadySet".into());
        }
        self.keys.insert((from, nonce), hash);
        self.events.push(SimulatedEvent::Key(from, nonce, key));
        Ok(())
    }

    /// Takes this chain's operations of a block.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn commit(
        &mut self,
        from: Address,
        number: BlockNumber,
        words: &[[u8; 32]],
        witnesses: &[Vec<u8>],
    ) -> Done {
        if from != self.registration.validator {
            return Err("Forbidden".into());
        }
        let last = self.last();
        if words.is_empty() || number <= last.number {
            return Err("NoWords or NumberNotIncreasing".into());
        }
        let (mut cursor, mut used) = (last.cursor, 0);
        for op in operations(words)? {
            if op.chain() != Some(self.registration.chain) {
                return Err("ForeignOperation".into());
            }
            match &op {
                Op::Deposit(deposit) => {
                    self.consume(cursor, deposit)?;
                    cursor += 1;
                }
                Op::Withdraw(withdraw) => self.check_withdraw(withdraw)?,
                Op::ChangePubKey(change) => {
                    let witness = witnesses.get(used).ok_or("WitnessCount")?;
                    self.check_key(change, witness)?;
                    used += 1;
                }
                Op::Noop(_) | Op::Transfer(_) => return Err("BadWord".into()),
            }
        }
        if used != witnesses.len() {
            return Err("WitnessCount".into());
        }
        let rolling = rolling_content(last.rolling, number, words);
        self.records.push(SimulatedRecord { number, rolling, cursor });
        Ok(())
    }

    fn consume(&mut self, cursor: u64, op: &Deposit) -> Done {
        let queued = usize::try_from(cursor).ok().and_then(|at| self.queue.get(at)).copied();
        let (token, sub_account) = (op.token, op.sub_account.0);
        let given = Queued { token, sub_account, amount: op.amount.0, owner: op.owner };
        if queued != Some(given) {
            return Err(Refused(format!("DepositMismatch({cursor})")));
        }
        let scale = self.registration.token(token)?.scale();
        let units = scale_down(op.amount, scale).ok_or("a deposit of less than a unit")?;
        let book = self.book(token);
        book.unconsumed = book.unconsumed.checked_sub(units).ok_or("unconsumed underflow")?;
        Ok(())
    }

    fn check_withdraw(&self, op: &Withdraw) -> Done {
        if self.registration.token(op.token)?.scale() != op.scale || op.to.to_evm().is_none() {
            return Err("BadScale or NotAnAddress".into());
        }
        Ok(())
    }

    fn check_key(&self, op: &ChangePubKey, witness: &[u8]) -> Done {
        let owner = op.owner.to_evm().ok_or("NotAnAddress")?;
        if witness.is_empty() {
            let coordinates = [op.key.x(), op.key.y()].map(zklink::hash::fr_to_be_bytes);
            let hash = keccak(&[&coordinates[0], &coordinates[1]]);
            let known = self.keys.get(&(owner, op.nonce.0)) == Some(&hash);
            return if known { Ok(()) } else { Err("KeyNotAuthorised".into()) };
        }
        let signature: [u8; 65] = witness.try_into().map_err(|_| Refused::from("WitnessLength"))?;
        let tx = ChangePubKeyTx {
            chain_id: op.chain,
            account_id: op.account,
            sub_account_id: op.sub_account,
            new_pub_key: op.key.clone(),
            fee_token: op.fee_token,
            fee: op.fee,
            nonce: Nonce(op.nonce.0),
            eth_auth_data: KeyAuth::Onchain,
        };
        let digest = tx.eth_digest(&self.registration.domain);
        if recover(&digest, &signature) != Some(owner) {
            return Err("BadKeySignature".into());
        }
        Ok(())
    }

    /// Takes back all records above a block, none of which is acked.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn revert_commits(&mut self, from: Address, down_to: BlockNumber) -> Done {
        if from != self.registration.validator || down_to < self.records[self.acked].number {
            return Err("Forbidden or RecordsAreAcked".into());
        }
        let end = self.last().cursor;
        self.records.retain(|record| record.number <= down_to);
        for serial in self.last().cursor..end {
            let queued = self.queue[usize::try_from(serial).map_err(|_| "a serial")?];
            let scale = self.registration.token(queued.token)?.scale();
            let units = scale_down(zklink::amount::Amount(queued.amount), scale);
            self.book(queued.token).unconsumed += units.ok_or("a deposit of less than a unit")?;
        }
        Ok(())
    }

    /// Tells the hub what this chain holds.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn ack(&mut self, number: BlockNumber) -> Done {
        let index = self.record_of(number).filter(|index| *index > self.acked);
        let index = index.ok_or("WrongRecord")?;
        self.acked = index;
        let (chain, rolling) = (self.registration.chain, self.records[index].rolling);
        match &mut self.hub {
            Some(hub) => hub.acknowledge(chain, number, rolling),
            None => {
                let payload =
                    [word(1), word(chain.0.into()), word(number.0.into()), rolling].concat();
                self.send(self.registration.hub, payload);
            }
        }
        Ok(())
    }

    fn record_of(&self, number: BlockNumber) -> Option<usize> {
        let found = self.records.binary_search_by_key(&number, |record| record.number).ok()?;
        (found > 0).then_some(found)
    }

    fn send(&mut self, to: ChainId, payload: Vec<u8>) {
        let channel = self.sent.entry(to).or_default();
        let sequence = channel.len() as u64;
        channel.push(payload.clone());
        self.events.push(SimulatedEvent::Sent(to, sequence, payload));
    }

    /// Releases a block on the hub, which tells every chain of it.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn release_block(&mut self, number: BlockNumber) -> Done {
        let own = self.registration.chain;
        let released = self.hub.as_mut().ok_or("not the hub")?.release(number)?;
        for (chain, root, rolling) in released {
            if chain == own {
                self.release(number, rolling)?;
            } else {
                let payload = [word(2), word(number.0.into()), root, rolling].concat();
                self.send(chain, payload);
            }
        }
        Ok(())
    }

    fn release(&mut self, number: BlockNumber, rolling: [u8; 32]) -> Done {
        let index = self.released + 1;
        let record = self.records.get(index).filter(|_| index <= self.acked);
        let record = record.filter(|record| record.number == number).ok_or("WrongRecord")?;
        if record.rolling != rolling {
            return Err("ContentMismatch".into());
        }
        self.released = index;
        Ok(())
    }

    /// Takes a message with signatures of attesters.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn deliver(
        &mut self,
        source: ChainId,
        sequence: u64,
        payload: &[u8],
        signatures: &[Vec<u8>],
    ) -> Done {
        let Registration { chain, deployment, threshold, .. } = *self.registration;
        let next = self.delivered.entry(source).or_default();
        if source == chain || sequence != *next {
            return Err(Refused(format!("OutOfOrder({next}, {sequence})")));
        }
        *next += 1;
        let digest = message_digest(deployment, source, chain, sequence, payload);
        let mut last = [0; 20];
        for signature in signatures {
            let signature: Option<[u8; 65]> = signature.as_slice().try_into().ok();
            let signer = signature.and_then(|signature| recover(&digest, &signature));
            let signer = signer.filter(|signer| self.registration.attesters.contains(signer));
            let signer = signer.filter(|signer| *signer > last).ok_or("NotAnAttester")?;
            last = signer;
        }
        if signatures.len() < threshold {
            return Err("NotEnoughSignatures".into());
        }
        self.receive(source, payload)
    }

    fn receive(&mut self, source: ChainId, payload: &[u8]) -> Done {
        let words: Vec<[u8; 32]> = payload.as_chunks::<32>().0.to_vec();
        let [kind, second, third, rolling] = words[..] else { return Err("BadMessage".into()) };
        let number = |word: [u8; 32]| {
            BlockNumber(u32::from_be_bytes([word[28], word[29], word[30], word[31]]))
        };
        match &mut self.hub {
            Some(hub) if kind == word(1) && second == word(source.0.into()) => {
                hub.acknowledge(source, number(third), rolling);
                Ok(())
            }
            None if kind == word(2) && source == self.registration.hub => {
                self.release(number(second), rolling)
            }
            _ => Err("BadMessage".into()),
        }
    }

    /// Makes the payouts of a released block.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn pay(&mut self, number: BlockNumber, words: &[[u8; 32]]) -> Done {
        let index = self.paid + 1;
        let record = self.records.get(index).filter(|_| index <= self.released).copied();
        let record = record.filter(|record| record.number == number).ok_or("WrongRecord")?;
        let before = self.records[index - 1].rolling;
        if rolling_content(before, number, words) != record.rolling {
            return Err("ContentMismatch".into());
        }
        self.paid = index;
        for op in operations(words)? {
            if let Op::Withdraw(withdraw) = op {
                self.pay_out(number, &withdraw)?;
            }
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

/// The operations in the words of one chain, which have no empty slots.
fn operations(words: &[[u8; 32]]) -> Result<Vec<Op>, Refused> {
    let mut ops = Vec::new();
    let mut rest = words;
    while let Some(first) = rest.first() {
        let mut kinds = SlotKind::ALL.into_iter().filter(|kind| kind.is_onchain());
        let kind = kinds.find(|kind| kind.code() == first[1]).ok_or("BadWord")?;
        let (own, after) = rest.split_at_checked(kind.words()).ok_or("TruncatedOperation")?;
        let elements: Option<Vec<_>> = own.iter().map(|word| fr_from_be_bytes(*word)).collect();
        let elements = elements.ok_or("WordOutOfRange")?;
        ops.push(Op::decode(kind, &elements).map_err(|bad| Refused(bad.to_string()))?);
        rest = after;
    }
    Ok(ops)
}

/// A number as an ABI word.
pub(super) fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}
