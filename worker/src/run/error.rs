//! What can end a run before its inputs do.

use tocsin_contract::pipeline::source::FormatKind;
use tocsin_worker_core::csv::HeaderError;
use tocsin_worker_core::decode::Cause;

use crate::sink::SinkError;
use crate::source::SourceError;

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An input cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An output cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The header of a CSV input does not fit the plan.
    #[error("source `{name}`: {error}")]
    Header {
        /// Name of the source.
        name: String,
        /// What is wrong.
        error: HeaderError,
    },
    /// A source that is read from Kafka alone, and nothing stands for it.
    #[error("source `{name}` reads {transport}, and nothing stands for it here; give it with --input {name}=PATH")]
    NoInput {
        /// Name of the source.
        name: String,
        /// What the file says.
        transport: &'static str,
    },
    /// A file or standard input stands for a topic whose records mean something in Kafka alone.
    #[error(
        "source `{name}`: records of format {format:?} are read from Kafka alone (--bootstrap); \
         give them as Json to read them from a file"
    )]
    OnlyFromKafka {
        /// Name of the source.
        name: String,
        /// The format.
        format: FormatKind,
    },
    /// The first dead record, where a dead record ends the run.
    #[error("source `{source_name}`, record {offset}: {cause}")]
    DeadRecord {
        /// Name of the source.
        source_name: String,
        /// The record's offset.
        offset: u64,
        /// What is wrong with it.
        cause: Cause,
    },
}
