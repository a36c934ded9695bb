//! Encodings for a verifier on an EVM chain with the precompiles of EIP-2537.
//!
//! There a coordinate in Fp is 64 bytes: 16 zero bytes and 48 big-endian ones. G1 is `x‖y`, G2 is
//! `x.c0‖x.c1‖y.c0‖y.c1` (zcash's encoding, which bellman writes, puts c1 first), the identity is
//! all zero, and a scalar is 32 bytes, big-endian.

use std::ops::Neg as _;

use bellman::groth16::{Proof, VerifyingKey};
use bls12_381::{Bls12, G1Affine, G2Affine, Scalar};

/// Bytes of a point of G1.
pub const G1_BYTES: usize = 128;
/// Bytes of a point of G2.
pub const G2_BYTES: usize = 256;
/// Bytes of a proof.
pub const PROOF_BYTES: usize = 2 * G1_BYTES + G2_BYTES;

/// Bytes of one coordinate in zcash's encoding.
const FP: usize = 48;
/// Bytes of one coordinate in EIP-2537.
const PADDED: usize = 64;

/// Copies coordinates `order[0]`, `order[1]`, … of `plain` into `out`, each padded to 64 bytes.
fn pad(plain: &[u8], order: &[usize], out: &mut [u8]) {
    for (slot, &coordinate) in out.chunks_exact_mut(PADDED).zip(order) {
        slot[PADDED - FP..].copy_from_slice(&plain[coordinate * FP..(coordinate + 1) * FP]);
    }
}

/// A point of G1.
pub fn g1_to_evm(point: &G1Affine) -> [u8; G1_BYTES] {
    let mut out = [0u8; G1_BYTES];
    // The identity's flag is a bit of the first byte and must not reach the precompile.
    if !bool::from(point.is_identity()) {
        pad(&point.to_uncompressed(), &[0, 1], &mut out);
    }
    out
}

/// A point of G2.
pub fn g2_to_evm(point: &G2Affine) -> [u8; G2_BYTES] {
    let mut out = [0u8; G2_BYTES];
    if !bool::from(point.is_identity()) {
        pad(&point.to_uncompressed(), &[1, 0, 3, 2], &mut out);
    }
    out
}

/// A scalar, below the group order by its type.
pub fn scalar_to_evm(scalar: &Scalar) -> [u8; 32] {
    let mut bytes = scalar.to_bytes();
    bytes.reverse();
    bytes
}

/// A proof: A (128 bytes), B (256), C (128).
pub fn proof_to_evm(proof: &Proof<Bls12>) -> [u8; PROOF_BYTES] {
    let mut out = [0u8; PROOF_BYTES];
    let (a, rest) = out.split_at_mut(G1_BYTES);
    let (b, c) = rest.split_at_mut(G2_BYTES);
    a.copy_from_slice(&g1_to_evm(&proof.a));
    b.copy_from_slice(&g2_to_evm(&proof.b));
    c.copy_from_slice(&g1_to_evm(&proof.c));
    out
}

/// A verifying key: α, -β, -γ, -δ, then the points of the inputs, that of the constant 1 first.
///
/// Signs are turned here so that a contract checks one product of pairings against 1:
/// `e(A, B) e(α, -β) e(Σ x_i ic_i, -γ) e(C, -δ) = 1`.
pub fn verifying_key_to_evm(key: &VerifyingKey<Bls12>) -> Vec<u8> {
    let mut out = Vec::with_capacity(G1_BYTES * (1 + key.ic.len()) + 3 * G2_BYTES);
    out.extend_from_slice(&g1_to_evm(&key.alpha_g1));
    for point in [&key.beta_g2, &key.gamma_g2, &key.delta_g2] {
        out.extend_from_slice(&g2_to_evm(&point.neg()));
    }
    for point in &key.ic {
        out.extend_from_slice(&g1_to_evm(point));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const G1_X: &str = "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58\
                        6c55e83ff97a1aeffb3af00adb22c6bb";
    const G2_X_C0: &str = "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d177\
                           0bac0326a805bbefd48056c8c121bdb8";
    const G2_X_C1: &str = "13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049\
                           334cf11213945d57e5ac7d055d042b7e";

    #[test]
    fn generators_are_encoded_as_the_standard_writes_them() {
        let first = hex::encode(g1_to_evm(&G1Affine::generator()));
        assert_eq!(first[..128], format!("{}{G1_X}", "0".repeat(32)));
        let second = hex::encode(g2_to_evm(&G2Affine::generator()));
        let zeros = "0".repeat(32);
        assert_eq!(second[..256], format!("{zeros}{G2_X_C0}{zeros}{G2_X_C1}"));
    }

    #[test]
    fn identities_are_all_zero() {
        assert_eq!(g1_to_evm(&G1Affine::identity()), [0; G1_BYTES]);
        assert_eq!(g2_to_evm(&G2Affine::identity()), [0; G2_BYTES]);
    }

    #[test]
    fn scalars_are_big_endian() {
        let bytes = scalar_to_evm(&Scalar::from(0x0102));
        assert_eq!(bytes[30..], [1, 2]);
        assert_eq!(bytes[..30], [0; 30]);
    }

    #[test]
    fn proof_and_key_have_their_layout() {
        let (one, two) = (G1Affine::generator(), G2Affine::generator());
        let minus = G1Affine::from(-bls12_381::G1Projective::generator());
        let proof = Proof::<Bls12> { a: one, b: two, c: minus };
        let bytes = proof_to_evm(&proof);
        assert_eq!(bytes[..128], g1_to_evm(&one));
        assert_eq!(bytes[128..384], g2_to_evm(&two));
        assert_eq!(bytes[384..], g1_to_evm(&minus));
        let key = VerifyingKey::<Bls12> {
            alpha_g1: one,
            beta_g1: one,
            beta_g2: two,
            gamma_g2: two,
            delta_g1: one,
            delta_g2: G2Affine::identity(),
            ic: vec![minus, one],
        };
        let bytes = verifying_key_to_evm(&key);
        assert_eq!(bytes.len(), 128 + 3 * 256 + 2 * 128);
        assert_eq!(bytes[..128], g1_to_evm(&one));
        assert_eq!(bytes[128..384], g2_to_evm(&-two), "beta with its sign turned");
        assert_eq!(bytes[640..896], [0; 256], "an identity stays zero when negated");
        assert_eq!(bytes[896..1024], g1_to_evm(&minus));
    }
}
