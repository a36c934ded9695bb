//! A sparse 4-ary Merkle tree of fixed depth.
//!
//! A write only stores the leaf and marks what lies above; the nodes are hashed when the root or a path is asked
//! for, each once, however many leaves below it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::hash::{Domain, Fr, compress4, compress4_each};

/// The children of the nodes above a leaf, from the leaf's own level up.
pub type Path = Vec<[Fr; 4]>;

/// Children of a node.
pub const ARITY: u64 = 4;

/// The hash of a node.
pub fn node(children: [Fr; 4]) -> Fr {
    compress4(Domain::Node, children)
}

/// A tree with `4^depth` leaves.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Nodes by their places, see [`place`]. Nodes with the empty value may be missing.
    nodes: BTreeMap<u64, Fr>,
    /// The value of an untouched node of each level; level 0 holds the leaves, the last level the root.
    empty: Arc<[Fr]>,
    /// Nodes of level 1 whose children changed.
    dirty: BTreeSet<u64>,
}

/// The key of a node: one map for all levels, because a tree of few leaves has few nodes on each.
fn place(level: usize, index: u64) -> u64 {
    (level as u64) << 56 | index
}

impl Tree {
    /// A tree in which every leaf is `empty_leaf`.
    pub fn new(depth: usize, empty_leaf: Fr) -> Tree {
        let mut empty = vec![empty_leaf];
        for level in 0..depth {
            empty.push(node([empty[level]; 4]));
        }
        Tree::with_empty(empty.into())
    }

    /// A tree with known values of the empty nodes, from the leaf to the root: spares hashing them again.
    pub fn with_empty(empty: Arc<[Fr]>) -> Tree {
        assert!(empty.len() <= 25, "an index has at most 48 bits");
        Tree { nodes: BTreeMap::new(), empty, dirty: BTreeSet::new() }
    }

    /// As [`Tree::with_empty`], with these leaves in ascending order.
    ///
    /// # Panics
    /// When an index is outside of the tree.
    pub fn of_leaves(empty: Arc<[Fr]>, leaves: impl IntoIterator<Item = (u64, Fr)>) -> Tree {
        let mut tree = Tree::with_empty(empty);
        tree.nodes = leaves.into_iter().collect();
        let last = tree.nodes.last_key_value().map_or(0, |(last, _)| *last);
        assert!(last < 1 << (2 * tree.depth()), "a leaf outside of the tree");
        tree.dirty = tree.nodes.keys().map(|index| index / ARITY).collect();
        tree
    }

    /// The leaves that were written, in order.
    pub fn leaves(&self) -> impl Iterator<Item = (u64, Fr)> {
        self.nodes.range(..place(1, 0)).map(|(index, leaf)| (*index, *leaf))
    }

    /// Number of levels above the leaves.
    pub fn depth(&self) -> usize {
        self.empty.len() - 1
    }

    /// The leaf at this place.
    pub fn leaf(&self, index: u64) -> Fr {
        self.value(0, index)
    }

    /// Writes a leaf.
    ///
    /// # Panics
    /// When the index is outside of the tree: the types of the ids exclude it.
    pub fn set(&mut self, index: u64, leaf: Fr) {
        assert!(index < 1 << (2 * self.depth()), "a leaf outside of the tree");
        if self.leaf(index) == leaf {
            return;
        }
        self.nodes.insert(place(0, index), leaf);
        self.dirty.insert(index / ARITY);
    }

    /// The root of what was written so far.
    pub fn root(&mut self) -> Fr {
        self.hash_dirty();
        self.value(self.depth(), 0)
    }

    /// The children of every node above the leaf, the leaf's own level first.
    pub fn path(&mut self, index: u64) -> Path {
        self.path_from(0, index)
    }

    /// The children of every node above the node `index` of `level`, that of the next level first.
    pub fn path_from(&mut self, level: usize, index: u64) -> Path {
        self.hash_dirty();
        let mut at = index;
        let mut path = Vec::with_capacity(self.depth() - level);
        for level in level..self.depth() {
            at /= ARITY;
            path.push(self.children(level, at));
        }
        path
    }

