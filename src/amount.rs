//! Amounts of tokens: 18 decimals, 128 bits, checked arithmetic only; and the two-byte float of fees.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Decimals of every amount on L2.
pub const DECIMALS: u8 = 18;

/// An amount of a unified token, in units of 10^-18.
///
/// In JSON it is a decimal string, because it does not fit the numbers of JavaScript.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Default,
)]
pub struct Amount(pub u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// Bits of a pool: what one chain may owe of one token. The contracts admit at most 2^120, so that honest deposits
    /// never meet this bound; with at most 63 chains it makes every sum of balances fit 128 bits.
    pub const POOL_BITS: u32 = 121;

    /// The sum, or nothing when it does not fit 128 bits.
    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount)
    }

    /// The difference, or nothing when it would be negative.
    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number of tokens was given as text that is not a decimal integer of at most 128 bits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an amount is a decimal integer below 2^128, in units of 10^-18")]
pub struct BadAmount;

impl FromStr for Amount {
    type Err = BadAmount;

    fn from_str(text: &str) -> Result<Amount, BadAmount> {
        // The bound on the length keeps hostile text from costing time; `+5` is Rust's idea of a number, not ours.
        let plain = text.len() <= 39 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !plain {
            return Err(BadAmount);
        }
        text.parse().map(Amount).map_err(|_| BadAmount)
    }
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A fee as two bytes: `mantissa * 10^exponent` with 11 bits of mantissa (high) and 5 of exponent (low).
///
/// zkLink's fee format. The largest is 2047 * 10^31 < 2^114, so that a fee always fits an [`Amount`].
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, borsh::BorshSerialize, borsh::BorshDeserialize, Default,
)]
pub struct Fee(pub u16);

impl Fee {
    /// No fee.
    pub const ZERO: Fee = Fee(0);
    /// Bits of the mantissa.
    pub const MANTISSA_BITS: u32 = 11;
    /// Bits of the exponent.
    pub const EXPONENT_BITS: u32 = 5;

    /// The fee in units of 10^-18.
    pub fn amount(self) -> Amount {
        let mantissa = u128::from(self.0 >> Self::EXPONENT_BITS);
        let exponent = u32::from(self.0 & ((1 << Self::EXPONENT_BITS) - 1));
        let value = mantissa.checked_mul(10u128.pow(exponent));
        Amount(value.expect("2047 * 10^31 < 2^114"))
    }

    /// The largest fee that is not above the amount, with the smallest exponent that can express it.
    pub fn closest(amount: Amount) -> Fee {
        let mut mantissa = amount.0;
        let mut exponent = 0u16;
        while mantissa >= 1 << Self::MANTISSA_BITS {
            mantissa /= 10;
            exponent = exponent.saturating_add(1);
        }
        if exponent >= 1 << Self::EXPONENT_BITS {
            return Fee(u16::MAX);
        }
        let mantissa = u16::try_from(mantissa).expect("the loop left fewer than 2^11");
        Fee(mantissa << Self::EXPONENT_BITS | exponent)
    }

    /// What may be taken of this fee when `amount` is enough: the largest fee with the same exponent that is not above
    /// the amount, and not above this fee.
    ///
    /// A withdrawal signs the most that its fee may be, and publishes what was taken: in the same exponent, so that the
    /// circuit compares mantissas.
    pub fn at_most(self, amount: Amount) -> Fee {
        let exponent = self.0 % (1 << Self::EXPONENT_BITS);
        let unit = 10u128.pow(exponent.into());
        let mantissa = (amount.0 / unit).min(u128::from(self.0 >> Self::EXPONENT_BITS));
        let mantissa = u16::try_from(mantissa).expect("at most the mantissa of this fee");
        Fee(mantissa << Self::EXPONENT_BITS | exponent)
    }

    /// The fee that expresses the amount exactly, if there is one.
    pub fn exact(amount: Amount) -> Option<Fee> {
        let fee = Fee::closest(amount);
        (fee.amount() == amount).then_some(fee)
    }
}

impl Fee {
    /// The same fee with the smallest exponent. Transactions are signed in this form, since JSON has only the value.
    pub fn canonical(self) -> Fee {
        Fee::closest(self.amount())
    }
}

impl fmt::Debug for Fee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fee({})", self.amount())
    }
}

/// In JSON a fee is its amount as a decimal string; one that the float cannot express is refused.
impl Serialize for Fee {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.amount().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fee {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Fee, D::Error> {
        let amount = Amount::deserialize(deserializer)?;
        Fee::exact(amount).ok_or_else(|| {
            let nearest = Fee::closest(amount).amount();
            serde::de::Error::custom(format!(
                "a fee is at most 2047 times a power of ten; the closest one below is {nearest}"
            ))
        })
    }
}

/// A fee by its bits: the form in operations, which must keep what was published.
pub mod fee_bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Fee;

    /// Writes the 16 bits as a number.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(fee: &Fee, to: S) -> Result<S::Ok, S::Error> {
        fee.0.serialize(to)
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fee, D::Error> {
        u16::deserialize(from).map(Fee)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_fee_keeps_its_exponent() {
        let most = Fee::closest(Amount(1_230_000));
        for (amount, taken) in [(0, 0), (999, 0), (1_229_999, 1_229_000), (9_999_999, 1_230_000)] {
            let fee = most.at_most(Amount(amount));
            assert_eq!(fee.amount(), Amount(taken));
            assert_eq!(fee.0 % 32, most.0 % 32);
        }
    }

    #[test]
    fn fee_keeps_what_it_can_express_and_rounds_down_the_rest() {
        assert_eq!(Fee::exact(Amount(0)), Some(Fee(0)));
        assert_eq!(Fee::exact(Amount(2047)), Some(Fee(2047 << 5)));
        assert_eq!(Fee::exact(Amount(2048)), None);
        assert_eq!(Fee::closest(Amount(2048)).amount(), Amount(2040));
        assert_eq!(
            Fee::exact(Amount(10u128.pow(18))).map(Fee::amount),
            Some(Amount(10u128.pow(18)))
        );
    }

    #[test]
    fn fee_fits_an_amount_whatever_its_bits() {
        assert!(Fee(u16::MAX).amount() < Amount(1 << 114));
        assert_eq!(
            Fee::closest(Amount(u128::MAX)).amount(),
            Amount(340 * 10u128.pow(36)).min(Fee(u16::MAX).amount())
        );
        for bits in 0..=u16::MAX {
            assert!(Fee::closest(Fee(bits).amount()).amount() == Fee(bits).amount());
        }
    }

    #[test]
    fn amount_text_is_strict() {
        assert_eq!("12".parse(), Ok(Amount(12)));
        for bad in ["", "+1", "-1", "1.0", "0x1", &"9".repeat(39), &"1".repeat(40)] {
            assert_eq!(bad.parse::<Amount>(), Err(BadAmount), "{bad}");
        }
    }
}
