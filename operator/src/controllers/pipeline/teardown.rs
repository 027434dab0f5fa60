//! A pipeline goes: what is to go with it is taken down, and what stays is named.

use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::json;
use tocsin_contract::labels::{CLEANUP_FINALIZER, Component, DISPOSE_FINALIZER, ENDS_RUN};
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::deletion::Fate;
use tocsin_contract::snapshot::{PipelineSnapshot, SnapshotTrigger};
use tocsin_operator_core::build::manifest::{Resource, SNAPSHOT};
use tocsin_operator_core::build::snapshot::Purpose;
use tocsin_operator_core::build::storage;
use tocsin_operator_core::build::storage_job::{self, Subject, Task};
use tocsin_operator_core::names::Names;
use tocsin_operator_core::pipeline::{Pipeline, PipelineId};
use tocsin_operator_core::plan::snapshot::keeping::JobState;
use tocsin_operator_core::plan::teardown::{Facts, KafkaLeft, Left, Places, Step, journal_goes, left_message, next};
use tocsin_operator_core::plan::workers::Workers;
use tocsin_operator_core::status::event::{Event, Weight};
use tocsin_operator_core::status::pipeline::Outcome;
use tocsin_operator_core::validate;

use super::{Look, POLL};
use crate::api::ApiError;
use crate::api::apply::{Others, Target};
use crate::api::stored::Stored;
use crate::cache::{Kept, Key};
use crate::controllers::snapshot::job_state;
use crate::work::Next;

