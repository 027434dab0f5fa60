//! Where records come from: a file, standard input, the generator, HTTP.
//!
//! A source hands over blocks of bytes with the places of the records in them; it neither decodes nor judges records.
//! One thread polls a source; what may block for long (a pipe, a compressed stream) is read by a thread of its own, so
//! that every poll ends within its bound and an [`Interrupt`] is heard.

mod compressed;
mod error;
mod feed;
mod file;
mod framing;
mod generator;
mod http;
mod pace;
mod paced;
mod reader_thread;
mod stdin;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tocsin_worker_core::decode::{Cause, Span};

pub use self::error::{Compression, Nearest, SourceError};
pub use self::feed::{Feed, InputOptions};
pub use self::file::open_file;
pub use self::framing::Framing;
pub use self::generator::GeneratorSource;
pub use self::http::{HttpIntake, HttpLimits, HttpListener, HttpSource};
#[cfg(test)]
pub(crate) use self::pace::ManualClock;
pub use self::pace::{Clock, InvalidSpeed, Pacer, Speed, SystemClock};
pub use self::paced::PacedSource;
pub use self::stdin::{open_reader, open_stdin};

/// How many bytes a block has as a rule.
pub const BLOCK_BYTES: usize = 1 << 20;

/// How large a record may be, unless set otherwise: 16 MiB.
pub const RECORD_LIMIT: usize = 16 << 20;

/// How much of a record that is too long is kept.
pub const HEAD_BYTES: usize = 1 << 10;

/// Records of a source. Used again from poll to poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The bytes that the records stand in; there may be others between them.
    pub bytes: Vec<u8>,
    /// Where the records stand.
    pub spans: Vec<Span>,
    /// Records that were larger than the limit.
    pub too_long: Vec<TooLong>,
}

impl Block {
    /// Takes everything out; the memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.too_long.clear();
    }

    /// Whether there is neither a record nor one that was too long.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.too_long.is_empty()
    }
}

/// A record that was larger than the limit. It was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The record's offset, as in [`Span::offset`].
    pub offset: u64,
    /// Its size.
    pub bytes: usize,
    /// The limit.
    pub limit: usize,
    /// Its first [`HEAD_BYTES`].
    pub head: Vec<u8>,
}

impl TooLong {
    /// Why the record is dead.
    pub fn cause(&self) -> Cause {
        Cause::TooLong {
            bytes: self.bytes,
            limit: self.limit,
        }
    }
}

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The block is not empty.
    Records,
    /// Nothing now. The block is empty; a later poll may find records.
    Idle,
    /// Nothing more will come. The block is empty.
    End,
}

/// A source of records.
pub trait Source: Send {
    /// Replaces the block's contents by the next records. Returns within about `wait`, or as soon as there are records.
    ///
    /// # Errors
    /// If the source cannot be read on. Everything that was read before was handed over by earlier polls.
    fn poll(&mut self, block: &mut Block, wait: Duration) -> Result<Polled, SourceError>;

    /// The header line of a CSV input, once it was read: known from the first poll on that finds records.
    fn header(&self) -> Option<&[u8]> {
        None
    }

    /// How many bytes there are to read, if that is known: of a file its size on disk, also if it is compressed.
    fn total_bytes(&self) -> Option<u64>;

    /// How many bytes were read so far, measured as [`Source::total_bytes`].
    fn read_bytes(&self) -> u64;

    /// Whether silence means that nothing happens, so that the source can go idle by the clock. A file is never live.
    fn is_live(&self) -> bool;

    /// The event time that it is now, in microseconds since 1970, where the source is live: what the wall shows, unless
    /// the source makes its own time. By it event time goes on while nothing comes, and an event from beyond it is held
    /// to be wrong.
    fn event_time_now(&self, wall: i64) -> i64 {
        wall
    }

    /// Whether an offset is the number of a line, from 0.
    fn offsets_are_lines(&self) -> bool {
        false
    }

    /// Ends the source from another thread.
    fn interrupt(&self) -> Interrupt;
}

/// Tells a source to end: the records that it has read are still handed over, then comes [`Polled::End`].
/// An unfinished record at the end is left out. Heard within [`Interrupt::HEARD_WITHIN`].
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// How long a poll may take to hear of an interrupt.
    pub const HEARD_WITHIN: Duration = Duration::from_millis(20);

    /// Tells the source to end.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the source was told to end.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
