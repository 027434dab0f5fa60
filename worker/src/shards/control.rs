//! What may be asked of a worker that runs shards: to end, and to take savepoints.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tocsin_contract::worker::{Savepoint, SavepointState};
use tocsin_worker_core::snapshot::SavepointNames;

use super::leaving::Leaving;
use super::savepoints::{SavepointProgress, Savepoints};
use crate::admin::{Control, Refusal};
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
    /// Whether a savepoint is complete, by whichever worker wrote the last of it.
    fn is_complete(&self, id: &str) -> Result<bool, SnapshotError> {
        let Some(address) = &self.state else { return Ok(false) };
        let names = SavepointNames::of(&self.pipeline, id);
        SnapshotStore::open(address)?.has(&names.manifest())
    }

    /// The same, for somebody who is told what stands in the way.
    fn has(&self, id: &str) -> Result<bool, Refusal> {
        let complete = self.is_complete(id);
        complete.map_err(|error| Refusal::NotNow(error.to_string()))
    }

    /// Whether nothing was on its way between shards when a savepoint was taken that is complete.
    fn is_drained(&self, id: &str) -> Result<bool, Refusal> {
        let Some(address) = &self.state else { return Ok(false) };
        let names = SavepointNames::of(&self.pipeline, id);
        let savepoint = SnapshotStore::open(address).and_then(|store| store.savepoint(&names));
        savepoint
            .map(|savepoint| savepoint.drained)
            .map_err(|error| Refusal::NotNow(error.to_string()))
    }

    fn shown(&self, id: &str, progress: &SavepointProgress) -> Savepoint {
        let complete = progress.complete || self.is_complete(id).unwrap_or(false);
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
        }
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

    fn begin_savepoint(&self, id: Option<&str>, drains: bool) -> Result<Savepoint, Refusal> {
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
        if SavepointNames::is_id(&id) && self.has(&id)? {
            if drains && !self.is_drained(&id)? {
                let why = format!("there is a savepoint {id} that was not drained: choose another name");
                return Err(Refusal::NotAvailable(why));
            }
            return Ok(self.shown(&id, &SavepointProgress::default()));
        }
        let asked = self.savepoints.ask(&id, drains);
        asked.map_err(|error| Refusal::NotAvailable(error.to_string()))?;
        self.savepoint(&id)
    }

    fn savepoint(&self, id: &str) -> Result<Savepoint, Refusal> {
        match self.savepoints.progress(id) {
            Some(progress) => Ok(self.shown(id, &progress)),
            None if self.has(id)? => Ok(self.shown(id, &SavepointProgress::default())),
            None => Err(Refusal::Unknown(id.to_owned())),
        }
    }
}
