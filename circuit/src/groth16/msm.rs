//! Multi-exponentiation: `sum_i scalar_i point_i`.

use bls12_381::Scalar;
use rayon::prelude::*;

use super::point::Group;

/// The sum of `scalars[i] · points[i]`.
///
/// # Panics
/// If the lengths differ; a [`super::key::ProvingKey`] guarantees that they do not.
pub(crate) fn multi_exp<G: Group>(points: &[G::Affine], scalars: &[Scalar]) -> G::Point {
    assert_eq!(points.len(), scalars.len(), "each point has one scalar");
    let bytes: Vec<u8> = scalars.par_iter().flat_map_iter(|scalar| scalar.to_bytes()).collect();
    G::pippenger(points, &bytes)
}
