//! What ends a run on Kafka.

use tocsin_contract::duration::Duration;
use tocsin_contract::problem::Problem;
use tocsin_worker_core::kafka::fetching::Loss;
use tocsin_worker_core::repartition::DealtOtherwise;
use tocsin_worker_core::shard::{InvalidJournal, ReplayError};
use tocsin_worker_core::snapshot::ChangedInput;

use crate::schema_registry::RegistryError;
use crate::sink::SinkError;
use crate::snapshots::SnapshotError;
use tocsin_kafka::KafkaError;

use super::producer::ProducerError;

/// What ends a run on Kafka: each needs a person.
#[derive(Debug, thiserror::Error)]
pub enum ShardsError {
    /// A broker cannot be used.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// A client cannot go on.
    #[error("{what}: {source}")]
    Client {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: ProducerError,
    },
    /// A topic takes a record at no try.
    #[error("topic {topic} does not take a record: {source}")]
    Refused {
        /// The topic.
        topic: String,
        /// Why not.
        source: ProducerError,
    },
    /// The pipeline does not fit its topics.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// A topic has not as many partitions as it must.
    #[error("topic {topic} has {found} partitions; it must have {wanted}, as many as the inputs have")]
    Partitions {
        /// The topic.
        topic: String,
        /// How many it has.
        found: u32,
        /// How many it must have.
        wanted: u32,
    },
    /// A topic has more partitions than the pipeline reads, and it may not go on by itself.
    #[error("the topic {topic} has {now} partitions, and the pipeline reads {then} of them; {why}")]
    Grown {
        /// The topic.
        topic: String,
        /// Its partitions.
        now: u32,
        /// Those that are read.
        then: u32,
        /// What stands in the way, and what to do.
        why: &'static str,
    },
    /// A run epoch was asked for that has begun.
    #[error(
        "the pipeline cannot begin run epoch {epoch} with {asked}: it began with {began}, because a topic had grown; name a later one with --rewind-to-epoch"
    )]
    EpochTaken {
        /// The savepoint that was asked for.
        asked: String,
        /// The epoch.
        epoch: u32,
        /// The savepoint that it began with.
        began: String,
    },
    /// There is a savepoint of an earlier pipeline of this name.
    #[error(
        "the pipeline has not run, and there is {savepoint} of one of its name, whose topics had grown: remove that, or bring the topics back"
    )]
    SavepointLeft {
        /// The savepoint.
        savepoint: String,
    },
    /// Others are in a later run epoch: this worker begins anew.
    #[error("shard {shard} is in run epoch {epoch}, and this worker began in an earlier one")]
    LaterEpoch {
        /// The shard.
        shard: u32,
        /// The epoch.
        epoch: u32,
    },
    /// The group's offsets are gone, which say what the run epoch is.
    #[error(
        "shard {shard}: the group's offsets are gone, and the journal is in run epoch {epoch}: start once with --rewind-to-epoch {epoch}, and the --restore-from that it began with"
    )]
    EpochForgotten {
        /// The shard.
        shard: u32,
        /// The epoch.
        epoch: u32,
    },
    /// The shard cannot go on with these inputs.
    #[error("shard {shard}: {source}")]
    ChangedInput {
        /// The shard.
        shard: u32,
        /// What changed.
        source: ChangedInput,
    },
    /// The pipeline was changed while rows were on their way between shards.
    #[error("shard {shard}: {source}")]
    DealtOtherwise {
        /// The shard.
        shard: u32,
        /// The stage, and what to do.
        source: DealtOtherwise,
    },
    /// The brokers do not let us.
    #[error(
        "topic {topic}: {what} is not allowed (TopicAuthorizationFailed); the pipeline's Kafka user needs that right"
    )]
    NotAllowed {
        /// The topic.
        topic: String,
        /// Reading or writing.
        what: &'static str,
    },
    /// Brokers end transactions sooner than the worker commits them at worst.
    #[error(
        "the brokers let no transaction last for {} s, as the worker asks for: set the brokers' transaction.max.timeout.ms to that or more",
        .0.as_secs()
    )]
    TransactionTimeout(std::time::Duration),
    /// A topic does not keep records for as long as they may be needed.
    #[error(
        "topic {topic} keeps records for {keeps}, and a checkpoint may be {needed} old (spec.state.checkpoint: interval x retained): a worker that recovers from it would find them gone (ReplayGap); raise the topic's retention.ms, or lower interval or retained"
    )]
    Retention {
        /// The topic.
        topic: String,
        /// For how long it keeps them.
        keeps: Duration,
        /// How old a checkpoint may be.
        needed: Duration,
    },
    /// A log has lost what a shard needs.
    #[error("{topic}-{partition}: {loss}")]
    Lost {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// What was lost.
        loss: Loss,
    },
    /// A journal cannot be read.
    #[error("shard {shard}: {source}")]
    Journal {
        /// The shard.
        shard: u32,
        /// Why not.
        source: InvalidJournal,
    },
    /// A journal does not fit.
    #[error("shard {shard}: {source}")]
    Replay {
        /// The shard.
        shard: u32,
        /// Why not.
        source: ReplayError,
    },
    /// The journal is of other topics.
    #[error(
        "shard {shard}: the journal is of topics [{found}]: a pipeline that reads others begins under another name, or from a savepoint"
    )]
    OtherTopics {
        /// The shard.
        shard: u32,
        /// The topics.
        found: String,
    },
    /// Somebody else moved the group's offsets.
    #[error(
        "shard {shard}: the group's offset for {topic} is {committed}, and the journal's {journal}: somebody moved it"
    )]
    OffsetMoved {
        /// The shard.
        shard: u32,
        /// The topic.
        topic: String,
        /// The group's offset.
        committed: i64,
        /// The journal's.
        journal: i64,
    },
    /// The journal lacks its beginning.
    #[error("shard {shard}: the journal lacks its beginning, and there is no snapshot (JournalGap)")]
    NoBeginning {
        /// The shard.
        shard: u32,
    },
    /// The journal lacks its end.
    #[error(
        "shard {shard}: the journal ends with cut {reached}, and the group's offsets are of cut {until} (JournalGap): somebody has deleted records of it"
    )]
    JournalEnds {
        /// The shard.
        shard: u32,
        /// Its last cut that is there.
        reached: u64,
        /// The last that was committed.
        until: u64,
    },
    /// The pipeline was asked to begin with a savepoint, and has run.
    #[error(
        "shard {shard}: the pipeline cannot begin with savepoint {asked}: it has run already, and began {}; leave --restore-from out to go on where it stopped, or begin under another name (metadata.name)",
        .began.as_ref().map_or("without a savepoint".to_owned(), |began| format!("with savepoint {began}"))
    )]
    HasRun {
        /// The shard.
        shard: u32,
        /// The savepoint that was asked for.
        asked: String,
        /// That which it began with.
        began: Option<String>,
    },
    /// A shard that cannot be wound back.
    #[error(
        "shard {shard}: the group's offsets are gone, so nobody knows what to wind back from; start once without --rewind-to-epoch, then ask again"
    )]
    RewindsNowhere {
        /// The shard.
        shard: u32,
    },
    /// The pipeline began with a savepoint, and nobody says where that is.
    #[error("shard {shard}: the pipeline began with savepoint {savepoint}: say with --state where it is kept")]
    NoState {
        /// The shard.
        shard: u32,
        /// The savepoint.
        savepoint: String,
    },
    /// There is state, and nothing that it belongs to.
    #[error(
        "shard {shard}: there is a snapshot (cut {sequence}), but the pipeline's journal and offsets are gone: bring the topics back; or begin anew under another name, with its state at another address, or once the pipeline's folder `shards` is removed from there"
    )]
    StateWithoutJournal {
        /// The shard.
        shard: u32,
        /// The newest snapshot's cut.
        sequence: u64,
    },
    /// The journal lacks what came behind the snapshot.
    #[error(
        "shard {shard}: the journal begins at offset {begins}, and the newest snapshot goes on at {needed} (JournalGap): its retention must exceed the age of snapshots"
    )]
    JournalGap {
        /// The shard.
        shard: u32,
        /// Where the journal begins.
        begins: i64,
        /// Where it is needed from.
        needed: i64,
    },
    /// Somebody else committed offsets for the pipeline's group.
    #[error("shard {shard}: the group's offset for {topic} was not committed by Tocsin (its metadata is '{metadata}')")]
    ForeignOffset {
        /// The shard.
        shard: u32,
        /// The topic.
        topic: String,
        /// What stands beside the offset.
        metadata: String,
    },
    /// A schema registry cannot be asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A snapshot cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A sink outside of Kafka failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Another worker took this one's name.
    #[error("another worker runs under the name {0}: this one ends")]
    Fenced(String),
    /// A thread ended in a way that was not foreseen.
    #[error("a thread of the worker ended unexpectedly")]
    Panicked,
}
