//! A snapshot that is there is read back if that is asked for, and its data goes with it if that is asked for. Jobs do both:
//! the operator has no key to any storage.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use tocsin_contract::labels::DISPOSE_FINALIZER;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::snapshot::{PipelineSnapshotSpec, PipelineSnapshotStatus, SnapshotState};
use tocsin_operator_core::build::manifest::SNAPSHOT;
use tocsin_operator_core::build::storage_job::{Subject, Task, job, name};
use tocsin_operator_core::pipeline::PipelineId;
use tocsin_operator_core::plan::snapshot::keeping::{Disposal, Facts, JobState, disposal, verification};

use crate::api::ApiError;
use crate::api::apply::{Others, Target};
use crate::cache::{Kept, Key};
use crate::controllers::Context;
use crate::work::Next;

/// A Job is looked at so often.
const POLL: Duration = Duration::from_secs(2);

/// One that failed is looked at again then: somebody may have deleted it, to have it tried once more.
const STUCK: Duration = Duration::from_secs(30);

/// Reason of a Job that failed by its rule for exit codes.
const NOT_WHOLE: &str = "PodFailurePolicy";

/// A look at what is kept of a snapshot.
pub struct Keeping<'a> {
    context: &'a Context,
    key: &'a Key,
    kept: &'a Kept,
    spec: &'a PipelineSnapshotSpec,
    pipeline: Option<(PipelineId, IncidentPipelineSpec)>,
}

impl<'a> Keeping<'a> {
    /// Of this snapshot.
    pub fn of(context: &'a Context, key: &'a Key, kept: &'a Kept, spec: &'a PipelineSnapshotSpec) -> Self {
        let pipeline_key = Key::new(&key.namespace, &spec.pipeline_ref.name);
        let pipeline = context.cache.pipelines.get(&pipeline_key).and_then(|pipeline| {
            let id = PipelineId {
                namespace: key.namespace.to_string(),
                name: pipeline_key.name.to_string(),
                uid: pipeline.uid.to_string(),
            };
            Some((id, pipeline.spec().ok()?))
        });
        Self {
            context,
            key,
            kept,
            spec,
            pipeline,
        }
    }

    /// Puts the finalizer on the snapshot if its data goes with it, and takes it away if not.
    pub async fn finalize(&self, status: &PipelineSnapshotStatus) -> Result<(), ApiError> {
        let is_wanted = self.spec.dispose_on_delete && !status.path.is_empty();
        if is_wanted == self.kept.has_finalizer(DISPOSE_FINALIZER) {
            return Ok(());
        }
        if !is_wanted {
            return self.remove_finalizer().await;
        }
        let metadata = self.context.api.set_finalizer(self.target(), DISPOSE_FINALIZER).await?;
        self.wrote(&metadata);
        Ok(())
    }

    /// Has a snapshot that is complete read back, if its pipeline asks for that. Gives what is said of it then, and when it is
    /// looked at again.
    pub async fn verify(
        &self,
        status: &PipelineSnapshotStatus,
    ) -> Result<(PipelineSnapshotStatus, Option<Duration>), ApiError> {
        let is_complete = status.state == Some(SnapshotState::Completed) && !status.verified;
        let pipeline = self
            .pipeline
            .as_ref()
            .filter(|(_, spec)| is_complete && spec.state.savepoint.verify);
        let Some((id, spec)) = pipeline else {
            return Ok((status.clone(), None));
        };
        let subject = self.subject(&status.path);
        let job_name = name(&id.name, Task::Verify, subject);
        let state = self.job(&job_name).await?;
        let verification = verification(status, &job_name, &state);
        if verification.start {
            self.start(id, spec, Task::Verify, subject).await?;
        }
        Ok((verification.status, verification.look_again))
    }

