//! Bytes of a file or of standard input into blocks of records.
//!
//! A plain file is read by the thread that polls. A pipe may block for ever and decompression costs time, so these are
//! read by a thread of their own, a few chunks ahead. An error comes after everything that was read before it.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::compressed::{self, NotTaken, Stream};
use super::error::SourceError;
use super::framing::{Framer, Framing};
use super::reader_thread::{Chunk, ReaderThread};
use super::{BLOCK_BYTES, Block, Interrupt, Polled, RECORD_LIMIT, Source};

/// How an input is read.
#[derive(Clone, Debug)]
pub struct InputOptions {
    /// Name of the source in the pipeline.
    pub name: String,
    /// How the bytes are made of records.
    pub framing: Framing,
    /// How large a record may be, in bytes.
    pub record_limit: usize,
    /// How large a block is as a rule, in bytes. A paced replay wants small blocks.
    pub block_bytes: usize,
    /// Ends the source.
    pub interrupt: Interrupt,
}

impl InputOptions {
    /// The usual sizes.
    pub fn new(name: impl Into<String>, framing: Framing) -> Self {
        Self {
            name: name.into(),
            framing,
            record_limit: RECORD_LIMIT,
            block_bytes: BLOCK_BYTES,
            interrupt: Interrupt::default(),
        }
    }
}

/// What stops a stream of bytes.
#[derive(Debug)]
pub(super) enum Failure {
    /// It cannot be opened.
    Open(io::Error),
    /// It is in a format that is not read: what it is, and what to do.
    Format(&'static str, &'static str),
    /// Reading failed; if compressed, perhaps because the data is not valid.
    Read(Option<super::Compression>, io::Error),
}

impl From<NotTaken> for Failure {
    fn from(reason: NotTaken) -> Self {
        match reason {
            NotTaken::Format(found, advice) => Self::Format(found, advice),
            NotTaken::Io(error) => Self::Read(None, error),
        }
    }
}

impl Failure {
    /// As users are told: of which input, read from where, and how far it was read.
    fn error(self, input: &str, origin: &str, position: u64, lines: u64) -> SourceError {
        let (input, origin) = (input.to_owned(), origin.to_owned());
        match self {
            Self::Open(error) => SourceError::opening(&input, origin.as_ref(), error),
            Self::Format(found, advice) => SourceError::Unreadable {
                input,
                origin,
                found,
                advice,
            },
            Self::Read(Some(compression), error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                SourceError::Truncated {
                    input,
                    origin,
                    compression,
                    position,
                    lines,
                }
            }
            Self::Read(Some(compression), error) if error.raw_os_error().is_none() => SourceError::Corrupt {
                input,
                origin,
                compression,
                position,
                lines,
                what: error.to_string(),
            },
            Self::Read(_, error) => SourceError::Read { input, origin, error },
        }
    }
}

/// A source that is a stream of bytes: a file, standard input, another reader. Silence means nothing: it is never live.
pub struct Feed {
    options: InputOptions,
    /// The input in the words of a message: a path, or standard input.
    origin: String,
    input: Input,
    framer: Framer,
    /// The unfinished record at the end of the last block.
    rest: Vec<u8>,
    taken: Arc<AtomicU64>,
    total_bytes: Option<u64>,
    state: State,
}

enum Input {
    Here(compressed::Plain<std::fs::File>),
    Thread(ReaderThread),
}

enum State {
    Open,
    Ended,
    Failed(SourceError),
}

/// What an attempt to read found.
enum More {
    Bytes,
    Nothing,
    End,
    Failed(Failure),
}

impl Feed {
    /// Reads a file that never blocks; compressed ones in a thread.
    pub(super) fn of_file(
        file: std::fs::File,
        total_bytes: u64,
        origin: String,
        options: InputOptions,
    ) -> Result<Self, SourceError> {
        let taken = Arc::new(AtomicU64::new(0));
        let input = match compressed::open(file, taken.clone()) {
            Ok(Stream::Plain(plain)) => Ok(Input::Here(plain)),
            Ok(stream) => Self::thread(&options, taken.clone(), move |_| Ok(stream)),
            Err(reason) => Err(reason.into()),
        };
        let feed = Self::new(input, origin, options, taken)?;
        Ok(Self {
            total_bytes: Some(total_bytes),
            ..feed
        })
    }

