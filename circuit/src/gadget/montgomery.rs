//! Jubjub in Montgomery form, `v^2 = u^3 + 40962 u^2 + u`: additions cost three constraints instead
//! of six, but they are incomplete. Every function says which points it must not meet.

use std::sync::LazyLock;

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;

use super::Expression;
use super::edwards::{self, value_of};

/// The coefficient of `u^2`.
const A: u64 = 40962;

/// `sqrt(-40964)`, which scales `v` so that `v^2` has the coefficient one. The even one of the two
/// roots.
static SCALE: LazyLock<Fr> = LazyLock::new(|| {
    let root = ff::Field::sqrt(&-Fr::from(40964)).into_option();
    let root = root.expect("-40964 is a square in this field");
    if root.to_bytes()[0] & 1 == 0 { root } else { -root }
});

/// A point of prime order in Montgomery form.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) u: Expression,
    pub(super) v: Expression,
}

/// The Montgomery coordinates of a point of prime order.
pub(super) fn native(point: &jubjub::AffinePoint) -> (Fr, Fr) {
    let (x, y) = (point.get_u(), point.get_v());
    let u = (Fr::one() + y) * inverse(Fr::one() - y);
    (u, *SCALE * u * inverse(x))
}

/// The inverse, or zero: a wrong witness where there is none, never a panic.
fn inverse(x: Fr) -> Fr {
    x.invert().unwrap_or(Fr::zero())
}

