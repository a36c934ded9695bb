//! Field elements in stored and sent values: canonical big-endian words, joined, in hex.
//!
//! For `#[serde(with = "zklink::hash::form")]` on a field element, or on a list or an array of (rows of) them.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use super::{Fr, fr_from_be_bytes, fr_to_be_bytes};

/// Something made of field elements alone.
pub trait Elements: Sized {
    /// The elements in order.
    fn elements(&self) -> Vec<Fr>;
    /// Puts the elements together; nothing when their number does not fit.
    fn assemble(elements: &[Fr]) -> Option<Self>;
}

impl Elements for Fr {
    fn elements(&self) -> Vec<Fr> {
        vec![*self]
    }

    fn assemble(elements: &[Fr]) -> Option<Self> {
        <[Fr; 1]>::try_from(elements).ok().map(|[element]| element)
    }
}

impl<const N: usize> Elements for [Fr; N] {
    fn elements(&self) -> Vec<Fr> {
        self.to_vec()
    }

    fn assemble(elements: &[Fr]) -> Option<Self> {
        elements.try_into().ok()
    }
}

impl Elements for Vec<Fr> {
    fn elements(&self) -> Vec<Fr> {
        self.clone()
    }

    fn assemble(elements: &[Fr]) -> Option<Self> {
        Some(elements.to_vec())
    }
}

impl<const N: usize> Elements for Vec<[Fr; N]> {
    fn elements(&self) -> Vec<Fr> {
        self.concat()
    }

    fn assemble(elements: &[Fr]) -> Option<Self> {
        let (rows, rest) = elements.as_chunks::<N>();
        rest.is_empty().then(|| rows.to_vec())
    }
}

/// Writes elements as one hex string.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Elements, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    let mut text = String::from("0x");
    for element in value.elements() {
        text.push_str(&hex::encode(fr_to_be_bytes(element)));
    }
    to.serialize_str(&text)
}

/// Reads what [`serialize`] wrote.
///
/// # Errors
/// When the text is not hex, a word is not below the modulus, or the number of words does not fit.
pub fn deserialize<'de, T: Elements, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(&text)).map_err(D::Error::custom)?;
    let (words, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(D::Error::custom("field elements are 32 bytes each"));
    }
    let elements: Option<Vec<Fr>> = words.iter().map(|word| fr_from_be_bytes(*word)).collect();
    let elements = elements.ok_or_else(|| D::Error::custom("a word is not below the modulus"))?;
    T::assemble(&elements).ok_or_else(|| D::Error::custom("another number of words is expected"))
}
