//! Rows of several inputs, in one order and in several.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow_array::StringArray;
use arrow_schema::{Field, Schema};
use proptest::prelude::*;

use super::*;

const ENDED: Option<Micros> = Some(1_000);

/// A part with these rows; a row's text says when it was.
fn part(schema: &SchemaRef, times: &[Micros], ended: bool) -> Batch {
    let texts: StringArray = times.iter().map(|time| Some(format!("{time:010}"))).collect();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|_| Arc::new(texts.clone()) as ArrayRef)
        .collect();
    Batch {
        rows: record_batch(schema, columns, times.len()),
        times: times.to_vec(),
        watermarks: vec![NO_WATERMARK; times.len()],
        watermark: if ended { END } else { NO_WATERMARK },
        ended: if ended { ENDED } else { None },
    }
}

/// Inputs 0 and 2 come of one source, and 1 of another.
#[test]
fn rows_that_are_taken_as_they_come_wait_for_their_own_source_alone_and_the_stream_is_as_far_as_the_least() {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("at", DataType::Utf8, true)]));
    let mut merge = Merge::of(Arc::clone(&schema), vec![0, 1, 0], true);
    let at = |watermark: Micros, times: &[Micros]| Batch {
        watermark,
        watermarks: vec![watermark - 10; times.len()],
        ..part(&schema, times, false)
    };
    let none = |watermark: Micros| Batch::empty(Arc::clone(&schema), watermark);
    let mut given = |parts: [Batch; 3]| {
        let batch = merge.process(Vec::from(parts));
        (batch.times, batch.watermarks, batch.watermark)
    };
    let nowhere = NO_WATERMARK;
    let waits = given([at(20, &[15, 12]), none(nowhere), none(nowhere)]);
    assert_eq!(waits, (vec![], vec![], nowhere), "input 2 is waited for");
    let at_once = given([none(20), at(50, &[41, 45]), none(nowhere)]);
    assert_eq!(at_once, (vec![41, 45], vec![nowhere; 2], nowhere));
    let by_watermark = given([none(20), none(50), at(14, &[13])]);
    assert_eq!(by_watermark, (vec![13, 15, 12], vec![4, 10, 10], 14));
    let behind = given([none(90), none(50), at(90, &[85])]);
    assert_eq!(behind, (vec![85], vec![50], 50));
    assert_eq!(given([none(90), at(95, &[60]), none(90)]), (vec![60], vec![85], 90));
}

/// Merges three rows of two inputs in one go; answers with the times of each batch that came out.
fn merged(columns: &[&str], most_text: usize) -> Vec<Vec<Micros>> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, true))
        .collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let mut merge = Merge::of(schema.clone(), vec![0; 2], false);
    merge.most_text = most_text;
    let mut parts = vec![part(&schema, &[1, 5, 9], true), part(&schema, &[2, 6, 7], true)];
    let mut batches = Vec::new();
    loop {
        let batch = merge.process(parts);
        if !columns.is_empty() {
            let texts: Vec<i64> = batch
                .rows
                .column(0)
                .as_string::<i32>()
                .iter()
                .map(|text| text.unwrap().parse().unwrap())
                .collect();
            assert_eq!(texts, batch.times);
        }
        let next = merge.waiting[0].peek().map(|Reverse(place)| place.at);
        assert_eq!(
            batch.watermark,
            next.unwrap_or(END),
            "no further than what is left over"
        );
        assert_eq!(
            batch.ended.is_some(),
            next.is_none(),
            "the end comes behind the last row"
        );
        batches.push(batch.times);
        if !merge.has_more() {
            assert!(merge.is_empty());
            return batches;
        }
        parts = vec![part(&schema, &[], true), part(&schema, &[], true)];
    }
}

#[test]
fn more_text_than_a_column_holds_comes_out_in_parts() {
    assert_eq!(merged(&["a"], 60), [vec![1, 2, 5, 6, 7, 9]]);
    assert_eq!(merged(&["a"], 59), [vec![1, 2, 5, 6, 7], vec![9]]);
    assert_eq!(merged(&["a", "b"], 40), [[1, 2], [5, 6], [7, 9]]);
    // A row that is larger than a part comes out alone.
    assert_eq!(merged(&["a"], 5), [[1], [2], [5], [6], [7], [9]]);
}

#[test]
fn streams_without_columns_are_merged() {
    assert_eq!(merged(&[], 5), [vec![1, 2, 5, 6, 7, 9]]);
}

proptest! {
    /// A merge that is saved and brought back between any two parts goes on as the one that never was: with batches of which
    /// some rows are given out, with rows of one place, and whether rows wait for the watermark or are taken as they come.
    #[test]
    fn a_merge_that_is_brought_back_goes_on_as_if_nothing_had_been(
        steps in prop::collection::vec((prop::collection::vec(0i64..40, 0..6), prop::collection::vec(0i64..40, 0..6), any::<bool>()), 1..12),
        as_they_come: bool,
    ) {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("at", DataType::Utf8, true)]));
        let new = || Merge::of(Arc::clone(&schema), vec![0, 0], as_they_come);
        let (mut whole, mut saved) = (new(), new());
        // The first goes ahead of the second, so that rows wait.
        let mut ahead = [0, 0];
        for (step, (first, second, is_saved)) in (0i64..).zip(steps) {
            let parts: Vec<Batch> = [(first, 9), (second, 6)]
                .into_iter()
                .enumerate()
                .map(|(input, (times, pace))| {
                    let before = std::mem::replace(&mut ahead[input], (step + 1) * pace);
                    let times: Vec<Micros> = times.iter().map(|time| before + time).collect();
                    Batch {
                        watermark: ahead[input],
                        watermarks: vec![before; times.len()],
                        ..part(&schema, &times, false)
                    }
                })
                .collect();
            if is_saved {
                let bytes = saved.capture()();
                saved = new();
                saved.restore(&[&bytes]).unwrap();
            }
            let (expected, found) = (whole.process(parts.clone()), saved.process(parts));
            prop_assert_eq!(found.times, expected.times);
            prop_assert_eq!(found.watermarks, expected.watermarks);
            prop_assert_eq!(found.rows, expected.rows);
            prop_assert_eq!(found.watermark, expected.watermark);
        }
    }

    #[test]
    fn any_bytes_are_a_merge_or_an_error(bytes: Vec<u8>) {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("at", DataType::Utf8, true)]));
        let _ = Merge::of(schema, vec![0, 0], false).restore(&[&bytes]);
    }
}
