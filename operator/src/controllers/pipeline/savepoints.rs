//! The savepoints of a pipeline that runs: asked for by its time table and its nonce, and removed when they are old.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tocsin_contract::labels::SNAPSHOT_TRIGGER;
use tocsin_contract::snapshot::{PipelineSnapshotStatus, SnapshotState};
use tocsin_operator_core::build::arguments::Start;
use tocsin_operator_core::build::manifest::SNAPSHOT;
use tocsin_operator_core::build::record::Record;
use tocsin_operator_core::build::snapshot::Purpose;
use tocsin_operator_core::pipeline::Pipeline;
use tocsin_operator_core::plan::savepoints::{Facts, Taken, plan};
use tocsin_operator_core::plan::workers::Workers;

use super::Look;
use crate::api::ApiError;
use crate::api::apply::Target;
use crate::cache::{Kept, Key};

impl Look<'_> {
    /// Sees to the savepoints, and says when there is something to do next.
    pub(super) async fn see_to_savepoints(
        &self,
        pipeline: &Pipeline,
        workers: &Workers,
    ) -> Result<Option<Duration>, ApiError> {
        let now = self.context.clock.now();
        let own = self.context.cache.snapshots_of(self.key).into_iter();
        let asked_for = own.filter(|(_, snapshot)| snapshot.annotation(SNAPSHOT_TRIGGER).is_some());
        let taken: BTreeMap<String, Taken> = asked_for
            .map(|(name, snapshot)| (name, taken(&snapshot, &workers.record)))
            .collect();
        let plan = plan(&Facts {
            names: pipeline.names(),
            uid: &pipeline.id.uid,
            generation: pipeline.generation,
            state: &pipeline.spec.state,
            heeded_nonce: workers.record.savepoint_nonce,
            created: self.kept.created.unwrap_or(now),
            taken: &taken,
            now,
        });
        if let Some((name, trigger)) = &plan.ask {
            let purpose = Purpose {
                trigger: *trigger,
                ends: None,
                dispose_on_delete: pipeline.spec.state.savepoint.dispose_on_delete,
            };
            self.ask_for_savepoint(name, &purpose).await?;
        }
        if let Some(nonce) = plan.heed {
            let record = Record {
                savepoint_nonce: nonce,
                ..workers.record.clone()
            };
            let change = json!({"metadata": {"annotations": record.annotations()}});
            self.change_workers(&pipeline.names(), change).await?;
        }
        for name in &plan.remove {
            self.remove_savepoint(name).await?;
        }
        let wait = plan
            .next
            .map(|next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
        // A moment later, so that it is due then.
        Ok(wait.map(|wait| wait + Duration::from_millis(500)))
    }

    async fn remove_savepoint(&self, name: &str) -> Result<(), ApiError> {
        let key = Key::new(&self.key.namespace, name);
        let Some(snapshot) = self.context.cache.snapshots.get(&key) else {
            return Ok(());
        };
        let target = Target {
            resource: SNAPSHOT,
            namespace: &self.key.namespace,
            name,
            uid: &snapshot.uid,
        };
        self.context.api.delete(target).await?;
        let (namespace, pipeline) = (&*self.key.namespace, &*self.key.name);
        tracing::info!(
            namespace,
            pipeline,
            snapshot = name,
            "removed: it is older than the history that is kept"
        );
        Ok(())
    }
}

fn taken(snapshot: &Kept, record: &Record) -> Taken {
    let status: PipelineSnapshotStatus = snapshot.status();
    let began_with = |path: &str| match &record.start {
        Start::Continue => false,
        Start::Rewind { savepoint, .. } | Start::Resume { savepoint } | Start::Restore { savepoint } => {
            savepoint == path
        }
    };
    let created = snapshot.created.unwrap_or_default();
    Taken {
        trigger: snapshot.trigger(),
        state: status.state.unwrap_or(SnapshotState::Pending),
        created,
        at: status.completion_time.map_or(created, |time| time.0),
        is_in_use: began_with(&status.path),
    }
}
