//! A PipelineSnapshot: the workers are asked for it, and looked after until it is there; then it is kept.

mod keeping;

use std::time::Duration;

use futures::future::join_all;
use tocsin_contract::labels::{Component, ENDS_RUN};
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::status::IncidentPipelineStatus;
use tocsin_contract::snapshot::{PipelineSnapshotSpec, PipelineSnapshotStatus};
use tocsin_operator_core::build::manifest::SNAPSHOT;
use tocsin_operator_core::names::Names;
use tocsin_operator_core::pipeline::wanted_replicas;
use tocsin_operator_core::plan::snapshot::{Answer, Decision, Facts, Subject, decide};
use tocsin_operator_core::status::snapshot::whole;

use keeping::Keeping;
pub use keeping::job_state;

use super::Context;
use crate::api::ApiError;
use crate::api::apply::Target;
use crate::cache::{Kept, Key};
use crate::work::Next;
use crate::workers::{Worker, WorkerError};

/// Behind an answer that must come first.
const POLL: Duration = Duration::from_secs(1);

/// Looks at a snapshot.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next, ApiError> {
    let Some(kept) = context.cache.snapshots.get(key) else {
        return Ok(Next::Never);
    };
    let routine = || Next::After(context.resync.wait(&kept.uid, context.clock.moment()));
    let Ok(spec) = kept.spec::<PipelineSnapshotSpec>() else {
        // Its schema has changed since: whoever made it makes it anew.
        return Ok(routine());
    };
    if kept.deleted.is_some() {
        return Keeping::of(context, key, &kept, &spec).dispose().await;
    }
    let status: PipelineSnapshotStatus = kept.status();
    let (subject, workers) = subject(context, key, &spec, &status).await?;
    let now = context.clock.now();
    let decision = decide(&Facts {
        name: &key.name,
        uid: &kept.uid,
        spec: &spec,
        status: &status,
        subject: &subject,
        created: kept.created.unwrap_or(now),
        now,
    });
    // A try that failed is given up first: one that is complete after all has not failed.
    if let Some(id) = &decision.give_up
        && !give_up(context, id, &workers).await
    {
        return Ok(Next::After(POLL));
    }
    let keeping = Keeping::of(context, key, &kept, &spec);
    keeping.finalize(&decision.status).await?;
    let (decided, look_again) = keeping.verify(&decision.status).await?;
    // First it is written what is asked for, then it is asked.
    let whole = whole(&decided, kept.generation, kept.trigger(), now);
    if whole != status {
        write(context, key, &kept, &whole).await?;
    }
    ask(context, &kept, &decision, &workers).await;
    Ok(match decision.look_again.or(look_again) {
        Some(Duration::ZERO) => Next::Now,
        Some(wait) => Next::After(wait),
        None => routine(),
    })
}

/// The snapshot's pipeline, and its workers by name, as far as they can be asked.
async fn subject(
    context: &Context,
    key: &Key,
    spec: &PipelineSnapshotSpec,
    status: &PipelineSnapshotStatus,
) -> Result<(Subject, Vec<(String, Worker)>), ApiError> {
    let pipeline_key = Key::new(&key.namespace, &spec.pipeline_ref.name);
    let Some(pipeline) = context.cache.pipelines.get(&pipeline_key) else {
        return Ok((Subject::Missing, Vec::new()));
    };
    let names = Names::of(&pipeline_key.name);
    let set = context
        .cache
        .stateful_sets
        .get(&Key::new(&key.namespace, &names.workers()));
    let pods = context.cache.pods.of(&pipeline_key, Component::Workers);
    let Some(set) = set.filter(|set| set.replicas > 0 || !pods.is_empty()) else {
        let wanted = pipeline.spec().map_or(0, |spec| wanted_replicas(&spec));
        let subject = if wanted > 0 && pipeline.deleted.is_none() {
            Subject::ComesUp
        } else {
            Subject::Stopped
        };
        return Ok((subject, Vec::new()));
    };
    let workers = context.workers_of(&pipeline_key, &pipeline.uid, |pod| !pod.ends);
    let asked = (0..set.replicas).map(|ordinal| {
        let name = names.worker(ordinal);
        let worker = workers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, worker)| worker);
        async move {
            let answer = match worker {
                Some(worker) if !status.trigger_id.is_empty() => {
                    answer(context.workers.savepoint(worker, &status.trigger_id).await)
                }
                _ => Answer::Silent,
            };
            (name, answer)
        }
    });
    let answers = join_all(asked).await;
    let pipeline_spec: IncidentPipelineSpec = pipeline.spec().unwrap_or_default();
    let said: IncidentPipelineStatus = pipeline.status();
    let time_out = pipeline_spec.state.checkpoint.timeout.as_micros();
    let subject = Subject::Running {
        pipeline: pipeline_key.name.to_string(),
        workers: answers,
        epoch: said.workers.and_then(|workers| workers.epoch),
        time_out: Duration::from_micros(u64::try_from(time_out).unwrap_or_default()),
    };
    Ok((subject, workers))
}

