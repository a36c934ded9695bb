//! What a proof says, and the only place that knows the order of its public inputs.
//!
//! There is a block of this shape whose operations lead from the old root to the new one, and both vectors that it
//! publishes have the digest `d` and the values `y_data` and `y_onchain` at `z`. The contract fixes `z` after `d` and
//! after what was published (`docs/adr/0001-the-spine.md`, section 5), so that equal values mean equal vectors: two
//! different polynomials of degree below 4096 agree on at most 4095 of 2^255 points.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::block::{BLOB_ELEMENTS, data_root};
use zklink::hash::{Domain, Fr};

use crate::gadget::Expression;
use crate::gadget::poseidon2::compress8;

/// Number of public inputs: `d`, `z`, `y_data`, `y_onchain`.
pub const PUBLIC_INPUTS: usize = 4;

/// What a slot publishes.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its words, as many as its kind has; zero where they are not used.
    pub words: Vec<Expression>,
    /// For each word whether it stands in the on-chain vector: zero or one.
    pub onchain: Vec<Expression>,
    /// For each of the first words whether it stands in the data vector: zero or one. A word stands in one vector at
    /// most.
    pub data: Vec<Expression>,
}

/// The words of a block.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// The head.
    pub head: Vec<Expression>,
    /// What each slot publishes, queue slots first.
    pub slots: Vec<Slot>,
}

impl Words {
    /// The digest of the words of all slots, used or not.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn digest<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
    ) -> Result<Expression, SynthesisError> {
        let words = self.slots.iter().flat_map(|slot| &slot.words);
        let words: Vec<&Expression> = self.head.iter().chain(words).collect();
        let mut state = Expression::constant(Fr::from(words.len() as u64));
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

    /// Ties the words and their digest to the public inputs `inputs`.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn bind<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        digest: &Expression,
        inputs: Option<[Fr; PUBLIC_INPUTS]>,
    ) -> Result<(), SynthesisError> {
        let input = |at: usize| inputs.map(|inputs| inputs[at]);
        let d = Expression::input(cs, "d", input(0))?;
        let z = Expression::input(cs, "z", input(1))?;
        let y_data = Expression::input(cs, "y data", input(2))?;
        let y_onchain = Expression::input(cs, "y onchain", input(3))?;
        Expression::enforce_equal(cs, "d is the digest", digest, &d);
        let value = self.onchain_value(&mut cs.namespace(|| "onchain"), &z)?;
        Expression::enforce_equal(cs, "y onchain is the value", &value, &y_onchain);
        self.enforce_data_value(&mut cs.namespace(|| "data"), &z, &y_data)
    }

    /// `sum of words[i] * z^i` over the words that are used, from the last one on: an unused word is zero and leaves
    /// what follows it in its place.
    fn onchain_value<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        z: &Expression,
    ) -> Result<Expression, SynthesisError> {
        let mut sum = Expression::zero();
        for (at, slot) in self.slots.iter().enumerate().rev() {
            for (number, (word, used)) in slot.words.iter().zip(&slot.onchain).enumerate().rev() {
                let cs = &mut cs.namespace(|| format!("slot {at} word {number}"));
                let shifted = Expression::product(cs, "shifted", &sum, z)?;
                sum = Expression::choose(cs, "value", used, &(&shifted + word), &sum)?;
            }
        }
        for (at, word) in self.head.iter().enumerate().rev() {
            let cs = &mut cs.namespace(|| format!("head {at}"));
            sum = &Expression::product(cs, "shifted", &sum, z)? + word;
        }
        Ok(sum)
    }

    /// `y = (z^4096 - 1) / 4096 * sum of words[k] * w^k / (z - w^k)` over the words that are used, in order: the value
    /// of the polynomial that a blob with these words stands for.
    ///
    /// Each quotient is a witness `q` with `q * (z - w^k) = words[k] * w^k`. It would be free if `z` were `w^k`; a hash
    /// meets one of 4096 roots of unity with a chance of 2^-243, and then `z^4096 - 1` is zero and the statement says
    /// only that `y_data` is zero.
    fn enforce_data_value<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        z: &Expression,
        y: &Expression,
    ) -> Result<(), SynthesisError> {
        let step = data_root() - Fr::one();
        let of_step = step.invert().expect("the root of unity is not one");
        let mut root = Expression::one();
        let mut quotients = Vec::new();
        for (at, slot) in self.slots.iter().enumerate() {
            for (number, (word, used)) in slot.words.iter().zip(&slot.data).enumerate() {
                let cs = &mut cs.namespace(|| format!("slot {at} word {number}"));
                let factor = &(used * step) + Fr::one();
                let next = Expression::product(cs, "next root", &root, &factor)?;
                let used_root = &(&next - &root) * of_step;
                let scaled = Expression::product(cs, "scaled", word, &used_root)?;
                let distance = z - &root;
                let quotient = scaled
                    .value()
                    .zip(distance.value())
                    .map(|(scaled, distance)| scaled * distance.invert().unwrap_or(Fr::zero()));
                let quotient = Expression::witness(cs, "quotient", quotient)?;
                Expression::enforce_product(cs, "divided", &quotient, &distance, &scaled);
                quotients.push(quotient);
                root = next;
            }
        }
        let mut power = z.clone();
        for at in 0..BLOB_ELEMENTS.trailing_zeros() {
            let cs = &mut cs.namespace(|| format!("square {at}"));
            power = Expression::product(cs, "z", &power, &power)?;
        }
        let size = Fr::from(BLOB_ELEMENTS as u64).invert().expect("4096 is not zero in the field");
        let factor = &(&power - Fr::one()) * size;
        let sum = Expression::sum(&quotients);
        Expression::enforce_product(cs, "y data is the value", &sum, &factor, y);
        Ok(())
    }
}
