//! State that is taken back: of one capture, or of several whose keys are dealt out anew.

use std::collections::HashSet;

use crate::aggregate::CorruptState;
use crate::capture::{BlockId, Row};
use crate::engine::{Engine, Fit, Matching, SavedHead};
use crate::kafka::partitioner::partition;
use crate::plan::partitioning::Placement;

use super::blocks::{ReadBlock, read_blocks};

/// State that cannot be taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It is damaged, in a way that its checksums do not show.
    #[error(transparent)]
    Corrupt(#[from] CorruptState),
    /// The pipeline has no place for some of it.
    #[error(
        "state of [{}] has no place in the pipeline any more (kept: [{}], new: [{}]); give the stages back, or allow that it is dropped",
        .0.dropped.join(", "), .0.kept.join(", "), .0.new.join(", ")
    )]
    Dropped(Fit),
    /// The number of partitions is another, and nobody knows which keys go where.
    #[error(
        "the number of partitions changed, and state of stage {stage} is not kept by the key of its records; say `partitionedBy` in its source"
    )]
    NotPlaced {
        /// The stage.
        stage: String,
    },
}

/// Which keys come here.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Number of the shard.
    pub shard: u32,
    /// How many shards there are now.
    pub n_shards: u32,
    /// How keys of each stage of the plan find their shard.
    pub placements: Vec<Option<Placement>>,
}

/// State that is being taken back.
pub struct Restore<'a> {
    engine: &'a mut Engine,
    matching: Matching,
    keep: Option<Keep>,
    /// Names of the stages, as the captures number them.
    stages: Vec<String>,
    /// Blocks that are taken back, by capture: those in files behind are older.
    seen: HashSet<(usize, (u32, u32, BlockId))>,
}

impl<'a> Restore<'a> {
    /// Begins with the heads of the captures. `own` is the one whose sources are read on; `keep` says which keys come here
    /// if not all do.
    ///
    /// # Errors
    /// If there is state without a place, and `may_drop` does not allow that.
    pub fn begin(
        engine: &'a mut Engine,
        heads: &[SavedHead],
        own: usize,
        keep: Option<Keep>,
        may_drop: bool,
    ) -> Result<Self, RestoreError> {
        let first = heads.first().ok_or(CorruptState { what: "no snapshot" })?;
        let matching = engine.matching(first);
        if !matching.fit.dropped.is_empty() && !may_drop {
            return Err(RestoreError::Dropped(matching.fit));
        }
        engine.begin_restore(heads, &matching, own)?;
        Ok(Self {
            engine,
            stages: first.stages.iter().map(|stage| stage.name.clone()).collect(),
            matching,
            keep,
            seen: HashSet::new(),
        })
    }

    /// What becomes of the stages' state.
    pub fn fit(&self) -> &Fit {
        &self.matching.fit
    }

    /// Takes back the next file of the capture with number `from`; the newest comes first.
    ///
    /// # Errors
    /// If it is none, or has keys that nobody knows the place of.
    pub fn file(&mut self, from: usize, bytes: &[u8]) -> Result<(), RestoreError> {
        read_blocks(bytes, |block| self.block(from, &block))
    }

    fn block(&mut self, from: usize, block: &ReadBlock<'_>) -> Result<(), RestoreError> {
        if !self.seen.insert((from, block.place)) {
            return Ok(());
        }
        let Some(keep) = &self.keep else {
            return Ok(self
                .engine
                .restore_rows(&self.matching, from, block.place, &block.rows)?);
        };
        let stage = block.place.0 as usize;
        let number = self.matching.number(stage);
        let Some(number) = number else { return Ok(()) };
        let not_placed = || RestoreError::NotPlaced {
            stage: self.stages.get(stage).cloned().unwrap_or_default(),
        };
        let placement = keep.placements.get(number).and_then(Option::as_ref);
        let (placement, hashes) = placement.zip(block.hashes.as_ref()).ok_or_else(not_placed)?;
        let here = |hash: u32| partition(placement.partitioner, hash, keep.n_shards) == keep.shard;
        // Rows without a key of their own go wherever the keys go that they speak of.
        let rows = block.rows.iter().zip(hashes);
        let rows: Vec<Row<'_>> = rows
            .filter(|(row, hash)| row.key.is_empty() || here(**hash))
            .map(|(row, _)| *row)
            .collect();
        Ok(self.engine.restore_rows(&self.matching, from, block.place, &rows)?)
    }

    /// All is taken back.
    ///
    /// # Errors
    /// If something is missing.
    pub fn end(self) -> Result<Fit, RestoreError> {
        self.engine.end_restore()?;
        Ok(self.matching.fit)
    }
}
