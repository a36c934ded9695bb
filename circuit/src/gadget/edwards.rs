//! Points of Jubjub, `-x^2 + y^2 = 1 + d x^2 y^2`, in affine coordinates.
//!
//! `d` is not a square and -1 is one, so the addition law is complete: it has no exceptional
//! points.

use std::sync::LazyLock;

use bellman::{ConstraintSystem, SynthesisError};
use ff::Field;
use zklink::hash::Fr;
use zklink::key::edwards_d;

use super::expression::combine;
use super::{Bit, Expression, zero};

/// `(x y)^2` at the points of order eight.
///
/// The double of such a point has order four and therefore y = 0, so `y^2 = -x^2`; with that the
/// curve equation is `d x^4 - 2 x^2 - 1 = 0`. Of its two solutions for `x^2` one is a square.
static PRODUCT_SQUARED: LazyLock<Fr> = LazyLock::new(|| {
    let root = (Fr::one() + edwards_d()).sqrt().into_option().expect("1 + d is a square");
    let over_d = edwards_d().invert().into_option().expect("d is not zero");
    let x_squared = [root, -root]
        .map(|root| (Fr::one() + root) * over_d)
        .into_iter()
        .find(|candidate| bool::from(candidate.sqrt().is_some()))
        .expect("the curve has points of order eight");
    -x_squared.square()
});

/// A point, or what should be one: see the functions for what is checked.
#[derive(Clone, Debug)]
pub struct Point {
    /// The affine x (`u` of the curve crate).
    pub x: Expression,
    /// The affine y (`v` of the curve crate).
    pub y: Expression,
}

impl Point {
    /// A constant point.
    #[must_use]
    pub fn constant(point: &jubjub::AffinePoint) -> Self {
        Self { x: Expression::constant(point.get_u()), y: Expression::constant(point.get_v()) }
    }

    /// The coordinates, if they have values.
    #[must_use]
    pub fn value(&self) -> Option<(Fr, Fr)> {
        Some((self.x.value()?, self.y.value()?))
    }

