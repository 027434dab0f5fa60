//! A thread that reads ahead, so that the thread that polls never blocks for longer than it wants.
//!
//! The thread may hang in a read for ever (a pipe that nobody writes to). It is then left behind: it holds nothing that
//! anybody waits for.

use std::io::{self, ErrorKind, Read};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::Interrupt;
use super::compressed::Stream;
use super::feed::Failure;

/// How many chunks are read ahead.
const AHEAD: usize = 4;

/// Largest chunk.
const CHUNK_BYTES: usize = 256 << 10;

/// What the thread hands over.
pub(super) enum Chunk {
    /// Bytes, at least one.
    Bytes(Vec<u8>),
    /// The stream has ended.
    End,
    /// The thread was told to stop in the middle of the stream.
    Interrupted,
    /// The stream cannot be read on.
    Failed(Failure),
}

/// A thread that reads a stream.
pub(super) struct ReaderThread {
    chunks: Receiver<Chunk>,
    free: Sender<Vec<u8>>,
    interrupt: Interrupt,
}

impl ReaderThread {
    /// Starts the thread. `open` is called in it, for it may block too.
    pub(super) fn spawn<R: Read + Send + 'static>(
        name: &str,
        chunk_bytes: usize,
        interrupt: Interrupt,
        open: impl FnOnce() -> Result<Stream<R>, Failure> + Send + 'static,
    ) -> io::Result<Self> {
        let (send, chunks) = bounded(AHEAD);
        let (free, recycled) = bounded(AHEAD);
        let heard = interrupt.clone();
        let chunk_bytes = chunk_bytes.clamp(1, CHUNK_BYTES);
        let work = move || {
            let last = match open() {
                Ok(stream) => read_all(stream, chunk_bytes, &heard, &send, &recycled),
                Err(failure) => Chunk::Failed(failure),
            };
            // Nobody listens any more: then nobody wants to know how it ended.
            send.send(last).ok();
        };
        std::thread::Builder::new().name(format!("read-{name}")).spawn(work)?;
        Ok(Self {
            chunks,
            free,
            interrupt,
        })
    }

    /// The next chunk; `None` if none comes before the deadline (none: no bound), or if an interrupt was raised and no
    /// chunk is left.
    pub(super) fn next(&mut self, deadline: Option<Instant>) -> Option<Chunk> {
        loop {
            if let Ok(chunk) = self.chunks.try_recv() {
                return Some(chunk);
            }
            let now = Instant::now();
            let left = deadline.map_or(Interrupt::HEARD_WITHIN, |at| at.saturating_duration_since(now));
            if self.interrupt.is_raised() || left.is_zero() {
                return None;
            }
            match self.chunks.recv_timeout(left.min(Interrupt::HEARD_WITHIN)) {
                Ok(chunk) => return Some(chunk),
                Err(RecvTimeoutError::Timeout) => {}
                // The thread ended without a word.
                Err(RecvTimeoutError::Disconnected) => return Some(Chunk::End),
            }
        }
    }

    /// Gives the memory of a chunk back to the thread.
    pub(super) fn recycle(&self, chunk: Vec<u8>) {
        self.free.try_send(chunk).ok();
    }
}

/// Reads until the end; the answer is the last chunk.
fn read_all<R: Read>(
    mut stream: Stream<R>,
    chunk_bytes: usize,
    interrupt: &Interrupt,
    send: &Sender<Chunk>,
    recycled: &Receiver<Vec<u8>>,
) -> Chunk {
    while !interrupt.is_raised() {
        let mut chunk = recycled.try_recv().unwrap_or_default();
        chunk.resize(chunk_bytes, 0);
        // A single read: what a pipe has now is handed over now.
        match stream.read(&mut chunk) {
            Ok(0) => return Chunk::End,
            Ok(n) => {
                chunk.truncate(n);
                if send.send(Chunk::Bytes(chunk)).is_err() {
                    return Chunk::End;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Chunk::Failed(Failure::Read(stream.compression(), error)),
        }
    }
    Chunk::Interrupted
}
