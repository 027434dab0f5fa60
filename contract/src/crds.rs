//! The custom resource definitions of all kinds, and their schemas.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::identity::OpenStackIdentity;
use crate::model::IncidentModel;
use crate::pipeline::IncidentPipeline;
use crate::rule_set::IncidentRuleSet;
use crate::snapshot::PipelineSnapshot;

/// Group of all kinds.
pub const GROUP: &str = "tocsin.dev";

/// Version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// `apiVersion` of all kinds.
pub const API_VERSION: &str = "tocsin.dev/v1alpha1";

/// The definitions of all kinds, in the order in which they are best applied.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        OpenStackIdentity::crd(),
        IncidentModel::crd(),
        IncidentRuleSet::crd(),
        IncidentPipeline::crd(),
        PipelineSnapshot::crd(),
    ]
}

/// The definition as plain JSON, numbers without a needless fraction: `100`, not `100.0`.
pub fn plain(definition: &CustomResourceDefinition) -> Value {
    // A definition holds texts, numbers and maps with text keys alone, which always become JSON.
    let mut value = serde_json::to_value(definition).unwrap_or_default();
    whole_numbers(&mut value);
    value
}

/// Names of all kinds.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    SCHEMAS.iter().map(|(kind, _)| kind.as_str())
}

/// The schema of a kind: an object with `spec` and `status`. None for a kind that is not ours.
pub fn schema_of(kind: &str) -> Option<&'static Value> {
    SCHEMAS.iter().find(|(name, _)| name == kind).map(|(_, schema)| schema)
}

static SCHEMAS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let schema = |definition: &CustomResourceDefinition| {
        let schema = plain(definition)
            .pointer("/spec/versions/0/schema/openAPIV3Schema")
            .cloned();
        (definition.spec.names.kind.clone(), schema.unwrap_or_default())
    };
    all().iter().map(schema).collect()
});

/// The largest whole number that a float holds exactly.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) => {
            if let Some(float) = number.as_f64()
                && number.is_f64()
                && float.fract() == 0.0
                && float.abs() < LARGEST_EXACT
            {
                *value = Value::from(float as i64);
            }
        }
        _ => {}
    }
}
