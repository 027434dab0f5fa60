//! What goes on with the workers, in words that name the next step.

use crate::plan::workers::{Doing, Refusal, Unknown};

/// What goes on, in a sentence.
pub fn what_goes_on(doing: &Doing) -> String {
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
        Doing::Wait(Unknown::Kafka) => "the workers come when Kafka does".to_owned(),
        Doing::Refuse(refusal) => refused(refusal),
    }
}

/// Why a change is not made, and what to do.
pub fn refused(refusal: &Refusal) -> String {
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
