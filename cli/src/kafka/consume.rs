//! `tocsin consume`: the records of a topic, as a table, as JSON, or as they are.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tocsin_kafka::{Cluster, Event, Fetcher, FetcherSettings, Time};
use tocsin_worker::source::{BLOCK_BYTES, HEAD_BYTES, Interrupt, RECORD_LIMIT};
use tocsin_worker_core::encode::rfc3339;
use tocsin_worker_core::kafka::fetching::{Partition, Position};
use tocsin_worker_core::kafka::{Block, PartitionReader, Record, Settings};

use super::cluster::access;
use crate::args::{ConsumeArgs, RecordFormat};
use crate::failure::Failure;
use crate::run::on_ctrl_c;

/// Width of the keys in the table.
const KEY: usize = 20;

/// Prints the records of a topic.
pub fn consume(args: &ConsumeArgs) -> Result<(), Failure> {
    let interrupt = Interrupt::default();
    on_ctrl_c(&interrupt);
    let mut cluster = Cluster::new(access(&args.from.brokers, &args.access)?)?;
    let topic = cluster.topic(&args.from.topic)?;
    let partitions: Vec<u32> = topic.partitions.iter().map(|partition| partition.partition).collect();
    let end = if args.uncommitted {
        Time::Latest
    } else {
        Time::LatestCommitted
    };
    let begins = cluster.offsets(&topic, &partitions, Time::Earliest)?;
    let ends = cluster.offsets(&topic, &partitions, end)?;
    let settings = FetcherSettings {
        committed: !args.uncommitted,
        ..FetcherSettings::default()
    };
    let fetcher = Fetcher::start(cluster, vec![topic], settings)?;
    let mut left: Vec<bool> = Vec::new();
    for (partition, (&begin, &end)) in begins.iter().zip(&ends).enumerate() {
        let offset = args.last.map_or(begin, |n| end.saturating_sub(n as i64).max(begin));
        left.push(offset < end);
        if args.follow || offset < end {
            let partition = Partition {
                topic: 0,
                partition: partition as u32,
            };
            fetcher.add(partition, Position { offset, epoch: -1 });
        }
    }
    let mut printer = Printer::new(args.format);
    let mut reader = PartitionReader::new(Settings {
        block_bytes: BLOCK_BYTES,
        record_limit: RECORD_LIMIT,
        head_bytes: HEAD_BYTES,
    });
    while !interrupt.is_raised() && (args.follow || left.contains(&true)) {
        let Ok(event) = fetcher.events().recv_timeout(Duration::from_millis(50)) else {
            continue;
        };
        match event {
            Event::Fetched(fetched) => {
                let number = fetched.partition.partition;
                let mut reading = reader.read(&fetched.records, &fetched.aborted, fetched.from.offset);
                while let Some(block) = reading.next_block().map_err(|error| Failure::Io(error.to_string()))? {
                    printer.block(number, &block)?;
                }
                fetcher.processed(fetched.partition, fetched.records.len());
                if fetched.next.offset >= ends[number as usize] {
                    left[number as usize] = false;
                }
            }
            Event::Lost(partition, loss) => {
                let Partition { partition, .. } = partition;
                return Err(Failure::Io(format!("{}-{partition}: {loss}", args.from.topic)));
            }
            Event::Trouble(_) => {}
            Event::Failed(error) => return Err(error.into()),
        }
    }
    Ok(())
}

struct Printer {
    format: RecordFormat,
    out: std::io::Stdout,
    begun: bool,
}

impl Printer {
    fn new(format: Option<RecordFormat>) -> Self {
        let usual = if std::io::stdout().is_terminal() {
            RecordFormat::Table
        } else {
            RecordFormat::Value
        };
        Self {
            format: format.unwrap_or(usual),
            out: std::io::stdout(),
            begun: false,
        }
    }

    fn block(&mut self, partition: u32, block: &Block<'_>) -> Result<(), Failure> {
        let mut lines = Vec::new();
        if self.format == RecordFormat::Table && !std::mem::replace(&mut self.begun, true) {
            let head = format!(
                "{:<9}  {:<10}  {:<24}  {:<KEY$}  VALUE\n",
                "PARTITION", "OFFSET", "TIME", "KEY"
            );
            lines.extend_from_slice(head.as_bytes());
        }
        for (i, span) in block.records.spans.iter().enumerate() {
            let value = &block.records.bytes[span.start..span.end];
            let (offset, time) = (span.offset as i64, block.arrived[i]);
            match self.format {
                RecordFormat::Value => lines.extend_from_slice(value),
                RecordFormat::Json => json_line(partition, offset, time, &block.record(i), &mut lines),
                RecordFormat::Table => table_line(partition, offset, time, &block.record(i), &mut lines),
            }
            lines.push(b'\n');
        }
        for unread in block.unread.iter().filter(|_| self.format != RecordFormat::Value) {
            let record = Record {
                key: unread.key.as_deref(),
                ..Record::default()
            };
            match self.format {
                RecordFormat::Json => json_line(partition, unread.offset, i64::MAX, &record, &mut lines),
                _ => table_line(partition, unread.offset, i64::MAX, &record, &mut lines),
            }
            lines.push(b'\n');
        }
        match self.out.write_all(&lines).and_then(|()| self.out.flush()) {
            // A reader that went away wants no more.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::Io(format!("standard output cannot be written: {error}")))
            }
            _ => Ok(()),
        }
    }
}

fn time_text(time: i64) -> String {
    if time == i64::MAX {
        "-".to_owned()
    } else {
        rfc3339(time)
    }
}

fn text(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| String::from_utf8_lossy(bytes).into())
}

fn json_line(partition: u32, offset: i64, time: i64, record: &Record<'_>, out: &mut Vec<u8>) {
    let value = record.value.map_or(Value::Null, |value| {
        serde_json::from_slice(value).unwrap_or_else(|_| text(Some(value)))
    });
    let headers: Map<String, Value> = record
        .headers
        .iter()
        .map(|header| (String::from_utf8_lossy(header.key).into_owned(), text(header.value)))
        .collect();
    let line = json!({
        "partition": partition, "offset": offset, "time": time_text(time),
        "key": text(record.key), "headers": headers, "value": value,
    });
    out.extend_from_slice(line.to_string().as_bytes());
}

fn table_line(partition: u32, offset: i64, time: i64, record: &Record<'_>, out: &mut Vec<u8>) {
    let plain = |bytes: Option<&[u8]>| {
        let text = bytes.map_or("-".into(), String::from_utf8_lossy);
        text.replace(|sign: char| sign.is_control(), " ")
    };
    let key: String = plain(record.key).chars().take(KEY).collect();
    let line = format!(
        "{partition:<9}  {offset:<10}  {:<24}  {key:<KEY$}  {}",
        time_text(time),
        plain(record.value)
    );
    out.extend_from_slice(line.as_bytes());
}
