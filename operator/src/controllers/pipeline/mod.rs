//! An IncidentPipeline: observe, validate, plan, build, apply, and say what came of it.

mod act;
pub mod kafka;
mod observe;
mod publish;
mod report;
mod savepoints;
mod teardown;
mod workers;

pub use workers::server_name;

use std::time::Duration;

use tocsin_contract::labels::{CLEANUP_FINALIZER, PAUSE};
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::problem::Problem;
use tocsin_operator_core::build::manifest::PIPELINE;
use tocsin_operator_core::pipeline::PipelineId;
use tocsin_operator_core::plan::workers::{Decision, Doing, Unknown, decide};
use tocsin_operator_core::status::pipeline::{Outcome, Planned};
use tocsin_operator_core::validate::{Subject, validate};
use tokio::sync::Mutex;

use super::Context;
use super::context::CompiledSpecs;
use crate::api::ApiError;
use crate::api::apply::Target;
use crate::cache::{Kept, Key};
use crate::work::Next;

/// Something that a pipeline refers to is awaited: nobody says when it comes.
const AWAITED: Duration = Duration::from_secs(5);

/// Pods are there: what they say of themselves changes all the time.
const POLL: Duration = Duration::from_secs(5);

/// Looks at a pipeline.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next, ApiError> {
    let Some(kept) = context.cache.pipelines.get(key) else {
        return Ok(Next::Never);
    };
    let look = Look::of(context, key, &kept);
    // Whoever deletes a pipeline that is paused wants it gone.
    if kept.deleted.is_some() {
        return match look.take_down().await {
            Err(error) if error.stays() => {
                look.report(&Outcome::Deleting(&error.to_string())).await?;
                Err(error)
            }
            done => done,
        };
    }
    let moment = context.clock.moment();
    // Not one after the other: both begin to count here.
    let is_due = [&context.resync, &context.resync_secrets].map(|resync| resync.is_due(&kept.uid, moment));
    if is_due.contains(&true) {
        // Secrets are not watched, as nobody may list them: they are read again.
        context.certificates.lock().remove(&kept.uid);
        context.complete.lock().remove(&kept.uid);
        context.kafka_keys.lock().remove(&kept.uid);
    }
    if kept.annotation(PAUSE) == Some("true") {
        look.report(&Outcome::Paused).await?;
        return Ok(look.routine());
    }
    let brought_about = tokio::select! {
        biased;
        brought_about = look.bring_about() => brought_about,
        never = look.report_if_slow() => match never {},
    };
    match brought_about {
        // Asking again changes nothing: somebody must hear of it.
        Err(error) if error.stays() => {
            look.report(&Outcome::Refused(&error.to_string())).await?;
            Err(error)
        }
        done => done,
    }
}

/// One look at a pipeline.
struct Look<'a> {
    context: &'a Context,
    key: &'a Key,
    kept: &'a Kept,
    id: PipelineId,
    /// Whoever says what came of it holds this.
    reporting: Mutex<()>,
}

impl<'a> Look<'a> {
    fn of(context: &'a Context, key: &'a Key, kept: &'a Kept) -> Self {
        let id = PipelineId {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            uid: kept.uid.to_string(),
        };
        Self {
            context,
            key,
            kept,
            id,
            reporting: Mutex::new(()),
        }
    }

