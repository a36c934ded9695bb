//! The two-byte decimal float in which fees travel: 11 bits of mantissa, then 5 bits of exponent.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;

use super::{Bit, Expression};

/// Bits of the exponent; they are the lowest.
pub const EXPONENT_BITS: usize = 5;
/// Bits of the mantissa, above the exponent.
pub const MANTISSA_BITS: usize = 11;
/// Bits of a float.
pub const FLOAT_BITS: usize = EXPONENT_BITS + MANTISSA_BITS;

/// `mantissa * 10^exponent` of a float given by its 16 bits, lowest first: five constraints.
///
/// The largest value, 2047 * 10^31, is below 2^114, so nothing wraps around.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
///
/// # Panics
/// When there are not 16 bits.
pub fn decode<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    bits: &[Bit],
) -> Result<Expression, SynthesisError> {
    assert_eq!(bits.len(), FLOAT_BITS, "a float has 16 bits");
    let (exponent, mantissa) = bits.split_at(EXPONENT_BITS);
    let mut value = Expression::from_bits(mantissa);
    let mut power = Fr::from(10);
    for (index, bit) in exponent.iter().enumerate() {
        // 10^(2^index) if the bit is set, otherwise one.
        let factor = &(bit.expression() * (power - Fr::one())) + Fr::one();
        let mut cs = cs.namespace(|| format!("exponent bit {index}"));
        value = Expression::product(&mut cs, "scaled", &value, &factor)?;
        power = power.square();
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadget::bits::to_bits;
    use crate::gadget::fixture::{Fixture, NONE};

    #[test]
    fn floats_decode_to_mantissa_times_power_of_ten() {
        for (mantissa, exponent) in [(0u64, 0u32), (1, 0), (2047, 31), (1234, 16), (7, 5), (0, 31)]
        {
            let mut fixture = Fixture::new();
            let packed = fixture.given(Fr::from(mantissa << 5 | u64::from(exponent)));
            let bits = to_bits(&mut fixture.cs, &packed, FLOAT_BITS).unwrap();
            let value = decode(&mut fixture.cs, &bits).unwrap();
            let expected =
                Fr::from(mantissa) * Fr::from(10).pow_vartime(&[u64::from(exponent), 0, 0, 0]);
            assert_eq!(value.value(), Some(expected));
            assert_eq!(fixture.cost(), 17 + 5);
            assert_eq!(fixture.survivors(), NONE);
        }
    }

    #[test]
    fn another_value_or_a_float_of_more_bits_is_refused() {
        let mut fixture = Fixture::new();
        let packed = fixture.given(Fr::from(7 << 5 | 5));
        let bits = to_bits(&mut fixture.cs, &packed, FLOAT_BITS).unwrap();
        decode(&mut fixture.cs, &bits).unwrap();
        // The last factor is one, because the exponent is below 16: the value is that before it.
        let honest = fixture.cs.tamper("exponent bit 4/scaled", Fr::from(700_001));
        assert_eq!(honest, Fr::from(700_000));
        assert_eq!(fixture.cs.failures(), ["exponent bit 4/scaled"]);
        // A digit that is claimed to be another one.
        fixture.cs.tamper("exponent bit 4/scaled", honest);
        fixture.cs.tamper("bit0/bit", Fr::zero());
        assert_eq!(fixture.cs.failures(), ["recomposed", "exponent bit 0/scaled"]);

        let mut fixture = Fixture::new();
        let packed = fixture.given(Fr::from(1 << 16));
        to_bits(&mut fixture.cs, &packed, FLOAT_BITS).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("recomposed"));
    }
}
