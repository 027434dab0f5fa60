//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, Subcommand, ValueEnum};
use tocsin_contract::duration::Duration;
use tocsin_contract::ports::LIVE_PAGE;
use tocsin_worker::source::Speed;
use tocsin_worker_core::delivery::address::Network;

pub use crate::arg_values::{Named, TopicAddress};
use crate::arg_values::{listening, namespace, period, worker_name};
use crate::snapshot_args::EXAMPLES;
pub use crate::snapshot_args::SnapshotCommand;

/// Finds incidents in event streams while they happen.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

macro_rules! exit_codes {
    () => {
        "\
Exit codes:
  0    done; also after a first Ctrl-C, with all that was read processed
  2    the command line is wrong
  3    the pipeline, or a rule set, is wrong
  4    a file, broker or topic is missing or cannot be read, or an output cannot be written
  5    a bad record, with --on-error stop
  6    a snapshot is not whole, with `snapshot verify`
  130  ended at once by a second Ctrl-C (or SIGTERM); outputs may lack their end"
    };
}

const EXIT_CODES: &str = exit_codes!();

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline: over files, or from Kafka to Kafka
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Check a pipeline, and show what it does
    Check(CheckArgs),
    /// Make a pipeline from some of your own records
    Init(InitArgs),
    /// Show what Tocsin does, on data that come with it
    Demo(DemoArgs),
    /// Write records to a Kafka topic
    #[command(after_help = PRODUCE_EXAMPLES)]
    Produce(ProduceArgs),
    /// Print the records of a Kafka topic
    #[command(after_help = CONSUME_EXAMPLES)]
    Consume(ConsumeArgs),
    /// List snapshots of pipelines, and show what they hold
    #[command(subcommand, after_help = EXAMPLES)]
    Snapshot(SnapshotCommand),
    /// Print a shell's completions
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

const RUN_EXAMPLES: &str = concat!(
    "\
Examples:
  tocsin run pipeline.yaml                                 sources as the file says
  tocsin run pipeline.yaml --input alerts=alerts.jsonl     a file stands for a Kafka topic
  cat alerts.jsonl | tocsin run pipeline.yaml --input alerts=-
  tocsin run pipeline.yaml --input alerts=alerts.csv.gz --output pager=incidents.jsonl
  tocsin run pipeline.yaml --speed 60x                     an hour of events in a minute
  tocsin run pipeline.yaml --bootstrap localhost:9092      from Kafka to Kafka, each result once
  tocsin run pipeline.yaml --bootstrap localhost:9092 --state /var/lib/tocsin
  tocsin run pipeline.yaml --bootstrap localhost:9092 --admin localhost:9090

A sink without --output prints to standard output, each row with its sink's name in `_sink`; with --bootstrap only one that
is declared as stdout does. With --bootstrap, TOCSIN_LOG=info (warn, debug, tocsin_worker=debug) says how much is logged.

",
    exit_codes!()
);

