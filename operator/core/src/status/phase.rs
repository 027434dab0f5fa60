//! One word for how far a pipeline is.

use tocsin_contract::pipeline::status::Phase;

use super::pipeline::{Look, Outcome};
use crate::plan::workers::{Doing, Unknown};

/// The phase that a look came to.
pub(super) fn phase(look: &Look<'_>, outcome: &Outcome<'_>) -> Phase {
    let planned = match outcome {
        // Workers that run go on as they were.
        Outcome::Invalid(_) => return as_before(look, Phase::Failed),
        Outcome::Begun => return as_before(look, Phase::Created),
        Outcome::Missing(_) => return as_before(look, Phase::Created),
        Outcome::Refused(_) => return as_before(look, Phase::Failed),
        Outcome::Paused => return look.said.phase.unwrap_or(Phase::Created),
        Outcome::Deleting(_) => return Phase::Deleting,
        Outcome::Planned(planned) => planned,
    };
    match planned.doing {
        Doing::Suspended => Phase::Suspended,
        Doing::AskForSavepoint { .. } | Doing::AwaitSavepoint { .. } => Phase::Savepointing,
        Doing::Wait(Unknown::Kafka) => Phase::Deploying,
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
