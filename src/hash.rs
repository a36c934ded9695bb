//! The hash of the protocol: everything that is hashed inside the rollup goes through this module.
//!
//! Poseidon2 over the scalar field of BLS12-381, as a compression function with feed-forward. The
//! output is a combination of two lanes that depends on the domain, so that hashes of different
//! meaning are unrelated even where their inputs are equal; in the circuit that is free. The
//! reasons are in `docs/adr/0005-hash-domains.md`.

use std::sync::LazyLock;

use blake2::{Blake2b512, Digest};

mod batch;
#[cfg(target_arch = "x86_64")]
mod eight;
pub mod form;
pub mod poseidon2;
mod poseidon2_t4;
mod poseidon2_t8;

pub use batch::{compress4_each, hash_many_each};
/// Parameters of the permutation behind [`compress4`].
pub use poseidon2_t4::PARAMETERS as T4;
/// Parameters of the permutation behind [`compress8`].
pub use poseidon2_t8::PARAMETERS as T8;

/// The field in which state and circuits live: the scalar field of BLS12-381.
pub type Fr = bls12_381::Scalar;

/// What a hash is about. Name and number are part of the protocol: never reuse, rename or renumber.
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
    /// A message that a user signs.
    Message = 7,
    /// Challenge of a Schnorr signature.
    Challenge = 8,
    /// Digest of the public data of a block.
    PublicData = 9,
    /// What a sub-account has besides balances and order slots.
    SubAccountRest = 10,
    /// Digest of what the memory argument of a block depends on besides its public data.
    Trace = 11,
    /// Challenges of the memory argument.
    MemoryChallenge = 12,
    /// The short hash of a public key that people compare.
    PublicKey = 13,
}

/// The tags of all domains, in the order of their numbers.
static TAGS: LazyLock<[Fr; Domain::ALL.len()]> = LazyLock::new(|| Domain::ALL.map(derive_tag));

fn derive_tag(domain: Domain) -> Fr {
    let digest = Blake2b512::digest(format!("zkLink/domain/{domain:?}"));
    Fr::from_bytes_wide(&digest.into())
}

impl Domain {
    /// All domains, in the order of their numbers, which begin with one.
    pub const ALL: [Self; 13] = [
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
        Self::PublicKey,
    ];

    /// The weight of lane 1 in the output of a compression: the BLAKE2b-512 digest of the text
    /// `zkLink/domain/<Name>`, as a number of 64 bytes little-endian, modulo the field's order.
    #[must_use]
    pub fn tag(self) -> Fr {
        TAGS[self.index()]
    }

