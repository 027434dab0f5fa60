//! What librdkafka is asked for: its settings for a cluster, and records where our own Fetch path is not to read them.

mod cluster;
mod config;
mod consumer;
mod look;
mod membership;
mod queue;
mod reading;
mod source;

pub use self::cluster::LibrdkafkaCluster;
pub use self::config::client_config;
pub use self::membership::membership;
pub use self::source::LibrdkafkaSource;
