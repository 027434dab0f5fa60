//! `tocsin produce`: lines of a file, of standard input, or of the generator to a topic.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tocsin_contract::pipeline::source::GeneratorSource as GeneratorSpec;
use tocsin_kafka::{Cluster, KafkaError, NewTopic, PlainProducer};
use tocsin_worker::source::{
    Block, Framing, GeneratorSource, InputOptions, Interrupt, Polled, Source, Speed, open_file, open_stdin,
};
use tocsin_worker_core::generator::Generator;

use super::cluster::access;
use crate::args::ProduceArgs;
use crate::failure::{Failure, note};
use crate::run::{grouped, on_ctrl_c};

/// How long the last records may take.
const LAST: Duration = Duration::from_secs(60);

/// A rate is kept in steps of this length.
const STEP: Duration = Duration::from_millis(2);

/// Writes records.
pub fn produce(args: &ProduceArgs) -> Result<(), Failure> {
    let interrupt = Interrupt::default();
    on_ctrl_c(&interrupt);
    let settings = access(&args.to.brokers, &args.access)?;
    let topic = args.to.topic.as_str();
    let mut cluster = Cluster::new(settings.clone())?;
    match (cluster.topic(topic), args.partitions) {
        (Ok(_), _) => {}
        (Err(KafkaError::UnknownTopic(_)), Some(partitions)) => cluster.create_topics(&[NewTopic {
            name: topic.to_owned(),
            partitions,
            replication: None,
            config: Vec::new(),
        }])?,
        (Err(error @ KafkaError::UnknownTopic(_)), None) => {
            return Err(Failure::Io(format!("{error}; --partitions N makes it")));
        }
        (Err(error), _) => return Err(error.into()),
    }
    let mut source = open(args, &interrupt)?;
    let producer = PlainProducer::new(&settings, &args.compression)?;
    let started = Instant::now();
    let mut written = Written::default();
    let mut block = Block::default();
    loop {
        match source.poll(&mut block, Duration::from_millis(50)) {
            Ok(Polled::Records) => {}
            Ok(Polled::Idle) => {
                producer.check(topic)?;
                continue;
            }
            Ok(Polled::End) => break,
            Err(error) => return Err(Failure::Io(error.to_string())),
        }
        for span in &block.spans {
            let value = &block.bytes[span.start..span.end];
            let key = args.key.as_ref().and_then(|path| key(value, path));
            written.without_key += u64::from(args.key.is_some() && key.is_none());
            producer.send(topic, key.as_deref().map(str::as_bytes), value)?;
            written.records += 1;
            if let Some(rate) = args.rate {
                keep(rate, written.records, started, &interrupt);
            }
            if interrupt.is_raised() {
                break;
            }
        }
        written.too_long += block.too_long.len() as u64;
        if interrupt.is_raised() {
            break;
        }
    }
    producer.finish(topic, LAST)?;
    tell(&written, topic, started.elapsed().as_secs_f64());
    Ok(())
}

#[derive(Default)]
struct Written {
    records: u64,
    without_key: u64,
    too_long: u64,
}

fn tell(written: &Written, topic: &str, seconds: f64) {
    let rate = written.records as f64 / seconds.max(1e-9);
    note(format!(
        "{} records to {topic} in {seconds:.2} s ({} a second)",
        grouped(written.records),
        grouped(rate as u64)
    ));
    if written.without_key > 0 {
        note(format!("{} had no such key", grouped(written.without_key)));
    }
    if written.too_long > 0 {
        note(format!(
            "{} lines were too long and left out",
            grouped(written.too_long)
        ));
    }
}

fn open(args: &ProduceArgs, interrupt: &Interrupt) -> Result<Box<dyn Source>, Failure> {
    let mut options = InputOptions::new("records", Framing::Lines);
    options.interrupt = interrupt.clone();
    let failed = |error: tocsin_worker::source::SourceError| Failure::Io(error.to_string());
    Ok(match &args.records {
        Some(path) if path == Path::new("-") => Box::new(open_stdin(options).map_err(failed)?),
        Some(path) => Box::new(open_file(path, options).map_err(failed)?),
        None => {
            let spec = GeneratorSpec {
                count: args.generate,
                ..GeneratorSpec::default()
            };
            Box::new(GeneratorSource::new(
                Generator::new(&spec),
                Speed::Max,
                interrupt.clone(),
            ))
        }
    })
}

/// The text of a field of a JSON record.
fn key(record: &[u8], path: &str) -> Option<String> {
    let record: Value = serde_json::from_slice(record).ok()?;
    let value = path.split('.').try_fold(&record, |value, name| value.get(name))?;
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Waits until so many records are due.
fn keep(rate: u64, records: u64, started: Instant, interrupt: &Interrupt) {
    let due = Duration::from_secs_f64(records as f64 / rate as f64);
    while let Some(early) = due.checked_sub(started.elapsed()).filter(|early| *early > STEP) {
        if interrupt.is_raised() {
            break;
        }
        std::thread::park_timeout(early.min(Interrupt::HEARD_WITHIN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_text_of_its_field() {
        let record = br#"{"service":"a","host":{"name":"h1"},"n":3,"none":null}"#;
        assert_eq!(key(record, "service").as_deref(), Some("a"));
        assert_eq!(key(record, "host.name").as_deref(), Some("h1"));
        assert_eq!(key(record, "n").as_deref(), Some("3"));
        for missing in ["none", "other", "service.x"] {
            assert_eq!(key(record, missing), None, "{missing}");
        }
        assert_eq!(key(b"{", "service"), None);
    }
}
