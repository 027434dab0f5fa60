//! What some records have in common: their fields, with the types and roles that they most likely have.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tocsin_contract::pipeline::source::FormatKind;

use super::sample::SAMPLE;

/// Longest name of a column.
const LONGEST_NAME: usize = 256;

/// Columns that stages make: a key of the same name would stand in a result twice, a measure be taken for them.
const MADE_BY_STAGES: &[&str] = &[
    "_last",
    "_record",
    "_rev",
    "_sink",
    "alarm",
    "causes",
    "escalation_count",
    "escalation_since",
    "event_time",
    "events",
    "incident",
    "opened_at",
    "resolved_at",
    "rule",
    "severity",
    "since",
    "status",
    "summary",
    "transition",
    "updated_at",
    "values",
    "window_end",
    "window_start",
];

/// What the records have in common.
pub struct Fields {
    /// How many there are.
    pub n_records: usize,
    /// The fields.
    pub by_name: BTreeMap<String, Field>,
    /// Their names, in the order in which they first came.
    pub order: Vec<String>,
    /// How the records are written.
    pub format: FormatKind,
}

/// What the values of a field have in common.
#[derive(Default)]
pub struct Field {
    texts: usize,
    /// Integers of 64 bits with a sign, and without.
    signed: usize,
    unsigned: usize,
    numbers: usize,
    booleans: usize,
    others: usize,
    values: std::collections::BTreeSet<String>,
    /// The span of its numbers.
    pub range: Option<(f64, f64)>,
    /// The first value.
    pub sample: String,
    rfc3339: usize,
}

/// The field with the event time.
pub struct Time {
    /// Its name.
    pub field: String,
    /// Its unit, as the file says it.
    pub unit: &'static str,
}

impl Fields {
    /// Looks at records.
    pub fn of(records: &[Map<String, Value>], format: FormatKind) -> Self {
        let mut fields = Self {
            n_records: records.len(),
            by_name: BTreeMap::new(),
            order: Vec::new(),
            format,
        };
        for (name, value) in records.iter().flatten() {
            if !fields.by_name.contains_key(name) {
                fields.order.push(name.clone());
            }
            fields.by_name.entry(name.clone()).or_default().take(value);
        }
        fields
    }

    /// The names, for a message.
    pub fn names(&self) -> String {
        self.order.join(", ")
    }

    /// The field that most likely is the event time.
    pub fn time(&self) -> Option<Time> {
        let likely = [
            "event_time",
            "timestamp",
            "ts",
            "time",
            "@timestamp",
            "datetime",
            "date",
            "created_at",
            "at",
        ];
        let place = |name: &str| {
            likely
                .iter()
                .position(|likely| name.eq_ignore_ascii_case(likely))
                .unwrap_or(likely.len())
        };
        let mut times: Vec<(usize, &String, &'static str)> = self
            .order
            .iter()
            .filter(|name| can_be_column(name))
            .filter_map(|name| Some((place(name), name, self.by_name[name].time_unit(self.n_records)?)))
            .collect();
        times.sort_by_key(|(place, _, _)| *place);
        let (_, field, unit) = times.first()?;
        Some(Time {
            field: (*field).clone(),
            unit,
        })
    }

    /// The text field that best names what an event is about: some different values, each many times.
    pub fn key(&self, time: &Time) -> Option<&String> {
        let likely = [
            "service",
            "app",
            "application",
            "host",
            "hostname",
            "device",
            "node",
            "source",
            "name",
            "region",
        ];
        let severity = self.severity().map(|(name, _)| name);
        let candidates = self.order.iter().filter(|name| {
            let field = &self.by_name[*name];
            **name != time.field
                && can_be_column(name)
                && !MADE_BY_STAGES.contains(&name.as_str())
                && field.is_text()
                && field.texts * 10 >= self.n_records * 9
                && field.values.len() <= 1 + self.n_records / 2
        });
        candidates.min_by_key(|name| {
            let place = likely
                .iter()
                .position(|likely| name.eq_ignore_ascii_case(likely))
                .unwrap_or(likely.len());
            // An incident is about what is bad, not about how bad it is.
            (severity == Some(*name), place, self.by_name[*name].values.len())
        })
    }

    /// The field with severities, and the worst in it, if that is bad.
    pub fn severity(&self) -> Option<(&String, String)> {
        let likely = ["severity", "level", "log_level", "loglevel", "priority", "status"];
        let name = likely
            .iter()
            .filter_map(|likely| self.order.iter().find(|name| name.eq_ignore_ascii_case(likely)))
            .find(|name| self.by_name[*name].is_text())?;
        let rank = |value: &&String| tocsin_worker_core::stage::incident::severity::rank(value);
        let worst = self.by_name[name].values.iter().max_by_key(rank)?;
        (rank(&worst) > 3).then(|| (name, worst.clone()))
    }

    /// The first field with numbers that differ, and nothing but numbers: of anything else there is no average.
    pub fn measure(&self, time: &Time, key: Option<&String>) -> Option<(&String, &Field)> {
        let names = self.order.iter().filter(|name| {
            **name != time.field
                && !MADE_BY_STAGES.contains(&name.as_str())
                && Self::kpis_of(name)
                    .iter()
                    .all(|kpi| can_be_column(kpi) && Some(kpi) != key)
                && !name.to_lowercase().ends_with("id")
        });
        names.map(|name| (name, &self.by_name[name])).find(|(_, field)| {
            field.is_number()
                && field.numbers * 10 >= self.n_records * 9
                && field.range.is_some_and(|(low, high)| low < high)
        })
    }

    /// Names of the KPIs of a measure: mean and 95th percentile.
    pub fn kpis_of(measure: &str) -> [String; 2] {
        ["mean", "p95"].map(|kpi| format!("{measure}_{kpi}"))
    }

    /// Whether a field can be declared under its own name. In JSON a declared name with a dot leads into an object; it is
    /// read as it stands there if it is not declared.
    pub fn can_be_listed(&self, name: &str) -> bool {
        can_be_column(name) && (self.format != FormatKind::Json || !name.contains('.'))
    }

    /// The type that holds all values of a field.
    pub fn kind(&self, name: &str) -> Option<&'static str> {
        match self.by_name.get(name)?.kind() {
            // A cell is a text whatever stands in it.
            Some("Json") if self.format == FormatKind::Csv => Some("String"),
            kind => kind,
        }
    }
}

