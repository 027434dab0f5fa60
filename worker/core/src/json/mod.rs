//! Decodes JSON records into Arrow columns, guided by what the plan wants of them.
//!
//! One walk over a record checks it and notes where the wanted values stand (`walk`); then the event time is read and
//! the filter asked (`filter`), and only the values of records that pass are converted, into columns (`columns`).
//! Finds no records in a stream: whoever reads the stream says where they stand.

mod columns;
mod escape;
mod field;
mod filter;
mod number;
mod paths;
mod scalar;
mod scan;
mod shape;
mod skip;
mod slots;
#[cfg(test)]
mod tests;
mod texts;
mod value;
mod walk;

use self::columns::Columns;
use self::field::Field;
use self::filter::{Filter, Verdict};
use self::paths::Paths;
use self::scalar::{Halt, after_space, is_space};
use self::scan::{Input, WIDTH};
use self::skip::skip;
use self::slots::{Kind, Node, Slot, Use, Wanted};
pub use self::texts::{FieldText, FieldTexts, FieldsFound};
use self::walk::Walker;
use crate::decode::time::TimeError;
use crate::decode::{Cause, ColumnSpec, DeadRecord, Decoded, Decoder, Origin, RecordSchema, Records};

/// Decodes records of one source.
///
/// What a record gives depends on the record and the schema alone, not on its neighbours or on the records before it.
#[derive(Debug)]
pub struct JsonDecoder {
    schema: RecordSchema,
    time_node: Option<Node>,
    walker: Walker,
    columns: Columns,
    /// How many values of each column that the filter reads were not of its type.
    mismatches: Vec<u64>,
    /// Room for a record that stands so near the end of the buffer that a walk might read over it.
    alone: Vec<u8>,
    /// Room for a time without its escapes.
    room: Vec<u8>,
}

/// How far a walk may read over the end of a record. A walk that ends behind the record's end is done again, with the
/// end in sight; so this bounds what a broken record costs.
const OVERRUN: usize = 4 * WIDTH;

/// What became of a good record.
#[derive(Clone, Copy)]
struct Good {
    time: i64,
    is_row: bool,
}

impl JsonDecoder {
    /// A decoder for records of a schema.
    pub fn new(schema: RecordSchema) -> Self {
        let paths = wanted_paths(&schema);
        let filter = Filter::new(&schema, &paths);
        let read = schema.columns.iter().enumerate().filter(|(_, spec)| spec.read);
        let read = read.map(|(at, spec)| (spec.name.clone(), Field::new(at, spec, &paths), !filter.counts(at)));
        let columns = Columns::new(read.collect::<Vec<_>>(), schema.whole_record);
        Self {
            time_node: paths.find(&schema.event_time.path),
            columns,
            mismatches: vec![0; schema.columns.len()],
            walker: Walker::new(paths, filter),
            alone: Vec::new(),
            room: Vec::new(),
            schema,
        }
    }

    /// Decodes records. At most 2 GiB of them can become rows at once; what is beyond is dead as too long.
    ///
    /// A value that is not of its column's type is counted as a mismatch if it was looked at: in columns that the filter
    /// reads, and in all columns of rows.
    pub fn decode(&mut self, records: Records<'_>) -> Decoded {
        if self.schema.strict {
            self.decode_all::<true>(records)
        } else {
            self.decode_all::<false>(records)
        }
    }

    fn decode_all<const STRICT: bool>(&mut self, records: Records<'_>) -> Decoded {
        let mut event_times = Vec::with_capacity(records.spans.len());
        let mut spans = Vec::with_capacity(records.spans.len());
        let mut row_records = Vec::with_capacity(records.spans.len());
        let mut dead = Vec::new();
        let mut room = i32::MAX as usize;
        for (span, place) in (0_u32..).zip(records.spans) {
            match self.record::<STRICT>(records.bytes, place.start, place.end, &mut room) {
                Ok(Good { time, is_row }) => {
                    if is_row {
                        row_records.push(event_times.len() as u32);
                    }
                    event_times.push(time);
                    spans.push(span);
                }
                Err(cause) => dead.push(DeadRecord { span, cause }),
            }
        }
        Decoded {
            event_times,
            spans,
            rows: self.columns.finish(),
            row_records,
            dead,
            mismatches: self.take_mismatches(),
        }
    }

