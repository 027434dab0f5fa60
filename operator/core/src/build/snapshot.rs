//! A PipelineSnapshot that the operator asks for.

use std::collections::BTreeMap;

use serde_json::json;
use tocsin_contract::labels::{self, Component};
use tocsin_contract::snapshot::SnapshotTrigger;

use super::manifest::{Manifest, SNAPSHOT};
use crate::pipeline::PipelineId;

/// What a snapshot is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// Why it is taken.
    pub trigger: SnapshotTrigger,
    /// The run that it ends, if it ends one.
    pub ends: Option<String>,
    /// Whether its data goes when it does.
    pub dispose_on_delete: bool,
}

/// A savepoint of the pipeline, which has these labels of its users. It has no owner: whether it goes with its pipeline is the
/// policy's to say.
pub fn savepoint<'a>(
    pipeline: &PipelineId,
    of_users: impl IntoIterator<Item = (&'a str, &'a str)>,
    name: String,
    purpose: &Purpose,
) -> Manifest {
    let of_users = of_users.into_iter();
    let mut labels: BTreeMap<String, String> = of_users
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    labels.extend(labels::of(&pipeline.name, &pipeline.uid, Component::State));
    labels.insert(labels::SNAPSHOT_TRIGGER.to_owned(), trigger(purpose.trigger).to_owned());
    labels.insert(labels::SNAPSHOT_TYPE.to_owned(), "Savepoint".to_owned());
    let annotations: BTreeMap<&str, &String> = purpose.ends.iter().map(|run| (labels::ENDS_RUN, run)).collect();
    let body = json!({
        "apiVersion": SNAPSHOT.api_version,
        "kind": SNAPSHOT.kind,
        "metadata": {
            "name": name,
            "namespace": pipeline.namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "pipelineRef": {"name": pipeline.name},
            "type": "Savepoint",
            "disposeOnDelete": purpose.dispose_on_delete,
        },
    });
    Manifest::of(SNAPSHOT, name, body)
}

/// As the label has it.
const fn trigger(trigger: SnapshotTrigger) -> &'static str {
    match trigger {
        SnapshotTrigger::Manual => "Manual",
        SnapshotTrigger::Schedule => "Schedule",
        SnapshotTrigger::Upgrade => "Upgrade",
        SnapshotTrigger::Suspend => "Suspend",
        SnapshotTrigger::Rescale => "Rescale",
        SnapshotTrigger::Deletion => "Deletion",
    }
}

/// Why a snapshot with these labels was taken: by a user, unless the operator says otherwise.
pub fn trigger_of(labels: Option<&BTreeMap<String, String>>) -> SnapshotTrigger {
    match labels
        .and_then(|labels| labels.get(labels::SNAPSHOT_TRIGGER))
        .map(String::as_str)
    {
        Some("Schedule") => SnapshotTrigger::Schedule,
        Some("Upgrade") => SnapshotTrigger::Upgrade,
        Some("Suspend") => SnapshotTrigger::Suspend,
        Some("Rescale") => SnapshotTrigger::Rescale,
        Some("Deletion") => SnapshotTrigger::Deletion,
        _ => SnapshotTrigger::Manual,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::id;
    use tocsin_contract::snapshot::{PipelineSnapshotSpec, SnapshotType};

    #[test]
    fn a_savepoint_says_why_it_is_taken_and_what_it_ends() {
        let purpose = Purpose {
            trigger: SnapshotTrigger::Upgrade,
            ends: Some("0123456789ab".to_owned()),
            dispose_on_delete: true,
        };
        let manifest = savepoint(
            &id(),
            [("team", "noc")],
            "noc-ending-0123456789ab-3".to_owned(),
            &purpose,
        );
        let spec: PipelineSnapshotSpec = serde_json::from_value(manifest.body["spec"].clone()).unwrap();
        assert_eq!(
            (spec.pipeline_ref.name.as_str(), spec.kind),
            ("noc", SnapshotType::Savepoint)
        );
        assert!(spec.dispose_on_delete && !spec.already_exists);
        let metadata = &manifest.body["metadata"];
        assert_eq!(metadata["annotations"][labels::ENDS_RUN], "0123456789ab");
        let labels = serde_json::from_value(metadata["labels"].clone()).unwrap();
        assert_eq!(trigger_of(Some(&labels)), SnapshotTrigger::Upgrade);
        assert_eq!(metadata["labels"]["team"], "noc");
        assert_eq!(trigger_of(None), SnapshotTrigger::Manual);
    }
}
