//! A try by our own Produce path.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tocsin_worker_core::kafka::error_code::{
    INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING, INVALID_TXN_STATE, OUT_OF_ORDER_SEQUENCE_NUMBER,
    PRODUCER_FENCED, TRANSACTION_ABORTABLE, UNKNOWN_PRODUCER_ID,
};

use super::{CALL, ProducerError, TRANSACTION_TIMEOUT, Tried};
use crate::shards::grant::Grant;
use crate::shards::sequence;
use crate::shards::transaction::Transaction;
use tocsin_kafka::{ClusterSettings, KafkaError, OffsetOf, Patience, TransactionalWriter, WriteError};

/// A producer of our own whose transactions can begin.
pub struct OwnTransactional {
    writer: TransactionalWriter,
    journal: String,
    journal_offsets: BTreeMap<u32, i64>,
}

/// For as long as a call may take.
fn patience() -> Patience<'static> {
    Patience {
        until: Instant::now() + CALL,
        is_wanted: &|| true,
    }
}

impl OwnTransactional {
    pub fn begin(settings: &ClusterSettings, id: &str, journal: &str) -> Result<Self, ProducerError> {
        let settings = ClusterSettings {
            connect_timeout: settings.connect_timeout.min(CALL / 2),
            request_timeout: settings.request_timeout.min(CALL),
            ..settings.clone()
        };
        Ok(Self {
            writer: TransactionalWriter::begin(&settings, id, TRANSACTION_TIMEOUT, patience())?,
            journal: journal.to_owned(),
            journal_offsets: BTreeMap::new(),
        })
    }

    pub fn attempt(&mut self, transaction: &Transaction, grant: &Grant) -> Tried {
        self.journal_offsets.clear();
        let patience = patience();
        match self.writer.write(&transaction.records, patience) {
            Ok(written) => {
                let of_journal = written.into_iter().filter(|((topic, _), _)| **topic == *self.journal);
                self.journal_offsets = of_journal.map(|((_, partition), offset)| (partition, offset)).collect();
            }
            Err(WriteError::Refused { topic, source }) => return Tried::Refused(topic, source.into()),
            Err(WriteError::Broker(error)) => return self.give_up(error),
        }
        let offsets: Vec<OffsetOf<'_>> = transaction
            .shards
            .iter()
            .flat_map(|cut| {
                cut.positions.iter().map(|(topic, position)| OffsetOf {
                    topic,
                    partition: cut.shard,
                    offset: position.offset,
                    metadata: sequence::to_metadata(cut.sequence, cut.epoch),
                })
            })
            .collect();
        if let Err(error) = self.writer.commit_offsets(&offsets, grant.membership(), patience) {
            return self.give_up(error);
        }
        match self.writer.commit(patience) {
            Ok(()) => Tried::Committed,
            // Brokers say so of a transaction that they have not committed (KIP-890).
            Err(error) if error.code() == Some(TRANSACTION_ABORTABLE) => self.give_up(error),
            // Whatever the error is: the commit may have come through.
            Err(error) => Tried::Unknown(error.into()),
        }
    }

    /// Aborts the transaction, where it is known that nobody can have committed it, and that the producer is good for the next.
    fn give_up(&mut self, error: KafkaError) -> Tried {
        let is_doubtful = error.code().is_none_or(|code| ENDED.contains(&code));
        let error = ProducerError::from(error);
        if error.is_not_allowed() {
            return Tried::Failed(error);
        }
        if is_doubtful {
            return Tried::Unknown(error);
        }
        match self.writer.abort(patience()) {
            Ok(true) => Tried::Aborted(error),
            Ok(false) => Tried::Unknown(error),
            Err(failed) => {
                tracing::warn!(%failed, "a transaction could not be aborted");
                Tried::Unknown(error)
            }
        }
    }

    pub fn throttled_for(&self) -> Option<Duration> {
        self.writer.throttled_for()
    }

    pub fn journal_offsets(&self) -> BTreeMap<u32, i64> {
        self.journal_offsets.clone()
    }
}

/// Errors of a producer that has ended.
const ENDED: [i16; 6] = [
    OUT_OF_ORDER_SEQUENCE_NUMBER,
    INVALID_PRODUCER_EPOCH,
    INVALID_TXN_STATE,
    INVALID_PRODUCER_ID_MAPPING,
    UNKNOWN_PRODUCER_ID,
    PRODUCER_FENCED,
];
