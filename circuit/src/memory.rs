//! The working set as memory, checked once a block.
//!
//! A cell is (kind, address, values, time). A leaf puts its old value in at time 0 ([`Memory::insert`]) and takes its
//! new value out at the end ([`Memory::remove`]). An access in between takes out what the access before put in, with
//! the time of that one, and puts in the new values with its own time, which is later ([`Memory::read`],
//! [`Memory::write`]). Everything that was put in was taken out exactly if
//!
//! `sum over all tuples of  sign * on / (g - f) = 0`,  `f = kind * 2^64 + address + a * time + a^2 * value_1 + a^3 *
//! value_2 ..`
//!
//! as rational functions, and but for a chance of about `n^2 * 2^-253` if that holds at challenges `a` and `g` that are
//! fixed after the tuples (Blum et al., "Checking the correctness of memories"; Haboeck,
//! <https://eprint.iacr.org/2022/1530>).
//!
//! The challenges are hashes of the seed, which is the digest of all public words, and of the trace: of everything in a
//! tuple that is not a function of public words, or of a leaf whose place is in the trace and whose root is public. See
//! `docs/adr/0004-second-edition.md`, section 7. Whoever adds a value to a tuple has to say which of the three binds
//! it.

mod history;

use std::collections::BTreeMap;

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::{Domain, Fr};
use zklink::layout::power_of_two;

use crate::gadget::Expression;
use crate::gadget::bits::{to_bits, witness_bits};
use crate::gadget::poseidon2::{compress4, compress8};
pub use history::History;
use history::{Held, Key};

/// Bits of an address: `(account, sub-account, token)` has 48.
const ADDRESS_BITS: usize = 64;
/// Bits that one element of the trace packs.
const PACKED_BITS: usize = 248;

/// What a cell holds, and how its address is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An amount; `place * 2^16 + token`.
    Balance = 1,
    /// The nonce of a sub-account; its place, `account * 2^8 + sub-account`.
    SubAccount = 2,
    /// Key version, nonce, key x, key y; the account.
    Key = 3,
    /// `home * 2^8 + top` and the rest of the owner's address; the account.
    Owner = 4,
    /// An amount; `chain * 2^16 + token`.
    Pool = 5,
    /// The priority cursor; the chain.
    Cursor = 6,
    /// Root of the balances of a sub-account; its place.
    BalancesRoot = 7,
    /// Root of the sub-accounts of an account.
    SubAccountsRoot = 8,
    /// Root of the pools of a chain.
    PoolsRoot = 9,
    /// Node above a page of accounts; the page.
    AccountsPage = 10,
    /// Node above a page of balances; `place * 2^10 + page`.
    BalancesPage = 11,
    /// Node above a page of pools; `chain * 2^10 + page`.
    PoolsPage = 12,
}

impl Kind {
    /// A cell of this kind by its address, which must be below 2^64.
    pub fn at(self, address: &Expression) -> Expression {
        address + self.base()
    }

    fn base(self) -> Fr {
        power_of_two(ADDRESS_BITS) * Fr::from(self as u64)
    }
}

/// How a value that is read is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As an element of the trace of its own: about 52 constraints.
    Element,
    /// As a number below `2^bits`, which is checked, together with others in one element: about `1.2 * bits`.
    Small(usize),
}

/// Whether a tuple was put in or taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    In,
    Out,
}

#[derive(Clone, Debug)]
struct Tuple {
    sign: Sign,
    cell: Expression,
    time: Expression,
    values: Vec<Expression>,
}

/// Tuples that count together.
#[derive(Clone, Debug)]
struct Access {
    /// Zero or one: whether they count.
    on: Expression,
    tuples: Vec<Tuple>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Memory {
    accesses: Vec<Access>,
    trace: Trace,
    time_bits: usize,
    /// What operations will find, with a witness: they are synthesised in another order than they happen.
    history: History,
    /// What cells hold after all that was synthesised, with a witness.
    held: BTreeMap<Key, Held>,
}

/// A cell that was read and is to be written.
#[derive(Clone, Debug)]
#[must_use = "what was taken out of the memory must be put in again"]
pub struct Read {
    on: Expression,
    cell: Expression,
    /// The time of the access before.
    before: Expression,
    time: Expression,
    /// What it held. Nothing is said of them in an access that is off.
    pub values: Vec<Expression>,
}

/// Elements that the challenges depend on.
#[derive(Clone, Debug, Default)]
struct Trace {
    elements: Vec<Expression>,
    packed: Vec<(Fr, Expression)>,
    bits: usize,
}

impl Trace {
    fn push(&mut self, element: &Expression) {
        self.elements.push(element.clone());
    }

