//! The one broker that all engines use, and the topics on it.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, ensure};
use tocsin_e2e::kafka::{Isolation, Topic};
use tocsin_e2e::{Kafka, KafkaOptions, Listener};

/// Heap of the broker, in MiB. Records stand in the system's page cache, not here.
const HEAP: u32 = 1024;

/// A gigabyte, as Kafka's own default has it; the rig's are small.
const SEGMENT: &str = "1073741824";

/// The broker.
pub struct Broker {
    /// The rig's.
    pub kafka: Kafka,
    partitions: u32,
    next: AtomicU32,
}

impl Broker {
    /// Starts it.
    pub fn start(partitions: u32) -> anyhow::Result<Self> {
        let options = KafkaOptions::default()
            .heap(HEAP)
            .lives_long()
            .setting("log.segment.bytes", SEGMENT)
            .setting("log.index.size.max.bytes", "10485760")
            .setting("socket.send.buffer.bytes", "1048576")
            .setting("socket.receive.buffer.bytes", "1048576");
        Ok(Self {
            kafka: Kafka::start(options)?,
            partitions,
            next: AtomicU32::new(0),
        })
    }

    /// `HOST:PORT`.
    pub fn bootstrap(&self) -> anyhow::Result<String> {
        Ok(self.kafka.bootstrap(Listener::Plain)?)
    }

    /// How many partitions its topics have.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// A name that no other run has.
    pub fn new_name(&self, what: &str) -> String {
        format!("{what}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes a topic, and waits until records are taken: the broker leads a partition a moment later than it says so.
    pub fn create(&self, topic: &str) -> anyhow::Result<()> {
        let partitions = i32::try_from(self.partitions)?;
        self.kafka.create(&Topic::new(topic).partitions(partitions))?;
        for partition in 0..partitions {
            self.kafka.offsets(topic, partition, Isolation::Uncommitted)?;
        }
        Ok(())
    }

    /// Removes topics of a run, so that the disk holds one run at a time.
    pub fn delete(&self, topics: &[&str]) -> anyhow::Result<()> {
        for topic in topics {
            self.kafka.delete(topic)?;
        }
        Ok(())
    }

    /// Its process.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.kafka.pid(0)?)
    }

    /// Where a client connects.
    pub fn address(&self) -> anyhow::Result<std::net::SocketAddr> {
        self.bootstrap()?.parse().context("the broker's address")
    }
}

/// Lets all threads of a process run on these processors alone, as `taskset` has them: `1`, `0-1`.
pub fn pin(pid: u32, processors: &str) -> anyhow::Result<()> {
    let done = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", processors, &pid.to_string()])
        .output()
        .context("starting taskset, which comes with util-linux")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "pinning process {pid} to {processors}: {said}");
    Ok(())
}
