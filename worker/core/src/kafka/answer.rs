//! What a broker's answer for a partition means.

use super::batch;
use super::error_code::{
    CORRUPT_MESSAGE, FENCED_LEADER_EPOCH, INCONSISTENT_TOPIC_ID, KAFKA_STORAGE_ERROR, LEADER_NOT_AVAILABLE,
    NETWORK_EXCEPTION, NONE, NOT_LEADER_OR_FOLLOWER, OFFSET_NOT_AVAILABLE, OFFSET_OUT_OF_RANGE, REPLICA_NOT_AVAILABLE,
    REQUEST_TIMED_OUT, THROTTLING_QUOTA_EXCEEDED, TOPIC_AUTHORIZATION_FAILED, UNKNOWN_LEADER_EPOCH,
    UNKNOWN_SERVER_ERROR, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION,
};
use super::fetching::{Loss, Position};

/// A broker's answer for a partition, as the Fetch protocol has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// The error; 0 is none.
    pub code: i16,
    /// Where the log parts from what was read, if it does.
    pub diverging_end: Option<i64>,
    /// A replica near by to read from.
    pub follower: Option<i32>,
    /// The batches.
    pub records: &'a [u8],
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Batches, or none. Where reading goes on.
    Good { next: Position },
    /// The broker does not lead the partition.
    OtherLeader,
    /// Another try may do.
    NotYet,
    /// The log has no such offset. Which it has, the broker must be asked.
    OutOfRange,
    /// A batch does not look like one.
    Damaged { offset: i64 },
    /// Reading cannot go on.
    Lost(Loss),
}

/// What an answer to a question for records from `from` on means.
pub fn meaning(from: Position, answer: &Answer<'_>) -> Meaning {
    match answer.code {
        NONE => {}
        OFFSET_OUT_OF_RANGE => return Meaning::OutOfRange,
        CORRUPT_MESSAGE => return Meaning::Damaged { offset: from.offset },
        UNKNOWN_TOPIC_OR_PARTITION
        | LEADER_NOT_AVAILABLE
        | NOT_LEADER_OR_FOLLOWER
        | REPLICA_NOT_AVAILABLE
        | FENCED_LEADER_EPOCH
        | UNKNOWN_TOPIC_ID
        | INCONSISTENT_TOPIC_ID => return Meaning::OtherLeader,
        TOPIC_AUTHORIZATION_FAILED => return Meaning::Lost(Loss::NotAllowed),
        REQUEST_TIMED_OUT
        | NETWORK_EXCEPTION
        | KAFKA_STORAGE_ERROR
        | UNKNOWN_LEADER_EPOCH
        | OFFSET_NOT_AVAILABLE
        | THROTTLING_QUOTA_EXCEEDED
        | UNKNOWN_SERVER_ERROR => return Meaning::NotYet,
        code => return Meaning::Lost(Loss::Unknown { code }),
    }
    if let Some(end) = answer.diverging_end {
        return Meaning::Lost(Loss::LogTruncated { end, read: from.offset });
    }
    let (mut rest, mut next) = (answer.records, from);
    while let Some((last_offset, epoch)) = batch::pass(&mut rest) {
        if last_offset < 0 {
            return Meaning::Damaged { offset: next.offset };
        }
        next = Position {
            offset: next.offset.max(last_offset.saturating_add(1)),
            epoch,
        };
    }
    Meaning::Good { next }
}
