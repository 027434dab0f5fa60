//! IncidentRuleSets and IncidentModels: whether they are sound, and who refers to them.

use tocsin_contract::model::{IncidentModelSpec, IncidentModelStatus};
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::status::IncidentPipelineStatus;
use tocsin_contract::problem::Problem;
use tocsin_contract::rule_set::{IncidentRuleSetSpec, IncidentRuleSetStatus};
use tocsin_operator_core::build::manifest::{MODEL, RULE_SET, Resource};
use tocsin_operator_core::status::rule_set::{Look, of_model, of_rule_set};
use tocsin_operator_core::validate::compiled::compile;
use tocsin_operator_core::validate::references::rule_sets;

use super::Context;
use crate::api::ApiError;
use crate::api::apply::Target;
use crate::cache::{Kept, Key, Store};
use crate::work::Next;

/// Looks at a rule set.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next, ApiError> {
    let Some(kept) = context.cache.rule_sets.get(key).filter(|kept| kept.deleted.is_none()) else {
        return Ok(Next::Never);
    };
    let routine = Next::After(context.resync.wait(&kept.uid, context.clock.moment()));
    let Ok(spec) = kept.spec::<IncidentRuleSetSpec>() else {
        return Ok(routine);
    };
    let (mut problems, mut workers) = (Vec::new(), 0_u32);
    for (name, pipeline, n) in referring(context, key, |spec| rule_sets(spec).contains(&*key.name)) {
        workers = workers.saturating_add(n);
        // Other rule sets of the pipeline are as they are known.
        let mut known = context.cache.rule_sets_of(&key.namespace);
        known.insert(key.name.to_string(), spec.clone());
        if let Err(found) = compile(&name, &pipeline, &known) {
            let of_set = found.into_iter().filter(is_of_a_reference);
            problems.extend(of_set.map(|problem| (name.clone(), problem)));
        }
    }
    let said: IncidentRuleSetStatus = kept.status();
    let look = look(context, &kept, workers);
    let status = of_rule_set(&said, look, &spec, &problems);
    if status != said {
        write(context, &context.cache.rule_sets, (RULE_SET, key), &kept, &status).await?;
    }
    Ok(routine)
}

/// Looks at a model.
pub async fn reconcile_model(context: &Context, key: &Key) -> Result<Next, ApiError> {
    let Some(kept) = context.cache.models.get(key).filter(|kept| kept.deleted.is_none()) else {
        return Ok(Next::Never);
    };
    let routine = Next::After(context.resync.wait(&kept.uid, context.clock.moment()));
    let Ok(spec) = kept.spec::<IncidentModelSpec>() else {
        return Ok(routine);
    };
    let refers = |spec: &IncidentPipelineSpec| {
        let detects = spec.stages.iter().filter_map(|stage| stage.detect.as_ref());
        detects.into_iter().any(|detect| detect.model_ref.name == *key.name)
    };
    let workers = referring(context, key, refers).iter().map(|(_, _, n)| *n).sum();
    let said: IncidentModelStatus = kept.status();
    let status = of_model(&said, look(context, &kept, workers), &spec);
    if status != said {
        write(context, &context.cache.models, (MODEL, key), &kept, &status).await?;
    }
    Ok(routine)
}

fn look(context: &Context, kept: &Kept, workers: u32) -> Look {
    Look {
        generation: kept.generation,
        workers,
        now: context.clock.now(),
    }
}

/// A problem with a stage that takes its rules or columns from a rule set.
fn is_of_a_reference(problem: &Problem) -> bool {
    problem.path.contains("rulesRef") || problem.path.contains("kpisRef") || problem.path.contains("rules[")
}

/// The pipelines of the namespace that refer to it: name, spec, and how many workers each has.
fn referring(
    context: &Context,
    key: &Key,
    refers: impl Fn(&IncidentPipelineSpec) -> bool,
) -> Vec<(String, IncidentPipelineSpec, u32)> {
    let pipelines = context.cache.pipelines.of_namespace(&key.namespace);
    let mentioning = pipelines.into_iter().filter(|(_, kept)| kept.mentions(&key.name));
    let read = mentioning.filter_map(|(pipeline, kept)| {
        let spec: IncidentPipelineSpec = kept.spec().ok().filter(|spec| refers(spec))?;
        let status: IncidentPipelineStatus = kept.status();
        let workers = status.workers.map_or(0, |workers| workers.ready_replicas);
        Some((pipeline.name.to_string(), spec, workers))
    });
    read.collect()
}

async fn write(
    context: &Context,
    store: &Store<Kept>,
    (resource, key): (Resource, &Key),
    kept: &Kept,
    status: &impl serde::Serialize,
) -> Result<(), ApiError> {
    let target = Target {
        resource,
        namespace: &key.namespace,
        name: &key.name,
        uid: &kept.uid,
    };
    let metadata = context.api.apply_status(target, status).await?;
    let (namespace, name) = (&*key.namespace, &*key.name);
    tracing::info!(namespace, kind = resource.kind, object = name, "wrote its status");
    let text = serde_json::to_value(status).unwrap_or_default();
    if let Some(written) = kept.written(&metadata, Some(&text)) {
        store.put(key.clone(), written).ok();
    }
    Ok(())
}
