//! Runs a pipeline on Kafka until Ctrl-C.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_contract::pipeline::state::State;
use tocsin_contract::topics::InternalTopics;
use tocsin_worker::shards::{self, Job, Report, Settings, ShardsError, SnapshotSettings, Target};
use tocsin_worker::snapshots::StoreAddress;
use tocsin_worker::source::Interrupt;
use tocsin_worker_core::plan::Plan;

use super::cluster;
use crate::args::RunArgs;
use crate::failure::{Failure, note};
use crate::run::{grouped, open_sinks, sink_paths};

/// Environment variable with a filter for the log, as `tracing` has it: `debug`, `tocsin_worker=debug`.
const LOG: &str = "TOCSIN_LOG";

/// Runs a pipeline on Kafka.
pub fn run(
    args: &RunArgs,
    bootstrap: &str,
    pipeline: IncidentPipeline,
    plan: Plan,
    interrupt: Interrupt,
) -> Result<(), Failure> {
    log();
    let settings = Settings {
        cluster: cluster::settings(bootstrap, &pipeline.spec.kafka, args.secrets.as_deref())?,
        group: plan.name.clone(),
        topics: InternalTopics::of(&plan.name),
        instance: args.worker.clone(),
        threads: args.threads.unwrap_or_else(cores),
        starting_offsets: pipeline.spec.kafka.starting_offsets,
        makes_topics: pipeline.spec.kafka.manage_topics,
        savepoints: Arc::default(),
        snapshots: snapshots(args, &pipeline.spec.state),
        interrupt,
    };
    let targets = targets(args, &pipeline, &plan)?;
    note(format!("{}: from Kafka at {bootstrap}; Ctrl-C ends it", plan.name));
    let started = Instant::now();
    let job = Job {
        plan,
        sources: pipeline.spec.sources,
        targets,
    };
    let report = shards::run(job, &settings).map_err(|error| match error {
        ShardsError::Problems(problems) => Failure::Pipeline {
            file: args.pipeline.display().to_string(),
            problems,
        },
        other => Failure::Io(other.to_string()),
    })?;
    tell(&report, started.elapsed().as_secs_f64());
    Ok(())
}

/// Where snapshots go, and how often.
fn snapshots(args: &RunArgs, state: &State) -> Option<SnapshotSettings> {
    let checkpoint = &state.checkpoint;
    Some(SnapshotSettings {
        address: StoreAddress::new(args.state.clone()?),
        interval: time(checkpoint.interval),
        min_pause: time(checkpoint.min_pause),
        retained: checkpoint.retained as usize,
        incremental: checkpoint.incremental,
        may_drop: state.allow_non_restored_state || args.allow_non_restored_state,
    })
}

fn time(duration: tocsin_contract::duration::Duration) -> std::time::Duration {
    std::time::Duration::from_micros(duration.as_micros().unsigned_abs())
}

/// A sink that names a topic writes to it, unless `--output` says otherwise.
fn targets(args: &RunArgs, pipeline: &IncidentPipeline, plan: &Plan) -> Result<Vec<Target>, Failure> {
    let paths = sink_paths(args, pipeline, plan)?;
    let opened = open_sinks(args, plan, &paths)?;
    let of_sink = pipeline.spec.sinks.iter().zip(&paths).zip(opened);
    Ok(of_sink
        .map(|((declared, path), opened)| match (&declared.kafka, path) {
            (Some(kafka), None) => Target::Topic(kafka.topic.clone()),
            _ => Target::Local(opened),
        })
        .collect())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn tell(report: &Report, seconds: f64) {
    note(format!(
        "{} events in {seconds:.2} s, {} rows out, {} transactions",
        grouped(report.records),
        grouped(report.rows),
        grouped(report.commits)
    ));
    if report.snapshots > 0 {
        note(format!("{} snapshots", grouped(report.snapshots)));
    }
    if report.dead > 0 {
        note(format!(
            "{} bad records went to the dead-letter topic",
            grouped(report.dead)
        ));
    }
    if report.aborts + report.reinitialised > 0 {
        note(format!(
            "{} transactions were sent again, {} producers were begun anew",
            grouped(report.aborts),
            grouped(report.reinitialised)
        ));
    }
}

fn log() {
    let filter = std::env::var(LOG).unwrap_or_else(|_| "warn".to_owned());
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_default();
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Whoever set up a log before keeps theirs.
    logging.try_init().ok();
}
