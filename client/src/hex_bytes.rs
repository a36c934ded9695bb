//! Bytes that travel as 0x-hex.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zklink::hash::{Fr, fr_to_be_bytes};
use zklink::tx::TxHash;

/// Exactly `N` bytes, in JSON 0x and 2N hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexBytes<const N: usize>(pub [u8; N]);

/// 32 bytes: a transaction hash, a root, an L1 transaction hash.
pub type Hash = HexBytes<32>;

impl<const N: usize> fmt::Display for HexBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for HexBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text is not 0x-hex of the right length.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 0x and {0} hex digits")]
pub struct BadHex(usize);

impl<const N: usize> FromStr for HexBytes<N> {
    type Err = BadHex;

    fn from_str(text: &str) -> Result<HexBytes<N>, BadHex> {
        let bad = BadHex(2 * N);
        let Some(digits) = text.strip_prefix("0x") else { return Err(bad) };
        let mut bytes = [0; N];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| bad)?;
        Ok(HexBytes(bytes))
    }
}

impl<const N: usize> Serialize for HexBytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for HexBytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HexBytes<N>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl From<TxHash> for Hash {
    fn from(hash: TxHash) -> Hash {
        HexBytes(hash.0)
    }
}

impl From<Hash> for TxHash {
    fn from(hash: Hash) -> TxHash {
        TxHash(hash.0)
    }
}

impl From<Fr> for Hash {
    fn from(element: Fr) -> Hash {
        HexBytes(fr_to_be_bytes(element))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_0x_and_exactly_the_digits() {
        let bytes: HexBytes<2> = "0xab01".parse().unwrap();
        assert_eq!(bytes, HexBytes([0xab, 1]));
        assert_eq!(serde_json::to_string(&bytes).unwrap(), "\"0xab01\"");
        for bad in ["ab01", "0xab", "0xab0102", "0xzz01", ""] {
            assert_eq!(bad.parse::<HexBytes<2>>(), Err(BadHex(4)), "{bad}");
        }
    }
}
