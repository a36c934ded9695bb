//! Deposit: a priority request of a chain credits a balance and the chain's pool, or is refused and refunded.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::amount::Amount;
use zklink::commitment::amount_to_fr;
use zklink::hash::Fr;
use zklink::op::Deposit;

use super::{AT_BITS, Context, Party, Place, constant, number, pack, zero_if};
use crate::gadget::bits::to_bits;
use crate::gadget::{Bit, Expression};
use crate::memory::{Form, Kind, Memory};
use crate::statement::Slot;
use crate::witness::QueueWitness;
use crate::working_set::{AMOUNT_BITS, CHAIN_BITS, TOKEN_BITS};

/// Where a queue slot stands.
#[derive(Clone, Debug)]
pub struct QueuePlace<'a> {
    /// Its number.
    pub slot: usize,
    /// How many signed operations the block has.
    pub signed: &'a Expression,
    /// The slot before it: whether it is on, and its `at`.
    pub before: Option<(Bit, Expression)>,
}

/// Constrains a queue slot. Gives what it publishes, and for the next slot whether it is on and its `at`.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn queue_slot<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    context: &Context,
    place: &QueuePlace<'_>,
    witness: Option<Option<&QueueWitness>>,
    memory: &mut Memory,
) -> Result<(Slot, (Bit, Expression)), SynthesisError> {
    // An idle slot stands behind all others.
    let idle_at = place.before.as_ref().map_or(Some(Fr::zero()), |(_, at)| at.value());
    let fields = Fields::witness(cs, witness, idle_at)?;
    let Fields { done, on, at, .. } = &fields;
    // The queue's order is the order of execution: `at` does not fall, and slots that are on come first.
    to_bits(&mut cs.namespace(|| "at most all"), &(place.signed - at), AT_BITS)?;
    if let Some((before, at_before)) = &place.before {
        to_bits(&mut cs.namespace(|| "in order"), &(at - at_before), AT_BITS)?;
        zero_if(cs, "on before off", on.expression(), before.not().expression());
    }
    // The least that a refusal says: it names no account.
    let refused = on.expression() - done.expression();
    zero_if(cs, "refused: no account", &fields.to.account, &refused);
    fields.owner.enforce_somebody(&mut cs.namespace(|| "owner"), done.expression());

    let time = context.clock.of_queue(place.slot, at);
    let cursor = Kind::Cursor.at(&fields.chain);
    let read = memory.read(
        &mut cs.namespace(|| "cursor"),
        &cursor,
        on.expression(),
        &time,
        &[Form::Element],
    )?;
    let next = &read.values[0] + Fr::one();
    memory.write(read, &[next]);
    fields.credit(cs, &time, memory)?;
    fields.set_owner(&mut cs.namespace(|| "owner"), &time, memory)?;

    let words = fields.words(cs)?;
    let slot = Slot { words, onchain: vec![on.expression().clone(); 2], data: Vec::new() };
    Ok((slot, (on.clone(), at.clone())))
}

struct Fields {
    /// Not refused.
    done: Bit,
    on: Bit,
    at: Expression,
    chain: Expression,
    to: Place,
    token: Expression,
    amount: Expression,
    owner: Party,
}

