//! Rules of the other kinds.

use super::*;
use crate::{identity, model};

pub(super) fn cases() -> Vec<Case> {
    let identity = |body: &str| {
        let expression = format!("namespaceSelector: {{matchExpressions: [{{key: team, {body}}}]}}");
        other(
            "OpenStackIdentity",
            &format!("{{secretRef: {{namespace: ops, name: c}}, {expression}}}"),
        )
    };
    let model = |body: &str| other("IncidentModel", &format!("{{{body}features: [cpu], threshold: 0.6}}"));
    let snapshot = |body: &str| other("PipelineSnapshot", &format!("{{pipelineRef: {{name: noc}}{body}}}"));
    let rules = |body: &str| other("IncidentRuleSet", &format!("{{rules: [{{id: hot{body}}}]}}"));
    vec![
        case(
            RULE_SET[0],
            rules(", when: a"),
            other("IncidentRuleSet", "{rules: []}"),
            "spec",
        ),
        case(
            RULE_CONDITION[0],
            rules(", when: a"),
            rules(", for: 5m"),
            "spec.rules[hot]",
        ),
        case(model::RULES[0], model("isolationForest: {}, "), model(""), "spec"),
        case(
            snapshot::RULES[2],
            snapshot(", alreadyExists: true, path: p"),
            snapshot(", alreadyExists: true"),
            "spec.path",
        ),
        case(
            identity::EXPRESSION_RULES[0],
            identity("operator: In, values: [a]"),
            identity("operator: Exists, values: [a]"),
            "spec.namespaceSelector.matchExpressions[0].values",
        ),
    ]
}

#[test]
fn rules_of_the_other_kinds_are_the_same_in_cel_and_in_rust() {
    check(cases());
}
