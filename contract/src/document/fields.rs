//! Maps of a document: fields that the schema names, free maps, and objects that are not ours to check.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::check::{At, Checker, found};
use super::scalar::Reading;
use super::tree::{Entry, Node, NodeKind};
use super::words::{listed, nearest, shown};
use super::{MAX_PROBLEMS, MISSING};
use crate::problem::Problem;

/// Longest key of a free map: they name columns.
const MAX_KEY: usize = 256;

/// The value of a node that the schema calls an object.
pub(super) fn object(checker: &mut Checker, node: &Node, at: &At<'_>) -> Option<Value> {
    let NodeKind::Map(entries) = &node.kind else {
        let names = at.keyword("properties").and_then(Value::as_object);
        let hint = names.map(|names| format!("its fields are {}", listed(names.keys().map(String::as_str))));
        checker.wrong(
            at.path,
            node,
            format!("expected fields with values, found {}", found(node)),
            hint,
        );
        return None;
    };
    if let Some(properties) = at.keyword("properties").and_then(Value::as_object) {
        return Some(fields(checker, entries, node, at, properties));
    }
    match at.keyword("additionalProperties") {
        Some(values) => free_map(checker, entries, node, at, values),
        None => anything(checker, node, at.path),
    }
}

/// An object whose fields the schema names.
fn fields(
    checker: &mut Checker,
    entries: &[Entry],
    node: &Node,
    at: &At<'_>,
    properties: &Map<String, Value>,
) -> Value {
    let mut value = Map::new();
    let mut meant: Vec<&str> = Vec::new();
    let mut given: Vec<&str> = Vec::new();
    for entry in first_of_each(checker, entries, at.path) {
        let path = join(at.path, &entry.key);
        let Some(schema) = properties.get(&entry.key) else {
            meant.extend(unknown(checker, entry, &path, at, properties));
            continue;
        };
        // The API server takes a field with nothing in it for one that is not there, and so do we.
        if entry.value.is_null() {
            checker.places.insert(&path, entry.place);
            continue;
        }
        given.push(&entry.key);
        // A list or map is found by its key, a word by itself.
        if !matches!(entry.value.kind, NodeKind::Scalar { .. }) {
            checker.places.insert(&path, entry.place);
        }
        if let Some(inner) = checker.value(
            &entry.value,
            &At {
                path: &path,
                schema,
                outer: Some(at),
            },
        ) {
            value.insert(entry.key.clone(), inner);
        }
    }
    let required = at.keyword("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        let schema = properties.get(name).unwrap_or(&Value::Null);
        if !given.contains(&name) && !meant.contains(&name) {
            let purpose = schema["description"].as_str().and_then(|text| text.lines().next());
            let purpose = purpose.map(|line| format!("it is: {line}"));
            checker.wrong(&join(at.path, name), node, MISSING, purpose);
        }
        // So that the rest becomes a value whose rules can be checked. The document is refused all the same.
        value.entry(name).or_insert_with(|| stopgap(schema));
    }
    Value::Object(value)
}

/// A value that the types take, in place of one that is missing or wrong.
fn stopgap(schema: &Value) -> Value {
    if let Some(word) = schema["enum"].get(0) {
        return word.clone();
    }
    match schema["type"].as_str() {
        Some("string") if schema["pattern"] == crate::duration::PATTERN => "1s".into(),
        Some("integer" | "number") => 1.into(),
        Some("boolean") => false.into(),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten();
            let fields = required.filter_map(Value::as_str);
            let fields = fields.map(|name| (name.to_owned(), stopgap(&schema["properties"][name])));
            Value::Object(fields.collect())
        }
        _ => "x".into(),
    }
}

/// Says that a field is unknown. Gives back the one that was probably meant.
fn unknown<'a>(
    checker: &mut Checker,
    entry: &Entry,
    path: &str,
    at: &At<'_>,
    properties: &'a Map<String, Value>,
) -> Option<&'a str> {
    let names = || properties.keys().map(String::as_str);
    if checker.problems.len() >= MAX_PROBLEMS {
        // Nobody sees its hint, and looking for one takes its time.
        checker.problems.push(Problem::new(path, "").at(entry.place));
        return None;
    }
    let near = nearest(&entry.key, names());
    let hint = match (near, belongs(&entry.key, at, properties)) {
        (Some(near), None) => format!("did you mean `{near}`?"),
        (_, Some(place)) => place,
        (None, None) => format!("the fields here are {}", listed(names())),
    };
    let problem = Problem::new(path, format!("there is no field {} here", shown(&entry.key))).hint(hint);
    checker.problems.push(problem.at(entry.place));
    near
}

