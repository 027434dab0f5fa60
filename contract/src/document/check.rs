//! Holds a tree against the schema of its kind.
//!
//! Every fault becomes a problem and is left out of the value, so that one fault hides no other.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::places::Places;
use super::scalar::Reading;
use super::tree::{Node, NodeKind};
use super::words::{listed, nearest, shown};
use super::{fields, hand, numbers};
use crate::crds;
use crate::duration::{self, Duration};
use crate::problem::Problem;
use crate::schema::text::meaning;

/// What came of a document.
pub(super) struct Checked {
    /// The document without its faults.
    pub value: Value,
    /// The faults.
    pub problems: Vec<Problem>,
    /// Paths of items whose name stands before: the first of them counts.
    pub doubled: Vec<String>,
    /// Where everything stands.
    pub places: Places,
}

/// Holds a document against the schema of `kind`.
pub(super) fn document(node: &Node, kind: &str) -> Checked {
    let mut checker = Checker {
        problems: Vec::new(),
        doubled: Vec::new(),
        places: Places::default(),
    };
    let value = hand::root(&mut checker, node, kind);
    Checked {
        value,
        problems: checker.problems,
        doubled: checker.doubled,
        places: checker.places,
    }
}

/// A place in document and schema, and what it lies in.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    /// Path in the document.
    pub path: &'a str,
    /// What the schema says of it.
    pub schema: &'a Value,
    /// What it lies in.
    pub outer: Option<&'a At<'a>>,
}

impl<'a> At<'a> {
    pub(super) fn keyword(&self, name: &str) -> Option<&'a Value> {
        self.schema.get(name)
    }

    pub(super) fn limit(&self, name: &str) -> Option<usize> {
        self.keyword(name)
            .and_then(Value::as_u64)
            .and_then(|limit| usize::try_from(limit).ok())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.keyword(name) == Some(&Value::Bool(true))
    }
}

pub(super) struct Checker {
    pub problems: Vec<Problem>,
    pub doubled: Vec<String>,
    pub places: Places,
}

impl Checker {
    /// Says that something is wrong at `node`.
    pub(super) fn wrong(&mut self, path: &str, node: &Node, message: impl Into<String>, hint: Option<String>) {
        let mut problem = Problem::new(path, message).at(node.place);
        problem.hint = hint;
        self.problems.push(problem);
    }

    /// The value of `node`, or nothing where it has none that the schema takes.
    pub(super) fn value(&mut self, node: &Node, at: &At<'_>) -> Option<Value> {
        self.places.insert(at.path, node.place);
        if let Some(done) = hand::value(self, node, at) {
            return done;
        }
        if at.flag("x-kubernetes-int-or-string") {
            return numbers::amount(self, node, at);
        }
        match at.keyword("type").and_then(Value::as_str) {
            Some("object") => fields::object(self, node, at),
            Some("array") => self.list(node, at),
            Some("string") => self.text(node, at),
            Some("integer") => numbers::integer(self, node, at),
            Some("number") => numbers::number(self, node, at),
            Some("boolean") => match node.kind {
                NodeKind::Scalar {
                    reading: Reading::Bool(truth),
                    ..
                } => Some(truth.into()),
                _ => self.expected("true or false", node, at),
            },
            _ => fields::anything(self, node, at.path),
        }
    }

    /// Says that something else is expected at `node`.
    pub(super) fn expected(&mut self, what: &str, node: &Node, at: &At<'_>) -> Option<Value> {
        self.wrong(at.path, node, format!("expected {what}, found {}", found(node)), None);
        None
    }

