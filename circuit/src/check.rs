//! A constraint system for tests: it holds the whole system in vectors, so that one can ask whether
//! it is satisfied, how large it is, what its digest is, and which variables can be changed without
//! being noticed.
//!
//! It panics on misuse (an unknown or repeated path): it is never part of a prover.

mod follow;

use std::collections::BTreeMap;

use bellman::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use sha2::{Digest, Sha256};

type Fr = bls12_381::Scalar;

/// A linear combination: terms with distinct variables, in the order of [`Slot`].
type Terms = Vec<(Slot, Fr)>;

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Input(usize),
    Aux(usize),
}

#[derive(Debug)]
struct Constraint {
    path: String,
    a: Terms,
    b: Terms,
    c: Terms,
}

/// Records a synthesised circuit with its assignment.
#[derive(Debug)]
pub struct CheckSystem {
    inputs: Vec<Fr>,
    aux: Vec<Fr>,
    input_paths: Vec<String>,
    aux_paths: Vec<String>,
    places: BTreeMap<String, Slot>,
    constraints: Vec<Constraint>,
    scope: Vec<String>,
    /// For each auxiliary variable the constraints that mention it; empty until it is asked for.
    mentions: Vec<Vec<usize>>,
}

impl Default for CheckSystem {
    fn default() -> Self {
        Self::new()
    }
}

