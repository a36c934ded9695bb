//! The building blocks of the circuits, over [`Expression`]: a linear combination of variables with
//! its value. Linear operations on expressions cost nothing.
//!
//! Conventions. A linear equation `e = 0` is the constraint `0 * 0 = e`: on the C side variables
//! add nothing to the prover's multi-exponentiations. Of a product, the operand whose variables
//! occur on the B side anyway stands on B, since a point of the B query costs most.

mod bit;
pub mod bits;
pub mod edwards;
mod expression;
mod fixed_base;
pub mod float;
pub mod merkle;
mod montgomery;
pub mod poseidon2;
pub mod schnorr;
pub mod select;
pub mod zero;

pub use bit::Bit;
pub use expression::Expression;

#[cfg(test)]
pub(crate) mod fixture;
