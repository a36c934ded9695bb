//! Selection: one place of several, and the children of a node of a 4-ary tree.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;

use super::{Bit, Expression};

/// Bits of which one is set when `enabled` is, and none otherwise: `size + 1` constraints.
///
/// `at` is the place that is set, if any. Other places than `at` and no place at all are equally good bits: it is the
/// caller who ties what is selected to something else.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn one_hot<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    at: Option<Option<usize>>,
    size: usize,
    enabled: &Bit,
) -> Result<Vec<Bit>, SynthesisError> {
    let mut selected = Vec::with_capacity(size);
    for place in 0..size {
        let cs = &mut cs.namespace(|| format!("place {place}"));
        selected.push(Bit::witness(cs, "bit", at.map(|at| at == Some(place)))?);
    }
    // The number of bits is far below the modulus, so that their sum does not wrap.
    let sum = Expression::sum(selected.iter().map(Bit::expression));
    Expression::enforce_equal(cs, "one if on", &sum, enabled.expression());
    Ok(selected)
}

/// `sum of selector * value`: one constraint a pair of which neither is a constant.
///
/// Of selectors that are [`one_hot`] it is the selected value, or zero.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn dot<'a, CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    name: &'static str,
    selectors: impl IntoIterator<Item = &'a Expression>,
    values: impl IntoIterator<Item = &'a Expression>,
) -> Result<Expression, SynthesisError> {
    let cs = &mut cs.namespace(|| name);
    let mut terms = Vec::new();
    for (at, (selector, value)) in selectors.into_iter().zip(values).enumerate() {
        let cs = &mut cs.namespace(|| format!("{at}"));
        terms.push(Expression::product(cs, "term", value, selector)?);
    }
    Ok(Expression::sum(&terms))
}

/// One base-4 digit of a leaf's index: which child of a node is on the path.
#[derive(Clone, Debug)]
pub struct Digit {
    /// Weight one.
    pub low: Bit,
    /// Weight two.
    pub high: Bit,
}

impl Digit {
    /// The digits of an index, lowest first, from its bits, lowest first.
    ///
    /// # Panics
    /// When the number of bits is odd.
    #[must_use]
    pub fn of_bits(bits: &[Bit]) -> Vec<Self> {
        assert!(bits.len().is_multiple_of(2), "a digit has two bits");
        bits.chunks_exact(2)
            .map(|pair| Self { low: pair[0].clone(), high: pair[1].clone() })
            .collect()
    }

