//! Checks on Markdown: what it points at is there.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

/// Relative links in Markdown, to files and folders.
pub fn links_lead_to_files(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.own(".md") {
        for (line, target) in links(text) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains(':') && !tree.has(&resolve(path, file)) {
                findings.push(Finding::at(path, line, format!("the link to `{target}` leads nowhere")));
            }
        }
    }
    findings
}

/// `make X` in Markdown names a target of the Makefile, `scripts/X` a script, `cargo xtask X` a chore.
pub fn commands_exist(tree: &Tree) -> Vec<Finding> {
    let makefile = tree.text("Makefile").unwrap_or_default();
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target)
        .collect();
    let chores = tree.text("xtask/src/main.rs").unwrap_or_default();
    let mut findings = Vec::new();
    for (path, text) in tree.own(".md") {
        for (line, code) in code(text) {
            let words: Vec<&str> = code.split_whitespace().collect();
            let missing = match words.as_slice() {
                ["make", target, ..] if is_name(target) => !targets.contains(target),
                ["cargo", "xtask", chore, ..] if is_name(chore) => !chores.contains(&format!("\"{chore}\"")),
                [script, ..] if script.starts_with("scripts/") => !tree.has(script),
                _ => false,
            };
            if missing {
                findings.push(Finding::at(path, line, format!("there is no `{}`", code.trim())));
            }
        }
    }
    findings
}

/// An invariant in ARCHITECTURE.md says `Kept by` and the names of tests.
pub fn invariants_name_their_tests(tree: &Tree) -> Vec<Finding> {
    const DOCUMENT: &str = "ARCHITECTURE.md";
    let text = tree.text(DOCUMENT).unwrap_or_default();
    let mut findings = Vec::new();
    for (line, kept) in text
        .lines()
        .enumerate()
        .filter_map(|(line, text)| Some((line, text.trim().strip_prefix("Kept by ")?)))
    {
        for name in spans(kept).filter(|name| is_name(name)) {
            let function = format!("fn {name}(");
            if !tree.own(".rs").any(|(_, code)| code.contains(&function)) {
                findings.push(Finding::at(DOCUMENT, line, format!("no test is called `{name}`")));
            }
        }
    }
    findings
}

fn is_name(word: &str) -> bool {
    !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

/// Targets of `[text](target)` outside code, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (line, content) in text.lines().enumerate() {
        fenced ^= content.trim_start().starts_with("```");
        if !fenced {
            let targets = content
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split([')', ' ']).next());
            found.extend(targets.map(|target| (line, target)));
        }
    }
    found
}

/// Commands: the lines of code blocks, without a prompt, and the spans in backticks.
fn code(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (line, content) in text.lines().enumerate() {
        if content.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((line, content.trim().trim_start_matches("$ ")));
        } else {
            found.extend(spans(content).map(|span| (line, span)));
        }
    }
    found
}

/// What stands in backticks in a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A path relative to the file that names it, from the root.
fn resolve(from: &str, to: &str) -> String {
    let mut parts: Vec<&str> = if to.starts_with('/') {
        Vec::new()
    } else {
        from.split('/').collect()
    };
    parts.pop();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::Check;
    use super::*;

    fn check(check: Check, path: &str, text: &str, n_findings: usize) {
        let tree = Tree::with(&[
            (path, text),
            ("Makefile", "test: ## Tests\n\t@scripts/test.sh\n"),
            ("scripts/test.sh", ""),
            ("docs/guide.md", ""),
            ("src/lib.rs", "fn a_test_that_is_there() {}\n"),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), n_findings, "{text}: {found:?}");
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        check(
            links_lead_to_files,
            "README.md",
            "[a](docs/guide.md#top) [b](docs) [c](#here) [d](https://example.org)",
            0,
        );
        check(
            links_lead_to_files,
            "README.md",
            "[a](docs/other.md) and ![b](picture.svg)",
            2,
        );
        check(
            links_lead_to_files,
            "docs/more.md",
            "[a](../README.md) [b](guide.md)",
            1,
        );
        check(links_lead_to_files, "README.md", "```\nx[0](missing)\n```", 0);
    }

    #[test]
    fn a_command_that_does_not_exist_is_found() {
        check(
            commands_exist,
            "README.md",
            "Run `make test`, or `TOCSIN_TEST=full make`.\n```\n$ make test\nscripts/test.sh\n```",
            0,
        );
        check(
            commands_exist,
            "README.md",
            "Run `make tset`.\n```\nmake tset\nscripts/tset.sh\n```",
            3,
        );
        check(commands_exist, "README.md", "`cargo xtask nothing`", 1);
        check(commands_exist, "README.md", "They make nothing of it.", 0);
    }

    #[test]
    fn an_invariant_without_its_test_is_found() {
        check(
            invariants_name_their_tests,
            "ARCHITECTURE.md",
            "Kept by `a_test_that_is_there`.",
            0,
        );
        check(
            invariants_name_their_tests,
            "ARCHITECTURE.md",
            "  Kept by `a_test_that_is_there` and `a_test_that_is_gone`.",
            1,
        );
    }
}
