//! The hash of the protocol: everything that is hashed inside the rollup goes through this module.
//!
//! Poseidon2 over the scalar field of BLS12-381, as a compression function with feed-forward. A
//! domain is added to lane 0, so that values of different meaning never share a preimage; in the
//! circuit that addition is free.

pub mod form;
pub mod poseidon2;
mod poseidon2_t4;
mod poseidon2_t8;

/// Parameters of the permutation behind [`compress4`].
pub use poseidon2_t4::PARAMETERS as T4;
/// Parameters of the permutation behind [`compress8`].
pub use poseidon2_t8::PARAMETERS as T8;

/// The field in which state and circuits live: the scalar field of BLS12-381.
pub type Fr = bls12_381::Scalar;

/// What a hash is about. The number is part of the protocol: never reuse or renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Domain {
    /// Inner node of any tree.
    Node = 1,
    /// Leaf of the account tree.
    AccountLeaf = 2,
    /// Leaf of a sub-account tree.
    SubAccountLeaf = 3,
    /// Leaf of the chain tree.
    ChainLeaf = 4,
    /// Block number, time, fee account and deployment.
    System = 5,
    /// The state root over the trees.
    StateRoot = 6,
    /// A message that a user signs, and the hash of a public key.
    Message = 7,
    /// Challenge of a Schnorr signature.
    Challenge = 8,
    /// Digest of the public data of a block.
    PublicData = 9,
    /// Positions, collaterals and extension of a sub-account.
    SubAccountRest = 10,
    /// Digest of the trace of memory accesses.
    Trace = 11,
    /// Challenges of the memory argument.
    MemoryChallenge = 12,
}

impl Domain {
    /// All domains, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Node,
        Self::AccountLeaf,
        Self::SubAccountLeaf,
        Self::ChainLeaf,
        Self::System,
        Self::StateRoot,
        Self::Message,
        Self::Challenge,
        Self::PublicData,
        Self::SubAccountRest,
        Self::Trace,
        Self::MemoryChallenge,
    ];

    /// The field element that is added to lane 0.
    #[must_use]
    pub fn tag(self) -> Fr {
        Fr::from(self as u64)
    }
}

/// Compresses four elements to one: `P4(x0 + domain, x1, x2, x3)[0] + x0`.
#[must_use]
pub fn compress4(domain: Domain, lanes: [Fr; 4]) -> Fr {
    let mut state = lanes;
    state[0] += domain.tag();
    T4.permute(&mut state);
    state[0] + lanes[0]
}

/// Compresses eight elements to one: `P8(x0 + domain, x1, .., x7)[0] + x0`.
#[must_use]
pub fn compress8(domain: Domain, lanes: [Fr; 8]) -> Fr {
    let mut state = lanes;
    state[0] += domain.tag();
    T8.permute(&mut state);
    state[0] + lanes[0]
}

/// Hashes a sequence of any length: a chain of [`compress4`] over chunks of three elements, zero
/// padded, which starts from the length.
///
/// The length in the first link tells padded sequences of different lengths apart.
#[must_use]
pub fn hash_many(domain: Domain, elements: &[Fr]) -> Fr {
    elements.chunks(3).fold(Fr::from(elements.len() as u64), |link, chunk| {
        let mut lanes = [link, Fr::zero(), Fr::zero(), Fr::zero()];
        lanes[1..=chunk.len()].copy_from_slice(chunk);
        compress4(domain, lanes)
    })
}

/// The canonical 32-byte big-endian encoding, as contracts see it.
#[must_use]
pub fn fr_to_be_bytes(element: Fr) -> [u8; 32] {
    let mut bytes = element.to_bytes();
    bytes.reverse();
    bytes
}

/// Reads a big-endian encoding; `None` when the number is not smaller than the modulus.
#[must_use]
pub fn fr_from_be_bytes(mut bytes: [u8; 32]) -> Option<Fr> {
    bytes.reverse();
    Fr::from_bytes(&bytes).into_option()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small<const N: usize>() -> [Fr; N] {
        std::array::from_fn(|index| Fr::from(index as u64 + 1))
    }

    fn shown(element: Fr) -> String {
        hex::encode(fr_to_be_bytes(element))
    }

    /// Pins the whole construction: domain, lane, feed-forward, padding.
    #[test]
    fn known_values() {
        let node = compress4(Domain::Node, small());
        assert_eq!(shown(node), "0e704765b11eb774b3b615985cee062f6280b59d90e4938eccf930fa63dc70b8");
        let public_data = compress8(Domain::PublicData, small());
        assert_eq!(
            shown(public_data),
            "5b209369808fe5765086d4cec20587567c57b41d964a63b54938f7fd1b5eb5f5"
        );
        let message = hash_many(Domain::Message, &small::<4>());
        assert_eq!(
            shown(message),
            "4a50d6d63b18b4ad001bef97338ad7648bd53a348ab35eabbcc8f209d7c02ccb"
        );
    }

    #[test]
    fn the_feed_forward_is_lane_zero_without_its_domain() {
        let mut state = small::<4>();
        state[0] += Fr::from(3);
        T4.permute(&mut state);
        assert_eq!(compress4(Domain::SubAccountLeaf, small()), state[0] + Fr::one());
    }

    #[test]
    fn domains_are_numbered_from_one_and_separate() {
        let mut seen = Vec::new();
        for (index, domain) in Domain::ALL.into_iter().enumerate() {
            assert_eq!(domain as usize, index + 1);
            let hash = compress4(domain, small());
            assert!(!seen.contains(&hash), "{domain:?} shares a hash");
            seen.push(hash);
        }
    }

    #[test]
    fn hash_many_tells_lengths_and_padding_apart() {
        let zeros = [Fr::zero(); 7];
        let mut seen = Vec::new();
        for length in 0..=7 {
            let hash = hash_many(Domain::Message, &zeros[..length]);
            assert!(!seen.contains(&hash), "length {length} shares a hash");
            seen.push(hash);
        }
        let first = compress4(Domain::Message, [Fr::from(4), Fr::one(), Fr::from(2), Fr::from(3)]);
        let second = compress4(Domain::Message, [first, Fr::from(4), Fr::zero(), Fr::zero()]);
        assert_eq!(hash_many(Domain::Message, &small::<4>()), second);
        assert_eq!(hash_many(Domain::Message, &[]), Fr::zero());
    }

    #[test]
    fn only_canonical_bytes_are_read() {
        let largest = -Fr::one();
        assert_eq!(fr_from_be_bytes(fr_to_be_bytes(largest)), Some(largest));
        let mut modulus = fr_to_be_bytes(largest);
        modulus[31] += 1;
        assert_eq!(fr_from_be_bytes(modulus), None);
        assert_eq!(fr_from_be_bytes([0xff; 32]), None);
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(fr_from_be_bytes(one), Some(Fr::one()));
    }
}
