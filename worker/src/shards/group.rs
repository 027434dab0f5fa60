//! Membership in the consumer group: the thread that polls, and what it hands on.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use rdkafka::TopicPartitionList;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaRespErr;

use super::grant::{Grant, Ownership};
use super::growth::Watch;
use super::start::Layout;
use super::thread::{Command, ShardThread};
use super::{LONGEST_END, Settings, ShardsError};
use crate::metrics::Measures;
use tocsin_kafka::{
    BEFORE_JOINING, Cluster, Fences, Generation, Incarnation, MemberTrouble, TokenLogin, member_config,
};

/// A poll waits so long: then an interrupt is heard.
const POLL: Duration = Duration::from_millis(50);

/// While the brokers are away librdkafka says so many times a second: that is passed on less often.
const BETWEEN_WORDS: Duration = Duration::from_secs(1);
const BETWEEN_SAME_WORDS: Duration = Duration::from_secs(10);

/// Said of a member that was found to be another: see [`Incarnation`].
const THROWN_OUT: &str = "the consumer group threw this worker out while it joined: it leaves, and joins anew";

/// A thread that has not polled for so long has lost its shards.
const LONGEST_POLL: Duration = Duration::from_secs(30);

/// Polls the group until the run is interrupted or a thread ends.
pub fn run(
    settings: &Settings,
    layout: &Layout,
    ownership: &Arc<Ownership>,
    commands: &[Sender<Command>],
    threads: &[ShardThread],
    watch: &Watch,
) -> Result<(), ShardsError> {
    let pulse = settings.measures.pulse("group");
    let instance = instance(settings);
    let mut spoiled = None;
    let mut consumer = join(settings, &instance, layout, ownership, commands, spoiled)?;
    let mut fences = Fences::default();
    let mut was_member = false;
    let mut outcome = Ok(());
    let mut told: Option<(String, Instant)> = None;
    while !settings.interrupt.is_raised() && !watch.is_due() && threads.iter().all(ShardThread::is_alive) {
        pulse.beat();
        was_member |= consumer.context().was_assigned.load(Ordering::Relaxed);
        if let Some(Err(error)) = consumer.poll(POLL) {
            match MemberTrouble::of(error.rdkafka_error_code(), was_member) {
                MemberTrouble::Fenced => {
                    consumer.context().lose_all();
                    if !fences.may_join_anew(Instant::now()) {
                        outcome = Err(ShardsError::Fenced(instance.clone()));
                        break;
                    }
                    tracing::warn!(%error, "another member of the consumer group has this worker's name: it joins anew");
                    settings.measures.group_trouble(&error);
                    ownership.commits_by(None);
                    drop(consumer);
                    std::thread::park_timeout(BEFORE_JOINING);
                    consumer = join(settings, &instance, layout, ownership, commands, spoiled)?;
                }
                MemberTrouble::Final => {
                    let what = "joining the consumer group";
                    outcome = Err(ShardsError::Client {
                        what,
                        source: error.into(),
                    });
                    break;
                }
                MemberTrouble::Passing => {
                    settings.measures.group_trouble(&error);
                    let text = error.to_string();
                    let is_new = told
                        .as_ref()
                        .is_none_or(|(before, at)| *before != text && at.elapsed() > BETWEEN_WORDS);
                    if is_new || told.as_ref().is_some_and(|(_, at)| at.elapsed() > BETWEEN_SAME_WORDS) {
                        tracing::warn!(%error, "the consumer group has trouble");
                        told = Some((text, Instant::now()));
                    }
                }
            }
        }
        if let Some(generation) = consumer.context().incarnation.spoiled() {
            tracing::warn!("{THROWN_OUT}");
            settings.measures.group_trouble(&THROWN_OUT);
            spoiled = Some(generation);
            ownership.commits_by(None);
            drop(consumer);
            leave(settings)?;
            let joins_at = Instant::now() + settings.cluster.before_joining_anew();
            while Instant::now() < joins_at && !settings.interrupt.is_raised() {
                pulse.beat();
                std::thread::park_timeout(POLL);
            }
            consumer = join(settings, &instance, layout, ownership, commands, spoiled)?;
        }
    }
    pulse.rest();
    finish(commands);
    let until = Instant::now() + LONGEST_END;
    consumer.context().ends_by.set(until).ok();
    while threads.iter().any(ShardThread::is_alive) && Instant::now() < until {
        consumer.poll(POLL);
    }
    ownership.commits_by(None);
    drop(consumer);
    // A static member that only closes keeps its shards for the length of a session. Where a topic has grown it must join as
    // another, so that the group deals anew.
    if outcome.is_ok() && (settings.leaving.is_due() || watch.is_due()) {
        leave(settings)?;
    }
    outcome
}

