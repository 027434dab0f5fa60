//! The form of Kafka's messages, as far as the proxy looks into them: length, kind, number.

use std::fmt;
use std::io::{self, Read};

/// A frame may not be longer: what claims to be is not Kafka's protocol.
const LONGEST: usize = 256 << 20;

/// What a request asks for, by Kafka's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKey(pub i16);

impl ApiKey {
    /// Records are written.
    pub const PRODUCE: Self = Self(0);
    /// Records are read.
    pub const FETCH: Self = Self(1);
    /// Offsets of partitions are asked for.
    pub const LIST_OFFSETS: Self = Self(2);
    /// Topics and brokers are asked for.
    pub const METADATA: Self = Self(3);
    /// A group's offsets are committed.
    pub const OFFSET_COMMIT: Self = Self(8);
    /// A group's offsets are asked for.
    pub const OFFSET_FETCH: Self = Self(9);
    /// The coordinator of a group or a transactional id is asked for.
    pub const FIND_COORDINATOR: Self = Self(10);
    /// A member comes into a group.
    pub const JOIN_GROUP: Self = Self(11);
    /// A member says that it lives.
    pub const HEARTBEAT: Self = Self(12);
    /// A member goes.
    pub const LEAVE_GROUP: Self = Self(13);
    /// A member asks for its partitions.
    pub const SYNC_GROUP: Self = Self(14);
    /// A login begins.
    pub const SASL_HANDSHAKE: Self = Self(17);
    /// The broker's versions are asked for.
    pub const API_VERSIONS: Self = Self(18);
    /// Topics are made.
    pub const CREATE_TOPICS: Self = Self(19);
    /// A producer asks for its id, and fences off those before it.
    pub const INIT_PRODUCER_ID: Self = Self(22);
    /// Partitions come into a transaction.
    pub const ADD_PARTITIONS_TO_TXN: Self = Self(24);
    /// A group's offsets come into a transaction.
    pub const ADD_OFFSETS_TO_TXN: Self = Self(25);
    /// A transaction is committed or aborted.
    pub const END_TXN: Self = Self(26);
    /// A group's offsets are written within a transaction.
    pub const TXN_OFFSET_COMMIT: Self = Self(28);
    /// A member of a group of the newer protocol says that it lives.
    pub const CONSUMER_GROUP_HEARTBEAT: Self = Self(68);
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "api key {}", self.0)
    }
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What it asks for.
    pub api_key: ApiKey,
    /// In which version.
    pub version: i16,
    /// Its number; the answer bears the same.
    pub correlation: i32,
    /// The client's name.
    pub client: String,
}

/// Reads one frame with its length in front; none at the end of the stream.
pub fn read(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let rest = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if rest > LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a frame of Kafka's protocol",
        ));
    }
    let mut frame = vec![0; 4 + rest];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..])?;
    Ok(Some(frame))
}

/// The head of a request's frame.
pub fn head(frame: &[u8]) -> Option<Head> {
    let client = match i16::from_be_bytes(bytes(frame, 12)?) {
        length @ 0.. => frame.get(14..14 + usize::try_from(length).ok()?)?,
        _ => &[],
    };
    Some(Head {
        api_key: ApiKey(i16::from_be_bytes(bytes(frame, 4)?)),
        version: i16::from_be_bytes(bytes(frame, 6)?),
        correlation: i32::from_be_bytes(bytes(frame, 8)?),
        client: String::from_utf8_lossy(client).into_owned(),
    })
}

/// The number that an answer's frame bears.
pub fn correlation(frame: &[u8]) -> Option<i32> {
    bytes(frame, 4).map(i32::from_be_bytes)
}

fn bytes<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..at + N)?.try_into().ok()
}