impl Point {
    fn unchecked<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        u: Option<Fr>,
        v: Option<Fr>,
    ) -> Result<Self, SynthesisError> {
        Ok(Self { u: Expression::witness(cs, "u", u)?, v: Expression::witness(cs, "v", v)? })
    }

    /// From Edwards form, `u (1 - y) = 1 + y` and `v x = scale u`: two constraints. Not for the
    /// identity or the point of order two, the only points of the curve with x = 0; (0, 0) is
    /// refused, since it asks for `u = 1` and `0 = scale`.
    pub(super) fn of_edwards<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        point: &edwards::Point,
    ) -> Result<Self, SynthesisError> {
        let (down, up) = (&Expression::one() - &point.y, &Expression::one() + &point.y);
        let u = value_of(&up, &down, |up, down| up * inverse(down));
        let v = u.zip(point.x.value()).map(|(u, x)| *SCALE * u * inverse(x));
        let converted = Self::unchecked(cs, u, v)?;
        Expression::enforce_product(cs, "u", &down, &converted.u, &up);
        Expression::enforce_product(cs, "v", &point.x, &converted.v, &(&converted.u * *SCALE));
        Ok(converted)
    }

    /// To Edwards form, `x v = scale u` and `y (u + 1) = u - 1`: two constraints. A point of prime
    /// order has neither `v = 0` (order two) nor `u = -1` (order four), so the solution is unique.
    pub(super) fn to_edwards<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
    ) -> Result<edwards::Point, SynthesisError> {
        let x = value_of(&self.u, &self.v, |u, v| *SCALE * u * inverse(v));
        let y = self.u.value().map(|u| (u - Fr::one()) * inverse(u + Fr::one()));
        let point = edwards::Point::unchecked(cs, x.zip(y))?;
        Expression::enforce_product(cs, "x", &self.v, &point.x, &(&self.u * *SCALE));
        let (up, down) = (&self.u + Fr::one(), &self.u - Fr::one());
        Expression::enforce_product(cs, "y", &up, &point.y, &down);
        Ok(point)
    }

    /// Twice a point of prime order: four constraints.
    pub(super) fn double<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
    ) -> Result<Self, SynthesisError> {
        let square = Expression::product(cs, "u squared", &self.u, &self.u)?;
        let numerator =
            &Expression::weighted_sum([(Fr::from(3), &square), (Fr::from(2 * A), &self.u)])
                + Fr::one();
        let twice_v = &self.v + &self.v;
        let slope = value_of(&numerator, &twice_v, |up, down| up * inverse(down));
        let slope = Expression::witness(cs, "slope", slope)?;
        Expression::enforce_product(cs, "slope", &twice_v, &slope, &numerator);
        self.third(cs, &slope, &self.u)
    }

    /// `left + right`, for `left` neither `right` nor its mirror image: three constraints.
    pub(super) fn add<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        left: &Self,
        right: &Self,
    ) -> Result<Self, SynthesisError> {
        let slope = Self::slope(cs, "slope", left, right)?;
        left.third(cs, &slope, &right.u)
    }

    /// `2 * self + other`, as `(self + other) + self` without the v of the inner sum: five
    /// constraints.
    ///
    /// Neither `self = ±other` nor `self + other = ±self` may hold.
    pub(super) fn double_and_add<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        other: &Self,
    ) -> Result<Self, SynthesisError> {
        let slope = Self::slope(cs, "first slope", self, other)?;
        let inner_u = slope.value().zip(self.u.value()).zip(other.u.value());
        let inner_u = inner_u.map(|((slope, a), b)| slope.square() - Fr::from(A) - a - b);
        let inner_u = Expression::witness(cs, "inner u", inner_u)?;
        enforce_third_u(cs, "inner u", &slope, [&inner_u, &self.u, &other.u]);
        // The inner v is slope * (u - inner_u) - v, so the second slope plus the first is 2 v / (u
        // - inner_u).
        let twice_v = &self.v + &self.v;
        let step = &self.u - &inner_u;
        let slopes = value_of(&twice_v, &step, |up, down| up * inverse(down));
        let second = slopes.zip(slope.value()).map(|(sum, first)| sum - first);
        let second = Expression::witness(cs, "second slope", second)?;
        Expression::enforce_product(cs, "second slope", &step, &(&slope + &second), &twice_v);
        self.third(cs, &second, &inner_u)
    }

    /// `slope * (right.u - left.u) = right.v - left.v`.
    fn slope<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        left: &Self,
        right: &Self,
    ) -> Result<Expression, SynthesisError> {
        let (run, rise) = (&right.u - &left.u, &right.v - &left.v);
        let slope = value_of(&rise, &run, |rise, run| rise * inverse(run));
        let slope = Expression::witness(cs, name, slope)?;
        Expression::enforce_product(cs, name, &run, &slope, &rise);
        Ok(slope)
    }

    /// The sum of `self` and a point with `other_u`, from the slope of the line through both.
    fn third<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        slope: &Expression,
        other_u: &Expression,
    ) -> Result<Self, SynthesisError> {
        let values = slope.value().zip(self.u.value()).zip(other_u.value());
        let u = values.map(|((slope, a), b)| slope.square() - Fr::from(A) - a - b);
        let v = u.zip(slope.value()).zip(self.u.value()).zip(self.v.value());
        let v = v.map(|(((u, slope), own_u), own_v)| slope * (own_u - u) - own_v);
        let sum = Self::unchecked(cs, u, v)?;
        enforce_third_u(cs, "u", slope, [&sum.u, &self.u, other_u]);
        let right = &sum.v + &self.v;
        Expression::enforce_product(cs, "v", &(&self.u - &sum.u), slope, &right);
        Ok(sum)
    }
}

/// `slope^2 = A + the three u on the line`.
fn enforce_third_u<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    name: &'static str,
    slope: &Expression,
    on_line: [&Expression; 3],
) {
    let sum = &Expression::sum(on_line) + Fr::from(A);
    Expression::enforce_product(cs, name, slope, slope, &sum);
}

#[cfg(test)]
mod tests {
    use jubjub::{AffinePoint, ExtendedPoint, Scalar};
    use zklink::key::base::base;

    use super::*;
    use crate::gadget::fixture::{Fixture, NONE};

    fn multiple(factor: u64) -> AffinePoint {
        AffinePoint::from(ExtendedPoint::from(base()) * Scalar::from(factor))
    }