impl CheckSystem {
    /// An empty system, with the constant one as its first input.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inputs: vec![Fr::one()],
            aux: Vec::new(),
            input_paths: vec!["one".to_owned()],
            aux_paths: Vec::new(),
            places: BTreeMap::new(),
            constraints: Vec::new(),
            scope: Vec::new(),
            mentions: Vec::new(),
        }
    }

    /// Number of constraints.
    #[must_use]
    pub fn constraint_count(&self) -> usize {
        self.constraints.len()
    }

    /// Number of auxiliary variables.
    #[must_use]
    pub fn aux_count(&self) -> usize {
        self.aux.len()
    }

    /// The public inputs, without the constant one.
    #[must_use]
    pub fn public_inputs(&self) -> &[Fr] {
        &self.inputs[1..]
    }

    /// Number of non-zero terms on the sides A, B and C.
    #[must_use]
    pub fn term_counts(&self) -> [usize; 3] {
        self.constraints.iter().fold([0; 3], |[a, b, c], constraint| {
            [a + constraint.a.len(), b + constraint.b.len(), c + constraint.c.len()]
        })
    }

    /// Number of variables that occur on the sides A, B and C: what a prover's
    /// multi-exponentiations over A and B are as long as.
    #[must_use]
    pub fn densities(&self) -> [usize; 3] {
        let mut seen: [std::collections::BTreeSet<Slot>; 3] = Default::default();
        for constraint in &self.constraints {
            for (side, terms) in seen.iter_mut().zip([&constraint.a, &constraint.b, &constraint.c])
            {
                side.extend(terms.iter().map(|(slot, _)| *slot));
            }
        }
        seen.map(|side| side.len())
    }

    /// The path of the first constraint that does not hold.
    #[must_use]
    pub fn first_failure(&self) -> Option<&str> {
        let failure = self.constraints.iter().find(|constraint| !self.holds(constraint))?;
        Some(&failure.path)
    }

    /// The paths of all constraints that do not hold: for a cheating assignment, what catches it.
    #[must_use]
    pub fn failures(&self) -> Vec<&str> {
        let failing = self.constraints.iter().filter(|constraint| !self.holds(constraint));
        failing.map(|constraint| constraint.path.as_str()).collect()
    }

    /// Whether all constraints hold.
    #[must_use]
    pub fn is_satisfied(&self) -> bool {
        self.first_failure().is_none()
    }

    /// The paths of all auxiliary variables, in order of allocation.
    #[must_use]
    pub fn aux_paths(&self) -> &[String] {
        &self.aux_paths
    }

    /// The value of the variable at `path`.
    ///
    /// # Panics
    /// When there is no such variable.
    #[must_use]
    pub fn value(&self, path: &str) -> Fr {
        self.read(self.slot(path))
    }

    /// Whether there is a constraint of this path.
    #[must_use]
    pub fn has_constraint(&self, path: &str) -> bool {
        self.constraints.iter().any(|constraint| constraint.path == path)
    }

    /// The auxiliary variables on the sides A, B and C of a constraint.
    ///
    /// # Panics
    /// When there is no such constraint.
    #[must_use]
    pub fn sides_of(&self, path: &str) -> [Vec<String>; 3] {
        let Constraint { a, b, c, .. } = self.constraint(path);
        [a, b, c].map(|side| {
            let aux = side.iter().filter_map(|(slot, _)| match slot {
                Slot::Input(_) => None,
                Slot::Aux(index) => Some(self.aux_paths[*index].clone()),
            });
            aux.collect()
        })
    }

    /// The value of side C of a constraint.
    ///
    /// # Panics
    /// When there is no such constraint.
    #[must_use]
    pub fn side_c(&self, path: &str) -> Fr {
        self.evaluate(&self.constraint(path).c)
    }

    fn constraint(&self, path: &str) -> &Constraint {
        let found = self.constraints.iter().find(|constraint| constraint.path == path);
        found.unwrap_or_else(|| panic!("no constraint at {path}"))
    }

    /// Changes the variable at `path` and returns what it was.
    ///
    /// # Panics
    /// When there is no such variable.
    pub fn tamper(&mut self, path: &str, value: Fr) -> Fr {
        let place = match self.slot(path) {
            Slot::Input(index) => &mut self.inputs[index],
            Slot::Aux(index) => &mut self.aux[index],
        };
        std::mem::replace(place, value)
    }

    /// Changes one auxiliary variable at a time and returns the paths of those of which some change
    /// leaves every constraint satisfied. The assignment is as before afterwards.
    ///
    /// The changes tried: one more, one minus it, its negation, zero, one, and a value that is far
    /// away.
    ///
    /// # Panics
    /// When the system is not satisfied to begin with: then nothing would be noticed.
    pub fn survivors(&mut self) -> Vec<String> {
        assert_eq!(self.first_failure(), None, "only a satisfied system can be tampered with");
        self.index_mentions();
        let far = Fr::from_raw([0x1234_5678, 0x9abc_def0, 0x0fed_cba9, 0x0765_4321]);
        let mut survivors = Vec::new();
        for index in 0..self.aux.len() {
            let honest = self.aux[index];
            let changes = [
                honest + Fr::one(),
                Fr::one() - honest,
                -honest,
                Fr::zero(),
                Fr::one(),
                honest + far,
            ];
            let unnoticed = changes.into_iter().filter(|change| *change != honest).any(|change| {
                self.aux[index] = change;
                self.mentions[index].iter().all(|place| self.holds(&self.constraints[*place]))
            });
            self.aux[index] = honest;
            if unnoticed {
                survivors.push(self.aux_paths[index].clone());
            }
        }
        survivors
    }

    /// SHA-256 over the number of inputs and auxiliary variables and all constraints, without names
    /// or values: it changes exactly when the relation (or the order of its parts) does.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let number =
            |hasher: &mut Sha256, value: usize| hasher.update((value as u64).to_le_bytes());
        for count in [self.inputs.len(), self.aux.len(), self.constraints.len()] {
            number(&mut hasher, count);
        }
        for constraint in &self.constraints {
            for side in [&constraint.a, &constraint.b, &constraint.c] {
                number(&mut hasher, side.len());
                for (slot, coefficient) in side {
                    let (kind, index) = match slot {
                        Slot::Input(index) => (0u8, *index),
                        Slot::Aux(index) => (1u8, *index),
                    };
                    hasher.update([kind]);
                    number(&mut hasher, index);
                    hasher.update(coefficient.to_bytes());
                }
            }
        }
        hasher.finalize().into()
    }

    fn slot(&self, path: &str) -> Slot {
        *self.places.get(path).unwrap_or_else(|| panic!("no variable at {path}"))
    }

    fn read(&self, slot: Slot) -> Fr {
        match slot {
            Slot::Input(index) => self.inputs[index],
            Slot::Aux(index) => self.aux[index],
        }
    }

    fn evaluate(&self, terms: &Terms) -> Fr {
        terms.iter().map(|(slot, coefficient)| self.read(*slot) * coefficient).sum()
    }

    fn holds(&self, constraint: &Constraint) -> bool {
        self.evaluate(&constraint.a) * self.evaluate(&constraint.b) == self.evaluate(&constraint.c)
    }

    fn index_mentions(&mut self) {
        self.mentions = vec![Vec::new(); self.aux.len()];
        for (place, constraint) in self.constraints.iter().enumerate() {
            for (slot, _) in constraint.a.iter().chain(&constraint.b).chain(&constraint.c) {
                if let Slot::Aux(index) = slot {
                    self.mentions[*index].push(place);
                }
            }
        }
        for places in &mut self.mentions {
            places.dedup();
        }
    }

    fn path<A: Into<String>>(&self, annotation: A) -> String {
        let mut path = self.scope.join("/");
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&annotation.into());
        path
    }

    fn place(&mut self, path: &str, slot: Slot) {
        let earlier = self.places.insert(path.to_owned(), slot);
        assert!(earlier.is_none(), "two variables are called {path}");
    }
}

