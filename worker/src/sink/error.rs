//! What can go wrong with a file that is written, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why rows cannot be written.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The reader of a pipe has gone. Not a fault: nobody wants more.
    #[error("the reader of {target} has closed it")]
    Closed {
        /// The file, or standard output.
        target: String,
    },
    /// The folder of the file does not exist.
    #[error("cannot write {}: there is no folder {}; make it first", path.display(), folder.display())]
    NoFolder {
        /// Path of the file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The path is a folder.
    #[error("cannot write {}: it is a folder; name a file in it", path.display())]
    IsFolder {
        /// Path.
        path: PathBuf,
    },
    /// The file may not be written.
    #[error("no permission to write {}; allow it, or choose another place", path.display())]
    NotAllowed {
        /// Path of the file.
        path: PathBuf,
    },
    /// The disk or the user's quota is full.
    #[error(
        "cannot write {target}: no space is left; make room, or write to another disk. What was written so far stays"
    )]
    NoSpace {
        /// The file, or standard output.
        target: String,
    },
    /// Writing failed.
    #[error("cannot write {target}: {error}")]
    Write {
        /// The file, or standard output.
        target: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

impl SinkError {
    /// Whether this only says that nobody wants more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// What an error of the system on writing means.
    pub fn writing(target: &str, error: io::Error) -> Self {
        let target = target.to_owned();
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed { target },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { target },
            _ => Self::Write { target, error },
        }
    }

    /// What an error of the system on making a file means.
    pub(crate) fn creating(path: &Path, error: io::Error) -> Self {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NoFolder {
                path: path.clone(),
                folder: folder.to_owned(),
            },
            io::ErrorKind::IsADirectory => Self::IsFolder { path },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { path },
            _ => Self::writing(&path.display().to_string(), error),
        }
    }
}
