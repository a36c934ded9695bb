//! What follows from changed variables, as whoever changed them would compute it.
//!
//! A variable follows the constraint of its name, or else the first of which it is the newest variable, if that is
//! linear in it. Three things are known by other names: the bits of a number that is taken apart, a test for zero with
//! its inverse, and the S-boxes of a permutation. Other variables are choices, and stay.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckSystem, Constraint, Fr, Slot, Terms};

/// `sum of terms = value`, for variables that are not known yet.
type Equation = (BTreeMap<Slot, Fr>, Fr);

impl CheckSystem {
    /// Recomputes what depends on the variables of these paths, which stay as they are.
    ///
    /// # Panics
    /// When there is no such variable.
    pub fn follow(&mut self, chosen: &[&str]) {
        let chosen: BTreeSet<Slot> = chosen.iter().map(|path| self.slot(path)).collect();
        // The bits of a canonical number are used before they are tied to it.
        for _ in 0..3 {
            let mut defined = vec![false; self.aux.len()];
            let (mut changed, mut place) = (false, 0);
            while place < self.constraints.len() {
                let end = self.permutation(place);
                if end > place {
                    changed |= self.follow_permutation(place..end, &mut defined);
                    place = end;
                } else {
                    changed |= self.follow_one(place, &mut defined, &chosen);
                    place += 1;
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// Recomputes what the constraint defines; says whether anything changed.
    fn follow_one(&mut self, place: usize, defined: &mut [bool], chosen: &BTreeSet<Slot>) -> bool {
        let constraint = &self.constraints[place];
        let Constraint { path, a, b, c } = constraint;
        let newest = a.iter().chain(b).chain(c).map(|(slot, _)| *slot).max();
        let Some(Slot::Aux(index)) = newest else { return false };
        let first = !std::mem::replace(&mut defined[index], true);
        let new = if path.ends_with("one if zero") {
            self.test_for_zero(path, a)
        } else if self.holds(constraint) {
            return false;
        } else if path.ends_with("recomposed") {
            self.digits(path, c)
        } else {
            let own = match self.places.get(path) {
                Some(Slot::Aux(own)) => Some(*own),
                _ => first.then_some(index),
            };
            let solved = own.and_then(|own| Some((Slot::Aux(own), self.solve(constraint, own)?)));
            solved.into_iter().collect()
        };
        let mut changed = false;
        for (slot, value) in new {
            if !chosen.contains(&slot) {
                changed |= self.write(slot, value);
            }
        }
        changed
    }

    fn write(&mut self, slot: Slot, value: Fr) -> bool {
        match slot {
            Slot::Input(_) => false,
            Slot::Aux(index) => std::mem::replace(&mut self.aux[index], value) != value,
        }
    }

    /// The bits of the number that is recomposed at `path`, where `difference` is their sum less the number.
    fn digits(&self, path: &str, difference: &Terms) -> Vec<(Slot, Fr)> {
        let bits: Vec<Slot> = (0..255)
            .map_while(|bit| self.places.get(&beside(path, &format!("bit{bit}/bit"))).copied())
            .collect();
        let sum = bits.iter().rev().fold(Fr::zero(), |sum, bit| sum.double() + self.read(*bit));
        let digits = (sum - self.evaluate(difference)).to_bytes();
        let digit = |at: usize| Fr::from(u64::from(digits[at / 8] >> (at % 8) & 1));
        bits.into_iter().enumerate().map(|(at, bit)| (bit, digit(at))).collect()
    }

    fn test_for_zero(&self, path: &str, tested: &Terms) -> Vec<(Slot, Fr)> {
        let tested = self.evaluate(tested);
        let inverse = tested.invert().unwrap_or(Fr::zero());
        let values = [("inverse", inverse), ("is zero", Fr::one() - tested * inverse)];
        values.map(|(name, value)| (self.slot(&beside(path, name)), value)).into()
    }

    /// The value of a variable with which the constraint holds, if it is linear in it.
    fn solve(&self, constraint: &Constraint, index: usize) -> Option<Fr> {
        let sides = [&constraint.a, &constraint.b, &constraint.c];
        let [of_a, of_b, of_c] = sides.map(|terms| {
            let found = terms.iter().find(|(slot, _)| *slot == Slot::Aux(index));
            found.map_or(Fr::zero(), |(_, factor)| *factor)
        });
        if of_a != Fr::zero() && of_b != Fr::zero() {
            return None;
        }
        let value = self.aux[index];
        let [a, b, c] = sides.map(|terms| self.evaluate(terms));
        let (a, b, c) = (a - of_a * value, b - of_b * value, c - of_c * value);
        let inverse = Option::<Fr>::from((of_a * b + of_b * a - of_c).invert());
        Some((c - a * b) * inverse?)
    }

    /// Where the permutation that begins at this constraint ends; the constraint itself if none begins there.
    fn permutation(&self, place: usize) -> usize {
        let Some(scope) = self.constraints[place].path.strip_suffix("box0/square") else {
            return place;
        };
        let inside = |constraint: &&Constraint| {
            constraint.path.strip_prefix(scope).is_some_and(|rest| rest.starts_with("box"))
        };
        place + self.constraints[place..].iter().take_while(inside).count()
    }

    /// Recomputes the S-boxes, each with three constraints: square, fourth power, and fifth power, which is a sum of
    /// outputs. Outputs of a round are solved for together, when the next one needs them.
    fn follow_permutation(&mut self, range: std::ops::Range<usize>, defined: &mut [bool]) -> bool {
        let mut unknown = BTreeSet::new();
        for box_at in range.clone().step_by(3) {
            for constraint in &self.constraints[box_at..box_at + 2] {
                unknown.extend(constraint.c.iter().map(|(slot, _)| *slot));
            }
            let next = beside(&self.constraints[box_at].path, "next");
            unknown.extend(self.places.get(&next).copied());
        }
        for slot in &unknown {
            if let Slot::Aux(index) = slot {
                defined[*index] = true;
            }
        }
        if self.constraints[range.clone()].iter().all(|constraint| self.holds(constraint)) {
            return false;
        }
        let mut equations: Vec<Equation> = Vec::new();
        for box_at in range.step_by(3) {
            let needs = |slot: &Slot| unknown.contains(slot);
            if self.constraints[box_at].a.iter().any(|(slot, _)| needs(slot)) {
                self.solve_all(std::mem::take(&mut equations), &mut unknown);
            }
            let input = self.evaluate(&self.constraints[box_at].a);
            let powers = [input.square(), input.square().square()];
            for (at, power) in powers.into_iter().enumerate() {
                let slot = self.constraints[box_at + at].c[0].0;
                self.write(slot, power);
                unknown.remove(&slot);
            }
            equations.push(self.equation(box_at + 2, powers[1] * input, &unknown));
        }
        self.solve_all(equations, &mut unknown);
        true
    }

    /// Side C of the constraint is `value`.
    fn equation(&self, place: usize, value: Fr, unknown: &BTreeSet<Slot>) -> Equation {
        let (mut terms, mut rest) = (BTreeMap::new(), value);
        for (slot, factor) in &self.constraints[place].c {
            if unknown.contains(slot) {
                terms.insert(*slot, *factor);
            } else {
                rest -= self.read(*slot) * factor;
            }
        }
        (terms, rest)
    }

    /// Gaussian elimination. What contradicts the rest is left out: it will be a constraint that fails.
    fn solve_all(&mut self, equations: Vec<Equation>, unknown: &mut BTreeSet<Slot>) {
        let mut solved: Vec<(Slot, Equation)> = Vec::new();
        for (mut terms, mut value) in equations {
            for (slot, (of_terms, of_value)) in &solved {
                let Some(factor) = terms.remove(slot) else { continue };
                value -= factor * of_value;
                for (other, weight) in of_terms {
                    *terms.entry(*other).or_insert(Fr::zero()) -= factor * weight;
                }
            }
            terms.retain(|_, factor| *factor != Fr::zero());
            let Some((slot, factor)) = terms.pop_first() else { continue };
            let inverse = factor.invert().unwrap_or(Fr::zero());
            terms.values_mut().for_each(|weight| *weight *= inverse);
            solved.push((slot, (terms, value * inverse)));
        }
        for (slot, (terms, value)) in solved.into_iter().rev() {
            let rest: Fr = terms.iter().map(|(slot, weight)| self.read(*slot) * weight).sum();
            self.write(slot, value - rest);
            unknown.remove(&slot);
        }
    }
}

/// The path of something in the namespace of another.
fn beside(path: &str, name: &str) -> String {
    match path.rsplit_once('/') {
        Some((scope, _)) => format!("{scope}/{name}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadget::{Expression, bits, poseidon2, zero};
    use bellman::ConstraintSystem;
    use zklink::hash::Domain;

    #[test]
    fn products_follow_and_choices_stay() {
        let cs = &mut CheckSystem::new();
        let x = Expression::witness(cs, "x", Some(Fr::from(3))).unwrap();
        let y = Expression::input(cs, "y", Some(Fr::from(5))).unwrap();
        Expression::product(cs, "z", &x, &y).unwrap();
        cs.tamper("x", Fr::from(4));
        cs.follow(&["x"]);
        assert_eq!((cs.first_failure(), cs.value("z")), (None, Fr::from(20)));
        cs.tamper("z", Fr::one());
        cs.follow(&["z"]);
        assert_eq!(cs.failures(), ["z"]);
    }

    #[test]
    fn bits_zeros_and_hashes_follow() {
        let cs = &mut CheckSystem::new();
        let x = Expression::witness(cs, "x", Some(Fr::from(3))).unwrap();
        bits::to_bits(&mut cs.namespace(|| "bits"), &x, 8).unwrap();
        bits::canonical_bits(&mut cs.namespace(|| "canonical"), &x).unwrap();
        zero::is_zero(&mut cs.namespace(|| "zero"), &(&x - Fr::from(9))).unwrap();
        let four = std::array::from_fn(|_| x.clone());
        let hash = poseidon2::compress4(&mut cs.namespace(|| "four"), Domain::Node, &four).unwrap();
        let eight = std::array::from_fn(|at| if at == 3 { hash.clone() } else { x.clone() });
        let last = poseidon2::compress8(&mut cs.namespace(|| "eight"), Domain::Trace, &eight);
        let output = last.unwrap();
        for value in [9u64, 200] {
            cs.tamper("x", Fr::from(value));
            cs.follow(&["x"]);
            assert_eq!(cs.first_failure(), None);
            let (x, hash) =
                (Fr::from(value), zklink::hash::compress4(Domain::Node, [Fr::from(value); 4]));
            let mut lanes = [x; 8];
            lanes[3] = hash;
            let expected = zklink::hash::compress8(Domain::Trace, lanes);
            let name = cs.aux_paths().iter().find(|path| cs.value(path) == expected);
            assert!(name.is_some_and(|path| path.starts_with("eight/")), "{:?}", output.value());
        }
        cs.tamper("x", Fr::from(256));
        cs.follow(&["x"]);
        assert_eq!(cs.failures(), ["bits/recomposed"]);
    }
}
