//! Schemas and blocks as few encoders write them, and records that would go on without end.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use tocsin_contract::pipeline::source::TimeUnit;

use super::{DECLARED, avro, column, push, schema};
use crate::avro::AvroDecoder;
use crate::decode::{Cause, ColumnType, Decoder};

#[test]
fn a_schema_that_names_itself_is_read_to_a_bounded_depth() {
    let list = r#"{"type": "record", "name": "Node", "fields": [
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "next", "type": ["null", "Node"]}]}"#;
    let mut decoder = AvroDecoder::new(schema(vec![column(
        "next.next.ts",
        ColumnType::Timestamp(TimeUnit::Seconds),
        DECLARED,
    )]));
    decoder.learn(1, &avro(list));
    let record = |n: usize| [vec![0, 0, 0, 0, 1], [2, 2].repeat(n), vec![2, 0]].concat();
    let decoded = push(&mut decoder, &[record(3), record(0), record(100_000)]);
    assert_eq!(decoded.spans, [0, 1]);
    assert_eq!(decoded.dead[0].cause, Cause::TooDeep);
    let times = decoded.rows.column(0).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.iter().collect::<Vec<_>>(), [Some(1_000), None]);
    let endless = r#"{"type": "record", "name": "R", "fields": [{"name": "r", "type": "R"}]}"#;
    decoder.learn(1, &avro(endless));
    assert_eq!(push(&mut decoder, &[record(0)]).dead[0].cause, Cause::TooDeep);
}

#[test]
fn values_that_take_no_bytes_do_not_go_on_without_end() {
    let nulls =
        r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}"#;
    let mut decoder = AvroDecoder::new(schema(vec![]));
    decoder.learn(1, &avro(nulls));
    let record = [&[0, 0, 0, 0, 1], [0xfe; 7].as_slice(), &[1, 0]].concat();
    let dead = push(&mut decoder, &[record]).dead;
    assert_eq!(
        dead[0].cause.to_string(),
        "syntax error at byte 5: more values than the record can hold"
    );
}

#[test]
fn a_block_that_says_its_size_is_read_too() {
    let text = r#"{"type": "record", "name": "R", "fields": [
        {"name": "ts", "type": "long"}, {"name": "a", "type": {"type": "array", "items": "long"}}]}"#;
    let mut decoder = AvroDecoder::new(schema(vec![column("a", ColumnType::Json, DECLARED)]));
    decoder.learn(1, &avro(text));
    // Two items in two bytes, then one, then none.
    let decoded = push(&mut decoder, &[vec![0, 0, 0, 0, 1, 2, 3, 4, 2, 4, 2, 6, 0]]);
    assert_eq!(decoded.dead, []);
    assert_eq!(decoded.rows.column(0).as_string::<i32>().value(0), "[1,2,3]");
}

#[test]
fn a_uuid_takes_the_bytes_of_its_type() {
    let text = r#"{"type": "record", "name": "R", "fields": [
        {"name": "a", "type": {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}},
        {"name": "b", "type": {"type": "string", "logicalType": "uuid"}}, {"name": "ts", "type": "long"}]}"#;
    let mut decoder = AvroDecoder::new(schema(vec![column("b", ColumnType::Utf8, DECLARED)]));
    decoder.learn(1, &avro(text));
    let record = [&[0, 0, 0, 0, 1], [7; 16].as_slice(), &[4, b'i', b'd', 2]].concat();
    let decoded = push(&mut decoder, &[record]);
    assert_eq!(decoded.dead, []);
    assert_eq!(decoded.event_times, [1_000]);
    assert_eq!(decoded.rows.column(0).as_string::<i32>().value(0), "id");
}
