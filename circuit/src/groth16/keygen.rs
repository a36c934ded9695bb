//! Parameters of the proof system in bellman's own format.
//!
//! Formulas and conventions are those of bellman's `generate_parameters`: points of A and B whose
//! scalar is zero are left out, the H query is `τ^i Z(τ) / δ`, inputs go to `ic` over γ, all other
//! variables to `l` over δ. So bellman's `create_proof` and `verify_proof` work with the result.

use std::sync::Arc;

use bellman::groth16::{Parameters, VerifyingKey};
use bls12_381::{Bls12, Scalar};
use ff::{BatchInverter, Field};
use rand_core::{CryptoRng, RngCore};

use super::fft::{power, powers, root_of_unity};
use super::fixed_base::FixedBase;
use super::point::{G1, G2};
use super::r1cs::{Matrix, R1cs};

/// Why no parameters were made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeygenError {
    /// A variable occurs in no constraint, so a prover could choose it freely.
    #[error("auxiliary variable {index} is in no constraint; constrain it or do not allocate it")]
    Unconstrained {
        /// Index among the auxiliary variables.
        index: usize,
    },
    /// The random source failed.
    #[error("the operating system gives no randomness; repair that and try again")]
    Randomness,
}

/// The secrets of a key. Whoever knows them can forge proofs.
///
/// Overwritten when dropped. Copies that the compiler left in registers or on the stack are
/// beyond its reach, which is one reason why such keys are marked as keys of a single party.
struct Toxic {
    alpha: Scalar,
    beta: Scalar,
    gamma: Scalar,
    delta: Scalar,
    tau: Scalar,
}

impl Drop for Toxic {
    fn drop(&mut self) {
        for secret in
            [&mut self.alpha, &mut self.beta, &mut self.gamma, &mut self.delta, &mut self.tau]
        {
            *secret = Scalar::ZERO;
            // The compiler must assume that the overwritten value is looked at.
            std::hint::black_box(&*secret);
        }
    }
}

impl Toxic {
    fn sample<R: RngCore + CryptoRng>(rng: &mut R, domain: usize) -> Result<Self, KeygenError> {
        let [mut alpha, mut beta, mut gamma, mut delta] = [Scalar::ZERO; 4];
        for secret in [&mut alpha, &mut beta, &mut gamma, &mut delta] {
            *secret = nonzero(rng)?;
        }
        // τ inside the domain would reveal a row and has probability 2^-229 at most.
        let mut tau = nonzero(rng)?;
        while power(tau, domain) == Scalar::ONE {
            tau = nonzero(rng)?;
        }
        Ok(Self { alpha, beta, gamma, delta, tau })
    }
}

/// A uniform nonzero scalar; unlike `Scalar::random` it reports a failing source.
pub(crate) fn nonzero<R: RngCore + CryptoRng>(rng: &mut R) -> Result<Scalar, KeygenError> {
    loop {
        let mut wide = [0u8; 64];
        rng.try_fill_bytes(&mut wide).map_err(|_| KeygenError::Randomness)?;
        let scalar = Scalar::from_bytes_wide(&wide);
        wide.fill(0);
        std::hint::black_box(&wide);
        if !scalar.is_zero_vartime() {
            return Ok(scalar);
        }
    }
}

fn inverted(secret: Scalar) -> Scalar {
    Option::from(secret.invert()).expect("secrets are sampled nonzero")
}

/// `L_i(τ) = (τ^n - 1) ω^i / (n (τ - ω^i))` for all i below `n = 2^log`.
fn lagrange(tau: Scalar, log: u32) -> Vec<Scalar> {
    let size = 1usize << log;
    let roots = powers(Scalar::ONE, root_of_unity(log), size);
    let mut values: Vec<_> = roots.iter().map(|root| tau - root).collect();
    BatchInverter::invert_with_external_scratch(&mut values, &mut vec![Scalar::ZERO; size]);
    let vanishing = power(tau, size) - Scalar::ONE;
    let scale = vanishing * inverted(Scalar::from(size as u64));
    for (value, root) in values.iter_mut().zip(&roots) {
        *value *= scale * root;
    }
    values
}

/// Scalars of all queries: what stands in the exponent of each point.
struct Exponents {
    a: Vec<Scalar>,
    b: Vec<Scalar>,
    /// `(β a + α b + c) / γ` of inputs, then `… / δ` of auxiliary variables.
    combined: Vec<Scalar>,
    h: Vec<Scalar>,
}

impl Exponents {
    fn of(system: &R1cs, toxic: &Toxic) -> Result<Self, KeygenError> {
        let weights = lagrange(toxic.tau, system.log_domain());
        let at_tau = |matrix: &Matrix| system.transposed_times(matrix, &weights);
        let (a, (b, c)) = rayon::join(
            || at_tau(system.a()),
            || rayon::join(|| at_tau(system.b()), || at_tau(system.c())),
        );
        let (over_gamma, over_delta) = (inverted(toxic.gamma), inverted(toxic.delta));
        let combined: Vec<_> = (0..system.columns())
            .map(|column| {
                let scale = if column < system.inputs() { over_gamma } else { over_delta };
                (toxic.beta * a[column] + toxic.alpha * b[column] + c[column]) * scale
            })
            .collect();
        if let Some(column) = combined.iter().position(|value| value.is_zero_vartime()) {
            // Rows of the inputs make theirs nonzero, so this is an auxiliary variable.
            return Err(KeygenError::Unconstrained { index: column - system.inputs() });
        }
        let size = 1usize << system.log_domain();
        let vanishing = power(toxic.tau, size) - Scalar::ONE;
        let h = powers(vanishing * over_delta, toxic.tau, size - 1);
        let present = |values: Vec<Scalar>| {
            values.into_iter().filter(|value| !value.is_zero_vartime()).collect()
        };
        Ok(Self { a: present(a), b: present(b), combined, h })
    }
}

/// Makes parameters for `system` with randomness from `rng`, which must be the operating
/// system's for any key that protects something.
///
/// # Errors
/// [`KeygenError::Unconstrained`] as bellman refuses it too; [`KeygenError::Randomness`].
pub fn generate<R: RngCore + CryptoRng>(
    system: &R1cs,
    rng: &mut R,
) -> Result<Parameters<Bls12>, KeygenError> {
    let toxic = Toxic::sample(rng, 1 << system.log_domain())?;
    let exponents = Exponents::of(system, &toxic)?;
    let first = FixedBase::<G1>::generator(exponents.h.len() + 3 * system.columns());
    let second = FixedBase::<G2>::generator(exponents.b.len());
    let mut ic = first.times_all(&exponents.combined);
    let l = ic.split_off(system.inputs());
    let in_g1 = first.times_all(&[toxic.alpha, toxic.beta, toxic.delta]);
    let in_g2 = second.times_all(&[toxic.beta, toxic.gamma, toxic.delta]);
    Ok(Parameters {
        vk: VerifyingKey {
            alpha_g1: in_g1[0],
            beta_g1: in_g1[1],
            beta_g2: in_g2[0],
            gamma_g2: in_g2[1],
            delta_g1: in_g1[2],
            delta_g2: in_g2[2],
            ic,
        },
        h: Arc::new(first.times_all(&exponents.h)),
        l: Arc::new(l),
        a: Arc::new(first.times_all(&exponents.a)),
        b_g1: Arc::new(first.times_all(&exponents.b)),
        b_g2: Arc::new(second.times_all(&exponents.b)),
    })
}
