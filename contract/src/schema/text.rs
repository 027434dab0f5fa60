//! Texts with a largest length and, where it helps, a shape.
//!
//! Every shape has words for people beside its pattern: a message never shows a regular expression alone.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::rule::{POSITIVE, validations};
use crate::{duration, quantity};

/// Declares texts with a shape, and [`meaning`], which puts each shape in words.
macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { max: $max:expr, pattern: $pattern:expr, meaning: $meaning:expr })*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": "string", "maxLength": $max, "pattern": $pattern })
                }

                fn inline_schema() -> bool {
                    true
                }
            }
        )*

        /// What a pattern of these schemas asks for, in words: `a name: a letter, then ...`.
        pub fn meaning(pattern: &str) -> Option<&'static str> {
            match pattern {
                $(p if p == $pattern => Some($meaning),)*
                duration::PATTERN => Some("a length of time like 90s, 5m or 1h30m"),
                quantity::PATTERN => Some("an amount like 500m, 2, 4Gi or 100Gi"),
                _ => None,
            }
        }
    };
}

shapes! {
    /// Name of a source, a table, a stage, a sink or a rule. It becomes part of topic names and names a table in SQL.
    Name {
        max: 63, pattern: "^[A-Za-z][A-Za-z0-9_-]*$",
        meaning: "a name: a letter, then letters, digits, `_` or `-`"
    }
    /// Name of a stream: of a source or a stage, or of a stage's late rows.
    StreamName {
        max: 68, pattern: "^[A-Za-z][A-Za-z0-9_-]*(\\.late)?$",
        meaning: "the name of a source or a stage, or of a stage's late rows: `<stage>.late`"
    }
    /// Name of an object of the cluster (a DNS subdomain, RFC 1123).
    ObjectName {
        max: 253, pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        meaning: "the name of an object: small letters, digits, `-` and `.`, a letter or digit at both ends"
    }
    /// A DNS label (RFC 1123): names that become part of host names.
    Label {
        max: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        meaning: "small letters, digits and `-`, a letter or digit at both ends"
    }
    /// Key of a Secret or a ConfigMap.
    ObjectKey {
        max: 253, pattern: "^[-._a-zA-Z0-9]+$",
        meaning: "the key of a Secret: letters, digits, `-`, `_` and `.`"
    }
    /// A word that stands in results as it is, such as a severity.
    Word {
        max: 64, pattern: "^[A-Za-z][A-Za-z0-9_.-]*$",
        meaning: "a word: a letter, then letters, digits, `_`, `.` or `-`"
    }
    /// Name of a Kafka topic.
    TopicName {
        max: 249, pattern: "^[a-zA-Z0-9._-]+$",
        meaning: "the name of a topic: letters, digits, `.`, `_` and `-`"
    }
    /// Kafka brokers: `host:port`, several with commas between.
    Brokers {
        max: 2048, pattern: "^[^,:\\s]+:[0-9]{1,5}(,[^,:\\s]+:[0-9]{1,5})*$",
        meaning: "brokers as host:port, several with commas between, without spaces"
    }
    /// An address to listen on: `127.0.0.1:8080`, `:8080` or `[::1]:8080`.
    Listen {
        max: 261, pattern: "^([^:\\s]*|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$",
        meaning: "an address and a port like 127.0.0.1:8080"
    }
    /// An address of HTTP or HTTPS.
    HttpUrl {
        max: 2048, pattern: "^https?://[^\\s]+$",
        meaning: "an address that begins with http:// or https://"
    }
    /// The value of a header of HTTP.
    HeaderValue {
        max: 2048, pattern: "^[ -~]*$",
        meaning: "the value of a header: printable ASCII"
    }
    /// A time table in cron's five fields, or a short form.
    Cron {
        max: 128,
        pattern: "^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4})$",
        meaning: "five cron fields like `0 */6 * * *`, or a word like @daily"
    }
    /// A time zone of the IANA data base.
    TimeZone {
        max: 64, pattern: "^[A-Za-z][A-Za-z0-9_+/-]*$",
        meaning: "a time zone like UTC or Europe/Vienna"
    }
    /// Name of a host.
    Host {
        max: 253, pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        meaning: "the name of a host: small letters, digits, `-` and `.`"
    }
    /// A UUID as Kubernetes and OpenStack write it.
    Uuid {
        max: 36, pattern: "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$",
        meaning: "a UUID"
    }
    /// A SHA-256 sum in hexadecimal digits.
    Sha256 {
        max: 64, pattern: "^[0-9a-f]{64}$",
        meaning: "a SHA-256 sum: 64 hexadecimal digits in small letters"
    }
    /// A range of addresses: `10.0.0.0/8` or `fd00::/8`.
    Cidr {
        max: 43, pattern: "^[0-9a-fA-F:.]+/[0-9]{1,3}$",
        meaning: "a range of addresses like 10.0.0.0/8"
    }
}

/// Text of at least one and at most `MAX` characters, without a shape.
pub struct Text<const MAX: u32>;

impl<const MAX: u32> JsonSchema for Text<MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Text{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Text that may be empty: what the operator reports.
pub struct Report<const MAX: u32>;

impl<const MAX: u32> JsonSchema for Report<MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Report{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": MAX })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A length of time that is not zero.
pub struct PositiveDuration;

impl JsonSchema for PositiveDuration {
    fn schema_name() -> Cow<'static, str> {
        "PositiveDuration".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = duration::Duration::json_schema(generator);
        schema.insert("x-kubernetes-validations".into(), validations(&POSITIVE));
        schema
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A point in time, RFC 3339.
pub struct Time;

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "maxLength": 64 })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// An SQL expression: at most 4 KiB.
pub type Expression = Text<4096>;

/// An SQL statement: at most 16 KiB.
pub type Statement = Text<16384>;

/// Name of a column.
pub type Column = Text<256>;

/// Path of a file, or of a place in a store.
pub type Path = Text<1024>;