    /// Reads what may block, in a thread. `open` is called there.
    pub(super) fn of_pipe<R: Read + Send + 'static>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        origin: String,
        options: InputOptions,
    ) -> Result<Self, SourceError> {
        let taken = Arc::new(AtomicU64::new(0));
        let open = move |taken| Ok(compressed::open(open().map_err(Failure::Open)?, taken)?);
        let input = Self::thread(&options, taken.clone(), open);
        Self::new(input, origin, options, taken)
    }

    fn thread<R: Read + Send + 'static>(
        options: &InputOptions,
        taken: Arc<AtomicU64>,
        open: impl FnOnce(Arc<AtomicU64>) -> Result<Stream<R>, Failure> + Send + 'static,
    ) -> Result<Input, Failure> {
        let spawned = ReaderThread::spawn(&options.name, options.block_bytes, options.interrupt.clone(), || {
            open(taken)
        });
        spawned.map(Input::Thread).map_err(Failure::Open)
    }

    fn new(
        input: Result<Input, Failure>,
        origin: String,
        options: InputOptions,
        taken: Arc<AtomicU64>,
    ) -> Result<Self, SourceError> {
        let framer = Framer::new(options.framing, options.record_limit);
        let position = taken.load(Ordering::Relaxed);
        Ok(Self {
            input: input.map_err(|failure| failure.error(&options.name, &origin, position, 0))?,
            origin,
            framer,
            rest: Vec::new(),
            taken,
            total_bytes: None,
            state: State::Open,
            options,
        })
    }

    /// Appends bytes. Nothing is found when the time is up, or when an interrupt was raised and all that was read by
    /// then is taken.
    fn more(&mut self, bytes: &mut Vec<u8>, deadline: Option<Instant>) -> More {
        match &mut self.input {
            Input::Here(_) if self.options.interrupt.is_raised() => More::Nothing,
            Input::Here(file) => {
                let room = self
                    .options
                    .block_bytes
                    .checked_sub(bytes.len())
                    .filter(|room| *room > 0);
                let room = room.unwrap_or(self.options.block_bytes).max(1);
                bytes.reserve(room);
                match file.append(bytes, room as u64) {
                    Ok(0) => More::End,
                    Ok(_) => More::Bytes,
                    Err(error) => More::Failed(Failure::Read(None, error)),
                }
            }
            Input::Thread(thread) => match thread.next(deadline) {
                Some(Chunk::Bytes(chunk)) => {
                    bytes.extend_from_slice(&chunk);
                    thread.recycle(chunk);
                    More::Bytes
                }
                Some(Chunk::End) => More::End,
                Some(Chunk::Interrupted) => More::Nothing,
                Some(Chunk::Failed(failure)) => More::Failed(failure),
                None => More::Nothing,
            },
        }
    }

    fn error(&self, failure: Failure) -> SourceError {
        failure.error(&self.options.name, &self.origin, self.read_bytes(), self.framer.lines())
    }
}

impl Source for Feed {
    fn poll(&mut self, block: &mut Block, wait: Duration) -> Result<Polled, SourceError> {
        block.clear();
        std::mem::swap(&mut block.bytes, &mut self.rest);
        let deadline = Instant::now().checked_add(wait);
        while matches!(self.state, State::Open) {
            let found_some = !block.is_empty();
            if found_some && block.bytes.len() >= self.options.block_bytes {
                break;
            }
            match self.more(
                &mut block.bytes,
                if found_some { Some(Instant::now()) } else { deadline },
            ) {
                More::Bytes => self.framer.split(block, false),
                More::Nothing if self.options.interrupt.is_raised() => self.state = State::Ended,
                More::Nothing => break,
                More::End => {
                    self.framer.split(block, true);
                    self.state = State::Ended;
                }
                More::Failed(failure) => self.state = State::Failed(self.error(failure)),
            }
        }
        self.framer.take_rest(block, &mut self.rest);
        if !block.is_empty() {
            return Ok(Polled::Records);
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Open => {
                self.state = State::Open;
                Ok(Polled::Idle)
            }
            State::Ended => Ok(Polled::End),
            State::Failed(error) => Err(error),
        }
    }

    fn header(&self) -> Option<&[u8]> {
        self.framer.header()
    }

    fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    fn read_bytes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn offsets_are_lines(&self) -> bool {
        true
    }

    fn interrupt(&self) -> Interrupt {
        self.options.interrupt.clone()
    }
}
