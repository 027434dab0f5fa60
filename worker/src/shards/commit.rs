//! Commits transactions, one after the other, and knows one way out of every error.
//!
//! What a transaction writes stays in memory until its commit is known. An error that leaves that open (a time-out, a
//! fence) has one path: the producer is given up, a new one with the same id ends what the old one left open, and the
//! committed offsets say what became of it. It was committed: go on. It was not, and the shards are still ours: send it
//! again. Anything else: the shards are recovered from what is committed.
//!
//! The producer is never used again after such an error: where transactions share an epoch (before KIP-890, and with librdkafka), a
//! commit that was delayed on the way could end a later one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::ahead::{Awaited, Settled};
use super::grant::{Asking, Grant, Ownership, Term};
use super::producer::{TRANSACTION_TIMEOUT, Transactional, Tried};
use super::transaction::Transaction;
use super::{ShardsError, sequence};
use crate::metrics::Pulse;
use tocsin_kafka::{Cluster, ClusterSettings, CommittedNow, KafkaError};

/// Time between two tries to begin anew.
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// Between two looks whether the brokers have what went ahead of a transaction: at first, and when they take long.
const BETWEEN_LOOKS: Duration = Duration::from_micros(200);
const BETWEEN_SLOW_LOOKS: Duration = Duration::from_millis(10);

/// How long the group may take to say by which grant a shard is still ours.
const NEW_GRANT: Duration = Duration::from_secs(30);

