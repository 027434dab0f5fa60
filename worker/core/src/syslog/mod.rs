//! Syslog, RFC 5424 and RFC 3164, to columns.
//!
//! Both give the same columns: [`COLUMNS`], and `structured_data.ID.PARAMETER`. A facility and a severity are words, and
//! codes where a number is wanted.

mod message;
mod rfc3164;
mod rfc5424;
#[cfg(test)]
mod tests;
mod year;

use arrow_schema::SchemaRef;

use self::message::{Element, Message, Piece, Scan, SyntaxError, Time};
use self::year::Year;
use crate::decode::rows::{RowDecoder, RowFormat};
use crate::decode::scalar::{Scalar, json_string, no_time, time_of, value};
use crate::decode::value::{Fault, Value};
use crate::decode::{Arrived, Cause, ColumnSpec, ColumnType, Decoded, Decoder, RecordSchema, Records};
use crate::stream::Micros;

/// The columns of a message, apart from parameters of structured data.
pub const COLUMNS: &[&str] = &[
    "facility",
    "facility_code",
    "severity",
    "severity_code",
    "version",
    "timestamp",
    "hostname",
    "app_name",
    "proc_id",
    "msg_id",
    "structured_data",
    "message",
];

/// What the path of a parameter begins with.
pub const STRUCTURED_DATA: &str = "structured_data.";

/// Words for facilities 0 to 23.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Words for severities 0 to 7, which incidents know the order of.
const SEVERITIES: [&str; 8] = [
    "EMERGENCY",
    "ALERT",
    "CRITICAL",
    "ERROR",
    "WARNING",
    "NOTICE",
    "INFO",
    "DEBUG",
];

/// Decodes syslog messages.
#[derive(Debug)]
pub struct SyslogDecoder {
    rows: RowDecoder<Messages>,
}

impl SyslogDecoder {
    /// A decoder for messages of a schema. `year` is that of times without one, in records of which nobody knows when
    /// they arrived.
    pub fn new(schema: RecordSchema, year: Option<i32>) -> Self {
        let messages = Messages {
            columns: schema.columns.clone(),
            places: schema.columns.iter().map(|column| Place::of(&column.path)).collect(),
            time: Place::of(&schema.event_time.path),
            unit: schema.event_time.unit,
            year: year.map_or(Year::Unknown, |year| Year::Known(year.into())),
            ..Messages::default()
        };
        Self {
            rows: RowDecoder::new(schema, messages),
        }
    }

    /// The columns of [`Decoded::rows`].
    pub fn arrow_schema(&self) -> SchemaRef {
        self.rows.arrow_schema()
    }
}

impl Decoder for SyslogDecoder {
    fn decode(&mut self, records: Records<'_>) -> Decoded {
        self.decode_arrived(records, Arrived::Unknown)
    }

    fn decode_arrived(&mut self, records: Records<'_>, arrived: Arrived<'_>) -> Decoded {
        self.rows.decode(records, arrived)
    }
}

/// A message as a JSON object, for a look at what there is. A time without a year is left out if nobody knows when the
/// record arrived.
pub fn message_as_json(record: &[u8], arrived: Option<Micros>) -> Option<String> {
    let mut messages = Messages::default();
    messages.next(record, arrived, &mut 0)?.ok()?;
    // What has neither a priority nor a time may be anything.
    let known = messages.message.priority.is_some() || messages.message.time != Time::Missing;
    let mut object = String::new();
    messages.write_json(record, &mut object);
    known.then_some(object)
}

/// What a path leads to.
#[derive(Clone, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Nothing,
    Facility,
    Severity,
    FacilityCode,
    SeverityCode,
    Version,
    Time,
    Hostname,
    AppName,
    ProcId,
    MsgId,
    StructuredData,
    Message,
    /// `ID.PARAMETER`, both of which may have dots.
    Param(String),
}

impl Place {
    fn of(path: &[String]) -> Self {
        let path = path.join(".");
        match path.as_str() {
            "facility" => Self::Facility,
            "severity" => Self::Severity,
            "facility_code" => Self::FacilityCode,
            "severity_code" => Self::SeverityCode,
            "version" => Self::Version,
            "timestamp" => Self::Time,
            "hostname" => Self::Hostname,
            "app_name" => Self::AppName,
            "proc_id" => Self::ProcId,
            "msg_id" => Self::MsgId,
            "structured_data" => Self::StructuredData,
            "message" => Self::Message,
            path => match path.strip_prefix(STRUCTURED_DATA) {
                Some(param) => Self::Param(param.to_owned()),
                None => Self::Nothing,
            },
        }
    }
}

/// Takes records apart.
#[derive(Debug, Default)]
struct Messages {
    columns: Vec<ColumnSpec>,
    places: Vec<Place>,
    time: Place,
    unit: tocsin_contract::pipeline::source::TimeUnit,
    year: Year,
    message: Message,
}

impl RowFormat for Messages {
    fn next(&mut self, record: &[u8], arrived: Option<Micros>, at: &mut usize) -> Option<Result<(), Cause>> {
        (std::mem::replace(at, usize::MAX) == 0).then(|| self.take(record, arrived))
    }

