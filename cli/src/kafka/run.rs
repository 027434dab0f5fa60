//! Runs a pipeline on Kafka until Ctrl-C.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_contract::pipeline::state::State;
use tocsin_contract::topics::InternalTopics;
use tocsin_kafka::{ClientKind, ClusterSettings};
use tocsin_worker::admin::{Access, Admin, AdminError, AdminOptions};
use tocsin_worker::delivery::Deliveries;
use tocsin_worker::metrics::{About, Measures};
use tocsin_worker::page::Watcher;
use tocsin_worker::shards::{
    self, Job, Leaving, Report, Settings, ShardsError, SnapshotSettings, Target, WorkerControl,
};
use tocsin_worker::snapshots::StoreAddress;
use tocsin_worker::source::Interrupt;
use tocsin_worker_core::plan::Plan;

use super::{cluster, log, webhooks};
use crate::args::{ClientArg, LeaveGroup, RunArgs};
use crate::failure::{Failure, note};
use crate::run::{grouped, open_sinks, sink_paths};

/// Runs a pipeline on Kafka.
pub fn run(
    args: &RunArgs,
    bootstrap: &str,
    pipeline: IncidentPipeline,
    plan: Plan,
    interrupt: Interrupt,
) -> Result<(), Failure> {
    let traces = log::begin(args.live.clone(), args.admin.otlp.as_deref(), &plan.name, &args.worker)?;
    // Where others use the Kafka too, the namespace tells pipelines of one name apart.
    let (topics, group) = match &args.namespace {
        None => (InternalTopics::of(&plan.name), plan.name.clone()),
        Some(namespace) => (
            InternalTopics::shared(namespace, &plan.name),
            format!("{namespace}.{}", plan.name),
        ),
    };
    let measures = Measures::new(About::of(&plan, &pipeline.spec.sources, &args.worker));
    let settings = Settings {
        cluster: ClusterSettings {
            client: args.client.into(),
            rack: args.rack.clone(),
            ..cluster::settings(bootstrap, &pipeline.spec.kafka, args.secrets.as_deref())?
        },
        pipeline: plan.name.clone(),
        group,
        topics,
        instance: args.worker.clone(),
        leaving: Arc::new(match args.leave_group {
            LeaveGroup::Always => Leaving::always(),
            LeaveGroup::OnDrain => Leaving::only_drained(),
        }),
        threads: args.threads.map_or_else(cores, usize::from),
        starting_offsets: pipeline.spec.kafka.starting_offsets,
        delivery: pipeline.spec.delivery,
        makes_topics: pipeline.spec.kafka.manage_topics,
        on_growth: pipeline.spec.partitions.on_growth,
        renew_offsets: time(args.renew_offsets),
        savepoints: Arc::default(),
        snapshots: snapshots(args, &pipeline.spec.state),
        interrupt,
        measures,
    };
    let paths = sink_paths(args, &pipeline, &plan)?;
    let targets = targets(args, &pipeline, &plan, &settings.topics, &paths)?;
    let deliveries = webhooks::deliveries(args, &pipeline, &plan, &paths)?;
    note(format!("{}: from Kafka at {bootstrap}; Ctrl-C ends it", plan.name));
    if settings.cluster.client() == ClientKind::Librdkafka {
        note(format!(
            "records are read and written by {}",
            settings.cluster.client_and_why()
        ));
    }
    let admin = serve_admin(args, &plan, &settings)?;
    let started = Instant::now();
    let job = Job {
        plan,
        sources: pipeline.spec.sources,
        targets,
    };
    let deliveries = Deliveries::start(deliveries, &webhooks::settings(&settings))?;
    let metrics = deliveries.metrics();
    settings.measures.deliveries(metrics.clone());
    let outcome = shards::run(job, &settings);
    let delivered = deliveries.finish();
    // Its clients are told the last figures.
    drop(admin);
    drop(traces);
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
        restore_from: args
            .restore_from
            .as_deref()
            .map(|name| savepoint(name, args.state.as_deref())),
        resume_from: args
            .resume_from
            .as_deref()
            .map(|name| savepoint(name, args.state.as_deref())),
        rewind_to_epoch: args.rewind_to_epoch,
    })
}

/// The name of a savepoint; its whole address does as well.
fn savepoint(name: &str, state: Option<&str>) -> String {
    let below = state.and_then(|state| name.strip_prefix(state.trim_end_matches('/')));
    below.unwrap_or(name).trim_matches('/').to_owned()
}

fn time(duration: tocsin_contract::duration::Duration) -> std::time::Duration {
    std::time::Duration::from_micros(duration.as_micros().unsigned_abs())
}

/// The admin server, if one is asked for.
fn serve_admin(args: &RunArgs, plan: &Plan, settings: &Settings) -> Result<Option<Admin>, Failure> {
    let Some(address) = args.admin.admin else {
        return Ok(None);
    };
    let options = AdminOptions {
        address,
        access: Access {
            token_file: args.admin.admin_token_file.clone(),
            tls: args.admin.admin_tls.clone(),
            open_metrics: args.admin.admin_open_metrics,
        },
    };
    let page = (!args.no_page).then(|| Watcher::new(plan));
    let control = Arc::new(WorkerControl {
        interrupt: settings.interrupt.clone(),
        leaving: Arc::clone(&settings.leaving),
        pipeline: plan.name.clone(),
        savepoints: Arc::clone(&settings.savepoints),
        state: settings.snapshots.as_ref().map(|snapshots| snapshots.address.clone()),
    });
    let admin = Admin::start(&options, &settings.measures, control, page)?;
    note(format!("admin: {}", admin.url()));
    Ok(Some(admin))
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let message = format!("--admin: {error}");
        if error.is_usage() {
            Self::Usage(message)
        } else {
            Self::Io(message)
        }
    }
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
                (None, Some(_), None) => Target::Buffer(topics.buffer(&declared.name).as_str().to_owned()),
                _ => Target::Local(opened),
            },
        )
        .collect())
}

impl From<ClientArg> for ClientKind {
    fn from(client: ClientArg) -> Self {
        match client {
            ClientArg::Own => Self::Own,
            ClientArg::Librdkafka => Self::Librdkafka,
        }
    }
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
