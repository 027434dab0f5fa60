//! Several streams to one, in the order of event time.
//!
//! A row's place is the larger of its event time and the watermark before it, so that a stream's rows are awaited only
//! as long as its watermark allows; ties go by input, then by the shard that read the row, then by the row's place in its
//! input. Rows are given out as soon as every input's watermark is past their place, and the place becomes the row's
//! watermark. One input is sorted the same way.
//!
//! Rows may also be taken as they come. Then a row's place is the watermark before it, so that it waits no longer than until
//! that moves: inputs that come of one source have one order then, however its records were batched. Inputs of other sources have
//! orders of their own. They wait for nobody; which came first only the journal knows. The merged stream is as far as
//! the least of all inputs.

mod held;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::interleave::interleave;
use serde::{Deserialize, Serialize};

use self::held::Held;
use crate::aggregate::CorruptState;
use crate::engine::Later;
use crate::state::{decode, encode, rows_from_bytes, rows_to_bytes};
use crate::stream::{Batch, END, Micros, NO_WATERMARK, Progress, concat_rows, record_batch};

/// How many bytes of text are given out at once. A column holds 2 GiB at most.
const MOST_TEXT: usize = 256 << 20;

/// The merge of some inputs with one schema.
#[derive(Debug)]
pub struct Merge {
    schema: SchemaRef,
    inputs: Vec<Input>,
    /// The order of each input.
    orders: Vec<usize>,
    as_they_come: bool,
    /// What is read and not given out, by the number of its batch.
    held: BTreeMap<u64, Held>,
    n_batches: u64,
    /// The rows that are held, by order.
    waiting: Vec<BinaryHeap<Reverse<Place>>>,
    most_text: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Input {
    watermark: Micros,
    ended: Option<Micros>,
    /// Not used any more.
    n_rows: u64,
}

/// Where a row stands among the others, and where it is held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: Micros,
    input: u32,
    /// The shard that read it: rows of several come in any order.
    shard: u32,
    /// Batches of an input have ascending numbers.
    batch: u64,
    row: u32,
}

/// A place, and the row's event time, as they are saved.
#[derive(Serialize, Deserialize)]
struct SavedPlace {
    at: Micros,
    input: usize,
    shard: u32,
    /// Not used any more: batch and row say as much.
    number: u64,
    batch: u64,
    row: u32,
    time: Micros,
}

impl Merge {
    /// A merge of inputs that all have this schema, each put into the order with this number: that of event time, or that in
    /// which they come.
    pub fn of(schema: SchemaRef, orders: Vec<usize>, as_they_come: bool) -> Self {
        let n_inputs = orders.len();
        let n_orders = orders.iter().max().map_or(1, |last| last + 1);
        let input = Input {
            watermark: NO_WATERMARK,
            ended: None,
            n_rows: 0,
        };
        Self {
            schema,
            inputs: vec![input; n_inputs],
            orders,
            as_they_come,
            held: BTreeMap::new(),
            n_batches: 0,
            waiting: vec![BinaryHeap::new(); n_orders],
            most_text: MOST_TEXT,
        }
    }

    /// Takes the next part of each input, in the order of the inputs, and gives out what no input can precede any more, as
    /// far as it fits into one batch: see [`Merge::has_more`].
    pub fn process(&mut self, parts: Vec<Batch>) -> Batch {
        self.process_of(0, parts)
    }

    /// The same for parts that a shard read. The watermarks of their rows may be ahead of those of the parts.
    pub fn process_of(&mut self, shard: u32, parts: Vec<Batch>) -> Batch {
        for (input, part) in parts.into_iter().enumerate() {
            self.take(input, shard, part);
        }
        self.drain()
    }

    /// Whether the next call gives out more rows though no input goes on.
    pub fn has_more(&self) -> bool {
        (0..self.waiting.len()).any(|order| self.first_due(order).is_some())
    }

    /// Where the first row of an order stands that no input of the order can precede any more.
    fn first_due(&self, order: usize) -> Option<Micros> {
        let Reverse(place) = self.waiting[order].peek()?;
        (place.at < self.given_out_to(order)).then_some(place.at)
    }

    /// Up to where rows of an order are given out: nothing that comes can stand before them any more.
    fn given_out_to(&self, order: usize) -> Micros {
        let is_alone = self.orders.iter().filter(|of| **of == order).count() == 1;
        if self.as_they_come && is_alone {
            return Micros::MAX;
        }
        self.watermark_of(order)
    }

    /// How far the inputs of an order have come.
    fn watermark_of(&self, order: usize) -> Micros {
        let inputs = self.inputs.iter().zip(&self.orders);
        let of_order = inputs.filter(|(_, of)| **of == order).map(|(input, _)| input.watermark);
        of_order.min().unwrap_or(END)
    }