    fn event_time(&self, record: &[u8]) -> Result<Micros, &'static str> {
        if let (Place::Time, Time::Vague(why)) = (&self.time, self.message.time) {
            return Err(why);
        }
        let scalar = self.scalar(&self.time, false, text(record));
        time_of(&scalar, self.unit).map_err(|error| no_time(&scalar, error))
    }

    fn value<'a>(&'a self, record: &'a [u8], column: usize) -> Result<Value<'a>, Fault> {
        let (Some(place), Some(spec)) = (self.places.get(column), self.columns.get(column)) else {
            return Ok(Value::Null);
        };
        let as_text = matches!(spec.ty, ColumnType::Utf8 | ColumnType::Json);
        value(self.scalar(place, !as_text, text(record)), spec)
    }

    fn write_json(&self, record: &[u8], out: &mut String) {
        const ALL: [(&str, Place); 10] = [
            ("facility", Place::Facility),
            ("severity", Place::Severity),
            ("version", Place::Version),
            ("timestamp", Place::Time),
            ("hostname", Place::Hostname),
            ("app_name", Place::AppName),
            ("proc_id", Place::ProcId),
            ("msg_id", Place::MsgId),
            ("structured_data", Place::StructuredData),
            ("message", Place::Message),
        ];
        let there = ALL
            .iter()
            .filter_map(|(name, place)| match self.scalar(place, false, text(record)) {
                Scalar::Null => None,
                value => Some(format!("\"{name}\":{}", value.json())),
            });
        let object = there.collect::<Vec<_>>().join(",");
        out.extend(["{", &object, "}"]);
    }
}

/// The text of a record, which was found to be UTF-8.
fn text(record: &[u8]) -> &str {
    std::str::from_utf8(record).unwrap_or_default()
}

impl Messages {
    fn take(&mut self, record: &[u8], arrived: Option<Micros>) -> Result<(), Cause> {
        self.message = Message::default();
        let record = std::str::from_utf8(record).map_err(|error| Cause::InvalidUtf8 {
            at: error.valid_up_to(),
        })?;
        let year = arrived.map_or(self.year, Year::Arrived);
        read(record, year, &mut self.message).map_err(|error| Cause::Syntax {
            at: error.at,
            what: error.what,
        })
    }

    fn scalar<'a>(&self, place: &Place, as_code: bool, record: &'a str) -> Scalar<'a> {
        let message = &self.message;
        let of = |piece: &Option<Piece>| piece.map_or(Scalar::Null, |piece| Scalar::Text(piece.text(record).into()));
        let code = |code: Option<u8>, words: &[&'static str]| match code {
            Some(code) if as_code => Scalar::Int(code.into()),
            Some(code) => words
                .get(usize::from(code))
                .map_or(Scalar::Null, |word| Scalar::Text((*word).into())),
            None => Scalar::Null,
        };
        let (facility, severity) = (message.priority.map(|p| p / 8), message.priority.map(|p| p % 8));
        match place {
            Place::Nothing => Scalar::Null,
            Place::Facility => code(facility, &FACILITIES),
            Place::Severity => code(severity, &SEVERITIES),
            Place::FacilityCode => facility.map_or(Scalar::Null, |code| Scalar::Int(code.into())),
            Place::SeverityCode => severity.map_or(Scalar::Null, |code| Scalar::Int(code.into())),
            Place::Version => message
                .version
                .map_or(Scalar::Null, |version| Scalar::Int(version.into())),
            Place::Time => match message.time {
                Time::At(time) => Scalar::Time(time),
                Time::Missing | Time::Vague(_) => Scalar::Null,
            },
            Place::Hostname => of(&message.hostname),
            Place::AppName => of(&message.app_name),
            // A number as a rule, but the RFC lets it be any text.
            Place::ProcId => message
                .proc_id
                .map_or(Scalar::Null, |id| Scalar::Plain(id.text(record).into())),
            Place::MsgId => of(&message.msg_id),
            Place::Message => of(&message.message),
            Place::StructuredData if message.elements.is_empty() => Scalar::Null,
            Place::StructuredData => Scalar::Json(elements_as_json(&message.elements, record)),
            Place::Param(path) => match param(&message.elements, path, record) {
                Some(value) => Scalar::Plain(rfc5424::unescaped(value.text(record)).into()),
                None => Scalar::Null,
            },
        }
    }
}

/// Reads a record.
fn read(record: &str, year: Year, message: &mut Message) -> Result<(), SyntaxError> {
    let mut scan = Scan { record, at: 0 };
    if record.trim_end_matches(['\n', '\r', '\0', ' ']).is_empty() {
        return Err(scan.error("the record is empty"));
    }
    message.priority = scan.priority()?;
    if message.priority.is_some() && rfc5424::begins(scan.rest()) {
        return rfc5424::read(&mut scan, message);
    }
    rfc3164::read(&mut scan, year, message);
    Ok(())
}

/// The value at `ID.PARAMETER`. Of a parameter that stands several times, the last.
fn param(elements: &[Element], path: &str, record: &str) -> Option<Piece> {
    let mut all = elements
        .iter()
        .flat_map(|element| element.params.iter().map(move |param| (element.id, param)));
    let is_asked = |id: Piece, name: Piece| {
        let rest = path
            .strip_prefix(id.text(record))
            .and_then(|rest| rest.strip_prefix('.'));
        rest == Some(name.text(record))
    };
    let last = all.rfind(|(id, (name, _))| is_asked(*id, *name));
    last.map(|(_, (_, value))| *value)
}

fn elements_as_json(elements: &[Element], record: &str) -> String {
    let object = |element: &Element| {
        let params = element.params.iter().map(|(name, value)| {
            let value = json_string(&rfc5424::unescaped(value.text(record)));
            format!("{}:{value}", json_string(name.text(record)))
        });
        format!(
            "{}:{{{}}}",
            json_string(element.id.text(record)),
            params.collect::<Vec<_>>().join(",")
        )
    };
    format!("{{{}}}", elements.iter().map(object).collect::<Vec<_>>().join(","))
}
