//! The few requests of Kafka's protocol that librdkafka's Rust client has no call for, on a plain connection.
//!
//! Not a client: one connection, one request at a time, no retries.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::RigError;

/// A broker that is paused takes a connection and never answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a broker knows of its cluster, and of one topic if it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cluster {
    /// The ids of the brokers that live.
    pub brokers: Vec<i32>,
    /// The topic's partitions: number, leader's id or -1, ids of replicas, and of those in sync.
    pub partitions: Vec<(i32, i32, Vec<i32>, Vec<i32>)>,
}

/// A connection to one broker.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    correlation: i32,
}

impl Wire {
    /// Connects to a listener without encryption.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(port: u16) -> Result<Self, RigError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let connect = || {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = connect().map_err(RigError::io(format!("connecting to the broker at {address}")))?;
        Ok(Self { stream, correlation: 0 })
    }

    /// Asks which brokers live, and for a topic's partitions (Metadata, version 4). A topic that there is not has none.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn cluster(&mut self, topic: Option<&str>) -> Result<Cluster, RigError> {
        let mut body = Writer::default();
        body.i32(i32::from(topic.is_some()));
        topic.into_iter().for_each(|topic| body.string(topic));
        // Topics are not made by asking for them.
        body.i8(0);
        let answer = self.ask(3, 4, false, &body.0)?;
        let mut answer = Reader(&answer);
        let mut cluster = Cluster::default();
        answer.i32()?;
        for _ in 0..answer.i32()? {
            cluster.brokers.push(answer.i32()?);
            answer.string()?;
            answer.i32()?;
            answer.string()?;
        }
        answer.string()?;
        answer.i32()?;
        for _ in 0..answer.i32()? {
            answer.i16()?;
            answer.string()?;
            answer.take(1)?;
            for _ in 0..answer.i32()? {
                answer.i16()?;
                let (number, leader) = (answer.i32()?, answer.i32()?);
                cluster
                    .partitions
                    .push((number, leader, answer.i32s()?, answer.i32s()?));
            }
        }
        cluster.partitions.sort_unstable();
        Ok(cluster)
    }

    /// Sends a request and returns the answer's body.
    ///
    /// # Errors
    /// When the connection breaks or the answer belongs to another request.
    pub fn ask(&mut self, api_key: i16, version: i16, flexible: bool, body: &[u8]) -> Result<Vec<u8>, RigError> {
        self.correlation += 1;
        let mut request = Writer::default();
        request.i16(api_key);
        request.i16(version);
        request.i32(self.correlation);
        request.string("rig");
        if flexible {
            request.no_tags();
        }
        request.0.extend_from_slice(body);
        let length = i32::try_from(request.0.len()).unwrap_or(i32::MAX);
        let mut answer = Vec::new();
        let mut exchange = || {
            self.stream.write_all(&length.to_be_bytes())?;
            self.stream.write_all(&request.0)?;
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            answer.resize(usize::try_from(i32::from_be_bytes(length)).unwrap_or_default(), 0);
            self.stream.read_exact(&mut answer)
        };
        exchange().map_err(RigError::io(format!("asking a broker (api key {api_key})")))?;
        let mut reader = Reader(&answer);
        if reader.i32()? != self.correlation {
            return Err(malformed());
        }
        if flexible {
            reader.tags()?;
        }
        Ok(reader.0.to_vec())
    }
}

/// Writes the protocol's types.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// One byte.
    pub fn i8(&mut self, value: i8) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Two bytes.
    pub fn i16(&mut self, value: i16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// FLOAT64.
    pub fn f64(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// STRING.
    pub fn string(&mut self, text: &str) {
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        self.0.extend_from_slice(text.as_bytes());
    }

    /// UNSIGNED_VARINT.
    pub fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    /// COMPACT_BYTES, and COMPACT_STRING.
    pub fn compact(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() + 1);
        self.0.extend_from_slice(bytes);
    }

    /// The end of a structure in a flexible version.
    pub fn no_tags(&mut self) {
        self.0.push(0);
    }
}

/// Reads the protocol's types.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], RigError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RigError> {
        self.take(N)?.try_into().map_err(|_| malformed())
    }

    /// Two bytes.
    ///
    /// # Errors
    /// When the answer ends; so do all others.
    pub fn i16(&mut self) -> Result<i16, RigError> {
        self.array().map(i16::from_be_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// When the answer ends.
    pub fn i32(&mut self) -> Result<i32, RigError> {
        self.array().map(i32::from_be_bytes)
    }

    /// ARRAY of four bytes each.
    ///
    /// # Errors
    /// When the answer ends.
    pub fn i32s(&mut self) -> Result<Vec<i32>, RigError> {
        (0..self.i32()?).map(|_| self.i32()).collect()
    }

    /// STRING or NULLABLE_STRING; empty if null.
    ///
    /// # Errors
    /// When the answer ends.
    pub fn string(&mut self) -> Result<String, RigError> {
        let length = usize::try_from(self.i16()?).unwrap_or_default();
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    /// UNSIGNED_VARINT.
    ///
    /// # Errors
    /// When the answer ends.
    pub fn varint(&mut self) -> Result<usize, RigError> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed())
    }

    /// COMPACT_STRING or COMPACT_NULLABLE_STRING; empty if null.
    ///
    /// # Errors
    /// When the answer ends.
    pub fn compact(&mut self) -> Result<String, RigError> {
        let length = self.varint()?.saturating_sub(1);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    /// The end of a structure in a flexible version.
    ///
    /// # Errors
    /// When the answer ends.
    pub fn tags(&mut self) -> Result<(), RigError> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.take(length)?;
        }
        Ok(())
    }
}

fn malformed() -> RigError {
    RigError::Refused {
        what: "a request of the rig".to_owned(),
        answer: "an answer of another form than the protocol's".to_owned(),
    }
}
