//! Checks on Cargo's files: one place for lints and versions, one version of what must not be there twice.

use super::Finding;
use super::tree::Tree;

/// Packages whose types must be one: their batches and expressions pass between crates.
const SINGLE: &[&str] = &["arrow-array", "arrow-schema", "datafusion-common"];

/// A crate without `[lints] workspace = true` would escape every lint.
pub fn crates_inherit_the_lints(tree: &Tree) -> Vec<Finding> {
    members(tree)
        .filter(|(_, text)| !section(text, "lints").any(|(_, line)| is_from_workspace(line)))
        .map(|(path, _)| Finding::new(path, "add `[lints]` with `workspace = true`"))
        .collect()
}

/// A version in a member would drift from the others'.
pub fn versions_stand_in_the_workspace(tree: &Tree) -> Vec<Finding> {
    const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut findings = Vec::new();
    for (path, text) in members(tree) {
        for (line, code) in SECTIONS.iter().flat_map(|name| section(text, name)) {
            if code.contains('=') && !is_from_workspace(code) {
                findings.push(Finding::at(
                    path,
                    line,
                    "name the version in the root's [workspace.dependencies] and take it from there",
                ));
            }
        }
    }
    findings
}

/// Batches of two arrows are different types.
pub fn there_is_one_arrow(tree: &Tree) -> Vec<Finding> {
    let lock = tree.text("Cargo.lock").unwrap_or_default();
    let count = |name: &str| {
        lock.lines()
            .filter(|line| *line == format!("name = \"{name}\""))
            .count()
    };
    SINGLE
        .iter()
        .filter(|name| count(name) > 1)
        .map(|name| {
            Finding::new(
                "Cargo.lock",
                format!("{} versions of {name}: cargo tree -d -i {name}", count(name)),
            )
        })
        .collect()
}

/// Manifests of the workspace's crates. A crate with a workspace of its own is not one.
fn members(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.own("Cargo.toml").filter(|(_, text)| {
        let has = |header: &str| text.lines().any(|line| line.trim() == header);
        has("[package]") && !has("[workspace]")
    })
}

/// Lines of a section of a manifest, without comments.
fn section<'a>(text: &'a str, name: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let header = format!("[{name}]");
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .enumerate();
    lines
        .skip_while(move |(_, line)| *line != header)
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
}

fn is_from_workspace(line: &str) -> bool {
    let packed: String = line.chars().filter(|character| !character.is_whitespace()).collect();
    packed.contains("workspace=true")
}

#[cfg(test)]
mod tests {
    use super::super::Check;
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\ntokio = { workspace = true, features = [\"fs\"] }\n";

    fn check(check: Check, manifest: &str, n_findings: usize) {
        let found = check(&Tree::with(&[("a/Cargo.toml", manifest)]));
        assert_eq!(found.len(), n_findings, "{found:?}");
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        check(crates_inherit_the_lints, GOOD, 0);
        check(crates_inherit_the_lints, "[package]\nname = \"a\"\n[lints.rust]\n", 1);
        check(crates_inherit_the_lints, "[package]\nname = \"b\"\n[workspace]\n", 0);
    }

    #[test]
    fn a_version_in_a_member_is_found() {
        check(versions_stand_in_the_workspace, GOOD, 0);
        check(
            versions_stand_in_the_workspace,
            "[package]\n[dev-dependencies]\ninsta = \"1\"\n",
            1,
        );
    }

    #[test]
    fn a_second_arrow_is_found() {
        let lock = |n: usize| Tree::with(&[("Cargo.lock", "[[package]]\nname = \"arrow-array\"\n".repeat(n).as_str())]);
        assert_eq!(there_is_one_arrow(&lock(1)), []);
        assert_eq!(there_is_one_arrow(&lock(2)).len(), 1);
    }
}
