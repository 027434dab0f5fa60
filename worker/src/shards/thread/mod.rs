//! A shard thread: fetches, processes, commits. It shares nothing with the others.

mod ahead;
mod commit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use tocsin_worker_core::kafka::fetching::Partition;
use tocsin_worker_core::kafka::{PartitionReader, Settings as ReaderSettings};

use super::ahead::Ahead;
use super::commit::{Committer, Outcome};
use super::grant::Term;
use super::idle::tick;
use super::input::{Added, Input, NotTaken, Taken};
use super::measure::{note_recovered, publish};
use super::owned::{Owned, begin_again};
use super::schemas::Purpose;
use super::setup::Setup;
use super::snapshotting::Snapshotting;
use super::transaction::{ShardCut, Transaction};
use super::{LONGEST_END, Report, ShardsError};
use crate::metrics::ThreadMeasure;
use crate::source::{BLOCK_BYTES, HEAD_BYTES, RECORD_LIMIT};
use tocsin_kafka::{Cluster, Event, Fetcher, FetcherSettings, KafkaError};

/// What the group tells a thread.
pub enum Command {
    /// These shards are ours, by a new grant; perhaps none is new.
    Assign(Vec<(u32, Term)>),
    /// These shards are no longer ours, unless `lost` after what is done is committed.
    Revoke {
        shards: Vec<u32>,
        lost: bool,
        done: Sender<()>,
    },
    /// Commit what is done, and end.
    Finish,
}

/// More output than this is committed at once.
const MOST_OUTPUT: usize = 8 << 20;

/// A running thread.
pub struct ShardThread(JoinHandle<Result<Report, ShardsError>>);

impl ShardThread {
    /// Starts a thread.
    pub fn spawn(setup: Setup) -> Result<Self, ShardsError> {
        let cluster = Cluster::new(setup.settings.cluster.clone())?;
        let fetching = Cluster::new(setup.settings.cluster.clone())?;
        let committer = Committer::start(
            setup.settings.cluster.clone(),
            setup.settings.group.clone(),
            setup.settings.transactional_id.clone(),
            setup.layout.journal.name.clone(),
            Arc::clone(&setup.ownership),
            setup.settings.pulse_of_commits(),
        )?;
        let snapshotting = setup.snapshotting()?;
        let ahead = setup.ahead()?;
        Ok(Self(std::thread::spawn(move || {
            let fetcher = Fetcher::start(fetching, setup.layout.fetched(), FetcherSettings::default())?;
            let mut running = Running {
                cluster,
                fetcher,
                committer,
                ahead,
                held: Vec::new(),
                reader: PartitionReader::new(ReaderSettings {
                    block_bytes: BLOCK_BYTES,
                    record_limit: RECORD_LIMIT,
                    head_bytes: HEAD_BYTES,
                }),
                owned: BTreeMap::new(),
                committing: Vec::new(),
                committed_at: Instant::now(),
                busy: Duration::ZERO,
                interval: commit::INTERVALS.0,
                has_fetched: false,
                report: Report::default(),
                snapshotting,
                measure: ThreadMeasure::new(&setup.settings.measures, &setup.settings.name),
                setup,
            };
            running.run()?;
            Ok(running.report())
        })))
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        !self.0.is_finished()
    }

    /// Waits for its end.
    pub fn join(self) -> Result<Report, ShardsError> {
        self.0.join().unwrap_or(Err(ShardsError::Panicked))
    }
}

struct Running {
    setup: Setup,
    cluster: Cluster,
    fetcher: Fetcher,
    committer: Committer,
    /// Sends results that may repeat.
    ahead: Option<Ahead>,
    /// Shards whose results must wait until the transaction that is under way is committed: it holds a decision of theirs.
    held: Vec<u32>,
    reader: PartitionReader,
    owned: BTreeMap<u32, Owned>,
    /// The shards of the transaction that is under way.
    committing: Vec<u32>,
    /// When the last transaction was handed over.
    committed_at: Instant,
    /// Time spent on records since then.
    busy: Duration,
    interval: Duration,
    /// Whether the brokers have ever let us read.
    has_fetched: bool,
    report: Report,
    snapshotting: Option<Snapshotting>,
    measure: ThreadMeasure,
}

