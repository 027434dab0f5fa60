//! What users are told about expressions that cannot be.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use expect_test::{Expect, expect};
use support::problems;

/// The problems of a pipeline with these stages behind `alerts`.
fn check(stages: &str, expected: Expect) {
    let spec = format!(
        "{{sources: [{{name: alerts, kafka: {{topic: alerts}}, eventTime: {{field: ts}}, format: {{fields: \
         [{{name: load, type: Float64}}, {{name: severity, type: String}}]}}}}], stages: [{stages}], \
         sinks: [{{name: out, from: x, stdout: {{}}}}]}}"
    );
    // Places in the file say nothing here.
    let said = problems(&spec);
    let lines = said.lines().map(|line| match line.strip_prefix("line ") {
        Some(rest) => rest.split_once(": ").map_or(rest, |(_, problem)| problem),
        None => line,
    });
    expected.assert_eq(&lines.collect::<Vec<_>>().join("\n"));
}

fn filter(condition: &str, expected: Expect) {
    check(&format!("{{name: x, from: alerts, filter: \"{condition}\"}}"), expected);
}

fn sql(statement: &str, expected: Expect) {
    check(&format!("{{name: x, sql: \"{statement}\"}}"), expected);
}

#[test]
fn an_aggregate_stands_where_rows_are_aggregated() {
    filter(
        "load > 1 AND sum(load) > 1",
        expect![[r#"
        spec.stages[x].filter: `sum` makes one value of many rows, and here is one row at a time
            load > 1 AND sum(load) > 1
                         ^
            put an `aggregate` stage before this one, and read its column here"#]],
    );
    check(
        "{name: x, from: alerts, alarm: {by: [service], when: 'avg(load) > 5', severity: MAJOR}}",
        expect![[r#"
            spec.stages[x].alarm.when: `avg` makes one value of many rows, and here is one row at a time
                avg(load) > 5
                ^
                put an `aggregate` stage before this one, and read its column here"#]],
    );
    check(
        "{name: x, from: alerts, aggregate: {by: [service], window: {tumbling: 1m}, select: {a: 'sum(max(load))'}}}",
        expect![[r#"
            spec.stages[x].aggregate.select.a: `sum` cannot aggregate what `max` aggregates
                sum(max(load))
                ^
                make two `aggregate` stages, one behind the other"#]],
    );
    sql(
        "SELECT service FROM alerts WHERE count(*) > 1",
        expect![[r#"
        spec.stages[x].sql: `count` makes one value of many rows, and here is one row at a time
            SELECT service FROM alerts WHERE count(*) > 1
                                             ^
            put an `aggregate` stage before this one, and read its column here"#]],
    );
}

#[test]
fn a_text_that_ends_too_early_shows_its_end() {
    filter(
        "load > (1",
        expect![[r#"
        spec.stages[x].filter: expected: ), found the end
            load > (1
                     ^"#]],
    );
    filter(
        "load BETWEEN 3",
        expect![[r#"
        spec.stages[x].filter: expected: AND, found the end
            load BETWEEN 3
                          ^"#]],
    );
}

#[test]
fn a_word_without_quotes_may_be_meant_as_a_text() {
    filter(
        "service = CRITICAL",
        expect![[r#"
        spec.stages[x].filter: nothing says what type `CRITICAL` has
            service = CRITICAL
                      ^
            a text stands in single quotes: 'CRITICAL'. For a column, add to spec.sources[alerts].format.fields: - {name: CRITICAL, type: String}
        spec.stages[x].filter: nothing says what type `service` has
            service = CRITICAL
            ^
            a text stands in single quotes: 'service'. For a column, add to spec.sources[alerts].format.fields: - {name: service, type: String}"#]],
    );
}

#[test]
fn what_a_stream_cannot_do_is_shown_where_it_stands() {
    filter(
        "severity SIMILAR TO 'CR%'",
        expect![[r#"
        spec.stages[x].filter: SIMILAR TO is not offered
            severity SIMILAR TO 'CR%'
            ^
            use LIKE, or a regular expression: severity ~ '^(CRIT|MAJ)'"#]],
    );
    filter(
        "severity ~ '['",
        expect![[r#"
        spec.stages[x].filter: not a regular expression: unclosed character class
            severity ~ '['
                       ^"#]],
    );
    filter(
        "load < 1e999",
        expect![[r#"
        spec.stages[x].filter: this number is beyond the range of Float64
            load < 1e999
                   ^"#]],
    );
    filter(
        "load > $1",
        expect![[r#"
        spec.stages[x].filter: there is nothing to put in place of a parameter
            load > $1
                   ^"#]],
    );
    filter(
        "load AND severity = 'x'",
        expect![[r#"
        spec.stages[x].filter: AND and OR take conditions (true or false): Float64 AND Boolean
            load AND severity = 'x'
            ^"#]],
    );
    sql(
        "SELECT service FROM alerts ORDER BY service",
        expect![[r#"
        spec.stages[x].sql: ORDER BY cannot be used on a stream
            SELECT service FROM alerts ORDER BY service
                                                ^
            a stream has no end to sort by; sort where the results are read"#]],
    );
    sql(
        "SELECT service FROM alerts JOIN others ON a = b",
        expect![[r#"
        spec.stages[x].sql: JOIN cannot be used on a stream
            SELECT service FROM alerts JOIN others ON a = b
                                            ^
            a `sql` stage reads one stream; an `incident` stage brings several together"#]],
    );
    sql(
        "SELECT service, count(*) AS total FROM alerts GROUP BY 1",
        expect![[r#"
            spec.stages[x].sql: GROUP BY takes columns, not their numbers
                SELECT service, count(*) AS total FROM alerts GROUP BY 1
                                                                       ^"#]],
    );
    sql(
        "SELECT service, count(*) AS total FROM alerts GROUP BY service, TUMBLE(event_time, INTERVAL '1' MINUTE) HAVING load > 1",
        expect![[r#"
            spec.stages[x].sql: `load` stands outside of aggregate functions and is no part of the key
                 BY service, TUMBLE(event_time, INTERVAL '1' MINUTE) HAVING load > 1
                                                                            ^
                the key is (service); put other columns into a function such as last(...), max(...)"#]],
    );
}
