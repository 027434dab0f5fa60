//! The workers of a pipeline, as they are asked: by the Secret that is theirs and the operator's.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use secrecy::ExposeSecret;
use tocsin_contract::labels::CLEANUP_FINALIZER;
use tocsin_contract::snapshot::{PipelineSnapshotStatus, SnapshotState};
use tocsin_contract::worker::WorkerStatus;
use tocsin_operator_core::build::admin::{self, Content};
use tocsin_operator_core::build::manifest::Manifest;
use tocsin_operator_core::names::Names;
use tocsin_operator_core::pipeline::Pipeline;
use tocsin_operator_core::plan::workers::Savepoint;

use super::Look;
use crate::api::ApiError;
use crate::api::apply::Others;
use crate::authority;
use crate::cache::Key;
use crate::cache::children::uid_of;
use crate::controllers::snapshot::give_up;

impl Look<'_> {
    /// Sees to it that the Secret is there, and its certificate good for a while.
    pub(super) async fn see_to_admin_secret(&self, pipeline: &Pipeline) -> Result<(), ApiError> {
        let now = self.context.clock.now();
        let is_good = |ends: Timestamp| authority::is_good(ends, now);
        let known = self.context.certificates.lock().get(&self.kept.uid).copied();
        if known.is_some_and(is_good) {
            return Ok(());
        }
        let found = self.admin_secret(pipeline).await?;
        let is_ours = found
            .as_ref()
            .is_some_and(|found| uid_of(found) == Some(&*self.kept.uid));
        let annotations = found.and_then(|found| found.annotations).unwrap_or_default();
        let ends = annotations.get(admin::ENDS).and_then(|ends| ends.parse().ok());
        // Keys that somebody made anew leave nothing of the old ones in use.
        let is_of_keys = annotations
            .get(admin::KEY_ID)
            .is_some_and(|id| id == self.context.keys.key_id());
        let ends = match ends.filter(|ends| is_ours && is_of_keys && is_good(*ends)) {
            Some(ends) => ends,
            None => self.make_admin_secret(pipeline, is_ours).await?,
        };
        self.context.certificates.lock().insert(self.kept.uid.clone(), ends);
        Ok(())
    }

    /// What is known of the Secret. Nobody has made any before the first look at a pipeline, but for one of its name that is gone.
    async fn admin_secret(&self, pipeline: &Pipeline) -> Result<Option<ObjectMeta>, ApiError> {
        if !self.kept.has_finalizer(CLEANUP_FINALIZER) {
            return Ok(None);
        }
        let (namespace, name) = (&*self.key.namespace, pipeline.names().admin());
        let api: Api<Secret> = Api::namespaced(self.context.api.client(), namespace);
        let what = || format!("get Secret {namespace}/{name}");
        let found = self.context.api.ask(what, api.get_metadata_opt(&name)).await?;
        Ok(found.map(|found| found.metadata))
    }

    async fn make_admin_secret(&self, pipeline: &Pipeline, is_ours: bool) -> Result<Timestamp, ApiError> {
        let keys = &self.context.keys;
        let names = admin::server_names(&self.key.namespace, &pipeline.names().workers());
        let certificate = keys.certificate(names, self.context.clock.now());
        let certificate = certificate.map_err(|error| ApiError::unmade("a certificate", &error))?;
        let token = keys.token(&self.kept.uid);
        let secret = admin::secret(
            pipeline,
            Content {
                token: token.expose_secret(),
                certificate: &certificate.chain,
                key: certificate.key.expose_secret(),
                ends: certificate.ends,
                key_id: keys.key_id(),
            },
        );
        let others = if is_ours { Others::TakeOver } else { Others::Respect };
        let manifest = Manifest::new(&secret);
        self.context
            .api
            .apply_unread(&self.key.namespace, &manifest, others)
            .await?;
        let (namespace, name) = (&*self.key.namespace, &*self.key.name);
        tracing::info!(
            namespace,
            pipeline = name,
            object = manifest.name,
            "made a certificate for the workers"
        );
        Ok(certificate.ends)
    }

    /// Workers that were away when a savepoint was given up stand still for it: they are told now. None is under way.
    pub(super) async fn let_go(&self, answers: &[WorkerStatus], savepoints: &BTreeMap<String, Savepoint>) {
        let is_held = answers.iter().flat_map(|worker| &worker.shards).any(|shard| shard.held);
        let is_wanted =
            |savepoint: &Savepoint| savepoint.state == SnapshotState::Completed && !savepoint.ends.is_empty();
        if !is_held || savepoints.values().any(is_wanted) {
            return;
        }
        let workers = self.context.workers_of(self.key, &self.kept.uid, |pod| !pod.ends);
        let failed = savepoints.iter().filter(|(_, savepoint)| !savepoint.ends.is_empty());
        for (name, _) in failed {
            let known = self.context.cache.snapshots.get(&Key::new(&self.key.namespace, name));
            let status: Option<PipelineSnapshotStatus> = known.map(|known| known.status());
            if let Some(status) = status.filter(|status| !status.trigger_id.is_empty()) {
                give_up(self.context, &status.trigger_id, &workers).await;
            }
        }
    }

    /// What the workers that are ready say of themselves. Who does not answer says nothing.
    pub(super) async fn ask_workers(&self) -> Vec<WorkerStatus> {
        let ready = self
            .context
            .workers_of(self.key, &self.kept.uid, |pod| pod.state.is_ready);
        let asked = ready.iter().map(|(_, worker)| self.context.workers.status(worker));
        let answers = join_all(asked).await;
        let answered = answers.into_iter().zip(&ready).filter_map(|(answer, (pod, _))| {
            answer
                .inspect_err(|error| tracing::debug!(pod, %error, "a worker did not say how it is"))
                .ok()
        });
        answered.collect()
    }
}

/// The name that a worker's certificate has.
pub fn server_name(namespace: &str, pipeline: &str) -> String {
    let names = admin::server_names(namespace, &Names::of(pipeline).workers());
    names.into_iter().next().unwrap_or_default()
}
