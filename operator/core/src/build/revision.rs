//! What workers run. Workers of two revisions never work on one pipeline at the same time.

use std::collections::BTreeMap;

use serde_json::Value;
use tocsin_contract::rule_set::IncidentRuleSetSpec;

use super::worker_file::worker_file;
use crate::hash::hash_of;
use crate::pipeline::{Pipeline, Settings};

/// What workers run.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Two revisions that are alike have the same name.
    pub name: String,
    /// The pipeline's file as workers read it.
    pub file: Value,
    /// Their image.
    pub image: String,
}

impl Revision {
    /// What workers run once they are what the spec asks for.
    pub fn wanted(pipeline: &Pipeline, settings: &Settings) -> Self {
        let (file, image) = (worker_file(pipeline), pipeline.image(settings).to_owned());
        Self {
            name: hash_of(&(&file, &image)),
            file,
            image,
        }
    }
}

/// The rules that workers begin with. A change of them alone restarts no worker, so workers may run on with older ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Of the rule sets: two that are alike have the same name. Empty if the pipeline refers to none.
    pub name: String,
    /// The rule sets by name; nothing if they are those of workers that run already.
    pub sets: Option<BTreeMap<String, IncidentRuleSetSpec>>,
}

impl Rules {
    /// These rule sets.
    pub fn of(sets: BTreeMap<String, IncidentRuleSetSpec>) -> Self {
        if sets.is_empty() {
            return Self {
                name: String::new(),
                sets: None,
            };
        }
        Self {
            name: hash_of(&sets),
            sets: Some(sets),
        }
    }
}