impl Fields {
    fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<Option<&QueueWitness>>,
        idle_at: Option<Fr>,
    ) -> Result<Fields, SynthesisError> {
        let op = witness.map(|witness| witness.map(|witness| &witness.op));
        let value = |get: fn(&Deposit) -> Fr| op.map(|op| op.map_or(Fr::zero(), get));
        let done = Bit::witness(cs, "done", op.map(|op| op.is_some_and(|op| !op.refused)))?;
        let refused = Bit::witness(cs, "refused", op.map(|op| op.is_some_and(|op| op.refused)))?;
        // Each is zero or one, so the sum is a bit unless it is two.
        zero_if(cs, "one outcome", done.expression(), refused.expression());
        let on = Bit::assumed(done.expression() + refused.expression());
        let at = witness.flatten().map(|witness| Fr::from(u64::from(witness.at)));
        let at = witness.and(at.or(idle_at));
        let (at, _) = number(&mut cs.namespace(|| "at"), at, AT_BITS)?;
        let chain = value(|op| Fr::from(u64::from(op.chain.0)));
        let (chain, _) = number(&mut cs.namespace(|| "chain"), chain, CHAIN_BITS)?;
        let to = op.map(|op| op.map_or((0, 0), |op| (op.account.0, op.sub_account.0)));
        let to = Place::witness(&mut cs.namespace(|| "to"), to)?;
        let token = value(|op| Fr::from(u64::from(op.token.0)));
        let (token, _) = number(&mut cs.namespace(|| "token"), token, TOKEN_BITS)?;
        let amount = value(|op| amount_to_fr(op.amount));
        let (amount, _) = number(&mut cs.namespace(|| "amount"), amount, AMOUNT_BITS)?;
        let owner = op.map(|op| op.map(|op| op.owner).unwrap_or_default());
        let owner = Party::witness(&mut cs.namespace(|| "owner"), owner)?;
        Ok(Fields { done, on, at, chain, to, token, amount, owner })
    }

    /// Raises the balance and the pool.
    fn credit<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        time: &Expression,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        let done = self.done.expression();
        let pool = &(&self.chain * Fr::from(1 << TOKEN_BITS)) + &self.token;
        let pool = Kind::Pool.at(&pool);
        let read =
            memory.read(&mut cs.namespace(|| "pool"), &pool, done, time, &[Form::Element])?;
        let raised = &read.values[0] + &self.amount;
        memory.write(read, std::slice::from_ref(&raised));
        // The bound of a pool keeps every sum of balances in range. Off, the slot has no amount to speak of.
        let raised = Expression::product(cs, "raised if done", &raised, done)?;
        to_bits(&mut cs.namespace(|| "pool range"), &raised, Amount::POOL_BITS as usize)?;
        let balance = Kind::Balance.at(&self.to.balance(&self.token));
        let read =
            memory.read(&mut cs.namespace(|| "balance"), &balance, done, time, &[Form::Element])?;
        let credited = &read.values[0] + &self.amount;
        memory.write(read, &[credited]);
        Ok(())
    }

    /// The account belongs to the owner, or to nobody and then becomes the owner's.
    fn set_owner<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        time: &Expression,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        let account = Kind::Owner.at(&self.to.account);
        let done = self.done.expression();
        let created = memory.finds_zeros(&account, time);
        let created = Bit::witness(cs, "created", created)?;
        memory.bind_small(created.expression(), 1);
        let (head, low, kept) = (self.owner.head(), &self.owner.low, created.not());
        let old_head = Expression::product(cs, "kept head", &head, kept.expression())?;
        let old_low = Expression::product(cs, "kept low", low, kept.expression())?;
        let old = [old_head, old_low];
        let read = memory.expect(&mut cs.namespace(|| "before"), &account, done, time, &old)?;
        memory.write(read, &[head, low.clone()]);
        Ok(())
    }

    fn words<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
    ) -> Result<Vec<Expression>, SynthesisError> {
        let on = self.on.expression();
        let outcome = on - self.done.expression();
        let first = pack(
            &Deposit::WORD,
            &[
                ("op", &constant(Deposit::CODE.into())),
                ("chain", &self.chain),
                ("place", &self.to.place),
                ("token", &self.token),
                ("amount", &self.amount),
                ("owner_top", &self.owner.top),
                ("home", &self.owner.home),
                ("outcome", &outcome),
                ("at", &self.at),
            ],
        );
        let cs = &mut cs.namespace(|| "words");
        let first = Expression::product(cs, "first", &first, on)?;
        let second = Expression::product(cs, "second", &self.owner.low, on)?;
        Ok(vec![first, second])
    }
}