    /// Allocates two coordinates without any check: for outputs that another gadget pins.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn unchecked<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        coordinates: Option<(Fr, Fr)>,
    ) -> Result<Self, SynthesisError> {
        let x = Expression::witness(cs, "x", coordinates.map(|(x, _)| x))?;
        let y = Expression::witness(cs, "y", coordinates.map(|(_, y)| y))?;
        Ok(Self { x, y })
    }

    /// Allocates a point of the curve: three constraints.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        coordinates: Option<(Fr, Fr)>,
    ) -> Result<Self, SynthesisError> {
        let point = Self::unchecked(cs, coordinates)?;
        point.enforce_on_curve(cs)?;
        Ok(point)
    }

    /// Checks the curve equation: three constraints.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn enforce_on_curve<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
    ) -> Result<(), SynthesisError> {
        let x2 = Expression::product(cs, "x squared", &self.x, &self.x)?;
        let y2 = Expression::product(cs, "y squared", &self.y, &self.y)?;
        let right = &(&y2 - &x2) - Fr::one();
        Expression::enforce_product(cs, "on the curve", &(&x2 * edwards_d()), &y2, &right);
        Ok(())
    }

    /// Allocates a point whose order divides the cofactor 8: four constraints.
    ///
    /// `p = x y` is zero at the points of order one and two (x = 0) and four (y = 0), and a root of
    /// [`PRODUCT_SQUARED`] at those of order eight. Nothing else passes: with p = 0 the curve
    /// equation leaves those four points, and with `p^2 = -X^2` it is `y^2 - x^2 = -2 X`, so
    /// `y^2` and `-x^2`, whose product is `X^2`, are both `-X`.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn of_small_order<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        coordinates: Option<(Fr, Fr)>,
    ) -> Result<Self, SynthesisError> {
        let point = Self::unchecked(cs, coordinates)?;
        let product = Expression::product(cs, "x y", &point.x, &point.y)?;
        let square = Expression::product(cs, "x y squared", &product, &product)?;
        let (down, up) = (&point.y - &point.x, &point.y + &point.x);
        let right = &(&square * edwards_d()) + Fr::one();
        Expression::enforce_product(cs, "on the curve", &down, &up, &right);
        let distance = &square - *PRODUCT_SQUARED;
        Expression::enforce_product(cs, "small order", &product, &distance, &Expression::zero());
        Ok(point)
    }

    /// The mirror image: free.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self { x: -&self.x, y: self.y.clone() }
    }

    /// `if bit { yes } else { no }`: two constraints.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn select<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        bit: &Bit,
        yes: &Self,
        no: &Self,
    ) -> Result<Self, SynthesisError> {
        Ok(Self {
            x: bit.select(cs, "selected x", &yes.x, &no.x)?,
            y: bit.select(cs, "selected y", &yes.y, &no.y)?,
        })
    }

    /// The sum of two points of the curve, which may be equal: six constraints.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn add<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        left: &Self,
        right: &Self,
    ) -> Result<Self, SynthesisError> {
        let values = left.value().zip(right.value()).map(|(left, right)| native_sum(left, right));
        let sum = Self::unchecked(cs, values)?;
        Self::enforce_sum(cs, left, right, &sum)?;
        Ok(sum)
    }

    /// Checks that `left + right = sum`, for `left` and `right` on the curve: six constraints.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn enforce_sum<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        left: &Self,
        right: &Self,
        sum: &Self,
    ) -> Result<(), SynthesisError> {
        let mixed = (&left.x + &left.y, &right.x + &right.y);
        let all = Expression::product(cs, "all products", &mixed.0, &mixed.1)?;
        let yx = Expression::product(cs, "y x", &left.y, &right.x)?;
        let xy = Expression::product(cs, "x y", &left.x, &right.y)?;
        let cross = &yx + &xy;
        let curvature = Expression::product(cs, "curvature", &(&yx * edwards_d()), &xy)?;
        // all = x1 x2 + y1 y2 + cross, and a = -1 makes y1 y2 + x1 x2 the numerator of y.
        enforce_quotients(cs, &curvature, [&cross, &(&all - &cross)], sum);
        Ok(())
    }

    /// Twice a point of the curve: five constraints.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn double<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<Self, SynthesisError> {
        let values = self.value().map(|point| native_sum(point, point));
        let sum = Self::unchecked(cs, values)?;
        self.enforce_double(cs, &sum)?;
        Ok(sum)
    }

    /// Checks that `2 * self = sum`, for a point of the curve: five constraints.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn enforce_double<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        sum: &Self,
    ) -> Result<(), SynthesisError> {
        let mixed = &self.x + &self.y;
        let all = Expression::product(cs, "all products", &mixed, &mixed)?;
        let xy = Expression::product(cs, "x y", &self.x, &self.y)?;
        let cross = &xy + &xy;
        let curvature = Expression::product(cs, "curvature", &(&xy * edwards_d()), &xy)?;
        enforce_quotients(cs, &curvature, [&cross, &(&all - &cross)], sum);
        Ok(())
    }

    /// Checks that this is a point of prime order: on the curve, in the subgroup, not the identity.
    /// 19 constraints.
    ///
    /// Every point of the subgroup is eight times some point of the curve, and eight times any
    /// point of the curve lies in the subgroup; `eighth` is such a witness (see [`native_eighth`]).
    /// In the subgroup only the identity has x = 0.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn enforce_prime_order<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        eighth: Option<(Fr, Fr)>,
    ) -> Result<(), SynthesisError> {
        let eighth = Self::witness(&mut cs.namespace(|| "eighth"), eighth)?;
        let quarter = eighth.double(&mut cs.namespace(|| "quarter"))?;
        let half = quarter.double(&mut cs.namespace(|| "half"))?;
        half.enforce_double(&mut cs.namespace(|| "whole"), self)?;
        zero::enforce_nonzero(&mut cs.namespace(|| "not the identity"), &self.x)
    }
}

/// `x (1 + curvature) = numerators[0]`, `y (1 - curvature) = numerators[1]`. The factors are never
/// zero for points of the curve, because `d` is not a square.
fn enforce_quotients<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    curvature: &Expression,
    numerators: [&Expression; 2],
    sum: &Point,
) {
    let one = Expression::one();
    Expression::enforce_product(cs, "x", &(&one + curvature), &sum.x, numerators[0]);
    Expression::enforce_product(cs, "y", &(&one - curvature), &sum.y, numerators[1]);
}

