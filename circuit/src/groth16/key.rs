//! A key in the form that the prover computes with.

use bellman::groth16::{Parameters, PreparedVerifyingKey, VerifyingKey, prepare_verifying_key};
use bls12_381::{Bls12, G1Affine, G2Affine};
use rayon::prelude::*;

use super::fft::Domain;
use super::point::{Affine as _, G1, G2, Group};
use super::r1cs::R1cs;

type Affine<G> = <G as Group>::Affine;

/// Why parameters do not make a proving key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// A point that the proof's soundness or correctness rests on is the identity.
    #[error("the key is degenerate: {point} is the point at infinity; make a new key")]
    Degenerate {
        /// Which point.
        point: &'static str,
    },
    /// The number of points does not fit the constraint system.
    #[error(
        "the key has {found} points in {query}, the constraint system needs {expected}; it \
             belongs to another circuit, make a new key"
    )]
    Shape {
        /// Which query.
        query: &'static str,
        /// What the system needs.
        expected: usize,
        /// What the key has.
        found: usize,
    },
    /// A point is not on its curve or, where that was checked, not in the subgroup.
    #[error("a point of {query} is not on the curve or outside the subgroup; make a new key")]
    InvalidPoint {
        /// Which query.
        query: &'static str,
    },
}

/// The point lists of a key as blst has them.
pub(crate) struct Queries {
    /// The H query followed by the L query: a proof needs only the sum of both products.
    pub(crate) h_and_l: Vec<Affine<G1>>,
    pub(crate) a: Vec<Affine<G1>>,
    pub(crate) b_g1: Vec<Affine<G1>>,
    pub(crate) b_g2: Vec<Affine<G2>>,
}

/// How many points each query of a constraint system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) h: usize,
    pub(crate) l: usize,
    pub(crate) a: usize,
    pub(crate) b: usize,
}

/// Everything that proving needs and that does not depend on a witness.
pub struct ProvingKey {
    digest: [u8; 32],
    pub(crate) vk: VerifyingKey<Bls12>,
    pub(crate) prepared: PreparedVerifyingKey<Bls12>,
    pub(crate) queries: Queries,
    pub(crate) lengths: Lengths,
    /// Columns of the points in `queries.a`.
    pub(crate) a_columns: Vec<u32>,
    /// Columns of the points in `queries.b_g1` and `queries.b_g2`.
    pub(crate) b_columns: Vec<u32>,
    pub(crate) domain: Domain,
}

impl std::fmt::Debug for ProvingKey {
    /// Digest and sizes; the points would fill screens.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ProvingKey")
            .field("digest", &hex::encode(self.digest))
            .field("lengths", &self.lengths)
            .finish_non_exhaustive()
    }
}

impl ProvingKey {
    /// Prepares bellman's parameters, from whatever generator, for proofs about `system`.
    ///
    /// # Errors
    /// [`KeyError`] if the parameters are degenerate or do not fit the system. That they were
    /// made for these coefficients cannot be seen here; every proof is verified for that reason.
    pub fn from_parameters(
        parameters: &Parameters<Bls12>,
        system: &R1cs,
    ) -> Result<Self, KeyError> {
        let mut h_and_l = from_bellman::<G1>(&parameters.h);
        h_and_l.extend(from_bellman::<G1>(&parameters.l));
        let queries = Queries {
            h_and_l,
            a: from_bellman::<G1>(&parameters.a),
            b_g1: from_bellman::<G1>(&parameters.b_g1),
            b_g2: from_bellman::<G2>(&parameters.b_g2),
        };
        Self::new(parameters.vk.clone(), parameters.h.len(), queries, system)
    }

    /// Assembles a key whose first `h` points of `queries.h_and_l` are the H query.
    pub(crate) fn new(
        vk: VerifyingKey<Bls12>,
        h: usize,
        queries: Queries,
        system: &R1cs,
    ) -> Result<Self, KeyError> {
        let a_columns = system.dense_columns(system.a());
        let b_columns = system.dense_columns(system.b());
        let lengths = Lengths {
            h: (1 << system.log_domain()) - 1,
            l: system.aux(),
            a: a_columns.len(),
            b: b_columns.len(),
        };
        refuse_degenerate(&vk)?;
        refuse_misfit("ic", system.inputs(), vk.ic.len())?;
        refuse_misfit("h", lengths.h, h)?;
        refuse_misfit("l", lengths.l, queries.h_and_l.len().saturating_sub(h))?;
        refuse_misfit("a", lengths.a, queries.a.len())?;
        refuse_misfit("b_g1", lengths.b, queries.b_g1.len())?;
        refuse_misfit("b_g2", lengths.b, queries.b_g2.len())?;
        refuse_identities::<G1>("h or l", &queries.h_and_l)?;
        refuse_identities::<G1>("a", &queries.a)?;
        refuse_identities::<G1>("b_g1", &queries.b_g1)?;
        refuse_identities::<G2>("b_g2", &queries.b_g2)?;
        Ok(Self {
            digest: system.digest(),
            prepared: prepare_verifying_key(&vk),
            vk,
            queries,
            lengths,
            a_columns,
            b_columns,
            domain: Domain::new(system.log_domain()),
        })
    }

    /// Digest of the constraint system that the key was made for.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The key that proofs are verified with.
    pub fn verifying_key(&self) -> &VerifyingKey<Bls12> {
        &self.vk
    }
}

fn from_bellman<G: Group>(points: &[G::Bellman]) -> Vec<G::Affine> {
    points.par_iter().map(G::from_bellman).collect()
}

fn refuse_misfit(query: &'static str, expected: usize, found: usize) -> Result<(), KeyError> {
    if expected == found { Ok(()) } else { Err(KeyError::Shape { query, expected, found }) }
}

fn refuse_identities<G: Group>(query: &'static str, points: &[G::Affine]) -> Result<(), KeyError> {
    if points.par_iter().any(|point| point.is_identity()) {
        return Err(KeyError::Degenerate { point: query });
    }
    Ok(())
}

/// Refuses a verifying key with a point at infinity: with δ or γ there, anybody can make proofs of
/// anything; with α or β there, or an input without a point, statements are not bound.
pub(crate) fn refuse_degenerate(vk: &VerifyingKey<Bls12>) -> Result<(), KeyError> {
    let first = |point: &G1Affine| bool::from(point.is_identity());
    let second = |point: &G2Affine| bool::from(point.is_identity());
    let checks = [
        ("alpha_g1", first(&vk.alpha_g1)),
        ("beta_g1", first(&vk.beta_g1)),
        ("beta_g2", second(&vk.beta_g2)),
        ("gamma_g2", second(&vk.gamma_g2)),
        ("delta_g1", first(&vk.delta_g1)),
        ("delta_g2", second(&vk.delta_g2)),
        ("ic", vk.ic.is_empty() || vk.ic.iter().any(first)),
    ];
    match checks.iter().find(|(_, degenerate)| *degenerate) {
        Some(&(point, _)) => Err(KeyError::Degenerate { point }),
        None => Ok(()),
    }
}