/// Run a pipeline.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The pipeline's file
    pub pipeline: PathBuf,
    /// What stands for a source: a file (JSON lines or CSV, also .gz or .zst), or - for standard input
    #[arg(long, value_name = "NAME=PATH")]
    pub input: Vec<Named>,
    /// What stands for a sink: a file, or - for standard output
    #[arg(long, value_name = "NAME=PATH")]
    pub output: Vec<Named>,
    /// Brokers of a Kafka to read from and write to; without it no Kafka is touched
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        conflicts_with_all = ["input", "speed", "on_error", "dead_letters", "port", "keep_page"]
    )]
    pub bootstrap: Option<String>,
    /// Which of the pipeline's workers this is: a name of its own, the same after a restart; with --bootstrap
    #[arg(long, value_name = "NAME", default_value = "0", requires = "bootstrap", value_parser = worker_name)]
    pub worker: String,
    /// The namespace of a pipeline that shares its Kafka with others: it stands in front of the names of the pipeline's own topics,
    /// its groups and its transactions; with --bootstrap
    #[arg(long, value_name = "NAME", requires = "bootstrap", value_parser = namespace)]
    pub namespace: Option<String>,
    /// Folder with files that a running worker takes up when they change: log-level (error, warn, info, debug, trace) and
    /// log-format (text, json); with --bootstrap
    #[arg(long, value_name = "DIR", requires = "bootstrap")]
    pub live: Option<PathBuf>,
    /// How many threads work; with --bootstrap, by default one a core
    #[arg(long, value_name = "N", requires = "bootstrap", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// When the worker leaves its consumer group as it ends; with --bootstrap
    #[arg(long, value_enum, default_value_t, requires = "bootstrap", value_name = "WHEN")]
    pub leave_group: LeaveGroup,
    /// Who reads and writes records; with --bootstrap
    #[arg(long, value_enum, default_value_t, requires = "bootstrap")]
    pub client: ClientArg,
    /// The rack or zone that this worker is in, as brokers name theirs (broker.rack): where brokers allow it, records are read
    /// from replicas in the same one; with --bootstrap
    #[arg(long, value_name = "NAME", requires = "bootstrap")]
    pub rack: Option<String>,
    /// Where snapshots are kept: a folder, or s3://BUCKET/PREFIX; with --bootstrap. Without, a restart reads all that the
    /// pipeline ever did once more
    #[arg(long, value_name = "ADDRESS", requires = "bootstrap")]
    pub state: Option<String>,
    /// Drop state of stages that the pipeline no longer has, or that compute something else now
    #[arg(long, requires = "state")]
    pub allow_non_restored_state: bool,
    /// The savepoint that a pipeline begins with that has never run, as `tocsin snapshot list` names it; also of another
    /// pipeline, or of another number of partitions
    #[arg(long, value_name = "SAVEPOINT", requires = "state")]
    pub restore_from: Option<String>,
    /// Take the state of this savepoint in the place of what a pipeline that has run did since, once, and go on where it stands:
    /// for a pipeline as it was before a change that went wrong. What that change gave out stays; nothing appears again
    #[arg(long, value_name = "SAVEPOINT", requires = "state", conflicts_with = "restore_from")]
    pub resume_from: Option<String>,
    /// Wind a pipeline back that has run: go back to the savepoint of --restore-from and begin this run epoch, once. The
    /// first epoch is 0, so begin with 1; results behind the savepoint appear again, with a header tocsin.epoch
    #[arg(long, value_name = "EPOCH", requires = "restore_from", value_parser = clap::value_parser!(u32).range(1..))]
    pub rewind_to_epoch: Option<u32>,
    /// After so long without a commit a partition's offsets and its place in the journal are written again; shorter than
    /// brokers keep them (offsets.retention.minutes, and 7 days of the journal)
    #[arg(long, value_name = "TIME", default_value = "12h", requires = "bootstrap", value_parser = period)]
    pub renew_offsets: Duration,
    /// How a worker on Kafka is watched.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// What stands for an IncidentRuleSet
    #[arg(long, value_name = "NAME=PATH")]
    pub rules: Vec<Named>,
    /// Folder with secrets, one file each: DIR/name/key
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Addresses that webhooks may reach though they are private, also by http; with --bootstrap
    #[arg(long, value_name = "CIDR", requires = "bootstrap")]
    pub allow_address: Vec<Network>,
    /// Addresses that webhooks may not reach though they look public; with --bootstrap
    #[arg(long, value_name = "CIDR", requires = "bootstrap")]
    pub refuse_address: Vec<Network>,
    /// How fast files are replayed: 1x as it happened, 60x, or max
    #[arg(long, default_value = "max", value_parser = Speed::from_str)]
    pub speed: Speed,
    /// Only the last row of each result: no revisions, no intermediate states of incidents
    #[arg(long = "final")]
    pub only_final: bool,
    /// What a record that cannot be read does
    #[arg(long, value_enum, default_value_t = OnError::DeadLetter)]
    pub on_error: OnError,
    /// File for records that cannot be read
    #[arg(long, value_name = "PATH")]
    pub dead_letters: Option<PathBuf>,
    /// Form of the rows on standard output: by default a table on a terminal, JSON otherwise
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Port of the live page; 0 takes any
    #[arg(long, default_value_t = LIVE_PAGE)]
    pub port: u16,
    /// Do not serve the live page
    #[arg(long)]
    pub no_page: bool,
    /// Keep the live page when the inputs are at their end, until Ctrl-C
    #[arg(long)]
    pub keep_page: bool,
}

/// How a worker on Kafka is watched.
#[derive(Debug, clap::Args)]
pub struct AdminArgs {
    /// Where probes, metrics, status and the live page are served; with --bootstrap, by default nowhere
    #[arg(long, value_name = "ADDRESS:PORT", requires = "bootstrap", value_parser = listening)]
    pub admin: Option<SocketAddr>,
    /// File with the token that callers of --admin must show; read again when it changes
    #[arg(long, value_name = "PATH", requires = "admin")]
    pub admin_token_file: Option<PathBuf>,
    /// Folder with tls.crt, tls.key and ca.crt: --admin speaks TLS, and lets in who has a certificate of ca.crt; with a
    /// token, ca.crt may be left out
    #[arg(long, value_name = "DIR", requires = "admin")]
    pub admin_tls: Option<PathBuf>,
    /// Let everybody read /metrics of --admin
    #[arg(long, requires = "admin")]
    pub admin_open_metrics: bool,
    /// Where traces go: address of an OpenTelemetry collector (OTLP by HTTP); with --bootstrap. OTEL_EXPORTER_OTLP_ENDPOINT does the same
    #[arg(long, value_name = "URL", requires = "bootstrap")]
    pub otlp: Option<String>,
}

const PRODUCE_EXAMPLES: &str = "\
Examples:
  tocsin produce --to localhost:9092/alerts alerts.jsonl --key service
  cat alerts.jsonl | tocsin produce --to localhost:9092/alerts -
  tocsin produce --to localhost:9092/alerts --generate 1000000 --rate 50000 --key service