/// Takes this worker out of the group, if it is a member.
pub fn leave(settings: &Settings) -> Result<(), ShardsError> {
    let mut cluster = Cluster::new(settings.cluster.clone())?;
    if let Err(error) = cluster.leave_group(&settings.group, &instance(settings)) {
        tracing::warn!(%error, "the consumer group could not be left");
    }
    Ok(())
}

/// Takes this worker out of the group if shards are nobody's. A static member that comes back gets what it had, and nobody
/// deals anew; not even if it was killed between the two rounds in which a shard goes from one member to another, or before
/// the group heard that the journal has more partitions. Who joins as a new member makes the group deal.
fn leave_if_shards_are_nobodys(settings: &Settings, layout: &Layout) -> Result<(), ShardsError> {
    let mut cluster = Cluster::new(settings.cluster.clone())?;
    match cluster.assigned(&settings.group, &layout.journal.name) {
        Ok(Some(assigned)) if (0..layout.n_shards).any(|shard| !assigned.contains(&shard)) => {
            tracing::info!("shards are nobody's: the worker joins the consumer group anew");
            leave(settings)
        }
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "the consumer group could not be looked at");
            Ok(())
        }
    }
}

/// The name of this worker as a member of the group.
pub fn instance(settings: &Settings) -> String {
    format!("{}.{}", settings.group, settings.instance)
}

/// A member of the group.
fn join(
    settings: &Settings,
    instance: &str,
    layout: &Layout,
    ownership: &Arc<Ownership>,
    commands: &[Sender<Command>],
    spoiled: Option<Generation>,
) -> Result<Arc<BaseConsumer<Member>>, ShardsError> {
    leave_if_shards_are_nobodys(settings, layout)?;
    let failed = |what| {
        move |source: ClientError| ShardsError::Client {
            what,
            source: source.into(),
        }
    };
    let member = Member {
        ownership: Arc::clone(ownership),
        n_shards: layout.n_shards,
        commands: commands.to_vec(),
        measures: Arc::clone(&settings.measures),
        login: settings.cluster.token_login(),
        was_assigned: AtomicBool::new(false),
        incarnation: Incarnation::behind(spoiled),
        ends_by: OnceLock::new(),
    };
    let mut config = member_config(&settings.cluster, &settings.group, instance, LONGEST_POLL);
    config
        .set("auto.offset.reset", "latest")
        // It is paused at once; what it fetches in between is thrown away.
        .set("queued.min.messages", "1")
        .set("queued.max.messages.kbytes", "64");
    let consumer: BaseConsumer<Member> = config
        .create_with_context(member)
        .map_err(failed("joining the consumer group"))?;
    consumer
        .subscribe(&[layout.journal.name.as_str()])
        .map_err(failed("joining the consumer group"))?;
    let consumer = Arc::new(consumer);
    let member = Arc::clone(&consumer);
    ownership.commits_by(Some(Box::new(move |offsets| member.commit(offsets, CommitMode::Async))));
    Ok(consumer)
}