/// Where a field that is not known here is known: one level down, or further up.
fn belongs(key: &str, at: &At<'_>, properties: &Map<String, Value>) -> Option<String> {
    let has = |schema: &Value| schema.get("properties").is_some_and(|fields| fields.get(key).is_some());
    if let Some((below, _)) = properties.iter().find(|(_, schema)| has(schema)) {
        return Some(format!("it belongs into `{below}`"));
    }
    let mut outer = at.outer;
    while let Some(level) = outer {
        if has(level.schema) {
            return Some(format!(
                "it belongs further out, into `{}`; look at the indentation",
                level.path
            ));
        }
        outer = level.outer;
    }
    None
}

/// A map whose keys the user names.
fn free_map(checker: &mut Checker, entries: &[Entry], node: &Node, at: &At<'_>, schema: &Value) -> Option<Value> {
    let limit = |name: &str| {
        at.keyword(name)
            .and_then(Value::as_u64)
            .and_then(|limit| usize::try_from(limit).ok())
    };
    if entries.len() < limit("minProperties").unwrap_or(0) {
        checker.wrong(at.path, node, "must not be empty", None);
    }
    if let Some(most) = limit("maxProperties")
        && entries.len() > most
    {
        checker.wrong(
            at.path,
            node,
            format!("has {} entries; at most {most} are allowed", entries.len()),
            None,
        );
        return None;
    }
    let mut value = Map::new();
    for entry in first_of_each(checker, entries, at.path) {
        let path = join(at.path, &entry.key);
        if !key_fits(checker, entry, &path) {
            continue;
        }
        if let Some(inner) = checker.value(
            &entry.value,
            &At {
                path: &path,
                schema,
                outer: Some(at),
            },
        ) {
            value.insert(entry.key.clone(), inner);
        }
    }
    Some(Value::Object(value))
}

fn key_fits(checker: &mut Checker, entry: &Entry, path: &str) -> bool {
    let fault = match entry.odd {
        Some(meaning) => Problem::new(
            path,
            format!("the key {} without quotes is {meaning} to kubectl", shown(&entry.key)),
        )
        .hint(format!("put it in quotes: \"{}\"", entry.key)),
        None if entry.key.is_empty() => Problem::new(path, "a key must not be empty"),
        None if entry.key.chars().count() > MAX_KEY => {
            Problem::new(path, format!("a key has at most {MAX_KEY} characters"))
        }
        None => return true,
    };
    checker.problems.push(fault.at(entry.place));
    false
}

/// The path of a field.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The entries without those whose key stands before already; these are named.
fn first_of_each<'a>(checker: &mut Checker, entries: &'a [Entry], path: &str) -> Vec<&'a Entry> {
    let mut lines: HashMap<&str, usize> = HashMap::new();
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        match lines.get(entry.key.as_str()) {
            Some(line) => {
                let message = format!("stands here twice; it stands in line {line} already");
                checker
                    .problems
                    .push(Problem::new(join(path, &entry.key), message).at(entry.place));
            }
            None => {
                lines.insert(&entry.key, entry.place.line);
                kept.push(entry);
            }
        }
    }
    kept
}

/// A value that is not ours to check, such as a part of a pod template. Keys must be unique even so.
pub(super) fn anything(checker: &mut Checker, node: &Node, path: &str) -> Option<Value> {
    match &node.kind {
        NodeKind::List(items) => {
            let items = items.iter().enumerate();
            Some(
                items
                    .filter_map(|(at, item)| anything(checker, item, &format!("{path}[{at}]")))
                    .collect(),
            )
        }
        NodeKind::Map(entries) => {
            let mut value = Map::new();
            for entry in first_of_each(checker, entries, path) {
                let path = join(path, &entry.key);
                if key_fits(checker, entry, &path)
                    && let Some(inner) = anything(checker, &entry.value, &path)
                {
                    value.insert(entry.key.clone(), inner);
                }
            }
            Some(Value::Object(value))
        }
        NodeKind::Scalar { text, reading } => Some(match reading {
            Reading::Null => Value::Null,
            Reading::Bool(truth) => (*truth).into(),
            Reading::Integer(number) => match i64::try_from(*number) {
                Ok(number) => number.into(),
                Err(_) => (*number as f64).into(),
            },
            Reading::Float(number) => (*number).into(),
            Reading::Text => text.as_str().into(),
            Reading::Odd(meaning) => {
                let message = format!("{} without quotes is {meaning} to kubectl", shown(text));
                checker.wrong(
                    path,
                    node,
                    message,
                    Some(format!("put it in quotes: \"{text}\", or write what you mean")),
                );
                return None;
            }
        }),
    }
}
