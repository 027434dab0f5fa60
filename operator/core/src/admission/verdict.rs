//! Whether a change is taken, by what no schema can see: the compiler's word, also on pipelines that refer to a rule set.
//!
//! Only a change of the spec is looked at. Finalizers and annotations of an object that an earlier version took must go through,
//! or it could not even be deleted.

use std::collections::BTreeMap;

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::problem::Problem;
use tocsin_contract::reach::fields_without_effect_yet;
use tocsin_contract::rule_set::{self, IncidentRuleSetSpec};

use crate::pipeline::PipelineId;
use crate::validate::references::rule_sets;
use crate::validate::{Subject, validate};

/// Whether a change is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong. Empty: it is taken.
    pub problems: Vec<String>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

/// Rule sets by name.
pub type RuleSets = BTreeMap<String, IncidentRuleSetSpec>;

/// Whether a pipeline is taken. A rule set that is not there yet is no reason not to: it may be applied next.
pub fn of_pipeline(id: PipelineId, spec: IncidentPipelineSpec, known: &RuleSets) -> Verdict {
    let referred = rule_sets(&spec);
    let missing: Vec<&String> = referred.iter().filter(|name| !known.contains_key(*name)).collect();
    let subject = Subject {
        id,
        generation: 0,
        spec,
    };
    match validate(subject, known, None) {
        Ok(pipeline) => {
            let mut warnings = texts(&pipeline.compiled.warnings);
            warnings.extend(fields_without_effect_yet(&pipeline.spec));
            Verdict {
                problems: Vec::new(),
                warnings,
            }
        }
        Err(_) if !missing.is_empty() => Verdict {
            problems: Vec::new(),
            warnings: missing
                .iter()
                .map(|name| format!("the IncidentRuleSet {name} does not exist yet; the pipeline waits for it"))
                .collect(),
        },
        Err(problems) => Verdict {
            problems: texts(&problems),
            warnings: Vec::new(),
        },
    }
}

/// Whether a rule set is taken: whether every pipeline that refers to it, and was right before, is right with it.
pub fn of_rule_set(
    name: &str,
    spec: &IncidentRuleSetSpec,
    pipelines: Vec<(PipelineId, IncidentPipelineSpec)>,
    known: &RuleSets,
) -> Verdict {
    let mut problems = texts(&rule_set::rule_problems(spec));
    let mut changed = known.clone();
    changed.insert(name.to_owned(), spec.clone());
    for (id, pipeline) in pipelines {
        if !rule_sets(&pipeline).contains(name) {
            continue;
        }
        let before = of_pipeline(id.clone(), pipeline.clone(), known);
        if !before.problems.is_empty() {
            continue;
        }
        let with_it = of_pipeline(id.clone(), pipeline, &changed);
        let named = |problem: String| format!("the pipeline {} refers to it: {problem}", id.name);
        problems.extend(with_it.problems.into_iter().map(named));
    }
    Verdict {
        problems,
        warnings: Vec::new(),
    }
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
