//! What can go wrong with a source, in words that say what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a source cannot be opened or read on. `input` is the name of the source in the pipeline.
#[derive(Debug, Error)]
pub enum SourceError {
    /// There is no such file.
    #[error("source `{input}`: there is no file {}{}", path.display(), nearest.as_ref().map(Nearest::to_string).unwrap_or_default())]
    NotFound {
        /// Name of the source.
        input: String,
        /// Path of the file.
        path: PathBuf,
        /// What exists instead.
        nearest: Option<Nearest>,
    },
    /// The file may not be read.
    #[error("source `{input}`: no permission to read {}; allow it, or run as a user who may", path.display())]
    NotAllowed {
        /// Name of the source.
        input: String,
        /// Path of the file.
        path: PathBuf,
    },
    /// The path is a folder.
    #[error("source `{input}`: {} is a folder; name a file in it", path.display())]
    IsFolder {
        /// Name of the source.
        input: String,
        /// Path of the folder.
        path: PathBuf,
    },
    /// The file is in a format that is not read.
    #[error("source `{input}`: {origin} is {found}; {advice}")]
    Unreadable {
        /// Name of the source.
        input: String,
        /// The file, or standard input.
        origin: String,
        /// What it is.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A compressed stream is damaged.
    #[error(
        "source `{input}`: {origin} is damaged: its {compression} data is not valid at byte {position} ({what}). \
         What stands before was read up to line {lines}"
    )]
    Corrupt {
        /// Name of the source.
        input: String,
        /// The file, or standard input.
        origin: String,
        /// How it is compressed.
        compression: Compression,
        /// Byte in the compressed stream, from 0.
        position: u64,
        /// How many lines were read before.
        lines: u64,
        /// What the decompressor says.
        what: String,
    },
    /// A compressed stream ends in the middle.
    #[error(
        "source `{input}`: {origin} is cut off: its {compression} data ends in the middle, at byte {position}. \
         What stands before was read up to line {lines}; get the whole file"
    )]
    Truncated {
        /// Name of the source.
        input: String,
        /// The file, or standard input.
        origin: String,
        /// How it is compressed.
        compression: Compression,
        /// Byte in the compressed stream at which it ends.
        position: u64,
        /// How many lines were read before.
        lines: u64,
    },
    /// Reading failed.
    #[error("source `{input}`: cannot read {origin}: {error}")]
    Read {
        /// Name of the source.
        input: String,
        /// The file, or standard input.
        origin: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// An address cannot be listened on.
    #[error("source `{input}`: cannot listen on {address}: {error}; name another in `http.listen`")]
    Listen {
        /// Name of the source.
        input: String,
        /// The address.
        address: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, also of several members.
    Gzip,
    /// RFC 8878, also of several frames.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl SourceError {
    /// What an error of the system on opening a file means.
    pub(super) fn opening(input: &str, path: &Path, error: io::Error) -> Self {
        let (input, path) = (input.to_owned(), path.to_owned());
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                let nearest = nearest(&path);
                Self::NotFound { input, path, nearest }
            }
            io::ErrorKind::PermissionDenied => Self::NotAllowed { input, path },
            io::ErrorKind::IsADirectory => Self::IsFolder { input, path },
            _ => Self::Read {
                input,
                origin: path.display().to_string(),
                error,
            },
        }
    }
}

/// What exists in place of a missing file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nearest {
    /// The file in the same folder whose name is most like the missing one.
    File(PathBuf),
    /// The nearest folder above that exists.
    Folder(PathBuf),
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "; did you mean {}?", path.display()),
            Self::Folder(path) => write!(f, "; the nearest folder that exists is {}", path.display()),
        }
    }
}

/// A file of a like name in the same folder; if there is no such folder, the nearest one above.
fn nearest(path: &Path) -> Option<Nearest> {
    let folder = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return None,
    };
    let Ok(entries) = folder.read_dir() else {
        return folder
            .ancestors()
            .skip(1)
            .find(|above| above.is_dir())
            .map(|above| Nearest::Folder(above.to_owned()));
    };
    let wanted = path.file_name()?.to_string_lossy().to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&wanted, &name.to_lowercase());
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()))
        .map(|entry| entry.file_name())
        .map(|name| (likeness(&name.to_string_lossy()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| Nearest::File(path.with_file_name(name)))
}
