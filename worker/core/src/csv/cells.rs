//! The cells of one record, unescaped by csv-core.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use super::scan::RecordScan;

/// Splits records into cells. Keeps its buffers from record to record.
pub(super) struct Cells {
    reader: Reader,
    text: String,
    ends: Vec<usize>,
    n_cells: usize,
}

/// Why a record has no cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SplitError {
    /// A quote opens a cell and none closes it.
    OpenQuote,
    /// A line ends outside of quotes: there is more than one record.
    LineEnd,
    /// There are more cells than asked for.
    TooMany,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            reader: reader(),
            text: String::new(),
            ends: Vec::new(),
            n_cells: 0,
        }
    }
}

fn reader() -> Reader {
    // A record comes without its line end, so that a lone `\r` is part of a cell.
    ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build()
}

impl std::fmt::Debug for Cells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cells")
            .field("text", &self.text)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

impl Cells {
    /// Splits a record, and answers with the number of its cells.
    pub(super) fn split(&mut self, record: &str, most: usize) -> Result<usize, SplitError> {
        self.n_cells = 0;
        self.reader.reset();
        let mut text = std::mem::take(&mut self.text).into_bytes();
        // Unescaping only takes bytes away.
        text.resize(record.len(), 0);
        let n_cells = self.read(record.as_bytes(), &mut text, most);
        // What is left of UTF-8 after quotes were taken away is UTF-8.
        self.text = String::from_utf8(text).unwrap_or_default();
        if n_cells.is_err() {
            // The reader stopped in the middle of a record, which its reset does not undo.
            self.reader = reader();
        }
        self.n_cells = n_cells?;
        Ok(self.n_cells)
    }

    /// A cell of the last record; empty if it has none with this number.
    pub(super) fn get(&self, cell: usize) -> &str {
        let start = if cell == 0 {
            0
        } else {
            self.ends.get(cell - 1).copied().unwrap_or(0)
        };
        match self.ends.get(cell) {
            Some(end) if cell < self.n_cells => self.text.get(start..*end).unwrap_or_default(),
            _ => "",
        }
    }

    fn read(&mut self, record: &[u8], text: &mut Vec<u8>, most: usize) -> Result<usize, SplitError> {
        let (mut taken, mut written, mut n_cells) = (0, 0, 0);
        loop {
            let rest = record.get(taken..).unwrap_or_default();
            let out = text.get_mut(written..).unwrap_or_default();
            let ends = self.ends.get_mut(n_cells..).unwrap_or_default();
            let (result, n_in, n_out, n_ends) = self.reader.read_record(rest, out, ends);
            taken += n_in;
            written += n_out;
            n_cells += n_ends;
            match result {
                // An empty input then tells csv-core that the record is over.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => text.resize(text.len() + 64, 0),
                ReadRecordResult::OutputEndsFull if n_cells > most => return Err(SplitError::TooMany),
                ReadRecordResult::OutputEndsFull => self.ends.resize((n_cells * 2).max(16), 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        text.truncate(written);
        if taken < record.len() {
            return Err(SplitError::LineEnd);
        }
        let mut scan = RecordScan::default();
        if memchr::memchr(b'"', record).is_some() && scan.find_end(record).is_none() && scan.in_quotes() {
            return Err(SplitError::OpenQuote);
        }
        if n_cells > most {
            Err(SplitError::TooMany)
        } else {
            Ok(n_cells)
        }
    }
}
