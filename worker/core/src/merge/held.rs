//! Batches of which some rows wait.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::{Place, SavedPlace, text_bytes};
use crate::stream::Micros;

/// A batch that was read and is not all given out.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub rows: RecordBatch,
    /// Shared with captures, which so need not look at each row.
    places: Arc<Places>,
    /// A bit a row: whether it waits.
    waits: Vec<u64>,
    n_left: usize,
    /// Bytes of text in all its rows.
    pub text: usize,
}

/// Where the rows of a batch stand.
#[derive(Debug)]
struct Places {
    input: u32,
    shard: u32,
    at: Vec<Micros>,
    times: Vec<Micros>,
}

impl Held {
    /// A batch of which no row waits yet; `at` and `times` have as many items as it has rows.
    fn new(rows: RecordBatch, input: u32, shard: u32, at: Vec<Micros>, times: Vec<Micros>) -> Self {
        Self {
            text: text_bytes(&rows),
            waits: vec![0; rows.num_rows().div_ceil(64)],
            n_left: 0,
            places: Arc::new(Places {
                input,
                shard,
                at,
                times,
            }),
            rows,
        }
    }

    /// A batch all of whose rows wait; `at` and `times` have as many items as it has rows.
    pub fn whole(rows: RecordBatch, input: u32, shard: u32, at: Vec<Micros>, times: Vec<Micros>) -> Self {
        let mut held = Self::new(rows, input, shard, at, times);
        (0..held.rows.num_rows() as u32).for_each(|row| held.wait(row));
        held
    }

    /// A batch of which these rows wait; none if they cannot be its rows.
    pub fn load(rows: RecordBatch, places: &[SavedPlace]) -> Option<Self> {
        let first = places.first()?;
        let (mut at, mut times) = (vec![0; rows.num_rows()], vec![0; rows.num_rows()]);
        for place in places {
            let row = place.row as usize;
            if (place.input, place.shard) != (first.input, first.shard) {
                return None;
            }
            (*at.get_mut(row)?, *times.get_mut(row)?) = (place.at, place.time);
        }
        let input = u32::try_from(first.input).ok()?;
        let mut held = Self::new(rows, input, first.shard, at, times);
        places.iter().for_each(|place| held.wait(place.row));
        Some(held)
    }

    /// The input that it came by.
    pub fn input(&self) -> usize {
        self.places.input as usize
    }

    fn wait(&mut self, row: u32) {
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        self.n_left += usize::from(self.waits[word] & bit == 0);
        self.waits[word] |= bit;
    }

    /// Lets rows wait no more for which `kept` does not say so.
    pub fn keep(&mut self, kept: &[bool]) {
        for (row, _) in (0u32..).zip(kept).filter(|(_, kept)| !**kept) {
            self.give_out(row);
        }
    }

    /// Notes that a row was given out; answers its event time.
    pub fn give_out(&mut self, row: u32) -> Micros {
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        self.n_left -= usize::from(self.waits[word] & bit != 0);
        self.waits[word] &= !bit;
        self.places.times[row as usize]
    }

    /// Whether none waits.
    pub fn is_done(&self) -> bool {
        self.n_left == 0
    }

    /// Places of the rows that wait, in their order; `batch` is the number of this one.
    pub fn waiting(&self, batch: u64) -> impl Iterator<Item = Place> {
        let Places { input, shard, at, .. } = &*self.places;
        let rows = (0u32..).zip(at).filter(|(row, _)| self.has(*row));
        rows.map(move |(row, at)| Place {
            at: *at,
            input: *input,
            shard: *shard,
            batch,
            row,
        })
    }

    fn has(&self, row: u32) -> bool {
        self.waits[row as usize / 64] >> (row % 64) & 1 == 1
    }

    /// How many rows wait.
    pub fn n_left(&self) -> usize {
        self.n_left
    }

    /// A place as it is saved.
    pub fn saved(&self, place: &Place) -> SavedPlace {
        SavedPlace {
            at: place.at,
            input: place.input as usize,
            shard: place.shard,
            number: 0,
            batch: place.batch,
            row: place.row,
            time: self.places.times[place.row as usize],
        }
    }
}
