//! The last touch to a derived schema: what Kubernetes asks of a structural schema, and what reads well in
//! `kubectl explain`.

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Makes the derived schema of a spec structural. For `#[schemars(transform = ...)]`.
///
/// - No `null`: the API server drops a null from a field that may be absent, so a field is there or not.
/// - Enumerations are plain words, their meanings part of the description.
/// - Unsigned whole numbers become bounds, since Kubernetes knows signed ones alone.
/// - The default of an object names only what the defaults of its fields do not give already.
pub fn tidy(schema: &mut Schema) {
    rewrite(schema, visit);
}

/// The same for a status, which has no defaults: what is not there was not reported.
pub fn tidy_status(schema: &mut Schema) {
    rewrite(schema, |value| {
        visit(value);
        drop_defaults(value);
    });
}

fn rewrite(schema: &mut Schema, change: impl Fn(&mut Value)) {
    let mut value = schema.clone().to_value();
    change(&mut value);
    if let Ok(changed) = Schema::try_from(value) {
        *schema = changed;
    }
}

fn drop_defaults(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // A property that is called `default` would be an object; a default of an object is one too, but none has
            // `type` in it.
            if fields
                .get("default")
                .is_some_and(|default| default.get("type").is_none())
            {
                fields.remove("default");
            }
            fields.values_mut().for_each(drop_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_defaults),
        _ => {}
    }
}

fn visit(value: &mut Value) {
    let Some(schema) = value.as_object_mut() else { return };
    drop_null(schema);
    if let Some(Value::Object(children)) = schema.get_mut("properties") {
        children.values_mut().for_each(visit);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(child) = schema.get_mut(key) {
            visit(child);
        }
    }
    plain_words(schema);
    signed_numbers(schema);
    short_default(schema);
}

/// `{anyOf: [X, null]}` and `{type: [T, null]}` become X and T.
fn drop_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = schema.get("type") {
        let others: Vec<Value> = kinds.iter().filter(|kind| *kind != "null").cloned().collect();
        if let [only] = others.as_slice() {
            schema.insert("type".into(), only.clone());
        }
    }
    if let Some(Value::Array(branches)) = schema.get("anyOf") {
        let others: Vec<Value> = branches
            .iter()
            .filter(|branch| **branch != json!({"type": "null"}))
            .cloned()
            .collect();
        if let [Value::Object(only)] = others.as_slice() {
            schema.remove("anyOf");
            for (key, inner) in only {
                schema.entry(key.clone()).or_insert_with(|| inner.clone());
            }
        }
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if schema.get("nullable") == Some(&Value::Bool(true)) {
        schema.remove("nullable");
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

/// `{oneOf: [{const: A, description: ...}, ...]}` becomes `{enum: [A, ...]}` with the descriptions in one text.
fn plain_words(schema: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = schema.get("oneOf") else {
        return;
    };
    let mut words = Vec::new();
    let mut meanings = Vec::new();
    for branch in branches {
        let Some(word) = branch.get("const").and_then(Value::as_str) else {
            return;
        };
        words.push(Value::from(word));
        if let Some(meaning) = branch.get("description").and_then(Value::as_str) {
            meanings.push(format!("{word}: {meaning}"));
        }
    }
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{description}\n\n{}", meanings.join("\n"));
    schema.remove("oneOf");
    schema.insert("type".into(), "string".into());
    schema.insert("enum".into(), words.into());
    schema.insert("description".into(), description.trim().into());
}

fn signed_numbers(schema: &mut Map<String, Value>) {
    let largest: i64 = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => u8::MAX.into(),
        Some("uint16") => u16::MAX.into(),
        Some("uint32") => u32::MAX.into(),
        Some("uint64" | "uint") => i64::MAX,
        _ => return,
    };
    schema.insert("format".into(), "int64".into());
    schema.entry("minimum").or_insert_with(|| 0.into());
    // A bound above 2^53 is no exact JSON number; the format is bound enough.
    if largest < i64::MAX {
        schema.entry("maximum").or_insert_with(|| largest.into());
    }
}

fn short_default(schema: &mut Map<String, Value>) {
    let Some(default) = schema.get("default").cloned() else {
        return;
    };
    let short = without_own_defaults(&default, schema);
    schema.insert("default".into(), short);
}

/// `default` without what the fields' own defaults would put back.
///
/// An object with rules keeps its whole default: the API server checks a default before it fills in the fields' own.
fn without_own_defaults(default: &Value, schema: &Map<String, Value>) -> Value {
    let (Value::Object(fields), Some(Value::Object(properties))) = (default, schema.get("properties")) else {
        return default.clone();
    };
    if has_rules(schema) {
        return default.clone();
    }
    let kept = fields.iter().filter_map(|(name, value)| {
        let Some(Value::Object(property)) = properties.get(name) else {
            return Some((name.clone(), value.clone()));
        };
        let value = without_own_defaults(value, property);
        (property.get("default") != Some(&value)).then(|| (name.clone(), value))
    });
    Value::Object(kept.collect())
}

fn has_rules(schema: &Map<String, Value>) -> bool {
    let below = |value: &Value| value.as_object().is_some_and(has_rules);
    schema.contains_key("x-kubernetes-validations")
        || schema
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|children| children.values().any(below))
}
