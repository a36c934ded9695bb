//! The binary form of values, which journal, archive and snapshots keep: borsh, so that one value has one form.
//!
//! Here is what the derived form does not know. Text in JSON, for people and the RPC, is another form of the same
//! values.

use std::io::{Error, ErrorKind, Read, Result, Write};

use borsh::{BorshDeserialize, BorshSerialize};

/// Reads a value and refuses bytes behind it.
///
/// # Errors
/// When the bytes are not the form of a value.
pub fn read<T: BorshDeserialize>(bytes: &[u8]) -> Result<T> {
    borsh::from_slice(bytes)
}

/// The form of a value.
///
/// # Panics
/// When a list has 2^32 entries: no value of the protocol does.
pub fn write<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("into memory, and no list is so long")
}

pub(crate) fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

/// A field element: 32 bytes little-endian, below the modulus.
pub mod element {
    use super::{BorshDeserialize, Read, Result, Write, malformed};
    use crate::hash::Fr;

    /// Writes an element.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn serialize<W: Write>(element: &Fr, to: &mut W) -> Result<()> {
        to.write_all(&element.to_bytes())
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the reader, and a number that is not below the modulus.
    pub fn deserialize<R: Read>(from: &mut R) -> Result<Fr> {
        let bytes = <[u8; 32]>::deserialize_reader(from)?;
        Fr::from_bytes(&bytes).into_option().ok_or_else(|| malformed("not below the modulus"))
    }
}

/// A map: its length in 32 bits, then keys with values, in the order of the keys.
pub mod map {
    use super::{BorshDeserialize, BorshSerialize, Read, Result, Write, malformed};

    /// Writes a map.
    ///
    /// # Errors
    /// Those of the writer.
    ///
    /// # Panics
    /// When the map has 2^32 entries.
    pub fn serialize<'a, K, V, M, W: Write>(map: &'a M, to: &mut W) -> Result<()>
    where
        K: BorshSerialize + 'a,
        V: BorshSerialize + 'a,
        &'a M: IntoIterator<Item = (&'a K, &'a V), IntoIter: ExactSizeIterator>,
    {
        let entries = map.into_iter();
        let count = u32::try_from(entries.len()).expect("no map is so large");
        count.serialize(to)?;
        for (key, value) in entries {
            key.serialize(to)?;
            value.serialize(to)?;
        }
        Ok(())
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the reader, and keys that are not in order.
    pub fn deserialize<K, V, M, R: Read>(from: &mut R) -> Result<M>
    where
        K: BorshDeserialize + Ord + Copy,
        V: BorshDeserialize,
        M: FromIterator<(K, V)>,
    {
        let count = u32::deserialize_reader(from)?;
        let mut last: Option<K> = None;
        let entries = (0..count).map(|_| {
            let key = K::deserialize_reader(from)?;
            if last.is_some_and(|last| last >= key) {
                return Err(malformed("the keys of a map are not in order"));
            }
            last = Some(key);
            Ok((key, V::deserialize_reader(from)?))
        });
        entries.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::hash::Fr;

    fn map_of(bytes: &[u8]) -> Result<BTreeMap<u8, u16>> {
        let mut bytes = bytes;
        let map = map::deserialize(&mut bytes)?;
        if bytes.is_empty() { Ok(map) } else { Err(malformed("more bytes than the map has")) }
    }

    #[test]
    fn a_map_has_one_form() {
        let map = BTreeMap::from([(1u8, 7u16), (9, 0)]);
        let mut bytes = Vec::new();
        map::serialize(&map, &mut bytes).expect("into memory");
        assert_eq!(bytes, [2, 0, 0, 0, 1, 7, 0, 9, 0, 0]);
        assert_eq!(map_of(&bytes).expect("as written"), map);
        for wrong in [
            &[2, 0, 0, 0, 9, 0, 0, 1, 7, 0][..],
            &[2, 0, 0, 0, 1, 7, 0, 1, 7, 0],
            &[2, 0, 0, 0, 1, 7, 0],
            &[1, 0, 0, 0, 1, 7, 0, 9, 0, 0],
            &[255, 255, 255, 255, 1, 7, 0],
        ] {
            assert!(map_of(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_element_has_one_form() {
        let mut bytes = Vec::new();
        element::serialize(&-Fr::one(), &mut bytes).expect("into memory");
        assert_eq!(element::deserialize(&mut &bytes[..]).expect("as written"), -Fr::one());
        bytes[0] += 1;
        assert!(element::deserialize(&mut &bytes[..]).is_err(), "the modulus itself");
        assert!(element::deserialize(&mut &bytes[1..]).is_err());
    }
}