    /// The node `index` of `level`.
    pub fn node_at(&mut self, level: usize, index: u64) -> Fr {
        self.hash_dirty();
        self.value(level, index)
    }

    /// Writes a node whose leaves are written elsewhere: what lies below it is not in this tree any more.
    pub fn set_node(&mut self, level: usize, index: u64, value: Fr) {
        self.hash_dirty();
        self.nodes.insert(place(level, index), value);
        let mut at = index;
        for level in level..self.depth() {
            at /= ARITY;
            let value = node(self.children(level, at));
            self.nodes.insert(place(level + 1, at), value);
        }
    }

    /// The tree as far as these leaves and the nodes beside their ways to the root. Other paths are not in it.
    pub fn opened(&mut self, leaves: impl IntoIterator<Item = u64>) -> Tree {
        self.hash_dirty();
        let mut opened = Tree::with_empty(Arc::clone(&self.empty));
        let mut at: BTreeSet<u64> = leaves.into_iter().collect();
        for level in 0..self.depth() {
            at = at.into_iter().map(|index| index / ARITY).collect();
            for index in at.iter().flat_map(|parent| ARITY * parent..ARITY * (parent + 1)) {
                if let Some(node) = self.nodes.get(&place(level, index)) {
                    opened.nodes.insert(place(level, index), *node);
                }
            }
        }
        let root = self.value(self.depth(), 0);
        opened.nodes.insert(place(self.depth(), 0), root);
        opened
    }

    fn value(&self, level: usize, index: u64) -> Fr {
        self.nodes.get(&place(level, index)).copied().unwrap_or(self.empty[level])
    }

    /// The values on `level` below the node `parent` of the next one.
    fn children(&self, level: usize, parent: u64) -> [Fr; 4] {
        [0, 1, 2, 3].map(|child| self.value(level, ARITY * parent + child))
    }

    fn hash_dirty(&mut self) {
        Tree::hash_together([self]);
    }

    /// Hashes what was written to several trees of one depth: the nodes of a level at once, which takes less time than
    /// one after the other.
    ///
    /// # Panics
    /// When the trees have different depths.
    pub fn hash_together<'a>(trees: impl IntoIterator<Item = &'a mut Tree>) {
        let written = |tree: &&mut Tree| !tree.dirty.is_empty();
        let with_dirty = |tree: &'a mut Tree| {
            let dirty = std::mem::take(&mut tree.dirty);
            (tree, dirty)
        };
        let mut trees: Vec<_> = trees.into_iter().filter(written).map(with_dirty).collect();
        let Some((first, _)) = trees.first() else { return };
        let depth = first.depth();
        assert!(trees.iter().all(|(tree, _)| tree.depth() == depth), "trees of one depth");
        for level in 1..=depth {
            let below = |(tree, dirty): &(&'a mut Tree, BTreeSet<u64>)| {
                let children = dirty.iter().map(|index| tree.children(level - 1, *index));
                children.collect::<Vec<_>>()
            };
            let nodes: Vec<[Fr; 4]> = trees.iter().flat_map(below).collect();
            let mut values = compress4_each(Domain::Node, &nodes).into_iter();
            for (tree, dirty) in &mut trees {
                let mut above = BTreeSet::new();
                for index in std::mem::take(dirty) {
                    let value = values.next().expect("a hash for each node");
                    tree.nodes.insert(place(level, index), value);
                    above.insert(index / ARITY);
                }
                *dirty = above;
            }
        }
    }
}

