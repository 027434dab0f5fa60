//! What is said of a pipeline's state: its checkpoints and savepoints.

use tocsin_contract::conditions as kinds;

use super::condition::{Finding, Verdict};
use super::measured;
use super::pipeline::Planned;

/// Whether snapshots succeed.
pub(super) fn state_healthy(planned: &Planned<'_>) -> Finding {
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

/// Whether there is a snapshot to go back to.
pub(super) fn snapshot_available(planned: &Planned<'_>) -> Finding {
    let finding =
        |verdict: bool, reason, message: String| Finding::new(kinds::SNAPSHOT_AVAILABLE, verdict, reason, message);
    let has_checkpoint = measured::checkpoint(planned.answers).is_some();
    match &planned.last_savepoint {
        Some(savepoint) => finding(true, "SavepointTaken", format!("the newest is {}", savepoint.name)),
        None if has_checkpoint => finding(
            true,
            "CheckpointOnly",
            "workers go back to their checkpoints; for a savepoint set spec.state.savepointNonce to another number"
                .to_owned(),
        ),
        None => finding(false, "NoSnapshot", "no snapshot has been taken yet".to_owned()),
    }
}
