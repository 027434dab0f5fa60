//! Captures of an engine, kept in memory.

use std::collections::BTreeMap;

use tocsin_worker_core::capture::{BlockId, Extent, Row, rows};
use tocsin_worker_core::engine::{Engine, PlacedBlock, SavedHead};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::placement::Placement;
use tocsin_worker_core::shard::Shard;
use tocsin_worker_core::snapshot::BlockWriter;

use super::{Decoding, engine};

/// A capture: its head, and the bytes of its blocks by stage, step and block.
#[derive(Clone, Debug, PartialEq)]
pub struct Captured {
    pub head: SavedHead,
    pub blocks: BTreeMap<(u32, u32, BlockId), Vec<u8>>,
}

impl Captured {
    /// Adds the next block of the capture under way; answers whether there was one.
    pub fn add(&mut self, engine: &mut Engine) -> bool {
        let Some(placed) = engine.next_block() else {
            return false;
        };
        let place = (placed.stage, placed.step, placed.block.id);
        self.blocks.insert(place, placed.block.bytes);
        true
    }
}

/// The whole state, at once.
pub fn capture(engine: &mut Engine) -> Captured {
    let head = engine.begin_capture(Extent::Whole).save();
    let head = SavedHead::decode(&head.encode()).unwrap();
    let blocks = BTreeMap::new();
    let mut captured = Captured { head, blocks };
    while captured.add(engine) {}
    captured
}

/// The whole state of a shard, at a cut.
pub fn capture_shard(shard: &mut Shard) -> Captured {
    let head = shard.begin_capture(Extent::Whole).save();
    let mut blocks = BTreeMap::new();
    while let Some(placed) = shard.next_block() {
        let place = (placed.stage, placed.step, placed.block.id);
        blocks.insert(place, placed.block.bytes);
    }
    Captured { head, blocks }
}

/// The blocks of a capture as a file of a snapshot.
pub fn file_of_blocks(placements: &[Option<Placement>], mut next: impl FnMut() -> Option<PlacedBlock>) -> Vec<u8> {
    let mut blocks = BlockWriter::new(placements);
    while let Some(placed) = next() {
        blocks.add(&placed);
    }
    blocks.finish()
}

/// What a capture holds, whatever numbers its keys have and whatever stands in it that is no longer needed.
pub fn content(plan: &Plan, captured: &Captured) -> Captured {
    capture(&mut restored(plan, Decoding::Own, captured))
}

/// An engine with that state. Its keys are numbered in their order.
pub fn restored(plan: &Plan, decoding: Decoding, captured: &Captured) -> Engine {
    restored_into(engine(plan, decoding), captured)
}

/// An engine at its beginning, with that state.
pub fn restored_into(mut engine: Engine, captured: &Captured) -> Engine {
    let matching = engine.matching(&captured.head);
    assert!(matching.fit.dropped.is_empty() && matching.fit.new.is_empty());
    let heads = std::slice::from_ref(&captured.head);
    engine.begin_restore(heads, &matching, None).unwrap();
    let mut all = Vec::new();
    for (place, bytes) in &captured.blocks {
        all.extend(rows(bytes).unwrap().into_iter().map(|row| (*place, row)));
    }
    // A stable sort: what has no key of its own keeps its order.
    all.sort_by_key(|((stage, step, id), row)| (*stage, *step, id.table, row.key));
    for rows in all.chunk_by(|(place, _), (next, _)| place == next) {
        let (place, _) = rows[0];
        let rows: Vec<Row<'_>> = rows.iter().map(|(_, row)| *row).collect();
        engine.restore_rows(&matching, 0, place, &rows, &[]).unwrap();
    }
    engine.end_restore(None).unwrap();
    engine
}
