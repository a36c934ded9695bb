//! Linear expressions over the variables of a constraint system.

use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use bellman::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use zklink::hash::Fr;

/// A constant plus a linear combination of variables, together with its value.
///
/// The value is absent when a circuit is synthesised for its keys. Terms are sorted by variable,
/// one term a variable, so that sums stay as short as they can be.
#[derive(Clone, Debug)]
pub struct Expression {
    value: Option<Fr>,
    constant: Fr,
    terms: Vec<(Variable, Fr)>,
}

impl Expression {
    /// The expression that is zero.
    #[must_use]
    pub fn zero() -> Self {
        Self::constant(Fr::zero())
    }

    /// The expression that is one.
    #[must_use]
    pub fn one() -> Self {
        Self::constant(Fr::one())
    }

    /// A constant.
    #[must_use]
    pub fn constant(constant: Fr) -> Self {
        Self { value: Some(constant), constant, terms: Vec::new() }
    }

    /// One variable with its value.
    #[must_use]
    pub fn variable(variable: Variable, value: Option<Fr>) -> Self {
        Self { value, constant: Fr::zero(), terms: vec![(variable, Fr::one())] }
    }

    /// Allocates a private variable. Nothing constrains it yet: that is the caller's work.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        value: Option<Fr>,
    ) -> Result<Self, SynthesisError> {
        let variable = cs.alloc(|| name, || value.ok_or(SynthesisError::AssignmentMissing))?;
        Ok(Self::variable(variable, value))
    }

    /// Allocates a public input.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn input<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        value: Option<Fr>,
    ) -> Result<Self, SynthesisError> {
        let variable =
            cs.alloc_input(|| name, || value.ok_or(SynthesisError::AssignmentMissing))?;
        Ok(Self::variable(variable, value))
    }

    /// The value; `None` while keys are made.
    #[must_use]
    pub fn value(&self) -> Option<Fr> {
        self.value
    }

    /// The constant, when the expression mentions no variable.
    #[must_use]
    pub fn as_constant(&self) -> Option<Fr> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// How many variables the expression mentions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether the expression is a constant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// `sum factor * expression`, merged once at the end.
    #[must_use]
    pub fn weighted_sum<'a>(parts: impl IntoIterator<Item = (Fr, &'a Self)>) -> Self {
        let mut sum = Self::zero();
        for (factor, part) in parts {
            sum.value = combine(sum.value, part.value, |sum, value| sum + factor * value);
            sum.constant += factor * part.constant;
            sum.terms.extend(part.terms.iter().map(|(variable, of)| (*variable, factor * of)));
        }
        sum.merge();
        sum
    }

    /// The sum of expressions.
    #[must_use]
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::weighted_sum(parts.into_iter().map(|part| (Fr::one(), part)))
    }

    /// Adds `factor` times this expression to a linear combination of bellman.
    #[must_use]
    pub fn add_to(&self, factor: Fr, combination: LinearCombination<Fr>) -> LinearCombination<Fr> {
        let start = if self.constant == Fr::zero() {
            combination
        } else {
            // Input 0 is the constant one in every constraint system of bellman.
            combination + (factor * self.constant, Variable::new_unchecked(Index::Input(0)))
        };
        self.terms.iter().fold(start, |sum, (variable, of)| sum + (factor * of, *variable))
    }

    /// The product of two expressions, as a new variable: one constraint, or none when either is a
    /// constant.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn product<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        a: &Self,
        b: &Self,
    ) -> Result<Self, SynthesisError> {
        if let Some(factor) = a.as_constant() {
            return Ok(b * factor);
        }
        if let Some(factor) = b.as_constant() {
            return Ok(a * factor);
        }
        let value = combine(a.value, b.value, |a, b| a * b);
        let product = Self::witness(cs, name, value)?;
        Self::enforce_product(cs, name, a, b, &product);
        Ok(product)
    }

    /// `if flag { yes } else { no }` for a flag of zero or one, as a new variable: one constraint, and sums do not grow
    /// where one choice follows another.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn choose<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        flag: &Self,
        yes: &Self,
        no: &Self,
    ) -> Result<Self, SynthesisError> {
        let difference = combine(yes.value, no.value, |yes, no| yes - no);
        let change = combine(flag.value, difference, |flag, difference| flag * difference);
        let chosen = Self::witness(cs, name, combine(no.value, change, |no, change| no + change))?;
        Self::enforce_product(cs, name, flag, &(yes - no), &(&chosen - no));
        Ok(chosen)
    }

    /// `a * b = c`: one constraint.
    pub fn enforce_product<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        a: &Self,
        b: &Self,
        c: &Self,
    ) {
        cs.enforce(
            || name,
            |lc| a.add_to(Fr::one(), lc),
            |lc| b.add_to(Fr::one(), lc),
            |lc| c.add_to(Fr::one(), lc),
        );
    }

    /// `a = b`: one constraint.
    pub fn enforce_equal<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        a: &Self,
        b: &Self,
    ) {
        cs.enforce(|| name, |lc| lc, |lc| lc, |lc| b.add_to(-Fr::one(), a.add_to(Fr::one(), lc)));
    }

    fn merge(&mut self) {
        self.terms.sort_by_key(|(variable, _)| order(*variable));
        self.terms.dedup_by(|later, earlier| {
            let same = order(later.0) == order(earlier.0);
            if same {
                earlier.1 += later.1;
            }
            same
        });
        self.terms.retain(|(_, of)| *of != Fr::zero());
    }
}

