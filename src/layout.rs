//! How the public data of operations are packed into field elements.
//!
//! A layout is declared once, next to its operation. Encoder, decoder, the coefficients of the circuit, the
//! table of the documents and the vectors for Solidity are all taken from it.

use crate::hash::{Fr, fr_from_be_bytes, fr_to_be_bytes};

/// Bytes of a packed word that carry data. The most significant byte of its 32 is always zero, so that a word is
/// smaller than the modulus whatever it holds.
pub const WORD_BYTES: usize = 31;

/// One field of a packed word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name that code, circuit and documents use.
    pub name: &'static str,
    /// Width in bytes, at most 16.
    pub bytes: usize,
}

/// Declares a field of a packed word.
pub const fn field(name: &'static str, bytes: usize) -> Field {
    Field { name, bytes }
}

/// A packed word: fields big-endian without gaps from the top of the 31 bytes, the rest zero.
#[derive(Clone, Copy, Debug)]
pub struct Packed<const N: usize> {
    /// The fields from the most significant on.
    pub fields: [Field; N],
}

/// Words at the start of the on-chain vector: old root, new root, packed numbers.
pub const HEAD_WORDS: usize = 3;

/// The third word of the head.
pub const HEAD_WORD: Packed<3> =
    Packed::new([field("number", 4), field("timestamp", 8), field("shape", 2)]);

/// A word is not what its layout allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWord {
    /// The top byte is set: the word is not a packed one.
    #[error("the word has more than 31 bytes")]
    TooWide,
    /// Bits below the last field are set.
    #[error("the padding of the word is not zero")]
    Padding,
    /// The operation code is not the expected one.
    #[error("the operation code {0} is not known at this place")]
    Code(u8),
    /// A field is outside of the range of its type.
    #[error("the field {0} is out of range")]
    Range(&'static str),
    /// A word is not a coordinate of a public key.
    #[error("the public key is not a point of the prime-order subgroup")]
    Key,
    /// The words end within the head or within an operation.
    #[error("{expected} more words belong here, the vector has {found}")]
    Length {
        /// Words that the head or the operation has.
        expected: usize,
        /// Words that are left.
        found: usize,
    },
    /// The data vector ends with a zero word, which it has to leave out.
    #[error("the data vector ends with a zero word")]
    TrailingZero,
    /// Operations stand where the order of execution does not allow it.
    #[error("the operation cannot stand at place {0} of its block")]
    Place(u16),
}

impl<const N: usize> Packed<N> {
    /// Declares a word. Fails to compile when the fields do not fit.
    pub const fn new(fields: [Field; N]) -> Packed<N> {
        let word = Packed { fields };
        assert!(word.bytes() <= WORD_BYTES);
        word
    }

    /// Bytes that the fields fill.
    pub const fn bytes(&self) -> usize {
        let (mut sum, mut at) = (0, 0);
        while at < N {
            assert!(self.fields[at].bytes >= 1 && self.fields[at].bytes <= 16);
            sum += self.fields[at].bytes;
            at += 1;
        }
        sum
    }

    /// Packs the values of the fields.
    ///
    /// # Panics
    /// When a value is wider than its field: the types of the callers exclude it.
    pub fn pack(&self, values: [u128; N]) -> Fr {
        let mut word = [0u8; 32];
        let mut at = 1;
        for (field, value) in self.fields.iter().zip(values) {
            let bytes = value.to_be_bytes();
            let (high, low) = bytes.split_at(16 - field.bytes);
            assert!(high.iter().all(|byte| *byte == 0), "{} is too wide", field.name);
            word[at..at + field.bytes].copy_from_slice(low);
            at += field.bytes;
        }
        fr_from_be_bytes(word).expect("31 bytes are below the modulus")
    }

