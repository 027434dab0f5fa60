//! The status of a pipeline: one function a condition, and what of it makes the whole.

use std::time::Duration;

use jiff::Timestamp;
use tocsin_contract::conditions as kinds;
use tocsin_contract::labels::{self, Component};
use tocsin_contract::pipeline::status::{EndpointsStatus, IncidentPipelineStatus, Phase, WorkersStatus};
use tocsin_contract::ports;
use tocsin_contract::problem::Problem;
use tocsin_contract::worker::WorkerStatus;

use super::condition::{Finding, Verdict, conditions_of};
use super::measured;
use crate::pipeline::Pipeline;
use crate::plan::workers::{Doing, Refusal, Unknown, Workers};
use crate::validate::references::Missing;

/// What came of a look at a pipeline.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// Its spec cannot be built.
    Invalid(&'a [Problem]),
    /// What it refers to is not there.
    Missing(&'a [Missing]),
    /// It is built, or on its way.
    Planned(Planned<'a>),
}

/// A pipeline that is built, or on its way.
#[derive(Clone, Debug)]
pub struct Planned<'a> {
    /// What is asked for.
    pub pipeline: &'a Pipeline,
    /// What goes on with the workers.
    pub doing: &'a Doing,
    /// The workers, if they were made.
    pub workers: Option<&'a Workers>,
    /// The image that they have.
    pub image: &'a str,
    /// What they said of themselves.
    pub answers: &'a [WorkerStatus],
    /// Why a pod does not come up, if one does not: a reason of `WorkersReady`, and its words.
    pub pod_trouble: Option<(&'static str, String)>,
}

/// What is known besides.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Generation of the spec that was looked at.
    pub generation: i64,
    /// What was said last.
    pub said: &'a IncidentPipelineStatus,
    /// The time.
    pub now: Timestamp,
}

/// The status, of what was said and what came of the look. The same as before if nothing changed but the time.
pub fn status(look: &Look<'_>, outcome: &Outcome<'_>) -> IncidentPipelineStatus {
    let mut status = look.said.clone();
    status.observed_generation = Some(look.generation);
    let findings = match outcome {
        Outcome::Invalid(problems) => invalid(look, problems),
        Outcome::Missing(missing) => missing_references(look, missing),
        Outcome::Planned(planned) => {
            measured_into(&mut status, look, planned);
            planned_findings(planned)
        }
    };
    status.phase = Some(phase(look, outcome));
    let ready = findings.iter().find(|finding| finding.kind == kinds::READY);
    status.message = ready.map(|ready| first_line(&ready.message)).unwrap_or_default();
    status.conditions = conditions_of(&look.said.conditions, &findings, look.generation, look.now);
    status
}

fn measured_into(status: &mut IncidentPipelineStatus, look: &Look<'_>, planned: &Planned<'_>) {
    let pipeline = planned.pipeline;
    let workers = planned.workers;
    let epoch = measured::epoch(planned.answers);
    status.workers = Some(WorkersStatus {
        replicas: workers.map_or(0, |workers| workers.pods),
        ready_replicas: workers.map_or(0, |workers| workers.ready),
        updated_replicas: workers.map_or(0, |workers| workers.updated),
        shards: shards(planned.answers)
            .or(status.workers.as_ref().map(|said| said.shards))
            .unwrap_or(0),
        selector: labels::selector_text(&labels::selector(&pipeline.id.name, Component::Workers)),
        version: version(planned).to_owned(),
        epoch: epoch.or(status.workers.as_ref().and_then(|said| said.epoch)),
    });
    let lag = measured::lag(planned.answers, look.now);
    status.lag = measured::lag_to_say(look.said.lag.as_ref(), lag, look.now);
    status.checkpoint = measured::checkpoint(planned.answers).or_else(|| look.said.checkpoint.clone());
    let service = pipeline.names().workers();
    status.endpoints = Some(EndpointsStatus {
        page: format!(
            "kubectl port-forward -n {} svc/{service} {}",
            pipeline.id.namespace,
            ports::ADMIN
        ),
        metrics: format!(
            "https://{service}.{}.svc:{}/metrics",
            pipeline.id.namespace,
            ports::ADMIN
        ),
    });
}

/// Shards that the workers share. None while no worker has any.
fn shards(answers: &[WorkerStatus]) -> Option<u32> {
    let shards = answers.iter().flat_map(|worker| &worker.shards);
    shards.map(|shard| shard.shard.saturating_add(1)).max()
}

/// The version that the workers say they have; else what stands behind the image's colon.
fn version<'a>(planned: &'a Planned<'a>) -> &'a str {
    let said = planned.answers.iter().map(|worker| worker.version.as_str());
    let last = planned.image.rsplit('/').next().unwrap_or_default();
    // A digest says which image it is, and not which version.
    let tag = last.split('@').next().and_then(|last| last.split_once(':'));
    said.into_iter()
        .find(|version| !version.is_empty())
        .or_else(|| tag.map(|(_, tag)| tag))
        .unwrap_or_default()
}

fn invalid(look: &Look<'_>, problems: &[Problem]) -> Vec<Finding> {
    let all = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let message = format!(
        "{all}\nChange the spec: kubectl edit incidentpipeline {} -n {}",
        look.name, look.namespace
    );
    vec![
        Finding::new(kinds::READY, false, "Stalled", message.clone()),
        Finding::new(kinds::RECONCILING, false, "Waiting", "the spec must change first"),
        Finding::new(kinds::STALLED, true, "InvalidConfiguration", message),
    ]
}

fn missing_references(look: &Look<'_>, missing: &[Missing]) -> Vec<Finding> {
    let messages = missing.iter().map(|missing| missing.message(look.namespace));
    let message = messages.collect::<Vec<_>>().join("\n");
    vec![
        Finding::new(kinds::READY, false, "ComponentNotReady", message.clone()),
        Finding::new(kinds::RECONCILING, true, "Waiting", message),
        not_stalled(),
    ]
}

fn not_stalled() -> Finding {
    Finding::new(kinds::STALLED, false, "NotStalled", "nothing stands in the way")
}

fn planned_findings(planned: &Planned<'_>) -> Vec<Finding> {
    let workers = workers_ready(planned);
    let mut findings = vec![
        ready(planned, &workers),
        reconciling(planned, &workers),
        stalled(planned),
    ];
    findings.push(workers);
    findings.push(upgrade_stable(planned));
    findings.push(state_healthy(planned));
    findings.push(lag_within_target(planned));
    findings.push(rules_applied(planned));
    findings
}

fn ready(planned: &Planned<'_>, workers: &Finding) -> Finding {
    match planned.doing {
        Doing::Suspended => Finding::new(
            kinds::READY,
            false,
            "Suspended",
            "there are no workers, and state is kept; set spec.suspend to false, and spec.workers.replicas above 0, to go on",
        ),
        Doing::Refuse(refusal) => Finding::new(kinds::READY, false, "Stalled", refused(refusal)),
        Doing::Running if workers.verdict == Verdict::True => {
            Finding::new(kinds::READY, true, "AllComponentsReady", workers.message.clone())
        }
        Doing::Running => Finding::new(kinds::READY, false, "ComponentNotReady", workers.message.clone()),
        doing => Finding::new(kinds::READY, false, "Reconciling", what_goes_on(doing)),
    }
}

fn reconciling(planned: &Planned<'_>, workers: &Finding) -> Finding {
    match planned.doing {
        Doing::Suspended | Doing::Refuse(_) => Finding::new(kinds::RECONCILING, false, "Done", "nothing is to be done"),
        Doing::Running if workers.verdict == Verdict::True => {
            Finding::new(kinds::RECONCILING, false, "Done", "all is as the spec asks")
        }
        Doing::Running => Finding::new(kinds::RECONCILING, true, "Deploying", workers.message.clone()),
        Doing::Wait(_) => Finding::new(kinds::RECONCILING, true, "Waiting", what_goes_on(planned.doing)),
        doing => Finding::new(kinds::RECONCILING, true, "Upgrading", what_goes_on(doing)),
    }
}

fn stalled(planned: &Planned<'_>) -> Finding {
    match planned.doing {
        Doing::Refuse(refusal) => Finding::new(kinds::STALLED, true, "UnrecoverableError", refused(refusal)),
        _ => not_stalled(),
    }
}

fn workers_ready(planned: &Planned<'_>) -> Finding {
    let finding = |verdict: bool, reason, message: String| Finding::new(kinds::WORKERS_READY, verdict, reason, message);
    let Some(workers) = planned.workers else {
        return finding(false, "RollingOut", "the workers are being made".to_owned());
    };
    if workers.replicas == 0 {
        return finding(false, "ScaledToZero", "there are no workers".to_owned());
    }
    let (ready, replicas) = (workers.ready.min(workers.replicas), workers.replicas);
    if ready == replicas && workers.pods == replicas {
        return finding(true, "WorkersReady", format!("{ready} of {replicas} workers are ready"));
    }
    match &planned.pod_trouble {
        Some((reason, words)) => finding(
            false,
            *reason,
            format!("{ready} of {replicas} workers are ready: {words}"),
        ),
        None => finding(false, "RollingOut", format!("{ready} of {replicas} workers are ready")),
    }
}

fn upgrade_stable(planned: &Planned<'_>) -> Finding {
    let finding =
        |verdict: Verdict, reason, message: String| Finding::new(kinds::UPGRADE_STABLE, verdict, reason, message);
    match planned.doing {
        Doing::Refuse(
            refusal @ (Refusal::StateLost(_) | Refusal::StoppedWithoutSavepoint | Refusal::OtherEpoch { .. }),
        ) => finding(Verdict::False, "StateIncompatible", refused(refusal)),
        Doing::Refuse(refusal @ Refusal::SavepointFailed { .. }) => {
            finding(Verdict::False, "SavepointFailed", refused(refusal))
        }
        Doing::Running | Doing::Suspended => finding(
            Verdict::True,
            "Stable",
            "the workers run what the spec asks for".to_owned(),
        ),
        doing => finding(Verdict::Unknown, "Verifying", what_goes_on(doing)),
    }
}

fn state_healthy(planned: &Planned<'_>) -> Finding {
    let finding =
        |verdict: Verdict, reason, message: &str| Finding::new(kinds::STATE_HEALTHY, verdict, reason, message);
    let failures = planned
        .answers
        .iter()
        .map(|worker| worker.checkpoints.failures_in_a_row)
        .max();
    match failures {
        Some(failures) if failures > 0 => Finding::new(
            kinds::STATE_HEALTHY,
            false,
            "SnapshotFailed",
            format!("{failures} checkpoints in a row have failed; the workers' logs say why (kubectl logs)"),
        ),
        None => finding(Verdict::Unknown, "CheckpointingOk", "no worker has said yet"),
        _ if planned.pipeline.spec.state.storage.volume.is_some() => finding(
            Verdict::True,
            "VolumeOnly",
            "snapshots are on a volume of the cluster, and lost with it; set spec.state.storage.s3 to keep them elsewhere",
        ),
        Some(_) => finding(Verdict::True, "CheckpointingOk", "checkpoints succeed"),
    }
}

fn lag_within_target(planned: &Planned<'_>) -> Finding {
    let target = planned.pipeline.spec.upgrade.stability.max_lag;
    let target = Duration::from_micros(target.as_micros().unsigned_abs()).as_secs();
    let lag = planned.answers.iter().map(|worker| worker.lag.seconds).reduce(f64::max);
    let finding =
        |verdict: Verdict, reason, message: String| Finding::new(kinds::LAG_WITHIN_TARGET, verdict, reason, message);
    match lag {
        None => finding(Verdict::Unknown, "Unknown", "no worker has said yet".to_owned()),
        Some(lag) if lag <= target as f64 => {
            finding(Verdict::True, "WithinTarget", format!("less than {target} s behind"))
        }
        Some(_) => finding(
            Verdict::False,
            "AboveTarget",
            format!(
                "more than {target} s behind; more workers may help: kubectl scale incidentpipeline {}",
                planned.pipeline.id.name
            ),
        ),
    }
}

fn rules_applied(planned: &Planned<'_>) -> Finding {
    let finding =
        |verdict: Verdict, reason, message: &str| Finding::new(kinds::RULES_APPLIED, verdict, reason, message);
    if crate::validate::references::rule_sets(&planned.pipeline.spec).is_empty() {
        return finding(Verdict::True, "Applied", "the pipeline refers to no rule set");
    }
    finding(
        Verdict::Unknown,
        "NotSupportedByWorker",
        "workers take up rule sets as they begin; after a change set spec.restartNonce",
    )
}

/// What goes on, in a sentence.
fn what_goes_on(doing: &Doing) -> String {
    match doing {
        Doing::Running => "the workers run".to_owned(),
        Doing::Suspended => "there are no workers".to_owned(),
        Doing::AskForSavepoint { name, .. } | Doing::AwaitSavepoint { name } => {
            format!(
                "the savepoint {name} is being taken; the pipeline stands still behind it until others go on with it"
            )
        }
        Doing::Stop => "the workers are ending".to_owned(),
        Doing::Wait(Unknown::Epoch) => "a worker must say first in which run epoch the pipeline is".to_owned(),
        Doing::Wait(Unknown::RestoreFrom) => {
            "the snapshot of spec.state.restoreFrom is not there, or not complete; see kubectl get pipelinesnapshots"
                .to_owned()
        }
        Doing::Refuse(refusal) => refused(refusal),
    }
}

/// Why a change is not made, and what to do.
fn refused(refusal: &Refusal) -> String {
    match refusal {
        Refusal::StateLost(stages) => format!(
            "the change would lose the state of {}; the workers go on as they were. Leave these stages as they were, or set \
             spec.state.allowNonRestoredState to true to drop their state",
            stages.join(", ")
        ),
        Refusal::StoppedWithoutSavepoint => {
            "the workers were stopped when no savepoint could be taken, so only what ran then can \
             go on: apply that spec once more, and change it when its workers are ready; or name a snapshot in \
             spec.state.restoreFrom and set spec.state.restoreNonce"
                .to_owned()
        }
        Refusal::OtherEpoch { path, of, is } => format!(
            "spec.state.restoreFrom: {path} is of run epoch {of}, and the pipeline is in epoch {is}, so it cannot go on where it \
             stands with that state; set mode to Rewind to do again what came behind it"
        ),
        Refusal::SavepointFailed { name, error } => format!(
            "the savepoint {name} failed: {error}; the workers go on as they were. Mend that, and delete the PipelineSnapshot \
             {name} to try again"
        ),
    }
}

fn phase(look: &Look<'_>, outcome: &Outcome<'_>) -> Phase {
    let planned = match outcome {
        // Workers that run go on as they were.
        Outcome::Invalid(_) => return as_before(look, Phase::Failed),
        Outcome::Missing(_) => return as_before(look, Phase::Created),
        Outcome::Planned(planned) => planned,
    };
    match planned.doing {
        Doing::Suspended => Phase::Suspended,
        Doing::AskForSavepoint { .. } | Doing::AwaitSavepoint { .. } => Phase::Savepointing,
        Doing::Stop | Doing::Wait(_) => Phase::Upgrading,
        Doing::Refuse(_) => as_before(look, Phase::Failed),
        Doing::Running => match planned.workers {
            Some(workers) if workers.ready > 0 && workers.ready >= workers.replicas => Phase::Running,
            Some(workers) if workers.record.was_ready => Phase::Running,
            _ => Phase::Deploying,
        },
    }
}

/// The phase that was said last, if the pipeline had come to work then.
fn as_before(look: &Look<'_>, otherwise: Phase) -> Phase {
    match look.said.phase {
        Some(phase @ (Phase::Running | Phase::Stable | Phase::Suspended)) => phase,
        Some(Phase::Savepointing | Phase::Upgrading) => Phase::Running,
        _ => otherwise,
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(1_000).collect()
}

#[cfg(test)]
mod tests;
