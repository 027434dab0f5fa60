//! Checks on samples: what a document names is there, and data say where they come from.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const DATA: &str = "samples/data/";

/// A path below `samples/` in a document or a script.
pub fn named_samples_exist(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in [".md", ".sh", "Makefile"].iter().flat_map(|ending| tree.own(ending)) {
        for (line, content) in text.lines().enumerate() {
            for sample in samples(content).filter(|sample| !tree.has(sample)) {
                findings.push(Finding::at(path, line, format!("there is no `{sample}`")));
            }
        }
    }
    findings
}

/// Every folder of data has its licence and says where it comes from.
pub fn data_have_a_licence(tree: &Tree) -> Vec<Finding> {
    let sets: BTreeSet<&str> = tree
        .files()
        .filter_map(|(path, _)| path.strip_prefix(DATA)?.split_once('/'))
        .map(|(set, _)| set)
        .collect();
    let mut findings = Vec::new();
    for set in sets {
        for file in ["LICENSE", "README.md"] {
            if !tree.has(&format!("{DATA}{set}/{file}")) {
                findings.push(Finding::new(format!("{DATA}{set}"), format!("{file} is missing")));
            }
        }
    }
    findings
}

/// Paths that begin with `samples/`; a pattern names nothing that could be missing.
fn samples(line: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| !(c.is_alphanumeric() || "/._-*{".contains(c));
    line.match_indices("samples/")
        .filter(|(at, _)| !line[..*at].ends_with(|c: char| c.is_alphanumeric() || "/_-".contains(c)))
        .map(move |(at, _)| line[at..].split(ends).next().unwrap_or_default().trim_end_matches('.'))
        .filter(|sample| !sample.contains(['*', '{']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_is_not_there_is_found() {
        let readme = |text: &str| Tree::with(&[("README.md", text), ("samples/noc.yaml", "")]);
        assert_eq!(
            named_samples_exist(&readme("Run samples/noc.yaml. All of `samples/` and samples/*.yaml.")),
            []
        );
        assert_eq!(named_samples_exist(&readme("`tocsin run samples/con.yaml`")).len(), 1);
    }

    #[test]
    fn data_without_a_licence_are_found() {
        let bare = Tree::with(&[("samples/data/set/part/a.csv", "")]);
        assert_eq!(data_have_a_licence(&bare).len(), 2);
        let told = Tree::with(&[
            ("samples/data/set/a.csv", ""),
            ("samples/data/set/LICENSE", ""),
            ("samples/data/set/README.md", ""),
        ]);
        assert_eq!(data_have_a_licence(&told), []);
    }
}
