//! Poseidon2: parameters, their digest, and examples of each construction.

use serde::Serialize;
use sha2::{Digest, Sha256};
use zklink::hash::poseidon2::{FULL_ROUNDS_PER_END, M4, Parameters, external_matrix};
use zklink::hash::{Domain, Fr, T4, T8, compress4, compress8, fr_to_be_bytes, hash_many};
use zklink::tree::Tree;

use super::{bytes, word, words};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vectors {
    modulus: String,
    m4: [[u64; 4]; 4],
    permutations: Vec<Permutation>,
    domains: Vec<DomainExample>,
    compress4: Vec<Example>,
    compress8: Vec<Example>,
    hash_many: Vec<Example>,
    trees: Vec<TreeExample>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Permutation {
    width: usize,
    exponent: u8,
    full_rounds: usize,
    partial_rounds: usize,
    external_matrix: Vec<Vec<u64>>,
    diagonal: Vec<String>,
    first_full: Vec<Vec<String>>,
    partial: Vec<String>,
    last_full: Vec<Vec<String>>,
    /// SHA-256 of diagonal, first full, partial and last full constants, as 32-byte words in this order.
    parameters_digest: String,
    input: Vec<String>,
    output: Vec<String>,
}

#[derive(Serialize)]
struct DomainExample {
    name: String,
    number: u64,
    tag: String,
}

#[derive(Serialize)]
struct Example {
    domain: u64,
    input: Vec<String>,
    output: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TreeExample {
    depth: usize,
    empty_leaf: String,
    indices: Vec<u64>,
    leaves: Vec<String>,
    root: String,
}

pub(super) fn vectors() -> Vectors {
    let mut modulus = fr_to_be_bytes(-Fr::one());
    // The modulus is odd, so that adding one to its last byte less one carries nothing.
    modulus[31] += 1;
    let domains = Domain::ALL.map(|domain| DomainExample {
        name: format!("{domain:?}"),
        number: domain as u64,
        tag: word(domain.tag()),
    });
    let many = [0, 1, 3, 4, 6].map(|length| {
        let input = counting::<6>();
        let output = hash_many(Domain::AccountLeaf, &input[..length]);
        example(Domain::AccountLeaf, &input[..length], output)
    });
    Vectors {
        modulus: bytes(&modulus),
        m4: M4,
        permutations: vec![permutation(&T4), permutation(&T8)],
        domains: domains.into(),
        compress4: Domain::ALL.iter().map(|domain| compressed4(*domain, counting())).collect(),
        compress8: vec![compressed8(counting()), compressed8(extremes())],
        hash_many: many.into(),
        trees: vec![
            tree(3, Fr::zero(), &[]),
            tree(3, Fr::from(5), &[0, 5, 63]),
            tree(12, Fr::zero(), &[1 << 23]),
        ],
    }
}

/// 1, 2, 3, and so on.
fn counting<const N: usize>() -> [Fr; N] {
    std::array::from_fn(|index| Fr::from(index as u64 + 1))
}

/// -1, -2, -3, and so on: elements of full width.
fn extremes<const N: usize>() -> [Fr; N] {
    counting().map(|element: Fr| -element)
}

fn permutation<const T: usize>(parameters: &Parameters<T>) -> Permutation {
    let rows = |constants: &[[Fr; T]]| constants.iter().map(|row| words(row)).collect::<Vec<_>>();
    let mut hasher = Sha256::new();
    let constants = parameters
        .diagonal
        .iter()
        .chain(parameters.first_full.iter().flatten())
        .chain(parameters.partial)
        .chain(parameters.last_full.iter().flatten());
    for constant in constants {
        hasher.update(fr_to_be_bytes(*constant));
    }
    let input: [Fr; T] = extremes();
    let mut output = input;
    parameters.permute(&mut output);
    Permutation {
        width: T,
        exponent: 5,
        full_rounds: 2 * FULL_ROUNDS_PER_END,
        partial_rounds: parameters.partial.len(),
        external_matrix: external_matrix::<T>().iter().map(|row| row.to_vec()).collect(),
        diagonal: words(&parameters.diagonal),
        first_full: rows(&parameters.first_full),
        partial: words(parameters.partial),
        last_full: rows(&parameters.last_full),
        parameters_digest: bytes(&hasher.finalize()),
        input: words(&input),
        output: words(&output),
    }
}

fn example(domain: Domain, input: &[Fr], output: Fr) -> Example {
    Example { domain: domain as u64, input: words(input), output: word(output) }
}

fn compressed4(domain: Domain, input: [Fr; 4]) -> Example {
    example(domain, &input, compress4(domain, input))
}

fn compressed8(input: [Fr; 8]) -> Example {
    example(Domain::PublicData, &input, compress8(Domain::PublicData, input))
}

fn tree(depth: usize, empty: Fr, indices: &[u64]) -> TreeExample {
    let mut tree = Tree::new(depth, empty);
    let leaves: Vec<Fr> = indices.iter().map(|index| Fr::from(1000 + index)).collect();
    for (index, leaf) in indices.iter().zip(&leaves) {
        tree.set(*index, *leaf);
    }
    TreeExample {
        depth,
        empty_leaf: word(empty),
        indices: indices.to_vec(),
        leaves: words(&leaves),
        root: word(tree.root()),
    }
}
