//! Where the wanted values stand in the records of a schema: the schema and the paths of a plan as one tree of steps.

use super::reader::{ReadError, Reader};
use super::schema::{Node, NodeId, Schema};

/// Number of a wanted place.
pub(super) type Slot = usize;

/// The wanted paths as a tree of their keys. A slot is the number of a node.
#[derive(Debug, Default)]
pub(super) struct Paths {
    nodes: Vec<Path>,
}

#[derive(Debug, Default)]
struct Path {
    children: Vec<(String, Slot)>,
    is_wanted: bool,
}

/// Where a value stands in a record, and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) node: NodeId,
    pub(super) start: usize,
}

/// What to do at a value.
#[derive(Debug)]
pub(super) struct Step {
    node: NodeId,
    /// Where it is noted that the value stands here.
    slot: Option<Slot>,
    within: Within,
}

/// What to do inside of a value.
#[derive(Debug)]
enum Within {
    Skip,
    Record(Vec<Step>),
    Union(Vec<Step>),
    /// Keys that are wanted, and how to pass over the others.
    Map(Vec<(String, Step)>, NodeId),
}

impl Paths {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Path::default()],
        }
    }

    /// Adds a path.
    pub(super) fn add(&mut self, path: &[String]) -> Slot {
        let mut at = 0;
        for key in path {
            let known = self.nodes[at].children.iter().find(|(name, _)| name == key);
            at = match known {
                Some((_, child)) => *child,
                None => {
                    self.nodes.push(Path::default());
                    let child = self.nodes.len() - 1;
                    self.nodes[at].children.push((key.clone(), child));
                    child
                }
            };
        }
        self.nodes[at].is_wanted = true;
        at
    }

    /// How many slots there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The steps through records of a schema. Each key of a path is one level of a record or a map, so that a schema that
    /// names itself ends here with the paths.
    pub(super) fn steps(&self, schema: &Schema) -> Step {
        self.step(schema, schema.root, Some(0))
    }

    fn step(&self, schema: &Schema, node: NodeId, slot: Option<Slot>) -> Step {
        let path = slot.and_then(|slot| self.nodes.get(slot));
        let wanted = slot.filter(|_| path.is_some_and(|path| path.is_wanted));
        let children = path.map(|path| path.children.as_slice()).unwrap_or_default();
        let child = |key: &str| children.iter().find(|(name, _)| name == key).map(|(_, slot)| *slot);
        let (slot, within) = match schema.node(node) {
            // A value's type is that of its branch.
            Node::Union(branches) if slot.is_some() => {
                let branches = branches.iter().map(|branch| self.step(schema, *branch, slot));
                (None, Within::Union(branches.collect()))
            }
            Node::Record(fields) if !children.is_empty() => {
                let fields = fields
                    .iter()
                    .map(|(name, field)| self.step(schema, *field, child(name)));
                (wanted, Within::Record(fields.collect()))
            }
            Node::Map(values) if !children.is_empty() => {
                let keys = children.iter();
                let steps = keys.map(|(key, slot)| (key.clone(), self.step(schema, *values, Some(*slot))));
                (wanted, Within::Map(steps.collect(), *values))
            }
            _ => (wanted, Within::Skip),
        };
        Step { node, slot, within }
    }
}

impl Step {
    /// Goes through a value and notes where the wanted ones stand.
    pub(super) fn walk(
        &self,
        schema: &Schema,
        reader: &mut Reader<'_>,
        depth: usize,
        found: &mut [Option<Found>],
    ) -> Result<(), ReadError> {
        let start = reader.at;
        // What is read later is checked here.
        let was_strict = reader.check_texts(self.slot.is_some());
        if !matches!(self.within, Within::Skip) {
            reader.enter(depth)?;
        }
        match &self.within {
            Within::Skip => reader.skip(schema, self.node, depth)?,
            Within::Record(fields) => {
                for field in fields {
                    field.walk(schema, reader, depth + 1, found)?;
                }
            }
            Within::Union(branches) => {
                let branch = reader.choice(branches.len())?;
                branches[branch].walk(schema, reader, depth + 1, found)?;
            }
            Within::Map(keys, values) => loop {
                let n = reader.block()?;
                if n == 0 {
                    break;
                }
                for _ in 0..n {
                    let key = reader.text()?;
                    match keys.iter().find(|(wanted, _)| wanted == key) {
                        Some((_, step)) => step.walk(schema, reader, depth + 1, found)?,
                        None => reader.skip(schema, *values, depth + 1)?,
                    }
                }
            },
        }
        reader.strict = was_strict;
        if let Some(found) = self.slot.and_then(|slot| found.get_mut(slot)) {
            let node = self.node;
            *found = Some(Found { node, start });
        }
        Ok(())
    }
}
