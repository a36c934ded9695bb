//! What Ethereum signs and hashes with: Keccak-256, ABI words, and addresses recovered from secp256k1 signatures.

use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, VerifyingKey};
use sha3::{Digest, Keccak256};

/// The EVM address that made a signature of 65 bytes over a digest. High `s` values and odd `v` are refused, as the
/// contract refuses them.
pub fn recover(digest: &[u8; 32], signature: &[u8; 65]) -> Option<[u8; 20]> {
    let id = RecoveryId::from_byte(signature[64].checked_sub(27)?)?;
    if id.is_x_reduced() {
        return None;
    }
    let parsed = EcdsaSignature::from_slice(&signature[..64]).ok()?;
    if parsed.normalize_s().is_some() {
        return None;
    }
    let key = VerifyingKey::recover_from_prehash(digest, &parsed, id).ok()?;
    Some(evm_address(&key))
}

/// The EVM address of a secp256k1 key.
pub fn evm_address(key: &VerifyingKey) -> [u8; 20] {
    let point = key.to_encoded_point(false);
    let hash = keccak(&[&point.as_bytes()[1..]]);
    hash[12..].try_into().expect("32 - 12 = 20")
}

/// Keccak-256 of the parts, joined.
pub fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Bytes as an ABI word: right-aligned in 32.
pub(crate) fn word(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    word[32 - bytes.len()..].copy_from_slice(bytes);
    word
}
