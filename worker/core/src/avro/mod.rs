//! Avro records in Confluent's wire format to columns: a zero byte, the number of a schema, and the values.
//!
//! The number means something in a schema registry alone, and asking one is no business of the core: the shell scans
//! records for numbers ([`schema_ids`]), asks, and says what it learnt ([`Decoder::learn`]) before it hands the records
//! over. What it says counts for the records behind. A plan's paths lead through records and maps; arrays, maps and
//! records are JSON as a whole.

mod paths;
mod reader;
mod schema;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::SchemaRef;
use hashbrown::HashMap;
use tocsin_contract::pipeline::source::TimeUnit;

use self::paths::{Found, Paths, Slot, Step};
use self::reader::{ReadError, Reader};
use self::schema::Schema;
use self::value::{ValueError, scalar, write_json};
use crate::decode::rows::{RowDecoder, RowFormat};
use crate::decode::scalar::{Scalar, no_time, time_of, value};
use crate::decode::value::{Fault, Value};
use crate::decode::{Arrived, Cause, ColumnSpec, Decoded, Decoder, RecordSchema, Records};
use crate::stream::Micros;

/// Number of a schema in its registry.
pub type SchemaId = u32;

/// What a registry says of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaAnswer {
    /// A schema of Avro.
    Avro {
        /// Its text.
        text: String,
        /// Texts of the schemas that it names, each behind those that it names itself.
        references: Vec<String>,
    },
    /// A schema, but of another kind: `PROTOBUF`, `JSON`.
    Other(String),
    /// There is none of this number.
    Absent,
}

