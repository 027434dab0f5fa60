//! Which shard a row belongs to.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;

use crate::encode::RecordKeys;
use crate::kafka::partitioner::{hash, partition};
use crate::plan::repartition::{KeyPart, RepartitionPlan};
use crate::stream::columns_batch;

/// To state -0.0 and 0.0 are one key.
fn one_zero(column: ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<Float64Type>() {
        Some(numbers) => Arc::new(numbers.unary::<_, Float64Type>(|number| number + 0.0)),
        None => column,
    }
}

/// The shard of each row, as the partitioner has it. A row without a key has one too, the same for all.
pub fn owners(plan: &RepartitionPlan, rows: &RecordBatch) -> Vec<u32> {
    let mut hashes = hashes(plan, rows);
    for hash in &mut hashes {
        *hash = partition(plan.partitioner, *hash, plan.n_partitions);
    }
    hashes
}

/// The hash of each row's key, by which it finds its shard.
pub fn hashes(plan: &RepartitionPlan, rows: &RecordBatch) -> Vec<u32> {
    let hash_of = |key: &[u8]| hash(plan.partitioner, key);
    let columns: Vec<ArrayRef> = plan
        .key
        .iter()
        .map(|part| match part {
            KeyPart::Column(i) => rows.column(*i).clone(),
            KeyPart::Value(value) => value.evaluate(rows),
        })
        .map(one_zero)
        .collect();
    // Most keys are one text, which is its own key.
    if let [column] = columns.as_slice()
        && column.data_type() == &DataType::Utf8
    {
        let texts = column.as_string::<i32>();
        let text = |row| if texts.is_valid(row) { texts.value(row) } else { "" };
        return (0..texts.len()).map(|row| hash_of(text(row).as_bytes())).collect();
    }
    let n_columns = columns.len();
    if n_columns == 0 {
        return vec![hash_of(b""); rows.num_rows()];
    }
    let keys = RecordKeys::of(&columns_batch(columns), &(0..n_columns).collect::<Vec<_>>());
    (0..rows.num_rows())
        .map(|row| hash_of(keys.get(row).unwrap_or_default()))
        .collect()
}