/// Tells all threads to commit what is done, and to end.
pub fn finish(commands: &[Sender<Command>]) {
    for thread in commands {
        // A thread that has ended needs no telling.
        thread.send(Command::Finish).ok();
    }
}

/// What happens at a rebalance.
struct Member {
    ownership: Arc<Ownership>,
    /// Partitions that the journal got meanwhile are for the run that begins with them.
    n_shards: u32,
    commands: Vec<Sender<Command>>,
    measures: Arc<Measures>,
    login: TokenLogin,
    /// Whether the group has ever taken it in.
    was_assigned: AtomicBool,
    /// Whether it is the member that was given its shards.
    incarnation: Incarnation,
    /// By when the threads have ended, once they were told to.
    ends_by: OnceLock<Instant>,
}

impl ClientContext for Member {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.login.answer()
    }

    fn error(&self, error: ClientError, reason: &str) {
        // Polling tells it too, and is heard.
        tracing::debug!(%error, reason, "the consumer group has trouble");
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let shards: Vec<u32> = list
            .elements()
            .iter()
            .map(|element| element.partition() as u32)
            .filter(|shard| *shard < self.n_shards)
            .collect();
        let is_another = self.incarnation.look(consumer);
        if is_another {
            self.lose_all();
        }
        let outcome = match code {
            // It is heard, and counts for nothing.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if is_another => {
                consumer.incremental_assign(list).and_then(|()| consumer.pause(list))
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS if is_another => consumer.incremental_unassign(list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => consumer.incremental_assign(list).and_then(|()| {
                consumer.pause(list)?;
                if let Some(grant) = Grant::of(consumer) {
                    self.assign(&shards, grant);
                }
                Ok(())
            }),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                let lost = consumer.assignment_lost();
                // The group is in its next generation already: what is still to be committed needs the grant of that.
                if let Some(grant) = Grant::of(consumer).filter(|_| !lost) {
                    self.ownership.assign(&[], grant);
                }
                self.revoke(&shards, lost);
                consumer.incremental_unassign(list)
            }
            other => Err(ClientError::Rebalance(other.into())),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "a rebalance failed");
        }
    }
}

impl Member {
    /// Whatever it had is another's.
    fn lose_all(&self) {
        let shards = self.ownership.shards();
        if !shards.is_empty() {
            self.revoke(&shards, true);
        }
    }

    fn assign(&self, shards: &[u32], grant: Grant) {
        tracing::info!(?shards, "shards were assigned");
        self.was_assigned.store(true, Ordering::Relaxed);
        let assigned = self.ownership.assign(shards, grant);
        self.measures.assigned(shards);
        let n_threads = self.commands.len().max(1);
        for (number, thread) in self.commands.iter().enumerate() {
            let of_thread = assigned
                .iter()
                .filter(|(shard, _)| *shard as usize % n_threads == number);
            thread.send(Command::Assign(of_thread.copied().collect())).ok();
        }
    }

    fn revoke(&self, shards: &[u32], lost: bool) {
        tracing::info!(?shards, lost, "shards were revoked");
        if lost {
            self.ownership.revoke(shards);
        }
        let (done, all_done) = crossbeam_channel::bounded(self.commands.len());
        for (number, thread) in self.commands.iter().enumerate() {
            let shards = self.of_thread(shards, number);
            let done = done.clone();
            thread.send(Command::Revoke { shards, lost, done }).ok();
        }
        drop(done);
        let until = Instant::now() + LONGEST_END;
        let until = self.ends_by.get().map_or(until, |ends_by| until.min(*ends_by));
        // Threads that have ended drop their end.
        while all_done.recv_deadline(until).is_ok() {}
        self.ownership.revoke(shards);
        self.measures.revoked(shards, lost);
    }

    fn of_thread(&self, shards: &[u32], number: usize) -> Vec<u32> {
        let n_threads = self.commands.len().max(1);
        shards
            .iter()
            .copied()
            .filter(|shard| *shard as usize % n_threads == number)
            .collect()
    }
}
