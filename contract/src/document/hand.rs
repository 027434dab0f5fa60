//! What no schema describes: the head of a document, and the fields that take a word or something longer.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::MISSING;
use super::check::{At, Checker};
use super::fields::object;
use super::tree::{Node, NodeKind};
use super::words::{listed, nearest, shown};
use crate::crds::{self, API_VERSION};
use crate::duration::Duration;
use crate::names::MAX_PIPELINE_NAME;
use crate::schema::text::{Label, ObjectName, StreamName};

/// The kind whose name becomes part of topic names and so has no dots.
const PIPELINE: &str = "IncidentPipeline";

/// Most inputs of a stage.
const MAX_INPUTS: usize = 64;

/// The head of a document and its spec. A status is the operator's and is left out.
pub(super) fn root(checker: &mut Checker, node: &Node, kind: &str) -> Value {
    let schema = json!({
        "type": "object",
        "required": ["metadata", "spec"],
        "properties": {
            "apiVersion": {}, "kind": {}, "status": {},
            "metadata": metadata(kind),
            "spec": crds::schema_of(kind).and_then(|schema| schema.pointer("/properties/spec")),
        }
    });
    let NodeKind::Map(entries) = &node.kind else {
        let hint = format!("it begins with `apiVersion: {API_VERSION}`");
        checker.wrong("", node, format!("expected a document of kind {kind}"), Some(hint));
        return Value::Null;
    };
    version(checker, node);
    if !kind_fits(checker, node, kind) {
        // Held against the schema of another kind, everything else would be wrong too.
        return Value::Null;
    }
    let kept = entries
        .iter()
        .filter(|entry| !matches!(entry.key.as_str(), "apiVersion" | "kind" | "status"));
    let body = Node {
        place: node.place,
        kind: NodeKind::Map(kept.cloned().collect()),
    };
    object(
        checker,
        &body,
        &At {
            path: "",
            schema: &schema,
            outer: None,
        },
    )
    .unwrap_or_default()
}

fn version(checker: &mut Checker, node: &Node) {
    let add = Some(format!("write `apiVersion: {API_VERSION}`"));
    match node.get("apiVersion") {
        None => checker.wrong("apiVersion", node, MISSING, add),
        Some(version) if version.as_text() == Some(API_VERSION) => {}
        Some(version) => {
            let found = super::check::found(version);
            checker.wrong(
                "apiVersion",
                version,
                format!("expected {API_VERSION}, found {found}"),
                add,
            );
        }
    }
}

fn kind_fits(checker: &mut Checker, node: &Node, expected: &str) -> bool {
    let Some(given) = node.get("kind") else {
        checker.wrong("kind", node, MISSING, Some(format!("write `kind: {expected}`")));
        return true;
    };
    let word = given.as_text().unwrap_or_default();
    if word == expected {
        return true;
    }
    if crds::kinds().any(|kind| kind == word) {
        checker.wrong(
            "kind",
            given,
            format!("expected {expected}, found {}", shown(word)),
            None,
        );
        return false;
    }
    let hint = nearest(word, crds::kinds()).map(|near| format!("did you mean `{near}`?"));
    let hint = hint.unwrap_or_else(|| format!("the kinds are {}", listed(crds::kinds())));
    let found = super::check::found(given);
    checker.wrong("kind", given, format!("expected {expected}, found {found}"), Some(hint));
    // A kind that is merely misspelt: go on as if it were right.
    nearest(word, crds::kinds()) == Some(expected)
}

/// What of `metadata` a user writes, and what `kubectl get -o yaml` adds.
fn metadata(kind: &str) -> Value {
    let mut name = if kind == PIPELINE {
        schema_of::<Label>()
    } else {
        schema_of::<ObjectName>()
    };
    if kind == PIPELINE {
        name["maxLength"] = MAX_PIPELINE_NAME.into();
    }
    name["description"] = "Name of the object.".into();
    let word = json!({ "type": "string", "maxLength": 253 });
    let words = json!({ "type": "object", "additionalProperties": { "type": "string", "maxLength": 262_144 } });
    let number = json!({ "type": "integer" });
    let list = json!({ "type": "array", "items": {} });
    json!({
        "type": "object",
        "required": ["name"],
        "description": "Name of the object and the like.",
        "properties": {
            "name": name,
            "namespace": word, "generateName": word, "uid": word, "resourceVersion": word, "selfLink": word,
            "creationTimestamp": word, "deletionTimestamp": word,
            "labels": words, "annotations": words,
            "generation": number, "deletionGracePeriodSeconds": number,
            "finalizers": list, "ownerReferences": list, "managedFields": list
        }
    })
}

/// Fields that the schema leaves open: `from` and `emit` of a stage. None for all others.
pub(super) fn value(checker: &mut Checker, node: &Node, at: &At<'_>) -> Option<Option<Value>> {
    if !at.flag("x-kubernetes-preserve-unknown-fields") {
        return None;
    }
    let field = at
        .path
        .strip_prefix("spec.stages[")
        .and_then(|rest| rest.split_once("]."))
        .map(|(_, field)| field);
    match field {
        Some("from") => Some(inputs(checker, node, at)),
        Some("emit") => Some(emission(checker, node, at)),
        _ => None,
    }
}

/// `from`: the name of a stream, or a list of them.
fn inputs(checker: &mut Checker, node: &Node, at: &At<'_>) -> Option<Value> {
    let name = schema_of::<StreamName>();
    let list = json!({ "type": "array", "minItems": 1, "maxItems": MAX_INPUTS, "items": name });
    let schema = match node.kind {
        NodeKind::List(_) => &list,
        NodeKind::Scalar { .. } => &name,
        NodeKind::Map(_) => return checker.expected("the name of a stream, or a list of names", node, at),
    };
    checker.value(node, &At { schema, ..*at })
}

/// `emit`: a word, or `{every: 1s}`.
fn emission(checker: &mut Checker, node: &Node, at: &At<'_>) -> Option<Value> {
    const WORDS: [&str; 3] = ["OnClose", "OnChange", "Final"];
    let schema = match node.kind {
        NodeKind::Scalar { .. } => json!({ "type": "string", "enum": WORDS }),
        NodeKind::Map(_) => {
            let mut every = schema_of::<Duration>();
            every["description"] = "Time between two results.".into();
            json!({ "type": "object", "required": ["every"], "properties": { "every": every } })
        }
        NodeKind::List(_) => return checker.expected("OnClose, OnChange, Final or {every: 1s}", node, at),
    };
    checker.value(node, &At { schema: &schema, ..*at })
}

fn schema_of<T: JsonSchema>() -> Value {
    T::json_schema(&mut SchemaGenerator::default()).to_value()
}
