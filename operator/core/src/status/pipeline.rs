//! The status of a pipeline: one function a condition, and what of it makes the whole.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tocsin_contract::conditions as kinds;
use tocsin_contract::labels::{self, Component};
use tocsin_contract::pipeline::status::{
    EndpointsStatus, IncidentPipelineStatus, Phase, SavepointStatus, WorkersStatus,
};
use tocsin_contract::ports;
use tocsin_contract::problem::Problem;
use tocsin_contract::worker::WorkerStatus;

use super::condition::{Finding, Verdict, conditions_of};
use super::degraded::degraded;
use super::doing::{refused, what_goes_on};
use super::kafka::{self, KafkaWord};
use super::measured;
use super::phase::phase;
use super::state::{snapshot_available, state_healthy};
use crate::pipeline::Pipeline;
use crate::plan::workers::{Doing, Refusal, Unknown, Workers};
use crate::validate::references::Missing;

/// What came of a look at a pipeline.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// Its spec is new, and being brought about.
    Begun,
    /// Its spec cannot be built.
    Invalid(&'a [Problem]),
    /// What it refers to is not there.
    Missing(&'a [Missing]),
    /// It is built, or on its way.
    Planned(Planned<'a>),
    /// The API server does not take what it would be made of, and says why.
    Refused(&'a str),
    /// A user asked to leave it alone.
    Paused,
    /// It is on its way out: what goes on.
    Deleting(&'a str),
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
    /// What is known of its Kafka.
    pub kafka: &'a KafkaWord,
    /// Its newest savepoint.
    pub last_savepoint: Option<SavepointStatus>,
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
    if matches!(outcome, Outcome::Paused) {
        return paused(look);
    }
    let mut status = look.said.clone();
    status.observed_generation = Some(look.generation);
    let findings = match outcome {
        Outcome::Begun => begun(),
        Outcome::Invalid(problems) => invalid(look, problems),
        Outcome::Missing(missing) => missing_references(look, missing),
        Outcome::Planned(planned) => {
            measured_into(&mut status, look, planned);
            planned_findings(planned, &look.said.conditions)
        }
        Outcome::Refused(why) => not_taken(why),
        Outcome::Paused => Vec::new(),
        Outcome::Deleting(step) => deleting(step),
    };
    status.phase = Some(phase(look, outcome));
    let ready = findings.iter().find(|finding| finding.kind == kinds::READY);
    status.message = ready.map(|ready| first_line(&ready.message)).unwrap_or_default();
    status.conditions = conditions_of(&look.said.conditions, &findings, look.generation, look.now);
    if matches!(outcome, Outcome::Begun) {
        // What was said of all else is not known to be otherwise.
        status.conditions = over(look.said, status.conditions);
    }
    status
}

/// What was said, with what is said anew in its place.
fn over(said: &IncidentPipelineStatus, anew: Vec<Condition>) -> Vec<Condition> {
    let stays = |condition: &&Condition| !anew.iter().any(|anew| anew.type_ == condition.type_);
    let mut all: Vec<Condition> = said.conditions.iter().filter(stays).cloned().collect();
    all.extend(anew);
    let place = |condition: &Condition| kinds::ALL.iter().position(|(kind, _)| *kind == condition.type_);
    all.sort_by_key(place);
    all
}

fn measured_into(status: &mut IncidentPipelineStatus, look: &Look<'_>, planned: &Planned<'_>) {
    let pipeline = planned.pipeline;
    let workers = planned.workers;
    let epoch = measured::epoch(planned.answers);
    status.workers = Some(WorkersStatus {
        replicas: workers.map_or(0, |workers| workers.pods),
        ready_replicas: workers.map_or(0, |workers| workers.ready),
        desired_replicas: pipeline.wanted_replicas(),
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
    status.last_savepoint.clone_from(&planned.last_savepoint);
    status.kafka = kafka::status(planned.kafka, &pipeline.kafka.bootstrap_servers);
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

fn begun() -> Vec<Finding> {
    let message = "the spec was read; what it asks for is being brought about";
    vec![
        Finding::new(kinds::READY, false, "Reconciling", message),
        Finding::new(kinds::RECONCILING, true, "SpecChanged", message),
        not_stalled(),
    ]
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

fn not_taken(why: &str) -> Vec<Finding> {
    let message = format!("what the pipeline is made of is not taken: {why}");
    vec![
        Finding::new(kinds::READY, false, "Stalled", message.clone()),
        Finding::new(kinds::RECONCILING, false, "Waiting", "something must change first"),
        Finding::new(kinds::STALLED, true, "UnrecoverableError", message),
    ]
}

/// All that was said stays, but that nobody works on it.
fn paused(look: &Look<'_>) -> IncidentPipelineStatus {
    let message = format!(
        "the operator leaves the pipeline alone; to go on: kubectl annotate incidentpipeline {} -n {} {}-",
        look.name,
        look.namespace,
        labels::PAUSE
    );
    let finding = Finding::new(kinds::RECONCILING, false, "Paused", message);
    let mut status = look.said.clone();
    let paused = conditions_of(&status.conditions, &[finding], look.generation, look.now);
    status.conditions = over(look.said, paused);
    status.phase.get_or_insert(Phase::Created);
    status
}

fn deleting(step: &str) -> Vec<Finding> {
    vec![
        Finding::new(kinds::READY, false, "Reconciling", step),
        Finding::new(kinds::RECONCILING, true, "Deleting", step),
        not_stalled(),
    ]
}

fn not_stalled() -> Finding {
    Finding::new(kinds::STALLED, false, "NotStalled", "nothing stands in the way")
}

fn planned_findings(planned: &Planned<'_>, said: &[Condition]) -> Vec<Finding> {
    let workers = workers_ready(planned);
    let of_kafka = kafka::findings(planned.kafka);
    let mut findings = vec![
        ready(planned, &workers, &of_kafka),
        reconciling(planned, &workers),
        stalled(planned),
    ];
    findings.push(workers);
    findings.push(upgrade_stable(planned));
    findings.push(state_healthy(planned));
    findings.push(snapshot_available(planned));
    findings.push(lag_within_target(planned));
    findings.push(rules_applied(planned));
    findings.push(degraded(planned.answers, said));
    findings.push(Finding::new(
        kinds::SCALING_ACTIVE,
        false,
        "Disabled",
        "spec.autoscaling.mode is Off: kubectl scale says how many workers there are",
    ));
    findings.extend(of_kafka);
    findings
}

fn ready(planned: &Planned<'_>, workers: &Finding, of_kafka: &[Finding]) -> Finding {
    // Without it workers do not become ready, so it comes first.
    let missing = of_kafka.iter().find(|finding| finding.verdict == Verdict::False);
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
        Doing::Running => {
            let words = missing.map_or(&workers.message, |missing| &missing.message);
            Finding::new(kinds::READY, false, "ComponentNotReady", words.clone())
        }
        Doing::Wait(Unknown::Kafka) => {
            let words = missing.map_or_else(|| what_goes_on(planned.doing), |missing| missing.message.clone());
            Finding::new(kinds::READY, false, "ComponentNotReady", words)
        }
        doing => Finding::new(kinds::READY, false, "Reconciling", what_goes_on(doing)),
    }
}

fn reconciling(planned: &Planned<'_>, workers: &Finding) -> Finding {
    match planned.doing {
        Doing::Suspended | Doing::Refuse(_) => Finding::new(kinds::RECONCILING, false, "Done", "nothing is to be done"),
        Doing::Running if workers.verdict == Verdict::True => match kafka_rolls(planned) {
            Some(what) => Finding::new(kinds::RECONCILING, true, "Deploying", format!("Kafka: {what}")),
            None if kafka_kept(planned).is_some() => {
                Finding::new(kinds::RECONCILING, false, "Waiting", "the spec must change first")
            }
            None => Finding::new(kinds::RECONCILING, false, "Done", "all is as the spec asks"),
        },
        Doing::Running => Finding::new(kinds::RECONCILING, true, "Deploying", workers.message.clone()),
        Doing::Wait(Unknown::Kafka) => Finding::new(kinds::RECONCILING, true, "Deploying", what_goes_on(planned.doing)),
        Doing::Wait(_) => Finding::new(kinds::RECONCILING, true, "Waiting", what_goes_on(planned.doing)),
        doing => Finding::new(kinds::RECONCILING, true, "Upgrading", what_goes_on(doing)),
    }
}

fn stalled(planned: &Planned<'_>) -> Finding {
    match planned.doing {
        Doing::Refuse(refusal) => Finding::new(kinds::STALLED, true, "UnrecoverableError", refused(refusal)),
        _ => match kafka_kept(planned) {
            Some(why) => Finding::new(kinds::STALLED, true, "UnrecoverableError", why),
            None => not_stalled(),
        },
    }
}

/// What a roll of the Kafka waits for, if there is one.
fn kafka_rolls<'a>(planned: &'a Planned<'_>) -> Option<&'a String> {
    planned.kafka.nodes.as_ref()?.rolls.as_ref()
}

/// Why the Kafka's nodes are not as the spec asks for them, and will not be.
fn kafka_kept(planned: &Planned<'_>) -> Option<String> {
    let kept = &planned.kafka.nodes.as_ref()?.kept;
    (!kept.is_empty()).then(|| kept.join("\n"))
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

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(1_000).collect()
}

#[cfg(test)]
mod tests;
