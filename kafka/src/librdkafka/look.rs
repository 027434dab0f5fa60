//! The thread that asks brokers what a consumer of librdkafka does not tell: where logs begin and end, and whether topics are
//! still the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use tocsin_worker_core::kafka::fetching::Partition;

use super::source::Command;
use crate::cluster::{Cluster, Time, TopicInfo};
use crate::error::KafkaError;

/// What was found out about a partition.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// Its log.
    Log {
        begins: i64,
        /// Behind the last record, and behind the last that a committed reader may see.
        end: i64,
        stable: i64,
    },
    /// It is not there.
    Missing,
    /// Its topic is another one of the same name.
    Recreated,
}

/// An answer.
pub struct Looked {
    /// When the question went out.
    pub at: Instant,
    pub found: Result<BTreeMap<Partition, Found>, KafkaError>,
}

/// Starts the thread. It ends when nobody asks any more.
pub fn start(
    mut cluster: Cluster,
    topics: Arc<Vec<TopicInfo>>,
    questions: Receiver<Vec<Partition>>,
    answers: Sender<Command>,
    wake: impl Fn() + Send + 'static,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for partitions in questions {
            let at = Instant::now();
            let found = look(&mut cluster, &topics, &partitions);
            if answers.send(Command::Looked(Looked { at, found })).is_err() {
                return;
            }
            wake();
        }
    })
}

fn look(
    cluster: &mut Cluster,
    topics: &[TopicInfo],
    partitions: &[Partition],
) -> Result<BTreeMap<Partition, Found>, KafkaError> {
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let now = cluster.topics(&names)?;
    let mut found = BTreeMap::new();
    for (number, known) in topics.iter().enumerate() {
        let topic = now.iter().find(|topic| topic.name == known.name);
        let wanted = partitions.iter().filter(|partition| partition.topic as usize == number);
        let (mut led, mut others) = (Vec::new(), Vec::new());
        for partition in wanted {
            let info = topic.and_then(|topic| topic.partitions.get(partition.partition as usize));
            match info {
                Some(info) if info.leader.is_some() => led.push(partition.partition),
                // A leader is being elected.
                Some(_) => {}
                None => others.push(*partition),
            }
        }
        found.extend(others.into_iter().map(|partition| (partition, Found::Missing)));
        let Some(topic) = topic.filter(|_| !led.is_empty()) else {
            continue;
        };
        let place = |partition| Partition {
            topic: number as u32,
            partition,
        };
        if known.id.is_some() && topic.id != known.id {
            found.extend(led.into_iter().map(|partition| (place(partition), Found::Recreated)));
            continue;
        }
        let begins = cluster.offsets(topic, &led, Time::Earliest)?;
        let stable = cluster.offsets(topic, &led, Time::LatestCommitted)?;
        let end = cluster.offsets(topic, &led, Time::Latest)?;
        for (((partition, begins), stable), end) in led.into_iter().zip(begins).zip(stable).zip(end) {
            found.insert(place(partition), Found::Log { begins, end, stable });
        }
    }
    Ok(found)
}
