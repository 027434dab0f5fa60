//! What a pipeline refers to: other objects of its namespace, and no other.

use std::collections::{BTreeMap, BTreeSet};

use tocsin_contract::pipeline::IncidentPipelineSpec;

use crate::build::secrets::{SecretKeys, read_by_workers};
use crate::build::storage;

/// Rule sets that stages refer to, by name.
pub fn rule_sets(spec: &IncidentPipelineSpec) -> BTreeSet<String> {
    let of_stage = spec.stages.iter().flat_map(|stage| {
        let rules = stage.alarm.as_ref().and_then(|alarm| alarm.rules_ref.as_ref());
        let kpis = stage
            .aggregate
            .as_ref()
            .and_then(|aggregate| aggregate.kpis_ref.as_ref());
        rules.into_iter().chain(kpis)
    });
    of_stage.map(|reference| reference.name.clone()).collect()
}

/// Models that stages refer to, by name.
pub fn models(spec: &IncidentPipelineSpec) -> BTreeSet<String> {
    let detects = spec.stages.iter().filter_map(|stage| stage.detect.as_ref());
    detects.map(|detect| detect.model_ref.name.clone()).collect()
}

/// Secrets that the pods of the pipeline refer to, with the keys that they read: without them no pod starts.
pub fn secrets(spec: &IncidentPipelineSpec) -> SecretKeys {
    let mut keys = read_by_workers(spec, spec.kafka.tls.as_ref(), spec.kafka.sasl.as_ref());
    if let Some(secret) = spec.state.storage.s3.as_ref().and_then(|s3| s3.secret_ref.as_ref()) {
        let read = keys.entry(secret.name.clone()).or_default();
        read.extend([storage::ACCESS_KEY.to_owned(), storage::SECRET_KEY.to_owned()]);
    }
    for secret in &spec.workers.image_pull_secrets {
        keys.entry(secret.name.clone()).or_default();
    }
    keys
}

/// What a pipeline refers to and is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A Secret.
    Secret(String),
    /// A key of a Secret.
    Key {
        /// The Secret.
        secret: String,
        /// The key.
        key: String,
    },
    /// An IncidentRuleSet.
    RuleSet(String),
}

impl Missing {
    /// What is missing, and what makes it.
    pub fn message(&self, namespace: &str) -> String {
        match self {
            Self::Secret(name) => format!(
                "the Secret {name} does not exist in the namespace {namespace}; make it: kubectl create secret generic \
                 {name} -n {namespace} --from-file=KEY=FILE"
            ),
            Self::Key { secret, key } => format!("the Secret {secret} of the namespace {namespace} has no key {key}"),
            Self::RuleSet(name) => {
                format!("the IncidentRuleSet {name} does not exist in the namespace {namespace}; apply it")
            }
        }
    }
}

/// What of `wanted` is not there; `there` has the names of keys alone, never what they hold.
pub fn missing_secrets(wanted: &SecretKeys, there: &BTreeMap<String, BTreeSet<String>>) -> Vec<Missing> {
    let mut missing = Vec::new();
    for (name, keys) in wanted {
        match there.get(name) {
            None => missing.push(Missing::Secret(name.clone())),
            Some(present) => missing.extend(keys.difference(present).map(|key| Missing::Key {
                secret: name.clone(),
                key: key.clone(),
            })),
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named_with_what_makes_it() {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        let wanted = [
            ("pager", keys(&["token", "url"])),
            ("s3", keys(&["accessKeyId"])),
            ("pull", keys(&[])),
        ];
        let wanted = wanted.map(|(name, keys)| (name.to_owned(), keys)).into();
        let there = [
            ("pager".to_owned(), keys(&["url", "other"])),
            ("pull".to_owned(), keys(&[])),
        ]
        .into();
        let missing = missing_secrets(&wanted, &there);
        let messages: Vec<_> = missing.iter().map(|missing| missing.message("ops")).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(
            messages[0].contains("pager") && messages[0].contains("no key token"),
            "{messages:?}"
        );
        assert!(
            messages[1].contains("kubectl create secret generic s3 -n ops"),
            "{messages:?}"
        );
    }
}
