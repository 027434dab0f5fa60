//! Rules between the fields of a pipeline, each with its CEL text and its plain Rust twin side by side.
//!
//! The API server evaluates the CEL; [`rule_problems`] and [`change_problems`] say the same without one. A test holds
//! the two together. What no schema can see (`from` and `emit` have none) has a Rust side alone.

mod operations;
mod processing;
mod sinks;

pub use operations::{
    AUTOSCALING, CLOUD_REF, INFRASTRUCTURE, KAFKA, KAFKA_CHANGE, NODE_POOL, PROVIDER, REGION, RESTORE_FROM, SCHEDULE,
    SECURITY_RULE, SERVER_GROUP, STORAGE, TOPIC_PARTITIONS, UPGRADE, UTILIZATION, change_problems,
};
pub use processing::{AGGREGATE, ALARM, FORMAT, RULE_CONDITION, RULE_SET, SOURCE, SPEC, STAGE, TABLE, WINDOW};
pub use sinks::{SINK, WEBHOOK};

pub(crate) use processing::rule_condition;

use super::IncidentPipelineSpec;
use crate::duration::Duration;
use crate::problem::Problem;
use crate::rule::{POSITIVE, Rule};

/// Everything in `spec` that breaks a rule between fields, in the order of the file.
pub fn rule_problems(spec: &IncidentPipelineSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    processing::check(spec, &mut problems);
    sinks::check(spec, &mut problems);
    operations::check(spec, &mut problems);
    problems
}

/// The problem of `rule`, unless exactly one of `given` is there. Names those that are.
fn exactly_one(rule: &Rule, given: &[(&str, bool)], path: &str, problems: &mut Vec<Problem>) {
    let there: Vec<&str> = given
        .iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| *name)
        .collect();
    match there.as_slice() {
        [_] => {}
        [] => problems.push(rule.problem(path).hint("it has none of them")),
        [most @ .., last] => problems.push(
            rule.problem(path)
                .hint(format!("it has {} and {last}", most.join(", "))),
        ),
    }
}

fn positive(duration: Duration, path: &str, problems: &mut Vec<Problem>) {
    POSITIVE[0].unless(!duration.is_zero(), path, problems);
}

fn positive_if_given(duration: Option<Duration>, path: &str, problems: &mut Vec<Problem>) {
    if let Some(duration) = duration {
        positive(duration, path, problems);
    }
}

#[cfg(test)]
mod tests;
