//! What becomes of the workers: how they come from what they run to what the spec asks for.
//!
//! ```text
//!              ┌───────────── another file or image, or `suspend` ─────────────┐
//!              ▼                                                               │
//!   savepoint that ends the run ──► no workers ──► workers with the savepoint ──► running ──► more or fewer of them
//!        │ fails                        ▲                                      │    ──► rolling restart
//!        ▼                              └──────────── `restoreNonce` ──────────┘
//!   the old ones go on, and the status says why
//! ```
//!
//! Nothing is remembered from one look to the next but what stands on the objects themselves: the StatefulSet says what its
//! workers run and began with, and a PipelineSnapshot is the intent to end that run. So a crash between any two steps
//! changes nothing.
//!
//! A savepoint that ends a run is written into the journal: behind it nothing is given out in that run epoch, whoever has the
//! shards. So once it is complete there is no way back but forward: the next workers begin with it, also if the spec is by then
//! what it was before.

pub mod facts;

use std::collections::BTreeMap;

use tocsin_contract::pipeline::state::RestoreMode;
use tocsin_contract::snapshot::{SnapshotState, SnapshotTrigger};

use crate::build::Run;
use crate::build::arguments::Start;
use crate::build::record::{Record, StateShapes};
use crate::build::revision::{Revision, Rules};
use crate::hash::hash_of;
pub use facts::{Facts, Savepoint, Workers};

/// What is to be done about the workers.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// They are made so, or left so if they are.
    Run {
        /// How they are made.
        run: Box<Run>,
        /// What that is.
        doing: Doing,
    },
    /// This stands on them from now on, and nothing else of them changes.
    Remember(Box<Record>),
    /// There are to be none, and nothing else of them changes.
    ScaleToZero,
    /// They are left as they are.
    Leave(Doing),
}

/// What goes on with the workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// They run what the spec asks for.
    Running,
    /// There are none, as `suspend` asks.
    Suspended,
    /// A savepoint is to be asked for that ends the run.
    AskForSavepoint {
        /// Name of the PipelineSnapshot.
        name: String,
        /// Name of the run.
        ends: String,
        /// Why.
        trigger: SnapshotTrigger,
    },
    /// The savepoint that ends the run is being taken.
    AwaitSavepoint {
        /// Name of the PipelineSnapshot.
        name: String,
    },
    /// The old workers are on their way out.
    Stop,
    /// Something must be known first.
    Wait(Unknown),
    /// The old workers go on, since the change cannot be made.
    Refuse(Refusal),
}

/// What must be known first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The run epoch: a worker must have answered.
    Epoch,
    /// The snapshot of `spec.state.restoreFrom`.
    RestoreFrom,
    /// That the Kafka which the operator runs takes requests.
    Kafka,
}

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// State of these stages would be lost.
    StateLost(Vec<String>),
    /// The old workers were stopped without a savepoint, as none could be taken.
    StoppedWithoutSavepoint,
    /// The pipeline is to go on where it stands with the state of a snapshot of another run epoch.
    OtherEpoch {
        /// Path of the snapshot.
        path: String,
        /// The epoch that it is of.
        of: u32,
        /// The epoch that the pipeline is in.
        is: u32,
    },
    /// The savepoint failed.
    SavepointFailed {
        /// Name of the PipelineSnapshot.
        name: String,
        /// Why it failed.
        error: String,
    },
}

/// Decides what becomes of the workers.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let wanted = Wanted::of(facts);
    let Some(workers) = facts.workers else {
        return wanted.first_workers(facts);
    };
    if workers.replicas > 0 && workers.ready > 0 && !workers.record.was_ready {
        // Before anything else: all that follows hangs on it, and they may be gone at the next look.
        return Decision::Remember(Box::new(workers.record.once_ready()));
    }
    let state = &facts.pipeline.spec.state;
    if state.restore_from.is_some() && workers.record.restore_nonce != state.restore_nonce {
        return wanted.restore(facts, workers);
    }
    if state.restore_from.is_none()
        && !workers.record.was_ready
        && let Some(start) = &workers.record.without_restore
    {
        return wanted.none(facts, workers, start.clone());
    }
    if workers.replicas == 0 {
        return wanted.stopped(facts, workers);
    }
    let run = run_name(workers);
    let of_run = || facts.savepoints.iter().filter(|(_, savepoint)| savepoint.ends == run);
    if let Some((_, savepoint)) = of_run().find(|(_, savepoint)| savepoint.state == SnapshotState::Completed) {
        let Some(epoch) = savepoint.epoch.or(facts.epoch) else {
            return Decision::Leave(Doing::Wait(Unknown::Epoch));
        };
        let start = Start::Rewind {
            savepoint: savepoint.path.clone(),
            epoch: epoch.saturating_add(1),
        };
        return wanted.none(facts, workers, start);
    }
    let under_way =
        |savepoint: &Savepoint| matches!(savepoint.state, SnapshotState::Pending | SnapshotState::InProgress);
    if let Some((name, _)) = of_run().find(|(_, savepoint)| under_way(savepoint)) {
        return Decision::Leave(Doing::AwaitSavepoint { name: name.clone() });
    }
    if workers.record.revision != wanted.revision.name || wanted.replicas == 0 {
        return wanted.stop(facts, workers, run);
    }
    wanted.some(facts, workers)
}