/// How long the thread may take to end once nobody waits for its transaction.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// What became of a transaction.
pub enum Outcome {
    /// It is committed; by shard, where its records stand in the journal, as far as is known.
    Committed(BTreeMap<u32, i64>),
    /// It is not, and these shards must be recovered, if they are still ours.
    Lost,
    /// No other try would do.
    Failed(ShardsError),
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Counters {
    pub commits: AtomicU64,
    pub aborts: AtomicU64,
    pub reinitialised: AtomicU64,
}

/// The thread that commits.
pub struct Committer {
    transactions: Option<Sender<Transaction>>,
    pub outcomes: Receiver<(Outcome, Transaction)>,
    pub counters: Arc<Counters>,
    /// Set when nobody waits for the transaction that is under way.
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread with a producer of this id.
    pub fn start(
        settings: ClusterSettings,
        group: String,
        id: String,
        journal: String,
        ownership: Arc<Ownership>,
        pulse: Arc<Pulse>,
    ) -> Result<Self, ShardsError> {
        let (sender, transactions) = crossbeam_channel::bounded(1);
        let (outcome, outcomes) = crossbeam_channel::bounded(1);
        let counters = Arc::new(Counters::default());
        let stopped = Arc::new(AtomicBool::new(false));
        let mut state = Committing {
            cluster: Cluster::new(settings.clone())?,
            settings,
            group,
            id,
            journal,
            ownership,
            counters: Arc::clone(&counters),
            stopped: Arc::clone(&stopped),
            producer: None,
            pulse,
        };
        let thread = std::thread::spawn(move || {
            // Ready before the first transaction comes.
            let mut first = state.begin_anew();
            state.pulse.rest();
            for mut transaction in transactions {
                let done = match std::mem::replace(&mut first, Ok(())) {
                    Ok(()) => state.commit(&mut transaction),
                    Err(error) => Outcome::Failed(error),
                };
                state.pulse.rest();
                if outcome.send((done, transaction)).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            transactions: Some(sender),
            outcomes,
            counters,
            stopped,
            thread: Some(thread),
        })
    }

    /// Hands a transaction over. None may be under way.
    pub fn commit(&self, transaction: Transaction) {
        if let Some(sender) = &self.transactions {
            // The thread ends only when nobody hands it anything.
            sender.send(transaction).ok();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.transactions = None;
        self.stopped.store(true, Ordering::Release);
        let until = Instant::now() + LAST_ANSWER;
        let last = loop {
            match self.outcomes.recv_deadline(until) {
                Ok(_) => {}
                Err(last) => break last,
            }
        };
        // Behind brokers that say nothing it would wait on for seconds, for an answer that nobody wants any more: whoever has the
        // shards next looks what became of the transaction.
        if let Some(thread) = self.thread.take().filter(|_| last == RecvTimeoutError::Disconnected) {
            thread.join().ok();
        }
    }
}

struct Committing {
    cluster: Cluster,
    settings: ClusterSettings,
    group: String,
    id: String,
    journal: String,
    ownership: Arc<Ownership>,
    counters: Arc<Counters>,
    stopped: Arc<AtomicBool>,
    producer: Option<Transactional>,
    pulse: Arc<Pulse>,
}

/// What the committed offsets say of a transaction.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// It is committed.
    This,
    /// What came before it is.
    Before,
    /// Something else.
    Other,
}

impl Committing {
    fn commit(&mut self, transaction: &mut Transaction) -> Outcome {
        let shards = transaction.terms();
        if let Some(ahead) = &mut transaction.ahead
            && let Some(outcome) = self.await_results(ahead, &shards)
        {
            return outcome;
        }
        let n_records = transaction.records.len();
        let _span = tracing::info_span!("transaction", n_shards = shards.len(), n_records).entered();
        let mut grant = transaction.grant.clone();
        loop {
            self.pulse.beat();
            if self.stopped.load(Ordering::Acquire) {
                return Outcome::Lost;
            }
            let Some(producer) = &mut self.producer else {
                match self.recover(transaction) {
                    Ok(Found::This) => return self.committed(BTreeMap::new()),
                    Ok(Found::Other) => return Outcome::Lost,
                    Ok(Found::Before) => match self.ownership.grant(&shards) {
                        None => return Outcome::Lost,
                        Some(newest) => grant = newest,
                    },
                    Err(error) => return Outcome::Failed(error),
                }
                continue;
            };
            // Within a transaction its time would run out meanwhile.
            if let Some(wait) = producer.throttled_for() {
                match self.await_quota(wait, &shards) {
                    Some(newest) => grant = newest,
                    None => return Outcome::Lost,
                }
                continue;
            }
            match producer.attempt(transaction, &grant) {
                Tried::Committed => {
                    let offsets = producer.journal_offsets();
                    return self.committed(offsets);
                }
                Tried::Aborted(error) => {
                    self.counters.aborts.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "a transaction was aborted and is sent again");
                    let stale = error.is_stale_grant();
                    match self.next_grant(&grant, &shards, stale) {
                        Some(newer) => grant = newer,
                        None => return Outcome::Lost,
                    }
                }
                Tried::Refused(topic, source) => {
                    return Outcome::Failed(ShardsError::Refused { topic, source });
                }
                Tried::Failed(source) => {
                    let what = "committing a transaction";
                    return Outcome::Failed(ShardsError::Client { what, source });
                }
                Tried::Unknown(error) => {
                    tracing::warn!(%error, "what became of a transaction is not known: the producer is given up");
                    self.producer = None;
                }
            }
        }
    }

    /// Waits until brokers want to be written to again. Answers the grant that holds then; none if nobody wants that any more.
    fn await_quota(&self, wait: Duration, shards: &[(u32, Term)]) -> Option<Grant> {
        let until = Instant::now() + wait;
        loop {
            let grant = self.ownership.grant(shards);
            let grant = grant.filter(|_| !self.stopped.load(Ordering::Acquire))?;
            self.pulse.beat();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(grant);
            }
            std::thread::park_timeout(left.min(BETWEEN_TRIES));
        }
    }

    /// Waits until the brokers have what was sent ahead of a transaction. Answers how the transaction ends if they never
    /// will.
    fn await_results(&self, ahead: &mut Awaited, shards: &[(u32, Term)]) -> Option<Outcome> {
        let started = Instant::now();
        loop {
            match ahead.settled() {
                Settled::Acknowledged => return None,
                Settled::Open => {}
                Settled::Refused(topic, source) => {
                    return Some(Outcome::Failed(ShardsError::Refused { topic, source }));
                }
                Settled::Failed(source) if source.is_final() => {
                    let what = "sending results";
                    return Some(Outcome::Failed(ShardsError::Client { what, source }));
                }
                Settled::Failed(error) => {
                    tracing::warn!(%error, "results were not taken, and are sent again");
                    return Some(Outcome::Lost);
                }
            }
            if self.stopped.load(Ordering::Acquire) || self.ownership.grant(shards).is_none() {
                return Some(Outcome::Lost);
            }
            self.pulse.beat();
            let is_slow = started.elapsed() > BETWEEN_TRIES;
            std::thread::park_timeout(if is_slow { BETWEEN_SLOW_LOOKS } else { BETWEEN_LOOKS });
        }
    }