A record is a line. Its key chooses the partition as Kafka's Java client does (murmur2); without --key any is taken.
";

const CONSUME_EXAMPLES: &str = "\
Examples:
  tocsin consume --from localhost:9092/incidents
  tocsin consume --from localhost:9092/incidents --follow --format json
  tocsin consume --from localhost:9092/noc.dead-letter --last 10

Only records of committed transactions are printed. Without --follow it ends where the topic ended at the start.
";

/// Write records to a Kafka topic.
#[derive(Debug, clap::Args)]
pub struct ProduceArgs {
    /// Lines to write: a file (also .gz or .zst), or - for standard input
    #[arg(required_unless_present = "generate", conflicts_with = "generate")]
    pub records: Option<PathBuf>,
    /// Brokers and topic
    #[arg(long, value_name = "HOST:PORT,.../TOPIC")]
    pub to: TopicAddress,
    /// Make so many alerts instead of reading any
    #[arg(long, value_name = "N")]
    pub generate: Option<u64>,
    /// Field of the JSON record that is its key; a path with dots
    #[arg(long, value_name = "FIELD")]
    pub key: Option<String>,
    /// Records a second; by default as fast as it goes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// Make the topic, with so many partitions, if it is not there
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: Option<u32>,
    /// How batches are compressed: none, gzip, snappy, lz4, zstd
    #[arg(long, default_value = "lz4", value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    pub compression: String,
    /// How the brokers are reached.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// Print the records of a Kafka topic.
#[derive(Debug, clap::Args)]
pub struct ConsumeArgs {
    /// Brokers and topic
    #[arg(long, value_name = "HOST:PORT,.../TOPIC")]
    pub from: TopicAddress,
    /// Go on when the end is reached, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
    /// Only so many records from the end of each partition
    #[arg(long, value_name = "N")]
    pub last: Option<u64>,
    /// Records of transactions that are open or aborted too
    #[arg(long)]
    pub uncommitted: bool,
    /// Form of the records: by default a table on a terminal, their values otherwise
    #[arg(long, value_enum)]
    pub format: Option<RecordFormat>,
    /// How the brokers are reached.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// How brokers are reached that want to know who asks.
#[derive(Debug, clap::Args)]
pub struct AccessArgs {
    /// A pipeline whose spec.kafka.tls and spec.kafka.sasl say how the brokers are reached
    #[arg(long, value_name = "PIPELINE")]
    pub as_in: Option<PathBuf>,
    /// Folder with secrets, one file each: DIR/name/key
    #[arg(long, value_name = "DIR", requires = "as_in")]
    pub secrets: Option<PathBuf>,
    /// Folder with the files username, password and ca.crt, as the Secret PIPELINE-kafka-client has them: logs in by SCRAM over TLS
    #[arg(long, value_name = "DIR", conflicts_with = "as_in")]
    pub login: Option<PathBuf>,
}

/// Form of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// A table: partition, offset, time, key, value
    Table,
    /// A JSON object a record, with its key, place, time and headers
    Json,
    /// The values alone, a line each
    Value,
}

/// Check a pipeline.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The pipeline's file
    pub pipeline: PathBuf,
    /// What stands for an IncidentRuleSet
    #[arg(long, value_name = "NAME=PATH")]
    pub rules: Vec<Named>,
    /// Fail if the operator of a cluster would refuse it
    #[arg(long)]
    pub cluster: bool,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Make a pipeline.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Some records: JSON lines or CSV, also .gz or .zst; - for standard input
    pub records: PathBuf,
    /// Where to write the pipeline; standard output by default
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Overwrite the file if it is there
    #[arg(long)]
    pub force: bool,
}

/// Show what Tocsin does.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Keep the live page when the demo is over, until Ctrl-C
    #[arg(long)]
    pub serve: bool,
    /// Port of the live page; 0 takes any
    #[arg(long, default_value_t = LIVE_PAGE)]
    pub port: u16,
    /// Folder with the samples
    #[arg(long, value_name = "DIR")]
    pub samples: Option<PathBuf>,
    /// How many alerts are generated
    #[arg(long, value_name = "N", default_value_t = 3_000_000)]
    pub alerts: u64,
}

/// What a record that cannot be read does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// It goes to the dead letters and is counted
    DeadLetter,
    /// It ends the run
    Stop,
}

/// Form of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON, a line a row
    Json,
    /// A table
    Table,
}

/// When a worker leaves its consumer group as it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LeaveGroup {
    /// Whenever it ends: others have its shards at once
    #[default]
    Always,
    /// Only behind POST /v1/drain: one that comes back within 6 seconds has its shards again, and none moves
    OnDrain,
}

/// Who reads and writes records of Kafka.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientArg {
    /// Tocsin's own client
    #[default]
    Own,
    /// librdkafka: slower, and what the other is held against
    Librdkafka,
}
