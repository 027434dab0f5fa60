//! What may be asked of a worker that runs shards: to end, and to take savepoints.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tocsin_contract::worker::{Savepoint, SavepointContents, SavepointState};
use tocsin_worker_core::snapshot::{Savepoint as Stored, SavepointNames};

use super::leaving::Leaving;
use super::savepoints::{NotTaken, SavepointProgress, Savepoints};
use crate::admin::{Control, Manner, Refusal};
use crate::snapshots::{SnapshotError, SnapshotStore, StoreAddress};
use crate::source::Interrupt;

/// What may be asked of a worker.
pub struct WorkerControl {
    /// Ends it.
    pub interrupt: Interrupt,
    /// Hears that it ends for good.
    pub leaving: Arc<Leaving>,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Its savepoints.
    pub savepoints: Arc<Savepoints>,
    /// Where they go, if they may be taken.
    pub state: Option<StoreAddress>,
}

impl WorkerControl {
    /// What the store has of a savepoint: the savepoint, if it is complete, by whichever worker wrote the last of it; or that it
    /// was given up.
    fn stored(&self, id: &str) -> Result<Option<Stored>, SnapshotError> {
        let Some(address) = &self.state else { return Ok(None) };
        SnapshotStore::open(address)?.settled(&SavepointNames::of(&self.pipeline, id))
    }

    /// The same, for somebody who is told what stands in the way.
    fn stored_or_why(&self, id: &str) -> Result<Option<Stored>, Refusal> {
        let stored = self.stored(id);
        stored.map_err(|error| Refusal::NotNow(error.to_string()))
    }

    fn shown(&self, id: &str, progress: &SavepointProgress) -> Savepoint {
        let is_stored = || matches!(self.stored(id), Ok(Some(savepoint)) if !savepoint.given_up);
        let complete = progress.complete || is_stored();
        let state = match progress {
            _ if complete => SavepointState::Completed,
            SavepointProgress { error: Some(_), .. } => SavepointState::Failed,
            SavepointProgress { n_written: 0, .. } => SavepointState::Pending,
            _ => SavepointState::InProgress,
        };
        Savepoint {
            id: id.to_owned(),
            state,
            path: complete.then(|| SavepointNames::of(&self.pipeline, id).folder().to_owned()),
            error: progress.error.clone().filter(|_| !complete),
            // Who asks is told what can be told: that it is complete does not hang on it.
            contents: complete.then(|| self.contents(id).ok().flatten()).flatten(),
        }
    }

    /// What a savepoint holds that is complete.
    fn contents(&self, id: &str) -> Result<Option<SavepointContents>, SnapshotError> {
        let Some(address) = &self.state else { return Ok(None) };
        SnapshotStore::open(address)?
            .savepoint_contents(&self.pipeline, id)
            .map(Some)
    }
}

/// Of a savepoint that was given up.
fn given_up() -> SavepointProgress {
    SavepointProgress {
        error: Some("it was given up".to_owned()),
        ..SavepointProgress::default()
    }
}

impl Control for WorkerControl {
    fn drain(&self) {
        self.leaving.drain();
        self.interrupt.raise();
    }

    fn is_draining(&self) -> bool {
        self.interrupt.is_raised()
    }

    fn begin_savepoint(&self, id: Option<&str>, manner: Manner) -> Result<Savepoint, Refusal> {
        if self.state.is_none() {
            let why = "the worker was started without --state".to_owned();
            return Err(Refusal::NotAvailable(why));
        }
        if self.interrupt.is_raised() {
            return Err(Refusal::NotNow("the worker is about to end".to_owned()));
        }
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let id = id.map_or_else(|| format!("at-{seconds}"), str::to_owned);
        // One of a worker before this one.
        if SavepointNames::is_id(&id)
            && let Some(known) = self.stored_or_why(&id)?
        {
            let misses = match manner {
                _ if known.given_up => Some("was given up"),
                Manner::Drained if !known.drained => Some("was not drained"),
                Manner::Ending if known.ends.is_none() => Some("did not end the run"),
                _ => None,
            };
            if let Some(misses) = misses {
                let why = format!("there is a savepoint {id} that {misses}: choose another name");
                return Err(Refusal::NotAvailable(why));
            }
            return Ok(self.shown(&id, &SavepointProgress::default()));
        }
        let asked = self.savepoints.ask(&id, manner);
        asked.map_err(|error| match error {
            NotTaken::NoEpoch => Refusal::NotNow(error.to_string()),
            _ => Refusal::NotAvailable(error.to_string()),
        })?;
        self.savepoint(&id)
    }

    fn savepoint(&self, id: &str) -> Result<Savepoint, Refusal> {
        match self.savepoints.progress(id) {
            Some(progress) => Ok(self.shown(id, &progress)),
            None => match self.stored_or_why(id)? {
                Some(known) if known.given_up => Ok(self.shown(id, &given_up())),
                Some(_) => Ok(self.shown(id, &SavepointProgress::default())),
                None => Err(Refusal::Unknown(id.to_owned())),
            },
        }
    }

    fn give_up_savepoint(&self, id: &str) -> Result<Savepoint, Refusal> {
        let Some(address) = &self.state else {
            let why = "the worker was started without --state".to_owned();
            return Err(Refusal::NotAvailable(why));
        };
        // In the store first: behind that nobody completes it.
        let store = SnapshotStore::open(address);
        match store.and_then(|store| store.give_up(&self.pipeline, id)) {
            Ok(true) => {}
            Ok(false) => return Err(Refusal::NotAvailable(format!("savepoint {id} is complete"))),
            Err(error) => return Err(Refusal::NotNow(error.to_string())),
        }
        self.savepoints.give_up(id);
        Ok(self.shown(id, &given_up()))
    }
}
