//! The thread that looks for leaders, and starts a thread for each broker that is read from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tocsin_worker_core::kafka::fetching::{Ask, Loss, Partition};

use super::Event;
use super::broker;
use super::shared::Shared;
use crate::cluster::{Cluster, Time, TopicInfo};
use crate::error::KafkaError;

/// At least so long after one look the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// After a look that failed.
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// A thread that is not woken looks by itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts the thread. It ends, with those of the brokers, when the fetcher is stopped.
pub fn start(shared: Arc<Shared>, cluster: Cluster) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut threads: BTreeMap<i32, JoinHandle<()>> = BTreeMap::new();
        run(&shared, cluster, &mut threads);
        for thread in threads.into_values() {
            thread.join().ok();
        }
    })
}

fn run(shared: &Arc<Shared>, mut cluster: Cluster, threads: &mut BTreeMap<i32, JoinHandle<()>>) {
    loop {
        let mut state = shared.lock();
        let (wants_leaders, out_of_range) = loop {
            if state.stopped {
                return;
            }
            let out_of_range = std::mem::take(&mut state.out_of_range);
            let wants_leaders = state.fetching.take_wants_leaders();
            if wants_leaders || !out_of_range.is_empty() {
                break (wants_leaders, out_of_range);
            }
            shared.wait(&mut state, PATIENCE);
        };
        drop(state);
        let mut outcome = Ok(());
        if wants_leaders || !out_of_range.is_empty() {
            outcome = look(shared, &mut cluster, threads, &out_of_range);
        }
        let pause = match outcome {
            Ok(()) => BETWEEN_LOOKS,
            Err(error) => {
                let event = if error.is_transient() {
                    Event::Trouble
                } else {
                    Event::Failed
                };
                if !shared.tell(event(error)) {
                    return;
                }
                let mut state = shared.lock();
                state.fetching.want_leaders();
                state.out_of_range.extend(out_of_range);
                drop(state);
                BETWEEN_TRIES
            }
        };
        rest(shared, pause);
    }
}

/// Lets some time pass, unless the fetcher is stopped.
fn rest(shared: &Shared, pause: Duration) {
    let until = std::time::Instant::now() + pause;
    let mut state = shared.lock();
    while !state.stopped
        && let Some(left) = until.checked_duration_since(std::time::Instant::now())
    {
        shared.wait(&mut state, left);
    }
}

fn look(
    shared: &Arc<Shared>,
    cluster: &mut Cluster,
    threads: &mut BTreeMap<i32, JoinHandle<()>>,
    out_of_range: &[Ask],
) -> Result<(), KafkaError> {
    let names: Vec<&str> = shared.topics.iter().map(|topic| topic.name.as_str()).collect();
    let found = cluster.topics(&names)?;
    let now = shared.now();
    let mut lost = Vec::new();
    let mut state = shared.lock();
    let partitions: Vec<Partition> = state.fetching.partitions().collect();
    for partition in partitions {
        let known = &shared.topics[partition.topic as usize];
        let topic = found.iter().find(|topic| topic.name == known.name);
        let is_another = topic.is_some_and(|topic| topic.id != known.id && known.id.is_some());
        let loss = if is_another {
            Some(state.fetching.recreated(partition))
        } else {
            let info = topic.and_then(|topic| topic.partitions.get(partition.partition as usize));
            state.fetching.led(partition, info.and_then(|info| info.leader), now)
        };
        lost.extend(loss.map(|loss| (partition, loss)));
    }
    let brokers: Vec<i32> = state.fetching.brokers().collect();
    for broker in brokers {
        let Some(address) = cluster.address(broker) else {
            continue;
        };
        state.addresses.insert(broker, address.to_owned());
        threads
            .entry(broker)
            .or_insert_with(|| broker::start(broker, Arc::clone(shared), cluster));
    }
    drop(state);
    shared.notify();
    for (partition, loss) in lost {
        shared.tell(Event::Lost(partition, loss));
    }
    for ask in out_of_range {
        let topic = found
            .iter()
            .find(|topic| topic.name == shared.topics[ask.partition.topic as usize].name);
        if let Some((partition, loss)) = topic
            .map(|topic| range(shared, cluster, topic, ask))
            .transpose()?
            .flatten()
        {
            shared.tell(Event::Lost(partition, loss));
        }
    }
    Ok(())
}

/// Looks up where a log begins and ends whose offsets do not have a partition's position.
fn range(
    shared: &Shared,
    cluster: &mut Cluster,
    topic: &TopicInfo,
    ask: &Ask,
) -> Result<Option<(Partition, Loss)>, KafkaError> {
    let partition = [ask.partition.partition];
    let begins = cluster.offsets(topic, &partition, Time::Earliest)?;
    let end = cluster.offsets(topic, &partition, Time::Latest)?;
    let (Some(&begins), Some(&end)) = (begins.first(), end.first()) else {
        return Ok(None);
    };
    let loss = shared.change(|fetching| fetching.range(ask.partition, begins, end));
    Ok(loss.map(|loss| (ask.partition, loss)))
}