    /// How far all that is given out of other orders has come.
    fn others_than(&self, order: usize) -> Micros {
        let others = (0..self.waiting.len()).filter(|other| *other != order);
        let at = others.map(|other| self.first_due(other).unwrap_or_else(|| self.watermark_of(other)));
        at.min().unwrap_or(END)
    }

    fn take(&mut self, input: usize, shard: u32, part: Batch) {
        let state = &mut self.inputs[input];
        state.watermark = part.watermark;
        state.ended = part.ended;
        if part.n_rows() == 0 {
            return;
        }
        let mut at = part.watermarks;
        if !self.as_they_come {
            at.iter_mut()
                .zip(&part.times)
                .for_each(|(at, time)| *at = (*at).max(*time));
        }
        let held = Held::whole(part.rows, input as u32, shard, at, part.times);
        self.waiting[self.orders[input]].extend(held.waiting(self.n_batches).map(Reverse));
        self.held.insert(self.n_batches, held);
        self.n_batches += 1;
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
        let mut out = Batch::empty(self.schema.clone(), watermark);
        let mut positions: Vec<(u64, u32)> = Vec::new();
        // As a rule all that is held has room: then no row is looked at.
        let held: usize = self.held.values().map(|held| held.text).sum();
        let mut room = (held > self.most_text).then_some(self.most_text);
        for order in 0..self.waiting.len() {
            let (own, others) = (self.given_out_to(order), self.others_than(order));
            while self.waiting[order].peek().is_some_and(|Reverse(place)| place.at < own) {
                let Some(Reverse(place)) = self.waiting[order].pop() else {
                    break;
                };
                if let Some(left) = &mut room {
                    let text = self.text_of(&place);
                    if text > *left && !positions.is_empty() {
                        self.waiting[order].push(Reverse(place));
                        break;
                    }
                    *left = left.saturating_sub(text);
                }
                out.watermarks.push(place.at.min(others));
                positions.push((place.batch, place.row));
            }
        }
        // Behind what is left over the stream has not come further than the first row of it.
        match (0..self.waiting.len()).filter_map(|order| self.first_due(order)).min() {
            Some(first) => out.watermark = first.min(watermark),
            None => out.ended = ended,
        }
        if !positions.is_empty() {
            out.rows = self.rows(&positions);
        }
        for (batch, row) in positions {
            if let Some(held) = self.held.get_mut(&batch) {
                out.times.push(held.give_out(row));
                if held.is_done() {
                    self.held.remove(&batch);
                }
            }
        }
        out
    }

    /// How much text stands in a row.
    fn text_of(&self, place: &Place) -> usize {
        let held = self.held.get(&place.batch);
        held.map_or(0, |held| text_bytes(&held.rows.slice(place.row as usize, 1)))
    }

    fn rows(&self, positions: &[(u64, u32)]) -> RecordBatch {
        let index: BTreeMap<u64, usize> = self.held.keys().enumerate().map(|(i, batch)| (*batch, i)).collect();
        let indices: Vec<(usize, usize)> = positions
            .iter()
            .map(|(batch, row)| (index[batch], *row as usize))
            .collect();
        let columns = (0..self.schema.fields().len()).map(|column| {
            let arrays: Vec<&dyn Array> = self
                .held
                .values()
                .map(|held| held.rows.column(column).as_ref())
                .collect();
            interleave(&arrays, &indices)
        });
        let columns: Result<Vec<ArrayRef>, _> = columns.collect();
        match columns {
            Ok(columns) => record_batch(&self.schema, columns, indices.len()),
            // Not for want of room, and all have one schema; row by row it is slow, and the same.
            Err(_) => {
                let row = |(batch, row): &(u64, u32)| Some(self.held.get(batch)?.rows.slice(*row as usize, 1));
                let rows: Vec<RecordBatch> = positions.iter().filter_map(row).collect();
                concat_rows(&self.schema, &rows)
            }
        }
    }

    /// The inputs' progress and the rows that are held, as they are now; they become bytes when that is called for.
    pub fn capture(&self) -> Later {
        let (inputs, n_batches) = (self.inputs.clone(), self.n_batches);
        // There may be millions of rows, and processing stands still meanwhile: they are looked at later.
        let held = self.held.clone();
        Box::new(move || {
            let mut places: Vec<Place> = held.iter().flat_map(|(batch, held)| held.waiting(*batch)).collect();
            places.sort();
            let places = places
                .iter()
                .filter_map(|place| Some(held.get(&place.batch)?.saved(place)));
            let places: Vec<SavedPlace> = places.collect();
            let held = held.iter();
            let held = held.map(|(batch, held)| (*batch, held.n_left() as u64, rows_to_bytes(&held.rows)));
            let held: Vec<(u64, u64, Vec<u8>)> = held.collect();
            encode(&(inputs, n_batches, held, places))
        })
    }

