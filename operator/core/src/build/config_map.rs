//! What workers read as files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use tocsin_contract::crds::API_VERSION;
use tocsin_contract::labels::Component;
use tocsin_contract::pipeline::workers::{LogFormat, LogLevel};
use tocsin_contract::rule_set::IncidentRuleSetSpec;

use super::metadata;
use super::revision::{Revision, Rules};
use crate::pipeline::Pipeline;

/// The pipeline's file. Each revision has a ConfigMap of its own that never changes, so that a worker which starts again
/// in the middle of an upgrade reads what it read before.
pub fn with_pipeline(pipeline: &Pipeline, revision: &Revision) -> ConfigMap {
    let file = format!("{:#}", revision.file);
    unchanging(
        pipeline,
        pipeline.names().config(&revision.name),
        [(PIPELINE_FILE.to_owned(), file)].into(),
    )
}

/// The pipeline's file in its ConfigMap.
pub const PIPELINE_FILE: &str = "pipeline.json";

/// The rule sets that the workers begin with, if the pipeline refers to any and they are known.
pub fn with_rules(pipeline: &Pipeline, rules: &Rules) -> Option<ConfigMap> {
    let file = |(name, spec): (&String, &IncidentRuleSetSpec)| {
        let document = json!({
            "apiVersion": API_VERSION,
            "kind": "IncidentRuleSet",
            "metadata": {"name": name},
            "spec": spec,
        });
        (rule_set_file(name), format!("{document:#}"))
    };
    let files = rules.sets.as_ref()?.iter().map(file).collect();
    Some(unchanging(pipeline, pipeline.names().rules(&rules.name), files))
}

/// The file of a rule set in its ConfigMap.
pub fn rule_set_file(name: &str) -> String {
    format!("{name}.json")
}

fn unchanging(pipeline: &Pipeline, name: String, files: BTreeMap<String, String>) -> ConfigMap {
    ConfigMap {
        metadata: metadata(pipeline, name, Component::Workers),
        immutable: Some(true),
        data: Some(files),
        binary_data: None,
    }
}

/// What a running worker takes up when it changes.
pub fn live(pipeline: &Pipeline) -> ConfigMap {
    let logging = &pipeline.spec.workers.logging;
    let level = match logging.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let format = match logging.format {
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    };
    let files = [("log-level", level), ("log-format", format)];
    ConfigMap {
        metadata: metadata(pipeline, pipeline.names().live(), Component::Workers),
        data: Some(files.map(|(name, text)| (name.to_owned(), text.to_owned())).into()),
        ..ConfigMap::default()
    }
}
