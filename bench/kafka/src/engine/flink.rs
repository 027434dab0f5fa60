//! Flink: the job of `bench/flink`, in one process of its own.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use tocsin_e2e::home;
use tocsin_e2e::process::Process;

use super::{Delivery, Running, Topics};
use crate::broker::Broker;
use crate::cpu::Moment;

/// The class path; `bench/flink.sh` sets it.
const CLASS_PATH: &str = "TOCSIN_BENCH_FLINK";

/// What the job says when the run begins that is measured.
const BEGUN: &str = "the measured run has begun";

/// What Flink's serializers need of Java 17.
const OPENED: [&str; 4] = [
    "--add-opens",
    "java.base/java.lang=ALL-UNNAMED",
    "--add-opens",
    "java.base/java.util=ALL-UNNAMED",
];

/// How it runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a crash does to results.
    pub delivery: Delivery,
    /// Whether it checks what it does not read.
    pub is_strict: bool,
    /// Java's options.
    pub java: Vec<String>,
    /// Whether it reads the whole topic once before.
    pub warms_up: bool,
    /// How long that may take.
    pub within: Duration,
}

impl Options {
    /// Results come with checkpoints when each is there once: then they are frequent.
    fn checkpoint_millis(&self) -> u32 {
        match self.delivery {
            Delivery::AtLeastOnce => 10_000,
            Delivery::ExactlyOnce => 1_000,
        }
    }
}

/// Starts it, and waits until the run begins that is measured.
pub fn start(broker: &Broker, topics: &Topics, options: &Options) -> anyhow::Result<Running> {
    let class_path = std::env::var(CLASS_PATH);
    let class_path =
        class_path.with_context(|| format!("{CLASS_PATH} is not the class path that scripts/flink.sh prints"))?;
    let folder = home::new_folder(&topics.run)?;
    let log = folder.join("log");
    let mut command = Command::new("java");
    command
        .args(&options.java)
        .args(OPENED)
        .args(["-cp", &class_path, "dev.tocsin.bench.HeadlineJob"])
        .current_dir(&folder);
    let warm_up = Topics::new(&format!("{}-warm-up", topics.run), &topics.alerts);
    let arguments = [
        ("bootstrap", broker.bootstrap()?),
        ("topic", topics.alerts.clone()),
        ("group", topics.run.clone()),
        ("measured-counts", topics.counts.clone()),
        ("measured-escalations", topics.escalations.clone()),
        ("warm-up-counts", warm_up.counts.clone()),
        ("warm-up-escalations", warm_up.escalations.clone()),
        (
            "delivery",
            match options.delivery {
                Delivery::AtLeastOnce => "AT_LEAST_ONCE".to_owned(),
                Delivery::ExactlyOnce => "EXACTLY_ONCE".to_owned(),
            },
        ),
        ("checkpoint-millis", options.checkpoint_millis().to_string()),
        ("parallelism", broker.partitions().to_string()),
        // If not, it stops behind the last field that it needs.
        ("strict", options.is_strict.to_string()),
        ("warm-up", options.warms_up.to_string()),
        ("folder", folder.join("checkpoints").display().to_string()),
    ];
    command.args(arguments.map(|(name, value)| format!("{name}={value}")));
    let of_warm_up = [warm_up.counts.as_str(), warm_up.escalations.as_str()];
    if options.warms_up {
        of_warm_up.iter().try_for_each(|topic| broker.create(topic))?;
    }
    let process = Process::start("Flink", &command, &log)?;
    process.ready("the run that is measured", options.within, || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        said.lines().any(|line| line == BEGUN).then_some(())
    })?;
    let since = Moment::now(Some(process.pid()), broker.pid()?)?;
    if options.warms_up {
        broker.delete(&of_warm_up)?;
    }
    Ok(Running { process, since })
}
