//! Poseidon2 compression in the circuit: three constraints an S-box, linear layers free.
//!
//! # Which variables
//!
//! An S-box `v = x^5` takes `x * x = square`, `square * square = fourth`, `fourth * x = v`. What is
//! free is the choice of the variable that stands for the result. Taking `v` would make every later
//! `x` a linear combination of all earlier results, on the sides A and B of three constraints.
//! Instead the variable is the input of the next S-box in the same lane, `next`, and `v` is solved
//! for: it is a linear combination of `next` and earlier variables, and stands on the C side of one
//! constraint. So A and B have a single term almost everywhere (the exceptions are the first round,
//! whose inputs are given, and lanes 1.. of the first full round after the partial ones), and the
//! long sums stand on C, which adds no point to the prover's multi-exponentiations. B sees `x` and
//! `square` only.
//!
//! The last S-box of lane 0 uses the output of the compression as its variable, so an output
//! is always one variable and chains of hashes do not grow. The domain is in the weights of that
//! one equation, so it costs nothing.
//!
//! The sums have the same coefficients in every compression: they are worked out once, in a
//! [`Plan`].

use std::sync::LazyLock;

use bellman::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use zklink::hash::poseidon2::Parameters;
use zklink::hash::{Domain, Fr, T4, T8};

use super::Expression;

mod plan;

use plan::{Plan, Row, Slot, Terms};

static PLAN4: LazyLock<Plan> = LazyLock::new(|| Plan::of(&T4));
static PLAN8: LazyLock<Plan> = LazyLock::new(|| Plan::of(&T8));

/// `compress4` of `zklink::hash`: 264 constraints.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn compress4<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    domain: Domain,
    lanes: &[Expression; 4],
) -> Result<Expression, SynthesisError> {
    Compression { parameters: &T4, plan: &PLAN4, domain }.synthesize(cs, lanes, None)
}

/// `compress8` of `zklink::hash`: 363 constraints.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn compress8<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    domain: Domain,
    lanes: &[Expression; 8],
) -> Result<Expression, SynthesisError> {
    Compression { parameters: &T8, plan: &PLAN8, domain }.synthesize(cs, lanes, None)
}

/// Checks that `compress4(domain, lanes) = output`: 264 constraints, the equation included.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn enforce_compress4<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    domain: Domain,
    lanes: &[Expression; 4],
    output: &Expression,
) -> Result<(), SynthesisError> {
    let compression = Compression { parameters: &T4, plan: &PLAN4, domain };
    compression.synthesize(cs, lanes, Some(output)).map(|_| ())
}

/// `hash_many` of `zklink::hash`: 264 constraints for every three elements.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn hash_many<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    domain: Domain,
    elements: &[Expression],
) -> Result<Expression, SynthesisError> {
    let mut link = Expression::constant(Fr::from(elements.len() as u64));
    // The empty sequence has one chunk of zeros.
    for index in 0..elements.len().div_ceil(3).max(1) {
        let element = |place| elements.get(3 * index + place).cloned();
        let lanes = [Some(link), element(0), element(1), element(2)];
        let lanes = lanes.map(|lane| lane.unwrap_or_else(Expression::zero));
        link = compress4(&mut cs.namespace(|| format!("link{index}")), domain, &lanes)?;
    }
    Ok(link)
}

struct Compression<'a, const T: usize> {
    parameters: &'static Parameters<T>,
    plan: &'a Plan,
    domain: Domain,
}

