//! A connection over which finished batches are sent: Kafka's Produce, version 3, and nothing else.
//!
//! A producer's library would take records apart and put them together again, which costs as much as an engine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

const PRODUCE: i16 = 0;
const VERSION: i16 = 3;

/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the broker that leads the partitions.
#[derive(Debug)]
pub struct Producer {
    stream: TcpStream,
    topic: String,
    request: Vec<u8>,
    in_flight: u32,
    unanswered: u32,
}

impl Producer {
    /// Connects. So many batches may be without an answer.
    pub fn connect(address: SocketAddr, topic: &str, in_flight: u32) -> anyhow::Result<Self> {
        let what = || format!("connecting to the broker at {address}");
        let stream = TcpStream::connect(address).with_context(what)?;
        stream.set_nodelay(true).with_context(what)?;
        stream.set_read_timeout(Some(PATIENCE)).with_context(what)?;
        stream.set_write_timeout(Some(PATIENCE)).with_context(what)?;
        Ok(Self {
            stream,
            topic: topic.to_owned(),
            request: Vec::new(),
            in_flight,
            unanswered: 0,
        })
    }

    /// Sends a batch; waits only when the broker owes too many answers.
    pub fn send(&mut self, partition: u32, batch: &[u8]) -> anyhow::Result<()> {
        if self.unanswered >= self.in_flight {
            self.take_answer()?;
        }
        self.write(partition, batch)?;
        self.unanswered += 1;
        Ok(())
    }

    /// Waits for all answers.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        while self.unanswered > 0 {
            self.take_answer()?;
        }
        Ok(())
    }

    fn take_answer(&mut self) -> anyhow::Result<()> {
        self.unanswered -= 1;
        read_answer(&mut self.stream, &self.topic)
    }

    fn write(&mut self, partition: u32, batch: &[u8]) -> anyhow::Result<()> {
        let request = &mut self.request;
        request.clear();
        // The length is set below.
        request.extend_from_slice(&[0; 4]);
        request.extend_from_slice(&PRODUCE.to_be_bytes());
        request.extend_from_slice(&VERSION.to_be_bytes());
        request.extend_from_slice(&0_i32.to_be_bytes());
        string(request, "load");
        // No transaction; acknowledged by all replicas; within 30 s.
        request.extend_from_slice(&(-1_i16).to_be_bytes());
        request.extend_from_slice(&(-1_i16).to_be_bytes());
        request.extend_from_slice(&30_000_i32.to_be_bytes());
        request.extend_from_slice(&1_i32.to_be_bytes());
        string(request, &self.topic);
        request.extend_from_slice(&1_i32.to_be_bytes());
        request.extend_from_slice(&partition.to_be_bytes());
        request.extend_from_slice(&u32::try_from(batch.len())?.to_be_bytes());
        request.extend_from_slice(batch);
        let length = u32::try_from(request.len() - 4)?;
        request[..4].copy_from_slice(&length.to_be_bytes());
        self.stream
            .write_all(request)
            .with_context(|| format!("writing to {}", self.topic))
    }
}

fn string(request: &mut Vec<u8>, text: &str) {
    request.extend_from_slice(&i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    request.extend_from_slice(text.as_bytes());
}

/// Reads one answer; fails when the broker did not take the batch.
fn read_answer(stream: &mut TcpStream, topic: &str) -> anyhow::Result<()> {
    let what = || format!("reading the answer to a batch for {topic}");
    let mut length = [0; 4];
    stream.read_exact(&mut length).with_context(what)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).with_context(what)?;
    // Correlation, one topic and its name, one partition and its number; then the error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    match answer.get(at..) {
        Some([0, 0, ..]) => Ok(()),
        Some([high, low, ..]) => {
            let error = i16::from_be_bytes([*high, *low]);
            bail!("the broker did not take a batch for {topic}: error {error}")
        }
        _ => bail!("{}: an answer of another form than the protocol's", what()),
    }
}
