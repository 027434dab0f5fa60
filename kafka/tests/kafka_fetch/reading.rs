//! Reads topics through our own Fetch path.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tocsin_e2e::kafka::Record;
use tocsin_e2e::{Kafka, Listener};
use tocsin_kafka::{
    Brokers, ClientKind, Cluster, ClusterSettings, Event, Fetched, Fetcher, FetcherSettings, Time, TopicInfo,
};
use tocsin_worker_core::kafka::fetching::{Loss, Partition, Position};
use tocsin_worker_core::kafka::{Block, PartitionReader, Settings};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// Small, so that reading crosses the borders of answers and blocks.
pub fn small() -> FetcherSettings {
    FetcherSettings {
        max_bytes: 64 << 10,
        partition_bytes: 16 << 10,
        ..FetcherSettings::default()
    }
}

/// Who reads: each test that can runs by both.
pub const SOURCES: [ClientKind; 2] = [ClientKind::Own, ClientKind::Librdkafka];

pub fn plain(kafka: &Kafka, listener: Listener) -> ClusterSettings {
    ClusterSettings::plain(Brokers::parse(&kafka.bootstrap(listener).unwrap()).unwrap())
}

/// The same, read by one of both.
pub fn by(source: ClientKind, kafka: &Kafka, listener: Listener) -> ClusterSettings {
    ClusterSettings {
        client: source,
        ..plain(kafka, listener)
    }
}

/// A topic that is being read.
pub struct Reading {
    pub fetcher: Fetcher,
    reader: PartitionReader,
    positions: BTreeMap<u32, i64>,
    pub records: Vec<Record>,
}

impl Reading {
    /// From the beginning.
    pub fn start(settings: ClusterSettings, topic: &str, fetching: FetcherSettings) -> Self {
        let mut cluster = Cluster::new(settings).unwrap();
        let topic = cluster.topic(topic).unwrap();
        let all: Vec<u32> = topic.partitions.iter().map(|partition| partition.partition).collect();
        let begins = cluster.offsets(&topic, &all, Time::Earliest).unwrap();
        Self::at(cluster, topic, fetching, &begins)
    }

    /// From these offsets on.
    pub fn at(cluster: Cluster, topic: TopicInfo, fetching: FetcherSettings, offsets: &[i64]) -> Self {
        let fetcher = Fetcher::start(cluster, vec![topic], fetching).unwrap();
        let mut positions = BTreeMap::new();
        for (partition, &offset) in offsets.iter().enumerate() {
            fetcher.add(of(partition as u32), Position { offset, epoch: -1 });
            positions.insert(partition as u32, offset);
        }
        let settings = Settings {
            block_bytes: 4 << 10,
            record_limit: 1 << 20,
            head_bytes: 16,
        };
        Self {
            fetcher,
            reader: PartitionReader::new(settings),
            positions,
            records: Vec::new(),
        }
    }

    /// Reads until all partitions have come to their ends.
    pub fn to(&mut self, ends: &[i64]) {
        let until = Instant::now() + PATIENCE;
        while self.positions.values().zip(ends).any(|(position, end)| position < end) {
            match self
                .fetcher
                .events()
                .recv_deadline(until)
                .expect("records come in time")
            {
                Event::Fetched(fetched) => self.take(&fetched),
                Event::Trouble(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for the partition to be lost.
    pub fn loss(&mut self) -> Loss {
        let until = Instant::now() + PATIENCE;
        loop {
            match self
                .fetcher
                .events()
                .recv_deadline(until)
                .expect("the loss is told in time")
            {
                Event::Lost(_, loss) => return loss,
                Event::Fetched(fetched) => self.take(&fetched),
                Event::Trouble(_) => {}
                Event::Failed(error) => panic!("{error}"),
            }
        }
    }

    fn take(&mut self, fetched: &Fetched) {
        let partition = fetched.partition.partition;
        let position = self.positions[&partition];
        assert_eq!(position, fetched.from.offset, "nothing is left out or read twice");
        let mut reading = self.reader.read(&fetched.records, &fetched.aborted, position);
        while let Some(block) = reading.next_block().unwrap() {
            take(&block, partition, &mut self.records);
        }
        assert_eq!(reading.behind(), fetched.next.offset);
        self.positions.insert(partition, fetched.next.offset);
        self.fetcher.processed(of(partition), fetched.records.len());
    }

    /// What was read, as librdkafka's reader sorts it.
    pub fn sorted(mut self) -> Vec<Record> {
        self.records.sort_by_key(|record| (record.partition, record.offset));
        self.records
    }
}

pub fn of(partition: u32) -> Partition {
    Partition { topic: 0, partition }
}

fn take(block: &Block<'_>, partition: u32, records: &mut Vec<Record>) {
    for (i, span) in block.records.spans.iter().enumerate() {
        let record = block.record(i);
        let header = |header: &tocsin_worker_core::kafka::Header<'_>| {
            let name = String::from_utf8(header.key.to_vec()).unwrap();
            (name, header.value.map(<[u8]>::to_vec))
        };
        records.push(Record {
            key: record.key.map(<[u8]>::to_vec),
            value: Some(block.records.bytes[span.start..span.end].to_vec()),
            timestamp: Some(block.arrived[i] / 1_000),
            headers: record.headers.iter().map(header).collect(),
            partition: partition as i32,
            offset: span.offset as i64,
        });
    }
    for unread in block.unread {
        records.push(Record {
            key: unread.key.clone(),
            partition: partition as i32,
            offset: unread.offset,
            ..Record::default()
        });
    }
}

/// All records of a topic, read by us.
pub fn read(source: ClientKind, kafka: &Kafka, topic: &str, committed: bool) -> Vec<Record> {
    let settings = FetcherSettings { committed, ..small() };
    let mut cluster = Cluster::new(plain(kafka, Listener::Plain)).unwrap();
    let info = cluster.topic(topic).unwrap();
    let all: Vec<u32> = info.partitions.iter().map(|partition| partition.partition).collect();
    let time = if committed { Time::LatestCommitted } else { Time::Latest };
    let ends = cluster.offsets(&info, &all, time).unwrap();
    let mut reading = Reading::start(by(source, kafka, Listener::Plain), topic, settings);
    reading.to(&ends);
    reading.sorted()
}
