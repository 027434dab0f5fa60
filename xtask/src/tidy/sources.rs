//! Checks on Rust files: their first line, their length, and what they lift.

use super::Finding;
use super::tree::Tree;

/// The design aims at 400 lines; this is where a file must be split, or listed with a reason.
const LONGEST_FILE: usize = 450;

/// Longer files, each with the reason why it is not split.
const LONG_FILES: &[(&str, &str)] = &[];

/// Modules that may hold unsafe code, each with the reason. The code itself says why it is sound.
const UNSAFE_MODULES: &[(&str, &str)] = &[
    (
        "worker/core/src/json/scan/sse2.rs",
        "SSE2 instructions on registers, on x86-64 alone, where they always are",
    ),
    (
        "kafka/src/librdkafka/membership.rs",
        "librdkafka's own calls, for what a membership consists of, which the crate around it keeps to itself",
    ),
    (
        "kafka/src/librdkafka/queue.rs",
        "librdkafka's own calls, for the places of events, which the crate around it keeps to itself",
    ),
];

/// Lints that code outside tests may not lift for itself.
const KEPT_LINTS: &[&str] = &[
    "missing_docs",
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::panic",
    "clippy::todo",
    "clippy::unimplemented",
];

/// The first line of a module says what it is for.
pub fn modules_begin_with_their_duty(tree: &Tree) -> Vec<Finding> {
    let without = tree.own(".rs").filter(|(_, text)| !text.starts_with("//! "));
    without
        .map(|(path, _)| Finding::at(path, 0, "begin with `//! ` and the duty of the module"))
        .collect()
}

/// A file that outgrows the limit is two features.
pub fn files_are_short(tree: &Tree) -> Vec<Finding> {
    let is_long = |text: &str| text.lines().count() > LONGEST_FILE;
    let listed = |path: &str| LONG_FILES.iter().any(|(long, _)| *long == path);
    let long = tree
        .own(".rs")
        .filter(|(path, text)| is_long(text) && !listed(path))
        .map(|(path, text)| {
            Finding::new(
                path,
                format!("{} lines; split it (at most {LONGEST_FILE})", text.lines().count()),
            )
        });
    let stale = LONG_FILES
        .iter()
        .filter(|(path, _)| !tree.text(path).is_some_and(is_long))
        .map(|(path, _)| Finding::new(*path, "is not long any more; take it off LONG_FILES"));
    long.chain(stale).collect()
}

/// `unsafe_code` is denied; who lifts it is on the list.
pub fn unsafe_code_is_listed(tree: &Tree) -> Vec<Finding> {
    let listed = |path: &str| UNSAFE_MODULES.iter().any(|(module, _)| *module == path);
    lifted(tree, &["unsafe_code"])
        .filter(|(path, _, _)| !listed(path))
        .map(|(path, line, _)| {
            Finding::at(
                path,
                line,
                "unsafe code in a module that is not on UNSAFE_MODULES in xtask/src/tidy/sources.rs",
            )
        })
        .collect()
}

/// A lint that keeps panics out counts only if nobody lifts it where it matters.
pub fn lints_are_lifted_in_tests_alone(tree: &Tree) -> Vec<Finding> {
    lifted(tree, KEPT_LINTS)
        .map(|(path, line, lint)| Finding::at(path, line, format!("lifts `{lint}` outside tests")))
        .collect()
}

/// A test that is not run proves nothing. Long ones run shorter by default (TOCSIN_TEST).
pub fn no_test_is_ignored(tree: &Tree) -> Vec<Finding> {
    let ignored = |line: &str| line.trim_start().starts_with(concat!("#[", "ignore"));
    tree.own(".rs")
        .flat_map(|(path, text)| {
            text.lines()
                .enumerate()
                .filter(move |(_, code)| ignored(code))
                .map(move |(line, _)| (path, line))
        })
        .map(|(path, line)| {
            Finding::at(
                path,
                line,
                "an ignored test; make it short, or run less of it when TOCSIN_TEST=short",
            )
        })
        .collect()
}

