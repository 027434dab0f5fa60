//! A client for Kafka's brokers that speaks the protocol itself: connections, metadata, the fetching and the writing of records.
//!
//! It moves bytes and waits. What to ask for next, and what an answer means, the core decides
//! ([`tocsin_worker_core::kafka`]). Group membership is librdkafka's; fetching and writing too if it is asked for ([`ClientKind`]).

mod cluster;
mod committed;
mod connection;
mod error;
mod fetcher;
mod groups;
pub mod https;
mod librdkafka;
mod quorum;
mod sasl;
mod scram;
mod settings;
mod source;
mod spare_memory;
mod stream;
mod throttled;
mod tls;
mod tokens;
mod topics;
mod transactions;
mod users;
mod writer;

pub use self::cluster::{Cluster, PartitionInfo, Rights, Time, TopicInfo};
pub use self::committed::{Barrier, Committed, CommittedNow, CommittedOffsets};
pub use self::error::KafkaError;
pub use self::fetcher::{Event, Fetched, FetcherSettings};
pub use self::librdkafka::{
    BEFORE_JOINING, Fences, Generation, Incarnation, MemberTrouble, PlainProducer, ProduceError, client_config,
    member_config, membership,
};
pub use self::quorum::Vitality;
pub use self::settings::{
    Brokers, ClientKind, ClusterSettings, Identity, InvalidBrokers, Sasl, SaslMechanism, Ticket, Tls,
};
pub use self::source::{Fetcher, RecordSource};
pub use self::tokens::{Token, TokenLogin, Tokens};
pub use self::topics::{NewTopic, TopicAsIs};
pub use self::users::{AccessRule, Operation, Resource};
pub use self::writer::{
    LastOffsets, Membership, NewRecord, NewRecords, OffsetOf, Patience, RecordWriter, TransactionalWriter, WriteError,
};
