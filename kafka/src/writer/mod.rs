//! Our own Produce path: records go to the leaders of their partitions, each batch once.
//!
//! It asks all leaders at a time and waits for their answers. What is sent, and what an answer means, the core decides
//! ([`tocsin_worker_core::kafka::writing`]).

mod patience;
mod record_writer;
mod records;
mod transactional;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::KafkaError;

pub use self::patience::Patience;
pub use self::record_writer::RecordWriter;
pub use self::records::{NewRecord, NewRecords};
pub use self::transactional::{Membership, OffsetOf, TransactionalWriter};

/// InitProducerId: newer versions belong to transactions in two phases.
const INIT_PRODUCER_ID: i16 = 4;

/// Why records are not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A topic takes a record at no try.
    #[error("{topic} does not take a record: {source}")]
    Refused {
        /// The topic.
        topic: String,
        /// What its broker says.
        source: KafkaError,
    },
    /// The brokers cannot be used, or the producer cannot go on.
    #[error(transparent)]
    Broker(#[from] KafkaError),
}

/// Where records were written: of each partition, the offset of the last, as far as brokers said.
pub type LastOffsets = BTreeMap<(Arc<str>, u32), i64>;