/// A property with a fixed number of cases stays as it is in `make test-full` and `make soak`.
pub fn properties_scale(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.own(".rs") {
        for (line, code) in text.lines().enumerate() {
            let fixed = code
                .split("with_cases(")
                .skip(1)
                .any(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
            if fixed {
                let what = "a fixed number of cases: write `with_cases(ProptestConfig::default().cases / 5)` or the like, so that PROPTEST_CASES counts";
                findings.push(Finding::at(path, line, what));
            }
        }
    }
    findings
}

/// Lines of shipped code that allow or expect one of these lints.
fn lifted<'a>(tree: &'a Tree, lints: &'static [&'static str]) -> impl Iterator<Item = (&'a str, usize, &'static str)> {
    tree.own(".rs").flat_map(move |(path, text)| {
        tree.shipped_lines(path, text).flat_map(move |(line, code)| {
            let attribute = code.contains("allow(") || code.contains("expect(");
            lints
                .iter()
                .filter(move |lint| attribute && code.contains("#") && code.contains(**lint))
                .map(move |lint| (path, line, *lint))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::Check;
    use super::*;

    fn check(check: Check, path: &str, text: &str, n_findings: usize) {
        let found = check(&Tree::with(&[(path, text)]));
        assert_eq!(found.len(), n_findings, "{path}: {found:?}");
    }

    #[test]
    fn a_module_without_a_duty_is_found() {
        check(modules_begin_with_their_duty, "a/src/lib.rs", "use x;\n", 1);
        check(
            modules_begin_with_their_duty,
            "a/src/lib.rs",
            "//! Does this.\nuse x;\n",
            0,
        );
        check(modules_begin_with_their_duty, "a/vendor/lib.rs", "use x;\n", 0);
    }

    #[test]
    fn a_file_over_the_limit_is_found_and_one_at_the_limit_is_not() {
        check(files_are_short, "a.rs", &"x\n".repeat(LONGEST_FILE), 0);
        check(files_are_short, "a.rs", &"x\n".repeat(LONGEST_FILE + 1), 1);
    }

    #[test]
    fn lifted_lints_are_found_outside_tests_alone() {
        check(
            lints_are_lifted_in_tests_alone,
            "a/src/lib.rs",
            "#[allow(clippy::unwrap_used)]\nfn f() {}\n",
            1,
        );
        check(
            lints_are_lifted_in_tests_alone,
            "a/src/lib.rs",
            "#![expect(missing_docs)]\n",
            1,
        );
        check(
            lints_are_lifted_in_tests_alone,
            "a/src/lib.rs",
            "#[cfg(test)]\n#[allow(clippy::unwrap_used)]\nmod tests {\n",
            0,
        );
        check(
            lints_are_lifted_in_tests_alone,
            "a/tests/t.rs",
            "#![allow(clippy::unwrap_used)]\n",
            0,
        );
        check(
            lints_are_lifted_in_tests_alone,
            "a/src/lib.rs",
            "#[allow(clippy::too_many_arguments)]\n",
            0,
        );
        check(unsafe_code_is_listed, "a/src/lib.rs", "#![allow(unsafe_code)]\n", 1);
    }

    #[test]
    fn an_ignored_test_is_found() {
        check(
            no_test_is_ignored,
            "a/tests/t.rs",
            concat!("    #[", "ignore = \"slow\"]\n"),
            1,
        );
        check(no_test_is_ignored, "a/tests/t.rs", "fn ignores() {}\n", 0);
    }

    #[test]
    fn a_fixed_number_of_cases_is_found() {
        check(
            properties_scale,
            "a/tests/t.rs",
            concat!("ProptestConfig::with_", "cases(48)\n"),
            1,
        );
        check(
            properties_scale,
            "a/tests/t.rs",
            "ProptestConfig::with_cases(ProptestConfig::default().cases / 5)\n",
            0,
        );
    }
}
