//! The stages of this chain's part of a block: commit, ack, release, pay; and the messages in between.

use zklink::block::rolling_content;
use zklink::hash::fr_from_be_bytes;
use zklink::id::{BlockNumber, ChainId, Nonce};
use zklink::op::{ChangePubKey, Deposit, Op, SlotKind, Withdraw};
use zklink::token::{Address, scale_down};
use zklink::tx::{ChangePubKeyTx, KeyAuth, keccak, recover};
use zklink_actors::settlement::book::message_digest;

use super::{Done, Queued, Refused, Registration, SimulatedContracts, SimulatedEvent};
use super::{SimulatedRecord, word};

impl SimulatedContracts {
    /// Takes this chain's operations of a block, which follow the content `previous`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn commit(
        &mut self,
        from: Address,
        number: BlockNumber,
        previous: [u8; 32],
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
        if previous != last.rolling {
            return Err("WrongPredecessor".into());
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
            new_pub_key: op.key,
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
