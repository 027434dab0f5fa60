//! Why reading ends.

/// Why a partition is not read any more. Going on would lose or repeat records, so a person decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// Retention was faster than the reader.
    #[error("records from offset {wanted} on are gone: the log begins at {begins} (ReplayGap)")]
    ReplayGap {
        /// The position.
        wanted: i64,
        /// The first offset that is left.
        begins: i64,
    },
    /// The log was cut behind a position that was read.
    #[error("the log was cut at offset {end}, before offset {read} that was read (LogTruncated)")]
    LogTruncated {
        /// Where the log ends that both agree on.
        end: i64,
        /// The position.
        read: i64,
    },
    /// A topic of the same name is another one.
    #[error("the topic was deleted and made again (TopicRecreated)")]
    TopicRecreated,
    /// The topic, or the partition, is not there.
    #[error("the topic or the partition is not there (UnknownTopic)")]
    UnknownTopic,
    /// The broker does not let us.
    #[error("reading the topic is not allowed (TopicAuthorizationFailed)")]
    NotAllowed,
    /// A batch is damaged, at every look.
    #[error("the batch at offset {offset} is damaged in the log (CorruptBatch)")]
    Corrupt {
        /// First offset of the batch.
        offset: i64,
    },
    /// An answer that nobody knows how to go on from.
    #[error("the broker answers with error {code}")]
    Unknown {
        /// Kafka's number of the error.
        code: i16,
    },
}