    fn take_mismatches(&mut self) -> Vec<(usize, u64)> {
        for (column, count) in self.columns.take_mismatches() {
            self.mismatches
                .iter_mut()
                .skip(column)
                .take(1)
                .for_each(|sum| *sum += count);
        }
        let counts = self.mismatches.iter_mut().map(std::mem::take).enumerate();
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Decodes one record, and adds it to the columns if it passes.
    #[inline(always)]
    fn record<const STRICT: bool>(
        &mut self,
        bytes: &[u8],
        start: usize,
        end: usize,
        room: &mut usize,
    ) -> Result<Good, Cause> {
        let Some(input) = bytes.get(..end.saturating_add(OVERRUN)).and_then(Input::new) else {
            return self.record_alone::<STRICT>(bytes, start, end, room);
        };
        let is_read = match self.walker.walk::<STRICT>(input, after_space(input, start)) {
            Ok(at) => at == end || is_space_between(input, at, end),
            Err(Halt::Enough(at)) => at <= end,
            Err(_) => false,
        };
        if is_read {
            self.judge::<STRICT>(input, start, end, room)
        } else {
            self.record_alone::<STRICT>(bytes, start, end, room)
        }
    }

    /// Decodes one record without sight of its neighbours. What is said here of a broken record counts.
    #[cold]
    #[inline(never)]
    fn record_alone<const STRICT: bool>(
        &mut self,
        bytes: &[u8],
        start: usize,
        end: usize,
        room: &mut usize,
    ) -> Result<Good, Cause> {
        let Some(record) = bytes.get(start..end) else {
            return Err(Cause::Syntax {
                at: 0,
                what: "the record is not in its buffer",
            });
        };
        let mut alone = std::mem::take(&mut self.alone);
        alone.clear();
        alone.extend_from_slice(record);
        alone.resize(record.len() + OVERRUN, 0);
        let good = match Input::new(&alone) {
            Some(input) => self
                .walk_alone::<STRICT>(input, record.len())
                .and_then(|()| self.judge::<STRICT>(input, 0, record.len(), room)),
            // Never: there is room for more than a chunk.
            None => Err(Cause::Syntax {
                at: 0,
                what: "the record is not in its buffer",
            }),
        };
        self.alone = alone;
        good
    }

    fn walk_alone<const STRICT: bool>(&mut self, input: Input<'_>, end: usize) -> Result<(), Cause> {
        let first = after_space(input, 0);
        let ended = match input.byte(first) {
            b'{' => self.walker.walk::<STRICT>(input, first),
            _ if first == end => Err(Halt::syntax(first, "the record is empty")),
            _ => skip(input, first, 0),
        };
        let is_object = input.byte(first) == b'{';
        match ended {
            Ok(at) if !is_space_between(input, at, end) => Err(Cause::Syntax {
                at: after_space(input, at),
                what: "expected the end of the record",
            }),
            Ok(_) if !is_object => Err(Cause::NotAnObject {
                found: found(input.byte(first)),
            }),
            Ok(_) | Err(Halt::Enough(_)) => Ok(()),
            Err(Halt::Syntax { at, .. }) if at >= end && end > first => Err(Cause::Syntax {
                at: end,
                what: "unexpected end",
            }),
            Err(Halt::Syntax { at, what }) => Err(Cause::Syntax { at, what }),
            Err(Halt::InvalidUtf8(at)) => Err(Cause::InvalidUtf8 { at }),
            Err(Halt::TooDeep) => Err(Cause::TooDeep),
        }
    }

    /// Reads the event time of a well-formed record, asks the filter, and adds the record to the columns if it passes.
    #[inline(always)]
    fn judge<const STRICT: bool>(
        &mut self,
        input: Input<'_>,
        start: usize,
        end: usize,
        room: &mut usize,
    ) -> Result<Good, Cause> {
        let (slots, filter) = self.walker.found();
        let slot = Slot::at(self.time_node, slots);
        let time = match value::time(slot, self.schema.event_time.unit, input, &mut self.room) {
            Ok(time) => time,
            Err(error) => return Err(no_time(&self.schema.event_time.path, slot, error)),
        };
        // A strict walk has not asked the filter.
        let mut verdict = if STRICT {
            filter.decide(input, slots)
        } else {
            filter.verdict(input, slots)
        };
        if !STRICT && verdict == Verdict::Pass {
            verdict = filter.check_row(input, slots);
        }
        if verdict == Verdict::Dead
            && let Some(fault) = filter.fault()
        {
            return Err(fault.cause(&self.schema.columns));
        }
        let is_row = verdict == Verdict::Pass;
        if is_row {
            *room = room.checked_sub(end - start).ok_or(Cause::TooLong {
                bytes: end - start,
                limit: *room,
            })?;
            let record = if self.schema.whole_record {
                whole::<STRICT>(input, start, end)?
            } else {
                &[]
            };
            self.columns.push(slots, input, record);
        }
        for column in filter.mismatches() {
            self.mismatches
                .iter_mut()
                .skip(*column)
                .take(1)
                .for_each(|count| *count += 1);
        }
        Ok(Good { time, is_row })
    }

    /// Remembers no shapes from now on.
    #[cfg(test)]
    fn forget_shapes(&mut self) {
        self.walker.forget_shapes();
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, records: Records<'_>) -> Decoded {
        JsonDecoder::decode(self, records)
    }
}

/// The places that a schema wants something of.
fn wanted_paths(schema: &RecordSchema) -> Paths {
    let filter = filter::columns(schema.predicate.as_ref());
    let is_needed = |spec: &ColumnSpec| spec.read || (schema.strict && matches!(spec.origin, Origin::Declared { .. }));
    let columns = schema.columns.iter().enumerate().filter_map(|(at, spec)| {
        let use_ = match filter.binary_search(&at) {
            Ok(_) => Use::Filter,
            Err(_) if is_needed(spec) => Use::Column,
            Err(_) => return None,
        };
        Some((spec.path.as_slice(), Wanted::one(use_)))
    });
    Paths::new(columns.chain([(schema.event_time.path.as_slice(), Wanted::one(Use::Time))]))
}

/// Why a record has no event time.
#[cold]
fn no_time(path: &[String], slot: &Slot, error: TimeError) -> Cause {
    let what = match (error, slot.kind) {
        (TimeError::NotRfc3339, Kind::Missing | Kind::Absent) => "it is missing",
        (TimeError::NotRfc3339, Kind::Null) => "it is null",
        (TimeError::NotRfc3339, Kind::Text | Kind::Escaped) => "the string is not an RFC 3339 time",
        (TimeError::NotRfc3339, _) => "expected a number or an RFC 3339 time",
        (TimeError::Fraction, _) => "a fraction is allowed only if the unit is Seconds",
        (TimeError::OutOfRange, _) => "outside the years 0000 to 9999; is the unit right?",
    };
    Cause::EventTime {
        path: path.join("."),
        what,
    }
}

/// Whether white space alone, or nothing, stands between two places. They may be in the wrong order: then not.
#[inline(always)]
fn is_space_between(input: Input<'_>, from: usize, to: usize) -> bool {
    from <= to && input.slice(from, to).iter().copied().all(is_space)
}

/// The bytes of a record without the white space around them. A walk that was not strict may not have checked them.
fn whole<const STRICT: bool>(input: Input<'_>, start: usize, end: usize) -> Result<&[u8], Cause> {
    let record = input.slice(start, end);
    let first = record.iter().position(|byte| !is_space(*byte)).unwrap_or(record.len());
    let last = record
        .iter()
        .rposition(|byte| !is_space(*byte))
        .map_or(first, |last| last + 1);
    let trimmed = record.get(first..last).unwrap_or_default();
    if STRICT || simdutf8::basic::from_utf8(trimmed).is_ok() {
        return Ok(trimmed);
    }
    let at = std::str::from_utf8(trimmed).map_or_else(|error| error.valid_up_to(), str::len);
    Err(Cause::InvalidUtf8 { at: first + at })
}

/// What a value that is no object begins with, in the words of a message.
fn found(first: u8) -> &'static str {
    match first {
        b'[' => "an array",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}
