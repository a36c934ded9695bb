//! How many rounds a width needs: the inequalities of the generator for 128 bits of security.

/// Bits of security.
const SECURITY: f64 = 128.0;
/// The exponent of the S-box.
const EXPONENT: f64 = 5.0;
/// The binary logarithm of the modulus, which begins with 0x73eda753.
const FIELD_LOG: f64 = 254.857_089;
/// The bits of a field element.
const FIELD_BITS: f64 = 255.0;

/// Full and partial rounds with the fewest S-boxes, the security margin included: two full rounds and 7.5 % of the
/// partial ones.
pub(super) fn derive(width: usize) -> (usize, usize) {
    let choices =
        (1..500usize).flat_map(|partial| (4..100usize).step_by(2).map(move |full| (full, partial)));
    choices
        .filter(|(full, partial)| is_secure(width as f64, *full as f64, *partial as f64))
        .map(|(full, partial)| (full + 2, (partial as f64 * 1.075).ceil() as usize))
        .min_by_key(|(full, partial)| (full * width + partial, *full))
        .expect("enough rounds are secure")
}

/// The bounds in the order of the generator: statistical, interpolation, three of Gröbner bases, and
/// the one of <https://eprint.iacr.org/2023/537>.
fn is_secure(width: f64, full: f64, partial: f64) -> bool {
    let log_of_two = EXPONENT.log2().recip();
    let statistical = if SECURITY <= (FIELD_LOG - (EXPONENT - 1.0) / 2.0).floor() * (width + 1.0) {
        6.0
    } else {
        10.0
    };
    let interpolation =
        1.0 + (log_of_two * SECURITY.min(FIELD_BITS)).ceil() + width.log(EXPONENT).ceil() - partial;
    let first = log_of_two * SECURITY.min(FIELD_LOG) - partial;
    let second =
        width - 1.0 + log_of_two * (SECURITY / (width + 1.0)).min(FIELD_LOG / 2.0) - partial;
    let third = (width - 2.0 + SECURITY / (2.0 * EXPONENT.log2()) - partial) / (width - 1.0);
    let needed = [statistical, interpolation, first, second, third];
    let third_of_width = (width / 3.0).floor();
    let lower = third_of_width * (full / 2.0) + partial + EXPONENT;
    let upper = (full - 1.0) * width + partial + third_of_width + lower;
    needed.into_iter().all(|rounds| full >= rounds.ceil())
        && (2.0 * log_binomial(upper, lower)).ceil() >= SECURITY
}

/// The binary logarithm of a binomial coefficient.
fn log_binomial(upper: f64, lower: f64) -> f64 {
    (1..=lower as usize).map(|place| ((upper - lower + place as f64) / place as f64).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that the authors publish for this field.
    #[test]
    fn rounds_are_the_published_ones() {
        assert_eq!([2, 3, 4, 8].map(derive), [(8, 56), (8, 56), (8, 56), (8, 57)]);
    }

    #[test]
    fn binomials_are_those_of_pascal() {
        assert!((log_binomial(10.0, 3.0) - 120f64.log2()).abs() < 1e-9);
    }
}
