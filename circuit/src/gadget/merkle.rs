//! Opening and updating leaves of 4-ary trees.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::{Domain, Fr};

use super::select::Digit;
use super::{Expression, poseidon2};

/// The nodes beside a path, as a witness: for each level, leaf level first, all four children of
/// the node on the path, the one on the path included. Values are absent while keys are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// One entry a level.
    pub levels: Vec<[Option<Fr>; 4]>,
}

impl Path {
    /// A path without values, for making keys.
    #[must_use]
    pub fn absent(depth: usize) -> Self {
        Self { levels: vec![[None; 4]; depth] }
    }

    /// A path with values.
    #[must_use]
    pub fn known(levels: &[[Fr; 4]]) -> Self {
        Self { levels: levels.iter().map(|children| children.map(Some)).collect() }
    }
}

/// Checks that the leaf at `digits` under `root` is `old`, and returns the root after it became
/// `new`: `6 + 2 * 264` constraints a level.
///
/// The path is the same before and after, so the old and the new root differ in this leaf alone.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
///
/// # Panics
/// When the number of digits is not the number of levels, or is zero.
pub fn update<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    root: &Expression,
    digits: &[Digit],
    path: &Path,
    old: &Expression,
    new: &Expression,
) -> Result<Expression, SynthesisError> {
    assert_eq!(digits.len(), path.levels.len(), "one digit a level");
    assert!(!digits.is_empty(), "a tree has a level");
    let (mut old, mut new) = (old.clone(), new.clone());
    for (level, (digit, values)) in digits.iter().zip(&path.levels).enumerate() {
        let mut cs = cs.namespace(|| format!("level{level}"));
        let children = witness_children(&mut cs, values)?;
        digit.enforce_child(&mut cs.namespace(|| "old child"), &children, &old)?;
        let replaced =
            digit.replace_child(&mut cs.namespace(|| "new child"), &children, &old, &new)?;
        let is_top = level + 1 == digits.len();
        let known_root = is_top.then_some(root);
        old = parent(&mut cs.namespace(|| "old parent"), &children, known_root)?;
        new = parent(&mut cs.namespace(|| "new parent"), &replaced, None)?;
    }
    Ok(new)
}

fn witness_children<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    values: &[Option<Fr>; 4],
) -> Result<[Expression; 4], SynthesisError> {
    let [c0, c1, c2, c3] = *values;
    Ok([
        Expression::witness(cs, "child0", c0)?,
        Expression::witness(cs, "child1", c1)?,
        Expression::witness(cs, "child2", c2)?,
        Expression::witness(cs, "child3", c3)?,
    ])
}

/// The hash of four children; where it is known, that it is that.
fn parent<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    children: &[Expression; 4],
    known: Option<&Expression>,
) -> Result<Expression, SynthesisError> {
    match known {
        None => poseidon2::compress4(cs, Domain::Node, children),
        Some(root) => {
            poseidon2::enforce_compress4(cs, Domain::Node, children, root)?;
            Ok(root.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadget::bits::to_bits;
    use crate::gadget::fixture::{Fixture, NONE};

    /// The path of leaf `index` among the leaves of a full tree, and its root.
    fn native_path(leaves: &[Fr], mut index: usize) -> (Vec<[Fr; 4]>, Fr) {
        let mut nodes = leaves.to_vec();
        let mut levels = Vec::new();
        while nodes.len() > 1 {
            let start = index / 4 * 4;
            levels.push(nodes[start..start + 4].try_into().unwrap());
            nodes = nodes
                .chunks_exact(4)
                .map(|chunk| zklink::hash::compress4(Domain::Node, chunk.try_into().unwrap()))
                .collect();
            index /= 4;
        }
        (levels, nodes[0])
    }

    struct Case {
        fixture: Fixture,
        digits: Vec<Digit>,
        path: Path,
        root: Expression,
        old: Expression,
        new: Expression,
        root_after: Fr,
    }

    fn case(index: usize) -> Case {
        let mut fixture = Fixture::new();
        let mut leaves: Vec<Fr> = (0..64).map(|_| fixture.random()).collect();
        let (levels, root) = native_path(&leaves, index);
        let old = fixture.given(leaves[index]);
        leaves[index] = fixture.random();
        let new = fixture.given(leaves[index]);
        let (_, root_after) = native_path(&leaves, index);
        let number = fixture.given(Fr::from(index as u64));
        let digits = Digit::of_bits(&to_bits(&mut fixture.cs, &number, 6).unwrap());
        let root = fixture.given(root);
        Case { fixture, digits, path: Path::known(&levels), root, old, new, root_after }
    }

    #[test]
    fn a_leaf_is_updated() {
        for index in [0, 1, 27, 42, 63] {
            let mut case = case(index);
            let cs = &mut case.fixture.cs;
            let (old, new) = (&case.old, &case.new);
            let after = update(cs, &case.root, &case.digits, &case.path, old, new).unwrap();
            assert_eq!(after.value(), Some(case.root_after));
            assert_eq!(case.fixture.cost(), 7 + 3 * (6 + 2 * 264));
            assert_eq!(case.fixture.survivors(), NONE);
        }
    }

    #[test]
    fn another_leaf_place_or_root_is_refused() {
        // Another leaf at this place.
        let Case { mut fixture, root, digits, path, new, .. } = case(5);
        update(&mut fixture.cs, &root, &digits, &path, &new, &new).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("level0/old child/child on the path"));
        // The same leaf at another place.
        let Case { mut fixture, root, mut digits, path, old, new, .. } = case(5);
        digits[1].low = digits[1].low.not();
        update(&mut fixture.cs, &root, &digits, &path, &old, &new).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("level1/old child/child on the path"));
        // Another root.
        let Case { mut fixture, digits, path, old, new, .. } = case(5);
        let root = Expression::constant(Fr::from(3));
        update(&mut fixture.cs, &root, &digits, &path, &old, &new).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("level2/old parent/box84/fifth"));
    }
}
