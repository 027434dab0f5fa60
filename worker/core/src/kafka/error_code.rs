//! The numbers of Kafka's errors that mean something of their own here, under Kafka's names.
//!
//! Source: Kafka's documentation, "Protocol", "Error Codes".

/// Something that the broker has no number for.
pub const UNKNOWN_SERVER_ERROR: i16 = -1;
/// No error.
pub const NONE: i16 = 0;
/// The log has no such offset.
pub const OFFSET_OUT_OF_RANGE: i16 = 1;
/// A batch is damaged, or of no form that the topic takes.
pub const CORRUPT_MESSAGE: i16 = 2;
/// The broker has no such topic or partition.
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
/// Nobody leads the partition now.
pub const LEADER_NOT_AVAILABLE: i16 = 5;
/// The broker does not lead the partition.
pub const NOT_LEADER_OR_FOLLOWER: i16 = 6;
/// It took too long.
pub const REQUEST_TIMED_OUT: i16 = 7;
/// The broker has no copy of the partition.
pub const REPLICA_NOT_AVAILABLE: i16 = 9;
/// A batch is larger than the topic takes.
pub const MESSAGE_TOO_LARGE: i16 = 10;
/// A broker lost the connection to another.
pub const NETWORK_EXCEPTION: i16 = 13;
/// The coordinator has just become one.
pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
/// There is no coordinator now.
pub const COORDINATOR_NOT_AVAILABLE: i16 = 15;
/// The broker is not the coordinator.
pub const NOT_COORDINATOR: i16 = 16;
/// The topic cannot be written, or has no name that a topic can have.
pub const INVALID_TOPIC_EXCEPTION: i16 = 17;
/// A batch is larger than a segment of the log.
pub const RECORD_LIST_TOO_LARGE: i16 = 18;
/// Too few brokers have copies.
pub const NOT_ENOUGH_REPLICAS: i16 = 19;
/// The batch is written, and too few brokers have it.
pub const NOT_ENOUGH_REPLICAS_AFTER_APPEND: i16 = 20;
/// The group is in another generation.
pub const ILLEGAL_GENERATION: i16 = 22;
/// The group has no such member.
pub const UNKNOWN_MEMBER_ID: i16 = 25;
/// The group deals out its partitions anew.
pub const REBALANCE_IN_PROGRESS: i16 = 27;
/// The right to a topic is missing.
pub const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
/// The right to a group is missing.
pub const GROUP_AUTHORIZATION_FAILED: i16 = 30;
/// A right to the cluster is missing.
pub const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
/// The broker does not know the version of a request.
pub const UNSUPPORTED_VERSION: i16 = 35;
/// The topic is there already.
pub const TOPIC_ALREADY_EXISTS: i16 = 36;
/// The topic has as many partitions already.
pub const INVALID_PARTITIONS: i16 = 37;
/// A batch of the producer is missing before this one.
pub const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
/// The batch was taken before.
pub const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;
/// The producer has a newer epoch.
pub const INVALID_PRODUCER_EPOCH: i16 = 47;
/// The transaction is not one to which that can be done.
pub const INVALID_TXN_STATE: i16 = 48;
/// The transactional id belongs to another producer.
pub const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
/// Transactions may not last so long.
pub const INVALID_TRANSACTION_TIMEOUT: i16 = 50;
/// What was left open is being ended.
pub const CONCURRENT_TRANSACTIONS: i16 = 51;
/// The right to a transactional id is missing.
pub const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
/// Not tried, because of another error.
pub const OPERATION_NOT_ATTEMPTED: i16 = 55;
/// The broker's disk fails.
pub const KAFKA_STORAGE_ERROR: i16 = 56;
/// The broker knows nothing of the producer any more.
pub const UNKNOWN_PRODUCER_ID: i16 = 59;
/// The partition has a newer leader than the client knows.
pub const FENCED_LEADER_EPOCH: i16 = 74;
/// The client knows a newer leader than the broker does.
pub const UNKNOWN_LEADER_EPOCH: i16 = 75;
/// The new leader does not know the end of the log yet.
pub const OFFSET_NOT_AVAILABLE: i16 = 78;
/// Another member has the same static name.
pub const FENCED_INSTANCE_ID: i16 = 82;
/// The topic does not take such a record.
pub const INVALID_RECORD: i16 = 87;
/// A transaction that commits offsets is still open.
pub const UNSTABLE_OFFSET_COMMIT: i16 = 88;
/// A quota is used up.
pub const THROTTLING_QUOTA_EXCEEDED: i16 = 89;
/// Another producer has taken the transactional id.
pub const PRODUCER_FENCED: i16 = 90;
/// The broker knows no topic of this id.
pub const UNKNOWN_TOPIC_ID: i16 = 100;
/// The topic of this name has another id.
pub const INCONSISTENT_TOPIC_ID: i16 = 103;
/// The transaction is not committed, and can be aborted.
pub const TRANSACTION_ABORTABLE: i16 = 120;