    fn given(fixture: &mut Fixture, factor: u64) -> Point {
        let (u, v) = native(&multiple(factor));
        Point { u: fixture.given(u), v: fixture.given(v) }
    }

    fn is_multiple(point: &Point, factor: u64) -> bool {
        point.u.value().zip(point.v.value()) == Some(native(&multiple(factor)))
    }

    #[test]
    fn points_satisfy_the_curve_equation() {
        assert_eq!(SCALE.square(), -Fr::from(40964));
        for factor in 1..5 {
            let (u, v) = native(&multiple(factor));
            assert_eq!(v.square(), u.square() * u + Fr::from(A) * u.square() + u);
        }
    }

    #[test]
    fn sums_are_those_of_the_curve() {
        let mut fixture = Fixture::new();
        let (five, nine) = (given(&mut fixture, 5), given(&mut fixture, 9));
        assert!(is_multiple(&Point::add(&mut fixture.cs, &five, &nine).unwrap(), 14));
        assert_eq!(fixture.cost(), 3);
        assert_eq!(fixture.survivors(), NONE);

        let mut fixture = Fixture::new();
        let five = given(&mut fixture, 5);
        assert!(is_multiple(&five.double(&mut fixture.cs).unwrap(), 10));
        assert_eq!(fixture.cost(), 4);
        assert_eq!(fixture.survivors(), NONE);

        let mut fixture = Fixture::new();
        let (five, nine) = (given(&mut fixture, 5), given(&mut fixture, 9));
        assert!(is_multiple(&five.double_and_add(&mut fixture.cs, &nine).unwrap(), 19));
        assert_eq!(fixture.cost(), 5);
        assert_eq!(fixture.survivors(), NONE);
    }

    #[test]
    fn another_sum_is_refused() {
        let mut fixture = Fixture::new();
        let (five, nine) = (given(&mut fixture, 5), given(&mut fixture, 9));
        Point::add(&mut fixture.cs, &five, &nine).unwrap();
        let other = native(&multiple(15));
        fixture.cs.tamper("u", other.0);
        fixture.cs.tamper("v", other.1);
        assert_eq!(fixture.cs.failures(), ["u", "v"]);
        // A point and its mirror image have a sum that this form does not know.
        let mut fixture = Fixture::new();
        let five = given(&mut fixture, 5);
        let mirrored = Point { u: five.u.clone(), v: -&five.v };
        Point::add(&mut fixture.cs, &five, &mirrored).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("slope"));
    }

    #[test]
    fn both_forms_convert_into_each_other() {
        let mut fixture = Fixture::new();
        let point = multiple(21);
        let (x, y) = (fixture.given(point.get_u()), fixture.given(point.get_v()));
        let converted = Point::of_edwards(&mut fixture.cs, &edwards::Point { x, y }).unwrap();
        assert!(is_multiple(&converted, 21));
        let mut back_cs = bellman::ConstraintSystem::namespace(&mut fixture.cs, || "back");
        let back = converted.to_edwards(&mut back_cs).unwrap();
        drop(back_cs);
        assert_eq!(back.value(), Some((point.get_u(), point.get_v())));
        assert_eq!(fixture.cost(), 4);
        assert_eq!(fixture.survivors(), NONE);
    }

    #[test]
    fn the_key_that_is_not_set_and_the_identity_have_no_montgomery_form() {
        for (x, y) in [(0u64, 0u64), (0, 1)] {
            let mut fixture = Fixture::new();
            let point =
                edwards::Point { x: fixture.given(Fr::from(x)), y: fixture.given(Fr::from(y)) };
            Point::of_edwards(&mut fixture.cs, &point).unwrap();
            assert!(!fixture.cs.is_satisfied());
            for u in 0..4u64 {
                fixture.cs.tamper("u", Fr::from(u));
                assert!(!fixture.cs.is_satisfied());
            }
        }
    }
}
