//! YAML text as a tree that remembers where everything stands.
//!
//! Limits hold before anything is built: depth, and the number of nodes, aliases written out. Keys that stand twice are
//! kept, so that whoever walks the tree can name them.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::scalar::{self, Reading};
use crate::problem::{Place, Problem};

/// Deepest nesting. A pod template, the deepest thing in a document, needs about twenty.
const MAX_DEPTH: usize = 64;

/// Most nodes, aliases written out.
const MAX_NODES: usize = 200_000;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// A word, in quotes or not.
    Scalar {
        /// The word as it was written, without quotes.
        text: String,
        /// What it means; in quotes it is always text.
        reading: Reading,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; a key may stand twice.
    Map(Vec<Entry>),
}

/// A key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// What `kubectl` makes of the key, if not this text.
    pub odd: Option<&'static str>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        matches!(
            self.kind,
            NodeKind::Scalar {
                reading: Reading::Null,
                ..
            }
        )
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar {
                text,
                reading: Reading::Text,
            } => Some(text),
            _ => None,
        }
    }

    /// The first value of `key`, if this is a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            NodeKind::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// What the node adds to the budget of [`MAX_NODES`]: long words count more.
    fn weight(&self) -> usize {
        let word = |text: &str| 1 + text.len() / 32;
        match &self.kind {
            NodeKind::Scalar { text, .. } => word(text),
            NodeKind::List(items) => 1 + items.iter().map(Node::weight).sum::<usize>(),
            NodeKind::Map(entries) => {
                1 + entries
                    .iter()
                    .map(|entry| word(&entry.key) + entry.value.weight())
                    .sum::<usize>()
            }
        }
    }

    fn depth(&self) -> usize {
        match &self.kind {
            NodeKind::Scalar { .. } => 0,
            NodeKind::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            NodeKind::Map(entries) => 1 + entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
        }
    }
}

/// All documents of `text`.
///
/// # Errors
/// The first place at which the text is no YAML, or asks for too much.
pub fn read(text: &str) -> Result<Vec<Node>, Box<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        text,
        open: Vec::new(),
        anchors: HashMap::new(),
        documents: Vec::new(),
        nodes: 0,
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => return Err(Box::new(builder.syntax(&error))),
        }
    }
    Ok(builder.documents)
}

/// A list or map that is not complete yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<Key>,
    /// What `<<` brings: put in at the end, because what the map says itself wins wherever it stands.
    merge: Option<Vec<Entry>>,
}

