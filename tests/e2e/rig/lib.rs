//! The test rig: starts real components on this machine, stops them, and breaks the connections to them.
//!
//! Everything listens on loopback, on free ports, keeps its files in one temporary folder, and is gone when the test
//! process is, however it ends. What is started stands in the cache, where `scripts/` puts it; the rig installs nothing.

mod authority;
pub mod error;
pub mod home;
pub mod http;
pub mod ids;
pub mod install;
pub mod kafka;
pub mod kubernetes;
pub mod machine;
pub mod operator;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod registry;
pub mod s3;
pub mod wait;
pub mod worker;

pub use error::RigError;
pub use http::{HttpProxy, HttpRule};
pub use ids::Ids;
pub use kafka::{Kafka, KafkaOptions, Listener};
pub use kubernetes::{Asked, Cluster, Controllers, FaultyApi, Kubernetes, User};
pub use machine::{Forward, Machine};
pub use operator::{Operator, OperatorOptions};
pub use proxy::{ApiKey, Direction, Proxy, Rule};
pub use registry::SchemaRegistry;
pub use s3::S3;
pub use worker::{Worker, WorkerOptions};
