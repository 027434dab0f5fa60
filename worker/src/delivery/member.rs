//! Membership in a sink's consumer group, and what happens when partitions come and go.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use tocsin_worker_core::delivery::progress::Mark;

use super::DeliveryError;
use super::deliverer::{Work, commit};
use super::metrics::count;
use super::state::State;
use tocsin_kafka::{Cluster, ClusterSettings, Fences, Generation, Incarnation, MemberTrouble, member_config};

/// How long a question about offsets may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// While the brokers are away librdkafka says so many times a second: that is passed on less often.
const BETWEEN_WORDS: Duration = Duration::from_secs(10);

/// Joins the group of a sink, behind a consumer that was another member in a generation of it.
pub fn join(
    work: &Work,
    state: Arc<Mutex<State>>,
    spoiled: Option<Generation>,
) -> Result<BaseConsumer<Member>, DeliveryError> {
    let member = Member {
        state,
        sink: work.delivery.name.clone(),
        topic: work.topic.clone(),
        group: work.group.clone(),
        cluster: work.settings.cluster.clone(),
        metrics: Arc::clone(&work.metrics),
        was_assigned: AtomicBool::new(false),
        incarnation: Incarnation::behind(spoiled),
    };
    // A rebalance waits for requests that are under way.
    let longest_poll = work.delivery.sink.timeout() + Duration::from_secs(60);
    let mut config = member_config(&work.settings.cluster, &work.group, &work.instance, longest_poll);
    config
        // Where nothing is committed, nothing was delivered.
        .set("auto.offset.reset", "earliest")
        .set("queued.min.messages", "100")
        .set("queued.max.messages.kbytes", "4096");
    let failed = || work.failed("joining the consumer group");
    let consumer: BaseConsumer<Member> = config.create_with_context(member).map_err(failed())?;
    consumer.subscribe(&[work.topic.as_str()]).map_err(failed())?;
    Ok(consumer)
}

/// What the consumer complains of.
#[derive(Default)]
pub struct Complaints {
    told: Option<Instant>,
    fences: Fences,
}

impl Complaints {
    /// Passes on what may pass. Answers whether the consumer is of no use any more, and another must join in its place.
    ///
    /// # Errors
    /// What does not pass.
    pub fn hear(&mut self, work: &Work, was_member: bool, error: ClientError) -> Result<bool, DeliveryError> {
        let trouble = MemberTrouble::of(error.rdkafka_error_code(), was_member);
        if trouble == MemberTrouble::Final {
            return Err(work.failed("reading the buffer")(error));
        }
        let is_fenced = trouble == MemberTrouble::Fenced;
        if is_fenced && !self.fences.may_join_anew(Instant::now()) {
            return Err(DeliveryError::Fenced(work.instance.clone()));
        }
        if is_fenced || self.told.is_none_or(|told| told.elapsed() > BETWEEN_WORDS) {
            tracing::warn!(sink = work.delivery.name, %error, "the consumer group of a sink has trouble");
            self.told = Some(Instant::now());
        }
        Ok(is_fenced)
    }
}

/// What happens at a rebalance. It is called within a poll.
pub struct Member {
    state: Arc<Mutex<State>>,
    sink: String,
    topic: String,
    group: String,
    cluster: ClusterSettings,
    metrics: Arc<super::DeliveryMetrics>,
    /// Whether the group has ever taken it in.
    pub was_assigned: AtomicBool,
    /// Whether it is the member that was given its partitions.
    pub incarnation: Incarnation,
}

impl ClientContext for Member {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.cluster.token_login().answer()
    }

    fn error(&self, error: ClientError, reason: &str) {
        // Polling tells it too, and is heard.
        tracing::debug!(%error, reason, "the consumer group of a sink has trouble");
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        let is_another = self.incarnation.look(consumer);
        let outcome = match code {
            // Whatever it had is another's, and what it gets is not to be relied on.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if is_another => {
                consumer.incremental_assign(list).and_then(|()| consumer.pause(list))
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS if is_another => consumer.incremental_unassign(list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                tracing::info!(sink = self.sink, ?partitions, "partitions of a buffer were assigned");
                self.was_assigned.store(true, Ordering::Relaxed);
                self.assign(consumer, &partitions);
                consumer.incremental_assign(list)
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                let lost = consumer.assignment_lost();
                tracing::info!(
                    sink = self.sink,
                    ?partitions,
                    lost,
                    "partitions of a buffer were revoked"
                );
                // Else the next owner would send a row while this one still does, and the one behind it before.
                self.state.lock().settle(&partitions);
                if !lost {
                    commit(&self.state, consumer, CommitMode::Sync);
                }
                partitions
                    .iter()
                    .for_each(|partition| self.state.lock().revoke(*partition));
                consumer.incremental_unassign(list)
            }
            other => Err(ClientError::Rebalance(other.into())),
        };
        if let Err(error) = outcome {
            tracing::warn!(sink = self.sink, %error, "a rebalance of a buffer failed");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(sink = self.sink, %error, "what was delivered could not be committed: it may be delivered again");
            // A commit may report back while the state is in use; then the next one carries on.
            if let Some(mut state) = self.state.try_lock() {
                state.not_committed();
            }
        }
    }
}

impl Member {
    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let asked: Vec<(String, u32)> = partitions
            .iter()
            .map(|number| (self.topic.clone(), *number as u32))
            .collect();
        let committed =
            Cluster::new(self.cluster.clone()).and_then(|mut cluster| cluster.committed(&self.group, &asked));
        let committed = committed.unwrap_or_else(|error| {
            tracing::warn!(sink = self.sink, %error, "what was delivered out of order is not known: it may be delivered again");
            None
        });
        for partition in partitions {
            let key = (self.topic.clone(), *partition as u32);
            let found = committed.as_ref().and_then(|committed| committed.get(&key));
            let mark = found.map_or_else(Mark::default, |found| Mark {
                offset: found.offset,
                metadata: found.metadata.clone(),
            });
            if found.is_some() {
                self.look_for_loss(consumer, *partition, mark.offset);
            }
            self.state.lock().assign(*partition, mark);
        }
    }

    /// The buffer's retention may have deleted what was not delivered for days.
    fn look_for_loss(&self, consumer: &BaseConsumer<Self>, partition: i32, from: i64) {
        let Ok((low, _)) = consumer.fetch_watermarks(&self.topic, partition, PATIENCE) else {
            return;
        };
        if low > from {
            let rows = low - from;
            tracing::error!(
                sink = self.sink,
                topic = self.topic,
                partition,
                rows,
                "rows were deleted by the buffer's retention before they were delivered"
            );
            count(&self.metrics.deleted, rows.unsigned_abs());
        }
    }
}
