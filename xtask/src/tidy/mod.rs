//! Invariants of the tree: what no compiler checks.
//!
//! A check is a pure function from the tree's texts to findings, and a test: `cargo test -p xtask` runs them all, and
//! `cargo xtask tidy` prints what they found. A check changes nothing.

mod documents;
mod manifests;
mod privacy;
mod purity;
mod samples;
mod sources;
mod tree;

use std::fmt;

use anyhow::ensure;

use self::tree::Tree;

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// File, and line if there is one: `worker/core/src/lib.rs:7`.
    pub place: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }

    /// A finding in a line, counted from 0.
    fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{path}:{}", line + 1), what)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

type Check = fn(&Tree) -> Vec<Finding>;

/// Every check, by the sentence that it keeps true.
const CHECKS: &[(&str, Check)] = &[
    ("a module begins with its duty", sources::modules_begin_with_their_duty),
    ("files are short", sources::files_are_short),
    ("unsafe code stands in listed modules", sources::unsafe_code_is_listed),
    (
        "lints are lifted in tests alone",
        sources::lints_are_lifted_in_tests_alone,
    ),
    ("every test runs", sources::no_test_is_ignored),
    ("properties scale with PROPTEST_CASES", sources::properties_scale),
    ("core crates do no IO and read no clock", purity::cores_do_no_io),
    ("core crates depend on no IO", purity::cores_depend_on_no_io),
    (
        "crates inherit the workspace's lints",
        manifests::crates_inherit_the_lints,
    ),
    (
        "versions stand in the workspace",
        manifests::versions_stand_in_the_workspace,
    ),
    ("there is one arrow", manifests::there_is_one_arrow),
    ("no text names a machine's paths", privacy::no_machine_paths),
    ("no text names a registry's host", privacy::no_registry_hosts),
    ("links lead to files", documents::links_lead_to_files),
    ("commands in documents exist", documents::commands_exist),
    (
        "invariants name tests that exist",
        documents::invariants_name_their_tests,
    ),
    ("samples in documents exist", samples::named_samples_exist),
    ("data have a licence and an origin", samples::data_have_a_licence),
];

/// Runs every check on the tree and prints the findings.
///
/// # Errors
/// When something was found, or the tree cannot be read.
pub fn run() -> anyhow::Result<()> {
    let tree = Tree::read()?;
    let mut n_findings = 0;
    for (sentence, check) in CHECKS {
        for finding in check(&tree) {
            eprintln!("{finding}\n    ({sentence})");
            n_findings += 1;
        }
    }
    ensure!(n_findings == 0, "the tree is not tidy: {n_findings} findings");
    eprintln!("{} checks, nothing found", CHECKS.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole list in one test, so that a check that is added to the list is run by `cargo test` too.
    #[test]
    fn the_tree_is_tidy() {
        let tree = Tree::read().unwrap();
        let findings: Vec<String> = CHECKS
            .iter()
            .flat_map(|(sentence, check)| check(&tree).into_iter().map(move |f| format!("{f} ({sentence})")))
            .collect();
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }

    #[test]
    fn the_tree_that_is_checked_is_this_one() {
        let tree = Tree::read().unwrap();
        assert!(
            tree.text("xtask/src/tidy/mod.rs")
                .unwrap()
                .contains("the_tree_that_is_checked_is_this_one")
        );
        assert!(tree.dependencies("tocsin-worker-core").unwrap().contains("arrow-array"));
    }
}