    /// Adds a number below `2^bits`, together with others in one element.
    fn push_small(&mut self, number: &Expression, bits: usize) {
        if self.bits + bits > PACKED_BITS {
            self.flush();
        }
        self.packed.push((power_of_two(self.bits), number.clone()));
        self.bits += bits;
    }

    fn flush(&mut self) {
        let packed = std::mem::take(&mut self.packed);
        self.bits = 0;
        if !packed.is_empty() {
            let parts = packed.iter().map(|(weight, number)| (*weight, number));
            self.elements.push(Expression::weighted_sum(parts));
        }
    }

    fn digest<CS: ConstraintSystem<Fr>>(
        mut self,
        cs: &mut CS,
        seed: &Expression,
    ) -> Result<Expression, SynthesisError> {
        self.flush();
        let mut state = seed.clone();
        for (at, chunk) in self.elements.chunks(7).enumerate() {
            let mut lanes: [Expression; 8] = std::array::from_fn(|_| Expression::zero());
            lanes[0] = state;
            for (lane, element) in lanes[1..].iter_mut().zip(chunk) {
                *lane = element.clone();
            }
            state = compress8(&mut cs.namespace(|| format!("{at}")), Domain::Trace, &lanes)?;
        }
        Ok(state)
    }
}

impl Memory {
    /// An empty memory whose times are below `2^time_bits`. The history is empty while keys are made.
    pub fn new(time_bits: usize, history: History) -> Memory {
        let (accesses, trace, held) = (Vec::new(), Trace::default(), BTreeMap::new());
        Memory { accesses, trace, time_bits, history, held }
    }

    /// Binds a number below `2^bits` that no public word has, such as the place of a leaf.
    pub fn bind_small(&mut self, number: &Expression, bits: usize) {
        self.trace.push_small(number, bits);
    }

    /// Binds an element that no public word has.
    pub fn bind(&mut self, element: &Expression) {
        self.trace.push(element);
    }

    /// Puts a cell in at time 0. The caller binds its address, and makes sure that none is put in twice.
    pub fn insert(&mut self, cell: &Expression, values: &[Expression]) {
        self.hold(cell, values, Fr::zero());
        let (cell, time, values) = (cell.clone(), Expression::zero(), values.to_vec());
        let put = Tuple { sign: Sign::In, cell, time, values };
        self.accesses.push(Access { on: Expression::one(), tuples: vec![put] });
    }

    /// Takes a cell out at the end: allocates its `count` values and the time of its last access, which it binds. The
    /// values are for the caller to bind: by a leaf of the new root, or by [`Memory::bind`].
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn remove<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        cell: &Expression,
        count: usize,
    ) -> Result<Vec<Expression>, SynthesisError> {
        let held = self.held(cell, count);
        let values = allocate(cs, held.as_ref(), count)?;
        let cs = &mut cs.namespace(|| "last access");
        let time = witness_bits(cs, held.map(|(_, time)| time), self.time_bits)?;
        let time = Expression::from_bits(&time);
        self.trace.push_small(&time, self.time_bits);
        let taken = Tuple { sign: Sign::Out, cell: cell.clone(), time, values: values.clone() };
        self.accesses.push(Access { on: Expression::one(), tuples: vec![taken] });
        Ok(values)
    }