/// Inputs before auxiliary variables, each by their number.
fn order(variable: Variable) -> (bool, usize) {
    match variable.get_unchecked() {
        Index::Input(index) => (false, index),
        Index::Aux(index) => (true, index),
    }
}

/// Applies `f` when both values are there.
pub(super) fn combine(a: Option<Fr>, b: Option<Fr>, f: impl FnOnce(Fr, Fr) -> Fr) -> Option<Fr> {
    Some(f(a?, b?))
}

impl Add for &Expression {
    type Output = Expression;

    fn add(self, other: Self) -> Expression {
        Expression::sum([self, other])
    }
}

impl Sub for &Expression {
    type Output = Expression;

    fn sub(self, other: Self) -> Expression {
        Expression::weighted_sum([(Fr::one(), self), (-Fr::one(), other)])
    }
}

impl Neg for &Expression {
    type Output = Expression;

    fn neg(self) -> Expression {
        self * -Fr::one()
    }
}

impl Mul<Fr> for &Expression {
    type Output = Expression;

    fn mul(self, factor: Fr) -> Expression {
        Expression::weighted_sum([(factor, self)])
    }
}

impl Add<Fr> for &Expression {
    type Output = Expression;

    fn add(self, constant: Fr) -> Expression {
        let mut sum = self.clone();
        sum.value = sum.value.map(|value| value + constant);
        sum.constant += constant;
        sum
    }
}

impl Sub<Fr> for &Expression {
    type Output = Expression;

    fn sub(self, constant: Fr) -> Expression {
        self + -constant
    }
}

impl AddAssign<&Self> for Expression {
    fn add_assign(&mut self, other: &Self) {
        *self = &*self + other;
    }
}

impl SubAssign<&Self> for Expression {
    fn sub_assign(&mut self, other: &Self) {
        *self = &*self - other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::CheckSystem;

    #[test]
    fn linear_operations_are_free_and_merge() {
        let mut cs = CheckSystem::new();
        let x = Expression::witness(&mut cs, "x", Some(Fr::from(3))).unwrap();
        let y = Expression::input(&mut cs, "y", Some(Fr::from(5))).unwrap();
        let sum = &(&(&x + &y) * Fr::from(2)) + Fr::from(7);
        assert_eq!(sum.value(), Some(Fr::from(23)));
        let mut rest = &sum - &(&x * Fr::from(2));
        assert_eq!(rest.len(), 1);
        rest -= &(&y + &y);
        assert_eq!(rest.as_constant(), Some(Fr::from(7)));
        assert_eq!(cs.constraint_count(), 0);
    }

    #[test]
    fn products_and_equations_are_enforced() {
        let mut cs = CheckSystem::new();
        let x = Expression::witness(&mut cs, "x", Some(Fr::from(3))).unwrap();
        let y = Expression::witness(&mut cs, "y", Some(Fr::from(5))).unwrap();
        let product = Expression::product(&mut cs, "xy", &x, &(&y + Fr::one())).unwrap();
        Expression::enforce_equal(&mut cs, "eighteen", &product, &Expression::constant(18.into()));
        assert_eq!(cs.constraint_count(), 2);
        assert_eq!(cs.survivors(), Vec::<String>::new());
        cs.tamper("x", Fr::from(9));
        assert_eq!(cs.first_failure(), Some("xy"));
        cs.tamper("xy", Fr::from(54));
        assert_eq!(cs.first_failure(), Some("eighteen"));
    }

    #[test]
    fn a_choice_is_one_of_two_and_one_variable() {
        for flag in [0u64, 1] {
            let mut cs = CheckSystem::new();
            let mut given = |name, value: u64| {
                let variable = cs.alloc_input(|| name, || Ok(Fr::from(value))).unwrap();
                Expression::variable(variable, Some(Fr::from(value)))
            };
            let (flag, yes, no) = (given("flag", flag), given("yes", 7), given("no", 5));
            let chosen = Expression::choose(&mut cs, "chosen", &flag, &yes, &no).unwrap();
            let expected = if flag.value() == Some(Fr::one()) { &yes } else { &no };
            assert_eq!((chosen.value(), chosen.len()), (expected.value(), 1));
            assert_eq!(cs.constraint_count(), 1);
            assert_eq!(cs.survivors(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_product_with_a_constant_is_free() {
        let mut cs = CheckSystem::new();
        let x = Expression::witness(&mut cs, "x", Some(Fr::from(3))).unwrap();
        let two = Expression::constant(Fr::from(2));
        let product = Expression::product(&mut cs, "free", &two, &x).unwrap();
        assert_eq!((product.value(), cs.constraint_count()), (Some(Fr::from(6)), 0));
    }
}
