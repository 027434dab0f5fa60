//! `tocsin demo`: real series and generated alerts through one pipeline, and what was found.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;
use tocsin_worker::run::{InputKind, Settings, open_inputs};
use tocsin_worker::sink::{NullSink, Sink};
use tocsin_worker::source::{HttpIntake, HttpLimits, Interrupt, Speed};

use crate::args::DemoArgs;
use crate::failure::{Failure, say};
use crate::files;
use crate::incidents::Incidents;
use crate::page::Page;
use crate::progress::Progress;
use crate::run::{grouped, on_ctrl_c, wait_for};

/// Which series each service of the demo's pipeline is.
const SERIES: [(&str, &str); 5] = [
    ("office", "realKnownCause/ambient_temperature_system_failure.csv"),
    ("web", "realKnownCause/ec2_request_latency_system_failure.csv"),
    ("batch", "realAWSCloudwatch/ec2_cpu_utilization_24ae8d.csv"),
    ("database", "realAWSCloudwatch/ec2_cpu_utilization_5f5533.csv"),
    ("render", "realAWSCloudwatch/ec2_cpu_utilization_825cc2.csv"),
];

/// Runs the demo's pipeline and prints what it found.
pub fn demo(args: &DemoArgs) -> Result<(), Failure> {
    let samples = samples(args)?;
    let file = samples.join("demo.yaml");
    let loaded = files::pipeline(&file, &[])?;
    loaded.runnable()?;
    let (mut pipeline, plan) = (loaded.pipeline, loaded.plan);
    let generators = pipeline
        .spec
        .sources
        .iter_mut()
        .filter_map(|source| source.generator.as_mut());
    generators.for_each(|generator| generator.count = Some(args.alerts));
    let interrupt = Interrupt::default();
    on_ctrl_c(&interrupt);
    let kinds: Vec<InputKind> = pipeline
        .spec
        .sources
        .iter()
        .map(|source| match &source.file {
            Some(declared) => InputKind::File(samples.join(&declared.path)),
            None => InputKind::AsDeclared,
        })
        .collect();
    let mut intake = HttpIntake::new(HttpLimits::default());
    let inputs = open_inputs(
        &pipeline.spec.sources,
        &plan.sources,
        &kinds,
        Speed::Max,
        &interrupt,
        &mut intake,
    )?;
    let sinks = plan.sinks.iter().map(|_| Box::new(NullSink) as Box<dyn Sink>).collect();
    let page = Page::serve(&plan, args.port, axum::Router::new())?;
    say(&format!("Tocsin demo: {}", file.display()))?;
    say(&format!(
        "  five real series of the Numenta Anomaly Benchmark, and {} generated alerts of 1,000 services",
        grouped(args.alerts)
    ))?;
    say(&format!("  live page: {}\n", page.address()))?;

    let found = Rc::new(RefCell::new(Found::default()));
    let names: Vec<String> = plan.stages.iter().map(|stage| stage.name.clone()).collect();
    let watch = Rc::clone(&found);
    let mut progress = Progress::with_rows(Some(&page), move |stage, rows| {
        let mut found = watch.borrow_mut();
        match names.get(stage).map(String::as_str) {
            Some("incidents") => rows.rows().for_each(|row| found.incidents.take(row)),
            Some("outages") => rows.rows().for_each(|row| found.outages.take(row)),
            _ => {}
        }
    });
    let settings = Settings {
        watched: true,
        stop_on_error: false,
        dead_letters: None,
        interrupt: interrupt.clone(),
    };
    let summary = tocsin_worker::run::run(plan, inputs, sinks, &settings, &mut progress);
    progress.finish();
    let summary = summary?;
    page.finish(&summary);

    let found = found.borrow();
    say("Incidents in the real series")?;
    say(&found.incidents.table("service", 40, |_| true))?;
    say(&format!("{}\n", against_labels(&found.incidents, &windows(&samples)?)))?;
    say(&format!(
        "Outages in the generated alerts: {}, the first {}",
        found.outages.n(),
        found.outages.n().min(SHOWN)
    ))?;
    say(&format!("{}\n", found.outages.table("service", SHOWN, |_| true)))?;
    say(&format!(
        "{} events in {:.1} s: {} a second on one thread, each read, checked, counted, and grouped.",
        grouped(summary.events),
        summary.seconds,
        grouped(summary.events_per_second as u64)
    ))?;
    say("What `make demo` builds favours a short build time; `make bench` measures the optimised build.")?;
    if args.serve && !interrupt.is_raised() {
        say(&format!("\nThe live page stays at {} until Ctrl-C.", page.address()))?;
        wait_for(&interrupt);
    }
    Ok(())
}

/// Outages that are shown.
const SHOWN: usize = 12;

#[derive(Default)]
struct Found {
    incidents: Incidents,
    outages: Incidents,
}

/// Labelled windows by series: (from, to), as texts that compare like times.
type Windows = BTreeMap<String, Vec<(String, String)>>;

fn windows(samples: &Path) -> Result<Windows, Failure> {
    let path = samples.join("data/nab/windows.json");
    serde_json::from_str(&files::read(&path)?)
        .map_err(|error| Failure::Io(format!("{} cannot be read: {error}", path.display())))
}

/// How the incidents compare with what people labelled in the series.
fn against_labels(incidents: &Incidents, windows: &Windows) -> String {
    let text = |row: &serde_json::Map<String, Value>, name: &str| -> String {
        let time = row.get(name).and_then(Value::as_str).unwrap_or_default();
        time.replace('T', " ").trim_end_matches('Z').to_owned()
    };
    let (mut n_windows, mut n_found, mut n_inside) = (0, 0, 0);
    for (service, series) in SERIES {
        let of_service = || {
            incidents
                .all()
                .filter(|row| row.get("service").and_then(Value::as_str) == Some(service))
        };
        let inside = |row: &serde_json::Map<String, Value>, (from, to): &(String, String)| {
            let opened = text(row, "opened_at");
            *from <= opened && opened <= *to
        };
        let windows = windows.get(series).map(Vec::as_slice).unwrap_or_default();
        n_windows += windows.len();
        n_found += windows
            .iter()
            .filter(|window| of_service().any(|row| inside(row, window)))
            .count();
        n_inside += of_service()
            .filter(|row| windows.iter().any(|window| inside(row, window)))
            .count();
    }
    format!(
        "{n_found} of the {n_windows} windows that people labelled as anomalous have an incident; \
         {n_inside} of {} incidents are inside one.\nThe thresholds were set by hand on these very series, so this shows that \
         the rules work, not how well they predict.",
        incidents.n()
    )
}

/// The folder with the samples: as said, below the working folder, or beside the program.
fn samples(args: &DemoArgs) -> Result<PathBuf, Failure> {
    let has_demo = |folder: &PathBuf| folder.join("demo.yaml").is_file();
    if let Some(folder) = &args.samples {
        return if has_demo(folder) {
            Ok(folder.clone())
        } else {
            Err(Failure::Usage(format!("{} has no demo.yaml", folder.display())))
        };
    }
    let program = std::env::current_exe().ok();
    let around = program
        .iter()
        .flat_map(|program| program.ancestors())
        .map(|folder| folder.join("samples"));
    std::iter::once(PathBuf::from("samples"))
        .chain(around)
        .find(has_demo)
        .ok_or_else(|| {
            Failure::Usage("the samples are not here; run it in Tocsin's folder, or give --samples DIR".to_owned())
        })
}
