//! The manifest of a savepoint: the snapshots of all shards of a pipeline that belong together.

use serde::{Deserialize, Serialize};

use super::manifest::{FORMAT, InvalidManifest, open, seal};

/// A savepoint that is whole. It is written once all shards have written theirs, by whichever comes last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Savepoint {
    /// Version of the format.
    pub format: u32,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Its name.
    pub id: String,
    /// The cut of each shard, in their order.
    pub sequences: Vec<u64>,
}

impl Savepoint {
    /// A savepoint of these cuts.
    pub fn new(pipeline: &str, id: &str, sequences: Vec<u64>) -> Self {
        Self {
            format: FORMAT,
            pipeline: pipeline.to_owned(),
            id: id.to_owned(),
            sequences,
        }
    }

    /// The manifest as bytes: a line with its checksum, and JSON behind it.
    pub fn encode(&self) -> Vec<u8> {
        seal(self)
    }

    /// The manifest that [`Savepoint::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are damaged, or of a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        open(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_damaged_is() {
        let savepoint = Savepoint::new("noc", "before-upgrade", vec![40, 39]);
        let bytes = savepoint.encode();
        assert_eq!(Savepoint::decode(&bytes), Ok(savepoint));
        for at in 0..bytes.len() {
            assert!(Savepoint::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
