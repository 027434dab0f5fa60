//! What is known of the cluster, kept small: ten thousand pipelines and all that belongs to them fit into a few megabytes.
//!
//! Watches fill it (`watch`), and what the operator writes itself goes in at once, so that it sees its own writes. An answer
//! that is older than what is known is passed over.

pub mod children;
pub mod kept;
pub mod pods;
pub mod stateful_sets;
pub mod store;
pub mod takers;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use tocsin_contract::rule_set::IncidentRuleSetSpec;

pub use children::Children;
pub use kept::Kept;
pub use pods::Pods;
pub use stateful_sets::KeptStatefulSet;
pub use store::{Key, Store};

/// What is known of the cluster.
#[derive(Default)]
pub struct Cache {
    /// IncidentPipelines.
    pub pipelines: Store<Kept>,
    /// PipelineSnapshots.
    pub snapshots: Store<Kept>,
    /// IncidentRuleSets.
    pub rule_sets: Store<Kept>,
    /// IncidentModels.
    pub models: Store<Kept>,
    /// StatefulSets: workers, and pools of Kafka nodes.
    pub stateful_sets: Store<KeptStatefulSet>,
    /// The workers' pods.
    pub pods: Pods,
    /// All objects that the operator made.
    pub children: Children,
}

impl Cache {
    /// The rule sets of a namespace that can be read, by name.
    pub fn rule_sets_of(&self, namespace: &str) -> BTreeMap<String, IncidentRuleSetSpec> {
        let known = self.rule_sets.of_namespace(namespace).into_iter();
        known
            .filter_map(|(key, kept)| Some((key.name.to_string(), kept.spec().ok()?)))
            .collect()
    }

    /// The PipelineSnapshots of a pipeline that are not on their way out, by name.
    pub fn snapshots_of(&self, pipeline: &Key) -> BTreeMap<String, Arc<Kept>> {
        let all = self.snapshots.of_namespace(&pipeline.namespace).into_iter();
        let own = all.filter(|(_, snapshot)| {
            snapshot.deleted.is_none() && snapshot.pipeline_of_snapshot().as_deref() == Some(&*pipeline.name)
        });
        own.map(|(key, snapshot)| (key.name.to_string(), snapshot)).collect()
    }
}
