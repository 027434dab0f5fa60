//! Where events come from: sources, tables, their formats and their event time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use crate::duration::Duration;
use crate::rule::validations;
use crate::schema::list::{Named, Unique};
use crate::schema::text::{Column, HttpUrl, Listen, Name, Path, Text, TopicName};

/// A named stream of events from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::SOURCE)))]
pub struct Source {
    /// Name of the stream that this source makes.
    #[schemars(with = "Name")]
    pub name: String,
    /// Reads a Kafka topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSource>,
    /// Reads a file. Only outside a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSource>,
    /// Reads standard input. Only outside a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<StdinSource>,
    /// Makes alerts from a seed, for demos and measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorSource>,
    /// Takes events that clients push by HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// How the producers partition the topic: a claim, checked while reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitioned_by: Option<PartitionedBy>,
    /// How a record is written.
    #[serde(default)]
    pub format: Format,
    /// Which field holds the event time, and how far it may be out of order.
    pub event_time: EventTime,
}

impl Source {
    /// Unit of a numeric time.
    pub fn time_unit(&self) -> TimeUnit {
        let by_default = match self.format.kind {
            FormatKind::InfluxLine => TimeUnit::Nanoseconds,
            _ => TimeUnit::default(),
        };
        self.event_time.unit.unwrap_or(by_default)
    }
}

/// A Kafka topic to read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSource {
    /// Topic to read.
    #[schemars(with = "TopicName")]
    pub topic: String,
}

/// A file to read: JSON lines, CSV, line protocol or syslog; plain, gzip or zstd.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileSource {
    /// Path of the file, relative to the pipeline's file.
    #[schemars(with = "Path")]
    pub path: String,
}

/// Standard input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StdinSource {}

/// Alerts made from a seed: the same seed gives the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GeneratorSource {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Alerts to make; none means without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Alerts per second of event time.
    #[schemars(range(min = 1, max = 1000000000))]
    pub rate: u64,
    /// Different services.
    #[schemars(range(min = 1))]
    pub services: u32,
    /// Share of alerts with severity CRITICAL, in percent.
    #[schemars(range(max = 100))]
    pub critical_percent: u8,
    /// Share of alerts out of order within the bound, in percent.
    #[schemars(range(max = 100))]
    pub out_of_order_percent: u8,
    /// Share of alerts that come later than the bound, in percent.
    #[schemars(range(max = 100))]
    pub late_percent: u8,
}

impl Default for GeneratorSource {
    fn default() -> Self {
        Self {
            seed: 1,
            count: None,
            rate: 50_000,
            services: 1_000,
            critical_percent: 25,
            out_of_order_percent: 5,
            late_percent: 1,
        }
    }
}

/// Events pushed by HTTP: `POST /v1/sources/<name>`, a JSON value, an array or JSON lines a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// Address to listen on; by default the port of the live page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Listen")]
    pub listen: Option<String>,
}

/// A claim about a topic: which fields its key is made of, and how the key chose the partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionedBy {
    /// Fields that the record's key is made of.
    #[schemars(with = "Unique<Column, 16>", extend("minItems" = 1))]
    pub key: Vec<String>,
    /// How the producers turn the key into a partition.
    #[serde(default)]
    pub partitioner: Partitioner,
}

/// How a producer turns a key into a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Partitioner {
    /// Kafka's Java client and Tocsin's own producers.
    #[default]
    Murmur2,
    /// librdkafka's default.
    Crc32,
    /// Sarama and Telegraf.
    Fnv1a,
}

/// How a record is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::FORMAT)))]
pub struct Format {
    /// Kind of format.
    #[serde(default, rename = "type")]
    pub kind: FormatKind,
    /// Fields with declared types. A field that is not listed gets its type from its use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<Field, 512>")]
    pub fields: Vec<Field>,
    /// Checks syntax, duplicate keys and declared fields in the whole record, also in parts that nothing reads.
    #[serde(default = "yes")]
    pub strict: bool,
    /// Year of the times of RFC 3164, which say none, in records of which nobody knows when they arrived: those of files
    /// and standard input. Records of Kafka are of the year in which they arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1970, max = 9999))]
    pub year: Option<i32>,
    /// Where Avro schemas are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<SchemaRegistry>,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            kind: FormatKind::Json,
            fields: Vec::new(),
            strict: true,
            year: None,
            registry: None,
        }
    }
}

