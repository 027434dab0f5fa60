//! What a run writes and what it reads: no file may be both, and none be written twice.
//!
//! Only looks; whoever opens the files does so afterwards, as that empties them.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A file that a run reads or writes.
pub struct Used {
    /// What it is to the run, for a message: `source `alerts``.
    pub by: String,
    /// Its path.
    pub path: PathBuf,
}

impl Used {
    /// A file, and what it is to the run.
    pub fn new(by: impl Into<String>, path: &Path) -> Self {
        Self {
            by: by.into(),
            path: path.to_owned(),
        }
    }
}

/// Refuses a run that would overwrite what it reads, or what it writes elsewhere.
pub fn refuse_overwriting(read: &[Used], written: &[Used]) -> Result<(), Failure> {
    let written: Vec<(&Used, PathBuf)> = written
        .iter()
        .filter(|target| is_file(&target.path))
        .map(|target| (target, place(&target.path)))
        .collect();
    for (i, (target, at)) in written.iter().enumerate() {
        let path = target.path.display();
        if let Some(input) = read.iter().find(|input| place(&input.path) == *at) {
            return Err(Failure::Usage(format!(
                "{path} is written by {} and read by {}: it would be emptied before it is read; choose another file",
                target.by, input.by
            )));
        }
        if let Some((other, _)) = written.iter().take(i).find(|(_, other)| other == at) {
            return Err(Failure::Usage(format!(
                "{path} is written by {} and by {}: they would overwrite each other; give each a file of its own",
                other.by, target.by
            )));
        }
    }
    Ok(())
}

/// A terminal, a pipe and /dev/null are not emptied, and may be written by several.
fn is_file(path: &Path) -> bool {
    path.metadata().map_or(true, |metadata| metadata.is_file())
}

/// Where a path leads; a file that is not there yet is found by its folder and its name.
fn place(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize();
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
