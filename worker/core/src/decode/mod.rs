//! Bytes to columns: what a decoder is asked for and what it answers.
//!
//! A decoder reads the event time of **every** record and the other columns of the records that pass the pushed-down
//! filter. A record that does not decode becomes a [`DeadRecord`]; it never stops the stream and never harms its
//! neighbours.

pub(crate) mod columns;
pub(crate) mod number;
pub(crate) mod plain_number;
pub(crate) mod plain_text;
pub mod predicate;
pub(crate) mod row_filter;
pub(crate) mod rows;
pub(crate) mod scalar;
pub(crate) mod time;
pub(crate) mod value;

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tocsin_contract::pipeline::source::TimeUnit;

use self::predicate::Predicate;
use crate::avro::{SchemaAnswer, SchemaId};
use crate::stream::Micros;

/// Records to decode: slices of one buffer.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    /// The buffer that the records stand in.
    pub bytes: &'a [u8],
    /// Where each record stands, in order; the spans ascend and do not overlap.
    pub spans: &'a [Span],
}

/// Where a record stands in its buffer, and which record of the input it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One behind the last byte.
    pub end: usize,
    /// The record's offset in its input: Kafka's offset, or the number of the line in a file, from 0.
    pub offset: u64,
}

/// When records arrived. An event time far beyond that is wrong, and makes a dead record.
#[derive(Clone, Copy, Debug)]
pub enum Arrived<'a> {
    /// Nobody knows, as of a file: other records confirm an event time that jumps ahead.
    Unknown,
    /// All at one time.
    At(Micros),
    /// Each at its own, in the order of the records.
    Each(&'a [Micros]),
}

impl Arrived<'_> {
    /// When a record arrived, by its number.
    pub fn of(&self, record: usize) -> Option<Micros> {
        match self {
            Self::Unknown => None,
            Self::At(arrived) => Some(*arrived),
            Self::Each(arrived) => arrived.get(record).copied(),
        }
    }
}

/// What the plan wants of a source's records.
#[derive(Clone, Debug)]
pub struct RecordSchema {
    /// Columns that the plan reads, and declared fields that are only checked.
    pub columns: Vec<ColumnSpec>,
    /// Where the event time stands.
    pub event_time: EventTimeSpec,
    /// Whether a column `_record` with the bytes of the whole record is wanted (the last column of the batch).
    pub whole_record: bool,
    /// Checks syntax, duplicate keys and declared fields in the whole record, before a filter drops it.
    pub strict: bool,
    /// Rows for which this is not true may be left out of [`Decoded::rows`]. Their event time is still read.
    pub predicate: Option<Predicate>,
}

/// A column to decode.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSpec {
    /// Name of the column.
    pub name: String,
    /// Where the value stands: the keys from the outermost object inwards.
    pub path: Vec<String>,
    /// Type of the column.
    pub ty: ColumnType,
    /// Where the type comes from, which says what a value of another type means.
    pub origin: Origin,
    /// Whether the plan reads it. A declared field that nobody reads is only checked, and only if `strict`.
    pub read: bool,
}

/// Types of decoded columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnType {
    /// Arrow `Boolean`.
    Boolean,
    /// Arrow `Int64`.
    Int64,
    /// Arrow `UInt64`.
    UInt64,
    /// Arrow `Float64`; always finite.
    Float64,
    /// Arrow `Decimal128(38, 9)`.
    Decimal,
    /// Arrow `Utf8`.
    Utf8,
    /// Arrow `Timestamp(Microsecond, "UTC")`; numbers are in this unit.
    Timestamp(TimeUnit),
    /// Arrow `Utf8` with the JSON text of the value.
    Json,
}

impl ColumnType {
    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "Boolean",
            Self::Int64 => "Int64",
            Self::UInt64 => "UInt64",
            Self::Float64 => "Float64",
            Self::Decimal => "Decimal",
            Self::Utf8 => "String",
            Self::Timestamp(_) => "Timestamp",
            Self::Json => "Json",
        }
    }

    /// The type of its Arrow column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::UInt64 => DataType::UInt64,
            Self::Float64 => DataType::Float64,
            Self::Decimal => DataType::Decimal128(number::DECIMAL_PRECISION, number::DECIMAL_SCALE),
            Self::Utf8 | Self::Json => DataType::Utf8,
            Self::Timestamp(_) => DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// Where a column's type comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `format.fields`: a value of another type makes the record a dead letter; so does a missing or null `required` one.
    Declared {
        /// A missing or null value makes the record a dead letter.
        required: bool,
    },
    /// From the column's use: a value of another type is NULL and counted as a mismatch.
    Used,
    /// A key without another use: text; numbers and booleans as they are written.
    Key,
    /// Like a key, but nobody asked for it: an input that has no such column gives NULL.
    IfPresent,
}

