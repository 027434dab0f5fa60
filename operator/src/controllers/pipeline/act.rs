//! What was decided about the workers is done.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tocsin_contract::labels::{self, Component};
use tocsin_operator_core::build::manifest::{Manifest, Resource};
use tocsin_operator_core::build::snapshot::{Purpose, savepoint};
use tocsin_operator_core::build::{Run, objects};
use tocsin_operator_core::names::Names;
use tocsin_operator_core::pipeline::Pipeline;
use tocsin_operator_core::plan::workers::{Decision, Doing};

use super::Look;
use crate::api::ApiError;
use crate::api::apply::{Others, Target};
use crate::cache::Key;
use crate::cache::stateful_sets::SeenStatefulSet;
use crate::cache::store::version_of;

impl Look<'_> {
    /// Does what was decided, and says what goes on with the workers then.
    pub(super) async fn act(&self, pipeline: &Pipeline, decision: &Decision) -> Result<Doing, ApiError> {
        match decision {
            Decision::Run { run, doing } => {
                self.run(pipeline, run).await?;
                Ok(doing.clone())
            }
            Decision::Remember(record) => {
                let annotations = record.annotations();
                let change = json!({"metadata": {"annotations": annotations}});
                self.change_workers(&pipeline.names(), change).await?;
                Ok(Doing::Running)
            }
            Decision::ScaleToZero => {
                self.stop_workers(&pipeline.names()).await?;
                Ok(Doing::Stop)
            }
            Decision::Leave(doing) => {
                if let Doing::AskForSavepoint { name, ends, trigger } = doing {
                    let purpose = Purpose {
                        trigger: *trigger,
                        ends: Some(ends.clone()),
                        dispose_on_delete: pipeline.spec.state.savepoint.dispose_on_delete,
                    };
                    self.ask_for_savepoint(name, &purpose).await?;
                }
                Ok(doing.clone())
            }
        }
    }

    /// Makes all objects so.
    async fn run(&self, pipeline: &Pipeline, run: &Run) -> Result<(), ApiError> {
        let objects = objects(pipeline, &self.context.settings, run);
        let is_start = run.replicas > 0 && self.replicas(pipeline) == Some(0);
        if is_start {
            self.see_that_nothing_runs(pipeline).await?;
        }
        for object in &objects {
            self.apply(pipeline, object).await?;
        }
        self.remove_orphans(pipeline, run, &objects).await
    }

    /// Makes an object so.
    pub(super) async fn apply(&self, pipeline: &Pipeline, object: &Manifest) -> Result<(), ApiError> {
        let children = &self.context.cache.children;
        if children.is_applied(&self.id, object) {
            return Ok(());
        }
        let before = children.version(&self.id, object);
        // What is not known to be the pipeline's may be somebody else's of the same name.
        let others = if children.is_ours(&self.id, object) {
            Others::TakeOver
        } else {
            Others::Respect
        };
        let metadata = if object.resource == Resource::of::<StatefulSet>() {
            // As they were looked at when it was decided what becomes of them.
            let known = self
                .context
                .cache
                .stateful_sets
                .get(&Key::new(&self.key.namespace, &object.name));
            let version = known.map(|known| known.version_text());
            let api = &self.context.api;
            let seen: SeenStatefulSet = api
                .apply(&self.key.namespace, object, others, version.as_deref())
                .await?;
            self.context.cache.saw_stateful_set(&seen);
            seen.metadata
        } else {
            self.context
                .api
                .apply_unread(&self.key.namespace, object, others)
                .await?
        };
        children.applied(&self.id, object, &metadata);
        if before == Some(version_of(metadata.resource_version.as_deref())) {
            // It was as it must be.
            return Ok(());
        }
        tracing::info!(
            namespace = pipeline.id.namespace,
            pipeline = pipeline.id.name,
            generation = pipeline.generation,
            kind = object.resource.kind,
            object = object.name,
            "applied"
        );
        Ok(())
    }

    /// Workers of two runs never work at the same time: before some are started, the API server itself is asked whether
    /// others are left. What is known of pods may be old.
    async fn see_that_nothing_runs(&self, pipeline: &Pipeline) -> Result<(), ApiError> {
        let namespace = &*self.key.namespace;
        let selector = labels::selector_text(&labels::selector(&pipeline.id.name, Component::Workers));
        let api: Api<Pod> = Api::namespaced(self.context.api.client(), namespace);
        let how = ListParams::default().labels(&selector).limit(1);
        let what = || format!("list Pod {namespace}");
        let pods = self.context.api.ask(what, api.list_metadata(&how)).await?;
        if pods.items.is_empty() {
            Ok(())
        } else {
            Err(ApiError::stale(format!("list Pod {namespace}")))
        }
    }

    /// Removes what the pipeline is no longer made of, once nobody needs it.
    async fn remove_orphans(&self, pipeline: &Pipeline, run: &Run, wanted: &[Manifest]) -> Result<(), ApiError> {
        let pods = self.context.cache.pods.of(self.key, Component::Workers);
        let workers = self.context.cache.stateful_sets.get(&self.workers_key(pipeline));
        let newest = workers.and_then(|workers| workers.revision.clone());
        let all_are_new = pods.iter().all(|(_, pod)| Some(&pod.revision) == newest.as_ref());
        if !all_are_new || pods.len() > run.replicas as usize {
            return Ok(());
        }
        for orphan in self.context.cache.children.orphans(&self.id, wanted) {
            let resource = orphan.resource();
            // The key to the workers is made elsewhere.
            if resource == Resource::of::<Secret>() {
                continue;
            }
            let target = Target {
                resource,
                namespace: &self.key.namespace,
                name: &orphan.name,
                uid: &orphan.uid,
            };
            self.context.api.delete(target).await?;
            tracing::info!(
                namespace = pipeline.id.namespace,
                pipeline = pipeline.id.name,
                kind = resource.kind,
                object = &*orphan.name,
                "removed: the pipeline is no longer made of it"
            );
        }
        Ok(())
    }

    /// There are to be no workers from now on.
    pub(super) async fn stop_workers(&self, names: &Names<'_>) -> Result<(), ApiError> {
        self.change_workers(names, json!({"spec": {"replicas": 0}})).await
    }

    /// Changes a part of the workers, and leaves the rest as it is, whichever spec that was made from.
    pub(super) async fn change_workers(&self, names: &Names<'_>, mut change: Value) -> Result<(), ApiError> {
        let key = Key::new(&self.key.namespace, &names.workers());
        let Some(known) = self.context.cache.stateful_sets.get(&key) else {
            return Ok(());
        };
        // Only as they were looked at.
        change["metadata"]["resourceVersion"] = known.version_text().into();
        let seen: SeenStatefulSet = self.context.api.change(&key.namespace, &key.name, &change).await?;
        self.context.cache.saw_stateful_set(&seen);
        self.context
            .cache
            .children
            .saw(Resource::of::<StatefulSet>(), &seen.metadata);
        let (namespace, pipeline) = (&*self.key.namespace, &*self.key.name);
        tracing::info!(namespace, pipeline, object = &*key.name, "changed the workers");
        Ok(())
    }

    /// Removes the volume with the snapshots.
    pub(super) async fn remove_volume(&self, names: &Names<'_>) -> Result<(), ApiError> {
        let resource = Resource::of::<PersistentVolumeClaim>();
        let claim = self.context.cache.children.get(&self.id, resource, &names.state());
        let Some(claim) = claim else { return Ok(()) };
        let target = Target {
            resource,
            namespace: &self.key.namespace,
            name: &claim.name,
            uid: &claim.uid,
        };
        self.context.api.delete(target).await
    }

    /// Asks for a savepoint, if nobody has yet.
    pub(super) async fn ask_for_savepoint(&self, name: &str, purpose: &Purpose) -> Result<(), ApiError> {
        let namespace = &*self.key.namespace;
        let labels = self.kept.labels.iter().map(|(name, value)| (&**name, &**value));
        let manifest = savepoint(&self.id, labels, name.to_owned(), purpose);
        self.context
            .api
            .apply_unread(namespace, &manifest, Others::Respect)
            .await?;
        tracing::info!(namespace, pipeline = self.id.name, snapshot = name, trigger = ?purpose.trigger, "asked for a savepoint");
        Ok(())
    }

    fn workers_key(&self, pipeline: &Pipeline) -> Key {
        Key::new(&self.key.namespace, &pipeline.names().workers())
    }

    fn replicas(&self, pipeline: &Pipeline) -> Option<u32> {
        let known = self.context.cache.stateful_sets.get(&self.workers_key(pipeline));
        known.map(|known| known.replicas)
    }
}
