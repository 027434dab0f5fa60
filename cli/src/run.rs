//! `tocsin run`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_contract::reach::{cluster_only_fields, kafka_fields};
use tocsin_worker::run::{FinalRows, InputKind, Settings, Summary, open_inputs};
use tocsin_worker::sink::{FileSink, SharedStdout, Sink};
use tocsin_worker::source::{HttpIntake, HttpLimits, Interrupt};
use tocsin_worker_core::plan::{Plan, StreamId};

use crate::args::{Format, Named, OnError, RunArgs};
use crate::failure::{Failure, note};
use crate::files;
use crate::page::Page;
use crate::progress::Progress;
use crate::table::TableSink;
use crate::targets::{Used, refuse_overwriting};

/// Runs a pipeline.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let loaded = files::pipeline(&args.pipeline, &args.rules)?;
    for warning in &loaded.plan.warnings {
        note(format!("{}: warning: {warning}", args.pipeline.display()));
    }
    loaded.runnable()?;
    let (pipeline, plan) = (loaded.pipeline, loaded.plan);
    if args.bootstrap.is_none() {
        tell_ignored("without effect but with --bootstrap", &kafka_fields(&pipeline.spec));
    }
    tell_ignored("only a cluster reads", &cluster_only_fields(&pipeline.spec));
    if let Some(folder) = args.secrets.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(Failure::Io(format!(
            "--secrets {}: there is no such folder",
            folder.display()
        )));
    }
    let interrupt = Interrupt::default();
    on_ctrl_c(&interrupt);
    if let Some(bootstrap) = &args.bootstrap {
        return crate::kafka::run(args, bootstrap, pipeline, plan, interrupt);
    }
    let kinds = input_kinds(&pipeline, &args.input, &args.pipeline)?;
    let paths = sink_paths(args, &pipeline, &plan)?;
    refuse_webhooks(&pipeline, &paths)?;
    check_targets(args, &plan, &kinds, &paths)?;
    let mut intake = HttpIntake::new(HttpLimits::default());
    let inputs = open_inputs(
        &pipeline.spec.sources,
        &plan.sources,
        &kinds,
        args.speed,
        &interrupt,
        &mut intake,
    )?;
    let sinks = open_sinks(args, &plan, &paths)?;
    let listeners = intake.take_listeners();
    for listener in &listeners {
        note(format!("events: POST {}", listener.url()));
    }
    let pushed = intake.names();
    let page = if args.no_page && pushed.is_empty() {
        None
    } else {
        Some(Page::serve(&plan, args.port, intake.into_router())?)
    };
    if let Some(page) = &page {
        note(format!("live page: {}", page.address()));
        for source in pushed {
            note(format!("events: POST {}v1/sources/{source}", page.address()));
        }
    }
    let settings = Settings {
        watched: page.is_some(),
        stop_on_error: args.on_error == OnError::Stop,
        dead_letters: args.dead_letters.clone(),
        interrupt: interrupt.clone(),
    };
    let mut progress = Progress::new(page.as_ref());
    let summary = tocsin_worker::run::run(plan, inputs, sinks, &settings, &mut progress);
    progress.finish();
    let summary = summary?;
    drop(listeners);
    tell(&summary, args);
    if let Some(page) = page {
        page.finish(&summary);
        if args.keep_page && !interrupt.is_raised() {
            note(format!("the page stays at {} until Ctrl-C", page.address()));
            wait_for(&interrupt);
        }
    }
    Ok(())
}

fn tell_ignored(why: &str, fields: &[String]) {
    if !fields.is_empty() {
        note(format!("{why}: {}", fields.join(", ")));
    }
}

/// What was read and what is worth knowing, on standard error.
pub fn tell(summary: &Summary, args: &RunArgs) {
    let dead: u64 = summary.dead.values().sum();
    note(format!(
        "{} events in {:.2} s ({} a second){}",
        grouped(summary.events),
        summary.seconds,
        grouped(summary.events_per_second as u64),
        if summary.interrupted { ", interrupted" } else { "" }
    ));
    if dead > 0 {
        let causes: Vec<String> = summary.dead.iter().map(|(cause, n)| format!("{cause} {n}")).collect();
        let place = match &args.dead_letters {
            Some(path) => format!("in {}", path.display()),
            None => "give --dead-letters PATH to keep them".to_owned(),
        };
        let records = if dead == 1 { "record" } else { "records" };
        note(format!(
            "{} bad {records} ({}): {place}",
            grouped(dead),
            causes.join(", ")
        ));
    }
    for source in &summary.sources {
        if source.records > 0 && source.dead == source.records {
            note(format!(
                "{}: no record could be read; `format.type` says whether they are Json (one a line) or Csv",
                source.name
            ));
        }
        if source.records == 0 && !summary.interrupted {
            note(format!("{}: the input is empty", source.name));
        }
        for (column, n) in &source.mismatches {
            // Above 1 % it is more likely the pipeline that is wrong than the records.
            let drift = if *n * 100 > source.records {
                "; declare its type in format.fields"
            } else {
                ""
            };
            note(format!(
                "{}: `{column}` had another type than its use in {} of {} events, taken as NULL{drift}",
                source.name,
                grouped(*n),
                grouped(source.records)
            ));
        }
    }
    for stage in summary.stages.iter().filter(|stage| stage.late > 0) {
        note(format!(
            "{}: {} rows came too late (stream `{}.late`)",
            stage.name,
            grouped(stage.late),
            stage.name
        ));
    }
    for stage in summary.stages.iter().filter(|stage| stage.failed_operations > 0) {
        note(format!(
            "{}: an operation in its expressions failed {} times and gave NULL",
            stage.name,
            grouped(stage.failed_operations)
        ));
    }
}