impl<const T: usize> Compression<'_, T> {
    fn synthesize<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        lanes: &[Expression; T],
        expected: Option<&Expression>,
    ) -> Result<Expression, SynthesisError> {
        let first = self.first_inputs(lanes);
        let rows = self.rows(&first, lanes);
        let places = self.allocate(cs, rows.as_deref(), expected.is_some())?;
        let output = match (expected, places.last_output) {
            (Some(output), _) => output.clone(),
            (None, place) => {
                let value = rows.as_ref().map(|rows| rows[self.plan.output_box].next);
                Expression::variable(place.expect("allocated when none is expected"), value)
            }
        };
        let resolver =
            Resolver { places: &places, forward: [&lanes[0], &lanes[1]], output: &output };
        self.enforce(cs, &first, &resolver);
        Ok(output)
    }

    /// The inputs of the first S-boxes: first linear layer, first constants. Free.
    fn first_inputs(&self, lanes: &[Expression; T]) -> [Expression; T] {
        let matrix = zklink::hash::poseidon2::external_matrix::<T>();
        std::array::from_fn(|row| {
            let parts = matrix[row].iter().map(|factor| Fr::from(*factor)).zip(lanes);
            &Expression::weighted_sum(parts) + self.parameters.first_full[0][row]
        })
    }

    /// The values of all S-boxes, if the inputs have values.
    fn rows(&self, first: &[Expression; T], lanes: &[Expression; T]) -> Option<Vec<Row>> {
        let mut state = [Fr::zero(); T];
        for (lane, input) in state.iter_mut().zip(first) {
            *lane = input.value()?;
        }
        let forward = [lanes[0].value()?, lanes[1].value()?];
        Some(plan::rows(self.parameters, state, forward, self.domain.tag()))
    }

    fn allocate<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        rows: Option<&[Row]>,
        output_is_given: bool,
    ) -> Result<Places, SynthesisError> {
        let count = self.plan.boxes.len();
        let mut places = Places { boxes: Vec::with_capacity(count), last_output: None };
        for index in 0..count {
            let row = rows.map(|rows| rows[index]);
            let mut cs = cs.namespace(|| format!("box{index}"));
            let mut alloc = |name: &'static str, value: Option<Fr>| {
                cs.alloc(|| name, || value.ok_or(SynthesisError::AssignmentMissing))
            };
            let square = alloc("square", row.map(|row| row.square))?;
            let fourth = alloc("fourth", row.map(|row| row.fourth))?;
            let next = if index == self.plan.output_box && output_is_given {
                None
            } else {
                Some(alloc("next", row.map(|row| row.next))?)
            };
            if index == self.plan.output_box {
                places.last_output = next;
            }
            places.boxes.push(BoxPlaces { square, fourth, next });
        }
        Ok(places)
    }

    fn enforce<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        first: &[Expression; T],
        resolver: &Resolver<'_>,
    ) {
        for (index, sbox) in self.plan.boxes.iter().enumerate() {
            let BoxPlaces { square, fourth, .. } = resolver.places.boxes[index];
            let input = |lc: LinearCombination<Fr>| match first.get(index) {
                Some(expression) => expression.add_to(Fr::one(), lc),
                None => resolver.add(&sbox.input, lc),
            };
            let mut cs = cs.namespace(|| format!("box{index}"));
            cs.enforce(|| "square", input, input, |lc| lc + square);
            cs.enforce(|| "fourth", |lc| lc + square, |lc| lc + square, |lc| lc + fourth);
            let result = if index == self.plan.output_box {
                &self.plan.output_results[self.domain.index()]
            } else {
                &sbox.result
            };
            let result = |lc| resolver.add(result, lc);
            cs.enforce(|| "fifth", |lc| lc + fourth, input, result);
        }
    }
}

/// The variables of one S-box; `next` is absent where the output is given.
#[derive(Clone, Copy)]
struct BoxPlaces {
    square: Variable,
    fourth: Variable,
    next: Option<Variable>,
}

struct Places {
    boxes: Vec<BoxPlaces>,
    last_output: Option<Variable>,
}

/// Turns the slots of a plan into the variables of one compression.
struct Resolver<'a> {
    places: &'a Places,
    forward: [&'a Expression; 2],
    output: &'a Expression,
}