    /// The place of the domain in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

/// Compresses four elements to one: `c0 + tag * c1` with `c = P4(x) + x`.
#[must_use]
pub fn compress4(domain: Domain, lanes: [Fr; 4]) -> Fr {
    compress(&T4, domain, lanes)
}

/// Compresses eight elements to one: `c0 + tag * c1` with `c = P8(x) + x`.
#[must_use]
pub fn compress8(domain: Domain, lanes: [Fr; 8]) -> Fr {
    compress(&T8, domain, lanes)
}

fn compress<const T: usize>(
    permutation: &poseidon2::Parameters<T>,
    domain: Domain,
    lanes: [Fr; T],
) -> Fr {
    let mut state = lanes;
    permutation.permute(&mut state);
    // Without the feed-forward of lane 1, whoever runs the permutation backwards from an output
    // with a zero in it would have one hash in all domains.
    state[0] + lanes[0] + domain.tag() * (state[1] + lanes[1])
}

/// Hashes a sequence of any length: a chain of [`compress4`] over chunks of three elements, zero
/// padded, which starts from the length. The empty sequence has one chunk of zeros.
///
/// The length in the first link tells padded sequences of different lengths apart.
#[must_use]
pub fn hash_many(domain: Domain, elements: &[Fr]) -> Fr {
    let length = Fr::from(elements.len() as u64);
    if elements.is_empty() {
        return compress4(domain, [length, Fr::zero(), Fr::zero(), Fr::zero()]);
    }
    elements.chunks(3).fold(length, |link, chunk| {
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

    /// Pins the whole construction: tags, lanes, feed-forward, padding.
    #[test]
    fn known_values() {
        let node = compress4(Domain::Node, small());
        assert_eq!(shown(node), "5cb4f0e1fcce32ea861ccb050f20905f334560e0f72ccf0fdcc589c772c9af04");
        let public_data = compress8(Domain::PublicData, small());
        assert_eq!(
            shown(public_data),
            "33ef8594d016e46e05bbcb15017211c0eb2cbdefb05a6cb95150463bb41ac162"
        );
        let message = hash_many(Domain::Message, &small::<4>());
        assert_eq!(
            shown(message),
            "703b90a9dff37449401873a12f0b69f8ae2f145d9256ebf079f19d883d94b4d4"
        );
    }

    #[test]
    fn the_output_is_lane_zero_and_tag_times_lane_one_with_feed_forward() {
        let mut state = small::<4>();
        T4.permute(&mut state);
        let tag = Domain::SubAccountLeaf.tag();
        let expected = state[0] + Fr::from(1) + tag * (state[1] + Fr::from(2));
        assert_eq!(compress4(Domain::SubAccountLeaf, small()), expected);
        let mut state = small::<8>();
        T8.permute(&mut state);
        let expected = state[0] + Fr::from(1) + Domain::Trace.tag() * (state[1] + Fr::from(2));
        assert_eq!(compress8(Domain::Trace, small()), expected);
    }

    #[test]
    fn domains_are_numbered_from_one_and_their_tags_differ() {
        let mut tags = std::collections::BTreeSet::new();
        for (index, domain) in Domain::ALL.into_iter().enumerate() {
            assert_eq!((domain as usize, domain.index()), (index + 1, index));
            assert!(tags.insert(domain.tag().to_bytes()), "{domain:?} shares a tag");
        }
        assert_eq!(
            shown(Domain::Node.tag()),
            "0df1e51e3b5f0dc6d2d92efa0d41f8371113f03dcaa66d51d24dc57a7b717bda"
        );
    }

    #[test]
    fn no_two_domains_share_a_hash_of_anything_tried() {
        let zeros = [Fr::zero(); 8];
        for lanes in [small::<8>(), zeros, small::<8>().map(|lane| -lane)] {
            let mut seen = std::collections::BTreeSet::new();
            for domain in Domain::ALL {
                let narrow = [lanes[0], lanes[1], lanes[2], lanes[3]];
                let hashes = [compress4(domain, narrow), compress8(domain, lanes)];
                for hash in hashes.into_iter().chain([hash_many(domain, &[])]) {
                    seen.insert(hash.to_bytes());
                }
            }
            // The hash of nothing is that of four zeros.
            let shared = if lanes == zeros { 1 } else { 0 };
            assert_eq!(seen.len(), (3 - shared) * Domain::ALL.len());
        }
    }

    /// With domains added to a lane, a shift of that lane gave outputs of a constant difference.
    #[test]
    fn hashes_of_two_domains_have_no_constant_difference() {
        let shift = Domain::AccountLeaf.tag() - Domain::Node.tag();
        let difference = |lanes: [Fr; 4], shift: Fr| {
            let [x0, x1, x2, x3] = lanes;
            compress4(Domain::Node, lanes)
                - compress4(Domain::AccountLeaf, [x0 + shift, x1, x2, x3])
        };
        for shift in [Fr::zero(), Fr::one(), -Fr::one(), shift, -shift] {
            let other = small().map(|lane: Fr| lane.double());
            assert_ne!(difference(small(), shift), difference(other, shift));
        }
    }

    /// Backwards from any output: the hashes of two domains stay apart.
    #[test]
    fn a_chosen_output_of_the_permutation_gives_no_collision() {
        let preimage = |output: [Fr; 4]| {
            let mut state = output;
            poseidon2::backwards::invert(&T4, &mut state);
            state
        };
        for lane in [Fr::zero(), Fr::one()] {
            let output = [Fr::from(5), lane, Fr::from(6), Fr::from(7)];
            let lanes = preimage(output);
            let mut again = lanes;
            T4.permute(&mut again);
            assert_eq!(again, output);
            assert_ne!(compress4(Domain::Node, lanes), compress4(Domain::System, lanes));
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
        assert_eq!(hash_many(Domain::Message, &[]), compress4(Domain::Message, [Fr::zero(); 4]));
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
