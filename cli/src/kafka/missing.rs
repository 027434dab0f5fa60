//! What stands for Kafka in a program that was built without it.

use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_worker::source::Interrupt;
use tocsin_worker_core::plan::Plan;

use crate::args::{ConsumeArgs, ProduceArgs, RunArgs, SnapshotCommand};
use crate::failure::Failure;

fn missing() -> Result<(), Failure> {
    let what = "this tocsin was built without Kafka; build it with the feature `kafka`, as make install does";
    Err(Failure::Usage(what.to_owned()))
}

pub fn run(_: &RunArgs, _: &str, _: IncidentPipeline, _: Plan, _: Interrupt) -> Result<(), Failure> {
    missing()
}

pub fn produce(_: &ProduceArgs) -> Result<(), Failure> {
    missing()
}

pub fn snapshot(_: &SnapshotCommand) -> Result<(), Failure> {
    missing()
}

pub fn consume(_: &ConsumeArgs) -> Result<(), Failure> {
    missing()
}
