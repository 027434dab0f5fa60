//! Records to write, as they come: one by one, or many rows of a topic behind each other.

use std::sync::Arc;

use tocsin_worker_core::encode::{Encoded, RecordKeys};
use tocsin_worker_core::kafka::OwnedHeaders;

/// A record to write.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// The topic.
    pub topic: &'a Arc<str>,
    /// The partition; without one it is that of the key.
    pub partition: Option<u32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: &'a [u8],
    /// Headers, if there are any.
    pub headers: Option<&'a OwnedHeaders>,
}

/// Records to write, in order.
#[derive(Debug, Default)]
pub struct NewRecords {
    parts: Vec<Part>,
    n_records: usize,
    n_bytes: u64,
}

/// Records of one topic with the same headers.
#[derive(Debug)]
struct Part {
    topic: Arc<str>,
    headers: Option<Arc<OwnedHeaders>>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    One {
        partition: Option<u32>,
        key: Option<Vec<u8>>,
        value: Vec<u8>,
    },
    Rows(Encoded),
}

impl Part {
    fn n_records(&self) -> usize {
        match &self.content {
            Content::One { .. } => 1,
            Content::Rows(rows) => rows.ends.len(),
        }
    }

    fn n_bytes(&self) -> u64 {
        match &self.content {
            Content::One { value, .. } => value.len() as u64,
            Content::Rows(rows) => rows.bytes.len() as u64,
        }
    }

    fn record(&self, i: usize) -> NewRecord<'_> {
        let (partition, key, value) = match &self.content {
            Content::One { partition, key, value } => (*partition, key.as_deref(), value.as_slice()),
            Content::Rows(rows) => {
                let start = i.checked_sub(1).map_or(0, |before| rows.ends[before]);
                let key = rows.keys.as_ref().and_then(|keys: &RecordKeys| keys.get(i));
                (None, key, &rows.bytes[start..rows.ends[i]])
            }
        };
        NewRecord {
            topic: &self.topic,
            partition,
            key,
            value,
            headers: self.headers.as_deref(),
        }
    }
}

impl NewRecords {
    /// Adds a record.
    pub fn push(
        &mut self,
        topic: Arc<str>,
        partition: Option<u32>,
        key: Option<Vec<u8>>,
        value: Vec<u8>,
        headers: Option<Arc<OwnedHeaders>>,
    ) {
        self.add(Part {
            topic,
            headers,
            content: Content::One { partition, key, value },
        });
    }

    /// Adds rows of a topic, each with the key that it has.
    pub fn push_rows(&mut self, topic: Arc<str>, rows: Encoded, headers: Option<Arc<OwnedHeaders>>) {
        self.add(Part {
            topic,
            headers,
            content: Content::Rows(rows),
        });
    }

    /// Adds others behind these.
    pub fn append(&mut self, others: Self) {
        others.parts.into_iter().for_each(|part| self.add(part));
    }

    fn add(&mut self, part: Part) {
        self.n_records += part.n_records();
        self.n_bytes += part.n_bytes();
        self.parts.push(part);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.n_records
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.n_records == 0
    }

    /// Bytes of their values.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// The records one by one.
    pub fn iter(&self) -> impl Iterator<Item = NewRecord<'_>> {
        let parts = self.parts.iter();
        parts.flat_map(|part| (0..part.n_records()).map(move |i| part.record(i)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_single_records_come_out_in_their_order() {
        let mut records = NewRecords::default();
        let headers = Arc::new(vec![(b"h".to_vec(), None)]);
        records.push("journal".into(), Some(3), None, b"cut".to_vec(), None);
        let rows = Encoded {
            bytes: b"onetwo".to_vec(),
            ends: vec![3, 6],
            keys: None,
        };
        records.push_rows("results".into(), rows, Some(Arc::clone(&headers)));
        let mut others = NewRecords::default();
        others.push("dead".into(), None, Some(b"k".to_vec()), Vec::new(), None);
        records.append(others);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let seen = records.iter().map(|record| {
            let NewRecord { topic, partition, .. } = record;
            let (key, value) = (record.key.map(text), text(record.value));
            format!("{topic} {partition:?} {key:?} {value:?} {}", record.headers.is_some())
        });
        let expected = [
            r#"journal Some(3) None "cut" false"#,
            r#"results None None "one" true"#,
            r#"results None None "two" true"#,
            r#"dead None Some("k") "" false"#,
        ];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        assert_eq!((records.len(), records.n_bytes()), (4, 9));
    }
}
