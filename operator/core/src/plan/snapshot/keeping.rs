//! A snapshot that is there: read back if that is asked for, and its data removed with it if that is asked for.

use std::time::Duration;

use tocsin_contract::snapshot::{PipelineSnapshotStatus, SnapshotState};

/// How far a Job on the storage is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// There is none.
    None,
    /// It is at work.
    Running,
    /// It did what it was to do.
    Succeeded,
    /// It did not, and was tried several times.
    Failed,
    /// It found that the snapshot is not whole.
    NotWhole,
}

/// What becomes of a snapshot that is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// What is said of it from now on.
    pub status: PipelineSnapshotStatus,
    /// Whether the Job that reads it back is started.
    pub start: bool,
    /// When it is looked at again; none if nothing changes any more by itself.
    pub look_again: Option<Duration>,
}

/// How often a Job is looked at while it is at work.
const POLL: Duration = Duration::from_secs(2);

/// A Job that failed goes by itself after an hour, and another is made then.
const AGAIN: Duration = Duration::from_secs(300);

/// Decides about a snapshot that is complete, and to be read back.
pub fn verification(status: &PipelineSnapshotStatus, job_name: &str, job: &JobState) -> Verification {
    let mut status = status.clone();
    let (mut start, mut look_again) = (false, None);
    match job {
        _ if status.verified => {}
        JobState::None => (start, look_again) = (true, Some(POLL)),
        JobState::Running => look_again = Some(POLL),
        JobState::Succeeded => {
            status.verified = true;
            status.error.clear();
        }
        JobState::Failed => {
            // The image, the node, the storage: none of it says anything of the snapshot.
            status.error = format!("it could not be read back yet: see kubectl logs job/{job_name}");
            look_again = Some(AGAIN);
        }
        JobState::NotWhole => {
            // Whoever would begin with it finds that out too late.
            status.state = Some(SnapshotState::Failed);
            status.error = format!("it was read back, and is not whole: see kubectl logs job/{job_name}");
        }
    }
    Verification {
        status,
        start,
        look_again,
    }
}

/// What is known of a snapshot that is being deleted, and whose data is to go with it.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What was said of it last.
    pub status: &'a PipelineSnapshotStatus,
    /// Whether its pipeline is there: it says where the storage is.
    pub has_pipeline: bool,
    /// The Job that removes it.
    pub job: &'a JobState,
    /// Whether somebody set the annotation that gives up what cannot be removed.
    pub is_forced: bool,
}

/// What is to be done about the data of a snapshot that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// The Job that removes it is started.
    Start,
    /// It is at work.
    Wait,
    /// It could not be removed: somebody must look, or give it up.
    Stuck,
    /// Nothing is left of it.
    Done,
    /// It stays: nobody knows its storage any more, or somebody gave it up.
    Leave,
}

/// Decides about the data of a snapshot that goes.
pub fn disposal(facts: &Facts<'_>) -> Disposal {
    // What was never complete, the workers clear away, or it is no whole snapshot.
    if facts.status.path.is_empty() {
        return Disposal::Done;
    }
    match facts.job {
        JobState::Succeeded => Disposal::Done,
        _ if facts.is_forced || !facts.has_pipeline => Disposal::Leave,
        JobState::None => Disposal::Start,
        JobState::Running => Disposal::Wait,
        JobState::Failed | JobState::NotWhole => Disposal::Stuck,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> PipelineSnapshotStatus {
        PipelineSnapshotStatus {
            state: Some(SnapshotState::Completed),
            path: "noc/savepoints/x".to_owned(),
            ..PipelineSnapshotStatus::default()
        }
    }

    #[test]
    fn a_snapshot_is_read_back_once_and_one_that_is_not_whole_is_none() {
        let job = |job| verification(&complete(), "x-verify", &job);
        assert!(job(JobState::None).start && !job(JobState::Running).start);
        assert!(job(JobState::Succeeded).status.verified);
        let broken = job(JobState::NotWhole).status;
        assert_eq!(broken.state, Some(SnapshotState::Failed));
        assert!(broken.error.contains("kubectl logs job/x-verify"));
        let unread = job(JobState::Failed);
        assert_eq!(
            (unread.status.state, unread.start),
            (Some(SnapshotState::Completed), false)
        );
        assert!(unread.look_again.is_some() && !unread.status.verified);
        let verified = PipelineSnapshotStatus {
            verified: true,
            ..complete()
        };
        let again = verification(&verified, "x-verify", &JobState::None);
        assert_eq!((again.start, again.look_again), (false, None));
    }

    #[test]
    fn data_goes_with_its_snapshot_or_is_left_knowingly() {
        let status = complete();
        let disposal = |job: JobState, has_pipeline, is_forced| {
            disposal(&Facts {
                status: &status,
                has_pipeline,
                job: &job,
                is_forced,
            })
        };
        assert_eq!(disposal(JobState::None, true, false), Disposal::Start);
        assert_eq!(disposal(JobState::Running, true, false), Disposal::Wait);
        assert_eq!(disposal(JobState::Succeeded, true, false), Disposal::Done);
        assert_eq!(disposal(JobState::Failed, true, false), Disposal::Stuck);
        assert_eq!(disposal(JobState::Failed, true, true), Disposal::Leave);
        assert_eq!(disposal(JobState::None, false, false), Disposal::Leave);
    }
}
