//! The records of one partition out of a Fetch response, block by block, ready for a decoder.
//!
//! Uncompressed records stay where they are; compressed ones are unpacked into memory that is used again. Whatever a
//! producer packed into a batch, a block is not much larger than asked for.

use super::aborted::{Aborted, AbortedTransaction};
use super::batch::{self, Batch, CorruptBatch, Fault};
use super::block::{Block, Settings, Unread};
use super::codec::Decompress;
use super::mark::{ReadMark, Wanted};
use super::record::{self, Record};
use super::scratch::Scratch;
use super::varint;
use crate::decode::{Cause, Records, Span};
use crate::stream::Micros;

/// Reads the records of a partition. Its memory is used again from response to response.
#[derive(Debug)]
pub struct PartitionReader {
    settings: Settings,
    scratch: Scratch,
    spans: Vec<Span>,
    arrived: Vec<Micros>,
    frames: Vec<usize>,
    unread: Vec<Unread>,
}

/// The records of one response, from a position on.
pub struct Reading<'a> {
    reader: &'a mut PartitionReader,
    response: &'a [u8],
    /// Batches that are not begun.
    rest: &'a [u8],
    /// Bytes of the response in front of the last batch that was begun, and that batch's last offset.
    begun: (usize, i64),
    aborted: Aborted,
    wanted: Wanted,
    /// The position behind the last block.
    given: i64,
    /// A batch that did not go into the last block.
    next: Option<Batch<'a>>,
    open: Option<Open<'a>>,
    failed: Option<CorruptBatch>,
}

/// A compressed batch that is being unpacked.
struct Open<'a> {
    batch: Batch<'a>,
    decompress: Decompress<'a>,
    n_left: usize,
    /// In the scratch memory, what stands before this is done with.
    at: usize,
    /// Bytes of a record that is too long, still to be passed over.
    passing: usize,
}

/// What a step came to.
#[derive(PartialEq, Eq)]
enum Step {
    More,
    /// The block is full, or what comes next does not go into it.
    Full,
    /// Nothing is left of the response.
    End,
}

impl PartitionReader {
    /// A reader.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            scratch: Scratch::default(),
            spans: Vec::new(),
            arrived: Vec::new(),
            frames: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// The records of a response's part for the partition, from `position` on; `aborted` is the response's list. An empty
    /// list is right for a reader of uncommitted records.
    pub fn read<'a>(&'a mut self, response: &'a [u8], aborted: &[AbortedTransaction], position: i64) -> Reading<'a> {
        self.read_until(response, aborted, position, i64::MAX)
    }

    /// The same up to an offset and not beyond: what was read in an earlier run is read again so far.
    pub fn read_until<'a>(
        &'a mut self,
        response: &'a [u8],
        aborted: &[AbortedTransaction],
        position: i64,
        until: i64,
    ) -> Reading<'a> {
        self.read_on(response, &ReadMark::new(aborted), position, until)
    }

    /// The same from a mark of this response on; `position` is where the blocks before it ended, or behind that.
    pub fn read_on<'a>(&'a mut self, response: &'a [u8], mark: &ReadMark, position: i64, until: i64) -> Reading<'a> {
        Reading {
            reader: self,
            response,
            rest: response.get(mark.at..).unwrap_or_default(),
            begun: (mark.at, i64::MIN),
            aborted: mark.aborted.clone(),
            wanted: Wanted { from: position, until },
            given: position,
            next: None,
            open: None,
            failed: None,
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.scratch.memory() + self.spans.capacity() * (size_of::<Span>() + size_of::<Micros>() + size_of::<usize>())
    }

    fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.unread.is_empty()
    }

    fn begin_block(&mut self, done: usize) {
        self.spans.clear();
        self.arrived.clear();
        self.frames.clear();
        self.unread.clear();
        self.scratch.keep_from(done);
        self.scratch.shrink_to(4 * self.settings.block_bytes);
    }
}