/// The number of the schema by which a record is written; nothing if it is not in Confluent's wire format.
pub fn schema_id(record: &[u8]) -> Option<SchemaId> {
    match record {
        [0, a, b, c, d, ..] => Some(SchemaId::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// The numbers of the schemas by which records are written.
pub fn schema_ids(records: Records<'_>) -> BTreeSet<SchemaId> {
    let mut ids = BTreeSet::new();
    let mut last = None;
    for span in records.spans {
        let id = schema_id(records.bytes.get(span.start..span.end).unwrap_or_default());
        // Nearly all records of a topic have the same.
        if id != last {
            ids.extend(id);
            last = id;
        }
    }
    ids
}

/// Decodes Avro records.
#[derive(Debug)]
pub struct AvroDecoder {
    rows: RowDecoder<AvroRecords>,
}

impl AvroDecoder {
    /// A decoder for records of a plan, that knows no schemas yet.
    pub fn new(schema: RecordSchema) -> Self {
        let mut paths = Paths::new();
        let records = AvroRecords {
            time: paths.add(&schema.event_time.path),
            unit: schema.event_time.unit,
            slots: schema.columns.iter().map(|column| paths.add(&column.path)).collect(),
            columns: schema.columns.clone(),
            strict: schema.strict,
            whole_record: schema.whole_record,
            found: vec![None; paths.len()],
            paths,
            known: HashMap::new(),
            current: SchemaId::default(),
        };
        Self {
            rows: RowDecoder::new(schema, records),
        }
    }

    /// The columns of [`Decoded::rows`].
    pub fn arrow_schema(&self) -> SchemaRef {
        self.rows.arrow_schema()
    }
}

impl Decoder for AvroDecoder {
    fn decode(&mut self, records: Records<'_>) -> Decoded {
        self.rows.decode(records, Arrived::Unknown)
    }

    fn learn(&mut self, id: SchemaId, answer: &SchemaAnswer) {
        let records = self.rows.format_mut();
        let known = Known::of(answer, &records.paths);
        records.known.insert(id, known);
    }

    fn learnt(&self) -> BTreeMap<SchemaId, bool> {
        let known = self.rows.format().known.iter();
        known
            .map(|(id, known)| (*id, !matches!(known, Known::Absent)))
            .collect()
    }
}

/// What is known of a number.
#[derive(Debug)]
enum Known {
    Schema(Schema, Step),
    Absent,
    /// It cannot be used, for this reason.
    Unusable(String),
}

impl Known {
    fn of(answer: &SchemaAnswer, paths: &Paths) -> Self {
        match answer {
            SchemaAnswer::Absent => Self::Absent,
            SchemaAnswer::Other(kind) => Self::Unusable(format!("it is of type {kind}, not AVRO")),
            SchemaAnswer::Avro { text, references } => match Schema::parse(text, references) {
                Ok(schema) => {
                    let steps = paths.steps(&schema);
                    Self::Schema(schema, steps)
                }
                Err(error) => Self::Unusable(error.to_string()),
            },
        }
    }
}

/// Takes records apart by their schemas.
#[derive(Debug)]
struct AvroRecords {
    columns: Vec<ColumnSpec>,
    /// Where the value of each column is noted.
    slots: Vec<Slot>,
    time: Slot,
    unit: TimeUnit,
    strict: bool,
    whole_record: bool,
    paths: Paths,
    known: HashMap<SchemaId, Known>,
    /// The schema of the record, and where its values stand.
    current: SchemaId,
    found: Vec<Option<Found>>,
}

/// How many bytes stand before the values.
const HEADER: usize = 5;

impl RowFormat for AvroRecords {
    fn next(&mut self, record: &[u8], _: Option<Micros>, at: &mut usize) -> Option<Result<(), Cause>> {
        (std::mem::replace(at, usize::MAX) == 0).then(|| self.take(record))
    }

    fn event_time(&self, record: &[u8]) -> Result<Micros, &'static str> {
        const OUT_OF_RANGE: &str = "outside the years 0000 to 9999";
        let scalar = self.scalar(self.time, record).map_err(|_| OUT_OF_RANGE)?;
        time_of(&scalar, self.unit).map_err(|error| no_time(&scalar, error))
    }

    fn value<'a>(&'a self, record: &'a [u8], column: usize) -> Result<Value<'a>, Fault> {
        match (self.slots.get(column), self.columns.get(column)) {
            (Some(slot), Some(spec)) => value(self.scalar(*slot, record)?, spec),
            _ => Ok(Value::Null),
        }
    }

    fn write_json(&self, record: &[u8], out: &mut String) {
        if let Some(Known::Schema(schema, _)) = self.known.get(&self.current) {
            // The record was found to be whole.
            let _ = write_json(schema, schema.root, &mut Reader::new(record, HEADER, false), 0, out);
        }
    }
}

impl AvroRecords {
    fn take(&mut self, record: &[u8]) -> Result<(), Cause> {
        let Some(id) = schema_id(record) else {
            return Err(Cause::Syntax {
                at: 0,
                what: "expected a zero byte and the number of a schema, as Confluent's serializers write them",
            });
        };
        self.current = id;
        self.found.fill(None);
        let (schema, steps) = match self.known.get(&id) {
            Some(Known::Schema(schema, steps)) => (schema, steps),
            Some(Known::Unusable(why)) => {
                let why = why.clone();
                return Err(Cause::UnusableSchema { id, why });
            }
            Some(Known::Absent) | None => return Err(Cause::UnknownSchema { id }),
        };
        let mut reader = Reader::new(record, HEADER, self.strict || self.whole_record);
        steps.walk(schema, &mut reader, 0, &mut self.found).map_err(cause)?;
        if reader.is_at_end() {
            Ok(())
        } else {
            Err(Cause::Syntax {
                at: reader.at,
                what: "expected the end of the record; is it written by another schema?",
            })
        }
    }

    fn scalar<'a>(&self, slot: Slot, record: &'a [u8]) -> Result<Scalar<'a>, Fault> {
        let found = self.found.get(slot).copied().flatten();
        let (Some(found), Some(Known::Schema(schema, _))) = (found, self.known.get(&self.current)) else {
            return Ok(Scalar::Null);
        };
        match scalar(schema, found.node, &mut Reader::new(record, found.start, true)) {
            Ok(scalar) => Ok(scalar),
            Err(ValueError::Fault(fault)) => Err(fault),
            // It was read before.
            Err(ValueError::Read(_)) => Ok(Scalar::Null),
        }
    }
}

fn cause(error: ReadError) -> Cause {
    match error {
        ReadError::Syntax(at, what) => Cause::Syntax { at, what },
        ReadError::InvalidUtf8(at) => Cause::InvalidUtf8 { at },
        ReadError::TooDeep => Cause::TooDeep,
    }
}