    /// Takes a word apart.
    ///
    /// # Errors
    /// [`BadWord::TooWide`] and [`BadWord::Padding`]: the word has bits where no field is.
    pub fn unpack(&self, word: &Fr) -> Result<[u128; N], BadWord> {
        let bytes = fr_to_be_bytes(*word);
        if bytes[0] != 0 {
            return Err(BadWord::TooWide);
        }
        if bytes[1 + self.bytes()..].iter().any(|byte| *byte != 0) {
            return Err(BadWord::Padding);
        }
        let mut values = [0u128; N];
        let mut at = 1;
        for (field, value) in self.fields.iter().zip(&mut values) {
            for byte in &bytes[at..at + field.bytes] {
                *value = *value << 8 | u128::from(*byte);
            }
            at += field.bytes;
        }
        Ok(values)
    }

    /// The weight of each field in the word: `word = sum of value * weight`. The circuit packs with these.
    pub fn weights(&self) -> [Fr; N] {
        let mut weights = [Fr::zero(); N];
        let mut below = 8 * WORD_BYTES;
        for (field, weight) in self.fields.iter().zip(&mut weights) {
            below -= 8 * field.bytes;
            *weight = power_of_two(below);
        }
        weights
    }
}

/// 2^exponent as a field element.
pub fn power_of_two(exponent: usize) -> Fr {
    Fr::from(2).pow_vartime(&[exponent as u64, 0, 0, 0])
}

/// 31 bytes as a field element, right-aligned: the form of `owner_low`.
pub fn low_word(bytes: [u8; 31]) -> Fr {
    let mut word = [0; 32];
    word[1..].copy_from_slice(&bytes);
    fr_from_be_bytes(word).expect("31 bytes are below the modulus")
}

/// Reads what [`low_word`] wrote.
///
/// # Errors
/// [`BadWord::TooWide`] when the element has more than 31 bytes.
pub fn low_bytes(word: &Fr) -> Result<[u8; 31], BadWord> {
    let bytes = fr_to_be_bytes(*word);
    if bytes[0] != 0 {
        return Err(BadWord::TooWide);
    }
    Ok(bytes[1..].try_into().expect("32 - 1 = 31"))
}

/// The operation code of a word: byte 1.
pub fn code(word: &Fr) -> Result<u8, BadWord> {
    let bytes = fr_to_be_bytes(*word);
    if bytes[0] != 0 {
        return Err(BadWord::TooWide);
    }
    Ok(bytes[1])
}

/// Narrows an unpacked value to the type of its field.
///
/// # Errors
/// [`BadWord::Range`] with the name of the field.
pub fn narrow<T: TryFrom<u128>>(name: &'static str, value: u128) -> Result<T, BadWord> {
    T::try_from(value).map_err(|_| BadWord::Range(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: Packed<3> = Packed::new([field("op", 1), field("account", 3), field("amount", 16)]);

    #[test]
    fn fields_stand_from_the_second_byte_on() {
        let bytes = fr_to_be_bytes(WORD.pack([4, 0x010203, 0xff]));
        assert_eq!(bytes[..5], [0, 4, 1, 2, 3]);
        assert_eq!(bytes[20], 0xff);
        assert!(bytes[21..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn weights_are_the_encoder() {
        let values = [4, 77, u128::MAX];
        let sum: Fr = WORD
            .weights()
            .iter()
            .zip(values)
            .map(|(weight, value)| {
                *weight * Fr::from_raw([value as u64, (value >> 64) as u64, 0, 0])
            })
            .sum();
        assert_eq!(sum, WORD.pack(values));
        assert_eq!(WORD.unpack(&sum), Ok(values));
    }

    #[test]
    fn bits_outside_of_the_fields_are_refused() {
        let word = WORD.pack([4, 1, 2]);
        assert_eq!(WORD.unpack(&(word + Fr::one())), Err(BadWord::Padding));
        assert_eq!(WORD.unpack(&(word + power_of_two(248))), Err(BadWord::TooWide));
        assert_eq!(narrow::<u8>("sub", 256), Err(BadWord::Range("sub")));
    }
}
