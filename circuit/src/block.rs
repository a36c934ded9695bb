//! The block circuit: a table of contents.

use bellman::{Circuit, ConstraintSystem, SynthesisError};
use zklink::hash::{Domain, Fr};
use zklink::layout::HEAD_WORD;
use zklink::layout::{low_word, power_of_two};
use zklink::shape::Shape;

use crate::fees::Fees;
use crate::gadget::bits::to_bits;
use crate::gadget::poseidon2::compress4;
use crate::gadget::{Bit, Expression};
use crate::memory::{History, Memory};
use crate::op::{self, Clock, Context, QueuePlace};
use crate::slot::signed_slot;
use crate::statement::{Slot, Words};
use crate::witness::Witness;
use crate::working_set::WorkingSet;

/// The circuit of one block shape.
#[derive(Clone, Debug)]
pub struct BlockCircuit<'a> {
    /// The shape.
    pub shape: &'a Shape,
    /// The witness; none while keys are made.
    pub witness: Option<&'a Witness>,
}

/// The system's facts as variables.
struct SystemVar {
    old: Expression,
    new: Expression,
    number: Expression,
    old_time: Expression,
    timestamp: Expression,
    fee_account: Expression,
    deployment: Expression,
}

impl Circuit<Fr> for BlockCircuit<'_> {
    fn synthesize<CS: ConstraintSystem<Fr>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        let witness = self.witness;
        let room = &self.shape.room;
        let root = |cs: &mut CS, name, at: usize| {
            Expression::witness(cs, name, witness.map(|witness| witness.old_roots[at]))
        };
        let old_accounts = root(cs, "old accounts", 0)?;
        let old_chains = root(cs, "old chains", 1)?;
        let markets = root(cs, "markets", 2)?;
        let system = SystemVar::synthesize(&mut cs.namespace(|| "system"), witness)?;
        let clock = Clock::of(room);
        let roots = [room.accounts, room.sub_accounts, room.balances, room.balance_pages];
        let roots = roots.into_iter().max().unwrap_or(0).max(room.pools).max(room.pool_pages);
        let history = witness.map(|witness| History::of(witness, &clock)).unwrap_or_default();
        let mut memory = Memory::new(clock.bits(roots, room.fee_tokens), history);
        let set = WorkingSet::open(&mut cs.namespace(|| "open"), self.shape, witness, &mut memory)?;

        let context = Context { deployment: system.deployment.clone(), clock };
        let fee_tokens = witness.map(|witness| &witness.fee_tokens[..]);
        let mut fees = Fees::open(
            &mut cs.namespace(|| "fee tokens"),
            room.fee_tokens,
            fee_tokens,
            &mut memory,
        )?;
        let mut words = Words::default();
        let (signed, count) =
            self.signed_slots(&mut cs.namespace(|| "signed"), &context, &mut memory, &mut fees)?;
        words.slots =
            self.queue_slots(&mut cs.namespace(|| "queue"), &context, &count, &mut memory)?;
        words.slots.extend(signed);
        fees.credit(&mut cs.namespace(|| "credit fees"), &system.fee_account, &clock, &mut memory)?;

        let roots = (&old_accounts, &old_chains);
        let (new_accounts, new_chains) =
            set.close(&mut cs.namespace(|| "close"), roots, &system.old_time, &mut memory)?;
        let old = [old_accounts, old_chains, markets.clone(), system.old.clone()];
        let old_root = compress4(&mut cs.namespace(|| "old root"), Domain::StateRoot, &old)?;
        let new = [new_accounts, new_chains, markets, system.new.clone()];
        let new_root = compress4(&mut cs.namespace(|| "new root"), Domain::StateRoot, &new)?;
        words.head = vec![old_root, new_root, self.head_word(&system)];
        let digest = words.digest(&mut cs.namespace(|| "digest"))?;
        memory.check(&mut cs.namespace(|| "memory"), &digest)?;
        let inputs = witness.map(|witness| witness.inputs);
        words.bind(&mut cs.namespace(|| "statement"), &digest, inputs)
    }
}