/// A key, its place, and what `kubectl` makes of it if not this text.
type Key = (String, Place, Option<&'static str>);

struct Builder<'a> {
    text: &'a str,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    documents: Vec<Node>,
    nodes: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Problem>> {
        let place = place(&span.start);
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let as_text = match tag.as_deref() {
                    None => false,
                    Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
                    Some(_) => return Err(self.problem("tags mean nothing here", place)),
                };
                let reading = match style {
                    ScalarStyle::Plain if !as_text => scalar::read(&text),
                    _ => Reading::Text,
                };
                self.complete(
                    Node {
                        place,
                        kind: NodeKind::Scalar {
                            text: text.into_owned(),
                            reading,
                        },
                    },
                    anchor,
                )?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(NodeKind::List(Vec::new()), anchor, tag.is_some(), place)?
            }
            Event::MappingStart(anchor, tag) => self.begin(NodeKind::Map(Vec::new()), anchor, tag.is_some(), place)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut done) = self.open.pop() {
                    if let (NodeKind::Map(entries), Some(merge)) = (&mut done.node.kind, done.merge) {
                        add_absent(entries, merge);
                    }
                    self.complete(done.node, done.anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let Some(named) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.problem("the alias stands inside of what it names", place));
                };
                self.nodes += named.weight();
                if self.open.len() + named.depth() > MAX_DEPTH {
                    return Err(self.problem(&too_deep(), place));
                }
                self.complete(Node { place, ..named }, 0)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, kind: NodeKind, anchor: usize, tagged: bool, place: Place) -> Result<(), Box<Problem>> {
        if tagged {
            return Err(self.problem("tags mean nothing here", place));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.problem(&too_deep(), place));
        }
        self.open.push(Open {
            node: Node { place, kind },
            anchor,
            key: None,
            merge: None,
        });
        Ok(())
    }

    /// Puts a node that is whole where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Box<Problem>> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("the file has more than {MAX_NODES} values, aliases written out");
            return Err(self.problem(&message, node.place));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(Open {
            node: outer,
            key,
            merge,
            ..
        }) = self.open.last_mut()
        else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut outer.kind {
            NodeKind::List(items) => items.push(node),
            NodeKind::Map(entries) => match key.take() {
                Some((name, place, _)) if name == "<<" => {
                    let Some(merged) = merged(node).filter(|_| merge.is_none()) else {
                        return Err(picture_of(
                            self.text,
                            "`<<` stands once and takes a map, or a list of maps",
                            place,
                        ));
                    };
                    *merge = Some(merged);
                }
                Some((key, place, odd)) => entries.push(Entry {
                    key,
                    place,
                    odd,
                    value: node,
                }),
                None => {
                    *key = Some(word(node).map_err(|(message, place)| picture_of(self.text, message, place))?);
                }
            },
            NodeKind::Scalar { .. } => {}
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let message = format!("this is no YAML: {}", error.info());
        let mut problem = *self.problem(&message, place(error.marker()));
        let bracket = |open: &Open| {
            if open.node.place.line == error.marker().line() {
                return None;
            }
            let bracket = character_at(self.text, open.node.place).filter(|c| matches!(c, '[' | '{'))?;
            Some(format!("\nthe `{bracket}` of {} is still open there", open.node.place))
        };
        if let (Some(hint), Some(open)) = (&mut problem.hint, self.open.iter().rev().find_map(bracket)) {
            hint.push_str(&open);
        }
        problem
    }

    fn problem(&self, message: &str, place: Place) -> Box<Problem> {
        picture_of(self.text, message, place)
    }
}

/// A problem with a picture of its place.
fn picture_of(text: &str, message: &str, place: Place) -> Box<Problem> {
    Box::new(Problem::new("", message).hint(picture(text, place)).at(place))
}

/// A node as the key of a map, with what `kubectl` makes of it.
fn word(node: Node) -> Result<Key, (&'static str, Place)> {
    let NodeKind::Scalar { text, reading } = node.kind else {
        return Err(("a key is a word, not a list or a map", node.place));
    };
    let odd = match reading {
        Reading::Text | Reading::Integer(_) => None,
        Reading::Null => return Err(("a key is missing before the colon", node.place)),
        Reading::Bool(true) => Some("true"),
        Reading::Bool(false) => Some("false"),
        Reading::Float(_) => Some("a number"),
        Reading::Odd(what) => Some(what),
    };
    Ok((text, node.place, odd))
}

fn too_deep() -> String {
    format!("lists and maps are nested more than {MAX_DEPTH} deep")
}

fn place(marker: &Marker) -> Place {
    Place {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

/// The entries that `<<: node` brings.
fn merged(node: Node) -> Option<Vec<Entry>> {
    match node.kind {
        NodeKind::Map(entries) => Some(entries),
        NodeKind::List(items) => {
            let mut all = Vec::new();
            for item in items {
                let NodeKind::Map(entries) = item.kind else { return None };
                all.extend(entries);
            }
            Some(all)
        }
        NodeKind::Scalar { .. } => None,
    }
}

/// Adds the first of `others` for each key that is not there.
fn add_absent(entries: &mut Vec<Entry>, others: Vec<Entry>) {
    let mut there: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    entries.extend(others.into_iter().filter(|other| there.insert(other.key.clone())));
}

fn character_at(text: &str, place: Place) -> Option<char> {
    text.lines().nth(place.line - 1)?.chars().nth(place.column - 1)
}

/// The line of a place with a caret under the column. Of a long line only what is near.
fn picture(text: &str, place: Place) -> String {
    const BEFORE: usize = 60;
    const AFTER: usize = 40;
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let start = (place.column - 1).saturating_sub(BEFORE);
    let shown: String = line
        .chars()
        .skip(start)
        .take(BEFORE + AFTER)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let caret = " ".repeat(place.column - 1 - start);
    format!("{number} | {}\n{margin} | {caret}^", shown.trim_end())
}