fn answer(said: Result<tocsin_contract::worker::Savepoint, WorkerError>) -> Answer {
    match said {
        Ok(savepoint) => Answer::Is(savepoint),
        Err(WorkerError::Unknown) => Answer::Unknown,
        Err(WorkerError::Refused(why)) => Answer::Refused(why),
        Err(WorkerError::Unreachable(_)) => Answer::Silent,
    }
}

async fn write(context: &Context, key: &Key, kept: &Kept, status: &PipelineSnapshotStatus) -> Result<(), ApiError> {
    let target = Target {
        resource: SNAPSHOT,
        namespace: &key.namespace,
        name: &key.name,
        uid: &kept.uid,
    };
    let metadata = context.api.apply_status(target, status).await?;
    let text = serde_json::to_value(status).unwrap_or_default();
    // What was written to it since it was looked at, such as a finalizer, is known already.
    let newest = context.cache.snapshots.get(key);
    if let Some(written) = newest.as_deref().unwrap_or(kept).written(&metadata, Some(&text)) {
        context.cache.snapshots.put(key.clone(), written).ok();
    }
    tracing::info!(
        namespace = &*key.namespace,
        snapshot = &*key.name,
        state = ?status.state,
        error = status.error,
        "the snapshot goes on"
    );
    // Its pipeline may wait for it, and the cache knows already what the watch will tell.
    if let Some(pipeline) = kept.pipeline_of_snapshot() {
        context
            .work
            .changed(crate::work::Item::Pipeline(Key::new(&key.namespace, &pipeline)));
    }
    Ok(())
}

/// Workers are asked for what was decided. Whoever does not hear of it is asked again at the next look.
async fn ask(context: &Context, kept: &Kept, decision: &Decision, workers: &[(String, Worker)]) {
    let ends = kept.annotation(ENDS_RUN).is_some();
    let id = &decision.status.trigger_id;
    let asked = workers.iter().filter(|(name, _)| decision.ask.contains(name));
    let asked = asked.map(|(name, worker)| async move {
        if let Err(error) = context.workers.ask_for_savepoint(worker, id, ends).await {
            tracing::debug!(worker = name, %error, "a worker was not asked for a savepoint");
        }
    });
    join_all(asked).await;
}

/// Sees to it that a savepoint never will be complete, and that no worker stands still for it. Whether that is so, as far as
/// workers can be asked: where none can, none has heard of it, or it goes when they go.
pub async fn give_up(context: &Context, id: &str, workers: &[(String, Worker)]) -> bool {
    let told = workers.iter().map(|(name, worker)| async move {
        let told = context.workers.give_up_savepoint(worker, id).await;
        if let Err(error) = &told {
            tracing::debug!(worker = name, %error, "a worker was not told that a savepoint is given up");
        }
        told
    });
    let told = join_all(told).await;
    let is_given_up = told.iter().any(Result::is_ok);
    is_given_up || told.iter().all(|told| matches!(told, Err(WorkerError::Unreachable(_))))
}