/// A number with its thousands apart.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn input_kinds(pipeline: &IncidentPipeline, given: &[Named], file: &Path) -> Result<Vec<InputKind>, Failure> {
    let names: Vec<&str> = pipeline
        .spec
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    let given = files::by_name(given, &names, "--input", "source")?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let kinds: Vec<InputKind> = pipeline
        .spec
        .sources
        .iter()
        .map(|source| match (given.get(source.name.as_str()), &source.file) {
            (Some(path), _) if *path == Path::new("-") => InputKind::Stdin,
            (Some(path), _) => InputKind::File(path.to_path_buf()),
            // A path in the file is relative to the file.
            (None, Some(declared)) => InputKind::File(folder.join(&declared.path)),
            (None, None) if source.stdin.is_some() => InputKind::Stdin,
            (None, None) => InputKind::AsDeclared,
        })
        .collect();
    if kinds.iter().filter(|kind| **kind == InputKind::Stdin).count() > 1 {
        return Err(Failure::Usage(
            "standard input can stand for one source only".to_owned(),
        ));
    }
    Ok(kinds)
}

/// The files that stand for the sinks, in the plan's order; none, or `-`, is standard output.
pub fn sink_paths(args: &RunArgs, pipeline: &IncidentPipeline, plan: &Plan) -> Result<Vec<Option<PathBuf>>, Failure> {
    let names: Vec<&str> = plan.sinks.iter().map(|sink| sink.name.as_str()).collect();
    let given = files::by_name(&args.output, &names, "--output", "sink")?;
    let sinks = plan.sinks.iter().zip(&pipeline.spec.sinks);
    let paths = sinks.map(|(sink, declared)| match given.get(sink.name.as_str()) {
        Some(path) => Some(path.to_path_buf()),
        None => declared.file.as_ref().map(|file| PathBuf::from(&file.path)),
    });
    Ok(paths.collect())
}

/// Rows for a webhook wait in Kafka until they are delivered; without one they would be lost with the process.
fn refuse_webhooks(pipeline: &IncidentPipeline, paths: &[Option<PathBuf>]) -> Result<(), Failure> {
    let mut sinks = pipeline.spec.sinks.iter().zip(paths);
    match sinks.find(|(sink, path)| sink.webhook.is_some() && path.is_none()) {
        None => Ok(()),
        Some((sink, _)) => Err(Failure::Usage(format!(
            "sink `{name}` posts to a webhook, whose rows wait in a Kafka until they are delivered: give --bootstrap, or \
             --output {name}=PATH to have them in a file (`-` prints them)",
            name = sink.name
        ))),
    }
}

fn check_targets(args: &RunArgs, plan: &Plan, kinds: &[InputKind], paths: &[Option<PathBuf>]) -> Result<(), Failure> {
    let sources = plan.sources.iter().zip(kinds).filter_map(|(source, kind)| match kind {
        InputKind::File(path) => Some(Used::new(format!("source `{}`", source.name), path)),
        InputKind::Stdin | InputKind::AsDeclared => None,
    });
    let rules = args
        .rules
        .iter()
        .map(|named| Used::new(format!("--rules {}", named.name), &named.path));
    let pipeline = Used::new("this run as its pipeline", &args.pipeline);
    let read: Vec<Used> = sources.chain(rules).chain([pipeline]).collect();
    let sinks = plan.sinks.iter().zip(paths).filter_map(|(sink, path)| {
        let path = path.as_ref().filter(|path| path.as_path() != Path::new("-"))?;
        Some(Used::new(format!("sink `{}`", sink.name), path))
    });
    let dead = args.dead_letters.iter().map(|path| Used::new("--dead-letters", path));
    let written: Vec<Used> = sinks.chain(dead).collect();
    refuse_overwriting(&read, &written)
}

pub fn open_sinks(args: &RunArgs, plan: &Plan, paths: &[Option<PathBuf>]) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let stdout = SharedStdout::new();
    let format = args.format.unwrap_or(if std::io::stdout().is_terminal() {
        Format::Table
    } else {
        Format::Json
    });
    let tables = TableSink::shared();
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    for (sink, path) in plan.sinks.iter().zip(paths) {
        let opened: Box<dyn Sink> = match path {
            Some(path) if path != Path::new("-") => Box::new(FileSink::create(path)?),
            Some(_) => Box::new(stdout.sink()),
            None if format == Format::Table => Box::new(tables.sink()),
            None => Box::new(stdout.named_sink(&sink.name)),
        };
        let key = match sink.stream {
            StreamId::Stage(i) => plan.stages[i].key.clone(),
            StreamId::Source(_) | StreamId::Late(_) => Vec::new(),
        };
        sinks.push(if args.only_final {
            Box::new(FinalRows::new(opened, key))
        } else {
            opened
        });
    }
    Ok(sinks)
}

/// The first Ctrl-C ends the run cleanly, the second at once.
pub fn on_ctrl_c(interrupt: &Interrupt) {
    let interrupt = interrupt.clone();
    let n_signals = Arc::new(AtomicUsize::new(0));
    let handle = move || {
        if n_signals.fetch_add(1, Ordering::Relaxed) == 0 {
            // First, as nothing else may keep the run from ending.
            interrupt.raise();
            note("\nending: what was read is processed; once more ends at once");
        } else {
            signal_hook::low_level::exit(130);
        }
    };
    let signals = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
    if let Ok(mut signals) = signal_hook::iterator::Signals::new(signals) {
        std::thread::spawn(move || signals.forever().for_each(|_| handle()));
    }
}

/// Waits until the run is interrupted.
#[expect(clippy::disallowed_methods, reason = "there is nothing to do but wait for Ctrl-C")]
pub fn wait_for(interrupt: &Interrupt) {
    while !interrupt.is_raised() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