/// The root that a path gives to a leaf: what a contract or another implementation computes.
pub fn root_of(path: &Path, index: u64, leaf: Fr) -> Fr {
    let mut at = index;
    let mut value = leaf;
    for children in path {
        let mut children = *children;
        children[(at % ARITY) as usize] = value;
        value = node(children);
        at /= ARITY;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_depends_on_leaves_only_and_not_on_the_order_of_writes() {
        let mut one = Tree::new(3, Fr::zero());
        let mut two = Tree::new(3, Fr::zero());
        one.set(5, Fr::from(7));
        one.set(63, Fr::from(9));
        two.set(63, Fr::from(1));
        two.root();
        two.set(63, Fr::from(9));
        two.set(5, Fr::from(7));
        assert_eq!(one.root(), two.root());
        two.set(5, Fr::zero());
        two.set(63, Fr::zero());
        assert_eq!(two.root(), Tree::new(3, Fr::zero()).root());
    }

    #[test]
    fn an_opened_tree_has_the_paths_of_its_leaves_before_and_after_writes() {
        let mut tree = Tree::new(4, Fr::from(3));
        for index in 0..200 {
            tree.set(index, Fr::from(index + 100));
        }
        let mut opened = tree.opened([0, 17, 255]);
        assert!(opened.nodes.len() < 50);
        for index in [17, 0, 255] {
            assert_eq!(opened.path(index), tree.path(index));
            opened.set(index, Fr::from(7));
            tree.set(index, Fr::from(7));
        }
        assert_eq!(opened.root(), tree.root());
        let mut empty = Tree::new(2, Fr::zero());
        assert_eq!(empty.opened([3]).root(), empty.root());
    }

    #[test]
    fn the_upper_part_of_a_tree_stands_for_itself() {
        let mut tree = Tree::new(4, Fr::from(3));
        tree.set(17, Fr::from(100));
        let mut upper = tree.clone();
        assert_eq!(upper.path_from(2, 1), tree.path(17)[2..].to_vec());
        tree.set(18, Fr::from(7));
        upper.set_node(2, 1, tree.node_at(2, 1));
        assert_eq!(upper.root(), tree.root());
        assert_eq!(upper.path_from(2, 15), tree.path_from(2, 15));
    }

    #[test]
    fn trees_that_are_hashed_together_are_as_if_alone() {
        let tree = |count: u64| {
            let mut tree = Tree::new(4, Fr::from(3));
            for index in 0..count {
                tree.set(index * index % 256, Fr::from(index + count));
            }
            tree
        };
        let counts = [0, 1, 7, 100, 3];
        let mut together: Vec<Tree> = counts.iter().map(|count| tree(*count)).collect();
        // One of them is hashed already, and has nothing to do.
        together[2].root();
        Tree::hash_together(&mut together);
        for (mut one, count) in together.into_iter().zip(counts) {
            assert!(one.dirty.is_empty());
            let mut alone = tree(count);
            assert_eq!((one.root(), one.path(17)), (alone.root(), alone.path(17)));
        }
        Tree::hash_together([]);
    }

    #[test]
    fn a_tree_of_leaves_is_the_one_in_which_they_were_written() {
        for leaves in [vec![], vec![0], vec![0, 1, 17, 200, 255]] {
            let mut one = Tree::new(4, Fr::from(3));
            let leaves: Vec<(u64, Fr)> =
                leaves.into_iter().map(|index| (index, Fr::from(index + 9))).collect();
            leaves.iter().for_each(|(index, leaf)| one.set(*index, *leaf));
            let mut other = Tree::of_leaves(Arc::clone(&one.empty), leaves.clone());
            assert_eq!((other.root(), other.path(17)), (one.root(), one.path(17)));
            assert_eq!(other.leaves().collect::<Vec<_>>(), leaves);
        }
    }

    #[test]
    #[should_panic(expected = "outside of the tree")]
    fn a_leaf_outside_of_the_tree_is_no_leaf() {
        let empty = Tree::new(2, Fr::zero()).empty;
        Tree::of_leaves(empty, [(16, Fr::one())]);
    }

    #[test]
    fn path_leads_to_the_root() {
        let mut tree = Tree::new(4, Fr::from(3));
        for index in [0, 1, 17, 200, 255] {
            tree.set(index, Fr::from(index + 100));
        }
        let root = tree.root();
        for index in [0, 17, 18, 255] {
            let path = tree.path(index);
            assert_eq!(root_of(&path, index, tree.leaf(index)), root);
            assert_ne!(root_of(&path, index, Fr::from(99)), root);
        }
    }
}