    fn list(&mut self, node: &Node, at: &At<'_>) -> Option<Value> {
        let NodeKind::List(items) = &node.kind else {
            let hint = matches!(node.kind, NodeKind::Map(_)).then(|| "begin each item with `- `".to_owned());
            self.wrong(at.path, node, format!("expected a list, found {}", found(node)), hint);
            return None;
        };
        let least = at.limit("minItems").unwrap_or(0);
        if items.len() < least {
            self.wrong(
                at.path,
                node,
                format!("has {} items; at least {least} must be there", items.len()),
                None,
            );
        }
        if let Some(most) = at.limit("maxItems")
            && items.len() > most
        {
            self.wrong(
                at.path,
                node,
                format!("has {} items; at most {most} are allowed", items.len()),
                None,
            );
            return None;
        }
        let schema = at.keyword("items")?;
        let key = at
            .keyword("x-kubernetes-list-map-keys")
            .and_then(|keys| keys.get(0))
            .and_then(Value::as_str);
        let is_set = at.keyword("x-kubernetes-list-type").is_some_and(|kind| kind == "set");
        let mut names: HashMap<&str, usize> = HashMap::new();
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{}]", at.path, item_name(item, key, index));
            let name = match key {
                Some(key) => item.get(key).and_then(Node::as_text),
                None if is_set => item.as_text(),
                None => None,
            };
            if let Some(name) = name {
                match names.get(name) {
                    Some(line) => {
                        let what = key.map(|key| format!("the {key} ")).unwrap_or_default();
                        let message = format!("{what}{} is given twice; it stands in line {line} already", shown(name));
                        self.wrong(&path, item, message, None);
                        self.doubled.push(path);
                        continue;
                    }
                    None => _ = names.insert(name, item.place.line),
                }
            }
            let at = At {
                path: &path,
                schema,
                outer: at.outer,
            };
            let mut value = self.value(item, &at);
            if let (Some(Value::Object(fields)), Some(key)) = (&mut value, key)
                && fields.get(key).and_then(Value::as_str) != name
            {
                // An item without a usable name is called by its place in the problems of rules too.
                fields.insert(key.to_owned(), index.to_string().into());
            }
            values.extend(value);
        }
        Some(Value::Array(values))
    }

    fn text(&mut self, node: &Node, at: &At<'_>) -> Option<Value> {
        let words = at.keyword("enum").and_then(Value::as_array);
        let NodeKind::Scalar { text, reading } = &node.kind else {
            return self.expected("text", node, at);
        };
        match reading {
            Reading::Text => {}
            Reading::Odd(meaning) => {
                let hint = format!("put it in quotes: \"{text}\"");
                self.wrong(
                    at.path,
                    node,
                    format!("{} without quotes is {meaning} to kubectl", shown(text)),
                    Some(hint),
                );
                return None;
            }
            _ if words.is_some() => {}
            _ => {
                let pattern = at.keyword("pattern").and_then(Value::as_str);
                let quoted = *reading != Reading::Null && pattern.is_none_or(|pattern| fits(pattern, text));
                let hint = quoted.then(|| format!("put it in quotes: \"{text}\""));
                let what = pattern.filter(|_| !quoted).and_then(meaning).unwrap_or("text");
                self.wrong(at.path, node, format!("expected {what}, found {}", found(node)), hint);
                return None;
            }
        }
        if let Some(words) = words {
            return self.word(text, words, node, at);
        }
        let length = text.chars().count();
        if length < at.limit("minLength").unwrap_or(0) {
            self.wrong(at.path, node, "must not be empty", None);
            return None;
        }
        if let Some(most) = at.limit("maxLength")
            && length > most
        {
            self.wrong(
                at.path,
                node,
                format!("has {length} characters; at most {most} are allowed"),
                None,
            );
            return None;
        }
        let pattern = at.keyword("pattern").and_then(Value::as_str);
        if let Some(pattern) = pattern {
            if !fits(pattern, text) {
                return self.expected(meaning(pattern).unwrap_or(pattern), node, at);
            }
            if pattern == duration::PATTERN && text.parse::<Duration>().is_err() {
                self.wrong(
                    at.path,
                    node,
                    format!("{} is longer than a hundred years", shown(text)),
                    None,
                );
                return None;
            }
        }
        Some(text.as_str().into())
    }

    fn word(&mut self, text: &str, words: &[Value], node: &Node, at: &At<'_>) -> Option<Value> {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        if words.contains(&text) {
            return Some(text.into());
        }
        let hint = nearest(text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
        self.wrong(
            at.path,
            node,
            format!("{} is none of {}", shown(text), listed(words)),
            hint,
        );
        None
    }
}

/// How an item of a list is called in paths: by its name where it has one, else by its place.
fn item_name(item: &Node, key: Option<&str>, index: usize) -> String {
    let name = item.get(key.unwrap_or("name")).and_then(Node::as_text);
    let readable = |name: &&str| {
        !name.is_empty()
            && name.len() <= 63
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    name.filter(readable).map_or_else(|| index.to_string(), str::to_owned)
}

/// What stands at a node, in words.
pub(super) fn found(node: &Node) -> String {
    match &node.kind {
        NodeKind::List(_) => "a list".to_owned(),
        NodeKind::Map(_) => "a map".to_owned(),
        NodeKind::Scalar { text, reading } => match reading {
            Reading::Null => "nothing".to_owned(),
            Reading::Bool(_) | Reading::Odd(_) => shown(text),
            Reading::Integer(_) | Reading::Float(_) => format!("the number {}", shown(text)),
            Reading::Text => format!("the text {}", shown(text)),
        },
    }
}

/// Whether `text` has the shape of `pattern`, one of the patterns of the schemas.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    PATTERNS.get(pattern).is_none_or(|regex| regex.is_match(text))
}

/// Every pattern of every schema, compiled once. A test shows that all of them compile.
static PATTERNS: LazyLock<HashMap<String, Regex>> = LazyLock::new(|| {
    let mut patterns = HashMap::new();
    crds::kinds()
        .filter_map(crds::schema_of)
        .for_each(|schema| collect(schema, &mut patterns));
    patterns
});

fn collect(schema: &Value, patterns: &mut HashMap<String, Regex>) {
    let children = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|map| map.values())
    };
    children("properties").for_each(|child| collect(child, patterns));
    ["items", "additionalProperties"]
        .iter()
        .filter_map(|key| schema.get(key))
        .for_each(|child| collect(child, patterns));
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && let Ok(regex) = Regex::new(pattern)
    {
        patterns.insert(pattern.to_owned(), regex);
    }
}

#[cfg(test)]
pub(super) fn pattern_count() -> usize {
    PATTERNS.len()
}
