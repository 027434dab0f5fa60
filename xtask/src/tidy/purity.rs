//! Checks on the core crates: decisions without IO, clock and async. Time is a parameter there.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::tree::Tree;

/// Folders and packages that hold decisions and types alone.
pub const CORES: &[(&str, &str)] = &[
    ("contract", "tocsin-contract"),
    ("worker/core", "tocsin-worker-core"),
    ("operator/core", "tocsin-operator-core"),
];

/// Code that a core crate may not have, and what it would do there.
const IMPURE_CODE: &[(&str, &str)] = &[
    ("::now(", "reads a clock: take the time as a parameter"),
    ("Instant", "stands for a clock: take the time as a parameter"),
    ("std::fs", "reads or writes files: take bytes, return bytes"),
    ("std::net", "talks to the network"),
    ("std::env", "reads the environment: take a parameter"),
    ("std::process", "starts or ends processes"),
    ("std::thread", "starts threads: the shell owns them"),
    ("std::io::stdin", "reads a standard stream: take bytes"),
    ("std::io::stdout", "writes a standard stream: return bytes"),
    ("std::io::stderr", "writes a standard stream: return the text"),
    ("println!(", "prints: return the text"),
    ("eprintln!(", "prints: return the text"),
    ("tokio::", "belongs to the shells"),
    ("async fn", "belongs to the shells"),
    (".await", "belongs to the shells"),
];

/// Crates that do IO. None may be in a core's tree by any way, except the two below.
const IO_CRATES: &[&str] = &[
    "async-std",
    "axum",
    "hyper",
    "kube-client",
    "kube-runtime",
    "mio",
    "object_store",
    "rdkafka",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tower-http",
    "ureq",
];

/// DataFusion's own crates depend on these without a way to leave them out. The core never calls what would start them:
/// it takes expressions, not execution. They are let through only below a `datafusion-*` crate.
const BELOW_DATAFUSION: &[&str] = &["tokio", "object_store"];

/// Source code of a core crate: no IO, no clock, no async.
pub fn cores_do_no_io(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.own(".rs").filter(|(path, _)| is_core_source(path)) {
        for (line, code) in tree.shipped_lines(path, text) {
            let impure = IMPURE_CODE.iter().filter(|(word, _)| has_word(code, word));
            findings.extend(impure.map(|(word, what)| Finding::at(path, line, format!("`{word}` {what}"))));
        }
    }
    findings
}

/// Dependencies of a core crate, all the way down.
pub fn cores_depend_on_no_io(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, package) in CORES {
        let Some(listing) = tree.dependencies(package) else {
            continue;
        };
        let edges = edges(listing);
        let reached = |enter_datafusion: bool| reachable(&edges, package, enter_datafusion);
        let (everywhere, directly) = (reached(true), reached(false));
        for name in IO_CRATES {
            let let_through = BELOW_DATAFUSION.contains(name) && !directly.contains(*name);
            if everywhere.contains(*name) && !let_through {
                let what = format!("`{name}` is in the dependency tree: cargo tree -p {package} -e normal -i {name}");
                findings.push(Finding::new(format!("{folder}/Cargo.toml"), what));
            }
        }
    }
    findings
}

fn is_core_source(path: &str) -> bool {
    CORES
        .iter()
        .any(|(folder, _)| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with("/src/")))
}

/// Whether `word` stands in `code`, and not as a part of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let goes_on_before = word.starts_with(is_name) && code[..at].ends_with(is_name);
        let goes_on_behind = word.ends_with(is_name) && code[at + word.len()..].starts_with(is_name);
        !goes_on_before && !goes_on_behind
    })
}

/// `cargo tree`'s lines `DEPTH NAME ...` as edges by package name.
fn edges(listing: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut parents: Vec<&str> = Vec::new();
    for line in listing.lines() {
        let mut words = line.split_whitespace();
        let (Some(depth), Some(name)) = (words.next().and_then(|depth| depth.parse::<usize>().ok()), words.next())
        else {
            continue;
        };
        parents.truncate(depth);
        if let Some(parent) = parents.last() {
            edges.entry(parent).or_default().insert(name);
        }
        parents.push(name);
    }
    edges
}

fn reachable<'a>(
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    from: &'a str,
    enter_datafusion: bool,
) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        if !reached.insert(name) || (!enter_datafusion && name.starts_with("datafusion-")) {
            continue;
        }
        open.extend(edges.get(name).into_iter().flatten());
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn impure(path: &str, code: &str) -> usize {
        cores_do_no_io(&Tree::with(&[(path, code)])).len()
    }

    #[test]
    fn a_clock_in_a_core_is_found_and_in_a_shell_is_not() {
        assert_eq!(impure("worker/core/src/window.rs", "let now = SystemTime::now();\n"), 1);
        assert_eq!(impure("worker/core/src/window.rs", "use std::time::Instant;\n"), 1);
        assert_eq!(impure("worker/src/clock.rs", "let now = SystemTime::now();\n"), 0);
        assert_eq!(
            impure("worker/core/src/window.rs", "// SystemTime::now() is not for us\n"),
            0
        );
    }

    #[test]
    fn a_name_that_only_contains_a_word_is_no_finding() {
        assert_eq!(
            impure(
                "contract/src/lib.rs",
                "struct Instantly; fn an_async_fn() {} use mystd::fs;\n"
            ),
            0
        );
        assert_eq!(impure("contract/src/lib.rs", "let out = std::io::stdout();\n"), 1);
        assert_eq!(impure("contract/src/lib.rs", "pub async fn f() {}\n"), 1);
    }

    fn dependencies(listing: &str) -> Vec<String> {
        let tree = Tree::with(&[]).depending("tocsin-worker-core", listing);
        cores_depend_on_no_io(&tree)
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn tokio_is_let_through_below_datafusion_alone() {
        let below = "0 tocsin-worker-core v0.1.0 (path)\n1 datafusion-common v55\n2 tokio v1\n1 serde v1\n";
        assert_eq!(dependencies(below), Vec::<String>::new());
        let beside = format!("{below}1 helpful v1\n2 tokio v1 (*)\n");
        assert_eq!(dependencies(&beside).len(), 1);
        assert!(dependencies(&beside)[0].contains("`tokio`"));
    }

    #[test]
    fn a_client_is_found_wherever_it_comes_from() {
        let found =
            dependencies("0 tocsin-worker-core v0.1.0\n1 datafusion-common v55\n2 object_store v0\n3 reqwest v0\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("`reqwest`"));
    }

    #[test]
    fn a_crate_listed_once_has_its_dependencies_wherever_it_is_named() {
        let found =
            dependencies("0 tocsin-worker-core v0.1.0\n1 datafusion-sql v55\n2 log v0\n3 tokio v1\n1 log v0 (*)\n");
        assert_eq!(found.len(), 1);
    }
}
