//! Many compressions that do not depend on each other: what a tree hashes of a level.
//!
//! The results are those of [`compress4`] one by one. Processors with AVX-512 IFMA do eight at a time.

use super::{Domain, Fr, compress4};

/// [`compress4`] of each input.
#[must_use]
pub fn compress4_each(domain: Domain, inputs: &[[Fr; 4]]) -> Vec<Fr> {
    #[cfg(target_arch = "x86_64")]
    if inputs.len() >= WORTH && crate::ifma::is_there() {
        return in_eights(domain, inputs);
    }
    inputs.iter().map(|lanes| compress4(domain, *lanes)).collect()
}

/// [`super::hash_many`] of each of several sequences of the same length.
#[must_use]
pub fn hash_many_each<const N: usize>(domain: Domain, sequences: &[[Fr; N]]) -> Vec<Fr> {
    const { assert!(N > 0, "the empty sequence has a form of its own") };
    let mut links = vec![Fr::from(N as u64); sequences.len()];
    for begin in (0..N).step_by(3) {
        let chunk = |(link, sequence): (&Fr, &[Fr; N])| {
            let mut lanes = [*link, Fr::zero(), Fr::zero(), Fr::zero()];
            let elements = &sequence[begin..N.min(begin + 3)];
            lanes[1..=elements.len()].copy_from_slice(elements);
            lanes
        };
        let inputs: Vec<[Fr; 4]> = links.iter().zip(sequences).map(chunk).collect();
        links = compress4_each(domain, &inputs);
    }
    links
}

/// From so many on, eight at once take less time than one after the other.
#[cfg(target_arch = "x86_64")]
const WORTH: usize = 2;

#[cfg(target_arch = "x86_64")]
fn in_eights(domain: Domain, inputs: &[[Fr; 4]]) -> Vec<Fr> {
    use super::eight;
    use crate::ifma::LANES;
    let (eights, rest) = inputs.as_chunks::<LANES>();
    let (pairs, single) = eights.as_chunks::<2>();
    let mut hashes: Vec<Fr> = Vec::with_capacity(inputs.len());
    hashes.extend(pairs.iter().flat_map(|pair| eight::compress4(domain, pair)).flatten());
    hashes.extend(single.iter().flat_map(|one| eight::compress4(domain, &[*one])).flatten());
    if rest.len() < WORTH {
        hashes.extend(rest.iter().map(|lanes| compress4(domain, *lanes)));
    } else {
        let mut padded = [[Fr::zero(); 4]; LANES];
        padded[..rest.len()].copy_from_slice(rest);
        hashes.extend(&eight::compress4(domain, &[padded])[0][..rest.len()]);
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::super::hash_many;
    use super::*;

    fn input(number: u64) -> [Fr; 4] {
        [0, 1, 2, 3].map(|place| Fr::from(number * 4 + place))
    }

    #[test]
    fn every_length_gives_the_hashes_one_by_one() {
        for length in 0..35 {
            let inputs: Vec<[Fr; 4]> = (0..length).map(input).collect();
            let expected: Vec<Fr> =
                inputs.iter().map(|lanes| compress4(Domain::Node, *lanes)).collect();
            assert_eq!(compress4_each(Domain::Node, &inputs), expected, "{length}");
        }
    }

    #[test]
    fn sequences_are_hashed_as_alone() {
        fn compare<const N: usize>() {
            let sequence = |number: u64| std::array::from_fn(|at| Fr::from(number + at as u64));
            let sequences: Vec<[Fr; N]> = (0..11).map(sequence).collect();
            let expected: Vec<Fr> =
                sequences.iter().map(|one| hash_many(Domain::Message, one)).collect();
            assert_eq!(hash_many_each(Domain::Message, &sequences), expected, "{N}");
        }
        compare::<1>();
        compare::<3>();
        compare::<4>();
        compare::<6>();
    }
}