    fn target(&self) -> Target<'_> {
        Target {
            resource: PIPELINE,
            namespace: &self.key.namespace,
            name: &self.key.name,
            uid: &self.kept.uid,
        }
    }

    /// Brings about what is asked for, as far as that goes in one look.
    async fn bring_about(&self) -> Result<Next, ApiError> {
        let context = self.context;
        let spec: IncidentPipelineSpec = match self.kept.spec() {
            Ok(spec) => spec,
            Err(error) => {
                let problem = Problem::new("spec", format!("cannot be read: {error}"));
                self.report(&Outcome::Invalid(&[problem])).await?;
                return Ok(self.routine());
            }
        };
        let (rule_sets, missing) = self.references(&spec).await?;
        if !missing.is_empty() {
            self.report(&Outcome::Missing(&missing)).await?;
            return Ok(Next::After(AWAITED));
        }
        let hash = CompiledSpecs::hash(&spec, &rule_sets);
        let subject = Subject {
            id: self.id.clone(),
            generation: self.kept.generation,
            spec,
        };
        let pipeline = match validate(subject, &rule_sets, context.compiled.get(hash)) {
            Ok(pipeline) => pipeline,
            Err(problems) => {
                self.report(&Outcome::Invalid(&problems)).await?;
                return Ok(self.routine());
            }
        };
        context.compiled.put(hash, &pipeline.compiled);
        self.finalize().await?;
        self.see_to_admin_secret(&pipeline).await?;
        let kafka = self.see_to_kafka(&pipeline).await?;
        self.publish(&pipeline, &kafka).await?;
        let answers = self.ask_workers().await;
        let seen = self.observe(&pipeline, answers);
        let decision = decide(&seen.facts(&pipeline, &context.settings, &rule_sets, &kafka));
        let doing = self.act(&pipeline, &decision).await?;
        if matches!(doing, Doing::Running | Doing::Refuse(_)) {
            self.let_go(&seen.answers, &seen.savepoints).await;
        }
        // What was done is there now.
        let seen = self.observe(&pipeline, seen.answers);
        let outcome = Outcome::Planned(Planned {
            pipeline: &pipeline,
            doing: &doing,
            workers: seen.workers.as_ref(),
            image: &seen.image,
            answers: &seen.answers,
            kafka: &kafka,
            last_savepoint: self.last_savepoint(),
            pod_trouble: seen.pod_trouble.clone(),
        });
        // Whoever reads that a spec was looked at finds the savepoint that it asks for.
        let running = seen.workers.as_ref();
        let savepoints = match running.filter(|workers| doing == Doing::Running && workers.ready > 0) {
            Some(workers) => self.see_to_savepoints(&pipeline, workers).await,
            None => Ok(None),
        };
        self.report(&outcome).await?;
        let routine = savepoints?.map_or_else(|| self.wait(), |next| next.min(self.wait()));
        Ok(match (&decision, &doing) {
            // What was done leads on at once, and nobody else says so.
            (Decision::Remember(_) | Decision::ScaleToZero, _) | (Decision::Run { .. }, Doing::Stop) => Next::Now,
            (_, Doing::Wait(Unknown::Kafka)) => Next::After(POLL.min(routine)),
            _ if seen.has_pods => Next::After(POLL.min(routine)),
            _ => Next::After(routine),
        })
    }

    /// Puts the operator's finalizer on the pipeline: whatever it is made of is taken down in order.
    async fn finalize(&self) -> Result<(), ApiError> {
        if self.kept.has_finalizer(CLEANUP_FINALIZER) {
            return Ok(());
        }
        let api = &self.context.api;
        let metadata = api.set_finalizer(self.target(), CLEANUP_FINALIZER).await?;
        let (namespace, pipeline) = (&*self.key.namespace, &*self.key.name);
        tracing::info!(namespace, pipeline, "put the finalizer on it");
        if let Some(written) = self.newest().written(&metadata, None) {
            // If something newer came in meanwhile, that stays.
            self.context.cache.pipelines.put(self.key.clone(), written).ok();
        }
        Ok(())
    }

    /// The pipeline as it is known by now.
    fn newest(&self) -> Kept {
        let newest = self.context.cache.pipelines.get(self.key);
        newest.map_or_else(|| self.kept.clone(), |newest| (*newest).clone())
    }

    fn wait(&self) -> Duration {
        self.context.resync.wait(&self.kept.uid, self.context.clock.moment())
    }

    fn routine(&self) -> Next {
        Next::After(self.wait())
    }
}
