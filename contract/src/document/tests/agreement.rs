//! What this reader takes, the types take, and other readers of YAML take for the same.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::string::string_regex;
use serde_json::{Map, Value, json};

use super::*;

#[test]
fn every_pattern_of_the_schemas_compiles_and_has_words() {
    fn walk(schema: &Value, count: &mut HashSet<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(pattern) = fields.get("pattern").and_then(Value::as_str) {
                    count.insert(pattern.to_owned());
                }
                fields.values().for_each(|value| walk(value, count));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, count)),
            _ => {}
        }
    }
    let mut patterns = HashSet::new();
    crds::kinds()
        .filter_map(crds::schema_of)
        .for_each(|schema| walk(schema, &mut patterns));
    assert_eq!(check::pattern_count(), patterns.len());
    for pattern in &patterns {
        // The status is not checked here, and the place of a model's file speaks for itself.
        let known = ["^[A-Za-z]+$", "^(s3|https)://[^\\s]+$"].contains(&pattern.as_str());
        assert!(
            known || crate::schema::text::meaning(pattern).is_some(),
            "{pattern} has no words"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 2))]

    #[test]
    fn words_mean_what_another_reader_of_yaml_takes_them_for(word in "[-+.0-9a-zA-Z_~]{1,6}") {
        let other: serde_yaml_ng::Value = serde_yaml_ng::from_str(&word).unwrap_or_default();
        let node = tree::read(&word).unwrap_or_default();
        let Some(tree::NodeKind::Scalar { reading, .. }) = node.first().map(|node| &node.kind) else { return Ok(()) };
        match reading {
            scalar::Reading::Null => prop_assert!(other.is_null()),
            scalar::Reading::Bool(truth) => prop_assert_eq!(other.as_bool(), Some(*truth)),
            scalar::Reading::Integer(number) => prop_assert_eq!(other.as_i64().map(i128::from), Some(*number)),
            scalar::Reading::Float(number) => prop_assert_eq!(other.as_f64(), Some(*number)),
            scalar::Reading::Text => prop_assert_eq!(other.as_str(), Some(word.as_str())),
            scalar::Reading::Odd(_) => {}
        }
    }
}

/// Any value that `schema` takes. What may be absent mostly is.
fn fitting(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(words) = schema["enum"].as_array() {
        return proptest::sample::select(words.clone()).boxed();
    }
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return prop_oneof![Just(json!("500m")), Just(json!(2)), Just(json!("4Gi"))].boxed();
    }
    match schema["type"].as_str() {
        Some("object") => object_of(schema),
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
            let unique = matches!(schema["x-kubernetes-list-type"].as_str(), Some("map" | "set"));
            let most = if unique { least.max(1) } else { least.max(2) };
            proptest::collection::vec(fitting(&schema["items"]), least..=most)
                .prop_map(Value::from)
                .boxed()
        }
        Some("string") => text_of_shape(schema),
        Some("integer") => {
            let low = schema["minimum"].as_i64().unwrap_or(-5);
            let high = schema["maximum"].as_i64().unwrap_or(i64::MAX);
            (low..=high).prop_map(Value::from).boxed()
        }
        Some("number") => {
            let (low, high) = (
                schema["minimum"].as_f64().unwrap_or(-1e9),
                schema["maximum"].as_f64().unwrap_or(1e9),
            );
            (low..high).prop_map(Value::from).boxed()
        }
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        // `from` and `emit`: a stage's own test has their longer forms.
        _ => Just(json!("Final")).boxed(),
    }
}

fn object_of(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(values) = schema.get("additionalProperties") {
        let least = schema["minProperties"].as_u64().unwrap_or(0) as usize;
        let map = proptest::collection::btree_map("[a-z]{3}|on|y", fitting(values), least..=least + 1);
        return map.prop_map(|map| map.into_iter().collect()).boxed();
    }
    let Some(fields) = schema["properties"].as_object() else {
        return Just(json!({})).boxed();
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut object = Just(Map::new()).boxed();
    for (name, field) in fields {
        let value = match required.contains(&name.as_str()) {
            true => fitting(field).prop_map(Some).boxed(),
            false => proptest::option::weighted(0.25, fitting(field)).boxed(),
        };
        let name = name.clone();
        object = (object, value)
            .prop_map(move |(mut object, value)| {
                object.extend(value.map(|value| (name.clone(), value)));
                object
            })
            .boxed();
    }
    object.prop_map(Value::Object).boxed()
}

fn text_of_shape(schema: &Value) -> BoxedStrategy<Value> {
    let most = schema["maxLength"].as_u64().unwrap_or(32).min(12) as usize;
    let least = schema["minLength"].as_u64().unwrap_or(0) as usize;
    match schema["pattern"].as_str() {
        Some(crate::duration::PATTERN) => prop_oneof![Just(json!("1h30m")), Just(json!("250ms"))].boxed(),
        Some(pattern) => {
            let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
            // Some patterns do not bound the length by themselves.
            let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
            let text = string_regex(pattern).unwrap();
            let fits = text.prop_filter("too long", move |text| text.chars().count() as u64 <= most);
            fits.prop_map(Value::from).boxed()
        }
        None => string_regex(&format!("\\PC{{{least},{most}}}"))
            .unwrap()
            .prop_map(Value::from)
            .boxed(),
    }
}

fn any_spec(kind: &str) -> BoxedStrategy<String> {
    let head = json!({ "apiVersion": crds::API_VERSION, "kind": kind, "metadata": { "name": "it" } });
    let spec = fitting(&crds::schema_of(kind).unwrap()["properties"]["spec"]);
    let document = move |spec: Value| {
        let mut document = head.clone();
        document["spec"] = spec;
        document.to_string()
    };
    spec.prop_map(document).boxed()
}

fn any_document() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => any_spec(IncidentPipeline::KIND),
        1 => any_spec(IncidentRuleSet::KIND),
        1 => any_spec(IncidentModel::KIND),
        1 => any_spec(PipelineSnapshot::KIND),
        1 => any_spec(OpenStackIdentity::KIND),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 2))]

    /// Rules between fields apart: they are not the schema's.
    #[test]
    fn what_the_schema_takes_the_types_take(text in any_document()) {
        let node = one_document(&text).unwrap();
        let kind = node.get("kind").and_then(Node::as_text).unwrap();
        let checked = check::document(&node, kind);
        prop_assert_eq!(report(&checked.problems), "");
        let error = match kind {
            IncidentPipeline::KIND => serde_json::from_value::<IncidentPipeline>(checked.value).err(),
            IncidentRuleSet::KIND => serde_json::from_value::<IncidentRuleSet>(checked.value).err(),
            IncidentModel::KIND => serde_json::from_value::<IncidentModel>(checked.value).err(),
            PipelineSnapshot::KIND => serde_json::from_value::<PipelineSnapshot>(checked.value).err(),
            _ => serde_json::from_value::<OpenStackIdentity>(checked.value).err(),
        };
        prop_assert!(error.is_none(), "{:?}", error);
    }
}
