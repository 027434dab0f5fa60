//! What a worker is started with.

use serde::{Deserialize, Serialize};
use tocsin_contract::ports;

use super::{Run, config_map, pod, secrets, storage};
use crate::pipeline::Pipeline;
use crate::validate::references::rule_sets;

/// Environment variable with the pod's name: the worker's name in its group, the same after a restart.
pub const POD_NAME: &str = "POD_NAME";

/// What the workers begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// What the pipeline had come to; nothing if it is new.
    #[default]
    Continue,
    /// A savepoint, in a run epoch of its own: what came behind it is done again.
    Rewind {
        /// Path of the savepoint in the storage.
        savepoint: String,
        /// Number of the run epoch.
        epoch: u32,
    },
    /// The state of a savepoint, where the pipeline has come to: nothing is given out again.
    Resume {
        /// Path of the savepoint in the storage.
        savepoint: String,
    },
    /// A savepoint, for a pipeline that has never run.
    Restore {
        /// Path of the savepoint in the storage.
        savepoint: String,
    },
}

/// The arguments of `tocsin`.
pub fn of(pipeline: &Pipeline, run: &Run) -> Vec<String> {
    let state = &pipeline.spec.state;
    let mut arguments = vec![
        "run".to_owned(),
        format!("{}/{}", pod::PIPELINE_FOLDER, config_map::PIPELINE_FILE),
    ];
    let mut option = |name: &str, value: &str| arguments.extend([name.to_owned(), value.to_owned()]);
    option("--bootstrap", &pipeline.kafka.bootstrap_servers);
    if pipeline.kafka.is_shared {
        option("--namespace", &pipeline.id.namespace);
    }
    option("--worker", &format!("$({POD_NAME})"));
    // The same worker comes back after a restart; only one that the operator takes away leaves for good.
    option("--leave-group", "on-drain");
    option("--state", &storage::address(&state.storage, &pipeline.id));
    option("--secrets", secrets::FOLDER);
    option("--live", pod::LIVE_FOLDER);
    option("--admin", &format!("[::]:{}", ports::ADMIN));
    option("--admin-token-file", &format!("{}/token", pod::ADMIN_FOLDER));
    option("--admin-tls", pod::ADMIN_FOLDER);
    if let Some(threads) = pipeline.spec.workers.threads {
        option("--threads", &threads.to_string());
    }
    if let Some(endpoint) = &pipeline.spec.observability.tracing.otlp_endpoint {
        option("--otlp", endpoint);
    }
    for name in rule_sets(&pipeline.spec) {
        let file = config_map::rule_set_file(&name);
        option("--rules", &format!("{name}={}/{file}", pod::RULES_FOLDER));
    }
    match &run.record.start {
        Start::Continue => {}
        Start::Rewind { savepoint, epoch } => {
            option("--restore-from", savepoint);
            option("--rewind-to-epoch", &epoch.to_string());
        }
        Start::Resume { savepoint } => option("--resume-from", savepoint),
        Start::Restore { savepoint } => option("--restore-from", savepoint),
    }
    // Prometheus has no secrets of a pipeline; what may reach the port is the NetworkPolicy's affair.
    arguments.push("--admin-open-metrics".to_owned());
    arguments
}
