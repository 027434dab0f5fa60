//! `tocsin run --bootstrap`: from Kafka to Kafka.

#[cfg(feature = "kafka")]
mod cluster;
#[cfg(feature = "kafka")]
mod run;

#[cfg(feature = "kafka")]
pub use self::run::run;

#[cfg(not(feature = "kafka"))]
pub fn run(
    _: &crate::args::RunArgs,
    _: &str,
    _: tocsin_contract::pipeline::IncidentPipeline,
    _: tocsin_worker_core::plan::Plan,
    _: tocsin_worker::source::Interrupt,
) -> Result<(), crate::failure::Failure> {
    Err(crate::failure::Failure::Usage(
        "this tocsin was built without Kafka; build it with the feature `kafka`, as make install does".to_owned(),
    ))
}
