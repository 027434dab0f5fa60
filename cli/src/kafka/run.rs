//! Runs a pipeline on Kafka until Ctrl-C.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_contract::topics::InternalTopics;
use tocsin_worker::delivery::Deliveries;
use tocsin_worker::shards::{self, Job, Report, Settings, ShardsError, Target};
use tocsin_worker::source::Interrupt;
use tocsin_worker_core::plan::Plan;

use super::{cluster, webhooks};
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
        interrupt,
    };
    let paths = sink_paths(args, &pipeline, &plan)?;
    let targets = targets(args, &pipeline, &plan, &settings.topics, &paths)?;
    let deliveries = webhooks::deliveries(args, &pipeline, &plan, &paths)?;
    note(format!("{}: from Kafka at {bootstrap}; Ctrl-C ends it", plan.name));
    let started = Instant::now();
    let job = Job {
        plan,
        sources: pipeline.spec.sources,
        targets,
    };
    let deliveries = Deliveries::start(deliveries, &webhooks::settings(&settings))?;
    let metrics = deliveries.metrics();
    let outcome = shards::run(job, &settings);
    let delivered = deliveries.finish();
    let report = outcome.map_err(|error| match error {
        ShardsError::Problems(problems) => Failure::Pipeline {
            file: args.pipeline.display().to_string(),
            problems,
        },
        other => Failure::Io(other.to_string()),
    })?;
    tell(&report, started.elapsed().as_secs_f64());
    webhooks::tell(&metrics);
    Ok(delivered?)
}

/// A sink that names a topic writes to it, and a webhook to its buffer, unless `--output` says otherwise.
fn targets(
    args: &RunArgs,
    pipeline: &IncidentPipeline,
    plan: &Plan,
    topics: &InternalTopics,
    paths: &[Option<PathBuf>],
) -> Result<Vec<Target>, Failure> {
    let opened = open_sinks(args, plan, paths)?;
    let of_sink = pipeline.spec.sinks.iter().zip(paths).zip(opened);
    Ok(of_sink
        .map(
            |((declared, path), opened)| match (&declared.kafka, &declared.webhook, path) {
                (Some(kafka), _, None) => Target::Topic(kafka.topic.clone()),
                (None, Some(_), None) => Target::Topic(topics.buffer(&declared.name).as_str().to_owned()),
                _ => Target::Local(opened),
            },
        )
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
