//! What is committed together.

use std::sync::{Mutex, PoisonError};

use rdkafka::message::{Header, OwnedHeaders};
use tocsin_contract::topics::InternalTopics;
use tocsin_worker_core::encode::Encoded;
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::shard::{Committable, JournalRecord};

use super::Target;
use super::grant::{Grant, Term};
use super::start::Layout;
use crate::dead_letter::cause_code;
use crate::sink::{EncodedRows, Sink, SinkError};

/// How much of a dead record is kept: with its headers it stays below Kafka's 1 MiB.
const MOST_OF_DEAD: usize = 512 << 10;

/// How much is kept of its key, and of its headers.
const MOST_OF_HEADERS: usize = 128 << 10;

/// The header that says of which run epoch a record is; without it it is of the first.
const EPOCH: &str = "tocsin.epoch";

/// A transaction.
pub struct Transaction {
    pub records: Vec<Out>,
    /// Rows for sinks outside of Kafka.
    pub local: Vec<(usize, Encoded)>,
    pub shards: Vec<ShardCut>,
    pub grant: Grant,
}

/// A record to write.
pub struct Out {
    pub topic: String,
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: Option<OwnedHeaders>,
}

/// How far a shard has come.
pub struct ShardCut {
    pub shard: u32,
    pub term: Term,
    pub sequence: u64,
    pub epoch: u32,
    /// Topic and position of each input.
    pub positions: Vec<(String, Position)>,
}

impl Transaction {
    pub fn new(grant: Grant) -> Self {
        Self {
            records: Vec::new(),
            local: Vec::new(),
            shards: Vec::new(),
            grant,
        }
    }

    /// Adds what a shard did; `beginning` is for a journal that has none yet.
    pub fn add(
        &mut self,
        (shard, term): (u32, Term),
        cut: Committable,
        beginning: Option<JournalRecord>,
        layout: &Layout,
        targets: &Targets,
    ) {
        for journal in beginning.map(|record| record.encode()).into_iter().chain([cut.journal]) {
            self.records.push(Out {
                topic: layout.journal.name.clone(),
                partition: Some(shard as i32),
                key: None,
                value: journal,
                headers: None,
            });
        }
        let of_epoch = (cut.epoch > 0).then(|| {
            let epoch = cut.epoch.to_string();
            OwnedHeaders::new().insert(Header {
                key: EPOCH,
                value: Some(&epoch),
            })
        });
        for (sink, rows) in cut.outputs.sinks {
            match &targets.topics[sink] {
                None => self.local.push((sink, rows)),
                Some(topic) => self.records.extend(rows.rows().enumerate().map(|(row, value)| Out {
                    topic: topic.clone(),
                    partition: None,
                    key: rows.keys.as_ref().and_then(|keys| keys.get(row)).map(<[u8]>::to_vec),
                    value: value.to_vec(),
                    headers: of_epoch.clone(),
                })),
            }
        }
        for (letter, origin) in cut.outputs.dead.into_iter().zip(cut.origins) {
            let topic = &layout.inputs[letter.source].name;
            let own = [
                ("tocsin.topic", topic.clone()),
                ("tocsin.partition", shard.to_string()),
                ("tocsin.offset", letter.offset.to_string()),
                ("tocsin.cause", cause_code(&letter.cause).to_owned()),
                ("tocsin.message", letter.cause.to_string()),
                ("tocsin.bytes", letter.whole_bytes.to_string()),
            ];
            let mut headers = of_epoch
                .clone()
                .unwrap_or_else(|| OwnedHeaders::new_with_capacity(own.len() + origin.headers.len()));
            for (key, value) in &own {
                headers = headers.insert(Header {
                    key,
                    value: Some(value),
                });
            }
            let mut room = MOST_OF_HEADERS;
            for (key, value) in &origin.headers {
                // Those of an earlier life as a dead letter would be taken for the own ones.
                let size = key.len() + value.as_ref().map_or(0, Vec::len);
                if key.starts_with(b"tocsin.") || size > room {
                    continue;
                }
                room -= size;
                headers = headers.insert(Header {
                    key: &String::from_utf8_lossy(key),
                    value: value.as_ref(),
                });
            }
            let mut value = letter.bytes;
            value.truncate(MOST_OF_DEAD);
            self.records.push(Out {
                topic: targets.dead_letter.clone(),
                partition: None,
                key: origin.key.map(|mut key| {
                    key.truncate(MOST_OF_HEADERS);
                    key
                }),
                value,
                headers: Some(headers),
            });
        }
        let positions = cut.positions.iter().enumerate();
        self.shards.push(ShardCut {
            shard,
            term,
            sequence: cut.sequence,
            epoch: cut.epoch,
            positions: positions
                .filter_map(|(source, position)| Some((layout.inputs[source].name.clone(), (*position)?)))
                .collect(),
        });
    }

    /// The shards, and which of their times with us it is.
    pub fn terms(&self) -> Vec<(u32, Term)> {
        self.shards.iter().map(|cut| (cut.shard, cut.term)).collect()
    }
}

/// Where sinks write.
pub struct Targets {
    /// The topic of each sink that writes to Kafka.
    topics: Vec<Option<String>>,
    dead_letter: String,
    /// The others, shared by the threads.
    local: Vec<Option<Mutex<Box<dyn Sink>>>>,
}

impl Targets {
    pub fn new(targets: Vec<Target>, topics: &InternalTopics) -> Self {
        let (mut of_sinks, mut local) = (Vec::new(), Vec::new());
        for target in targets {
            let (topic, sink) = match target {
                Target::Topic(topic) => (Some(topic), None),
                Target::Local(sink) => (None, Some(Mutex::new(sink))),
            };
            of_sinks.push(topic);
            local.push(sink);
        }
        Self {
            topics: of_sinks,
            dead_letter: topics.dead_letter().as_str().to_owned(),
            local,
        }
    }

    /// Writes rows outside of Kafka.
    pub fn write(&self, stream: &str, sink: usize, rows: &Encoded) -> Result<(), SinkError> {
        let Some(Some(sink)) = self.local.get(sink) else {
            return Ok(());
        };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.write(&EncodedRows {
            stream,
            bytes: &rows.bytes,
            ends: &rows.ends,
        })?;
        sink.flush()
    }

    /// Closes the sinks outside of Kafka, also behind one that fails. The first error is returned.
    pub fn close(self) -> Result<(), SinkError> {
        let mut outcome = Ok(());
        for sink in self.local.into_iter().flatten() {
            let closed = sink.into_inner().unwrap_or_else(PoisonError::into_inner).close();
            outcome = outcome.and(closed);
        }
        outcome
    }
}