impl BlockCircuit<'_> {
    /// The signed slots: what they publish, and how many of them are on.
    fn signed_slots<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        context: &Context,
        memory: &mut Memory,
        fees: &mut Fees,
    ) -> Result<(Vec<Slot>, Expression), SynthesisError> {
        let (mut slots, mut on) = (Vec::new(), Vec::<Bit>::new());
        for rank in 0..self.shape.room.signed {
            let cs = &mut cs.namespace(|| format!("slot {rank}"));
            let given = self.witness.map(|witness| witness.signed.get(rank));
            let (slot, is_on) = signed_slot(cs, context, rank, given, memory, fees)?;
            if let Some(before) = on.last() {
                let (off, none) = (before.not(), Expression::zero());
                let (a, b) = (is_on.expression(), off.expression());
                Expression::enforce_product(cs, "on before off", a, b, &none);
            }
            slots.push(slot);
            on.push(is_on);
        }
        let sum = Expression::sum(on.iter().map(Bit::expression));
        let count = Expression::witness(cs, "count", sum.value())?;
        Expression::enforce_equal(cs, "counted", &count, &sum);
        Ok((slots, count))
    }

    fn queue_slots<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        context: &Context,
        signed: &Expression,
        memory: &mut Memory,
    ) -> Result<Vec<Slot>, SynthesisError> {
        let (mut slots, mut before) = (Vec::new(), None);
        for slot in 0..self.shape.room.queue {
            let cs = &mut cs.namespace(|| format!("slot {slot}"));
            let place = QueuePlace { slot, signed, before: before.take() };
            let given = self.witness.map(|witness| witness.queue.get(slot));
            let (published, this) = op::queue_slot(cs, context, &place, given, memory)?;
            slots.push(published);
            before = Some(this);
        }
        Ok(slots)
    }

    fn head_word(&self, system: &SystemVar) -> Expression {
        let [number, timestamp, shape] = HEAD_WORD.weights();
        let shape = &Expression::one() * (shape * Fr::from(u64::from(self.shape.id.0)));
        let clock =
            Expression::weighted_sum([(number, &system.number), (timestamp, &system.timestamp)]);
        &clock + &shape
    }
}

impl SystemVar {
    /// The block number rises by one, the time does not go back, and nothing else of the system changes.
    fn synthesize<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&Witness>,
    ) -> Result<SystemVar, SynthesisError> {
        let facts = witness.map(|witness| witness.system);
        let number = |cs: &mut CS, name: &'static str, value: Option<u64>, bits| {
            let number = Expression::witness(cs, name, value.map(Fr::from))?;
            to_bits(&mut cs.namespace(|| format!("{name} range")), &number, bits)?;
            Ok::<_, SynthesisError>(number)
        };
        let old_number = number(cs, "number", facts.map(|facts| facts.number.0.into()), 32)?;
        let old_time = number(cs, "old time", facts.map(|facts| facts.timestamp), 64)?;
        let new_time = number(cs, "new time", witness.map(|witness| witness.timestamp), 64)?;
        let fee = number(cs, "fee account", facts.map(|facts| facts.fee_account.0.into()), 32)?;
        let insurance =
            number(cs, "insurance", facts.map(|facts| facts.insurance_account.0.into()), 32)?;
        let new_number = &old_number + Fr::one();
        to_bits(&mut cs.namespace(|| "new number range"), &new_number, 32)?;
        to_bits(&mut cs.namespace(|| "time goes on"), &(&new_time - &old_time), 64)?;
        let deployment = facts.map(|facts| low_word(facts.deployment.0));
        let deployment = Expression::witness(cs, "deployment", deployment)?;

        let accounts = &fee + &(&insurance * power_of_two(32));
        let hash = |cs: &mut bellman::Namespace<'_, Fr, CS::Root>,
                    number: &Expression,
                    time: &Expression| {
            let clock = number + &(time * power_of_two(32));
            let lanes = [clock, accounts.clone(), deployment.clone(), Expression::zero()];
            compress4(cs, Domain::System, &lanes)
        };
        let old = hash(&mut cs.namespace(|| "old"), &old_number, &old_time)?;
        let new = hash(&mut cs.namespace(|| "new"), &new_number, &new_time)?;
        Ok(SystemVar {
            old,
            new,
            number: new_number,
            old_time,
            timestamp: new_time,
            fee_account: fee,
            deployment,
        })
    }
}
