//! The tree that is checked: every file that git knows or would add, and the dependencies of the core crates.
//!
//! The only file of `tidy` that reads from disk or starts a process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::purity::CORES;

/// Texts by path, relative to the root, with `/`.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
    test_files: BTreeSet<String>,
    dependencies: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the workspace that this program was built in.
    ///
    /// # Errors
    /// When git or cargo fail, or a file cannot be read.
    pub fn read() -> anyhow::Result<Self> {
        let root = root();
        let listed = output(
            &root,
            "git",
            &["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        )?;
        let mut files = BTreeMap::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            // A file that is deleted and not yet committed is listed too; a link is checked where it leads.
            let on_disk = root.join(path);
            if !on_disk.is_file() || on_disk.is_symlink() {
                continue;
            }
            let bytes = std::fs::read(&on_disk).with_context(|| path.to_owned())?;
            // What is no text has nothing to check but its name.
            files.insert(path.to_owned(), String::from_utf8(bytes).unwrap_or_default());
        }
        let mut tree = Self::of(files);
        for (folder, package) in CORES {
            if tree.files.contains_key(&format!("{folder}/Cargo.toml")) {
                let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
                let arguments = [
                    "tree",
                    "--locked",
                    "--package",
                    package,
                    "--edges",
                    "normal",
                    "--prefix",
                    "depth",
                    "--format",
                    " {p}",
                ];
                tree.dependencies
                    .insert((*package).to_owned(), output(&root, &cargo, &arguments)?);
            }
        }
        Ok(tree)
    }

    fn of(files: BTreeMap<String, String>) -> Self {
        let test_files = test_files(&files);
        Self {
            files,
            test_files,
            dependencies: BTreeMap::new(),
        }
    }

    /// Every file with its text; the text of what is not UTF-8 is empty.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Files whose name ends so, written by this project.
    pub fn own(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files()
            .filter(move |(path, _)| path.ends_with(ending) && !is_vendored(path))
    }

    /// Text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether a path is a file or a folder of the tree. The empty path is the root.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        path.is_empty() || self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&below))
    }

    /// What `cargo tree` says of a core crate: a line `DEPTH NAME VERSION` each.
    pub fn dependencies(&self, package: &str) -> Option<&str> {
        self.dependencies.get(package).map(String::as_str)
    }

    /// The lines of a Rust file that are built without `cfg(test)`, numbered from 0, without comments.
    pub fn shipped_lines<'a>(&'a self, path: &str, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        let end = if self.test_files.contains(path) {
            0
        } else {
            start_of_tests(text)
        };
        text.lines()
            .enumerate()
            .take(end)
            .map(|(line, code)| (line, code.split("//").next().unwrap_or_default()))
    }
}

/// Whether a file comes from elsewhere.
pub fn is_vendored(path: &str) -> bool {
    path.contains("/vendor/")
}

fn root() -> PathBuf {
    // Set by cargo at run time; what it was at build time may be another clone that shares the build cache.
    let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&manifest)
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()
        .with_context(|| format!("{program} could not be started"))?;
    if !output.status.success() {
        bail!(
            "{program} {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The line at which an inline `#[cfg(test)] mod` begins, or the number of lines.
fn start_of_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    test_modules(&lines)
        .filter(|(_, module)| module.ends_with('{'))
        .map(|(line, _)| line)
        .next()
        .unwrap_or(lines.len())
}

/// `#[cfg(test)]` lines that stand before a module, each with the module's line.
fn test_modules<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.trim() == "#[cfg(test)]")
        .filter_map(|(start, _)| {
            let module = lines[start + 1..]
                .iter()
                .map(|line| line.trim())
                .find(|line| !line.starts_with("#["))?;
            module
                .split_whitespace()
                .any(|word| word == "mod")
                .then_some((start, module))
        })
}

/// Rust files that only tests are built from: those of test targets, and modules declared under `#[cfg(test)]`.
fn test_files(files: &BTreeMap<String, String>) -> BTreeSet<String> {
    let rust: Vec<&String> = files.keys().filter(|path| path.ends_with(".rs")).collect();
    let is_test = |part: &str| {
        matches!(part, "tests" | "benches" | "examples" | "fuzz" | "tests.rs") || part.ends_with("_tests.rs")
    };
    let mut found: BTreeSet<String> = rust
        .iter()
        .filter(|path| path.split('/').any(is_test))
        .map(|path| (*path).clone())
        .collect();
    for path in &rust {
        let lines: Vec<&str> = files[*path].lines().collect();
        for (_, module) in test_modules(&lines) {
            let Some(name) = module
                .strip_suffix(';')
                .and_then(|module| module.split_whitespace().last())
            else {
                continue;
            };
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
            let stem = match file.trim_end_matches(".rs") {
                "lib" | "main" | "mod" => folder.to_owned(),
                stem => format!("{folder}/{stem}"),
            };
            let (file, below) = (format!("{stem}/{name}.rs"), format!("{stem}/{name}/"));
            found.extend(
                rust.iter()
                    .filter(|path| ***path == file || path.starts_with(&below))
                    .map(|path| (*path).clone()),
            );
        }
    }
    found
}

#[cfg(test)]
impl Tree {
    /// A tree of these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        Self::of(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }

    /// The same tree with what `cargo tree` would say of a package.
    pub fn depending(mut self, package: &str, dependencies: &str) -> Self {
        self.dependencies.insert(package.to_owned(), dependencies.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(path: &str, files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::with(files);
        let text = tree.text(path).unwrap();
        tree.shipped_lines(path, text)
            .map(|(_, line)| line.to_owned())
            .collect()
    }

    #[test]
    fn inline_tests_and_comments_are_not_shipped() {
        let text = "use a; // why\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn t() {}\n}\n";
        assert_eq!(shipped("a/src/lib.rs", &[("a/src/lib.rs", text)]), ["use a; "]);
    }

    #[test]
    fn a_test_import_does_not_end_what_is_shipped() {
        let text = "#[cfg(test)]\nuse b;\nfn f() {}\n";
        assert_eq!(shipped("a/src/lib.rs", &[("a/src/lib.rs", text)]).len(), 3);
    }

    #[test]
    fn a_module_declared_for_tests_is_not_shipped_wherever_it_stands() {
        let parent = ("a/src/window.rs", "#[cfg(test)]\nmod scripted;\nfn f() {}\n");
        for path in [
            "a/src/window/scripted.rs",
            "a/src/window/scripted/part.rs",
            "a/tests/end_to_end.rs",
            "a/src/window/tests.rs",
        ] {
            assert_eq!(
                shipped(path, &[parent, (path, "fn g() {}\n")]),
                Vec::<String>::new(),
                "{path}"
            );
        }
        assert_eq!(
            shipped("a/src/scripted.rs", &[parent, ("a/src/scripted.rs", "fn g() {}\n")]),
            ["fn g() {}"]
        );
        assert_eq!(shipped("a/src/window.rs", &[parent]).len(), 3);
    }
}
