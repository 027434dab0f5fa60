//! Checks that no text carries a trace of the machine that it was written on.

use super::Finding;
use super::tree::{Tree, is_vendored};

/// Folders of one machine. In pieces, or this file would find itself.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("/tmp", "/wt"),
];

/// Hosts of package registries: a build takes packages from wherever the machine is set to.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("npmjs", "."),
    concat!("proxy.", "golang"),
    concat!("repo1.", "maven"),
    concat!("repo.", "maven"),
    concat!("deb.", "debian"),
    concat!("static.", "rust-lang"),
];

/// A path into one machine's folders is wrong on every other.
pub fn no_machine_paths(tree: &Tree) -> Vec<Finding> {
    let begins = |line: &str, folder: &str| {
        line.match_indices(folder)
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}/~*".contains(c)))
    };
    find(tree, MACHINE_FOLDERS, begins, "a path of one machine")
}

/// A host in a text overrules what the machine is set to, or tells of it.
pub fn no_registry_hosts(tree: &Tree) -> Vec<Finding> {
    find(
        tree,
        REGISTRY_HOSTS,
        |line, host| line.contains(host),
        "the host of a package registry",
    )
}

fn find(tree: &Tree, words: &[&str], matches: impl Fn(&str, &str) -> bool, what: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Cargo writes its registry's name into the lock file itself.
    for (path, text) in tree
        .files()
        .filter(|(path, _)| !path.ends_with("Cargo.lock") && !is_vendored(path))
    {
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| matches(line, word)) {
                findings.push(Finding::at(path, number, format!("`{word}`: {what}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> usize {
        no_machine_paths(&Tree::with(&[("README.md", text)])).len()
    }

    #[test]
    fn a_machine_path_is_found_wherever_it_begins() {
        for text in ["cd /{}/x", "\"/{}/x\"", "path=/{}/x", "(/{}/x)"] {
            assert_eq!(paths(&text.replace("{}", concat!("ro", "ot"))), 1, "{text}");
        }
    }

    #[test]
    fn a_folder_of_that_name_elsewhere_is_no_finding() {
        for text in ["src/{}/x", "${CACHE}/{}/x", "$HOME/{}/x", "an or/{}/x"] {
            assert_eq!(paths(&text.replace("{}", concat!("wo", "rk"))), 0, "{text}");
        }
    }

    #[test]
    fn a_registry_host_is_found_and_the_lock_file_is_let_alone() {
        let line = concat!("see https://crates", ".io/crates/x");
        assert_eq!(no_registry_hosts(&Tree::with(&[("README.md", line)])).len(), 1);
        assert_eq!(no_registry_hosts(&Tree::with(&[("Cargo.lock", line)])), []);
    }
}