fn can_be_column(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.chars().count())
}

impl Field {
    fn take(&mut self, value: &Value) {
        if self.sample.is_empty() && !value.is_null() {
            self.sample = value.to_string().chars().take(40).collect();
        }
        match value {
            Value::String(text) => {
                self.texts += 1;
                self.rfc3339 += usize::from(looks_like_time(text));
                if self.values.len() < SAMPLE {
                    self.values.insert(text.clone());
                }
            }
            Value::Number(number) => {
                self.numbers += 1;
                self.signed += usize::from(number.is_i64());
                self.unsigned += usize::from(number.is_u64());
                if let Some(x) = number.as_f64() {
                    let (low, high) = self.range.unwrap_or((x, x));
                    self.range = Some((low.min(x), high.max(x)));
                }
            }
            Value::Bool(_) => self.booleans += 1,
            Value::Null => {}
            _ => self.others += 1,
        }
    }

    /// The unit of a time, if nearly all values are times between 2000 and 2100.
    fn time_unit(&self, n_records: usize) -> Option<&'static str> {
        if self.rfc3339 * 10 >= n_records * 9 {
            return Some("Milliseconds");
        }
        let (low, high) = self.range.filter(|_| self.numbers * 10 >= n_records * 9)?;
        let (from, to) = (946_684_800.0, 4_102_444_800.0);
        [
            ("Seconds", 1.0),
            ("Milliseconds", 1e3),
            ("Microseconds", 1e6),
            ("Nanoseconds", 1e9),
        ]
        .into_iter()
        .find(|(_, factor)| low >= from * factor && high <= to * factor)
        .map(|(unit, _)| unit)
    }

    fn n_values(&self) -> usize {
        self.texts + self.numbers + self.booleans + self.others
    }

    fn is_text(&self) -> bool {
        self.texts > 0 && self.texts == self.n_values()
    }

    fn is_number(&self) -> bool {
        self.numbers > 0 && self.numbers == self.n_values()
    }

    /// The type that holds all values.
    fn kind(&self) -> Option<&'static str> {
        match self.n_values() {
            0 => None,
            n if self.signed == n => Some("Int64"),
            n if self.unsigned == n => Some("UInt64"),
            n if self.numbers == n => Some("Float64"),
            n if self.booleans == n => Some("Boolean"),
            n if self.texts == n => Some("String"),
            _ => Some("Json"),
        }
    }
}

/// `2026-01-01T00:00:00...` or with a space in the middle.
fn looks_like_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    digits(0..4)
        && is(4, b"-")
        && digits(5..7)
        && is(7, b"-")
        && digits(8..10)
        && is(10, b"T t")
        && digits(11..13)
        && is(13, b":")
}
