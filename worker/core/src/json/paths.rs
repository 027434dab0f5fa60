//! The places in a record that are wanted, as a tree of keys.
//!
//! Knows nothing of columns and types: a place is a node, and nodes are numbered.

use std::cmp::Ordering;

use super::slots::{Node, Wanted};
use crate::decode::MAX_DEPTH;

/// The tree of wanted places. Node 0 is the record itself; the nodes below a node have the numbers behind its own.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    nodes: Vec<PathNode>,
}

#[derive(Clone, Debug)]
struct PathNode {
    key: Vec<u8>,
    /// By length and bytes of their keys.
    children: Vec<Node>,
    /// One behind the last node below this one.
    end: Node,
    wanted: Wanted,
}

/// The record itself.
pub(super) const ROOT: Node = 0;

/// A place that nobody wants.
pub(super) const UNWANTED: Node = Node::MAX;

/// A tree whose nodes have no numbers yet.
#[derive(Default)]
struct Branch<'a> {
    key: &'a [u8],
    children: Vec<Branch<'a>>,
    wanted: Wanted,
}

impl Paths {
    /// Makes the tree of some paths. What several uses want of the same place is added up.
    pub(super) fn new<'a>(wanted: impl IntoIterator<Item = (&'a [String], Wanted)>) -> Self {
        let mut root = Branch::default();
        for (path, wanted) in wanted {
            if is_possible(path) {
                root.add(path, wanted);
            }
        }
        let mut paths = Self { nodes: Vec::new() };
        paths.number(root);
        paths
    }

    /// Gives a branch and all below it their numbers. A path, and with it the recursion, is at most `MAX_DEPTH` long.
    fn number(&mut self, branch: Branch<'_>) -> Node {
        let node = self.nodes.len() as Node;
        self.nodes.push(PathNode {
            key: branch.key.to_vec(),
            children: Vec::new(),
            end: 0,
            wanted: branch.wanted,
        });
        let mut children: Vec<Node> = branch.children.into_iter().map(|child| self.number(child)).collect();
        children.sort_by(|a, b| order(self.key(*a), self.key(*b)));
        let end = self.nodes.len() as Node;
        if let Some(this) = self.nodes.get_mut(node as usize) {
            this.children = children;
            this.end = end;
        }
        node
    }

    /// How many nodes there are, with the root.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node at a path, if it is one of the tree's.
    pub(super) fn find(&self, path: &[String]) -> Option<Node> {
        let node = path
            .iter()
            .try_fold(ROOT, |node, key| match self.child(node, key.as_bytes()) {
                UNWANTED => None,
                child => Some(child),
            })?;
        (node != ROOT).then_some(node)
    }

    /// The node of a key in the object of a node, or [`UNWANTED`].
    pub(super) fn child(&self, node: Node, key: &[u8]) -> Node {
        let Some(node) = self.nodes.get(node as usize) else {
            return UNWANTED;
        };
        let found = node.children.binary_search_by(|child| order(self.key(*child), key));
        found
            .ok()
            .and_then(|at| node.children.get(at).copied())
            .unwrap_or(UNWANTED)
    }

    /// Whether something is wanted below a node.
    #[inline]
    pub(super) fn is_inner(&self, node: Node) -> bool {
        self.nodes.get(node as usize).is_some_and(|this| this.end > node + 1)
    }

    /// The numbers of the nodes below a node.
    pub(super) fn below(&self, node: Node) -> std::ops::Range<usize> {
        self.nodes
            .get(node as usize)
            .map_or(0..0, |this| node as usize + 1..this.end as usize)
    }

    /// What the value of a node is wanted for.
    #[inline]
    pub(super) fn wanted(&self, node: Node) -> Wanted {
        self.nodes
            .get(node as usize)
            .map_or(Wanted::default(), |this| this.wanted)
    }

    /// What all values together are wanted for.
    pub(super) fn all_wanted(&self) -> Wanted {
        self.nodes
            .iter()
            .fold(Wanted::default(), |sum, node| sum.and(node.wanted))
    }

    fn key(&self, node: Node) -> &[u8] {
        self.nodes.get(node as usize).map_or(&[], |node| &node.key)
    }
}

impl<'a> Branch<'a> {
    fn add(&mut self, path: &'a [String], wanted: Wanted) {
        let Some((key, rest)) = path.split_first() else {
            // A place is found once, however many columns read it.
            self.wanted = self.wanted.or(wanted);
            return;
        };
        let at = self.children.iter().position(|child| child.key == key.as_bytes());
        let at = at.unwrap_or_else(|| {
            self.children.push(Branch {
                key: key.as_bytes(),
                ..Branch::default()
            });
            self.children.len() - 1
        });
        if let Some(child) = self.children.get_mut(at) {
            child.add(rest, wanted);
        }
    }
}

/// Whether a value can stand at a path: a record is an object, and a deeper one is refused.
fn is_possible(path: &[String]) -> bool {
    (1..=MAX_DEPTH).contains(&path.len())
}

/// Length first: most keys differ in it.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Paths, ROOT, UNWANTED};
    use crate::json::slots::{Use, Wanted};

    fn keys(path: &str) -> Vec<String> {
        path.split('.').map(str::to_owned).collect()
    }

    fn paths(of: &[&str]) -> Paths {
        let of: Vec<_> = of.iter().map(|path| keys(path)).collect();
        Paths::new(of.iter().map(|path| (path.as_slice(), Wanted::one(Use::Column))))
    }

    fn columns(count: usize) -> Wanted {
        (0..count).fold(Wanted::default(), |sum, _| sum.and(Wanted::one(Use::Column)))
    }

    #[test]
    fn a_path_leads_to_its_node() {
        let paths = paths(&["ts", "host.name", "host.id", "host", "a.b.c"]);
        let host = paths.find(&keys("host")).unwrap();
        let name = paths.find(&keys("host.name")).unwrap();
        assert_eq!(paths.child(ROOT, b"host"), host);
        assert_eq!(paths.child(host, b"name"), name);
        assert_eq!(paths.child(host, b"host"), UNWANTED);
        assert_eq!(paths.find(&keys("host.nam")), None);
        assert!(paths.is_inner(host) && !paths.is_inner(name));
        assert_eq!(paths.below(host).len(), 2);
        assert!(paths.below(host).contains(&(name as usize)));
        assert_eq!(paths.all_wanted(), columns(5));
    }

    #[test]
    fn a_place_that_two_columns_read_is_wanted_once() {
        assert_eq!(paths(&["a", "a", "b"]).all_wanted(), columns(2));
    }

    #[test]
    fn a_path_without_keys_or_deeper_than_any_record_leads_nowhere() {
        let deep: Vec<String> = (0..10_000).map(|_| "a".to_owned()).collect();
        let paths = Paths::new([(deep.as_slice(), Wanted::default()), (&[], Wanted::default())]);
        assert_eq!(paths.len(), 1);
        assert_eq!(paths.find(&deep), None);
        assert_eq!(paths.find(&[]), None);
    }
}
