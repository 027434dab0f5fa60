//! What is committed together.

use std::sync::Arc;

use parking_lot::Mutex;
use tocsin_contract::topics::InternalTopics;
use tocsin_worker_core::encode::Encoded;
use tocsin_worker_core::engine::{DeadLetter, Outputs};
use tocsin_worker_core::kafka::OwnedHeaders;
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::shard::{Committable, JournalRecord, Origin};

use super::Target;
use super::ahead::Awaited;
use super::grant::{Grant, Term};
use super::start::Layout;
use crate::dead_letter::cause_code;
use crate::sink::{EncodedRows, Sink, SinkError};
use tocsin_kafka::NewRecords;

/// How much of a dead record is kept: with its headers it stays below Kafka's 1 MiB.
const MOST_OF_DEAD: usize = 512 << 10;

/// How much is kept of its key, and of its headers.
const MOST_OF_HEADERS: usize = 128 << 10;

/// The header that says of which run epoch a record is; without it it is of the first.
const EPOCH: &str = "tocsin.epoch";

/// A transaction.
pub struct Transaction {
    pub records: NewRecords,
    /// Rows for sinks outside of Kafka.
    pub local: Vec<(usize, Encoded)>,
    pub shards: Vec<ShardCut>,
    pub grant: Grant,
    /// Results that were sent ahead of it, and that it waits for.
    pub ahead: Option<Awaited>,
}

/// What a shard gives out, as it is written.
pub struct Results {
    /// Records for Kafka.
    pub records: NewRecords,
    /// Rows for sinks outside of Kafka.
    pub local: Vec<(usize, Encoded)>,
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
            records: NewRecords::default(),
            local: Vec::new(),
            shards: Vec::new(),
            grant,
            ahead: None,
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
            let topic = layout.journal.name.as_str().into();
            self.records.push(topic, Some(shard), None, journal, None);
        }
        let inputs: Vec<Arc<str>> = layout.inputs.iter().map(|input| input.name.as_str().into()).collect();
        for dealt in cut.dealt {
            let topic = Arc::clone(&inputs[dealt.input]);
            self.records.push(topic, Some(dealt.to), None, dealt.record, None);
        }
        let results = Results::of((shard, cut.epoch), cut.outputs, cut.origins, layout, targets);
        self.records.append(results.records);
        self.local.extend(results.local);
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

impl Results {
    /// Rows of sinks and dead letters of a shard; `origins` are of the dead letters.
    pub fn of(
        (shard, epoch): (u32, u32),
        outputs: Outputs,
        origins: Vec<Origin>,
        layout: &Layout,
        targets: &Targets,
    ) -> Self {
        let (mut records, mut local) = (NewRecords::default(), Vec::new());
        let of_epoch = (epoch > 0).then(|| Arc::new(vec![header(EPOCH, &epoch.to_string())]));
        for (sink, rows) in outputs.sinks {
            match &targets.topics[sink] {
                None => local.push((sink, rows)),
                Some(topic) => records.push_rows(Arc::clone(topic), rows, of_epoch.clone()),
            }
        }
        for (letter, origin) in outputs.dead.into_iter().zip(origins) {
            bury(
                shard,
                letter,
                origin,
                of_epoch.as_deref(),
                (layout, targets),
                &mut records,
            );
        }
        Self { records, local }
    }
}

fn header(name: &str, value: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    (name.into(), Some(value.into()))
}

/// Adds a dead letter.
fn bury(
    shard: u32,
    letter: DeadLetter,
    origin: Origin,
    of_epoch: Option<&OwnedHeaders>,
    (layout, targets): (&Layout, &Targets),
    records: &mut NewRecords,
) {
    let topic = &layout.inputs[letter.source].name;
    let own = [
        ("tocsin.topic", topic.clone()),
        ("tocsin.partition", shard.to_string()),
        ("tocsin.offset", letter.offset.to_string()),
        ("tocsin.cause", cause_code(&letter.cause).to_owned()),
        ("tocsin.message", letter.cause.to_string()),
        ("tocsin.bytes", letter.whole_bytes.to_string()),
    ];
    let mut headers = of_epoch.cloned().unwrap_or_default();
    headers.extend(own.iter().map(|(name, value)| header(name, value)));
    let mut room = MOST_OF_HEADERS;
    for (key, value) in origin.headers {
        // Those of an earlier life as a dead letter would be taken for the own ones.
        let size = key.len() + value.as_ref().map_or(0, Vec::len);
        if key.starts_with(b"tocsin.") || size > room {
            continue;
        }
        room -= size;
        headers.push((key, value));
    }
    let mut value = letter.bytes;
    value.truncate(MOST_OF_DEAD);
    let key = origin.key.map(|mut key| {
        key.truncate(MOST_OF_HEADERS);
        key
    });
    let topic = Arc::clone(&targets.dead_letter);
    records.push(topic, None, key, value, Some(Arc::new(headers)));
}

/// Where sinks write.
pub struct Targets {
    /// The topic of each sink that writes to Kafka.
    topics: Vec<Option<Arc<str>>>,
    /// Of each, whether a row may be there again.
    may_repeat: Vec<bool>,
    dead_letter: Arc<str>,
    /// The others, shared by the threads.
    local: Vec<Option<Mutex<Box<dyn Sink>>>>,
}

impl Targets {
    pub fn new(targets: Vec<Target>, topics: &InternalTopics) -> Self {
        let (mut of_sinks, mut local, mut may_repeat) = (Vec::new(), Vec::new(), Vec::new());
        for target in targets {
            may_repeat.push(matches!(target, Target::Topic(_)));
            let (topic, sink) = match target {
                Target::Topic(topic) | Target::Buffer(topic) => (Some(topic), None),
                Target::Local(sink) => (None, Some(Mutex::new(sink))),
            };
            of_sinks.push(topic.map(Arc::from));
            local.push(sink);
        }
        Self {
            topics: of_sinks,
            may_repeat,
            dead_letter: topics.dead_letter().as_str().into(),
            local,
        }
    }

    /// The topics that sinks write to.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().flatten().map(AsRef::as_ref)
    }

    /// Whether rows of a sink may be there again, if the pipeline lets them.
    pub fn may_repeat(&self, sink: usize) -> bool {
        self.may_repeat.get(sink).copied().unwrap_or(false)
    }

    /// Writes rows outside of Kafka.
    pub fn write(&self, stream: &str, sink: usize, rows: &Encoded) -> Result<(), SinkError> {
        let Some(Some(sink)) = self.local.get(sink) else {
            return Ok(());
        };
        let mut sink = sink.lock();
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
            let closed = sink.into_inner().close();
            outcome = outcome.and(closed);
        }
        outcome
    }
}