/// Where the event time of a record stands.
#[derive(Clone, Debug, PartialEq)]
pub struct EventTimeSpec {
    /// The keys from the outermost object inwards.
    pub path: Vec<String>,
    /// Unit of a number.
    pub unit: TimeUnit,
}

/// What became of the records. All vectors go by good record, in input order, unless said otherwise.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Event time in microseconds since 1970, one a good record, also of those that the predicate dropped.
    pub event_times: Vec<i64>,
    /// Index into the input's spans, one a good record. A record that holds several events (lines of line protocol) stands
    /// here with each, and counts as a good record as often.
    pub spans: Vec<u32>,
    /// The columns that are `read`, in the schema's order, and `_record` if wanted; a row for each record that passed.
    pub rows: RecordBatch,
    /// For each row its index into `event_times`; ascending.
    pub row_records: Vec<u32>,
    /// Records that did not decode.
    pub dead: Vec<DeadRecord>,
    /// Values that were NULLed because their type was not that of their use: (column, how many).
    pub mismatches: Vec<(usize, u64)>,
}

/// A decoder of one format, made for one schema.
pub trait Decoder: Send {
    /// Decodes records. The result of a record depends on the record alone.
    fn decode(&mut self, records: Records<'_>) -> Decoded;

    /// The same, for formats that read a record's arrival as well: a time without a year is of the year of its arrival.
    fn decode_arrived(&mut self, records: Records<'_>, _arrived: Arrived<'_>) -> Decoded {
        self.decode(records)
    }

    /// Takes what a schema registry says of a schema's number. It counts for the records behind.
    fn learn(&mut self, _id: SchemaId, _answer: &SchemaAnswer) {}

    /// What was learnt, by number: whether there is such a schema.
    fn learnt(&self) -> BTreeMap<SchemaId, bool> {
        BTreeMap::new()
    }
}

/// A record that did not decode.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadRecord {
    /// Index into the input's spans.
    pub span: u32,
    /// Why.
    pub cause: Cause,
}

/// Why a record is dead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Not well-formed by the source's format.
    #[error("syntax error at byte {at}: {what}")]
    Syntax {
        /// Byte in the record, from 0.
        at: usize,
        /// What was expected or found.
        what: &'static str,
    },
    /// Not UTF-8.
    #[error("invalid UTF-8 at byte {at}")]
    InvalidUtf8 {
        /// Byte in the record, from 0.
        at: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Well-formed, but not an object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// What stands there instead.
        found: &'static str,
    },
    /// A declared field with a value of another type.
    #[error("`{path}`: expected {expected}, found {found}")]
    WrongType {
        /// Path of the field.
        path: String,
        /// The declared type.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A number that its declared type cannot hold exactly.
    #[error("`{path}`: the number does not fit {expected}")]
    OutOfRange {
        /// Path of the field.
        path: String,
        /// The declared type.
        expected: &'static str,
    },
    /// A required field is missing or null.
    #[error("`{path}` is required and missing")]
    Missing {
        /// Path of the field.
        path: String,
    },
    /// No event time, or none that can be read.
    #[error("event time `{path}`: {what}")]
    EventTime {
        /// Path of the field.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An event time so far ahead that no other record confirms it.
    #[error("event time is more than maxAhead in front of its neighbours")]
    TimestampAhead,
    /// A record of a repartition topic that no worker of the pipeline wrote.
    #[error("the record is none that a worker of this pipeline sends to another")]
    NotDealt,
    /// A record of Kafka without a value, a tombstone.
    #[error("the record has no value")]
    NoValue,
    /// The schema registry has no schema of this number.
    #[error("the schema registry has no schema {id}")]
    UnknownSchema {
        /// The number.
        id: SchemaId,
    },
    /// The schema registry has something else under this number.
    #[error("schema {id} cannot be used: {why}")]
    UnusableSchema {
        /// The number.
        id: SchemaId,
        /// What is wrong with it.
        why: String,
    },
    /// One of the lines of a record that holds several; the others count.
    #[error("line {line} of the record: {cause}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        cause: Box<Cause>,
    },
    /// Larger than the limit.
    #[error("record of {bytes} bytes; at most {limit} are taken")]
    TooLong {
        /// Size of the record.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// How deep a JSON value may be nested.
pub const MAX_DEPTH: usize = 128;
