//! The stages of this chain's part of a block: commit, ack, release, pay; and the messages in between.

use zklink::block::{CHUNK, rolling_content};
use zklink::hash::{Fr, fr_from_be_bytes};
use zklink::id::{BlockNumber, ChainId, KeyVersion, Nonce};
use zklink::op::{ChangePubKey, Deposit, Op, Withdraw};
use zklink::token::{Address, scale_down};
use zklink::tx::{ChangePubKeyTx, KeyAuth, keccak, recover};
use zklink_settlement::book::message_digest;

use super::{Done, Queued, Refused, Registration, SimulatedContracts, SimulatedEvent};
use super::{SimulatedRecord, word};

/// This chain's operations of a block, as it is given them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// The block.
    pub number: BlockNumber,
    /// The words.
    pub words: Vec<[u8; 32]>,
    /// Of the key changes.
    pub witnesses: Vec<Vec<u8>>,
    /// Of the deposits.
    pub payers: Vec<Address>,
}

/// Some chunks of the payouts of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paying {
    /// The block.
    pub number: BlockNumber,
    /// The hash of deposits and key changes.
    pub rest: [u8; 32],
    /// Hashes of the chunks that are paid.
    pub before: Vec<[u8; 32]>,
    /// Words of the next ones.
    pub words: Vec<[u8; 32]>,
    /// Hashes of the others.
    pub behind: Vec<[u8; 32]>,
}

fn hash(words: &[[u8; 32]]) -> [u8; 32] {
    keccak(&[words.concat().as_slice()])
}

/// The content hash of a block from the hashes of its parts.
fn joined(rest: [u8; 32], chunks: &[[u8; 32]]) -> [u8; 32] {
    keccak(&[&rest, chunks.concat().as_slice()])
}

/// The words of the operations, cut as the content hash has it: the rest, and the chunks of withdrawals.
type Parts = (Vec<[u8; 32]>, Vec<Vec<[u8; 32]>>);

fn parts(words: &[[u8; 32]]) -> Result<Parts, Refused> {
    let (mut rest, mut payouts) = (Vec::new(), Vec::new());
    for (op, own) in operations(words)? {
        let part = if matches!(op, Op::Withdraw(_)) { &mut payouts } else { &mut rest };
        part.extend_from_slice(own);
    }
    let chunks = payouts.chunks(2 * CHUNK).map(<[[u8; 32]]>::to_vec);
    Ok((rest, chunks.collect()))
}

fn content(words: &[[u8; 32]]) -> Result<[u8; 32], Refused> {
    let (rest, chunks) = parts(words)?;
    let chunks: Vec<[u8; 32]> = chunks.iter().map(|chunk| hash(chunk)).collect();
    Ok(joined(hash(&rest), &chunks))
}

