//! The list of functions in the documentation is the list of functions that there are.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::expect_file;
use tocsin_worker_core::aggregate::not_offered;
use tocsin_worker_core::expr::compile::aggregate_functions;
use tocsin_worker_core::expr::functions::{left_out, scalar_functions};

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