/// Merges the terms of a variable and drops those that cancel.
fn merged(combination: &LinearCombination<Fr>) -> Terms {
    let mut terms: Terms = combination
        .as_ref()
        .iter()
        .map(|(variable, coefficient)| match variable.get_unchecked() {
            Index::Input(index) => (Slot::Input(index), *coefficient),
            Index::Aux(index) => (Slot::Aux(index), *coefficient),
        })
        .collect();
    terms.sort_by_key(|(slot, _)| *slot);
    terms.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 += later.1;
        }
        same
    });
    terms.retain(|(_, coefficient)| *coefficient != Fr::zero());
    terms
}

impl ConstraintSystem<Fr> for CheckSystem {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, annotation: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let index = self.aux.len();
        let path = self.path(annotation());
        self.place(&path, Slot::Aux(index));
        self.aux.push(value()?);
        self.aux_paths.push(path);
        Ok(Variable::new_unchecked(Index::Aux(index)))
    }

    fn alloc_input<F, A, AR>(&mut self, annotation: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let index = self.inputs.len();
        let path = self.path(annotation());
        self.place(&path, Slot::Input(index));
        self.inputs.push(value()?);
        self.input_paths.push(path);
        Ok(Variable::new_unchecked(Index::Input(index)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, annotation: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LB: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LC: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
    {
        let path = self.path(annotation());
        self.constraints.push(Constraint {
            path,
            a: merged(&a(LinearCombination::zero())),
            b: merged(&b(LinearCombination::zero())),
            c: merged(&c(LinearCombination::zero())),
        });
    }

    fn push_namespace<NR, N>(&mut self, name: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
        self.scope.push(name().into());
    }

    fn pop_namespace(&mut self) {
        self.scope.pop();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x * y = z`, and a variable `loose` that no constraint pins.
    fn product(system: &mut CheckSystem) {
        let x = system.alloc(|| "x", || Ok(Fr::from(3))).unwrap();
        let y = system.alloc_input(|| "y", || Ok(Fr::from(5))).unwrap();
        let mut inner = system.namespace(|| "inner");
        let z = inner.alloc(|| "z", || Ok(Fr::from(15))).unwrap();
        let loose = inner.alloc(|| "loose", || Ok(Fr::from(4))).unwrap();
        inner.enforce(|| "product", |lc| lc + x, |lc| lc + y, |lc| lc + z);
        inner.enforce(|| "idle", |lc| lc + loose, |lc| lc, |lc| lc);
    }

    #[test]
    fn it_tells_what_fails_and_what_is_free() {
        let mut system = CheckSystem::new();
        product(&mut system);
        assert!(system.is_satisfied());
        assert_eq!((system.constraint_count(), system.aux_count()), (2, 3));
        assert_eq!(system.public_inputs(), [Fr::from(5)]);
        assert_eq!(system.survivors(), ["inner/loose"]);
        assert_eq!(system.tamper("inner/z", Fr::from(16)), Fr::from(15));
        assert_eq!(system.first_failure(), Some("inner/product"));
        assert_eq!(system.failures(), ["inner/product"]);
        system.tamper("inner/z", Fr::from(15));
        assert!(system.is_satisfied());
        assert_eq!(system.value("y"), Fr::from(5));
    }

    #[test]
    fn what_depends_on_a_change_follows_it() {
        let mut system = CheckSystem::new();
        product(&mut system);
        system.tamper("x", Fr::from(4));
        assert!(!system.is_satisfied());
        system.follow(&["x"]);
        assert!(system.is_satisfied());
        assert_eq!(system.value("inner/z"), Fr::from(20));
        system.tamper("inner/z", Fr::one());
        system.follow(&["inner/z"]);
        assert_eq!(system.failures(), ["inner/product"]);
    }

    #[test]
    fn the_digest_follows_the_relation_and_not_the_assignment() {
        let mut system = CheckSystem::new();
        product(&mut system);
        let digest = system.digest();
        system.tamper("x", Fr::from(99));
        assert_eq!(system.digest(), digest);
        system.enforce(|| "more", |lc| lc, |lc| lc, |lc| lc);
        assert_ne!(system.digest(), digest);
    }

    #[test]
    #[should_panic(expected = "two variables are called x")]
    fn a_repeated_path_is_refused() {
        let mut system = CheckSystem::new();
        system.alloc(|| "x", || Ok(Fr::one())).unwrap();
        system.alloc(|| "x", || Ok(Fr::one())).unwrap();
    }
}
