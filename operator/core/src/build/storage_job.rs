//! Work on a pipeline's storage that its workers do not do: a Job that reads a savepoint back, or removes it.
//!
//! The operator itself has no key to any storage, and mounts no volume.

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use tocsin_contract::labels::{self, Component};
use tocsin_contract::names::{SNAPSHOTS_NOT_WHOLE, child};
use tocsin_contract::pipeline::IncidentPipelineSpec;

use super::manifest::{Manifest, SNAPSHOT};
use super::pod::{USER, pull_secrets};
use super::{restricted, spread, storage};
use crate::names::Names;
use crate::pipeline::{PipelineId, Settings};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Every byte is read.
    Verify,
    /// It is removed.
    Remove,
}

impl Task {
    const fn verb(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Remove => "remove",
        }
    }
}

/// What it is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A savepoint.
    Savepoint {
        /// Name of its PipelineSnapshot.
        name: &'a str,
        /// UID of its PipelineSnapshot.
        uid: &'a str,
        /// Its path in the storage.
        path: &'a str,
    },
    /// All that the pipeline wrote.
    Pipeline {
        /// Its UID: what came of the last one of its name says nothing of it.
        uid: &'a str,
    },
}

/// Name of the Job.
pub fn name(pipeline: &str, task: Task, subject: Subject<'_>) -> String {
    match subject {
        Subject::Savepoint { name, .. } => child(name, task.verb()),
        Subject::Pipeline { uid } => child(pipeline, &format!("remove-snapshots-{}", uid.get(..8).unwrap_or(uid))),
    }
}

/// A time that a Job that ended stays, to be read.
const STAYS_SECONDS: i32 = 3_600;
/// How often it is tried again.
const TRIES_AGAIN: i32 = 3;

/// A Job on the storage of a pipeline, as the spec has it.
pub fn job(
    pipeline: &PipelineId,
    spec: &IncidentPipelineSpec,
    settings: &Settings,
    task: Task,
    subject: Subject<'_>,
) -> Manifest {
    let address = storage::address(&spec.state.storage, pipeline);
    let mut arguments = vec!["snapshot", task.verb(), "--state", &address];
    match subject {
        // Whatever a path begins with, it is one.
        Subject::Savepoint { path, .. } => arguments.extend(["--", path]),
        Subject::Pipeline { .. } => arguments.extend(["--pipeline", &pipeline.name]),
    }
    let image = spec.workers.image.as_deref().unwrap_or(&settings.worker_image);
    let has_volume = spec.state.storage.volume.is_some();
    let container = Container {
        name: "snapshot".to_owned(),
        image: Some(image.to_owned()),
        args: Some(arguments.into_iter().map(str::to_owned).collect()),
        env: Some(storage::environment(&spec.state.storage)),
        security_context: Some(restricted::container()),
        volume_mounts: has_volume.then(|| {
            vec![VolumeMount {
                name: "state".to_owned(),
                mount_path: storage::FOLDER.to_owned(),
                ..VolumeMount::default()
            }]
        }),
        // Its last words are in the pod's status then.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    };
    let state = Volume {
        name: "state".to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: Names::of(&pipeline.name).state(),
            read_only: None,
        }),
        ..Volume::default()
    };
    let pod = PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: pull_secrets(&spec.workers),
        security_context: Some(restricted::pod(USER)),
        affinity: spread::shares_a_machine(&spec.state.storage).then(|| spread::beside(&pipeline.name)),
        containers: vec![container],
        volumes: has_volume.then(|| vec![state]),
        ..PodSpec::default()
    };
    let own_labels = labels::of(&pipeline.name, &pipeline.uid, Component::State);
    Manifest::new(&Job {
        metadata: ObjectMeta {
            name: Some(name(&pipeline.name, task, subject)),
            namespace: Some(pipeline.namespace.clone()),
            labels: Some(own_labels.clone()),
            owner_references: owner(subject).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(TRIES_AGAIN),
            pod_failure_policy: (task == Task::Verify).then(failure_policy),
            ttl_seconds_after_finished: Some(STAYS_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(own_labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..JobSpec::default()
        }),
        status: None,
    })
}

/// A snapshot that is not whole is not read once more.
fn failure_policy() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![PodFailurePolicyRule {
            action: "FailJob".to_owned(),
            on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                container_name: None,
                operator: "In".to_owned(),
                values: vec![i32::from(SNAPSHOTS_NOT_WHOLE)],
            }),
            on_pod_conditions: None,
        }],
    }
}

fn owner(subject: Subject<'_>) -> Option<OwnerReference> {
    let Subject::Savepoint { name, uid, .. } = subject else {
        return None;
    };
    Some(OwnerReference {
        api_version: SNAPSHOT.api_version.to_owned(),
        kind: SNAPSHOT.kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{HEAD, pipeline, settings};

    fn arguments(task: Task, subject: Subject<'_>, further: &str) -> (String, String) {
        let pipeline = pipeline(&format!("{HEAD}{further}"));
        let job = job(&pipeline.id, &pipeline.spec, &settings(), task, subject);
        let container = &job.body["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().unwrap().iter();
        let arguments: Vec<&str> = arguments.map(|argument| argument.as_str().unwrap()).collect();
        (job.name, arguments.join(" "))
    }

    const SAVEPOINT: Subject<'_> = Subject::Savepoint {
        name: "noc-asked-3",
        uid: "77aa",
        path: "noc/savepoints/noc-asked-3-77aa-0",
    };

    #[test]
    fn a_savepoint_is_read_back_and_removed_where_it_is() {
        let (name, text) = arguments(Task::Verify, SAVEPOINT, "");
        assert_eq!(name, "noc-asked-3-verify");
        assert_eq!(
            text,
            "snapshot verify --state /var/lib/tocsin -- noc/savepoints/noc-asked-3-77aa-0"
        );
        let s3 = "  state: {storage: {s3: {bucket: b, prefix: p}}}\n";
        let (_, text) = arguments(Task::Remove, SAVEPOINT, s3);
        assert_eq!(
            text,
            "snapshot remove --state s3://b/p -- noc/savepoints/noc-asked-3-77aa-0"
        );
    }

    #[test]
    fn all_that_a_pipeline_wrote_is_removed_by_its_name() {
        let (name, text) = arguments(Task::Remove, Subject::Pipeline { uid: "5c0e7a8e-0000" }, "");
        assert_eq!(
            (name.as_str(), text.as_str()),
            (
                "noc-remove-snapshots-5c0e7a8e",
                "snapshot remove --state /var/lib/tocsin --pipeline noc"
            )
        );
    }
}
