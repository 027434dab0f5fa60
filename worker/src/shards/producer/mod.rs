//! One try to commit a transaction: by our own Produce path, or by librdkafka where that is asked for or must log in.

mod librdkafka;
mod own;

mod offsets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;
use tocsin_worker_core::kafka::error_code::{
    CLUSTER_AUTHORIZATION_FAILED, CORRUPT_MESSAGE, FENCED_INSTANCE_ID, GROUP_AUTHORIZATION_FAILED, ILLEGAL_GENERATION,
    INVALID_RECORD, INVALID_TOPIC_EXCEPTION, INVALID_TRANSACTION_TIMEOUT, MESSAGE_TOO_LARGE, REBALANCE_IN_PROGRESS,
    RECORD_LIST_TOO_LARGE, TOPIC_AUTHORIZATION_FAILED, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, UNKNOWN_MEMBER_ID,
    UNKNOWN_TOPIC_OR_PARTITION,
};

use self::librdkafka::LibrdkafkaTransactional;
use self::own::OwnTransactional;
use super::grant::Grant;
use super::transaction::Transaction;
use tocsin_kafka::{ClientKind, ClusterSettings, KafkaError};

pub use self::librdkafka::{LARGEST_MESSAGE, send};

/// How long a call that ends a transaction may take until its outcome counts as unknown.
const CALL: Duration = Duration::from_secs(8);

/// After so long brokers end a transaction that nobody commits.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A producer whose transactions can begin.
pub enum Transactional {
    /// Our own Produce path.
    Own(Box<OwnTransactional>),
    /// librdkafka's producer.
    Librdkafka(LibrdkafkaTransactional),
}

/// How a try ended.
pub enum Tried {
    Committed,
    /// The transaction was aborted.
    Aborted(ProducerError),
    /// Nobody knows.
    Unknown(ProducerError),
    /// A topic will never take a record.
    Refused(String, ProducerError),
    /// We may not: no other try would do.
    Failed(ProducerError),
}

impl Transactional {
    /// A new producer with this id. It waits until what one before it has left open has ended.
    ///
    /// It notes where records of `journal` stand.
    pub fn begin(settings: &ClusterSettings, id: &str, journal: &str) -> Result<Self, ProducerError> {
        Ok(match settings.client() {
            ClientKind::Own => Self::Own(Box::new(OwnTransactional::begin(settings, id, journal)?)),
            ClientKind::Librdkafka => Self::Librdkafka(LibrdkafkaTransactional::begin(settings, id, journal)?),
        })
    }

    /// Writes a transaction and commits it, once.
    pub fn attempt(&mut self, transaction: &Transaction, grant: &Grant) -> Tried {
        match self {
            Self::Own(own) => own.attempt(transaction, grant),
            Self::Librdkafka(librdkafka) => librdkafka.attempt(transaction, grant),
        }
    }

    /// How long brokers want to be left alone before the next transaction, if they do.
    pub fn throttled_for(&self) -> Option<Duration> {
        match self {
            Self::Own(own) => own.throttled_for(),
            // It waits by itself.
            Self::Librdkafka(_) => None,
        }
    }

    /// Where the records of the last transaction stand in the journal, by shard.
    pub fn journal_offsets(&self) -> BTreeMap<u32, i64> {
        match self {
            Self::Own(own) => own.journal_offsets(),
            Self::Librdkafka(librdkafka) => librdkafka.journal_offsets(),
        }
    }
}

/// Why a producer could not do something.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProducerError {
    /// Our own client says so.
    #[error(transparent)]
    Own(Arc<KafkaError>),
    /// librdkafka says so.
    #[error(transparent)]
    Librdkafka(#[from] ClientError),
}

impl From<KafkaError> for ProducerError {
    fn from(error: KafkaError) -> Self {
        Self::Own(Arc::new(error))
    }
}

/// Errors by which a record is refused at every try.
const NEVER_TAKEN: [i16; 7] = [
    CORRUPT_MESSAGE,
    UNKNOWN_TOPIC_OR_PARTITION,
    MESSAGE_TOO_LARGE,
    INVALID_TOPIC_EXCEPTION,
    RECORD_LIST_TOO_LARGE,
    TOPIC_AUTHORIZATION_FAILED,
    INVALID_RECORD,
];

/// Those of rights that we lack.
const NOT_ALLOWED: [i16; 3] = [
    GROUP_AUTHORIZATION_FAILED,
    CLUSTER_AUTHORIZATION_FAILED,
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
];

/// Those of a group that has gone on.
const STALE: [i16; 4] = [
    ILLEGAL_GENERATION,
    UNKNOWN_MEMBER_ID,
    REBALANCE_IN_PROGRESS,
    FENCED_INSTANCE_ID,
];

impl ProducerError {
    /// Whether a topic takes a record at no try.
    pub fn is_never_taken(&self) -> bool {
        let of_librdkafka = matches!(
            self.of_librdkafka(),
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::MessageSizeTooLarge)
        );
        of_librdkafka || self.is_one_of(&NEVER_TAKEN)
    }

    /// Whether no other try would do: what the brokers' administrator must change.
    pub fn is_final(&self) -> bool {
        let ours = match self {
            Self::Own(error) => !error.may_pass() && !matches!(**error, KafkaError::Stopped),
            Self::Librdkafka(_) => matches!(
                self.of_librdkafka(),
                Some(RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::Authentication)
            ),
        };
        ours || self.is_not_allowed()
    }

    /// Whether it is a right that we lack.
    pub fn is_not_allowed(&self) -> bool {
        self.is_one_of(&NOT_ALLOWED)
    }

    /// Whether the brokers do not let transactions last as long as they may take.
    pub fn is_timeout_refused(&self) -> bool {
        self.is_one_of(&[INVALID_TRANSACTION_TIMEOUT])
    }

    /// Whether the group has gone on to another generation.
    pub fn is_stale_grant(&self) -> bool {
        self.is_one_of(&STALE)
    }

    fn is_one_of(&self, codes: &[i16]) -> bool {
        self.code().is_some_and(|code| codes.contains(&code))
    }

    /// Kafka's number of the error, if a broker said it.
    fn code(&self) -> Option<i16> {
        match self {
            Self::Own(error) => error.code(),
            Self::Librdkafka(_) => i16::try_from(self.of_librdkafka()? as i32)
                .ok()
                .filter(|code| *code > 0),
        }
    }

    fn of_librdkafka(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Self::Own(_) => None,
            Self::Librdkafka(error) => error.rdkafka_error_code(),
        }
    }
}
