//! `IncidentModel`: a model that scores events.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::pipeline::stage::ObjectRef;
use crate::problem::Problem;
use crate::rule::{POSITIVE, Rule, validations};
use crate::rule_set::Rollout;
use crate::schema::list::Unique;
use crate::schema::text::{Column, PositiveDuration, Report, Sha256, Text, Time as TimeText};
use crate::status::Conditions;

/// A model; exactly one kind.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tocsin.dev",
    version = "v1alpha1",
    kind = "IncidentModel",
    plural = "incidentmodels",
    shortname = "imdl",
    category = "incidents",
    namespaced,
    status = "IncidentModelStatus",
    derive = "PartialEq",
    doc = "A model that scores events. Pipelines refer to it, and a change takes effect while they run.",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Revision", type_ = "integer", json_path = ".status.activeRevision"),
    printcolumn(
        name = "Loaded",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Loaded\")].status"
    ),
    printcolumn(
        name = "Workers",
        type_ = "integer",
        json_path = ".status.loadedWorkers",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = crate::schema::tidy,
    extend("x-kubernetes-validations" = validations(&RULES))
)]
pub struct IncidentModelSpec {
    /// An isolation forest: learns what is usual from the stream itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation_forest: Option<IsolationForest>,
    /// A network in ONNX form, such as an LSTM that foretells the next value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnx: Option<Onnx>,
    /// Columns that the model reads, in its order. The stage's `features` must be as many.
    #[schemars(with = "Unique<Column, 64>", extend("minItems" = 1))]
    pub features: Vec<String>,
    /// Score from which an event counts as odd, between 0 and 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f64,
    /// How a change comes into effect.
    #[serde(default)]
    pub rollout: Rollout,
}

/// Rules between the fields of a model.
pub const RULES: [Rule; 1] = [Rule::new(
    "has(self.isolationForest) != has(self.onnx)",
    "must have exactly one of isolationForest and onnx",
)];

/// What breaks a rule between fields. The twin of the CEL rules of this file.
pub fn rule_problems(spec: &IncidentModelSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    RULES[0].unless(
        spec.isolation_forest.is_some() != spec.onnx.is_some(),
        "spec",
        &mut problems,
    );
    if let Some(forest) = &spec.isolation_forest {
        POSITIVE[0].unless(
            !forest.refit_every.is_zero(),
            "spec.isolationForest.refitEvery",
            &mut problems,
        );
    }
    problems
}

/// An isolation forest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IsolationForest {
    /// Number of trees.
    #[schemars(range(min = 1, max = 1000))]
    pub trees: u32,
    /// Events that each tree is grown from.
    #[schemars(range(min = 2, max = 65536))]
    pub sample_size: u32,
    /// Seed of the random numbers: the same seed and events give the same forest.
    pub seed: u32,
    /// Event time between two times that the forest is grown anew.
    #[schemars(with = "PositiveDuration")]
    pub refit_every: Duration,
    /// Events that must have come before anything is scored.
    #[schemars(range(min = 1, max = 1000000))]
    pub min_samples: u32,
}

impl Default for IsolationForest {
    fn default() -> Self {
        Self {
            trees: 100,
            sample_size: 256,
            seed: 1,
            refit_every: Duration::from_mins(60),
            min_samples: 256,
        }
    }
}

/// A network in ONNX form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Onnx {
    /// Where the file is: `s3://bucket/key` or `https://...`.
    #[schemars(with = "Text<2048>", extend("pattern" = "^(s3|https)://[^\\s]+$"))]
    pub artifact: String,
    /// SHA-256 of the file, in hexadecimal digits. Another file is refused.
    #[schemars(with = "Sha256")]
    pub sha256: String,
    /// Secret for the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ObjectRef>,
    /// Events of a key that the network sees at once.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 4096))]
    pub sequence_length: u32,
}

fn one() -> u32 {
    1
}

/// What the operator reports about a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::tidy_status)]
pub struct IncidentModelStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Revision that is in effect.
    pub active_revision: i64,
    /// Workers that have the newest revision.
    pub loaded_workers: u32,
    /// Workers that should have it.
    pub workers: u32,
    /// When the newest revision was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeText")]
    pub loaded_at: Option<Time>,
    /// What the scores of the last hour look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<ScoreStatus>,
    /// Why the model was refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(with = "Report<4096>")]
    pub error: String,
    /// Conditions, each with a reason from a closed list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Conditions")]
    pub conditions: Vec<Condition>,
}

/// What the scores of an hour look like. Numbers are decimal text, so that every client reads the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScoreStatus {
    /// Events that were scored.
    pub count: i64,
    /// Events above the threshold.
    pub odd: i64,
    /// Half of the scores are below.
    #[schemars(with = "Report<32>")]
    pub median: String,
    /// Ninety-nine of a hundred scores are below.
    #[schemars(with = "Report<32>")]
    pub p99: String,
    /// How far the scores have moved from those of the first day, between 0 and 1.
    #[schemars(with = "Report<32>")]
    pub drift: String,
}
