//! InfluxDB's line protocol, as Telegraf writes it, to columns.
//!
//! A line is an event; a record holds one or several, and a bad line does no harm to those beside it. Blank lines and
//! comments (`#`) hold nothing. What a path leads to: `measurement`, `time` (or `timestamp`), `tags.NAME`, `fields.NAME`;
//! any other name is that of a field, or of a tag if the line has no such field. `tags` and `fields` alone are objects.

mod line;
#[cfg(test)]
mod tests;

use arrow_schema::SchemaRef;
use serde_json::Map;
use tocsin_contract::pipeline::source::TimeUnit;

use self::line::{FieldValue, Kind, Line, Piece};
use crate::decode::rows::{RowDecoder, RowFormat};
use crate::decode::scalar::{Scalar, json_string, no_time, time_of, value};
use crate::decode::value::{Fault, Value};
use crate::decode::{Arrived, Cause, ColumnSpec, Decoded, Decoder, RecordSchema, Records};
use crate::stream::Micros;

/// Decodes line protocol.
#[derive(Debug)]
pub struct InfluxDecoder {
    rows: RowDecoder<Lines>,
}

impl InfluxDecoder {
    /// A decoder for lines of a schema.
    pub fn new(schema: RecordSchema) -> Self {
        let lines = Lines {
            columns: schema.columns.clone(),
            places: schema.columns.iter().map(|column| Place::of(&column.path)).collect(),
            time: Place::of(&schema.event_time.path),
            unit: schema.event_time.unit,
            ..Lines::default()
        };
        Self {
            rows: RowDecoder::new(schema, lines),
        }
    }

    /// The columns of [`Decoded::rows`].
    pub fn arrow_schema(&self) -> SchemaRef {
        self.rows.arrow_schema()
    }
}

impl Decoder for InfluxDecoder {
    fn decode(&mut self, records: Records<'_>) -> Decoded {
        self.rows.decode(records, Arrived::Unknown)
    }
}

/// The events of some lines of line protocol as names and values, for a look at what there is; bad lines are left out. A
/// number of floating point has a point.
pub fn events(text: &[u8]) -> Vec<Map<String, serde_json::Value>> {
    let (mut lines, mut at, mut events) = (Lines::default(), 0, Vec::new());
    while let Some(taken) = lines.next(text, None, &mut at) {
        if taken.is_err() {
            continue;
        }
        let mut event = Map::new();
        let json = |scalar: Scalar<'_>| serde_json::from_str(&scalar.json()).unwrap_or_default();
        event.insert("measurement".to_owned(), json(lines.scalar(&Place::Measurement, text)));
        for (key, tag) in &lines.line.tags {
            event.insert(key.name(text).into_owned(), json(Scalar::Text(tag.name(text))));
        }
        for (key, field) in &lines.line.fields {
            let value = json(scalar(*field, text));
            let value = match (field.kind, value.as_f64()) {
                (Kind::Float, Some(float)) => float.into(),
                _ => value,
            };
            event.insert(key.name(text).into_owned(), value);
        }
        event.insert("time".to_owned(), json(lines.scalar(&Place::Time, text)));
        events.push(event);
    }
    events
}

/// What a path leads to.
#[derive(Clone, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Time,
    Measurement,
    Tags,
    Fields,
    Tag(String),
    Field(String),
    Either(String),
}

impl Place {
    fn of(path: &[String]) -> Self {
        let path = path.join(".");
        match path.as_str() {
            "time" | "timestamp" => Self::Time,
            "measurement" => Self::Measurement,
            "tags" => Self::Tags,
            "fields" => Self::Fields,
            path => match path.split_once('.') {
                Some(("tags", name)) => Self::Tag(name.to_owned()),
                Some(("fields", name)) => Self::Field(name.to_owned()),
                _ => Self::Either(path.to_owned()),
            },
        }
    }
}

/// Takes records apart, line by line.
#[derive(Debug, Default)]
struct Lines {
    columns: Vec<ColumnSpec>,
    places: Vec<Place>,
    time: Place,
    unit: TimeUnit,
    line: Line,
    /// Where the line began, and which one of the record it is, from 1.
    start: usize,
    number: usize,
    /// Whether the record has several lines.
    several: bool,
}

impl RowFormat for Lines {
    fn next(&mut self, record: &[u8], _: Option<Micros>, at: &mut usize) -> Option<Result<(), Cause>> {
        if *at == 0 {
            (self.start, self.number) = (0, 1);
            self.several = memchr::memchr(b'\n', record.trim_ascii_end()).is_some();
        }
        let (start, commented) = line_start(record, *at)?;
        let Some(start) = start else {
            let is_blank = *at == 0 && !commented;
            *at = usize::MAX;
            return is_blank.then_some(Err(Cause::Syntax {
                at: 0,
                what: "the record is empty",
            }));
        };
        self.number += memchr::memchr_iter(b'\n', record.get(self.start..start).unwrap_or_default()).count();
        self.start = start;
        let taken = self.line.split(record, start);
        let end = match taken {
            Ok(end) => end,
            Err(error) => {
                let rest = record.get(error.at..).unwrap_or_default();
                memchr::memchr(b'\n', rest).map_or(record.len(), |end| error.at + end)
            }
        };
        *at = end.max(1);
        let text = std::str::from_utf8(record.get(start..end).unwrap_or_default());
        Some(match (taken, text) {
            (_, Err(error)) => Err(Cause::InvalidUtf8 {
                at: start + error.valid_up_to(),
            }),
            (Err(error), _) => Err(Cause::Syntax {
                at: error.at,
                what: error.what,
            }),
            (Ok(_), Ok(_)) => Ok(()),
        })
    }