impl Reading<'_> {
    /// The next block; nothing behind the last. A block may have no records: then reading went on over records that are
    /// nobody's.
    ///
    /// # Errors
    /// If a batch cannot be read. The blocks before it were given out, and [`Reading::behind`] stands behind them.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, CorruptBatch> {
        let done = self.open.as_ref().map_or(usize::MAX, |open| open.at);
        self.reader.begin_block(done);
        if let Some(open) = &mut self.open {
            open.at = 0;
        }
        let mut in_place = false;
        while self.failed.is_none() && self.wanted.from < self.wanted.until {
            match self.step(&mut in_place) {
                Ok(Step::More) => {}
                Ok(Step::Full | Step::End) => break,
                Err(error) => self.failed = Some(error),
            }
        }
        if self.wanted.from == self.given && self.reader.is_empty() {
            return self.failed.clone().map_or(Ok(None), Err);
        }
        self.given = self.wanted.from;
        let reader = &*self.reader;
        let bytes = if in_place {
            self.response
        } else {
            reader.scratch.filled()
        };
        Ok(Some(Block {
            records: Records {
                bytes,
                spans: &reader.spans,
            },
            arrived: &reader.arrived,
            unread: &reader.unread,
            next_offset: self.wanted.from,
            frames: &reader.frames,
        }))
    }

    /// Where reading goes on behind the blocks that were given out.
    pub fn behind(&self) -> i64 {
        self.given
    }

    /// Where another reading of this response goes on behind the blocks that were given out.
    pub fn mark(&self) -> ReadMark {
        let (at, last_offset) = self.begun;
        let is_whole = last_offset < self.given;
        ReadMark {
            at: if is_whole {
                self.response.len() - self.rest.len()
            } else {
                at
            },
            aborted: self.aborted.clone(),
        }
    }

    fn step(&mut self, in_place: &mut bool) -> Result<Step, CorruptBatch> {
        if let Some(mut open) = self.open.take() {
            let step = self.unpack(&mut open)?;
            if open.n_left > 0 || open.passing > 0 {
                self.open = Some(open);
            } else {
                self.wanted.pass(open.batch.last_offset);
            }
            return Ok(step);
        }
        let next = match self.next.take() {
            Some(batch) => Some(batch),
            None => {
                let at = self.response.len() - self.rest.len();
                let batch = batch::take(&mut self.rest);
                match &batch {
                    Ok(Some(batch)) => self.begun = (at, batch.last_offset),
                    Ok(None) => {}
                    // A mark stands in front of it: what reads on meets it again.
                    Err(_) => self.begun = (at, i64::MAX),
                }
                batch?
            }
        };
        let Some(batch) = next else {
            return Ok(Step::End);
        };
        if batch.base_offset >= self.wanted.until {
            self.wanted.from = self.wanted.until;
            return Ok(Step::End);
        }
        let fault = |fault| CorruptBatch::new(batch.base_offset, fault);
        // Also in front of what is wanted: there a transaction may begin that reaches into it, or end that does not.
        let is_aborted = self.aborted.passes_over(&batch);
        if batch.is_control {
            let key = control_key(&batch).ok_or_else(|| fault(Fault::Records))?;
            self.aborted.control(batch.producer_id, key);
        }
        if batch.is_control || is_aborted || batch.last_offset < self.wanted.from {
            self.wanted.pass(batch.last_offset);
            return Ok(Step::More);
        }
        let decompress = Decompress::new(batch.codec, batch.records).map_err(|_| fault(Fault::Compression))?;
        let stays = decompress.is_none();
        if stays != *in_place && !self.reader.is_empty() {
            self.next = Some(batch);
            return Ok(Step::Full);
        }
        *in_place = stays;
        match decompress {
            None => self.in_place(&batch).ok_or_else(|| fault(Fault::Records)),
            Some(decompress) => {
                self.open = Some(Open {
                    n_left: batch.n_records,
                    batch,
                    decompress,
                    at: self.reader.scratch.filled().len(),
                    passing: 0,
                });
                Ok(Step::More)
            }
        }
    }

    /// Takes the records of a batch that is not compressed.
    fn in_place(&mut self, batch: &Batch<'_>) -> Option<Step> {
        let mut rest = batch.records;
        for _ in 0..batch.n_records {
            let at = rest.as_ptr() as usize - self.response.as_ptr() as usize;
            let record = record::take(&mut rest)?;
            take(
                self.reader,
                record,
                At::Response(self.response, at),
                batch,
                &mut self.wanted,
            )?;
        }
        self.wanted.pass(batch.last_offset);
        let first = self.reader.spans.first().map_or(0, |span| span.start);
        let last = self.reader.spans.last().map_or(0, |span| span.end);
        let is_full = last - first >= self.reader.settings.block_bytes;
        rest.is_empty().then_some(if is_full { Step::Full } else { Step::More })
    }

    /// Takes the records that are unpacked, and unpacks more.
    fn unpack(&mut self, open: &mut Open<'_>) -> Result<Step, CorruptBatch> {
        let reader = &mut *self.reader;
        let base_offset = open.batch.base_offset;
        let fault = |fault| CorruptBatch::new(base_offset, fault);
        let scratch = std::mem::take(&mut reader.scratch);
        let filled = scratch.filled();
        let passed = open.passing.min(filled.len() - open.at);
        open.passing -= passed;
        open.at += passed;
        let mut taken = Some(());
        while open.n_left > 0 && open.passing == 0 {
            let mut rest = &filled[open.at..];
            let Some(record) = record::take(&mut rest) else {
                taken = too_long(reader, filled, open, &mut self.wanted);
                break;
            };
            taken = take(
                reader,
                record,
                At::Scratch(filled, open.at),
                &open.batch,
                &mut self.wanted,
            );
            if taken.is_none() {
                break;
            }
            open.at = filled.len() - rest.len();
            open.n_left -= 1;
        }
        reader.scratch = scratch;
        taken.ok_or_else(|| fault(Fault::Records))?;
        if reader.scratch.filled().len() >= reader.settings.block_bytes && !reader.is_empty() {
            return Ok(Step::Full);
        }
        if open.n_left == 0 && open.passing == 0 {
            return Ok(Step::More);
        }
        if reader.is_empty() {
            reader.scratch.keep_from(open.at);
            open.at = 0;
        }
        let room = reader.settings.block_bytes;
        match open.decompress.append(&mut reader.scratch, room) {
            Ok(true) => Ok(Step::More),
            Ok(false) => Err(fault(Fault::Records)),
            Err(_) => Err(fault(Fault::Compression)),
        }
    }
}