/// The sum of two points by the complete addition law; (0, 0) where a denominator is zero, which
/// happens off the curve only.
#[must_use]
pub fn native_sum(left: (Fr, Fr), right: (Fr, Fr)) -> (Fr, Fr) {
    let (xy, yx) = (left.0 * right.1, left.1 * right.0);
    let curvature = edwards_d() * xy * yx;
    let (down, up) = (Fr::one() - curvature, Fr::one() + curvature);
    // One inversion serves both quotients.
    let inverse = (down * up).invert().unwrap_or(Fr::zero());
    ((xy + yx) * down * inverse, (left.1 * right.1 + left.0 * right.0) * up * inverse)
}

/// A point whose eightfold is `point`, for a point of the prime-order subgroup: the witness of
/// [`Point::enforce_prime_order`].
#[must_use]
pub fn native_eighth(point: &jubjub::AffinePoint) -> (Fr, Fr) {
    let eight = jubjub::Scalar::from(8).invert().into_option().expect("the order is odd");
    let eighth = jubjub::AffinePoint::from(jubjub::ExtendedPoint::from(*point) * eight);
    (eighth.get_u(), eighth.get_v())
}

/// Applies `f` to the values of two expressions.
pub(super) fn value_of(a: &Expression, b: &Expression, f: impl FnOnce(Fr, Fr) -> Fr) -> Option<Fr> {
    combine(a.value(), b.value(), f)
}

#[cfg(test)]
mod tests {
    use jubjub::{AffinePoint, ExtendedPoint, Scalar};
    use zklink::key::base::{base, small_order_points};

    use super::*;
    use crate::gadget::fixture::{Fixture, NONE};

    fn multiple(factor: u64) -> AffinePoint {
        AffinePoint::from(ExtendedPoint::from(base()) * Scalar::from(factor))
    }

    fn coordinates(point: AffinePoint) -> (Fr, Fr) {
        (point.get_u(), point.get_v())
    }

    fn given(fixture: &mut Fixture, point: (Fr, Fr)) -> Point {
        Point { x: fixture.given(point.0), y: fixture.given(point.1) }
    }

    #[test]
    fn sums_and_doubles_agree_with_the_curve_crate() {
        // The identity, the point of order two and equal points are ordinary here.
        let identity = (Fr::zero(), Fr::one());
        let order_two = (Fr::zero(), -Fr::one());
        let seven = coordinates(multiple(7));
        let mirrored = (-seven.0, seven.1);
        let eleven = coordinates(multiple(11));
        for (left, right) in [
            (seven, eleven),
            (seven, seven),
            (seven, identity),
            (seven, mirrored),
            (order_two, seven),
            (order_two, order_two),
        ] {
            let mut fixture = Fixture::new();
            let (p, q) = (given(&mut fixture, left), given(&mut fixture, right));
            let sum = Point::add(&mut fixture.cs, &p, &q).unwrap();
            let native = |(x, y)| ExtendedPoint::from(AffinePoint::from_raw_unchecked(x, y));
            let expected = coordinates(AffinePoint::from(native(left) + native(right)));
            assert_eq!(sum.value(), Some(expected));
            assert_eq!(fixture.cost(), 6);
            assert_eq!(fixture.survivors(), NONE);

            let mut fixture = Fixture::new();
            let p = given(&mut fixture, left);
            let double = p.double(&mut fixture.cs).unwrap();
            let expected = coordinates(AffinePoint::from(native(left).double()));
            assert_eq!(double.value(), Some(expected));
            assert_eq!(fixture.cost(), 5);
            assert_eq!(fixture.survivors(), NONE);
        }
    }

    #[test]
    fn another_sum_or_double_is_refused() {
        let (seven, eleven) = (coordinates(multiple(7)), coordinates(multiple(11)));
        // The right one mirrored, another point of the curve, and none.
        let (x, y) = coordinates(multiple(18));
        for wrong in [(-x, y), (x, -y), seven, (Fr::zero(), Fr::zero())] {
            let mut fixture = Fixture::new();
            let (p, q) = (given(&mut fixture, seven), given(&mut fixture, eleven));
            let sum = given(&mut fixture, wrong);
            Point::enforce_sum(&mut fixture.cs, &p, &q, &sum).unwrap();
            let failure = fixture.cs.first_failure();
            assert!(matches!(failure, Some("x" | "y")), "{failure:?}");
        }
        let (x, y) = coordinates(multiple(14));
        for wrong in [(-x, y), (x, -y), seven, (Fr::zero(), Fr::zero())] {
            let mut fixture = Fixture::new();
            let (p, double) = (given(&mut fixture, seven), given(&mut fixture, wrong));
            p.enforce_double(&mut fixture.cs, &double).unwrap();
            let failure = fixture.cs.first_failure();
            assert!(matches!(failure, Some("x" | "y")), "{failure:?}");
        }
    }

