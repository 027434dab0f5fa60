//! A connection to a broker: questions and answers in order, with versions that both sides know.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use rustls::ClientConfig;
use tocsin_worker_core::kafka::error_code::UNSUPPORTED_VERSION;

use super::error::KafkaError;
use super::sasl;
use super::settings::ClusterSettings;
use super::spare_memory::SpareMemory;
use super::stream::{HangUp, Stream};
use super::tls;

/// An answer that claims to be larger is malformed.
const LARGEST_ANSWER: usize = 512 << 20;

/// A connection that can be used.
pub struct Connection {
    stream: Stream,
    broker: String,
    client_id: StrBytes,
    /// The versions that the broker knows, by number of the question.
    versions: BTreeMap<i16, (i16, i16)>,
    /// Levels of the features that the cluster has settled on.
    features: BTreeMap<String, i16>,
    last_correlation: i32,
    request_timeout: Duration,
    /// Until when the broker believes who we are.
    expires: Option<Instant>,
    answered: bool,
    /// What answers are read into, if not into memory of their own.
    memory: Option<SpareMemory>,
}

/// A question that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    correlation: i32,
    version: i16,
    what: &'static str,
}

impl Connection {
    /// Connects, encrypts, and says who we are.
    pub fn open(broker: &str, settings: &ClusterSettings, tls: Option<&Arc<ClientConfig>>) -> Result<Self, KafkaError> {
        let stream = Stream::connect(broker, tls, settings.connect_timeout)?;
        let mut connection = Self {
            stream,
            broker: broker.to_owned(),
            client_id: StrBytes::from_string(settings.client_id.clone()),
            versions: BTreeMap::new(),
            features: BTreeMap::new(),
            last_correlation: 0,
            request_timeout: settings.connect_timeout,
            expires: None,
            answered: false,
            memory: None,
        };
        connection.learn_versions()?;
        if let Some(sasl) = &settings.sasl {
            connection.expires = sasl::authenticate(&mut connection, sasl)?;
        }
        connection.request_timeout = settings.request_timeout;
        Ok(connection)
    }

    /// The broker's address.
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// Reads answers into memory that those before have left behind, of this connection and others.
    pub fn share_memory(&mut self, memory: &SpareMemory) {
        self.memory = Some(memory.clone());
    }

    /// Ends the connection from another thread.
    pub fn hang_up(&self) -> Result<HangUp, KafkaError> {
        self.stream.hang_up().map_err(|source| KafkaError::Unreachable {
            broker: self.broker.clone(),
            source,
        })
    }

    /// Whether the broker will soon no longer believe who we are: then a new connection is due.
    pub fn is_old(&self) -> bool {
        self.expires.is_some_and(|expires| Instant::now() >= expires)
    }

    /// The newest version of a question that both sides know, at most `newest`.
    pub fn version<R: Request>(&self, newest: i16) -> Option<i16> {
        let (oldest_there, newest_there) = *self.versions.get(&R::KEY)?;
        let version = newest.min(R::VERSIONS.max).min(newest_there);
        (version >= oldest_there.max(R::VERSIONS.min)).then_some(version)
    }

    /// Asks, in the newest version up to `newest`, and waits for the answer.
    pub fn call<R: Request>(
        &mut self,
        what: &'static str,
        request: &R,
        newest: i16,
    ) -> Result<R::Response, KafkaError> {
        let version = self.version_of::<R>(what, newest)?;
        let sent = self.send(what, request, version)?;
        self.receive::<R>(sent, Duration::ZERO)
    }

    /// As [`Connection::version`]; an error if there is none.
    pub fn version_of<R: Request>(&self, what: &'static str, newest: i16) -> Result<i16, KafkaError> {
        self.version::<R>(newest).ok_or_else(|| KafkaError::Version {
            broker: self.broker.clone(),
            what,
        })
    }

