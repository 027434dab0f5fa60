//! Standard input, and any other reader: the same formats as a file, read as the bytes come.

use std::io::{self, Read};

use super::error::SourceError;
use super::feed::{Feed, InputOptions};

/// Reads standard input to its end. Event time does not go on by the clock while nothing comes: it counts as a file.
///
/// # Errors
/// If no thread can be started.
pub fn open_stdin(options: InputOptions) -> Result<Feed, SourceError> {
    open_reader(io::stdin(), "standard input", options)
}

/// Reads another reader, called `origin` in messages.
///
/// # Errors
/// If no thread can be started.
pub fn open_reader(
    reader: impl Read + Send + 'static,
    origin: &str,
    options: InputOptions,
) -> Result<Feed, SourceError> {
    Feed::of_pipe(move || Ok(reader), origin.to_owned(), options)
}

#[cfg(test)]
mod tests;
