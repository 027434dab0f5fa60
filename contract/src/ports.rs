//! Ports that the parts reach each other at.

/// A worker's probes, metrics, status and live page.
pub const ADMIN: u16 = 9090;
/// Name of [`ADMIN`] in services and probes.
pub const ADMIN_NAME: &str = "admin";
/// Where an `http` source of a worker takes events.
pub const INGEST: u16 = 8088;
/// Name of [`INGEST`] in services.
pub const INGEST_NAME: &str = "ingest";
/// The live page of `tocsin run`, on this machine alone.
pub const LIVE_PAGE: u16 = 4600;
/// The operator's probes and metrics.
pub const OPERATOR: u16 = 8080;
/// The operator's admission webhook.
pub const WEBHOOK: u16 = 9443;
/// Kafka's listener for the pipeline itself.
pub const KAFKA: u16 = 9092;
/// Kafka's listener for its controllers.
pub const KAFKA_CONTROLLER: u16 = 9090;