    fn event_time(&self, record: &[u8]) -> Result<Micros, &'static str> {
        let scalar = self.scalar(&self.time, record);
        time_of(&scalar, self.unit).map_err(|error| no_time(&scalar, error))
    }

    fn value<'a>(&'a self, record: &'a [u8], column: usize) -> Result<Value<'a>, Fault> {
        match (self.places.get(column), self.columns.get(column)) {
            (Some(place), Some(spec)) => value(self.scalar(place, record), spec),
            _ => Ok(Value::Null),
        }
    }

    fn write_json(&self, record: &[u8], out: &mut String) {
        out.push_str("{\"measurement\":");
        out.push_str(&self.scalar(&Place::Measurement, record).json());
        for (name, place) in [("tags", Place::Tags), ("fields", Place::Fields), ("time", Place::Time)] {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            out.push_str(&self.scalar(&place, record).json());
        }
        out.push('}');
    }

    fn placed(&self, _: &[u8], cause: Cause) -> Cause {
        if !self.several {
            return cause;
        }
        Cause::Line {
            line: self.number,
            cause: Box::new(cause),
        }
    }
}

impl Lines {
    fn scalar<'a>(&self, place: &Place, record: &'a [u8]) -> Scalar<'a> {
        let line = &self.line;
        match place {
            Place::Measurement => Scalar::Text(line.measurement.measurement(record)),
            Place::Time => line.time.map_or(Scalar::Null, |piece| integer(piece, record)),
            Place::Tags => object(
                line.tags.iter().map(|(key, tag)| (key, Scalar::Text(tag.name(record)))),
                record,
            ),
            Place::Fields => object(
                line.fields.iter().map(|(key, field)| (key, scalar(*field, record))),
                record,
            ),
            Place::Tag(name) => self.tag(name, record),
            Place::Field(name) => self.field(name, record).unwrap_or(Scalar::Null),
            Place::Either(name) => self.field(name, record).unwrap_or_else(|| self.tag(name, record)),
        }
    }

    /// Of a name that stands twice, the last counts, as in JSON.
    fn tag<'a>(&self, name: &str, record: &'a [u8]) -> Scalar<'a> {
        let named = self
            .line
            .tags
            .iter()
            .rev()
            .find(|(key, _)| key.is(name.as_bytes(), record));
        named.map_or(Scalar::Null, |(_, tag)| Scalar::Plain(tag.name(record)))
    }

    fn field<'a>(&self, name: &str, record: &'a [u8]) -> Option<Scalar<'a>> {
        let named = self
            .line
            .fields
            .iter()
            .rev()
            .find(|(key, _)| key.is(name.as_bytes(), record));
        named.map(|(_, field)| scalar(*field, record))
    }
}

/// Where the next line with an event begins behind `at`, and whether a comment stands before it. Nothing behind the end.
fn line_start(record: &[u8], mut at: usize) -> Option<(Option<usize>, bool)> {
    let mut commented = false;
    loop {
        let rest = record.get(at..)?;
        at += rest.len() - rest.trim_ascii_start().len();
        if record.get(at) != Some(&b'#') {
            return Some(((at < record.len()).then_some(at), commented));
        }
        commented = true;
        let comment = record.get(at..).unwrap_or_default();
        at += memchr::memchr(b'\n', comment).unwrap_or(comment.len());
    }
}

fn scalar<'a>(field: FieldValue, record: &'a [u8]) -> Scalar<'a> {
    match field.kind {
        Kind::Float => Scalar::Digits(field.piece.name(record)),
        Kind::Integer => integer(field.piece, record),
        Kind::Text => Scalar::Text(field.piece.quoted(record)),
        Kind::True => Scalar::Boolean(true),
        Kind::False => Scalar::Boolean(false),
    }
}

fn integer<'a>(piece: Piece, record: &'a [u8]) -> Scalar<'a> {
    let digits = piece.name(record);
    match digits.parse() {
        Ok(number) => Scalar::Int(number),
        Err(_) => Scalar::Digits(digits),
    }
}

fn object<'a, 'b>(members: impl Iterator<Item = (&'b Piece, Scalar<'a>)>, record: &'a [u8]) -> Scalar<'a> {
    let members = members.map(|(key, value)| format!("{}:{}", json_string(&key.name(record)), value.json()));
    Scalar::Json(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
}
