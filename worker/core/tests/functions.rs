//! The functions of expressions: those in the documentation are those that there are, and what type a call has.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use expect_test::expect_file;
use support::{plan, problems};
use tocsin_worker_core::aggregate::not_offered;
use tocsin_worker_core::expr::compile::{aggregate_functions, bind, finish};
use tocsin_worker_core::expr::functions::{left_out, scalar_functions};
use tocsin_worker_core::expr::parse::parse_expression;

fn list(out: &mut String, title: &str, names: &BTreeSet<String>) {
    write!(out, "\n## {title}\n\n").unwrap();
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    for line in names.chunks(8) {
        writeln!(out, "{}", line.join(", ")).unwrap();
    }
}

#[test]
fn the_documentation_lists_all_functions() {
    let mut text = String::from(
        "# Functions\n\nExpressions are SQL expressions. A function gives the same result for the same arguments, on every \
         machine and in every\nreplay; what reads the clock or a random number is not there. `worker/core/tests/functions.rs` \
         keeps this page.\n",
    );
    list(
        &mut text,
        "In every expression",
        &scalar_functions().keys().cloned().collect(),
    );
    list(
        &mut text,
        "In aggregates",
        &aggregate_functions()
            .keys()
            .filter(|name| not_offered().all(|(refused, _)| refused != name.as_str()))
            .cloned()
            .collect(),
    );
    text.push_str("\n## Not offered\n\n| function | why |\n|---|---|\n");
    for (name, reason) in not_offered().chain(left_out().iter().copied()) {
        writeln!(text, "| `{name}` | {reason} |").unwrap();
    }
    text.push_str(
        "\n`DISTINCT` inside `string_agg` is refused as well: the order of its distinct values is that of a hash table. Clocks \
         and random\nnumbers (`now`, `current_date`, `random`, `uuid`) are refused with a hint to `event_time`.\n",
    );
    expect_file!["../../../docs/functions.md"].assert_eq(&text);
}

/// A pipeline that has one column, `x`, of this expression.
fn aggregating(expression: &str) -> String {
    format!(
        "{{sources: [{{name: t, kafka: {{topic: t}}, eventTime: {{field: ts, unit: Seconds}}, format: {{fields: [\
         {{name: i, type: Int64}}, {{name: f, type: Float64}}, {{name: s, type: String}}, {{name: b, type: Boolean}}, \
         {{name: d, type: Decimal}}, {{name: t, type: Timestamp}}]}}}}], \
         stages: [{{name: out, from: t, aggregate: {{window: {{tumbling: 1m}}, select: {{x: \"{expression}\"}}}}}}], \
         sinks: [{{name: out, from: out, stdout: {{}}}}]}}"
    )
}

#[test]
fn a_call_has_the_type_that_fits_its_arguments() {
    use DataType::*;
    let time = Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let cases = [
        ("count(*)", Int64),
        ("count(s)", Int64),
        ("count(DISTINCT s)", Int64),
        ("count_distinct(s)", Int64),
        ("approx_distinct(s)", UInt64),
        ("sum(i)", Int64),
        ("sum(d)", Decimal128(38, 9)),
        ("avg(i)", Float64),
        ("mean(f)", Float64),
        ("avg(CASE WHEN s = 'x' THEN 1.0 ELSE 0.0 END)", Float64),
        ("min(s)", Utf8),
        ("max(t)", time.clone()),
        ("var(i)", Float64),
        ("stddev_samp(i)", Float64),
        ("first(s)", Utf8),
        ("last_value(t)", time),
        ("last_value(s) IGNORE NULLS", Utf8),
        ("any_value(b)", Boolean),
        ("median(i)", Float64),
        ("p95(i)", Float64),
        ("p50(f)", Float64),
        ("percentile(f, 0.9)", Float64),
        ("approx_percentile_cont(i, 0.95)", Float64),
        ("approx_percentile_cont(d, 0.95, 200)", Float64),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY f DESC)", Float64),
        ("corr(i, f)", Float64),
        ("regr_count(i, f)", UInt64),
        ("bool_or(b)", Boolean),
        ("bit_xor(i)", Int64),
        ("string_agg(s, ', ')", Utf8),
        ("nth_value(s, 2)", Utf8),
    ];
    for (expression, expected) in cases {
        let plan = plan(&aggregating(expression));
        let output = &plan.stages[0].output;
        assert_eq!(
            output.field_with_name("x").unwrap().data_type(),
            &expected,
            "{expression}"
        );
    }
}

#[test]
fn a_refused_function_is_known_and_says_why() {
    let problems = problems(&aggregating("approx_percentile_cont_with_weight(f, f, 0.5)"));
    let reason = "its t-digest depends on how records were batched; use percentile(x, q), which has no weights";
    assert!(problems.contains(reason), "{problems}");
}

/// Whether a call works: it compiles, and gives a value for the row.
fn works(call: &str, row: &RecordBatch) -> Result<bool, String> {
    let tree = parse_expression(call).map_err(|error| error.message)?;
    let schema = row.schema();
    let bound = bind(tree, &schema).map_err(|error| error.message)?;
    let expression = finish(call, bound, &schema).map_err(|error| error.message)?;
    Ok(expression.evaluate(row).is_valid(0))
}

#[test]
fn every_function_of_the_documentation_can_be_called() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from(vec![2]))),
        ("f", Arc::new(Float64Array::from(vec![0.5]))),
        ("g", Arc::new(Float64Array::from(vec![1.5]))),
        ("s", Arc::new(StringArray::from(vec!["abc"]))),
        ("b", Arc::new(BooleanArray::from(vec![true]))),
        (
            "t",
            Arc::new(TimestampMicrosecondArray::from(vec![1_767_225_600_000_000]).with_timezone("UTC")),
        ),
    ];
    let row = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)));
    let row = row.unwrap();
    let arguments = [
        "i",
        "f",
        "g",
        "s",
        "b",
        "t",
        "'day'",
        "'%Y'",
        "'2026-01-01'",
        "INTERVAL '1' DAY",
        "'md5'",
        "'hex'",
        "'0'",
    ];
    let mut lists = vec![String::new()];
    let mut longer = lists.clone();
    for _ in 0..3 {
        longer = longer
            .iter()
            .flat_map(|list| {
                let separator = if list.is_empty() { "" } else { ", " };
                arguments
                    .iter()
                    .map(move |argument| format!("{list}{separator}{argument}"))
            })
            .collect();
        lists.extend(longer.iter().cloned());
    }
    let mut dead = Vec::new();
    for name in scalar_functions().keys() {
        let tries = || lists.iter().map(|list| works(&format!("{name}({list})"), &row));
        if !tries().any(|tried| tried == Ok(true)) {
            let said: BTreeSet<String> = tries().filter_map(Result::err).collect();
            dead.push((name, said));
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}
