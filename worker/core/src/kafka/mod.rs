//! Kafka's record format and partitioners, without a client: bytes of a Fetch response in, records out.
//!
//! Only the record batches of message format 2 (Kafka 0.11 and newer; Kafka 4 knows no other).

mod aborted;
mod answer;
mod batch;
mod batch_writer;
mod block;
mod codec;
pub mod error_code;
pub mod fetching;
mod framing;
pub mod lag;
mod lz4;
mod mark;
pub mod partitioner;
mod reader;
mod record;
mod scratch;
mod snappy;
pub mod throttling;
mod varint;
pub mod writing;

pub use self::aborted::AbortedTransaction;
pub use self::answer::Answer;
pub use self::batch::{CorruptBatch, Fault, set_time};
pub use self::batch_writer::{BatchWriter, Producer};
pub use self::block::{Block, Settings, Unread};
pub use self::codec::Codec;
pub use self::framing::{Framing, Unpacked};
pub use self::mark::ReadMark;
pub use self::reader::PartitionReader;
pub use self::record::{Header, OwnedHeaders, Record, encode_headers};

#[cfg(test)]
mod tests;
