//! A file: JSON lines or CSV; plain, gzip or zstd. A named pipe or a device is read like standard input.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::error::SourceError;
use super::feed::{Feed, InputOptions};

/// Reads the file at `path` from its start to its end. An empty file is an empty stream.
///
/// # Errors
/// If there is no such file, it may not be read, it is a folder, or in a format that is not read.
pub fn open_file(path: &Path, options: InputOptions) -> Result<Feed, SourceError> {
    let failed = |error| SourceError::opening(&options.name, path, error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(SourceError::IsFolder {
            input: options.name,
            path: path.to_owned(),
        });
    }
    let origin = path.display().to_string();
    if metadata.is_file() {
        let file = File::open(path).map_err(failed)?;
        return Feed::of_file(file, metadata.len(), origin, options);
    }
    // Opening a named pipe waits for somebody who writes.
    let path: PathBuf = path.to_owned();
    Feed::of_pipe(move || File::open(path), origin, options)
}

#[cfg(test)]
mod tests;
