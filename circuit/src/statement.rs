//! What a proof says, and the only place that knows the order of its public inputs.
//!
//! There is a block of this shape whose operations lead from the old root to the new one, and both vectors that it
//! publishes have the digest `d` and the values `y_data` and `y_onchain` at `z`. The contract fixes `z` after `d` and
//! after what was published (`docs/adr/0001-the-spine.md`, section 5), so that equal values mean equal vectors: two
//! different polynomials of degree below 4096 agree on at most 4095 of 2^255 points.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::block::{BLOB_ELEMENTS, PublicData, blob_root};
use zklink::hash::{Domain, Fr};

use crate::gadget::Expression;
use crate::gadget::poseidon2::compress8;

/// Number of public inputs: `d`, `z`, `y_data`, `y_onchain`.
pub const PUBLIC_INPUTS: usize = 4;

/// The words that the operations publish, in order.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// Head and words of the on-chain slots.
    pub onchain: Vec<Expression>,
    /// Words of the other slots.
    pub data: Vec<Expression>,
}

impl Words {
    /// Ties the words to the public inputs: about 53 constraints a word.
    pub fn bind<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        public: Option<&PublicData>,
    ) -> Result<(), SynthesisError> {
        let inputs = public.map(PublicData::public_inputs);
        let input = |at: usize| inputs.map(|inputs| inputs[at]);
        let d = Expression::input(cs, "d", input(0))?;
        let z = Expression::input(cs, "z", input(1))?;
        let y_data = Expression::input(cs, "y data", input(2))?;
        let y_onchain = Expression::input(cs, "y onchain", input(3))?;
        let digest = self.digest(&mut cs.namespace(|| "digest"))?;
        Expression::enforce_equal(cs, "d is the digest", &digest, &d);
        let value = evaluate(&mut cs.namespace(|| "onchain"), &self.onchain, &z)?;
        Expression::enforce_equal(cs, "y onchain is the value", &value, &y_onchain);
        enforce_blob_value(&mut cs.namespace(|| "data"), &self.data, &z, &y_data)
    }

    fn digest<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<Expression, SynthesisError> {
        let lengths = (self.onchain.len() as u64) << 32 | self.data.len() as u64;
        let mut state = Expression::constant(Fr::from(lengths));
        let words: Vec<&Expression> = self.onchain.iter().chain(&self.data).collect();
        for (at, chunk) in words.chunks(7).enumerate() {
            let mut lanes: [Expression; 8] = std::array::from_fn(|_| Expression::zero());
            lanes[0] = state;
            for (lane, word) in lanes[1..].iter_mut().zip(chunk) {
                *lane = (*word).clone();
            }
            state = compress8(&mut cs.namespace(|| format!("{at}")), Domain::PublicData, &lanes)?;
        }
        Ok(state)
    }
}

/// `sum of words[i] * z^i`, from the last word on.
fn evaluate<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    words: &[Expression],
    z: &Expression,
) -> Result<Expression, SynthesisError> {
    let mut sum = Expression::zero();
    for (at, word) in words.iter().enumerate().rev() {
        let cs = &mut cs.namespace(|| format!("{at}"));
        sum = &Expression::product(cs, "shifted", &sum, z)? + word;
    }
    Ok(sum)
}

/// `y = (z^4096 - 1) / 4096 * sum of words[i] * w_i / (z - w_i)`: the value of the polynomial that a blob with these
/// words stands for.
///
/// Each quotient is a witness `q` with `q * (z - w_i) = words[i] * w_i`. It would be free if `z` were `w_i`; a hash
/// meets one of 4096 roots of unity with a chance of 2^-243, and then `z^4096 - 1` is zero and the statement says only
/// that `y_data` is zero.
fn enforce_blob_value<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    words: &[Expression],
    z: &Expression,
    y: &Expression,
) -> Result<(), SynthesisError> {
    let mut sum = Expression::zero();
    for (at, word) in words.iter().enumerate() {
        let cs = &mut cs.namespace(|| format!("{at}"));
        let root = blob_root(at);
        let distance = z - root;
        let scaled = word * root;
        let quotient = scaled
            .value()
            .zip(distance.value())
            .map(|(scaled, distance)| scaled * distance.invert().unwrap_or(Fr::zero()));
        let quotient = Expression::witness(cs, "quotient", quotient)?;
        Expression::enforce_product(cs, "divided", &quotient, &distance, &scaled);
        sum += &quotient;
    }
    let mut power = z.clone();
    for at in 0..BLOB_ELEMENTS.trailing_zeros() {
        power =
            Expression::product(&mut cs.namespace(|| format!("square {at}")), "z", &power, &power)?;
    }
    let size = Fr::from(BLOB_ELEMENTS as u64).invert().expect("4096 is not zero in the field");
    let factor = &(&power - Fr::one()) * size;
    Expression::enforce_product(cs, "y data is the value", &sum, &factor, y);
    Ok(())
}
