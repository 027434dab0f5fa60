//! Results that leave ahead of their transaction, where they may repeat.

use super::Running;
use crate::shards::ShardsError;
use crate::shards::owned::Owned;
use crate::shards::transaction::Results;

impl Running {
    /// Sends what goes ahead, and hears what became of what went before.
    pub(super) fn send_ahead(&mut self) {
        let Some(ahead) = &mut self.ahead else { return };
        self.measure.written(ahead.acknowledged());
        let (layout, targets) = (&self.setup.layout, &self.setup.targets);
        for owned in self.owned.values_mut().filter(|owned| owned.is_running()) {
            let Some(shard) = owned.shard.as_mut().filter(|_| !self.held.contains(&owned.number)) else {
                continue;
            };
            let taken = shard.take_ahead(|sink| targets.may_repeat(sink));
            // What waits for a cut is written with it.
            let inputs = owned.inputs.iter_mut().filter(|_| !shard.has_output());
            let arrivals = inputs.flat_map(|input| input.reading.take_arrivals()).collect();
            if taken.is_empty() {
                self.measure.written(arrivals);
                continue;
            }
            self.measure.ahead(&taken.outputs);
            let results = Results::of(
                (owned.number, shard.epoch()),
                taken.outputs,
                taken.origins,
                layout,
                targets,
            );
            ahead.send(results.records, arrivals);
        }
    }

    /// Gives up what is on the way when shards were lost: nobody knows any more in which order it would arrive. Shards that
    /// have moved since their cut are recovered, and give it out again. No transaction may be under way.
    pub(super) fn give_up_ahead(&mut self) -> Result<(), ShardsError> {
        let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.is_open()) else {
            return Ok(());
        };
        ahead.begin_anew()?;
        self.measure.done_again();
        let running = self.owned.values().filter(|owned| owned.is_running());
        let moved = running.filter(|owned| owned.shard.as_ref().is_some_and(|shard| shard.has_moved()));
        let moved: Vec<u32> = moved.map(|owned| owned.number).collect();
        if !moved.is_empty() {
            tracing::warn!(shards = ?moved, "results that were on the way are sent again: shards are recovered");
        }
        for shard in moved {
            self.recover(shard);
        }
        Ok(())
    }

    /// Brings a shard back from what is committed.
    pub(super) fn recover(&mut self, shard: u32) {
        if let Some(snapshotting) = &mut self.snapshotting {
            snapshotting.lost(shard);
        }
        if let Some(owned) = self.owned.get_mut(&shard) {
            owned.stop_fetching(&self.fetcher);
            *owned = Owned::new(shard, owned.term, &self.setup.layout);
        }
    }
}