    /// Takes a cell out for an access at `time` if `on`: allocates its values, which have these forms, and binds them.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn read<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        cell: &Expression,
        on: &Expression,
        time: &Expression,
        forms: &[Form],
    ) -> Result<Read, SynthesisError> {
        let found = self.found(cell, time, forms.len());
        let mut values = Vec::with_capacity(forms.len());
        for (at, form) in forms.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("value {at}"));
            let value = value_of(found.as_ref(), at);
            values.push(match *form {
                Form::Element => {
                    let value = Expression::witness(cs, "held", value)?;
                    self.trace.push(&value);
                    value
                }
                Form::Small(bits) => {
                    let value = Expression::from_bits(&witness_bits(cs, value, bits)?);
                    self.trace.push_small(&value, bits);
                    value
                }
            });
        }
        self.expect(cs, cell, on, time, &values)
    }

    /// [`Memory::read`] where the values are known: functions of bound ones.
    ///
    /// The access before is earlier, as `time - 1 - before` has `time_bits` bits. A negative time before would meet
    /// nothing that was put in.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn expect<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        cell: &Expression,
        on: &Expression,
        time: &Expression,
        values: &[Expression],
    ) -> Result<Read, SynthesisError> {
        let latest = time - Fr::one();
        let found = self.found(cell, time, values.len());
        let is_on = on.value().map(|on| on == Fr::one());
        let gap = latest.value().zip(found).zip(is_on);
        let gap =
            gap.map(|((latest, (_, before)), on)| if on { latest - before } else { Fr::zero() });
        let gap = witness_bits(&mut cs.namespace(|| "access before"), gap, self.time_bits)?;
        let gap = Expression::from_bits(&gap);
        self.trace.push_small(&gap, self.time_bits);
        let before = &latest - &gap;
        let (cell, on, values) = (cell.clone(), on.clone(), values.to_vec());
        Ok(Read { on, cell, before, time: time.clone(), values })
    }

    /// Whether an access finds zeros only; nothing while keys are made.
    pub fn finds_zeros(&self, cell: &Expression, time: &Expression) -> Option<bool> {
        let (values, _) = self.found(cell, time, 0)?;
        Some(values.iter().all(|value| *value == Fr::zero()))
    }

    /// Puts a cell that was read in again with new values: functions of bound ones.
    pub fn write(&mut self, read: Read, values: &[Expression]) {
        assert_eq!(read.values.len(), values.len(), "a cell keeps its form");
        if let Some(time) = read.time.value().filter(|_| read.on.value() == Some(Fr::one())) {
            self.hold(&read.cell, values, time);
        }
        let Read { on, cell, before, time, values: old } = read;
        let taken = Tuple { sign: Sign::Out, cell: cell.clone(), time: before, values: old };
        let put = Tuple { sign: Sign::In, cell, time, values: values.to_vec() };
        self.accesses.push(Access { on, tuples: vec![taken, put] });
    }

    /// Checks that what was put in was taken out. `seed` binds all public words.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn check<CS: ConstraintSystem<Fr>>(
        self,
        cs: &mut CS,
        seed: &Expression,
    ) -> Result<(), SynthesisError> {
        let trace = self.trace.digest(&mut cs.namespace(|| "trace"), seed)?;
        let challenge = |cs: &mut bellman::Namespace<'_, Fr, CS::Root>, number: u64| {
            let number = Expression::constant(Fr::from(number));
            let lanes = [trace.clone(), number, Expression::zero(), Expression::zero()];
            compress4(cs, Domain::MemoryChallenge, &lanes)
        };
        let a = challenge(&mut cs.namespace(|| "a"), 1)?;
        let g = challenge(&mut cs.namespace(|| "g"), 2)?;
        let tuples = self.accesses.iter().flat_map(|access| &access.tuples);
        let longest = tuples.map(|tuple| tuple.values.len()).max().unwrap_or(0);
        let mut powers = vec![a];
        for at in 0..longest {
            let power = Expression::product(
                &mut cs.namespace(|| format!("power {at}")),
                "a",
                &powers[at],
                &powers[0],
            )?;
            powers.push(power);
        }
        let mut parts = Vec::with_capacity(self.accesses.len());
        for (at, access) in self.accesses.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("access {at}"));
            parts.push(access.part(cs, &powers, &g)?);
        }
        let sum = Expression::sum(&parts);
        Expression::enforce_equal(cs, "all that was put in", &sum, &Expression::zero());
        Ok(())
    }

    /// What an access finds.
    fn found(&self, cell: &Expression, time: &Expression, count: usize) -> Option<Held> {
        let (key, at) = (cell.value()?.to_bytes(), time.value()?);
        self.history.found(key, at).or_else(|| self.held(cell, count))
    }

    fn held(&self, cell: &Expression, count: usize) -> Option<Held> {
        // An access that is off, or a cheat, may name a cell that does not exist.
        let none = || (vec![Fr::zero(); count], Fr::zero());
        cell.value().map(|cell| self.held.get(&cell.to_bytes()).cloned().unwrap_or_else(none))
    }

    /// Remembers what a cell holds from a time on, unless it is known what it holds later.
    fn hold(&mut self, cell: &Expression, values: &[Expression], time: Fr) {
        let values: Option<Vec<Fr>> = values.iter().map(Expression::value).collect();
        let Some((key, values)) = cell.value().map(|cell| cell.to_bytes()).zip(values) else {
            return;
        };
        let later = |held: &Held| history::number(held.1) > history::number(time);
        if !self.held.get(&key).is_some_and(later) {
            self.held.insert(key, (values, time));
        }
    }
}

