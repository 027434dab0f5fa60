//! Every schema of every kind: bounds, words for people, and what the API server asks of a structural schema.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::Value;
use tocsin_contract::crds;

/// Calls `visit` for every schema below `schema`, with its path.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(field, &format!("{path}.{name}"), visit);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{path}[]"), visit);
    }
    if let Some(values) = schema.get("additionalProperties") {
        walk(values, &format!("{path}{{}}"), visit);
    }
}

/// Every fault that `fault` finds in any schema.
fn check(fault: impl Fn(&str, &Value) -> Option<String>) {
    let mut faults = Vec::new();
    for kind in crds::kinds() {
        let schema = crds::schema_of(kind).unwrap();
        walk(schema, kind, &mut |path, schema| {
            faults.extend(fault(path, schema).map(|fault| format!("{path}: {fault}")));
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn is_open(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

#[test]
fn every_text_list_and_map_has_a_largest_size() {
    check(|_, schema| {
        let wanted = match schema["type"].as_str() {
            Some("string") if schema.get("enum").is_none() => "maxLength",
            Some("array") => "maxItems",
            Some("object") if schema.get("properties").is_none() && !is_open(schema) => {
                // An object without fields, such as `stdin: {}`, holds nothing.
                schema.get("additionalProperties")?;
                "maxProperties"
            }
            None if schema["x-kubernetes-int-or-string"] == true => "maxLength",
            _ => return None,
        };
        schema.get(wanted).is_none().then(|| format!("no {wanted}"))
    });
}

#[test]
fn every_field_says_what_it_is() {
    check(|path, schema| {
        // Items of a list are described with the list.
        if path.ends_with(']') || path.ends_with('}') {
            return None;
        }
        let text = schema["description"].as_str().unwrap_or_default();
        let good = text.len() > 8 && text.starts_with(|c: char| c.is_uppercase() || c == '`') && text.contains('.');
        // The roots of spec and status have the words of their types.
        (!good).then(|| format!("described as {text:?}"))
    });
}

#[test]
fn every_schema_is_structural() {
    check(|path, schema| {
        let fields = schema.as_object().unwrap();
        for forbidden in ["$ref", "anyOf", "oneOf", "allOf", "not", "const", "uniqueItems"] {
            if fields.contains_key(forbidden) {
                return Some(format!("has {forbidden}"));
            }
        }
        // A status may be null as a whole: that is how kube writes one that is not there.
        if schema["nullable"] == true && path.split('.').nth(1) != Some("status") {
            return Some("may be null".to_owned());
        }
        if fields.contains_key("properties") && fields.contains_key("additionalProperties") {
            return Some("has properties and additionalProperties".to_owned());
        }
        let typed = fields.get("type").is_some_and(Value::is_string);
        if !typed && !is_open(schema) && schema["x-kubernetes-int-or-string"] != true {
            return Some("has no type".to_owned());
        }
        if fields.get("default").is_some_and(Value::is_null) {
            return Some("has null as its default".to_owned());
        }
        let format = schema["format"].as_str();
        let known = format.is_none_or(|format| ["int32", "int64", "double", "date-time"].contains(&format));
        (!known).then(|| format!("has the format {format:?}, which Kubernetes does not know"))
    });
}

#[test]
fn every_list_says_how_it_merges_and_its_keys_are_there() {
    check(|_, schema| {
        if schema["type"] != "array" {
            return None;
        }
        match schema["x-kubernetes-list-type"].as_str() {
            Some("atomic") if schema["items"]["properties"].get("name").is_some() => {
                // A list whose items have names merges by them, unless another field may be the same twice.
                let required = schema["items"]["required"].as_array().into_iter().flatten();
                required
                    .into_iter()
                    .any(|field| field == "name")
                    .then(|| "items have names".to_owned())
            }
            Some("atomic") => None,
            // The API server compares the items of a set, so they are plain values.
            Some("set") => (schema["items"]["type"] != "string").then(|| "a set of other things than texts".to_owned()),
            Some("map") => {
                let required = schema["items"]["required"].as_array().cloned().unwrap_or_default();
                let keys = schema["x-kubernetes-list-map-keys"].as_array().unwrap();
                keys.iter()
                    .find(|key| !required.contains(key))
                    .map(|key| format!("key {key} is not required"))
            }
            other => Some(format!("has the list type {other:?}")),
        }
    });
}

#[test]
fn every_rule_has_words_and_a_path_to_a_field() {
    check(|_, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap_or_default();
            if message.is_empty() || message.contains('\n') {
                return Some(format!("{} has no message", rule["rule"]));
            }
            let field = rule["fieldPath"].as_str().map(|path| path.trim_start_matches('.'));
            if let Some(field) = field
                && schema["properties"].get(field).is_none()
            {
                return Some(format!("{field} of {} is no field", rule["rule"]));
            }
        }
        None
    });
}

#[test]
fn no_field_has_a_name_that_yaml_reads_as_true_or_false() {
    const TRAPS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"];
    check(|path, schema| {
        // People do not write statuses.
        if path.contains(".status") {
            return None;
        }
        let trap = |word: &str| TRAPS.contains(&word.to_ascii_lowercase().as_str());
        let name = path.rsplit('.').next().unwrap_or_default();
        if trap(name) {
            return Some("kubectl does not read this name as text".to_owned());
        }
        let words: Vec<&str> = schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let found = words.into_iter().find(|word| trap(word))?;
        // Known: "Off" is the default, so nobody needs to write it; `Null` reads as no value, which is the default too.
        let known = [
            ("IncidentPipeline.spec.autoscaling.mode", "Off"),
            ("IncidentPipeline.spec.stages[].onError", "Null"),
        ];
        (!known.contains(&(path, found))).then(|| format!("kubectl does not read {found} as text"))
    });
}

#[test]
fn every_kind_has_a_short_name_columns_and_a_status() {
    let names: Vec<(String, String, String)> = crds::all()
        .into_iter()
        .map(|definition| {
            let version = &definition.spec.versions[0];
            assert!(
                version
                    .subresources
                    .as_ref()
                    .is_some_and(|parts| parts.status.is_some()),
                "no status"
            );
            assert!(
                version
                    .additional_printer_columns
                    .as_ref()
                    .is_some_and(|columns| columns.len() >= 5),
                "no columns"
            );
            assert_eq!(
                (definition.spec.group.as_str(), version.name.as_str()),
                (crds::GROUP, crds::VERSION)
            );
            assert_eq!(definition.spec.names.categories, Some(vec!["incidents".to_owned()]));
            let short = definition.spec.names.short_names.unwrap().remove(0);
            (definition.spec.names.kind, short, definition.spec.scope)
        })
        .collect();
    let expected = [
        ("OpenStackIdentity", "osid", "Cluster"),
        ("IncidentModel", "imdl", "Namespaced"),
        ("IncidentRuleSet", "irs", "Namespaced"),
        ("IncidentPipeline", "ipl", "Namespaced"),
        ("PipelineSnapshot", "isnap", "Namespaced"),
    ];
    assert_eq!(
        names,
        expected.map(|(kind, short, scope)| (kind.to_owned(), short.to_owned(), scope.to_owned()))
    );
}

/// The field at a JSON path such as `.status.workers.replicas`.
fn field<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.split("[?").next().unwrap_or_default();
    path.trim_start_matches('.')
        .split('.')
        .try_fold(schema, |schema, name| match name.strip_suffix("[*]") {
            Some(list) => schema["properties"].get(list)?.get("items"),
            None => schema["properties"].get(name),
        })
}

#[test]
fn columns_and_scale_point_at_fields() {
    for definition in crds::all() {
        let kind = definition.spec.names.kind.clone();
        let schema = crds::schema_of(&kind).unwrap();
        let version = &definition.spec.versions[0];
        for column in version.additional_printer_columns.iter().flatten() {
            let known = column.json_path.starts_with(".metadata.") || field(schema, &column.json_path).is_some();
            assert!(known, "{kind}: column {} points at {}", column.name, column.json_path);
        }
        let scale = version.subresources.as_ref().and_then(|parts| parts.scale.clone());
        assert_eq!(scale.is_some(), kind == "IncidentPipeline");
        if let Some(scale) = scale {
            let selector = scale.label_selector_path.unwrap();
            for path in [&scale.spec_replicas_path, &scale.status_replicas_path, &selector] {
                assert!(field(schema, path).is_some(), "{path}");
            }
            // Without a default there would be nothing to scale in a file that leaves `workers` out.
            assert!(field(schema, ".spec.workers").unwrap().get("default").is_some());
            assert!(
                field(schema, &scale.spec_replicas_path)
                    .unwrap()
                    .get("default")
                    .is_some()
            );
        }
    }
}