impl Running {
    fn run(&mut self) -> Result<(), ShardsError> {
        loop {
            self.hold();
            let worked = self.work()?;
            self.send_ahead();
            self.commit_if_due();
            self.capture();
            let wait = if worked { Duration::ZERO } else { self.until_due() };
            let events = self.fetcher.events().clone();
            let outcomes = self.committer.outcomes.clone();
            let commands = self.setup.commands.clone();
            self.measure.waits(self.is_full());
            let written = self
                .snapshotting
                .as_ref()
                .map_or_else(crossbeam_channel::never, Snapshotting::written);
            crossbeam_channel::select! {
                recv(commands) -> command => match command {
                    Ok(Command::Assign(shards)) => self.assign(&shards),
                    Ok(Command::Revoke { shards, lost, done }) => {
                        self.give_up(&shards, lost)?;
                        done.send(()).ok();
                    }
                    Ok(Command::Finish) | Err(_) => {
                        let all: Vec<u32> = self.owned.keys().copied().collect();
                        return self.give_up(&all, false);
                    }
                },
                recv(outcomes) -> outcome => match outcome {
                    Ok((outcome, transaction)) => self.ended(outcome, &transaction)?,
                    Err(_) => return Err(ShardsError::Panicked),
                },
                recv(written) -> written => if let (Ok(written), Some(snapshotting)) = (written, &mut self.snapshotting) {
                    snapshotting.done(written);
                },
                recv(events) -> event => if let Ok(event) = event {
                    self.take(event)?;
                },
                default(wait) => {}
            }
            while let Ok(event) = self.fetcher.events().try_recv() {
                self.take(event)?;
            }
            tick(&mut self.owned, &self.setup.plan);
            if self.measure.is_due() {
                self.publish();
            }
        }
    }

    fn publish(&mut self) {
        let counters = &self.committer.counters;
        publish(&mut self.measure, &mut self.owned, counters, &self.setup.plan);
    }

    fn assign(&mut self, shards: &[(u32, Term)]) {
        if !shards.is_empty() {
            // Whoever reads results waits for the transactions of those who had the shards.
            self.setup.abandoned.end();
        }
        for &(shard, term) in shards {
            let before = self.owned.insert(shard, Owned::new(shard, term, &self.setup.layout));
            if let Some(before) = before {
                before.stop_fetching(&self.fetcher);
            }
        }
    }

    /// Commits what was done with these shards, unless they are lost, and lets go of them.
    fn give_up(&mut self, shards: &[u32], lost: bool) -> Result<(), ShardsError> {
        self.measure.waits(true);
        // Of what is lost nothing can be committed, and the group waits: it comes back the later.
        if !lost {
            let until = Instant::now() + LONGEST_END;
            self.wait_for_commit(until)?;
            // What is under way may yet be lost: then nothing that comes behind it may be committed.
            if self.committing.is_empty() {
                self.commit();
                self.wait_for_commit(until)?;
            }
        }
        self.publish();
        for shard in shards {
            if let Some(owned) = self.owned.remove(shard) {
                owned.stop_fetching(&self.fetcher);
            }
            if let Some(snapshotting) = &mut self.snapshotting {
                snapshotting.lost(*shard);
            }
        }
        if lost && self.committing.is_empty() {
            self.give_up_ahead()?;
        }
        Ok(())
    }

