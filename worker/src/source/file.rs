//! A file: JSON lines or CSV; plain, gzip or zstd. A named pipe or a device is read like standard input.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SourceError;
use super::feed::{Feed, InputOptions};
use super::{Block, Interrupt, Polled, Source};

/// Reads a file from its start to its end. An empty file is an empty stream.
pub struct FileSource {
    feed: Feed,
    total_bytes: Option<u64>,
}

impl FileSource {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// If there is no such file, it may not be read, it is a folder, or in a format that is not read.
    pub fn open(path: &Path, options: InputOptions) -> Result<Self, SourceError> {
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
            return Ok(Self {
                feed: Feed::of_file(file, origin, options)?,
                total_bytes: Some(metadata.len()),
            });
        }
        // Opening a named pipe waits for somebody who writes.
        let path: PathBuf = path.to_owned();
        Ok(Self {
            feed: Feed::of_pipe(move || File::open(path), origin, options)?,
            total_bytes: None,
        })
    }
}

impl Source for FileSource {
    fn poll(&mut self, block: &mut Block, wait: Duration) -> Result<Polled, SourceError> {
        self.feed.poll(block, wait)
    }

    fn describe(&self) -> String {
        format!("file {}", self.feed.origin())
    }

    fn header(&self) -> Option<&[u8]> {
        self.feed.header()
    }

    fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    fn read_bytes(&self) -> u64 {
        self.feed.read_bytes()
    }

    fn is_live(&self) -> bool {
        false
    }

    fn offsets_are_lines(&self) -> bool {
        true
    }

    fn interrupt(&self) -> Interrupt {
        self.feed.interrupt()
    }
}

#[cfg(test)]
mod tests;
