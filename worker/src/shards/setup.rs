//! What a shard thread begins with.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use tocsin_contract::pipeline::Delivery;
use tocsin_contract::pipeline::kafka::StartingOffsets;
use tocsin_contract::pipeline::source::Source;
use tocsin_worker_core::kafka::PartitionReader;
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::placement::Placement;
use tocsin_worker_core::snapshot::SourcePosition;

use super::abandoned::Abandoned;
use super::ahead::Ahead;
use super::grant::Ownership;
use super::owned::Common;
use super::savepoints::Savepoints;
use super::schemas::Schemas;
use super::snapshotting::{Place, Snapshotting};
use super::start::Layout;
use super::thread::Command;
use super::transaction::Targets;
use super::{Settings, ShardsError, SnapshotSettings};
use crate::metrics::{Measures, Pulse};
use crate::snapshots::SnapshotError;
use tocsin_kafka::{Cluster, ClusterSettings, Fetcher};

/// What a thread begins with.
pub struct Setup {
    pub plan: Plan,
    pub sources: Vec<Source>,
    pub placements: Vec<Option<Placement>>,
    pub schemas: Schemas,
    pub layout: Arc<Layout>,
    pub settings: ThreadSettings,
    pub ownership: Arc<Ownership>,
    pub abandoned: Arc<Abandoned>,
    pub targets: Arc<Targets>,
    pub commands: Receiver<Command>,
}

/// The settings of a thread.
pub struct ThreadSettings {
    pub cluster: ClusterSettings,
    pub group: String,
    pub transactional_id: String,
    pub starting_offsets: StartingOffsets,
    pub delivery: Delivery,
    pub renew_offsets: Duration,
    pub snapshots: Option<SnapshotSettings>,
    pub savepoints: Arc<Savepoints>,
    /// The thread's name.
    pub name: String,
    pub measures: Arc<Measures>,
}

impl ThreadSettings {
    pub fn of(settings: &Settings, number: usize) -> Self {
        Self {
            cluster: settings.cluster.clone(),
            group: settings.group.clone(),
            transactional_id: format!("{}.{}.{number}", settings.group, settings.instance),
            starting_offsets: settings.starting_offsets,
            delivery: settings.delivery,
            renew_offsets: settings.renew_offsets,
            snapshots: settings.snapshots.clone(),
            savepoints: Arc::clone(&settings.savepoints),
            name: format!("shards-{number}"),
            measures: Arc::clone(&settings.measures),
        }
    }

    /// The same, for a run epoch that began with a savepoint because topics had grown.
    pub fn begun_with(mut self, savepoint: Option<&String>, epoch: u32) -> Self {
        if let (Some(snapshots), Some(savepoint)) = (&mut self.snapshots, savepoint) {
            snapshots.restore_from = Some(savepoint.clone());
            if let Some(resumed) = snapshots.resume_from.take() {
                tracing::warn!(
                    resumed,
                    epoch,
                    "--resume-from has no effect any more: the pipeline is in a later run epoch"
                );
            }
            snapshots.rewind_to_epoch = Some(epoch);
        }
        self
    }

    /// The pulse of the thread that commits for this one.
    pub fn pulse_of_commits(&self) -> Arc<Pulse> {
        self.measures.pulse(&format!("{}-commits", self.name))
    }
}

impl Setup {
    /// What sends results ahead of their transaction, if they may repeat.
    pub fn ahead(&self) -> Result<Option<Ahead>, ShardsError> {
        match self.settings.delivery {
            Delivery::ExactlyOnce => Ok(None),
            Delivery::AtLeastOnce => Ahead::begin(self.settings.cluster.clone()).map(Some),
        }
    }

    /// What takes snapshots, if they are asked for.
    pub fn snapshotting(&self) -> Result<Option<Snapshotting>, SnapshotError> {
        let Some(settings) = &self.settings.snapshots else {
            return Ok(None);
        };
        let place = Place {
            pipeline: self.plan.name.clone(),
            inputs: self.inputs_at(),
            n_shards: self.layout.n_shards,
        };
        let savepoints = Arc::clone(&self.settings.savepoints);
        let (placements, measures) = (self.placements.clone(), Arc::clone(&self.settings.measures));
        Snapshotting::start(settings.clone(), place, placements, measures, savepoints).map(Some)
    }

    /// The inputs with their topics.
    fn inputs_at(&self) -> Vec<SourcePosition> {
        let inputs = self.plan.input_names().into_iter().zip(&self.layout.inputs);
        let source = inputs.map(|(source, topic)| SourcePosition {
            source,
            position: None,
            topic: Some(topic.name.clone()),
            topic_id: topic.id.map(|id| id.to_string()),
        });
        source.collect()
    }

    /// What the shards of the thread share.
    pub fn common<'a>(
        &'a self,
        cluster: &'a mut Cluster,
        fetcher: &'a Fetcher,
        reader: &'a mut PartitionReader,
    ) -> Common<'a> {
        Common {
            plan: &self.plan,
            sources: &self.sources,
            layout: &self.layout,
            snapshots: self.settings.snapshots.as_ref(),
            starting_offsets: self.settings.starting_offsets,
            schemas: &self.schemas,
            abandoned: &self.abandoned,
            ownership: &self.ownership,
            is_watched: self.settings.measures.is_watched(),
            cluster,
            fetcher,
            reader,
        }
    }
}