fn yes() -> bool {
    true
}

/// Kinds of format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FormatKind {
    /// One JSON object a record.
    #[default]
    Json,
    /// Comma-separated values with a header line. Only from files and standard input.
    Csv,
    /// Avro with a schema registry.
    Avro,
    /// Telegraf's and InfluxDB's line protocol: each line is an event.
    InfluxLine,
    /// Syslog, RFC 5424 and RFC 3164.
    Syslog,
}

/// A schema registry with the Confluent API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaRegistry {
    /// Address of the registry.
    #[schemars(with = "HttpUrl")]
    pub url: String,
}

/// A field of a record with its type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Name of the column.
    #[schemars(with = "Column")]
    pub name: String,
    /// Type of the column.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Where the value stands in the record, as names with dots: `host.name`. By default the field's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<1024>")]
    pub path: Option<String>,
    /// A record without this field, or with null in it, goes to the dead letters.
    #[serde(default)]
    pub required: bool,
}

/// Types of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FieldType {
    /// Text.
    String,
    /// Whole number of 64 bits with a sign.
    Int64,
    /// Whole number of 64 bits without a sign.
    UInt64,
    /// Floating-point number of 64 bits (IEEE 754).
    Float64,
    /// Exact decimal number: 38 digits, 9 of them behind the point.
    Decimal,
    /// True or false.
    Boolean,
    /// A time: RFC 3339 text, or a number in the unit of the source's event time.
    Timestamp,
    /// Any JSON value, kept as it is written.
    Json,
}

/// Event time of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventTime {
    /// Field that holds the event time.
    #[schemars(with = "Column")]
    pub field: String,
    /// Unit of a numeric time: Milliseconds by default, and Nanoseconds in line protocol. RFC 3339 text is understood
    /// whatever the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
    /// How far behind the newest event another may be: the watermark follows the newest at this distance.
    #[serde(default = "Duration::default_out_of_orderness")]
    pub max_out_of_orderness: Duration,
    /// Without events for this long, a partition no longer holds the watermark back.
    #[serde(default = "Duration::default_idle_timeout")]
    pub idle_timeout: Duration,
    /// How long behind the watermark an event still changes results that were already given out.
    #[serde(default)]
    pub allowed_lateness: Duration,
    /// How far an event time may jump ahead before it counts as wrong.
    #[serde(default = "Duration::default_max_ahead")]
    pub max_ahead: Duration,
    /// How far an input may run ahead of the others that are merged with it.
    #[serde(default = "Duration::default_alignment")]
    pub alignment: Duration,
}

/// Units of numeric times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TimeUnit {
    /// Seconds; a fraction is allowed.
    Seconds,
    /// Milliseconds.
    #[default]
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

/// A table that changes slowly, read from a compacted topic: its newest row per key enriches events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::TABLE)))]
pub struct Table {
    /// Name of the table.
    #[schemars(with = "Name")]
    pub name: String,
    /// Reads a compacted Kafka topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSource>,
    /// Reads a file once. Only outside a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSource>,
    /// Fields that a row is found by.
    #[schemars(with = "Unique<Column, 16>", extend("minItems" = 1))]
    pub key: Vec<String>,
    /// How a row is written.
    #[serde(default)]
    pub format: Format,
    /// What a replay does when versions of the table that it needs are gone.
    #[serde(default)]
    pub on_gap: OnGap,
}

/// What a replay does when the versions of a table that it needs were compacted away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnGap {
    /// Stops and says so.
    #[default]
    Stop,
    /// Goes on with the newest version.
    UseLatest,
}
