//! What a run gave out, as a number that does not depend on the order of rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use serde_json::Value;

use crate::broker::Broker;
use crate::follow::reader;
use crate::load::fill::END;

/// How long reading a topic may stand still.
const PATIENCE: Duration = Duration::from_secs(20);

/// The rows of a run, each as often as it is there: how many, and a sum over the hash of each.
///
/// Compared are all fields and values of a row but those of Tocsin's own, whose names begin with `_`, and without
/// the rows of services that only end the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Rows of windows.
    pub counts: Rows,
    /// Escalations.
    pub escalations: Rows,
}

/// The rows of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// How many.
    pub n: u64,
    sum: u64,
    /// The row with the least hash, which is the same row where all are: it shows what differs.
    least: Option<(u64, String)>,
}

impl Outputs {
    /// Reads the two topics of a run, as a committed reader.
    pub fn read(broker: &Broker, counts: &str, escalations: &str) -> anyhow::Result<Self> {
        Ok(Self {
            counts: Rows::read(broker, counts)?,
            escalations: Rows::read(broker, escalations)?,
        })
    }
}

impl Rows {
    fn read(broker: &Broker, topic: &str) -> anyhow::Result<Self> {
        let consumer = reader(broker, topic, true)?;
        let mut open = broker.partitions();
        let mut rows = Self::default();
        let mut moved = Instant::now();
        while open > 0 {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => rows.add(message.payload().unwrap_or_default())?,
                // Nothing is written any more: a partition has one end.
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) => return Err(error).with_context(|| format!("reading {topic}")),
                None => {
                    ensure!(moved.elapsed() < PATIENCE, "{topic} could not be read to its end");
                    continue;
                }
            }
            moved = Instant::now();
        }
        Ok(rows)
    }

    fn add(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let what = || format!("a row that is no object: {}", String::from_utf8_lossy(bytes));
        let row: BTreeMap<String, Value> = serde_json::from_slice(bytes).with_context(what)?;
        if row
            .get("service")
            .and_then(Value::as_str)
            .is_some_and(|service| service.starts_with(END))
        {
            return Ok(());
        }
        let mut text = String::with_capacity(bytes.len());
        for (name, value) in row.iter().filter(|(name, _)| !name.starts_with('_')) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name}: {value}, ");
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        self.n += 1;
        self.sum = self.sum.wrapping_add(hash);
        if self.least.as_ref().is_none_or(|(least, _)| hash < *least) {
            self.least = Some((hash, text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Rows {
        let mut rows = Rows::default();
        for text in texts {
            rows.add(text.as_bytes()).unwrap();
        }
        rows
    }

    #[test]
    fn order_and_own_fields_do_not_count_but_values_and_repetitions_do() {
        let (first, second) = (r#"{"service":"a","total":1}"#, r#"{"service":"b","total":2}"#);
        let one = rows(&[first, second]);
        assert_eq!(one, rows(&[second, r#"{"total":1,"service":"a","_rev":0}"#]));
        assert_ne!(one, rows(&[first, r#"{"service":"b","total":3}"#]));
        assert_ne!(one, rows(&[first, second, second]));
        assert_eq!(one, rows(&[first, second, r#"{"service":"end-1","total":1}"#]));
    }
}