    /// Checks that the child at this digit is `old`: three constraints.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn enforce_child<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        children: &[Expression; 4],
        old: &Expression,
    ) -> Result<(), SynthesisError> {
        let [c0, c1, c2, c3] = children;
        let left = c0 + &Expression::product(cs, "left", &(c1 - c0), self.low.expression())?;
        let right = c2 + &Expression::product(cs, "right", &(c3 - c2), self.low.expression())?;
        Expression::enforce_product(
            cs,
            "child on the path",
            &(&right - &left),
            self.high.expression(),
            &(old - &left),
        );
        Ok(())
    }

    /// The children after the one at this digit went from `old` to `new`: three constraints.
    ///
    /// With `d = new - old` the child at (low, high) gains `d` times the indicator of its place,
    /// and the four indicators are linear in `low`, `high` and `low * high`. That the child was
    /// `old` is for [`Self::enforce_child`] to check.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn replace_child<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        children: &[Expression; 4],
        old: &Expression,
        new: &Expression,
    ) -> Result<[Expression; 4], SynthesisError> {
        let change = new - old;
        let high = Expression::product(cs, "change if high", &change, self.high.expression())?;
        let low = Expression::product(cs, "change if low", &change, self.low.expression())?;
        let both = Expression::product(cs, "change if both", &high, self.low.expression())?;
        let neither = &(&(&change - &high) - &low) + &both;
        let [c0, c1, c2, c3] = children;
        Ok([c0 + &neither, c1 + &(&low - &both), c2 + &(&high - &both), c3 + &both])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadget::fixture::{Fixture, NONE};

    /// Selects among five values, and reads the one.
    fn select(at: Option<usize>, enabled: bool) -> (Fixture, Expression) {
        let mut fixture = Fixture::new();
        let values: Vec<_> = (10..15u64).map(|value| fixture.given(Fr::from(value))).collect();
        let enabled = fixture.given_bit(enabled);
        let bits = one_hot(&mut fixture.cs, Some(at), 5, &enabled).unwrap();
        let read = dot(&mut fixture.cs, "read", bits.iter().map(Bit::expression), &values).unwrap();
        (fixture, read)
    }

    #[test]
    fn one_place_is_selected_or_none_when_switched_off() {
        for index in 0..5 {
            let (mut fixture, read) = select(Some(index), true);
            assert_eq!(read.value(), Some(Fr::from(10 + index as u64)));
            assert_eq!(fixture.cost(), 11);
            assert_eq!(fixture.survivors(), NONE);
        }
        let (mut fixture, read) = select(None, false);
        assert_eq!(read.value(), Some(Fr::zero()));
        assert_eq!(fixture.survivors(), NONE);
    }

    #[test]
    fn a_place_too_many_or_too_few_is_refused() {
        for (at, enabled) in [(Some(9), true), (None, true), (Some(1), false)] {
            let (fixture, _) = select(at, enabled);
            assert_eq!(fixture.cs.first_failure(), Some("one if on"));
        }
        let (mut fixture, _) = select(Some(1), true);
        fixture.cs.tamper("place 3/bit", Fr::one());
        assert_eq!(fixture.cs.first_failure(), Some("one if on"));
        // Two halves are in sum one, and no bits.
        let half = Fr::from(2).invert().unwrap();
        let (mut fixture, _) = select(Some(1), true);
        fixture.cs.tamper("place 1/bit", half);
        fixture.cs.tamper("place 3/bit", half);
        assert_eq!(fixture.cs.first_failure(), Some("place 1/bit"));
    }

    #[test]
    fn another_value_than_the_selected_one_is_refused() {
        let (mut fixture, _) = select(Some(1), true);
        fixture.cs.tamper("read/1/term", Fr::from(12));
        assert_eq!(fixture.cs.failures(), ["read/1/term"]);
        let (mut fixture, _) = select(Some(1), true);
        fixture.cs.tamper("read/2/term", Fr::from(12));
        assert_eq!(fixture.cs.failures(), ["read/2/term"]);
    }

    #[test]
    fn a_child_is_checked_and_replaced() {
        for place in 0..4usize {
            let mut fixture = Fixture::new();
            let children: [_; 4] = std::array::from_fn(|i| fixture.given(Fr::from(20 + i as u64)));
            let digit = Digit {
                low: fixture.given_bit(place & 1 == 1),
                high: fixture.given_bit(place & 2 == 2),
            };
            let (old, new) = (children[place].clone(), fixture.given(Fr::from(99)));
            digit.enforce_child(&mut fixture.cs, &children, &old).unwrap();
            assert_eq!(fixture.cost(), 3);
            let replaced = digit.replace_child(&mut fixture.cs, &children, &old, &new).unwrap();
            assert_eq!(fixture.cost(), 6);
            for (index, child) in replaced.iter().enumerate() {
                let expected = if index == place { &new } else { &children[index] };
                assert_eq!(child.value(), expected.value());
            }
            assert_eq!(fixture.survivors(), NONE);
            let name = fixture.cs.aux_paths().last().expect("it allocated variables").clone();
            fixture.cs.tamper(&name, Fr::from(1_000));
            assert!(!fixture.cs.is_satisfied(), "{name}: another child cannot take its place");
        }
    }

    #[test]
    fn another_child_is_refused() {
        let mut fixture = Fixture::new();
        let children: [_; 4] = std::array::from_fn(|i| fixture.given(Fr::from(20 + i as u64)));
        let digit = Digit { low: fixture.given_bit(true), high: fixture.given_bit(false) };
        digit.enforce_child(&mut fixture.cs, &children, &children[2].clone()).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("child on the path"));
    }
}