impl Resolver<'_> {
    fn add(&self, terms: &Terms, combination: LinearCombination<Fr>) -> LinearCombination<Fr> {
        terms.iter().fold(combination, |sum, (slot, factor)| match *slot {
            Slot::One => sum + (*factor, Variable::new_unchecked(Index::Input(0))),
            Slot::Forward(lane) => self.forward[lane].add_to(*factor, sum),
            Slot::Next(index) => match self.places.boxes[index].next {
                Some(variable) => sum + (*factor, variable),
                None => self.output.add_to(*factor, sum),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadget::fixture::{Fixture, NONE};

    #[test]
    fn compress4_agrees_with_the_native_hash() {
        for _ in 0..5 {
            let mut fixture = Fixture::new();
            let values: [Fr; 4] = std::array::from_fn(|_| fixture.random());
            let lanes = values.map(|value| fixture.given(value));
            let output = compress4(&mut fixture.cs, Domain::Node, &lanes).unwrap();
            assert_eq!(output.value(), Some(zklink::hash::compress4(Domain::Node, values)));
            assert_eq!(output.len(), 1);
            assert_eq!(fixture.cost(), 264);
            assert_eq!(fixture.survivors(), NONE);
        }
    }

    #[test]
    fn every_domain_agrees_with_the_native_hash() {
        for domain in Domain::ALL {
            let mut fixture = Fixture::new();
            let values: [Fr; 8] = std::array::from_fn(|_| fixture.random());
            let lanes = values.map(|value| fixture.given(value));
            let output = compress8(&mut fixture.cs, domain, &lanes).unwrap();
            assert_eq!(output.value(), Some(zklink::hash::compress8(domain, values)));
            assert_eq!(fixture.cs.first_failure(), None);
        }
    }

    #[test]
    fn compress8_agrees_with_the_native_hash() {
        let mut fixture = Fixture::new();
        let values: [Fr; 8] = std::array::from_fn(|_| fixture.random());
        let lanes = values.map(|value| fixture.given(value));
        let output = compress8(&mut fixture.cs, Domain::PublicData, &lanes).unwrap();
        assert_eq!(output.value(), Some(zklink::hash::compress8(Domain::PublicData, values)));
        assert_eq!(fixture.cost(), 363);
        assert_eq!(fixture.survivors(), NONE);
    }

    #[test]
    fn inputs_may_be_expressions_and_constants() {
        let mut fixture = Fixture::new();
        let (x, y) = (fixture.random(), fixture.random());
        let (a, b) = (fixture.given(x), fixture.given(y));
        let lanes = [&a + &b, Expression::constant(7.into()), &(&a - &b) + Fr::one(), b];
        let values = [x + y, Fr::from(7), x - y + Fr::one(), y];
        let output = compress4(&mut fixture.cs, Domain::System, &lanes).unwrap();
        assert_eq!(output.value(), Some(zklink::hash::compress4(Domain::System, values)));
        assert_eq!(fixture.survivors(), NONE);

        let mut fixture = Fixture::new();
        let lanes =
            [Expression::zero(), Expression::zero(), Expression::zero(), Expression::zero()];
        let output = compress4(&mut fixture.cs, Domain::Node, &lanes).unwrap();
        let zeros = zklink::hash::compress4(Domain::Node, [Fr::zero(); 4]);
        assert_eq!(output.value(), Some(zeros));
        assert_eq!((fixture.cost(), fixture.survivors()), (264, Vec::new()));
    }

    #[test]
    fn a_given_output_is_checked() {
        let mut fixture = Fixture::new();
        let values: [Fr; 4] = std::array::from_fn(|_| fixture.random());
        let lanes = values.map(|value| fixture.given(value));
        let output = fixture.given(zklink::hash::compress4(Domain::Node, values));
        enforce_compress4(&mut fixture.cs, Domain::Node, &lanes, &output).unwrap();
        assert_eq!(fixture.cost(), 264);
        assert_eq!(fixture.survivors(), NONE);
        // Another output, and the right one of another domain, are refused.
        for wrong in [Fr::one(), zklink::hash::compress4(Domain::System, values)] {
            fixture.cs.tamper("given5", wrong);
            assert_eq!(fixture.cs.first_failure(), Some("box84/fifth"));
        }
    }

    #[test]
    fn the_hash_of_something_else_is_refused() {
        let mut fixture = Fixture::new();
        let values: [Fr; 8] = std::array::from_fn(|_| fixture.random());
        let lanes = values.map(|value| fixture.given(value));
        compress8(&mut fixture.cs, Domain::PublicData, &lanes).unwrap();
        for lane in 1..=8 {
            let path = format!("given{lane}");
            let honest = fixture.cs.tamper(&path, Fr::from(lane));
            assert!(!fixture.cs.is_satisfied(), "{path} is not hashed");
            fixture.cs.tamper(&path, honest);
        }
        let mut fixture = Fixture::new();
        let elements: Vec<_> = (0..7u64).map(|value| fixture.given(Fr::from(value))).collect();
        hash_many(&mut fixture.cs, Domain::Message, &elements).unwrap();
        for element in 1..=7u64 {
            let path = format!("given{element}");
            let honest = fixture.cs.tamper(&path, Fr::from(1_000));
            assert!(!fixture.cs.is_satisfied(), "{path} is not hashed");
            fixture.cs.tamper(&path, honest);
        }
        assert!(fixture.cs.is_satisfied());
    }

    #[test]
    fn hash_many_agrees_with_the_native_hash() {
        for length in [0usize, 1, 3, 4, 6, 7] {
            let mut fixture = Fixture::new();
            let values: Vec<Fr> = (0..length).map(|_| fixture.random()).collect();
            let elements: Vec<_> = values.iter().map(|value| fixture.given(*value)).collect();
            let output = hash_many(&mut fixture.cs, Domain::Message, &elements).unwrap();
            assert_eq!(output.value(), Some(zklink::hash::hash_many(Domain::Message, &values)));
            assert_eq!(fixture.cost(), 264 * length.div_ceil(3).max(1));
            assert_eq!(fixture.survivors(), NONE);
        }
    }

    #[test]
    fn the_sides_a_and_b_are_sparse_and_the_system_is_pinned() {
        let mut fixture = Fixture::new();
        let lanes: [_; 4] = std::array::from_fn(|i| fixture.given(Fr::from(i as u64)));
        compress4(&mut fixture.cs, Domain::Node, &lanes).unwrap();
        assert_eq!(fixture.cs.densities(), [265, 177, 267]);
        assert_eq!(fixture.cs.term_counts(), [457, 650, 2145]);
        let digest = hex::encode(fixture.cs.digest());
        assert_eq!(digest, "596c63f68cdf6627f50e172687b9c189b93ab807012b314e181ed5695cac519f");
    }
}
