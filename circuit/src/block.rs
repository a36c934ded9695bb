//! The block circuit: a table of contents.

use bellman::{Circuit, ConstraintSystem, SynthesisError};
use zklink::hash::{Domain, Fr};
use zklink::layout::HEAD_WORD;
use zklink::layout::{low_word, power_of_two};
use zklink::shape::Shape;

use crate::gadget::Expression;
use crate::gadget::bits::to_bits;
use crate::gadget::poseidon2::compress4;
use crate::op::{self, Context};
use crate::statement::Words;
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
    timestamp: Expression,
    context: Context,
}

impl Circuit<Fr> for BlockCircuit<'_> {
    fn synthesize<CS: ConstraintSystem<Fr>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        let witness = self.witness;
        let root = |cs: &mut CS, name, at: usize| {
            Expression::witness(cs, name, witness.map(|witness| witness.old_roots[at]))
        };
        let old_accounts = root(cs, "old accounts", 0)?;
        let old_chains = root(cs, "old chains", 1)?;
        let markets = root(cs, "markets", 2)?;
        let system = SystemVar::synthesize(&mut cs.namespace(|| "system"), witness)?;
        let mut set = WorkingSet::open(&mut cs.namespace(|| "open"), self.shape, witness)?;

        let mut slots = Words::default();
        for (at, kind) in self.shape.slots.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("slot {at}"));
            let slot = witness.map(|witness| &witness.slots[at]);
            op::synthesize(cs, *kind, &system.context, &mut set, slot, &mut slots)?;
        }

        let roots = (&old_accounts, &old_chains);
        let (new_accounts, new_chains) = set.close(&mut cs.namespace(|| "close"), roots)?;
        let old = [old_accounts, old_chains, markets.clone(), system.old.clone()];
        let old_root = compress4(&mut cs.namespace(|| "old root"), Domain::StateRoot, &old)?;
        let new = [new_accounts, new_chains, markets, system.new.clone()];
        let new_root = compress4(&mut cs.namespace(|| "new root"), Domain::StateRoot, &new)?;

        let [number, timestamp, shape] = HEAD_WORD.weights();
        let shape = &Expression::one() * (shape * Fr::from(u64::from(self.shape.id.0)));
        let clock =
            Expression::weighted_sum([(number, &system.number), (timestamp, &system.timestamp)]);
        let mut words =
            Words { onchain: vec![old_root, new_root, &clock + &shape], data: slots.data };
        words.onchain.extend(slots.onchain);
        let public = witness.map(|witness| &witness.public);
        words.bind(&mut cs.namespace(|| "statement"), public)
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
        let fee_place = &fee * power_of_two(8);
        let context = Context { deployment, fee_place };
        Ok(SystemVar { old, new, number: new_number, timestamp: new_time, context })
    }
}
