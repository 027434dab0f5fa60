//! What librdkafka is asked for: its settings for a cluster, what proves a membership, records where our own Fetch path is not to
//! read them, and a producer for tools.

mod cluster;
mod config;
mod consumer;
mod look;
mod member;
mod membership;
mod plain_producer;
mod queue;
mod reading;
mod source;

pub use self::cluster::LibrdkafkaCluster;
pub use self::config::client_config;
pub use self::member::{BEFORE_JOINING, Fences, Generation, Incarnation, MemberTrouble, SESSION, member_config};
pub use self::membership::membership;
pub use self::plain_producer::{PlainProducer, ProduceError};
pub use self::source::LibrdkafkaSource;
