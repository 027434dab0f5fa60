//! Rows of a key and a pane as one row, with states in place of arguments: the first of two phases.
//!
//! Before rows are dealt out by key, each shard adds up its own. What is sent is then as much as there are keys, however
//! many events one of them has. The second phase is the aggregate itself, which reads states where it would read arguments:
//! see [`AggregatePlan::reads_states`].

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{AggregatePlan, Rows, Window, new_accumulators, read, window_start};
use crate::aggregate::Accumulators;
use crate::key::{KeyId, KeyTable};
use crate::stream::{Batch, Micros, record_batch, take_column};

/// The columns of combined rows: the key, then a column of states for each state.
pub fn combined_columns(plan: &AggregatePlan) -> SchemaRef {
    let keys = plan.by.iter();
    let keys = keys.map(|(name, key)| Field::new(name, key.data_type.clone(), true));
    let states = (0..plan.states.len()).map(|i| Field::new(format!("state {i}"), DataType::Binary, true));
    Arc::new(Schema::new(keys.chain(states).collect::<Vec<_>>()))
}

/// Combines rows: one for each key and pane, in the order of their first rows, with the newest time of each; rows of other
/// watermarks apart if these are to be kept. No row may be late.
pub fn combine(plan: &AggregatePlan, columns: &SchemaRef, input: Batch, keeps_watermarks: bool) -> Batch {
    if input.n_rows() == 0 {
        return input.with_rows(record_batch(columns, empty(columns), 0));
    }
    let (keys, arguments) = read(plan, &input.rows, Vec::new());
    let rows = Rows {
        input: &input,
        keys: &keys,
        arguments: &arguments,
    };
    let mut table = KeyTable::default();
    let mut key = Vec::new();
    // By number of key and pane.
    let (mut first, mut times): (Vec<u32>, Vec<Micros>) = (Vec::new(), Vec::new());
    let mut ids: Vec<KeyId> = Vec::with_capacity(input.n_rows());
    for (row, &time) in input.times.iter().enumerate() {
        rows.key(row, &mut key);
        key.extend_from_slice(&pane(plan, time).to_be_bytes());
        if keeps_watermarks {
            key.extend_from_slice(&input.watermarks[row].to_be_bytes());
        }
        let (id, new) = table.intern(&key);
        if new {
            first.push(row as u32);
            times.push(time);
        }
        let newest = &mut times[id as usize];
        *newest = (*newest).max(time);
        ids.push(id);
    }
    let mut accumulators = new_accumulators(plan);
    rows.update(&mut accumulators, 0, &ids, table.capacity());
    let positions = UInt32Array::from(first.clone());
    let keys = keys.iter().map(|column| take_column(column, &positions));
    let states = accumulators.iter().map(|states| saved(states.as_ref(), first.len()));
    Batch {
        rows: record_batch(columns, keys.chain(states).collect(), first.len()),
        watermarks: first.iter().map(|&row| input.watermarks[row as usize]).collect(),
        times,
        watermark: input.watermark,
        ended: input.ended,
    }
}

/// Where the pane of a row begins.
fn pane(plan: &AggregatePlan, time: Micros) -> Micros {
    match plan.window {
        Window::Tumbling { size } => window_start(time, size),
        Window::Sliding { every, .. } => window_start(time, every),
        // Sessions are not combined: see `may_be_combined`.
        Window::Session { .. } => time,
        Window::Running { .. } => 0,
    }
}

/// Whether rows of a window can be added up before it is known where it begins and ends.
pub fn may_be_combined(window: Window) -> bool {
    !matches!(window, Window::Session { .. })
}

fn saved(states: &dyn Accumulators, n_keys: usize) -> ArrayRef {
    let mut column = BinaryBuilder::new();
    let mut bytes = Vec::new();
    for id in 0..n_keys {
        bytes.clear();
        states.save(id as KeyId, &mut bytes);
        column.append_value(&bytes);
    }
    Arc::new(column.finish())
}

fn empty(columns: &SchemaRef) -> Vec<ArrayRef> {
    let fields = columns.fields().iter();
    fields
        .map(|field| arrow_array::new_empty_array(field.data_type()))
        .collect()
}

/// Adds saved states to those of `ids`. What is none, which only another's hand can have written, adds nothing.
pub(super) fn merge_states(
    accumulator: &mut dyn Accumulators,
    scratch: &mut dyn Accumulators,
    ids: &[KeyId],
    column: &ArrayRef,
) {
    let Some(states) = column.as_binary_opt::<i32>() else {
        return;
    };
    for (row, &id) in ids.iter().enumerate().filter(|(row, _)| states.is_valid(*row)) {
        scratch.grow(id as usize + 1);
        if scratch.load(id, &mut states.value(row)).is_ok() {
            accumulator.merge(id, scratch);
        }
        scratch.clear(id);
    }
}
