//! Standard input, and any other reader: the same formats as a file, read as the bytes come.

use std::io::{self, Read};
use std::time::Duration;

use super::error::SourceError;
use super::feed::{Feed, InputOptions};
use super::{Block, Interrupt, Polled, Source};

/// Reads standard input to its end. Event time does not go on by the clock while nothing comes: it counts as a file.
pub struct StdinSource {
    feed: Feed,
}

impl StdinSource {
    /// Begins to read standard input.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(options: InputOptions) -> Result<Self, SourceError> {
        Self::from_reader(io::stdin(), "standard input", options)
    }

    /// Begins to read another reader, called `origin` in messages.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn from_reader(
        reader: impl Read + Send + 'static,
        origin: &str,
        options: InputOptions,
    ) -> Result<Self, SourceError> {
        Ok(Self {
            feed: Feed::of_pipe(move || Ok(reader), origin.to_owned(), options)?,
        })
    }
}

impl Source for StdinSource {
    fn poll(&mut self, block: &mut Block, wait: Duration) -> Result<Polled, SourceError> {
        self.feed.poll(block, wait)
    }

    fn describe(&self) -> String {
        self.feed.origin().to_owned()
    }

    fn header(&self) -> Option<&[u8]> {
        self.feed.header()
    }

    fn total_bytes(&self) -> Option<u64> {
        None
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
