//! The command line.

use clap::{Parser, Subcommand, ValueEnum};

/// Measures Tocsin against Flink and a loop over librdkafka, on one Kafka.
#[derive(Debug, Parser)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure, and print result lines
    Run(RunArgs),
    /// Read a topic with librdkafka, as one of the engines that are measured
    LibrdkafkaLoop(LoopArgs),
}

/// What is measured.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Rows to measure; all by default
    #[arg(long, value_enum, value_delimiter = ',')]
    pub rows: Vec<Row>,
    /// Rounds; each runs every engine once, in turn
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Alerts in the topic that is read to its end
    #[arg(long, default_value_t = 40_000_000)]
    pub events: u64,
    /// Seconds that a live load is measured for
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Seconds of the same load before that
    #[arg(long, default_value_t = 10)]
    pub warm_up_seconds: u64,
    /// Alerts a second of the row `latency`
    #[arg(long, default_value_t = 50_000)]
    pub latency_rate: u64,
    /// Alerts a second of the row `production`
    #[arg(long, default_value_t = 1_000_000)]
    pub production_rate: u64,
    /// Alerts a second of the row `recovery`
    #[arg(long, default_value_t = 100_000)]
    pub recovery_rate: u64,
    /// Services that are in the state of the rows `recovery` and `snapshots`
    #[arg(long, default_value_t = 10_000_000)]
    pub state_keys: u64,
    /// Partitions of topics; engines work with as many threads
    #[arg(long, default_value_t = 2)]
    pub partitions: u32,
    /// Records of a batch in the topic that is read to its end
    #[arg(long, default_value_t = 1_000)]
    pub batch: u64,
    /// Lets Flink read the whole topic once before its run is measured
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub flink_warm_up: bool,
    /// Java's options for Flink
    #[arg(
        long,
        value_delimiter = ' ',
        allow_hyphen_values = true,
        default_value = "-Xms4g -Xmx4g -XX:+UseParallelGC"
    )]
    pub flink_java: Vec<String>,
}

/// A row of the table of speeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Row {
    /// The headline job, events a CPU-second against Flink, at least once
    AtLeastOnce,
    /// The same, each result once
    ExactlyOnce,
    /// Events a second on one core, the broker on the other
    OneCore,
    /// Wall time against a loop over librdkafka that picks two fields
    Loop,
    /// From produce to a committed read, at 50,000 alerts a second
    Latency,
    /// The same at a million alerts a second; who uses the processors
    Production,
    /// Latency with one hop through a repartition topic
    Repartition,
    /// From an alert to the pager: what is built of samples/noc.yaml, with incidents in the order of event time and as they come
    Pager,
    /// From kill -9 to the first new output
    Recovery,
    /// How fast snapshots are written and read
    Snapshots,
}

/// What the loop over librdkafka reads.
#[derive(Debug, clap::Args)]
pub struct LoopArgs {
    /// The brokers
    #[arg(long)]
    pub bootstrap: String,
    /// The topic
    #[arg(long)]
    pub topic: String,
    /// Its partitions
    #[arg(long)]
    pub partitions: u32,
}
