//! When a thread hands over what it did, and what it does in between.

use std::time::{Duration, Instant};

use tocsin_worker_core::shard::Shard;

use super::{MOST_OUTPUT, Running};
use crate::shards::ahead::Ahead;
use crate::shards::grant::Term;
use crate::shards::owned::Owned;
use crate::shards::snapshotting::{Snapshotting, Work};
use crate::shards::transaction::Transaction;

/// The least and the most time between two transactions with output.
pub(super) const INTERVALS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// Time between two transactions that only say how far it has come. Results that went ahead wait for none.
const BARE_PROGRESS: Duration = Duration::from_secs(1);

/// How long it waits at least for a grant without which it cannot commit, and to hear what became of results.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// How long the thread waits when nothing happens.
const PATIENCE: Duration = Duration::from_millis(50);

impl Running {
    /// Until when nothing needs to be done without an event.
    pub(super) fn until_due(&self) -> Duration {
        let of_snapshots = match self.snapshotting.as_ref().map(Snapshotting::work) {
            Some(Work::Blocks) => return Duration::ZERO,
            Some(Work::Room) => INTERVALS.0,
            Some(Work::Nothing) | None => PATIENCE,
        };
        self.until_commit_due().min(of_snapshots)
    }

    fn until_commit_due(&self) -> Duration {
        if self.ahead.as_ref().is_some_and(Ahead::is_open) {
            return LEAST_WAIT;
        }
        if self.owned.values().any(Owned::is_polled) {
            return INTERVALS.0;
        }
        let waits = self.committing.is_empty() && self.shards().any(|shard| shard.has_output());
        if waits {
            let left = self.interval.saturating_sub(self.committed_at.elapsed());
            left.clamp(LEAST_WAIT, PATIENCE)
        } else {
            PATIENCE
        }
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = &Shard> {
        let running = self.owned.values().filter(|owned| owned.is_running());
        running.filter_map(|owned| owned.shard.as_ref())
    }

    /// Holds the shards if a savepoint asks for that, and lets them go on if none does any more.
    pub(super) fn hold(&mut self) {
        let (holds, given_up) = self.setup.settings.savepoints.holds();
        let holds = holds.filter(|_| self.snapshotting.is_some());
        for owned in self.owned.values_mut().filter(|owned| owned.is_running()) {
            let Some(shard) = &mut owned.shard else { continue };
            let before = shard.held_for();
            given_up.iter().for_each(|savepoint| shard.give_up(*savepoint));
            match holds {
                Some(hold) => shard.hold(hold),
                None => shard.go_on(),
            }
            if before != shard.held_for() {
                let (held, until) = (shard.is_held(), shard.held_until());
                tracing::info!(shard = owned.number, held, until, "whether the shard reads its sources");
            }
        }
    }

    pub(super) fn commit_if_due(&mut self) {
        if !self.committing.is_empty() {
            return;
        }
        let mut wanted = false;
        for owned in self.owned.values_mut() {
            if owned.is_to_renew(self.setup.settings.renew_offsets) {
                wanted |= owned.shard.as_mut().map(Shard::ask_for_cut).is_some();
            }
        }
        if let Some(snapshotting) = &mut self.snapshotting {
            for owned in self.owned.values_mut().filter(|owned| owned.is_running()) {
                let number = owned.number;
                let shard = owned
                    .shard
                    .as_mut()
                    .filter(|shard| snapshotting.wants_cut(number, shard));
                wanted |= shard.map(Shard::ask_for_cut).is_some();
            }
        }
        let since = self.committed_at.elapsed();
        let output = self.shards().any(|shard| shard.has_output());
        let bytes: usize = self.shards().map(|shard| shard.output_bytes()).sum();
        let moved = self.shards().any(|shard| shard.has_moved());
        if wanted || (output && since >= self.interval) || bytes > MOST_OUTPUT || (moved && since >= BARE_PROGRESS) {
            self.commit();
        }
    }

    /// Hands what was done over to the committer.
    pub(super) fn commit(&mut self) {
        if !self.committing.is_empty() {
            return;
        }
        self.send_ahead();
        let mut moved: Vec<(u32, Term)> = self
            .owned
            .values()
            .filter(|owned| owned.is_running())
            .filter(|owned| owned.shard.as_ref().is_some_and(|shard| shard.has_moved()))
            .map(|owned| (owned.number, owned.term))
            .collect();
        if let Some(snapshotting) = &self.snapshotting {
            // One snapshot is under way at a time: that comes first which waits longest.
            moved.sort_by_key(|(shard, _)| snapshotting.due(*shard));
        }
        // Without a grant they are being taken from us.
        let Some(grant) = self.setup.ownership.grant(&moved).filter(|_| !moved.is_empty()) else {
            return;
        };
        let mut transaction = Transaction::new(grant);
        for (number, term) in &moved {
            let Some(owned) = self.owned.get_mut(number) else {
                continue;
            };
            let Some(shard) = &mut owned.shard else { continue };
            let has_decided = shard.has_decided();
            let Some(mut cut) = shard.cut() else { continue };
            owned.committed_at = Some(Instant::now());
            if self.ahead.is_some() && has_decided {
                self.held.push(*number);
            }
            if let Some(snapshotting) = &mut self.snapshotting {
                snapshotting.cut(*number, *term, shard);
            }
            let beginning = owned.beginning.take();
            let arrivals = owned.inputs.iter_mut().flat_map(|input| input.reading.take_arrivals());
            self.measure.cut(&mut cut.outputs, arrivals);
            transaction.add(
                (*number, *term),
                cut,
                beginning,
                &self.setup.layout,
                &self.setup.targets,
            );
        }
        transaction.ahead = self.ahead.as_mut().map(Ahead::cut);
        self.committing = moved.iter().map(|(shard, _)| *shard).collect();
        let passed = self.committed_at.elapsed().as_secs_f64().max(1e-6);
        let load = (self.busy.as_secs_f64() / passed).min(1.0);
        self.interval = INTERVALS.0 + (INTERVALS.1 - INTERVALS.0).mul_f64(load);
        self.busy = Duration::ZERO;
        self.committed_at = Instant::now();
        self.measure.handed_over();
        self.committer.commit(transaction);
    }

    /// Goes on with the snapshot that is under way.
    pub(super) fn capture(&mut self) {
        if let Some(snapshotting) = &mut self.snapshotting {
            let owned = &mut self.owned;
            snapshotting.go_on(|number, term| {
                let owned = owned
                    .get_mut(&number)
                    .filter(|owned| owned.term == term && owned.is_running())?;
                owned.shard.as_mut()
            });
        }
    }
}
