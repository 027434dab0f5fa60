//! The cases as a file: an API server is asked about the very same ones (`tests/e2e/scenarios/schemas.rs`).

use std::fmt::Write as _;

use expect_test::expect_file;

use super::*;

/// What schemas refuse before any rule is looked at: a field, and a part of what the API server says.
fn of_shapes() -> Vec<(String, &'static str)> {
    let kafka = |body: &str| pipeline(&format!("kafka: {{{body}}}"));
    vec![
        (pipeline("sourcez: []"), "unknown field \"spec.sourcez\""),
        (kafka("mode: Someone"), "Unsupported value: \"Someone\""),
        (kafka("partitions: 0"), "greater than or equal to 1"),
        (kafka("partitions: many"), "must be of type integer"),
        (kafka("retention: soon"), "should match"),
        (kafka("topics: [{name: a}, {name: a}]"), "Duplicate value"),
        (
            kafka("listeners: [{name: a, port: 80}]"),
            "greater than or equal to 9093",
        ),
        (kafka("pools: [{name: a, roles: []}]"), "should have at least 1 items"),
        (kafka("pools: [{name: A}]"), "should match"),
        (pipeline("workers: {replicas: -1}"), "greater than or equal to 0"),
        (pipeline("workers: {resources: {limits: {cpu: much}}}"), "should match"),
        (pipeline("state: {savepoint: {schedule: now}}"), "should match"),
        (
            pipeline("state: {checkpoint: {interval: 0s}}"),
            "must be longer than zero",
        ),
        (
            pipeline("state: {checkpoint: {retained: 0}}"),
            "greater than or equal to 1",
        ),
        (pipeline("timeZone: \"\""), "should match"),
        (pipeline("delivery: Twice"), "Unsupported value: \"Twice\""),
        (pipeline("upgrade: {mode: Never}"), "Unsupported value: \"Never\""),
        (
            pipeline("sinks: [{name: out, from: alerts, kafka: {topic: \"a b\"}}]"),
            "should match",
        ),
        (stage("from: alerts, filter: \"\""), "should be at least 1 chars long"),
        (other("PipelineSnapshot", "{}"), "Required value"),
        (
            other("PipelineSnapshot", "{pipelineRef: {name: noc}, type: Both}"),
            "Unsupported value: \"Both\"",
        ),
        (
            other("PipelineSnapshot", "{pipelineRef: {name: noc}, backoffLimit: -2}"),
            "greater than or equal to -1",
        ),
        (
            other("IncidentRuleSet", "{rules: [{id: hot, when: a}, {id: hot, when: b}]}"),
            "Duplicate value",
        ),
        (
            other("IncidentModel", "{features: [], threshold: 0.6}"),
            "should have at least 1 items",
        ),
    ]
}

/// A file that the API server takes, or refuses with these words; changed from the one before, if there is one.
fn entry(text: &mut String, says: Option<&str>, before: Option<&str>, object: &str) {
    let indented = |object: &str| object.trim_end().replace('\n', "\n    ");
    let says = says.map_or_else(|| "null".to_owned(), |says| serde_json::to_string(says).unwrap());
    writeln!(text, "- says: {says}").unwrap();
    if let Some(before) = before {
        writeln!(text, "  before: |\n    {}", indented(before)).unwrap();
    }
    writeln!(text, "  object: |\n    {}", indented(object)).unwrap();
}

#[test]
fn an_api_server_is_asked_about_the_same() {
    let mut text =
        "# Written by a test of contract/, of the cases that it tries itself. UPDATE_EXPECT=1 writes it anew.\n"
            .to_owned();
    for case in [streams::cases(), operations::cases(), other_kinds::cases()]
        .into_iter()
        .flatten()
    {
        entry(&mut text, None, None, &case.kept);
        entry(&mut text, Some(case.rule.message), None, &case.broken);
    }
    for (rule, before, kept, broken, _) in of_changes() {
        entry(&mut text, None, Some(&before), &kept);
        entry(&mut text, Some(rule.message), Some(&before), &broken);
    }
    for (object, says) in of_shapes() {
        entry(&mut text, Some(says), None, &object);
    }
    for name in ["a.b", &"x".repeat(41)] {
        let object = PIPELINE.replace("name: noc", &format!("name: {name}"));
        entry(&mut text, Some("the name of a pipeline has at most 40"), None, &object);
    }
    expect_file!["../../../../../tests/e2e/scenarios/schemas.yaml"].assert_eq(&text);
}