/// The name of a run: what workers do from one beginning to the savepoint that ends it.
fn run_name(workers: &Workers) -> String {
    hash_of(&(&workers.record.revision, &workers.record.start))
}

/// How workers go on of which nothing is known but the savepoints that are kept: behind the one that ended the newest run, as
/// nothing comes out of an ended run any more; otherwise where the journal stands. A journal that is further passes the older
/// beginning over.
fn behind_last_run(savepoints: &BTreeMap<String, Savepoint>) -> Start {
    let ended = savepoints
        .values()
        .filter(|savepoint| !savepoint.ends.is_empty() && savepoint.state == SnapshotState::Completed);
    let newest = ended
        .filter_map(|savepoint| Some((savepoint.epoch?, &savepoint.path)))
        .max();
    newest.map_or(Start::Continue, |(epoch, path)| Start::Rewind {
        savepoint: path.clone(),
        epoch: epoch.saturating_add(1),
    })
}

/// What the spec asks for.
struct Wanted {
    revision: Revision,
    replicas: u32,
    state: StateShapes,
}

impl Wanted {
    fn of(facts: &Facts<'_>) -> Self {
        let pipeline = facts.pipeline;
        let state = pipeline.compiled.state.iter();
        Self {
            revision: Revision::wanted(pipeline, facts.settings),
            replicas: pipeline.wanted_replicas(),
            state: state.map(|(stage, shape)| (stage.clone(), hash_of(shape))).collect(),
        }
    }

    /// The pipeline has no workers yet. With its journal and snapshots in place it goes on where it was.
    fn first_workers(&self, facts: &Facts<'_>) -> Decision {
        let state = &facts.pipeline.spec.state;
        let as_it_stands = behind_last_run(facts.savepoints);
        let start = match (&state.restore_from, facts.restore_from) {
            (None, _) => as_it_stands.clone(),
            // It has run: what it began with then is behind it.
            (Some(_), _) if facts.epoch.is_some() => as_it_stands.clone(),
            (Some(_), Some(point)) => Start::Restore {
                savepoint: point.path.clone(),
            },
            (Some(_), None) => return Decision::Leave(Doing::Wait(Unknown::RestoreFrom)),
        };
        if facts.pods_left > 0 {
            return Decision::Leave(Doing::Stop);
        }
        if !facts.has_kafka {
            return Decision::Leave(Doing::Wait(Unknown::Kafka));
        }
        let record = Record {
            revision: self.revision.name.clone(),
            own_state: self.state.clone(),
            is_drained: self.replicas == 0,
            restore_nonce: state.restore_nonce,
            restart_nonce: facts.pipeline.spec.restart_nonce,
            savepoint_nonce: state.savepoint_nonce,
            // An older journal refuses a restore: whoever takes that back goes on with it.
            without_restore: (start != as_it_stands).then_some(as_it_stands),
            start,
            ..Record::default()
        };
        self.run(
            Rules::of(facts.rule_sets.clone()),
            record,
            self.replicas,
            self.running(),
        )
    }

    /// There are workers, and they must go: others come, or none.
    fn stop(&self, facts: &Facts<'_>, workers: &Workers, run: String) -> Decision {
        if !workers.record.was_ready {
            // A mistake in the first spec, or an image that does not start, must not stand in the way of its correction.
            return self.none(facts, workers, workers.record.start.clone());
        }
        let trigger = if self.replicas == 0 {
            SnapshotTrigger::Suspend
        } else {
            SnapshotTrigger::Upgrade
        };
        if trigger == SnapshotTrigger::Upgrade
            && let Some(refusal) = self.lost_state(facts, workers)
        {
            return Decision::Leave(Doing::Refuse(refusal));
        }
        // What failed is tried again when the spec changes.
        let name = facts.pipeline.names().ending_savepoint(&run, facts.pipeline.generation);
        match facts.savepoints.get(&name) {
            None => Decision::Leave(Doing::AskForSavepoint {
                name,
                ends: run,
                trigger,
            }),
            // Who asks for a stop gets it: what the workers did stands in the journal and in the last checkpoint.
            Some(_) if trigger == SnapshotTrigger::Suspend => Decision::ScaleToZero,
            Some(savepoint) => Decision::Leave(Doing::Refuse(Refusal::SavepointFailed {
                name,
                error: savepoint.error.clone(),
            })),
        }
    }

    /// There are to be no workers. What they began with stands there for the next ones.
    fn stopped(&self, facts: &Facts<'_>, workers: &Workers) -> Decision {
        if self.replicas == 0 {
            return Decision::Leave(if workers.pods > 0 {
                Doing::Stop
            } else {
                Doing::Suspended
            });
        }
        if workers.record.revision != self.revision.name {
            let refusal = self.lost_state(facts, workers);
            let refusal = refusal.or((!workers.record.is_drained).then_some(Refusal::StoppedWithoutSavepoint));
            if let Some(refusal) = refusal {
                return Decision::Leave(Doing::Refuse(refusal));
            }
        }
        if workers.pods > 0 {
            return Decision::Leave(Doing::Stop);
        }
        self.some(facts, workers)
    }

