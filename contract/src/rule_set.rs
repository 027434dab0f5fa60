//! `IncidentRuleSet`: alarm rules and KPIs that change while pipelines run.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pipeline::rules::{RULE_CONDITION, RULE_SET};
use crate::pipeline::stage::AlarmRule;
use crate::problem::Problem;
use crate::rule::validations;
use crate::schema::list::{Identified, List, Named, Unique};
use crate::schema::text::{Column, Expression, Name, Report};
use crate::status::Conditions;

/// Rules and KPIs.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tocsin.dev",
    version = "v1alpha1",
    kind = "IncidentRuleSet",
    plural = "incidentrulesets",
    shortname = "irs",
    category = "incidents",
    namespaced,
    status = "IncidentRuleSetStatus",
    derive = "PartialEq",
    doc = "Alarm rules and KPIs that pipelines refer to. A change takes effect while they run.",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Revision", type_ = "integer", json_path = ".status.activeRevision"),
    printcolumn(name = "Rules", type_ = "integer", json_path = ".status.rules"),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"RulesApplied\")].status"
    ),
    printcolumn(
        name = "Workers",
        type_ = "integer",
        json_path = ".status.appliedWorkers",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = crate::schema::tidy,
    extend("x-kubernetes-validations" = validations(&RULE_SET))
)]
pub struct IncidentRuleSetSpec {
    /// How a change comes into effect.
    #[serde(default)]
    pub rollout: Rollout,
    /// Alarm rules, for stages that say `alarm: {by: ..., rulesRef: ...}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Identified<IncidentRule, 500>")]
    pub rules: Vec<IncidentRule>,
    /// Result columns, for stages that say `aggregate: {by: ..., window: ..., kpisRef: ...}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<Kpi, 64>")]
    pub kpis: Vec<Kpi>,
}

/// How a change of rules or models comes into effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rollout {
    /// What they find is counted and not given out.
    Shadow,
    /// On one worker first, then on all unless it floods.
    Canary,
    /// On all workers at once. It is taken back if it floods.
    #[default]
    Active,
}

/// An alarm rule with an id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&RULE_CONDITION)))]
pub struct IncidentRule {
    /// Id of the rule: state and audit hang on it.
    #[schemars(with = "Name")]
    pub id: String,
    /// Fields that make the key; by default the stage's `by`, which must be among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Unique<Column, 16>")]
    pub by: Vec<String>,
    /// When the rule fires and clears.
    #[serde(flatten)]
    pub rule: AlarmRule,
    /// Whether the rule rests.
    #[serde(default)]
    pub disabled: bool,
}

/// A result column of an aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kpi {
    /// Name of the column.
    #[schemars(with = "Name")]
    pub name: String,
    /// Expression over aggregate functions.
    #[schemars(with = "Expression")]
    pub select: String,
}

/// What breaks a rule between fields. The twin of the CEL rules on the types of this file.
pub fn rule_problems(spec: &IncidentRuleSetSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    RULE_SET[0].unless(!spec.rules.is_empty() || !spec.kpis.is_empty(), "spec", &mut problems);
    for rule in &spec.rules {
        crate::pipeline::rules::rule_condition(&rule.rule, &format!("spec.rules[{}]", rule.id), &mut problems);
    }
    problems
}

/// What the operator reports about a rule set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::tidy_status)]
pub struct IncidentRuleSetStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Revision that is in effect.
    pub active_revision: i64,
    /// Rules that are in effect.
    pub rules: u32,
    /// Workers that have the newest revision.
    pub applied_workers: u32,
    /// Workers that should have it.
    pub workers: u32,
    /// Rules that were refused, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<RuleError, 64>")]
    pub errors: Vec<RuleError>,
    /// Conditions, each with a reason from a closed list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Conditions")]
    pub conditions: Vec<Condition>,
}

/// A rule that was refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleError {
    /// Pipeline and stage that refused it: `noc/team_rules`.
    #[schemars(with = "Report<320>")]
    pub place: String,
    /// Path of the field at fault: `rules[hot].when`.
    #[schemars(with = "Report<512>")]
    pub path: String,
    /// Why it was refused.
    #[schemars(with = "Report<4096>")]
    pub message: String,
}
