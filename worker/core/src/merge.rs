//! Several streams to one, in the order of event time.
//!
//! A row's place is the larger of its event time and the watermark before it, so that a stream's rows are awaited only
//! as long as its watermark allows; ties go by input, then by the row's number in its input. Rows are given out as soon
//! as every input's watermark is past their place, and the place becomes the row's watermark. One input is sorted the
//! same way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave_record_batch;
use serde::{Deserialize, Serialize};

use crate::aggregate::CorruptState;
use crate::state::{decode, encode, rows_from_bytes, rows_to_bytes};
use crate::stream::{Batch, END, Micros, NO_WATERMARK, Progress};

/// The merge of some inputs with one schema.
#[derive(Debug)]
pub struct Merge {
    schema: SchemaRef,
    inputs: Vec<Input>,
    /// What is read and not given out, by the number of its batch.
    held: BTreeMap<u64, Held>,
    n_batches: u64,
    order: BinaryHeap<Reverse<Place>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Input {
    watermark: Micros,
    ended: Option<Micros>,
    /// Rows taken so far.
    n_rows: u64,
}

#[derive(Debug)]
struct Held {
    rows: RecordBatch,
    n_left: usize,
}

/// Where a row stands among the others, and where it is held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    at: Micros,
    input: usize,
    number: u64,
    batch: u64,
    row: u32,
    time: Micros,
}

impl Merge {
    /// A merge of `n_inputs` inputs, all with this schema.
    pub fn new(schema: SchemaRef, n_inputs: usize) -> Self {
        let input = Input {
            watermark: NO_WATERMARK,
            ended: None,
            n_rows: 0,
        };
        Self {
            schema,
            inputs: vec![input; n_inputs],
            held: BTreeMap::new(),
            n_batches: 0,
            order: BinaryHeap::new(),
        }
    }

    /// Takes the next part of each input, in the order of the inputs, and gives out what no input can precede any more.
    pub fn process(&mut self, parts: Vec<Batch>) -> Batch {
        for (input, part) in parts.into_iter().enumerate() {
            self.take(input, part);
        }
        self.drain()
    }

    fn take(&mut self, input: usize, part: Batch) {
        let state = &mut self.inputs[input];
        state.watermark = part.watermark;
        state.ended = part.ended;
        if part.n_rows() == 0 {
            return;
        }
        let batch = self.n_batches;
        self.n_batches += 1;
        for (row, (&time, &watermark)) in part.times.iter().zip(&part.watermarks).enumerate() {
            let number = state.n_rows;
            state.n_rows += 1;
            self.order.push(Reverse(Place {
                at: time.max(watermark),
                input,
                number,
                batch,
                row: row as u32,
                time,
            }));
        }
        self.held.insert(
            batch,
            Held {
                n_left: part.n_rows(),
                rows: part.rows,
            },
        );
    }

    fn progress(&self) -> Progress {
        let watermark = self.inputs.iter().map(|input| input.watermark).min().unwrap_or(END);
        let all_ended = self.inputs.iter().all(|input| input.ended.is_some());
        let ended = all_ended
            .then(|| self.inputs.iter().filter_map(|input| input.ended).max())
            .flatten();
        Progress { watermark, ended }
    }

    fn drain(&mut self) -> Batch {
        let Progress { watermark, ended } = self.progress();
        let mut out = Batch {
            ended,
            ..Batch::empty(self.schema.clone(), watermark)
        };
        let mut positions: Vec<(u64, u32)> = Vec::new();
        while self.order.peek().is_some_and(|Reverse(place)| place.at < watermark) {
            let Some(Reverse(place)) = self.order.pop() else { break };
            out.times.push(place.time);
            out.watermarks.push(place.at);
            positions.push((place.batch, place.row));
        }
        if positions.is_empty() {
            return out;
        }
        let index: BTreeMap<u64, usize> = self.held.keys().enumerate().map(|(i, batch)| (*batch, i)).collect();
        let batches: Vec<&RecordBatch> = self.held.values().map(|held| &held.rows).collect();
        let indices: Vec<(usize, usize)> = positions
            .iter()
            .map(|(batch, row)| (index[batch], *row as usize))
            .collect();
        out.rows = match interleave_record_batch(&batches, &indices) {
            Ok(rows) => rows,
            Err(error) => unreachable!("all inputs of a merge have its schema: {error}"),
        };
        for (batch, _) in positions {
            if let Some(held) = self.held.get_mut(&batch) {
                held.n_left -= 1;
                if held.n_left == 0 {
                    self.held.remove(&batch);
                }
            }
        }
        out
    }

    /// How many rows are read and not given out.
    pub fn n_held(&self) -> usize {
        self.order.len()
    }

    /// The inputs' progress and the rows that are held.
    pub fn save(&self) -> Vec<u8> {
        let held: Vec<(u64, u64, Vec<u8>)> = self
            .held
            .iter()
            .map(|(batch, held)| (*batch, held.n_left as u64, rows_to_bytes(&held.rows)))
            .collect();
        let mut places: Vec<&Place> = self.order.iter().map(|Reverse(place)| place).collect();
        places.sort();
        encode(&(&self.inputs, self.n_batches, held, places))
    }

    /// Takes back what [`Merge::save`] wrote.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        type Saved = (Vec<Input>, u64, Vec<(u64, u64, Vec<u8>)>, Vec<Place>);
        let (inputs, n_batches, held, places): Saved = decode(bytes, "a merge")?;
        let corrupt = || CorruptState { what: "a merge" };
        if inputs.len() != self.inputs.len() {
            return Err(corrupt());
        }
        self.held.clear();
        for (batch, n_left, bytes) in held {
            let rows = rows_from_bytes(&bytes, &self.schema)?;
            self.held.insert(
                batch,
                Held {
                    rows,
                    n_left: n_left as usize,
                },
            );
        }
        let fits = |place: &Place| {
            self.held
                .get(&place.batch)
                .is_some_and(|held| (place.row as usize) < held.rows.num_rows())
        };
        if !places.iter().all(fits) {
            return Err(corrupt());
        }
        self.inputs = inputs;
        self.n_batches = n_batches;
        self.order = places.into_iter().map(Reverse).collect();
        Ok(())
    }
}