impl Access {
    /// `on * sum of sign / (g - f)`.
    ///
    /// The quotients alone would not do. What nothing binds in an access that is off, such as the owner in an idle
    /// queue slot, can be chosen after the challenges so that `g - f` is zero. The quotient of zero by zero is free.
    fn part<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        powers: &[Expression],
        g: &Expression,
    ) -> Result<Expression, SynthesisError> {
        let mut quotients = Vec::with_capacity(self.tuples.len());
        for tuple in &self.tuples {
            let (name, weight) = match tuple.sign {
                Sign::In => ("put in", Fr::one()),
                Sign::Out => ("taken out", -Fr::one()),
            };
            let cs = &mut cs.namespace(|| name);
            quotients.push((weight, tuple.quotient(cs, &self.on, powers, g)?));
        }
        let sum = quotients.iter().map(|(weight, quotient)| (*weight, quotient));
        Expression::product(cs, "counted", &Expression::weighted_sum(sum), &self.on)
    }
}

impl Tuple {
    /// `on / (g - f)`. If `on` is one, the divisor is zero with a negligible chance, and then there is no quotient.
    fn quotient<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        on: &Expression,
        powers: &[Expression],
        g: &Expression,
    ) -> Result<Expression, SynthesisError> {
        let mut divisor = g - &self.cell;
        divisor -= &Expression::product(cs, "time", &self.time, &powers[0])?;
        for (at, (value, power)) in self.values.iter().zip(&powers[1..]).enumerate() {
            let cs = &mut cs.namespace(|| format!("value {at}"));
            divisor -= &Expression::product(cs, "weighted", value, power)?;
        }
        let inverse = divisor.value().map(|divisor| divisor.invert().unwrap_or(Fr::zero()));
        let quotient = inverse.zip(on.value()).map(|(inverse, on)| inverse * on);
        let quotient = Expression::witness(cs, "quotient", quotient)?;
        Expression::enforce_product(cs, "divided", &quotient, &divisor, on);
        Ok(quotient)
    }
}

fn allocate<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    held: Option<&Held>,
    count: usize,
) -> Result<Vec<Expression>, SynthesisError> {
    (0..count)
        .map(|at| {
            let cs = &mut cs.namespace(|| format!("value {at}"));
            Expression::witness(cs, "held", value_of(held, at))
        })
        .collect()
}

fn value_of(held: Option<&Held>, at: usize) -> Option<Fr> {
    held.and_then(|(values, _)| values.get(at).copied())
}

/// Checks that addresses ascend strictly: `bits + 1` constraints for each but the first. All must be below `2^bits`.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn enforce_ascending<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    addresses: &[Expression],
    bits: usize,
) -> Result<(), SynthesisError> {
    for (at, pair) in addresses.windows(2).enumerate() {
        let gap = &(&pair[1] - &pair[0]) - Fr::one();
        to_bits(&mut cs.namespace(|| format!("gap {at}")), &gap, bits)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