    #[test]
    fn points_off_the_curve_are_refused() {
        let mut fixture = Fixture::new();
        let point = coordinates(multiple(5));
        Point::witness(&mut fixture.cs, Some(point)).unwrap();
        assert_eq!(fixture.cost(), 3);
        // The mirror images of a point are on the curve too.
        assert_eq!(fixture.survivors(), ["x", "y"]);
        let mut fixture = Fixture::new();
        Point::witness(&mut fixture.cs, Some((point.1, point.0))).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("on the curve"));
        let mut fixture = Fixture::new();
        Point::witness(&mut fixture.cs, Some((Fr::zero(), Fr::zero()))).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("on the curve"));
    }

    #[test]
    fn points_of_small_order_pass() {
        for point in small_order_points() {
            let mut fixture = Fixture::new();
            Point::of_small_order(&mut fixture.cs, Some(coordinates(point))).unwrap();
            assert_eq!(fixture.cost(), 4);
            assert_eq!(fixture.cs.first_failure(), None);
        }
    }

    #[test]
    fn points_of_another_order_do_not() {
        let refused = |point| {
            let mut fixture = Fixture::new();
            Point::of_small_order(&mut fixture.cs, Some(point)).unwrap();
            fixture.cs.first_failure().map(str::to_owned)
        };
        let five = ExtendedPoint::from(multiple(5));
        for shift in small_order_points() {
            let point = AffinePoint::from(five + ExtendedPoint::from(shift));
            assert_eq!(refused(coordinates(point)).as_deref(), Some("small order"));
        }
        // Off the curve, with the right product.
        let (x, y) = coordinates(small_order_points()[1]);
        for point in [(x.double(), y * Fr::from(2).invert().unwrap()), (Fr::zero(), Fr::zero())] {
            assert_eq!(refused(point).as_deref(), Some("on the curve"));
        }
        for point in [(Fr::zero(), Fr::from(2)), (Fr::one(), Fr::zero()), (Fr::one(), Fr::one())] {
            assert_eq!(refused(point).as_deref(), Some("on the curve"));
        }
    }

    #[test]
    fn a_point_is_selected() {
        for bit in [false, true] {
            let mut fixture = Fixture::new();
            let (a, b) = (coordinates(multiple(3)), coordinates(multiple(4)));
            let (p, q) = (given(&mut fixture, a), given(&mut fixture, b));
            let bit_given = fixture.given_bit(bit);
            let selected = Point::select(&mut fixture.cs, &bit_given, &p, &q).unwrap();
            assert_eq!(selected.value(), Some(if bit { a } else { b }));
            assert_eq!(fixture.cost(), 2);
            assert_eq!(fixture.survivors(), NONE);
        }
    }

    #[test]
    fn points_of_prime_order_pass() {
        let point = multiple(1234);
        let mut fixture = Fixture::new();
        let p = given(&mut fixture, coordinates(point));
        p.enforce_prime_order(&mut fixture.cs, Some(native_eighth(&point))).unwrap();
        assert_eq!(fixture.cost(), 19);
        assert_eq!(fixture.survivors(), NONE);
    }

    #[test]
    fn other_points_do_not() {
        // A point with a component of order two: its eighth would have to be outside the curve
        // group.
        let point = multiple(1234);
        let shifted = (-point.get_u(), -point.get_v());
        let mut fixture = Fixture::new();
        let p = given(&mut fixture, shifted);
        p.enforce_prime_order(&mut fixture.cs, Some(native_eighth(&point))).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("whole/x"));
        // The identity.
        let mut fixture = Fixture::new();
        let identity = (Fr::zero(), Fr::one());
        let p = given(&mut fixture, identity);
        p.enforce_prime_order(&mut fixture.cs, Some(identity)).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("not the identity/nonzero"));
        // The key that is not set.
        let mut fixture = Fixture::new();
        let p = given(&mut fixture, (Fr::zero(), Fr::zero()));
        p.enforce_prime_order(&mut fixture.cs, Some((Fr::zero(), Fr::zero()))).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("eighth/on the curve"));
    }
}