    /// Removes the data of a snapshot that goes, and lets it go then.
    pub async fn dispose(&self) -> Result<Next, ApiError> {
        if !self.kept.has_finalizer(DISPOSE_FINALIZER) {
            return Ok(Next::Never);
        }
        let status: PipelineSnapshotStatus = self.kept.status();
        let subject = self.subject(&status.path);
        let job_name = name(&self.spec.pipeline_ref.name, Task::Remove, subject);
        let state = self.job(&job_name).await?;
        let facts = Facts {
            status: &status,
            has_pipeline: self.pipeline.is_some(),
            job: &state,
            is_forced: self.kept.is_forced(),
        };
        let (namespace, snapshot) = (&*self.key.namespace, &*self.key.name);
        match (disposal(&facts), &self.pipeline) {
            (Disposal::Start, Some((id, spec))) => {
                self.start(id, spec, Task::Remove, subject).await?;
                Ok(Next::After(POLL))
            }
            (Disposal::Start | Disposal::Wait, _) => Ok(Next::After(POLL)),
            (Disposal::Stuck, _) => {
                tracing::warn!(
                    namespace,
                    snapshot,
                    job = job_name,
                    "its data could not be removed; see the job's log, or give it up by the annotation for that"
                );
                Ok(Next::After(STUCK))
            }
            (end @ (Disposal::Done | Disposal::Leave), _) => {
                if end == Disposal::Leave {
                    tracing::warn!(namespace, snapshot, path = status.path, "its data stays in the storage");
                }
                self.remove_finalizer().await?;
                Ok(Next::Never)
            }
        }
    }

    fn subject<'b>(&'b self, path: &'b str) -> Subject<'b> {
        Subject::Savepoint {
            name: &self.key.name,
            uid: &self.kept.uid,
            path,
        }
    }

    fn target(&self) -> Target<'_> {
        Target {
            resource: SNAPSHOT,
            namespace: &self.key.namespace,
            name: &self.key.name,
            uid: &self.kept.uid,
        }
    }

    async fn remove_finalizer(&self) -> Result<(), ApiError> {
        let left = self.kept.finalizers_but(DISPOSE_FINALIZER);
        let version = self.kept.version_text();
        let removed = self.context.api.remove_finalizer(self.target(), &left, &version);
        match removed.await {
            Err(error) if error.is_not_found() => {}
            removed => self.wrote(&removed?),
        }
        Ok(())
    }

    /// What was written is known at once.
    fn wrote(&self, metadata: &ObjectMeta) {
        if let Some(written) = self.kept.written(metadata, None) {
            self.context.cache.snapshots.put(self.key.clone(), written).ok();
        }
    }

    async fn start(
        &self,
        id: &PipelineId,
        spec: &IncidentPipelineSpec,
        task: Task,
        subject: Subject<'_>,
    ) -> Result<(), ApiError> {
        let manifest = job(id, spec, &self.context.settings, task, subject);
        let (api, namespace) = (&self.context.api, &*self.key.namespace);
        api.apply_unread(namespace, &manifest, Others::Respect).await?;
        tracing::info!(namespace, job = manifest.name, "started a Job");
        Ok(())
    }

    async fn job(&self, name: &str) -> Result<JobState, ApiError> {
        job_state(self.context, &self.key.namespace, name).await
    }
}

/// How far a Job is.
pub async fn job_state(context: &Context, namespace: &str, name: &str) -> Result<JobState, ApiError> {
    let api: Api<Job> = Api::namespaced(context.api.client(), namespace);
    let what = || format!("get Job {namespace}/{name}");
    let Some(job) = context.api.ask(what, api.get_opt(name)).await? else {
        return Ok(JobState::None);
    };
    let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
    let ended = |condition: &&JobCondition| {
        condition.status == "True" && matches!(condition.type_.as_str(), "Complete" | "Failed")
    };
    Ok(match conditions.iter().find(ended) {
        None => JobState::Running,
        Some(end) if end.type_ == "Complete" => JobState::Succeeded,
        Some(end) if end.reason.as_deref() == Some(NOT_WHOLE) => JobState::NotWhole,
        Some(_) => JobState::Failed,
    })
}
