//! What is said of a PipelineSnapshot besides how far it is.

use jiff::Timestamp;
use tocsin_contract::conditions as kinds;
use tocsin_contract::pipeline::status::SavepointStatus;
use tocsin_contract::snapshot::{PipelineSnapshotStatus, SnapshotState, SnapshotTrigger};

use super::condition::{Finding, Verdict, conditions_of};

/// The whole status, of what was decided: with the generation that it speaks of, why the snapshot is taken, and the condition.
pub fn whole(
    decided: &PipelineSnapshotStatus,
    generation: i64,
    trigger: SnapshotTrigger,
    now: Timestamp,
) -> PipelineSnapshotStatus {
    let mut status = decided.clone();
    status.observed_generation = Some(generation);
    status.trigger = Some(trigger);
    status.state.get_or_insert(SnapshotState::Pending);
    status.conditions = conditions_of(&decided.conditions, &[complete(&status)], generation, now);
    status
}

fn complete(status: &PipelineSnapshotStatus) -> Finding {
    let finding = |verdict: Verdict, reason, message: String| Finding::new(kinds::COMPLETE, verdict, reason, message);
    let error = || status.error.clone();
    match status.state.unwrap_or(SnapshotState::Pending) {
        SnapshotState::Completed => {
            let verified = if status.verified { ", and was read back" } else { "" };
            finding(
                Verdict::True,
                "Completed",
                format!("{} is complete{verified}", status.path),
            )
        }
        SnapshotState::Pending if status.failures > 0 => finding(
            Verdict::False,
            "Pending",
            format!(
                "it failed {} times and is tried again; last: {}",
                status.failures,
                error()
            ),
        ),
        SnapshotState::Pending => finding(Verdict::False, "Pending", "the workers are asked for it".to_owned()),
        SnapshotState::InProgress => finding(Verdict::False, "InProgress", "the workers write it".to_owned()),
        SnapshotState::Failed => finding(Verdict::False, "Failed", error()),
        SnapshotState::Abandoned => finding(Verdict::False, "Abandoned", error()),
    }
}

/// The newest savepoint of those of a pipeline, as its status names it.
pub fn newest<'a>(
    snapshots: impl IntoIterator<Item = (&'a str, &'a PipelineSnapshotStatus)>,
) -> Option<SavepointStatus> {
    let complete = snapshots
        .into_iter()
        .filter(|(_, status)| status.state == Some(SnapshotState::Completed));
    let time = |status: &PipelineSnapshotStatus| status.completion_time.as_ref().map(|time| time.0);
    let (name, status) = complete.max_by_key(|(name, status)| (time(status), *name))?;
    Some(SavepointStatus {
        name: name.to_owned(),
        path: status.path.clone(),
        trigger: status.trigger,
        time: status.completion_time.clone(),
        verified: status.verified,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_a_reason_of_its_own() {
        for (state, reason) in [
            (SnapshotState::Completed, "Completed"),
            (SnapshotState::Pending, "Pending"),
            (SnapshotState::InProgress, "InProgress"),
            (SnapshotState::Failed, "Failed"),
            (SnapshotState::Abandoned, "Abandoned"),
        ] {
            let decided = PipelineSnapshotStatus {
                state: Some(state),
                ..PipelineSnapshotStatus::default()
            };
            let status = whole(&decided, 2, SnapshotTrigger::Manual, Timestamp::UNIX_EPOCH);
            assert_eq!(status.conditions[0].reason, reason);
            assert_eq!(status.conditions[0].status == "True", state == SnapshotState::Completed);
            let again = whole(&status, 2, SnapshotTrigger::Manual, Timestamp::MAX);
            assert_eq!(again, status, "nothing changes but the time");
        }
    }

    #[test]
    fn the_newest_is_the_one_that_was_complete_last() {
        let at = |second, state| PipelineSnapshotStatus {
            state: Some(state),
            completion_time: Timestamp::from_second(second)
                .ok()
                .map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time),
            ..PipelineSnapshotStatus::default()
        };
        let all = [
            ("a", at(5, SnapshotState::Completed)),
            ("b", at(9, SnapshotState::Completed)),
            ("c", at(20, SnapshotState::Failed)),
        ];
        let found = newest(all.iter().map(|(name, status)| (*name, status)));
        assert_eq!(found.map(|found| found.name).as_deref(), Some("b"));
        assert_eq!(newest([]), None);
    }
}