    /// Waits for the transaction that is under way.
    fn wait_for_commit(&mut self, until: Instant) -> Result<(), ShardsError> {
        while !self.committing.is_empty() {
            match self.committer.outcomes.recv_deadline(until) {
                Ok((outcome, transaction)) => self.ended(outcome, &transaction)?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn ended(&mut self, outcome: Outcome, transaction: &Transaction) -> Result<(), ShardsError> {
        self.measure.works();
        let shards = std::mem::take(&mut self.committing);
        self.held.clear();
        match outcome {
            Outcome::Committed(journal) => {
                self.measure.committed();
                for cut in &transaction.shards {
                    if let Some(snapshotting) = &mut self.snapshotting {
                        let offset = journal.get(&cut.shard).copied();
                        snapshotting.committed(cut.shard, cut.sequence, offset);
                    }
                }
                for (sink, rows) in &transaction.local {
                    let sink_plan = &self.setup.plan.sinks[*sink];
                    self.setup.targets.write(&sink_plan.name, *sink, rows)?;
                }
                // Shards that were lost in the meantime could not take along what went ahead for them.
                let is_ours = |cut: &ShardCut| self.owned.get(&cut.shard).is_some_and(|owned| owned.term == cut.term);
                if transaction.shards.iter().all(is_ours) {
                    Ok(())
                } else {
                    self.give_up_ahead()
                }
            }
            Outcome::Lost => {
                tracing::warn!(?shards, "shards are recovered from what is committed");
                self.measure.lost();
                for shard in shards {
                    let lost = transaction.shards.iter().find(|cut| cut.shard == shard);
                    let same = |owned: &Owned| lost.is_none_or(|cut| cut.term == owned.term);
                    if self.owned.get(&shard).is_some_and(same) {
                        self.recover(shard);
                    } else if let Some(snapshotting) = &mut self.snapshotting {
                        snapshotting.lost(shard);
                    }
                }
                self.give_up_ahead()
            }
            Outcome::Failed(error) => Err(error),
        }
    }

    fn take(&mut self, event: Event) -> Result<(), ShardsError> {
        self.measure.works();
        match event {
            Event::Fetched(fetched) => {
                let shard = fetched.partition.partition;
                let Some(owned) = self.owned.get_mut(&shard) else {
                    return Ok(());
                };
                let source = fetched.partition.topic as usize;
                match owned.inputs.get_mut(source) {
                    Some(input) => {
                        self.has_fetched = true;
                        let partition = fetched.partition;
                        let position = owned.shard.as_ref().and_then(|shard| shard.positions()[source]);
                        if let (Added::Gap, Some(position)) = (input.add(fetched), position) {
                            tracing::warn!(shard, source, "what was fetched does not follow: it is fetched again");
                            input.begin(position.offset, self.fetcher.add(partition, position));
                        }
                        Ok(())
                    }
                    None => {
                        let mut common = self.setup.common(&mut self.cluster, &self.fetcher, &mut self.reader);
                        owned.take_journal(&fetched, &mut common)
                    }
                }
            }
            Event::Lost(partition, loss) => {
                if !self.owned.contains_key(&partition.partition) {
                    return Ok(());
                }
                let topics = self.setup.layout.fetched();
                Err(ShardsError::Lost {
                    topic: topics[partition.topic as usize].name.clone(),
                    partition: partition.partition,
                    loss,
                })
            }
            Event::Trouble(error) => {
                self.trouble(&error);
                Ok(())
            }
            // A broker that starts again says odd things for a while.
            Event::Failed(error) if self.has_fetched && error.may_pass() => {
                self.trouble(&error);
                Ok(())
            }
            Event::Failed(error) => Err(error.into()),
        }
    }

    fn trouble(&mut self, error: &KafkaError) {
        tracing::warn!(%error, "a broker cannot be used");
        self.measure.trouble(error);
        let inputs = self.owned.values_mut().flat_map(|owned| &mut owned.inputs);
        inputs.for_each(Input::is_not_silent);
    }

    /// Brings one part of each shard's records to its engine. Answers whether there was any.
    fn work(&mut self) -> Result<bool, ShardsError> {
        let started = Instant::now();
        let mut worked = false;
        let full = self.is_full();
        for owned in self.owned.values_mut() {
            self.measure.works();
            if !owned.is_running() {
                let mut common = self.setup.common(&mut self.cluster, &self.fetcher, &mut self.reader);
                worked |= owned.go_on(&mut common)?;
                note_recovered(&mut self.measure, owned);
                continue;
            }
            let Some(shard) = owned.shard.as_mut().filter(|_| !full) else {
                continue;
            };
            for source in shard.order() {
                if owned.inputs[source].is_empty() {
                    continue;
                }
                if shard.holds(source) {
                    owned.inputs[source].is_not_silent();
                    continue;
                }
                let partition = Partition {
                    topic: source as u32,
                    partition: owned.number,
                };
                let schemas = (&self.setup.schemas, Purpose::New);
                let began = Instant::now();
                let taken = owned.inputs[source].take(source, shard, &mut self.reader, i64::MAX, schemas);
                owned.busy.add(began.elapsed());
                match taken {
                    Ok(Taken::Some { bytes, records }) => {
                        self.fetcher.processed(partition, bytes);
                        self.report.records += records;
                        self.measure.done_with(source, bytes);
                        worked = true;
                    }
                    Ok(Taken::Nothing | Taken::Waits) => {}
                    Err(NotTaken::Otherwise(source)) => {
                        return Err(ShardsError::DealtOtherwise {
                            shard: owned.number,
                            source,
                        });
                    }
                    Err(NotTaken::Damaged(position, corrupt)) => begin_again(
                        &mut owned.inputs[source],
                        &self.fetcher,
                        &self.setup.layout,
                        partition,
                        position,
                        corrupt.offset,
                    )?,
                }
                break;
            }
        }
        if worked {
            self.busy += started.elapsed();
        }
        Ok(worked)
    }

    /// Whether as much waits behind the transaction that is under way as may.
    fn is_full(&self) -> bool {
        let waits = self.shards().map(|shard| shard.output_bytes() + 32 * shard.n_steps());
        let is_on_the_way = self.ahead.as_ref().is_some_and(Ahead::is_full);
        is_on_the_way || (!self.committing.is_empty() && waits.sum::<usize>() > 2 * MOST_OUTPUT)
    }

    fn report(&self) -> Report {
        let counters = &self.committer.counters;
        let (rows, dead) = self.measure.rows_and_dead();
        Report {
            rows,
            dead,
            commits: counters.commits.load(Ordering::Relaxed),
            aborts: counters.aborts.load(Ordering::Relaxed),
            reinitialised: counters.reinitialised.load(Ordering::Relaxed),
            snapshots: self.snapshotting.as_ref().map_or(0, Snapshotting::n_written),
            ..self.report
        }
    }
}