    /// The level of one of the cluster's features that all its brokers have; 0 of one that they do not know.
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or_default()
    }

    /// Sends a question. Answers come in the order of the questions.
    pub fn send<R: Request>(&mut self, what: &'static str, request: &R, version: i16) -> Result<Sent, KafkaError> {
        self.last_correlation = self.last_correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.last_correlation)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::zeroed(4);
        let odd = |error: &dyn std::fmt::Display| KafkaError::Protocol {
            broker: self.broker.clone(),
            what: format!("the question {what} cannot be written: {error}"),
        };
        header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| request.encode(&mut frame, version))
            .map_err(|error| odd(&error))?;
        let length = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        let written = self.stream.write_all(&frame).and_then(|()| self.stream.flush());
        written.map_err(|error| self.failed(error, what, self.request_timeout))?;
        Ok(Sent {
            correlation: self.last_correlation,
            version,
            what,
        })
    }

    /// Waits for the answer to a question, `longer` than usual if the broker was asked to wait.
    pub fn receive<R: Request>(&mut self, sent: Sent, longer: Duration) -> Result<R::Response, KafkaError> {
        let mut answer = self.frame(sent, longer)?;
        let broker = &self.broker;
        let odd = |what: String| KafkaError::Protocol {
            broker: broker.clone(),
            what,
        };
        let header_version = R::Response::header_version(sent.version);
        let header = ResponseHeader::decode(&mut answer, header_version)
            .map_err(|error| odd(format!("the answer to {} has no header: {error}", sent.what)))?;
        if header.correlation_id != sent.correlation {
            return Err(odd(format!("the answer to {} is to another question", sent.what)));
        }
        self.answered = true;
        R::Response::decode(&mut answer, sent.version)
            .map_err(|error| odd(format!("the answer to {} cannot be read: {error}", sent.what)))
    }

    fn frame(&mut self, sent: Sent, longer: Duration) -> Result<Bytes, KafkaError> {
        let timeout = self.request_timeout + longer;
        let outcome = (|| {
            self.stream.set_timeout(timeout)?;
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            Ok(u32::from_be_bytes(length) as usize)
        })();
        let length = outcome.map_err(|error| self.failed(error, sent.what, timeout))?;
        if length > LARGEST_ANSWER {
            return Err(KafkaError::Protocol {
                broker: self.broker.clone(),
                what: format!("an answer claims to have {length} bytes"),
            });
        }
        let memory = self.memory.as_ref();
        let mut answer = memory.map_or_else(Vec::new, |memory| memory.take(length, Instant::now()));
        answer.reserve_exact(length);
        if let Err(error) = self.stream.read_into(&mut answer, length) {
            return Err(self.failed(error, sent.what, timeout));
        }
        Ok(match &self.memory {
            Some(memory) => memory.lend(answer),
            None => answer.into(),
        })
    }

    /// Learns what the broker knows. It answers in version 0 if it does not know that of the question.
    fn learn_versions(&mut self) -> Result<(), KafkaError> {
        const NEWEST: i16 = 3;
        let what = "ApiVersions";
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("tocsin"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let sent = self.send(what, &request, NEWEST)?;
        let mut frame = self.frame(sent, Duration::ZERO)?;
        let odd = |_| KafkaError::Protocol {
            broker: self.broker.clone(),
            what: "the answer to ApiVersions cannot be read".to_owned(),
        };
        ResponseHeader::decode(&mut frame, ApiVersionsResponse::header_version(NEWEST)).map_err(odd)?;
        // The error comes first in all versions.
        let code = frame
            .get(..2)
            .and_then(|code| code.try_into().ok())
            .map_or(0, i16::from_be_bytes);
        let version = if code == UNSUPPORTED_VERSION { 0 } else { NEWEST };
        // A broker that wants a login answers this, and then hangs up: that counts as no answer.
        let response = ApiVersionsResponse::decode(&mut frame, version).map_err(odd)?;
        self.versions = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        let features = response.finalized_features.iter();
        self.features = features
            .map(|feature| (feature.name.to_string(), feature.max_version_level))
            .collect();
        Ok(())
    }

    /// The error behind a number, if it is one.
    pub fn check(&self, what: &'static str, code: i16) -> Result<(), KafkaError> {
        Self::answer(&self.broker, what, code)
    }

    /// The same of a broker with this address.
    pub fn answer(broker: &str, what: &'static str, code: i16) -> Result<(), KafkaError> {
        match code.err() {
            None => Ok(()),
            Some(error) => Err(KafkaError::Answer {
                broker: broker.to_owned(),
                what,
                name: format!("{error:?}"),
                code,
            }),
        }
    }

    fn failed(&self, error: io::Error, what: &'static str, timeout: Duration) -> KafkaError {
        let broker = self.broker.clone();
        if let Some(reason) = tls::said(&error) {
            return KafkaError::Tls { broker, reason };
        }
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => KafkaError::Timeout {
                broker,
                what,
                seconds: timeout.as_secs(),
            },
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                let begun = self.answered;
                KafkaError::Closed { broker, begun }
            }
            _ => KafkaError::Unreachable { broker, source: error },
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}