    fn committed(&self, journal_offsets: BTreeMap<u32, i64>) -> Outcome {
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        Outcome::Committed(journal_offsets)
    }

    fn next_grant(&self, grant: &Grant, shards: &[(u32, Term)], stale: bool) -> Option<Grant> {
        if stale {
            return self.ownership.newer(grant, shards, NEW_GRANT);
        }
        let unchanged = self.ownership.newer(grant, shards, BETWEEN_TRIES);
        unchanged.or_else(|| self.ownership.grant(shards))
    }

    /// Begins anew, and looks what became of a transaction.
    fn recover(&mut self, transaction: &Transaction) -> Result<Found, ShardsError> {
        let _span = tracing::info_span!("look up a transaction").entered();
        self.begin_anew()?;
        self.counters.reinitialised.fetch_add(1, Ordering::Relaxed);
        let asked: Vec<(String, u32)> = transaction
            .shards
            .iter()
            .flat_map(|cut| cut.positions.iter().map(|(topic, _)| (topic.clone(), cut.shard)))
            .collect();
        let terms = transaction.terms();
        let mut asking = Asking::default();
        let committed = loop {
            let answer = match (self.ownership.grant(&terms), transaction.shards.first()) {
                (Some(grant), Some(first)) => {
                    let journal = (self.journal.as_str(), first.shard);
                    (self.ownership).committed_now(&mut self.cluster, &grant, &mut asking, journal, &asked)
                }
                // Shards that are lost are not gone on with. What was committed of them still is, also as an older answer has it.
                _ => {
                    let found = self.cluster.committed(&self.group, &asked);
                    found.map(|found| found.map_or(CommittedNow::Unstable, CommittedNow::Offsets))
                }
            };
            match answer {
                Ok(CommittedNow::Offsets(committed)) => break committed,
                Ok(CommittedNow::Unstable | CommittedNow::NotShown) => {}
                Err(error) if error.may_pass() => {}
                Err(error) => return Err(error.into()),
            }
            self.rest()?;
        };
        let found: Vec<Found> = transaction
            .shards
            .iter()
            .map(|cut| {
                let mut of_shard = committed.iter().filter(|((_, shard), _)| *shard == cut.shard);
                let newest = of_shard.try_fold(0, |newest: u64, (_, offset)| {
                    sequence::of_metadata(&offset.metadata).map(|(sequence, _)| newest.max(sequence))
                });
                match newest {
                    Some(sequence) if sequence == cut.sequence => Found::This,
                    Some(sequence) if sequence + 1 == cut.sequence => Found::Before,
                    _ => Found::Other,
                }
            })
            .collect();
        let all = |wanted| found.iter().all(|found| *found == wanted);
        Ok(if all(Found::This) {
            Found::This
        } else if all(Found::Before) {
            Found::Before
        } else {
            Found::Other
        })
    }

    /// Lets some time pass before the next try.
    fn rest(&self) -> Result<(), ShardsError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(KafkaError::Stopped.into());
        }
        std::thread::park_timeout(BETWEEN_TRIES);
        self.pulse.beat();
        Ok(())
    }

    /// A new producer with the same id. It waits until what the old one left open has ended.
    fn begin_anew(&mut self) -> Result<(), ShardsError> {
        self.producer = None;
        loop {
            match Transactional::begin(&self.settings, &self.id, &self.journal) {
                Ok(producer) => {
                    self.producer = Some(producer);
                    return Ok(());
                }
                Err(error) if error.is_timeout_refused() => {
                    return Err(ShardsError::TransactionTimeout(TRANSACTION_TIMEOUT));
                }
                Err(source) if source.is_final() => {
                    return Err(ShardsError::Client {
                        what: "beginning transactions",
                        source,
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the brokers do not let transactions begin yet");
                    self.rest()?;
                }
            }
        }
    }
}
