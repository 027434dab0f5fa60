//! The engine's side: takes requests out of the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::RwLock;
use tocsin_worker_core::decode::Span;

use super::body::Batch;
use super::intake::HttpLimits;
use crate::source::{BLOCK_BYTES, Block, Interrupt, Polled, Source, SourceError, TooLong};

/// The clients' side of the queue.
#[derive(Clone)]
pub(super) struct Queue {
    send: Sender<Batch>,
    shared: Arc<Shared>,
    limit_bytes: usize,
}

struct Shared {
    queued_bytes: AtomicUsize,
    /// Set under the lock, so that no request slips in behind the last poll.
    is_closed: RwLock<bool>,
}

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The queue is full.
    Full,
    /// The source has ended.
    Closed,
}

impl Queue {
    /// Puts a batch into the queue, or leaves everything as it was.
    pub(super) fn push(&self, batch: Batch) -> Result<(), Refused> {
        let is_closed = self.shared.is_closed.read();
        if *is_closed {
            return Err(Refused::Closed);
        }
        let bytes = batch.block.bytes.len();
        let before = self.shared.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        // A request alone always fits: its size has a limit of its own.
        let result = if before > 0 && before.saturating_add(bytes) > self.limit_bytes {
            Err(Refused::Full)
        } else {
            self.send.try_send(batch).map_err(|error| match error {
                TrySendError::Full(_) => Refused::Full,
                TrySendError::Disconnected(_) => Refused::Closed,
            })
        };
        if result.is_err() {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
        result
    }
}

/// Hands over the records of requests.
pub struct HttpSource {
    batches: Receiver<Batch>,
    shared: Arc<Shared>,
    next_offset: u64,
    bytes: u64,
    interrupt: Interrupt,
}

impl HttpSource {
    pub(super) fn new(limits: &HttpLimits, interrupt: Interrupt) -> (Self, Queue) {
        let (send, batches) = bounded(limits.queued_requests.max(1));
        let shared = Arc::new(Shared {
            queued_bytes: AtomicUsize::new(0),
            is_closed: RwLock::new(false),
        });
        let queue = Queue {
            send,
            shared: shared.clone(),
            limit_bytes: limits.queued_bytes,
        };
        (
            Self {
                batches,
                shared,
                next_offset: 0,
                bytes: 0,
                interrupt,
            },
            queue,
        )
    }

    /// The next batch, if one comes before the deadline.
    fn next(&self, deadline: Option<Instant>) -> Option<Batch> {
        loop {
            if let Ok(batch) = self.batches.try_recv() {
                return Some(batch);
            }
            let left = deadline.map_or(Interrupt::HEARD_WITHIN, |at| {
                at.saturating_duration_since(Instant::now())
            });
            if left.is_zero() || self.interrupt.is_raised() {
                return None;
            }
            if let Ok(batch) = self.batches.recv_timeout(left.min(Interrupt::HEARD_WITHIN)) {
                return Some(batch);
            }
        }
    }

    fn append(&mut self, block: &mut Block, batch: Batch) {
        let (start, offset) = (block.bytes.len(), self.next_offset);
        self.next_offset += batch.n_offsets;
        self.bytes += batch.block.bytes.len() as u64;
        self.shared
            .queued_bytes
            .fetch_sub(batch.block.bytes.len(), Ordering::AcqRel);
        let shift = |span: Span| Span {
            start: span.start + start,
            end: span.end + start,
            offset: span.offset + offset,
        };
        block.spans.extend(batch.block.spans.into_iter().map(shift));
        let shift = |long: TooLong| TooLong {
            offset: long.offset + offset,
            ..long
        };
        block.too_long.extend(batch.block.too_long.into_iter().map(shift));
        if block.bytes.is_empty() {
            block.bytes = batch.block.bytes;
        } else {
            block.bytes.extend_from_slice(&batch.block.bytes);
        }
    }

    fn close(&self) {
        *self.shared.is_closed.write() = true;
    }
}

impl Drop for HttpSource {
    fn drop(&mut self) {
        self.close();
    }
}

impl Source for HttpSource {
    fn poll(&mut self, block: &mut Block, wait: Duration) -> Result<Polled, SourceError> {
        block.clear();
        let deadline = Instant::now().checked_add(wait);
        if self.interrupt.is_raised() {
            // From here on nothing is taken; what was taken is still handed over.
            self.close();
        }
        while block.bytes.len() < BLOCK_BYTES {
            let deadline = if block.is_empty() {
                deadline
            } else {
                Some(Instant::now())
            };
            let Some(batch) = self.next(deadline) else { break };
            self.append(block, batch);
        }
        match block.is_empty() {
            false => Ok(Polled::Records),
            // Raised in the middle of this poll: close first, then look once more.
            true if self.interrupt.is_raised() && !self.is_closed() => self.poll(block, Duration::ZERO),
            true if self.is_closed() => Ok(Polled::End),
            true => Ok(Polled::Idle),
        }
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn read_bytes(&self) -> u64 {
        self.bytes
    }

    fn is_live(&self) -> bool {
        true
    }

    fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }
}

impl HttpSource {
    fn is_closed(&self) -> bool {
        *self.shared.is_closed.read()
    }
}
