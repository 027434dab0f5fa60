//! Journal records: what a shard did between two cuts.

use serde::{Deserialize, Serialize};

use crate::avro::SchemaId;
use crate::kafka::fetching::Position;
use crate::state::{decode, encode};
use crate::stream::Micros;

/// Where each source is read on behind a cut; none where the shard has no partition of it.
pub type Cut = Vec<Option<Position>>;

/// What a shard did between two cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRecord {
    /// Number of the cut. Each is one more than that before.
    pub sequence: u64,
    /// The run epoch: one more each time that a pipeline is wound back.
    pub epoch: u32,
    /// Where the sources are read on.
    pub cut: Cut,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// Names of the sources' topics; only a beginning has them.
    pub sources: Vec<String>,
    /// Ids of these topics, where brokers gave them; only a beginning has them.
    pub topic_ids: Vec<Option<String>>,
    /// The savepoint that the shard began with, if it did; only a beginning has it.
    pub restored_from: Option<String>,
}

/// Something that a shard did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// It read a source up to an offset.
    Read {
        /// Number of the source.
        source: u32,
        /// One behind the last offset.
        to: i64,
    },
    /// The clock moved the event time of an idle source.
    Tick {
        /// Number of the source.
        source: u32,
        /// The time.
        now: Micros,
    },
    /// A schema registry said whether there is a schema of this number, for the records of a source behind.
    Schema {
        /// Number of the source.
        source: u32,
        /// Number of the schema.
        id: SchemaId,
        /// Whether there is one.
        is_there: bool,
    },
    /// It was held: it reads what other shards send, and no source, until it goes on.
    Hold {
        /// The run epoch in which it goes on, and not before; none if it may at any time.
        until: Option<u32>,
    },
    /// It goes on.
    GoOn,
    /// A source was idle; until it gave something.
    Idle {
        /// Number of the source.
        source: u32,
    },
    /// Something that the pipeline works with has another revision from here on: a rule set, KPIs, a model, a table.
    Revise {
        /// Number of what has.
        what: u32,
        /// Its revision.
        revision: u64,
    },
    /// It was held for a savepoint that ends the run.
    HoldFor {
        /// The run epoch in which it goes on, and not before, unless the savepoint is given up.
        until: u32,
        /// Number of the savepoint's name.
        savepoint: u64,
    },
    /// The savepoint was given up, and it goes on.
    GiveUp {
        /// Number of the savepoint's name.
        savepoint: u64,
    },
}

/// Bytes that are no journal record, or one of a newer version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJournal {
    /// A newer Tocsin wrote it.
    #[error("the journal is written in version {0}; this Tocsin reads up to version {VERSION}")]
    Newer(u8),
    /// Something else wrote it.
    #[error("a record of the journal is damaged, or was not written by Tocsin")]
    Corrupt,
}

/// First byte of a record.
const VERSION: u8 = 7;

/// The first versions with a savepoint, and with ids of topics.
const WITH_SAVEPOINT: u8 = 3;
const WITH_IDS: u8 = 6;

type Saved = (u64, u32, Vec<Option<(i64, i32)>>, Vec<Step>, Vec<String>);

impl JournalRecord {
    /// Whether a shard begins with it: where nobody had been, or with a savepoint that it was wound back to.
    pub fn is_beginning(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The record as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let cut = self.cut.iter().map(|position| position.map(|at| (at.offset, at.epoch)));
        let saved: Saved = (
            self.sequence,
            self.epoch,
            cut.collect(),
            self.steps.clone(),
            self.sources.clone(),
        );
        let mut bytes = vec![VERSION];
        bytes.extend(encode(&(saved, &self.restored_from, &self.topic_ids)));
        bytes
    }

    /// The record that [`JournalRecord::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidJournal> {
        let (&version, saved) = bytes.split_first().ok_or(InvalidJournal::Corrupt)?;
        if version > VERSION {
            return Err(InvalidJournal::Newer(version));
        }
        let what = "a journal record";
        type Whole = (Saved, Option<String>, Vec<Option<String>>);
        let saved: Result<Whole, _> = if version < WITH_SAVEPOINT {
            decode(saved, what).map(|saved| (saved, None, Vec::new()))
        } else if version < WITH_IDS {
            decode(saved, what).map(|(saved, restored_from)| (saved, restored_from, Vec::new()))
        } else {
            decode(saved, what)
        };
        let (saved, restored_from, topic_ids) = saved.map_err(|_| InvalidJournal::Corrupt)?;
        let (sequence, epoch, cut, steps, sources) = saved;
        let position = |(offset, epoch)| Position { offset, epoch };
        Ok(Self {
            sequence,
            epoch,
            cut: cut.into_iter().map(|at| at.map(position)).collect(),
            steps,
            sources,
            topic_ids,
            restored_from,
        })
    }
}