    /// Whether it holds no row.
    pub fn is_empty(&self) -> bool {
        self.waiting.iter().all(BinaryHeap::is_empty)
    }

    /// Keeps of the rows that are held those for which `keeps` says so.
    pub fn keep(&mut self, keeps: impl Fn(&RecordBatch) -> Vec<bool>) {
        let kept: BTreeMap<u64, Vec<bool>> = self
            .held
            .iter()
            .map(|(batch, held)| (*batch, keeps(&held.rows)))
            .collect();
        let is_kept = |place: &Place| kept.get(&place.batch).is_some_and(|kept| kept[place.row as usize]);
        for waiting in &mut self.waiting {
            waiting.retain(|Reverse(place)| is_kept(place));
        }
        for (batch, held) in &mut self.held {
            held.keep(&kept[batch]);
        }
        self.held.retain(|_, held| !held.is_done());
    }

    /// Takes back what [`Merge::capture`] gave, in place of all that is held: of one, or of several whose rows come
    /// together here. Rows of one place then stand in the order of `saved`.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn restore(&mut self, saved: &[&[u8]]) -> Result<(), CorruptState> {
        if let [one] = saved {
            return self.load(one);
        }
        let mut all = Self::of(self.schema.clone(), self.orders.clone(), self.as_they_come);
        for (from, saved) in saved.iter().enumerate() {
            let mut one = Self::of(self.schema.clone(), self.orders.clone(), self.as_they_come);
            one.load(saved)?;
            let n_before = all.n_batches;
            all.n_batches += one.n_batches;
            all.held
                .extend(one.held.into_iter().map(|(batch, held)| (n_before + batch, held)));
            for (input, of_one) in all.inputs.iter_mut().zip(one.inputs) {
                if from == 0 {
                    (input.watermark, input.ended) = (of_one.watermark, of_one.ended);
                    continue;
                }
                // Together they have come as far as that which is furthest behind.
                input.watermark = input.watermark.min(of_one.watermark);
                input.ended = input.ended.zip(of_one.ended).map(|(one, other)| one.max(other));
            }
        }
        all.await_all();
        all.most_text = self.most_text;
        *self = all;
        Ok(())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        type Saved = (Vec<Input>, u64, Vec<(u64, u64, Vec<u8>)>, Vec<SavedPlace>);
        let (inputs, n_batches, held, places): Saved = decode(bytes, "a merge")?;
        let corrupt = || CorruptState { what: "a merge" };
        if inputs.len() != self.inputs.len() {
            return Err(corrupt());
        }
        let mut of_batch: BTreeMap<u64, Vec<SavedPlace>> = BTreeMap::new();
        for place in places {
            of_batch.entry(place.batch).or_default().push(place);
        }
        self.held.clear();
        for (batch, _, bytes) in held {
            let rows = rows_from_bytes(&bytes, &self.schema)?;
            let places = of_batch.remove(&batch).unwrap_or_default();
            let held = Held::load(rows, &places).filter(|held| held.input() < inputs.len());
            self.held.insert(batch, held.ok_or_else(corrupt)?);
        }
        // A batch to come must not take the number of one that is there.
        let is_next = self.held.keys().all(|batch| *batch < n_batches);
        if !of_batch.is_empty() || !is_next {
            return Err(corrupt());
        }
        self.inputs = inputs;
        self.n_batches = n_batches;
        self.await_all();
        Ok(())
    }

    /// Puts the rows that are held into their orders.
    fn await_all(&mut self) {
        self.waiting.iter_mut().for_each(BinaryHeap::clear);
        for (batch, held) in &self.held {
            self.waiting[self.orders[held.input()]].extend(held.waiting(*batch).map(Reverse));
        }
    }
}

/// Bytes of text in all columns.
fn text_bytes(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| text_of_column(column)).sum()
}

fn text_of_column(column: &dyn Array) -> usize {
    let length =
        |first: Option<&i32>, last: Option<&i32>| first.zip(last).map_or(0, |(first, last)| (last - first) as usize);
    match column.data_type() {
        DataType::Utf8 => {
            let offsets = column.as_string::<i32>().value_offsets();
            length(offsets.first(), offsets.last())
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let offsets = list.value_offsets();
            let (start, n_items) = (
                offsets.first().map_or(0, |first| *first as usize),
                length(offsets.first(), offsets.last()),
            );
            // Items count too: a column has no more than 2^31 of them.
            n_items + text_of_column(&list.values().slice(start, n_items))
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