/// The memory that a record stands in, and where its length stands there.
#[derive(Clone, Copy)]
enum At<'a> {
    Response(&'a [u8], usize),
    Scratch(&'a [u8], usize),
}

/// Takes a record. Nothing if it contradicts its batch.
#[inline]
fn take(reader: &mut PartitionReader, record: &[u8], at: At<'_>, batch: &Batch<'_>, wanted: &mut Wanted) -> Option<()> {
    let (At::Response(whole, at) | At::Scratch(whole, at)) = at;
    let frame = record::parse(record)?;
    let offset = offset(batch, frame.offset_delta)?;
    if !wanted.takes(offset) {
        return Some(());
    }
    match frame.value {
        None => reader.unread.push(Unread {
            offset,
            cause: Cause::NoValue,
            key: frame.key.map(<[u8]>::to_vec),
            headers: Record::parse(record).owned_headers(),
            head: Vec::new(),
        }),
        Some(value) if value.len() > reader.settings.record_limit => {
            pass_over(reader, offset, value.len(), value, frame.key);
        }
        Some(value) => {
            let start = value.as_ptr() as usize - whole.as_ptr() as usize;
            let (end, offset) = (start + value.len(), offset as u64);
            reader.spans.push(Span { start, end, offset });
            reader.frames.push(at);
            reader.arrived.push(arrived(batch, frame.timestamp_delta));
        }
    }
    Some(())
}

/// Looks at a record that is not there as a whole: if it is too long, it is passed over. Nothing if it is broken.
fn too_long(reader: &mut PartitionReader, filled: &[u8], open: &mut Open<'_>, wanted: &mut Wanted) -> Option<()> {
    let mut rest = &filled[open.at..];
    let Some(length) = varint::take_length(&mut rest) else {
        // A length has at most ten bytes.
        return (rest.len() < 10).then_some(());
    };
    let length = length?;
    let settings = reader.settings;
    let head = settings.head_bytes + MOST_FRONT;
    if length <= settings.record_limit + ROOM_FOR_HEADERS || rest.len() < head {
        return Some(());
    }
    let (_, mut parts) = rest.split_first()?;
    let _timestamp = varint::take(&mut parts)?;
    let offset = offset(&open.batch, varint::take(&mut parts)?)?;
    if wanted.takes(offset) {
        let (key, mut value) = match varint::take_length(&mut parts)? {
            // Of a key that is longer than what is here, its beginning.
            Some(key) => {
                let (key, value) = parts.split_at(key.min(parts.len()));
                (Some(key), value)
            }
            None => (None, parts),
        };
        let bytes = varint::take_length(&mut value).flatten().unwrap_or(length);
        pass_over(reader, offset, bytes, value, key);
    }
    open.n_left -= 1;
    open.passing = length - rest.len();
    open.at = filled.len();
    Some(())
}

fn pass_over(reader: &mut PartitionReader, offset: i64, bytes: usize, value: &[u8], key: Option<&[u8]>) {
    let PartitionReader { settings, unread, .. } = reader;
    let limit = settings.record_limit;
    unread.push(Unread {
        offset,
        cause: Cause::TooLong { bytes, limit },
        key: key.map(|key| key[..key.len().min(settings.head_bytes)].to_vec()),
        headers: Vec::new(),
        head: value[..value.len().min(settings.head_bytes)].to_vec(),
    });
}

/// The most bytes in front of a record's value, a long key apart.
const MOST_FRONT: usize = 64;

/// How much longer than its value a record may be before it is passed over without a look at the value.
const ROOM_FOR_HEADERS: usize = 1 << 20;

fn offset(batch: &Batch<'_>, delta: i64) -> Option<i64> {
    let offset = batch.base_offset.checked_add(delta)?;
    (delta >= 0 && offset <= batch.last_offset).then_some(offset)
}

fn arrived(batch: &Batch<'_>, delta: i64) -> Micros {
    let created = batch.base_timestamp.saturating_add(delta);
    match batch.log_append_time.unwrap_or(created) {
        millis @ 0.. => millis.saturating_mul(1_000),
        _ => Micros::MAX,
    }
}

/// The key of a control batch's one record.
fn control_key<'a>(batch: &Batch<'a>) -> Option<&'a [u8]> {
    // Kafka writes them uncompressed.
    let mut rest = batch.records;
    record::parse(record::take(&mut rest)?)?.key
}