    /// `restoreNonce` asks for a restore: whatever runs goes, and no savepoint is taken of it.
    fn restore(&self, facts: &Facts<'_>, workers: &Workers) -> Decision {
        let state = &facts.pipeline.spec.state;
        let Some(point) = facts.restore_from else {
            return Decision::Leave(Doing::Wait(Unknown::RestoreFrom));
        };
        // What workers say may be older than what they were started with.
        let begun = match &workers.record.start {
            Start::Rewind { epoch, .. } => Some(*epoch),
            Start::Continue | Start::Resume { .. } | Start::Restore { .. } => None,
        };
        let savepoint = point.path.clone();
        let start = match (
            state.restore_from.as_ref().map(|from| from.mode),
            facts.epoch.max(begun),
        ) {
            // It has never run: there is nothing to go back from.
            (_, None) if !workers.record.was_ready => Start::Restore { savepoint },
            (_, None) => return Decision::Leave(Doing::Wait(Unknown::Epoch)),
            (Some(RestoreMode::Rewind), Some(epoch)) => Start::Rewind {
                savepoint,
                epoch: epoch.saturating_add(1),
            },
            (_, Some(is)) => match point.epoch {
                Some(of) if of != is => {
                    let path = savepoint;
                    return Decision::Leave(Doing::Refuse(Refusal::OtherEpoch { path, of, is }));
                }
                _ => Start::Resume { savepoint },
            },
        };
        let mut record = self.record(facts, workers, start, 0);
        record.restore_nonce = state.restore_nonce;
        // Only the worker sees what is in that snapshot: it refuses state that it has no stage for.
        record.state.clear();
        let before = &workers.record;
        record.without_restore = Some(before.without_restore.clone().unwrap_or_else(|| before.start.clone()));
        self.run(Rules::of(facts.rule_sets.clone()), record, 0, Doing::Stop)
    }

    /// No workers; the next ones begin with `start`.
    fn none(&self, facts: &Facts<'_>, workers: &Workers, start: Start) -> Decision {
        let record = self.record(facts, workers, start, 0);
        self.run(Rules::of(facts.rule_sets.clone()), record, 0, Doing::Stop)
    }

    /// So many workers, with what those that are there, or were last, began with.
    fn some(&self, facts: &Facts<'_>, workers: &Workers) -> Decision {
        let newest = Rules::of(facts.rule_sets.clone());
        let before = &workers.record;
        let is_restart = before.restart_nonce != facts.pipeline.spec.restart_nonce;
        let go_on = workers.replicas > 0 && before.revision == self.revision.name && !is_restart;
        // Rules that changed restart nobody. Workers that begin anew begin with the newest.
        let rules = if go_on && facts.has_rules && before.rules != newest.name {
            Rules {
                name: before.rules.clone(),
                sets: None,
            }
        } else {
            newest
        };
        let record = self.record(facts, workers, before.start.clone(), self.replicas);
        self.run(rules, record, self.replicas, Doing::Running)
    }

    fn record(&self, facts: &Facts<'_>, workers: &Workers, start: Start, replicas: u32) -> Record {
        let before = &workers.record;
        let spec = &facts.pipeline.spec;
        let is_same_run = before.revision == self.revision.name && before.start == start;
        Record {
            revision: self.revision.name.clone(),
            rules: String::new(),
            own_state: self.state.clone(),
            state: before.state.clone(),
            is_drained: replicas == 0,
            was_ready: before.was_ready && is_same_run && replicas > 0,
            // One that nothing was asked with is no reason to restore later.
            restore_nonce: if spec.state.restore_from.is_none() {
                spec.state.restore_nonce
            } else {
                before.restore_nonce
            },
            restart_nonce: spec.restart_nonce,
            savepoint_nonce: before.savepoint_nonce,
            without_restore: before.without_restore.clone().filter(|without| *without != start),
            start,
        }
    }

    fn run(&self, rules: Rules, mut record: Record, replicas: u32, doing: Doing) -> Decision {
        record.rules.clone_from(&rules.name);
        Decision::Run {
            run: Box::new(Run {
                replicas,
                revision: self.revision.clone(),
                rules,
                record,
            }),
            doing,
        }
    }

    /// Why the workers may not become the wanted ones, if state that they keep has no place there.
    fn lost_state(&self, facts: &Facts<'_>, workers: &Workers) -> Option<Refusal> {
        if facts.pipeline.spec.state.allow_non_restored_state {
            return None;
        }
        let lost = workers
            .record
            .state
            .iter()
            .filter(|(stage, shape)| self.state.get(*stage) != Some(*shape));
        let lost: Vec<String> = lost.map(|(stage, _)| stage.clone()).collect();
        (!lost.is_empty()).then_some(Refusal::StateLost(lost))
    }

    fn running(&self) -> Doing {
        if self.replicas == 0 {
            Doing::Suspended
        } else {
            Doing::Running
        }
    }
}

#[cfg(test)]
mod tests;