impl Look<'_> {
    /// Takes the pipeline down, a step a look.
    pub(super) async fn take_down(&self) -> Result<Next, ApiError> {
        if !self.kept.has_finalizer(CLEANUP_FINALIZER) {
            self.context.resync.forget(&self.kept.uid);
            self.context.resync_secrets.forget(&self.kept.uid);
            return Ok(Next::Never);
        }
        // One that cannot be read goes as the defaults have it.
        let spec: IncidentPipelineSpec = self.kept.spec().unwrap_or_default();
        let names = Names::of(&self.key.name);
        let workers = self.workers(&names);
        let savepoints = self.savepoints();
        let last = names.last_savepoint(&self.kept.uid);
        let has_volume =
            self.context
                .cache
                .children
                .has(&self.id, Resource::of::<PersistentVolumeClaim>(), &names.state());
        // What cannot be asked is not known: whoever gives the pipeline up gets it gone all the same.
        let unknown = |what: &'static str| {
            move |error: ApiError| {
                tracing::warn!(%error, "{what}");
                error
            }
        };
        let removal = self.removal(&spec).await;
        let removal = removal.map_err(unknown("what is in the storage is not known"));
        let has_bucket = |removal: &JobState| spec.state.storage.s3.is_some() && *removal != JobState::Succeeded;
        let has_snapshots = removal
            .as_ref()
            .ok()
            .map(|removal| has_volume || has_bucket(removal) || !savepoints.is_empty());
        let removal = removal.unwrap_or(JobState::None);
        let now = self.context.clock.now();
        let since = self.kept.deleted.map_or(Duration::ZERO, |deleted| {
            Duration::try_from(now.duration_since(deleted)).unwrap_or_default()
        });
        let topics = self.topics_left(&spec).await;
        let topics = topics
            .map_err(unknown("which topics there are is not known"))
            .ok()
            .flatten();
        let ended = savepoints.iter().filter(|(_, savepoint)| !savepoint.ends.is_empty());
        let ended = ended.map(|(name, _)| name.clone()).filter(|_| journal_goes(&spec));
        let facts = Facts {
            ended_runs: &ended.collect::<Vec<_>>(),
            policy: &spec.deletion_policy,
            workers: workers.as_ref(),
            savepoint: savepoints.get(&last),
            topics: topics.as_deref(),
            kafka: KafkaLeft::of(&spec),
            has_snapshots,
            since,
            is_forced: self.kept.is_forced(),
        };
        match next(&facts) {
            Step::AskForSavepoint => {
                let purpose = Purpose {
                    trigger: SnapshotTrigger::Deletion,
                    ends: None,
                    dispose_on_delete: false,
                };
                self.ask_for_savepoint(&last, &purpose).await?;
                self.goes(&format!("the last savepoint {last} is being taken")).await
            }
            Step::AwaitSavepoint => self.goes(&format!("the last savepoint {last} is being taken")).await,
            Step::StopWorkers => {
                self.stop_workers(&names).await?;
                self.goes("the workers are ending").await
            }
            Step::AwaitWorkers => self.goes("the workers are ending").await,
            Step::RemoveTopics(topics) => {
                let words = self.remove_topics(&spec, topics).await?;
                self.goes(&words).await
            }
            Step::AwaitKafka => self.goes("Kafka must say first which topics there are").await,
            Step::RemoveSnapshots => {
                self.remove_snapshots(&spec, &removal).await?;
                self.goes(&snapshots_go(&removal, &self.id)).await
            }
            Step::AwaitStorage => self.goes("the storage must say first which snapshots there are").await,
            Step::ForgetRuns(snapshots) => {
                for name in &snapshots {
                    self.forget_run(name).await?;
                }
                self.goes("what its snapshots say of its journal is taken back").await
            }
            Step::Finish(left) => self.finish(&spec, &left).await,
        }
    }

    /// How far the Job is that empties a bucket, if there is one.
    async fn removal(&self, spec: &IncidentPipelineSpec) -> Result<JobState, ApiError> {
        if spec.state.storage.s3.is_none() || spec.deletion_policy.snapshots == Fate::Retain {
            return Ok(JobState::None);
        }
        let name = storage_job::name(&self.id.name, Task::Remove, Subject::Pipeline { uid: &self.id.uid });
        job_state(self.context, &self.key.namespace, &name).await
    }

    /// Removes all snapshots, and the objects that stand for them: what these would dispose of goes with the rest.
    async fn remove_snapshots(&self, spec: &IncidentPipelineSpec, removal: &JobState) -> Result<(), ApiError> {
        let (api, namespace) = (&self.context.api, &*self.key.namespace);
        for name in self.savepoints().keys() {
            let Some(snapshot) = self.context.cache.snapshots.get(&Key::new(namespace, name)) else {
                continue;
            };
            let target = Target {
                resource: SNAPSHOT,
                namespace,
                name,
                uid: &snapshot.uid,
            };
            if snapshot.has_finalizer(DISPOSE_FINALIZER) {
                let left = snapshot.finalizers_but(DISPOSE_FINALIZER);
                let changed = api.remove_finalizer(target, &left, &snapshot.version_text()).await?;
                if let Some(written) = snapshot.written(&changed, None) {
                    self.context
                        .cache
                        .snapshots
                        .put(Key::new(namespace, name), written)
                        .ok();
                }
            }
            api.delete(target).await?;
        }
        self.remove_volume(&Names::of(&self.key.name)).await?;
        if spec.state.storage.s3.is_some() && *removal == JobState::None {
            let job = storage_job::job(
                &self.id,
                spec,
                &self.context.settings,
                Task::Remove,
                Subject::Pipeline { uid: &self.id.uid },
            );
            api.apply_unread(namespace, &job, Others::TakeOver).await?;
            tracing::info!(namespace, job = job.name, "started a Job that removes all snapshots");
        }
        Ok(())
    }

    /// A snapshot no longer says that it ended a run.
    async fn forget_run(&self, name: &str) -> Result<(), ApiError> {
        let namespace = &*self.key.namespace;
        let Some(known) = self.context.cache.snapshots.get(&Key::new(namespace, name)) else {
            return Ok(());
        };
        let change = json!({"metadata": {"uid": known.uid, "annotations": {ENDS_RUN: null}}});
        let changed: Stored<PipelineSnapshot> = self.context.api.change(namespace, name, &change).await?;
        let kept = Kept::of(&changed);
        self.context.cache.snapshots.put(Key::new(namespace, name), kept).ok();
        Ok(())
    }

    /// A step is under way.
    async fn goes(&self, step: &str) -> Result<Next, ApiError> {
        self.report(&Outcome::Deleting(step)).await?;
        Ok(Next::After(POLL))
    }

    /// The last word: what stays. Then the finalizer goes, and with it the pipeline.
    async fn finish(&self, spec: &IncidentPipelineSpec, left: &[Left]) -> Result<Next, ApiError> {
        let bootstrap = spec.kafka.bootstrap_servers.as_deref().unwrap_or("BROKERS");
        let storage = &spec.state.storage;
        let bucket = storage.s3.as_ref().map(|_| storage::address(storage, &self.id));
        let places = Places {
            namespace: &self.id.namespace,
            pipeline: &self.id.name,
            bootstrap,
            bucket: bucket.as_deref(),
        };
        let mut messages: Vec<String> = left.iter().map(|left| left_message(left, places)).collect();
        if messages.is_empty() {
            messages.push("nothing of the pipeline is left".to_owned());
        }
        for message in messages {
            self.tell(&Event {
                weight: Weight::Normal,
                reason: "Deleted".to_owned(),
                message,
            })
            .await;
        }
        if spec.deletion_policy.kafka == Fate::Retain
            && spec.kafka.manage_topics
            && let Some(pipeline) = self.validated(spec)
        {
            self.publish_deletion(&pipeline).await;
        }
        let newest = self.newest();
        let (left, version) = (newest.finalizers_but(CLEANUP_FINALIZER), newest.version_text());
        let removed = self.context.api.remove_finalizer(self.target(), &left, &version);
        match removed.await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => {
                self.context.resync.forget(&self.kept.uid);
                self.context.resync_secrets.forget(&self.kept.uid);
                self.forget_kafka();
                Ok(Next::Never)
            }
        }
    }

    /// The pipeline, if its spec can still be built.
    fn validated(&self, spec: &IncidentPipelineSpec) -> Option<Pipeline> {
        let rule_sets = self.context.cache.rule_sets_of(&self.key.namespace);
        let subject = validate::Subject {
            id: self.id.clone(),
            generation: self.kept.generation,
            spec: spec.clone(),
        };
        validate::validate(subject, &rule_sets, None).ok()
    }

    fn workers(&self, names: &Names<'_>) -> Option<Workers> {
        let set = self
            .context
            .cache
            .stateful_sets
            .get(&Key::new(&self.key.namespace, &names.workers()))?;
        let pods = self.context.cache.pods.of(self.key, Component::Workers);
        let ready = pods.iter().filter(|(_, pod)| pod.state.is_ready).count();
        Some(Workers {
            record: set.record.as_deref().cloned().unwrap_or_default(),
            replicas: set.replicas,
            pods: u32::try_from(pods.len()).unwrap_or(u32::MAX),
            ready: u32::try_from(ready).unwrap_or(u32::MAX),
            updated: 0,
        })
    }
}

fn snapshots_go(removal: &JobState, pipeline: &PipelineId) -> String {
    match removal {
        JobState::Failed => {
            let job = storage_job::name(&pipeline.name, Task::Remove, Subject::Pipeline { uid: &pipeline.uid });
            format!("the snapshots could not be removed: see kubectl logs job/{job}, and delete the job to try again")
        }
        _ => "the snapshots are removed".to_owned(),
    }
}
