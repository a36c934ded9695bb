//! Whether a polynomial over the field is irreducible.

use zklink::hash::Fr;

/// Rabin's test for a monic polynomial whose degree is a power of two: coefficients lowest first, without the
/// leading one.
///
/// `x^(p^T) = x` modulo the polynomial says that it is a product of different irreducible ones whose degrees
/// divide T; that `x^(p^(T/2)) - x` has no common factor with it excludes the proper divisors.
pub(super) fn is_irreducible<const T: usize>(polynomial: &[Fr; T]) -> bool {
    assert!(T.is_power_of_two() && T > 1, "the only proper divisors that count are those of T / 2");
    let mut x = [Fr::zero(); T];
    x[1] = Fr::one();
    let mut frobenius = x;
    for _ in 0..T / 2 {
        frobenius = to_the_order(&frobenius, polynomial);
    }
    let half = frobenius;
    for _ in T / 2..T {
        frobenius = to_the_order(&frobenius, polynomial);
    }
    let difference: Vec<Fr> = half.iter().zip(x).map(|(of, x)| of - x).collect();
    let whole: Vec<Fr> = polynomial.iter().copied().chain([Fr::one()]).collect();
    frobenius == x && are_coprime(whole, difference)
}

/// The power of `base` by the order of the field, modulo the polynomial.
fn to_the_order<const T: usize>(base: &[Fr; T], polynomial: &[Fr; T]) -> [Fr; T] {
    let order_minus_one = (-Fr::one()).to_bytes();
    let mut power = [Fr::zero(); T];
    power[0] = Fr::one();
    for byte in order_minus_one.into_iter().rev() {
        for place in (0..8).rev() {
            power = product(&power, &power, polynomial);
            if byte >> place & 1 == 1 {
                power = product(&power, base, polynomial);
            }
        }
    }
    product(&power, base, polynomial)
}

fn product<const T: usize>(left: &[Fr; T], right: &[Fr; T], polynomial: &[Fr; T]) -> [Fr; T] {
    let mut sum = [Fr::zero(); T];
    // Horner's rule over the coefficients of the right factor.
    for of in right.iter().rev() {
        let overflow = sum[T - 1];
        sum.rotate_right(1);
        sum[0] = Fr::zero();
        for place in 0..T {
            sum[place] += of * left[place] - overflow * polynomial[place];
        }
    }
    sum
}

/// Euclid's algorithm: whether the greatest common divisor is a constant.
fn are_coprime(mut larger: Vec<Fr>, mut smaller: Vec<Fr>) -> bool {
    trim(&mut smaller);
    while !smaller.is_empty() {
        let leading = smaller[smaller.len() - 1];
        let inverse = leading.invert().into_option().expect("it was trimmed");
        while larger.len() >= smaller.len() {
            let factor = larger[larger.len() - 1] * inverse;
            let offset = larger.len() - smaller.len();
            for (place, of) in smaller.iter().enumerate() {
                larger[offset + place] -= factor * of;
            }
            trim(&mut larger);
        }
        std::mem::swap(&mut larger, &mut smaller);
    }
    larger.len() == 1
}

/// Removes leading zeros.
fn trim(polynomial: &mut Vec<Fr>) {
    while polynomial.last().is_some_and(|leading| *leading == Fr::zero()) {
        polynomial.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadratics_are_irreducible_when_they_have_no_root() {
        // 7 generates the multiplicative group, so it is no square, and 49 is one.
        assert!(is_irreducible(&[-Fr::from(7), Fr::zero()]));
        assert!(!is_irreducible(&[-Fr::from(49), Fr::zero()]));
        assert!(!is_irreducible(&[Fr::from(1), Fr::from(2)]), "the square of x + 1");
    }

    #[test]
    fn products_and_powers_of_irreducible_ones_are_told_apart() {
        let zero = Fr::zero();
        // x^4 - 7 is irreducible; (x^2 - 7)^2 and (x^2 - 7)(x^2 - 28) are not.
        assert!(is_irreducible(&[-Fr::from(7), zero, zero, zero]));
        assert!(!is_irreducible(&[Fr::from(49), zero, -Fr::from(14), zero]));
        assert!(!is_irreducible(&[Fr::from(7 * 28), zero, -Fr::from(35), zero]));
    }
}
