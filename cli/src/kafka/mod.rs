//! What the program does with Kafka: run a pipeline, write records, print records.

#[cfg(feature = "kafka")]
mod cluster;
#[cfg(feature = "kafka")]
mod consume;
#[cfg(feature = "kafka")]
mod log;
#[cfg(not(feature = "kafka"))]
mod missing;
#[cfg(feature = "kafka")]
mod produce;
#[cfg(feature = "kafka")]
mod run;
#[cfg(feature = "kafka")]
mod snapshot;
#[cfg(feature = "kafka")]
mod traces;
#[cfg(feature = "kafka")]
mod webhooks;

#[cfg(feature = "kafka")]
pub use self::{consume::consume, produce::produce, run::run, snapshot::snapshot};

#[cfg(not(feature = "kafka"))]
pub use self::missing::{consume, produce, run, snapshot};
