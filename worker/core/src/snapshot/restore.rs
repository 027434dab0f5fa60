//! State that is taken back: of one capture, or of several whose keys are dealt out anew.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use crate::aggregate::CorruptState;
use crate::capture::{BlockId, Row};
use crate::engine::{Engine, Fit, Matching, SavedHead};
use crate::plan::dealing::Deal;
use crate::plan::partitioning::is_keyed;
use crate::repartition::{DealtOtherwise, NotTaken};

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
    /// Rows on their way between shards are of another form.
    #[error(transparent)]
    Otherwise(#[from] DealtOtherwise),
    /// The number of partitions is another, and nobody knows which keys go where.
    #[error(
        "the number of partitions changed, and state of stage {stage} is not kept by the key of its records; say `partitionedBy` in its source"
    )]
    NotPlaced {
        /// The stage.
        stage: String,
    },
}

/// State that is being taken back.
pub struct Restore<'a> {
    engine: &'a mut Engine,
    matching: Matching,
    deal: Option<Deal>,
    /// Names of the stages, as the captures number them.
    stages: Vec<String>,
    /// Blocks that are taken back, by capture: those in files behind are older.
    seen: HashSet<(usize, (u32, u32, BlockId)), FixedState>,
}

impl<'a> Restore<'a> {
    /// Begins with the head of a capture of the same shard and run epoch: what other shards sent since comes behind it.
    ///
    /// # Errors
    /// As [`Restore::begin`]; and if what they sent is of another form than the pipeline has now.
    pub fn resume(engine: &'a mut Engine, head: SavedHead, may_drop: bool) -> Result<Self, RestoreError> {
        engine.check_forms(&head).map_err(|error| match error {
            NotTaken::Corrupt(corrupt) => RestoreError::Corrupt(corrupt),
            NotTaken::Otherwise(otherwise) => RestoreError::Otherwise(otherwise),
        })?;
        Self::begin(engine, &[head], None, may_drop)
    }

    /// Begins with the head of a capture; or with those of all shards, of which `deal` says what comes here.
    ///
    /// # Errors
    /// If there is state without a place and `may_drop` does not allow that, or state that nobody knows the place of.
    pub fn begin(
        engine: &'a mut Engine,
        heads: &[SavedHead],
        deal: Option<Deal>,
        may_drop: bool,
    ) -> Result<Self, RestoreError> {
        let first = heads.first().ok_or(CorruptState { what: "no snapshot" })?;
        let matching = engine.matching(first);
        if !matching.fit.dropped.is_empty() && !may_drop {
            return Err(RestoreError::Dropped(matching.fit));
        }
        if let Some(deal) = &deal {
            let stages = engine.plan().stages.iter().zip(&deal.stages);
            let mut lost = stages.filter(|(stage, deal)| is_keyed(stage) && deal.is_none());
            let kept = &matching.fit.kept;
            if let Some((stage, _)) = lost.find(|(stage, _)| kept.contains(&stage.name)) {
                let stage = stage.name.clone();
                return Err(RestoreError::NotPlaced { stage });
            }
        }
        engine.begin_restore(heads, &matching, deal.as_ref())?;
        Ok(Self {
            engine,
            stages: first.stages.iter().map(|stage| stage.name.clone()).collect(),
            matching,
            deal,
            seen: HashSet::default(),
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
        let place = block.place;
        let Some(deal) = &self.deal else {
            return Ok(self
                .engine
                .restore_rows(&self.matching, from, place, &block.rows, &[])?);
        };
        let Some(number) = self.matching.number(place.0 as usize) else {
            return Ok(());
        };
        let not_placed = || RestoreError::NotPlaced {
            stage: self.stages.get(place.0 as usize).cloned().unwrap_or_default(),
        };
        let of_stage = deal.stages.get(number).and_then(Option::as_ref);
        let of_stage = of_stage.ok_or_else(not_placed)?;
        let nowhere_else = (of_stage.before, of_stage.now) == (1, 1);
        let unknown = || nowhere_else.then(|| vec![0; block.rows.len()]);
        let hashes = block.hashes().or_else(unknown).ok_or_else(not_placed)?;
        if from >= of_stage.before as usize {
            // It had no partition, and so no key.
            return Ok(());
        }
        let here = |hash: u32| of_stage.routing.partition(hash, of_stage.now) == deal.shard;
        // Rows without a key of their own go wherever the keys go that they speak of, unless there is but one.
        let is_one_key = of_stage.routing.columns.is_empty();
        let rows = block.rows.iter().zip(hashes);
        let kept = rows.filter(|(row, hash)| (row.key.is_empty() && !is_one_key) || here(*hash));
        let (rows, hashes): (Vec<Row<'_>>, Vec<u32>) = kept.map(|(row, hash)| (*row, hash)).unzip();
        let restored = self.engine.restore_rows(&self.matching, from, place, &rows, &hashes);
        Ok(restored?)
    }

    /// All is taken back.
    ///
    /// # Errors
    /// If something is missing.
    pub fn end(self) -> Result<Fit, RestoreError> {
        self.engine.end_restore(self.deal.as_ref())?;
        Ok(self.matching.fit)
    }
}
