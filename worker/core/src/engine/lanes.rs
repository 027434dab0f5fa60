//! The lanes of a stage whose state came from several shards.
//!
//! When state is dealt out to another number of shards, the shards that gave it had not come equally far in event time.
//! So each goes on here in a lane of its own, with the keys that came from it, known by the hash of the records' key; new
//! keys go where theirs would have been. A lane's watermark is that of the stage's input, and never below the one that its
//! shard had come to (the floor): no window is given out again, and what would have been late there is late here. Once the
//! input's watermark has passed all floors, the lanes are joined.

use serde::{Deserialize, Serialize};

use super::capture::Later;
use super::work::{SavedWork, Work};
use crate::plan::StagePlan;
use crate::plan::dealing::Routing;
use crate::stream::{Batch, Micros, NO_WATERMARK};

/// Partitions of a topic, and which of them.
pub(super) type OneOf = (u32, u32);

/// A part of a stage that goes on by itself.
pub(super) struct Lane {
    /// In which partition a row's record was, each time that state was dealt out: the newest first.
    pub path: Vec<OneOf>,
    /// For each input the watermark that it does not fall below; none are known where there is only one lane.
    pub floors: Vec<Micros>,
    /// Which capture its state is taken back from, and which lane of that.
    pub from: (usize, usize),
    pub work: Work,
}

/// What a lane is, at a cut.
pub(super) struct LaneHead {
    pub path: Vec<OneOf>,
    pub floors: Vec<Micros>,
    pub merge: Option<Later>,
    pub steps: Vec<Vec<u8>>,
}

/// Lanes of a stage that were saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedLanes {
    /// Number of the stage.
    pub stage: u32,
    pub routing: Routing,
    /// See [`Lanes::apart`].
    pub apart: bool,
    pub lanes: Vec<SavedLane>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedLane {
    pub path: Vec<OneOf>,
    pub floors: Vec<Micros>,
    pub merge: Option<Vec<u8>>,
    pub steps: Vec<Vec<u8>>,
}

/// How the lanes of a stage are told apart.
pub(super) struct Lanes {
    pub routing: Routing,
    /// Whether rows were dealt out by key: their own watermarks say nothing of how far the stage is.
    pub is_dealt: bool,
    /// Whether keys may be in several lanes, because records stood in other partitions than their keys': then they are
    /// never joined.
    pub apart: bool,
}

impl SavedLane {
    pub fn work(&self) -> SavedWork<'_> {
        SavedWork {
            merge: self.merge.as_deref(),
            steps: &self.steps,
        }
    }
}

impl LaneHead {
    pub fn save(self) -> SavedLane {
        SavedLane {
            path: self.path,
            floors: self.floors,
            merge: self.merge.map(|merge| merge()),
            steps: self.steps,
        }
    }
}

impl Lane {
    /// The only lane of a stage.
    pub fn only(plan: &StagePlan) -> Self {
        Self {
            path: Vec::new(),
            floors: Vec::new(),
            from: (0, 0),
            work: Work::new(plan),
        }
    }

    /// Whether a row whose key has this hash came, or would have come, from the lane's shard.
    pub fn has(&self, routing: &Routing, hash: u32) -> bool {
        let is_on = |(n, partition): &OneOf| routing.partition(hash, *n) == *partition;
        self.path.iter().all(is_on)
    }

    /// Whether any key of this partition can be of the lane, if all records stood in the partitions of their keys.
    pub fn may_have(&self, here: OneOf) -> bool {
        let all = || self.path.iter().chain([&here]);
        // A hash with two given remainders is there if they agree in what the divisors have in common.
        let agree = |(n, i): &OneOf, (m, j): &OneOf| i % gcd(*n, *m) == j % gcd(*n, *m);
        all().all(|one| all().all(|other| agree(one, other)))
    }

    /// The part of an input that is for this lane, with watermarks not below its floor.
    fn part(&mut self, input: usize, part: &Batch, rows: Option<&[u32]>, is_dealt: bool) -> Batch {
        let mut part = rows.map_or_else(|| part.clone(), |rows| part.take(rows));
        if self.floors.len() <= input {
            self.floors.resize(input + 1, NO_WATERMARK);
        }
        let floor = &mut self.floors[input];
        for watermark in &mut part.watermarks {
            *watermark = (*watermark).max(*floor);
        }
        // Rows of a lane of the stage before may be ahead of that stage's watermark.
        if !is_dealt {
            *floor = part.watermarks.last().copied().unwrap_or(*floor).max(*floor);
        }
        part.watermark = part.watermark.max(*floor);
        part.ended = part.ended.map(|reached| reached.max(*floor));
        part
    }
}

/// The parts of the inputs for each of several lanes.
pub(super) fn deal_out(of: &Lanes, plan: &StagePlan, lanes: &mut [Lane], parts: &[Batch]) -> Vec<Vec<Batch>> {
    let Lanes { routing, is_dealt, .. } = of;
    let mut dealt: Vec<Vec<Batch>> = lanes.iter().map(|_| Vec::with_capacity(parts.len())).collect();
    for (input, part) in parts.iter().enumerate() {
        if let [only] = lanes {
            dealt[0].push(only.part(input, part, None, *is_dealt));
            continue;
        }
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); lanes.len()];
        for (row, hash) in routing.hashes(plan, &part.rows).into_iter().enumerate() {
            // None is of a record that stood in another partition than its key's.
            let lane = lanes.iter().position(|lane| lane.has(routing, hash)).unwrap_or(0);
            rows[lane].push(row as u32);
        }
        for ((lane, rows), dealt) in lanes.iter_mut().zip(&rows).zip(&mut dealt) {
            dealt.push(lane.part(input, part, Some(rows), *is_dealt));
        }
    }
    dealt
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}
