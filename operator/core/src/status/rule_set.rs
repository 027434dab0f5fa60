//! The status of a rule set, and of a model: whether it is sound, and whether workers have it.

use jiff::Timestamp;
use tocsin_contract::conditions as kinds;
use tocsin_contract::model::{self, IncidentModelSpec, IncidentModelStatus};
use tocsin_contract::problem::Problem;
use tocsin_contract::rule_set::{self, IncidentRuleSetSpec, IncidentRuleSetStatus, RuleError};

use super::condition::{Finding, Verdict, conditions_of};

/// What is known besides.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Generation of the spec that was looked at: the revision.
    pub generation: i64,
    /// Workers of the pipelines that refer to it.
    pub workers: u32,
    /// The time.
    pub now: Timestamp,
}

/// Most errors that a status lists.
const MOST_ERRORS: usize = 64;

/// The status of a rule set, of what was said and what pipelines that refer to it find wrong.
pub fn of_rule_set(
    said: &IncidentRuleSetStatus,
    look: Look,
    spec: &IncidentRuleSetSpec,
    found: &[(String, Problem)],
) -> IncidentRuleSetStatus {
    let own = rule_set::rule_problems(spec);
    let own = own.into_iter().map(|problem| (String::new(), problem));
    let errors: Vec<RuleError> = own
        .chain(found.iter().cloned())
        .take(MOST_ERRORS)
        .map(|(place, problem)| RuleError {
            place,
            path: problem.path.clone(),
            message: problem.to_string(),
        })
        .collect();
    let mut findings = soundness(errors.iter().map(|error| error.message.as_str()));
    findings.push(applied(errors.is_empty(), look.workers));
    IncidentRuleSetStatus {
        observed_generation: Some(look.generation),
        active_revision: if errors.is_empty() {
            look.generation
        } else {
            said.active_revision
        },
        rules: u32::try_from(spec.rules.iter().filter(|rule| !rule.disabled).count()).unwrap_or(u32::MAX),
        applied_workers: 0,
        workers: look.workers,
        conditions: conditions_of(&said.conditions, &findings, look.generation, look.now),
        errors,
    }
}

/// The status of a model.
pub fn of_model(said: &IncidentModelStatus, look: Look, spec: &IncidentModelSpec) -> IncidentModelStatus {
    let problems: Vec<String> = model::rule_problems(spec).iter().map(ToString::to_string).collect();
    let mut findings = soundness(problems.iter().map(String::as_str));
    let (reason, message) = if look.workers == 0 {
        ("NotReferenced", "no pipeline that runs refers to it")
    } else {
        ("Loading", "workers of this version load no models")
    };
    findings.push(Finding::new(kinds::LOADED, false, reason, message));
    IncidentModelStatus {
        observed_generation: Some(look.generation),
        active_revision: if problems.is_empty() {
            look.generation
        } else {
            said.active_revision
        },
        loaded_workers: 0,
        workers: look.workers,
        error: problems.join("\n"),
        conditions: conditions_of(&said.conditions, &findings, look.generation, look.now),
        ..said.clone()
    }
}

fn soundness<'a>(problems: impl Iterator<Item = &'a str>) -> Vec<Finding> {
    let all = problems.collect::<Vec<_>>().join("\n");
    let settled = Finding::new(kinds::RECONCILING, false, "Done", "nothing is to be done");
    if all.is_empty() {
        return vec![
            Finding::new(kinds::READY, true, "AllComponentsReady", "it is sound"),
            settled,
            Finding::new(kinds::STALLED, false, "NotStalled", "nothing stands in the way"),
        ];
    }
    vec![
        Finding::new(kinds::READY, false, "Stalled", all.clone()),
        settled,
        Finding::new(kinds::STALLED, true, "InvalidConfiguration", all),
    ]
}

fn applied(is_sound: bool, workers: u32) -> Finding {
    let (verdict, reason, message) = match (is_sound, workers) {
        (false, _) => (
            Verdict::False,
            "RuleRefused",
            "see status.errors; workers go on with what they have",
        ),
        (true, 0) => (Verdict::True, "Applied", "no pipeline that runs refers to it"),
        (true, _) => (
            Verdict::Unknown,
            "NotSupportedByWorker",
            "workers take up rule sets as they begin; after a change set spec.restartNonce of their pipelines",
        ),
    };
    Finding::new(kinds::RULES_APPLIED, verdict, reason, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::status::condition::find;

    fn look(workers: u32) -> Look {
        Look {
            generation: 4,
            workers,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn rules() -> IncidentRuleSetSpec {
        serde_yaml_ng::from_str("{rules: [{id: hot, when: 'cpu > 80', severity: MAJOR}]}").unwrap()
    }

    #[test]
    fn a_sound_rule_set_says_that_workers_must_begin_anew() {
        let status = of_rule_set(&IncidentRuleSetStatus::default(), look(2), &rules(), &[]);
        assert_eq!((status.active_revision, status.rules, status.workers), (4, 1, 2));
        let applied = find(&status.conditions, kinds::RULES_APPLIED).unwrap();
        assert_eq!(
            (applied.status.as_str(), applied.reason.as_str()),
            ("Unknown", "NotSupportedByWorker")
        );
        assert_eq!(find(&status.conditions, kinds::READY).unwrap().status, "True");
    }

    #[test]
    fn what_a_pipeline_finds_wrong_is_listed_with_its_place() {
        let said = IncidentRuleSetStatus {
            active_revision: 3,
            ..IncidentRuleSetStatus::default()
        };
        let wrong = (
            "noc/team_rules".to_owned(),
            Problem::new("rules[hot].when", "no field cpu"),
        );
        let status = of_rule_set(&said, look(2), &rules(), &[wrong]);
        assert_eq!(
            (status.active_revision, status.errors[0].place.as_str()),
            (3, "noc/team_rules")
        );
        assert_eq!(find(&status.conditions, kinds::STALLED).unwrap().status, "True");
    }

    #[test]
    fn a_model_without_a_kind_is_unsound() {
        let said = IncidentModelStatus::default();
        let status = of_model(&said, look(0), &IncidentModelSpec::default());
        assert!(status.error.contains("exactly one of"), "{}", status.error);
        assert_eq!(find(&status.conditions, kinds::LOADED).unwrap().reason, "NotReferenced");
    }
}
