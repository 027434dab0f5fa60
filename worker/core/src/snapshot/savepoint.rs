//! The manifest of a savepoint: the snapshots of all shards of a pipeline that belong together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::{FORMAT, InvalidManifest, Manifest, open, seal};

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
    /// Whether nothing was on its way between shards.
    #[serde(default)]
    pub drained: bool,
    /// Partitions of the sources' topics, by topic, with which the pipeline goes on from it; none unless it was taken because
    /// a topic had grown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grown_to: BTreeMap<String, u32>,
    /// The run epoch that it ends, if it ends one: behind it nothing is given out in that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<u32>,
    /// Whether it is none: it was given up before it was whole, and never will be.
    #[serde(default, skip_serializing_if = "is_false")]
    pub given_up: bool,
}

fn is_false(is: &bool) -> bool {
    !is
}

impl Savepoint {
    /// A savepoint of these cuts.
    pub fn new(pipeline: &str, id: &str, sequences: Vec<u64>) -> Self {
        Self {
            format: FORMAT,
            pipeline: pipeline.to_owned(),
            id: id.to_owned(),
            sequences,
            drained: false,
            grown_to: BTreeMap::new(),
            ends: None,
            given_up: false,
        }
    }

    /// What stands in the place of a savepoint that was given up.
    pub fn given_up(pipeline: &str, id: &str) -> Self {
        Self {
            given_up: true,
            ..Self::new(pipeline, id, Vec::new())
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

/// Whether nothing was on its way between the shards of which these are the parts: each was held, and what it heard of the
/// others' ends is what they said last.
pub fn is_drained(parts: &[Manifest]) -> bool {
    let Some(first) = parts.first() else { return false };
    parts.iter().enumerate().all(|(number, part)| {
        let Some(drained) = part.drained.as_ref().filter(|_| part.epoch == first.epoch) else {
            return false;
        };
        let is_heard = |input: &str, other: usize, end: &Option<u64>| {
            let of_other = parts.get(other).and_then(|part| part.drained.as_ref()?.get(input));
            other == number || (end.is_some() && of_other.is_some_and(|said| said.own == *end))
        };
        drained.iter().all(|(input, ends)| {
            let mut others = ends.others.iter().enumerate();
            others.all(|(other, end)| is_heard(input, other, end))
        })
    })
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
