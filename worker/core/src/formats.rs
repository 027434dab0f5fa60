//! The decoder of a source, by its format.

use tocsin_contract::pipeline::source::FormatKind;

use crate::avro::AvroDecoder;
use crate::decode::Decoder;
use crate::influx::InfluxDecoder;
use crate::json::JsonDecoder;
use crate::plan::SourcePlan;
use crate::syslog::SyslogDecoder;

/// A decoder for a source whose records tell all that there is to know of them. CSV is not among them: its decoder needs
/// the header (see [`crate::csv::CsvDecoder`]). One of Avro must be told the schemas.
pub fn decoder(source: &SourcePlan) -> Option<Box<dyn Decoder>> {
    let schema = source.record.clone();
    match source.format {
        FormatKind::Json => Some(Box::new(JsonDecoder::new(schema))),
        FormatKind::InfluxLine => Some(Box::new(InfluxDecoder::new(schema))),
        FormatKind::Syslog => Some(Box::new(SyslogDecoder::new(schema, source.year))),
        FormatKind::Avro => Some(Box::new(AvroDecoder::new(schema))),
        FormatKind::Csv => None,
    }
}