impl SimulatedContracts {
    /// Takes this chain's operations of blocks, which follow the content `previous`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn commit(&mut self, from: Address, previous: [u8; 32], blocks: &[Recording]) -> Done {
        if from != self.registration.validator {
            return Err("Forbidden".into());
        }
        if blocks.is_empty() {
            return Err("NoBlocks".into());
        }
        if previous != self.last().rolling {
            return Err("WrongPredecessor".into());
        }
        blocks.iter().try_for_each(|block| self.record(block))
    }

    fn record(&mut self, block: &Recording) -> Done {
        let last = self.last();
        if block.words.is_empty() || block.number <= last.number {
            return Err("NoWords or NumberNotIncreasing".into());
        }
        let mut cursor = last.cursor;
        let (mut witnesses, mut payers) = (block.witnesses.iter(), block.payers.iter());
        for (op, _) in operations(&block.words)? {
            if op.chain() != Some(self.registration.chain) {
                return Err("ForeignOperation".into());
            }
            match &op {
                Op::Deposit(deposit) => {
                    self.consume(cursor, deposit, *payers.next().ok_or("PayerCount")?)?;
                    cursor += 1;
                }
                Op::Withdraw(withdraw) => self.check_withdraw(withdraw)?,
                Op::ChangePubKey(change) => {
                    self.check_key(change, witnesses.next().ok_or("WitnessCount")?)?;
                }
                Op::Transfer(_) => return Err("BadWord".into()),
            }
        }
        if witnesses.next().is_some() || payers.next().is_some() {
            return Err("WitnessCount or PayerCount".into());
        }
        let rolling = rolling_content(last.rolling, block.number, content(&block.words)?);
        let record = SimulatedRecord { number: block.number, rolling, cursor };
        self.records.push(record);
        self.events.push(SimulatedEvent::Committed(record));
        Ok(())
    }

    fn consume(&mut self, cursor: u64, op: &Deposit, payer: Address) -> Done {
        let queued = usize::try_from(cursor).ok().and_then(|at| self.queue.get(at)).copied();
        let (token, sub_account) = (op.token, op.sub_account.0);
        let given = Queued { token, sub_account, amount: op.amount.0, owner: op.owner, payer };
        if queued != Some(given) {
            return Err(Refused(format!("DepositMismatch({cursor})")));
        }
        if op.refused {
            return Ok(());
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
        if op.owner.is_contract() && (op.owner.home != op.chain || !witness.is_empty()) {
            return Err("ForeignHome or WitnessLength".into());
        }
        if witness.is_empty() {
            let coordinates = [op.key.x(), op.key.y()].map(zklink::hash::fr_to_be_bytes);
            let known = self.keys.contains(&(op.owner.home, owner, op.nonce.0, coordinates));
            return if known { Ok(()) } else { Err("KeyNotAuthorised".into()) };
        }
        let signature: [u8; 65] = witness.try_into().map_err(|_| Refused::from("WitnessLength"))?;
        let tx = ChangePubKeyTx {
            chain_id: op.chain,
            account_id: op.account,
            sub_account_id: op.sub_account,
            new_pub_key: op.key,
            fee_token: op.fee_token,
            fee: op.fee,
            nonce: Nonce(op.nonce.0),
            // The owner's wallet does not sign it.
            key_version: KeyVersion(0),
            eth_auth_data: KeyAuth::Onchain,
        };
        let digest = tx.eth_digest(&self.registration.domain);
        if recover(&digest, &signature) != Some(owner) {
            return Err("BadKeySignature".into());
        }
        Ok(())
    }

    /// Takes back all records above a block, none of which is acked; `words` are theirs, oldest first.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn revert_commits(
        &mut self,
        from: Address,
        down_to: BlockNumber,
        words: &[Vec<[u8; 32]>],
    ) -> Done {
        if from != self.registration.validator || down_to < self.records[self.acked].number {
            return Err("Forbidden or RecordsAreAcked".into());
        }
        let kept = self.records.partition_point(|record| record.number <= down_to);
        let gone = self.records.split_off(kept);
        if gone.len() != words.len() {
            return Err("RevertCount".into());
        }
        let mut rolling = self.last().rolling;
        for (record, words) in gone.iter().zip(words) {
            rolling = rolling_content(rolling, record.number, content(words)?);
            if rolling != record.rolling {
                return Err("ContentMismatch".into());
            }
            for (op, _) in operations(words)? {
                let Op::Deposit(op) = op else { continue };
                let scale = self.registration.token(op.token)?.scale();
                let units = scale_down(op.amount, scale).ok_or("less than a unit")?;
                self.book(op.token).unconsumed += if op.refused { 0 } else { units };
            }
        }
        Ok(())
    }

    /// Tells the hub what this chain holds, if it is `rolling`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn ack(&mut self, number: BlockNumber, rolling: [u8; 32]) -> Done {
        let index = self.record_of(number).filter(|index| *index > self.acked);
        let index = index.ok_or("WrongRecord")?;
        if rolling != self.records[index].rolling {
            return Err("ContentMismatch".into());
        }
        self.acked = index;
        let chain = self.registration.chain;
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

    pub(in crate::simulated) fn record_of(&self, number: BlockNumber) -> Option<usize> {
        let found = self.records.binary_search_by_key(&number, |record| record.number).ok()?;
        (found > 0).then_some(found)
    }

    fn send(&mut self, to: ChainId, payload: Vec<u8>) {
        let channel = self.sent.entry(to).or_default();
        let sequence = channel.len() as u64;
        channel.push(payload.clone());
        self.events.push(SimulatedEvent::Sent(to, sequence, payload));
    }

    /// Tells a chain which of its blocks are released.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn send_release(&mut self, chain: ChainId) -> Done {
        let hub = self.hub.as_mut().ok_or("not the hub")?;
        let (number, root, rolling) = hub.take_release(chain)?;
        if chain == self.registration.chain {
            return self.release(number, rolling);
        }
        self.send(chain, [word(2), word(number.0.into()), root, rolling].concat());
        Ok(())
    }

    fn release(&mut self, number: BlockNumber, rolling: [u8; 32]) -> Done {
        let index = self.record_of(number).ok_or("WrongRecord")?;
        if index <= self.released || index > self.acked {
            return Err("WrongRecord".into());
        }
        if self.records[index].rolling != rolling {
            return Err("ContentMismatch".into());
        }
        self.released = index;
        Ok(())
    }

    /// Takes messages with signatures of attesters.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn deliver(
        &mut self,
        source: ChainId,
        first: u64,
        messages: &[(Vec<u8>, Vec<Vec<u8>>)],
    ) -> Done {
        if messages.is_empty() {
            return Err("ListLength".into());
        }
        (first..).zip(messages).try_for_each(|(sequence, (payload, signatures))| {
            self.deliver_one(source, sequence, payload, signatures)
        })
    }

    fn deliver_one(
        &mut self,
        source: ChainId,
        sequence: u64,
        payload: &[u8],
        signatures: &[Vec<u8>],
    ) -> Done {
        let Registration { chain, deployment, threshold, oracle, .. } = *self.registration;
        let next = self.delivered.entry(source).or_default();
        if source == chain || sequence != *next {
            return Err(Refused(format!("OutOfOrder({next}, {sequence})")));
        }
        *next += 1;
        let digest = message_digest(deployment, oracle, (source, chain, sequence), payload);
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

    /// Makes payouts of released blocks.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn pay(&mut self, portions: &[Paying]) -> Done {
        portions.iter().try_for_each(|portion| self.pay_portion(portion))
    }

    fn pay_portion(&mut self, portion: &Paying) -> Done {
        let index = self.paid + 1;
        let record = self.records.get(index).filter(|_| index <= self.released).copied();
        let record = record.filter(|record| record.number == portion.number);
        let record = record.ok_or("WrongRecord")?;
        let size = 2 * CHUNK;
        let is_last = portion.behind.is_empty();
        let whole = match (is_last, portion.words.len()) {
            (true, 0) => portion.before.is_empty(),
            (true, _) => true,
            (false, words) => words > 0 && words.is_multiple_of(size),
        };
        if portion.before.len() != self.chunks || !whole {
            return Err("BadPortion".into());
        }
        let mut chunks = portion.before.clone();
        chunks.extend(portion.words.chunks(size).map(hash));
        let paid = chunks.len();
        chunks.extend(&portion.behind);
        let before = self.records[index - 1].rolling;
        let content = joined(portion.rest, &chunks);
        if rolling_content(before, portion.number, content) != record.rolling {
            return Err("ContentMismatch".into());
        }
        (self.paid, self.chunks) = if is_last { (index, 0) } else { (self.paid, paid) };
        for (op, _) in operations(&portion.words)? {
            let Op::Withdraw(withdraw) = op else { return Err("BadWord".into()) };
            self.pay_out(portion.number, &withdraw)?;
        }
        Ok(())
    }

    /// Turns refused deposits of a released block into claims: those from `first` on, counted within the block.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn refund(
        &mut self,
        number: BlockNumber,
        words: &[[u8; 32]],
        chunks: &[[u8; 32]],
        first: usize,
        payers: &[Address],
    ) -> Done {
        let index = self.record_of(number).filter(|index| *index <= self.released);
        let index = index.ok_or("WrongRecord")?;
        let before = self.records[index - 1];
        let content = joined(hash(words), chunks);
        if rolling_content(before.rolling, number, content) != self.records[index].rolling {
            return Err("ContentMismatch".into());
        }
        let deposits = operations(words)?.into_iter().filter_map(|(op, _)| match op {
            Op::Deposit(deposit) => Some(deposit.refused),
            _ => None,
        });
        let deposits: Vec<(u64, bool)> = (before.cursor..).zip(deposits).collect();
        for ((serial, refused), payer) in deposits.iter().skip(first).zip(payers) {
            if *refused {
                self.refund_deposit(*serial, *payer)?;
            }
        }
        Ok(())
    }
}

/// An operation and its words.
type WithWords<'a> = (Op, &'a [[u8; 32]]);

/// The operations in the words of one chain, each with its words.
fn operations(words: &[[u8; 32]]) -> Result<Vec<WithWords<'_>>, Refused> {
    let elements: Option<Vec<Fr>> = words.iter().map(|word| fr_from_be_bytes(*word)).collect();
    let elements = elements.ok_or("WordOutOfRange")?;
    let (mut ops, mut rest) = (Vec::new(), &elements[..]);
    while !rest.is_empty() {
        let from = words.len() - rest.len();
        let published = Op::take_onchain(&mut rest).map_err(|bad| Refused(bad.to_string()))?;
        ops.push((published.op, &words[from..words.len() - rest.len()]));
    }
    Ok(ops)
}
