//! `OpenStackIdentity`: who the operator is to a cloud, for several namespaces.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pipeline::infrastructure::openstack;
use crate::problem::Problem;
use crate::rule::{Rule, validations};
use crate::schema::list::{List, Map};
use crate::schema::text::{Label, ObjectName, Report, Text, Time as TimeText};
use crate::status::Conditions;

/// An identity, and who may use it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tocsin.dev",
    version = "v1alpha1",
    kind = "OpenStackIdentity",
    plural = "openstackidentities",
    shortname = "osid",
    category = "incidents",
    status = "OpenStackIdentityStatus",
    derive = "PartialEq",
    doc = "Who the operator is to an OpenStack cloud. Pipelines of the namespaces that it allows may use it.",
    printcolumn(name = "Cloud", type_ = "string", json_path = ".spec.cloudName"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"),
    printcolumn(
        name = "Valid",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"CredentialsValid\")].status"
    ),
    printcolumn(name = "Pipelines", type_ = "integer", json_path = ".status.pipelines", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = crate::schema::tidy)]
pub struct OpenStackIdentitySpec {
    /// Secret with `clouds.yaml`, and `cacert` where it is needed.
    pub secret_ref: NamespacedRef,
    /// Name of the cloud in `clouds.yaml`.
    #[serde(default = "openstack")]
    #[schemars(with = "Text<253>")]
    pub cloud_name: String,
    /// Region; by default the one of `clouds.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<253>")]
    pub region: Option<String>,
    /// Namespaces whose pipelines may use the identity. Without it none may; an empty one (`{}`) allows all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Most requests per second to the cloud, of all pipelines together.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub requests_per_second: u32,
}

fn ten() -> u32 {
    10
}

/// An object of a given namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespacedRef {
    /// Namespace of the object.
    #[schemars(with = "Label")]
    pub namespace: String,
    /// Name of the object.
    #[schemars(with = "ObjectName")]
    pub name: String,
}

/// Objects by their labels: all that is named here must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels with their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<Report<63>, 32>")]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<LabelExpression, 32>")]
    pub match_expressions: Vec<LabelExpression>,
}

/// A condition on a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&EXPRESSION_RULES)))]
pub struct LabelExpression {
    /// The label.
    #[schemars(with = "Text<317>")]
    pub key: String,
    /// How its value is compared.
    pub operator: LabelOperator,
    /// Values for In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<Report<63>, 32>")]
    pub values: Vec<String>,
}

/// Rules of a label expression.
pub const EXPRESSION_RULES: [Rule; 1] = [Rule::on(
    ".values",
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
    "must be given exactly with the operators In and NotIn",
)];

/// What breaks a rule between fields. The twin of the CEL rules of this file.
pub fn rule_problems(spec: &OpenStackIdentitySpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let expressions = spec
        .namespace_selector
        .iter()
        .flat_map(|selector| &selector.match_expressions);
    for (at, expression) in expressions.enumerate() {
        let takes_values = matches!(expression.operator, LabelOperator::In | LabelOperator::NotIn);
        let path = format!("spec.namespaceSelector.matchExpressions[{at}]");
        EXPRESSION_RULES[0].unless(takes_values != expression.values.is_empty(), &path, &mut problems);
    }
    problems
}

/// How the value of a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// It is one of the values.
    In,
    /// It is none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

/// What the operator reports about an identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::tidy_status)]
pub struct OpenStackIdentityStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Project that the identity belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<64>")]
    pub project_id: String,
    /// When an application credential ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeText")]
    pub expires_at: Option<Time>,
    /// Pipelines that use the identity.
    pub pipelines: u32,
    /// Conditions, each with a reason from a closed list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Conditions")]
    pub conditions: Vec<Condition>,
}
