//! A secp256k1 key of ours: of the validator, an attester, a deployer, or a user of the
//! demonstration.

use std::fmt;

use k256::ecdsa::{RecoveryId, Signature, SigningKey};
use zklink::token::Address;
use zklink::tx::{evm_address, keccak};

/// The text is no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a private key is 64 hex digits, not zero and below the order of secp256k1")]
pub struct BadPrivateKey;

/// A private key with its address. It is wiped when dropped, and is never shown: `Debug` gives the
/// address only.
#[derive(Clone)]
pub struct EthKey {
    key: SigningKey,
    address: Address,
}

impl EthKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// [`BadPrivateKey`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BadPrivateKey> {
        let key = SigningKey::from_slice(bytes).map_err(|_| BadPrivateKey)?;
        let address = evm_address(key.verifying_key());
        Ok(Self { key, address })
    }

    /// Reads a private key in hex, with or without 0x.
    ///
    /// # Errors
    /// [`BadPrivateKey`].
    pub fn from_hex(text: &str) -> Result<Self, BadPrivateKey> {
        let mut bytes = [0; 32];
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| BadPrivateKey)?;
        Self::from_bytes(&bytes)
    }

    /// The key that a seed gives: for demonstrations and tests, where keys must be the same every
    /// time.
    pub fn from_seed(seed: &str) -> Self {
        let mut bytes = keccak(&[b"zkLink key from seed", seed.as_bytes()]);
        loop {
            // All but one in 2^128 hashes are a key.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
            bytes = keccak(&[&bytes]);
        }
    }

    /// The address that belongs to the key.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Signs a digest: r, s, and v of 27 or 28, as contracts want it. The same digest gives the
    /// same signature.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> [u8; 65] {
        let (signature, recovery) = self.sign(digest);
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + recovery.to_byte();
        bytes
    }

    /// The parts of a signature over a digest, with a low s.
    pub fn sign(&self, digest: &[u8; 32]) -> (Signature, RecoveryId) {
        // Signing a digest of 32 bytes fails only for a nonce of zero, which RFC 6979 does not
        // give.
        self.key.sign_prehash_recoverable(digest).expect("a digest of 32 bytes can be signed")
    }
}

impl fmt::Debug for EthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EthKey(of 0x{})", hex::encode(self.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first account of the test mnemonic of many development chains.
    const KNOWN: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    #[test]
    fn a_key_has_the_address_that_everybody_computes() {
        let key = EthKey::from_hex(KNOWN).unwrap();
        assert_eq!(hex::encode(key.address()), "f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        let shown = format!("{key:?}");
        assert!(!shown.contains("ac0974"), "{shown}");
    }

    #[test]
    fn what_is_signed_recovers_to_the_address() {
        let key = EthKey::from_seed("attester");
        let digest = keccak(&[b"message"]);
        let signature = key.sign_digest(&digest);
        assert_eq!(zklink::tx::recover(&digest, &signature), Some(key.address()));
        assert_eq!(signature, key.sign_digest(&digest));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        for text in ["", "0x12", &"0".repeat(64), order, &"g".repeat(64)] {
            assert_eq!(EthKey::from_hex(text).map(|key| key.address()), Err(BadPrivateKey));
        }
    }
}
