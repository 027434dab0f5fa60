//! A plain loop over librdkafka: what a program costs that only reads the topic and looks at two fields.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use sonic_rs::JsonValueTrait as _;
use tocsin_e2e::home;
use tocsin_e2e::process::Process;

use super::Running;
use crate::args::LoopArgs;
use crate::broker::Broker;
use crate::cpu::Moment;

/// What it says at the end of the topic.
const DONE: &str = "done";

/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the loop as a process of its own.
pub fn start(broker: &Broker, topic: &str) -> anyhow::Result<Running> {
    let folder = home::new_folder("loop")?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["librdkafka-loop", "--bootstrap", &broker.bootstrap()?, "--topic", topic])
        .args(["--partitions", &broker.partitions().to_string()]);
    let since = Moment::now(None, broker.pid()?)?;
    Ok(Running {
        process: Process::start("the loop over librdkafka", &command, &folder.join("log"))?,
        since,
    })
}

/// Waits until it is at the end of the topic.
pub fn wait(engine: &Running, within: Duration) -> anyhow::Result<()> {
    let said = || engine.process.last_lines().lines().any(|line| line.starts_with(DONE));
    Ok(engine
        .process
        .ready("the end of the topic", within, || said().then_some(()))?)
}

/// The loop itself: reads the topic to the end that it has now, counts CRITICAL alerts of each service, and waits to be
/// ended, so that its processor time can be asked for.
pub fn run(args: &LoopArgs) -> anyhow::Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &args.bootstrap)
        .set("group.id", "loop")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .set("queued.min.messages", "1000000")
        .set("queued.max.messages.kbytes", "262144")
        .set("fetch.message.max.bytes", "4194304")
        .set("socket.receive.buffer.bytes", "8388608")
        .create()?;
    let mut assigned = TopicPartitionList::new();
    let mut left = 0_i64;
    for partition in 0..i32::try_from(args.partitions)? {
        let (low, high) = consumer.fetch_watermarks(&args.topic, partition, PATIENCE)?;
        left += high - low;
        assigned.add_partition_offset(&args.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&assigned)?;
    let mut of_service: HashMap<String, u64> = HashMap::new();
    while left > 0 {
        let message = consumer.poll(PATIENCE).context("the broker sends nothing more")??;
        left -= 1;
        count(message.payload().unwrap_or_default(), &mut of_service)?;
    }
    println!("{DONE}: {} CRITICAL", of_service.values().sum::<u64>());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

fn count(record: &[u8], of_service: &mut HashMap<String, u64>) -> anyhow::Result<()> {
    let severity = sonic_rs::get(record, ["severity"])?;
    if severity.as_str() != Some("CRITICAL") {
        return Ok(());
    }
    let service = sonic_rs::get(record, ["service"])?;
    let service = service.as_str().context("a service that is no text")?;
    ensure!(!service.is_empty(), "a service without a name");
    match of_service.get_mut(service) {
        Some(n) => *n += 1,
        None => drop(of_service.insert(service.to_owned(), 1)),
    }
    Ok(())
}
