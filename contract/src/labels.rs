//! Labels, annotations, finalizers and field managers: what the parts know each other's objects by.

use std::collections::BTreeMap;

use crate::names;

/// What an object is called (recommended by Kubernetes).
pub const NAME: &str = "app.kubernetes.io/name";
/// Which instance of it this is: the pipeline.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Which part of the pipeline this is.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// What the whole is called.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Who made the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Name of the pipeline that an object belongs to.
pub const PIPELINE: &str = "tocsin.dev/pipeline";
/// UID of that pipeline: two pipelines of one name, one after the other, are told apart by it.
pub const PIPELINE_UID: &str = "tocsin.dev/pipeline-uid";
/// Node pool of a machine.
pub const NODE_POOL: &str = "tocsin.dev/node-pool";
/// Taint of machines that belong to one pipeline.
pub const DEDICATED: &str = "tocsin.dev/dedicated";
/// Type of a snapshot.
pub const SNAPSHOT_TYPE: &str = "tocsin.dev/snapshot.type";
/// Why a snapshot was taken.
pub const SNAPSHOT_TRIGGER: &str = "tocsin.dev/snapshot.trigger";
/// Annotation, set by a user: give up what cannot be deleted, and let the pipeline go.
pub const FORCE_DELETE: &str = "tocsin.dev/force-delete";
/// Annotation, set by a user: the operator leaves the object alone until it goes.
pub const PAUSE: &str = "tocsin.dev/pause";
/// Annotation of a snapshot: the run of the pipeline's workers that ends with it.
pub const ENDS_RUN: &str = "tocsin.dev/ends-run";
/// Finalizer of a pipeline.
pub const CLEANUP_FINALIZER: &str = "tocsin.dev/cleanup";
/// Finalizer of a snapshot whose data goes with it.
pub const DISPOSE_FINALIZER: &str = "tocsin.dev/dispose";
/// Field manager of everything that the operator applies.
pub const FIELD_MANAGER: &str = "tocsin-operator";
/// Field manager of statuses.
pub const STATUS_FIELD_MANAGER: &str = "tocsin-operator-status";

/// Parts of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The workers.
    Workers,
    /// Kafka.
    Kafka,
    /// Machines.
    Infrastructure,
    /// Volumes and snapshots.
    State,
}

impl Component {
    /// The value of [`COMPONENT`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::Kafka => "kafka",
            Self::Infrastructure => "infrastructure",
            Self::State => "state",
        }
    }
}

/// Labels that do not change while the object lives: fit for selectors.
pub fn selector(pipeline: &str, component: Component) -> BTreeMap<String, String> {
    [
        (NAME, "tocsin"),
        (INSTANCE, &names::label(pipeline)),
        (COMPONENT, component.as_str()),
    ]
    .map(|(label, value)| (label.to_owned(), value.to_owned()))
    .into()
}

/// All labels of an object that belongs to a pipeline.
pub fn of(pipeline: &str, uid: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = selector(pipeline, component);
    let more = [
        (PART_OF, "tocsin"),
        (MANAGED_BY, FIELD_MANAGER),
        (PIPELINE, &names::label(pipeline)),
        (PIPELINE_UID, uid),
    ];
    labels.extend(more.map(|(label, value)| (label.to_owned(), value.to_owned())));
    labels
}

/// A label selector as text, for the scale subresource: `a=b,c=d`.
pub fn selector_text(labels: &BTreeMap<String, String>) -> String {
    labels
        .iter()
        .map(|(label, value)| format!("{label}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_part_of_all_labels() {
        let all = of("noc", "5c0e", Component::Workers);
        for (label, value) in selector("noc", Component::Workers) {
            assert_eq!(all.get(&label), Some(&value), "{label}");
        }
    }

    #[test]
    fn a_selector_reads_as_kubectl_writes_it() {
        assert_eq!(
            selector_text(&selector("noc", Component::Workers)),
            "app.kubernetes.io/component=workers,app.kubernetes.io/instance=noc,app.kubernetes.io/name=tocsin"
        );
    }
}
