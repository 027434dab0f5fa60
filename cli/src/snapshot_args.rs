//! The command line of `tocsin snapshot`.

use clap::Subcommand;

/// Shown below its help.
pub const EXAMPLES: &str = "\
Examples:
  tocsin snapshot list --state /var/lib/tocsin
  tocsin snapshot inspect --state s3://bucket/tocsin noc                  the newest of each shard
  tocsin snapshot inspect --state /var/lib/tocsin noc/savepoints/before-upgrade
  tocsin snapshot verify --state /var/lib/tocsin                          reads every byte of all
  tocsin snapshot diff --state /var/lib/tocsin noc/savepoints/before-upgrade noc
  tocsin snapshot remove --state /var/lib/tocsin noc/savepoints/before-upgrade

Keys of a bucket come from the environment, as AWS's tools have them: AWS_ACCESS_KEY_ID, AWS_ENDPOINT, and so on.
";

/// What to do with snapshots.
#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// All snapshots, with size and age
    List {
        /// Where they are.
        #[command(flatten)]
        state: StateArgs,
        /// Only those of this pipeline
        pipeline: Option<String>,
    },
    /// What a snapshot holds: shards and where they read on, stages with their keys and sizes
    Inspect {
        /// Where it is.
        #[command(flatten)]
        state: StateArgs,
        /// Its name, as `list` has it; or a pipeline's, for the newest of each shard
        name: String,
    },
    /// Read every byte, and say which snapshots are good
    Verify {
        /// Where they are.
        #[command(flatten)]
        state: StateArgs,
        /// Names, as `list` has them; without, all
        names: Vec<String>,
    },
    /// Remove savepoints, or all that a pipeline wrote
    Remove {
        /// Where they are.
        #[command(flatten)]
        state: StateArgs,
        /// Savepoints, as `list` has them
        #[arg(required_unless_present = "pipeline")]
        names: Vec<String>,
        /// All that this pipeline wrote, its savepoints among it; no worker of it may run
        #[arg(long, value_name = "NAME", conflicts_with = "names")]
        pipeline: Option<String>,
    },
    /// How two snapshots differ, by stage
    Diff {
        /// Where they are.
        #[command(flatten)]
        state: StateArgs,
        /// The one
        first: String,
        /// The other
        second: String,
    },
}

/// Where snapshots are.
#[derive(Debug, clap::Args)]
pub struct StateArgs {
    /// A folder, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "ADDRESS")]
    pub state: String,
}
