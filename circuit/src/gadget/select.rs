//! Selection: one-hot selectors, and the children of a node of a 4-ary tree.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;

use super::{Bit, Expression};

/// Bits of which exactly one is set.
#[derive(Clone, Debug)]
pub struct OneHot {
    bits: Vec<Bit>,
}

impl OneHot {
    /// Allocates a selector over `size` places with place `index` set: `size + 1` constraints.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        index: Option<usize>,
        size: usize,
    ) -> Result<Self, SynthesisError> {
        let bits = (0..size)
            .map(|place| {
                let bit = index.map(|index| index == place);
                Bit::witness(&mut cs.namespace(|| format!("place{place}")), "bit", bit)
            })
            .collect::<Result<Vec<_>, _>>()?;
        // The sum of at most 2^32 bits does not wrap around, so exactly one is set.
        let sum = Expression::sum(bits.iter().map(Bit::expression));
        Expression::enforce_equal(cs, "one place", &sum, &Expression::one());
        Ok(Self { bits })
    }

    /// The bits, one a place.
    #[must_use]
    pub fn bits(&self) -> &[Bit] {
        &self.bits
    }

    /// The number of the place that is set: free.
    #[must_use]
    pub fn index(&self) -> Expression {
        let places = (0u64..).map(Fr::from);
        Expression::weighted_sum(places.zip(self.bits.iter().map(Bit::expression)))
    }

    /// The value at the place that is set: one constraint a place whose value is not a constant.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    ///
    /// # Panics
    /// When there are not as many values as places.
    pub fn pick<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        values: &[Expression],
    ) -> Result<Expression, SynthesisError> {
        assert_eq!(values.len(), self.bits.len(), "one value a place");
        let products = self
            .bits
            .iter()
            .zip(values)
            .enumerate()
            .map(|(place, (bit, value))| {
                let mut cs = cs.namespace(|| format!("place{place}"));
                Expression::product(&mut cs, "product", value, bit.expression())
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Expression::sum(&products))
    }
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

    #[test]
    fn one_place_is_picked() {
        for index in 0..5 {
            let mut fixture = Fixture::new();
            let values: Vec<_> = (10..15u64).map(|value| fixture.given(Fr::from(value))).collect();
            let selector = OneHot::witness(&mut fixture.cs, Some(index), 5).unwrap();
            let picked = selector.pick(&mut fixture.cs, &values).unwrap();
            assert_eq!(picked.value(), Some(Fr::from(10 + index as u64)));
            assert_eq!(selector.index().value(), Some(Fr::from(index as u64)));
            assert_eq!(fixture.cost(), 11);
            assert_eq!(fixture.survivors(), NONE);
        }
    }

    #[test]
    fn no_place_and_two_places_are_refused() {
        let mut fixture = Fixture::new();
        OneHot::witness(&mut fixture.cs, Some(9), 5).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("one place"));
        let mut fixture = Fixture::new();
        OneHot::witness(&mut fixture.cs, Some(1), 5).unwrap();
        fixture.cs.tamper("place3/bit", Fr::one());
        assert_eq!(fixture.cs.first_failure(), Some("one place"));
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
