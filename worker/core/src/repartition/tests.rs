//! One shard's side of it. What shards come to together is in `tests/repartition.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use tocsin_contract::pipeline::source::Partitioner;

use super::*;
use crate::plan::repartition::KeyPart;
use crate::stage::lateness::Lateness;
use crate::state::encode;

const IDLE: Micros = 30;

fn shard(number: u32, claimed: bool) -> Repartition {
    let columns = Arc::new(Schema::new(vec![Field::new("k", DataType::Utf8, true)]));
    let plan = RepartitionPlan {
        n_steps: 0,
        columns,
        combined: None,
        key: vec![KeyPart::Column(0)],
        partitioner: Partitioner::Murmur2,
        n_partitions: 2,
        claimed,
        idle_timeout: IDLE,
        lateness: Lateness::Behind(0),
    };
    Repartition::of(plan, "kpis", 1, false, number)
}

/// Rows with these keys, all at the watermark behind them.
fn part(of: &Repartition, keys: &[&str], watermark: Micros) -> Batch {
    let rows = RecordBatch::try_new(
        Arc::clone(&of.plan.columns),
        vec![Arc::new(StringArray::from(keys.to_vec()))],
    );
    Batch {
        rows: rows.unwrap(),
        times: vec![watermark; keys.len()],
        watermarks: vec![NO_WATERMARK; keys.len()],
        watermark,
        ended: None,
    }
}

/// A key of each of two shards.
fn keys() -> [String; 2] {
    let of = |shard: u32| {
        let mut keys = (0..100).map(|i| format!("k{i}"));
        let is_there = |key: &String| {
            let hash = crate::kafka::partitioner::hash(Partitioner::Murmur2, key.as_bytes());
            hash % 2 == shard
        };
        keys.find(is_there).unwrap()
    };
    [of(0), of(1)]
}

fn deal(shard: &mut Repartition, keys: &[&str], watermark: Micros) -> Batch {
    let part = part(shard, keys, watermark);
    shard.deal(vec![part]).parts.remove(0)
}

#[test]
fn rows_go_to_the_shard_of_their_key_and_the_watermark_is_the_least() {
    let [own, other] = keys();
    let (mut first, mut second) = (shard(0, false), shard(1, false));
    let here = deal(&mut first, &[&own, &other, &other], 50);
    assert_eq!((here.n_rows(), here.watermark), (1, NO_WATERMARK));
    let records = first.take_records(0, None);
    assert_eq!(records.len(), 1);
    assert!(!first.is_due() && first.pending_bytes() == 0);
    deal(&mut second, &[], 40);
    let came = second.arrive(&records[0].1, 0).unwrap().unwrap();
    assert_eq!(
        (came.shard, came.parts[0].n_rows(), came.parts[0].watermark),
        (0, 2, 40)
    );
    assert_eq!(deal(&mut second, &[], 70).watermark, 50, "the other is at 50");
    assert_eq!((first.elsewhere(), second.elsewhere()), (NO_WATERMARK, 50));
}

#[test]
fn a_watermark_that_has_not_moved_is_not_told_again() {
    let mut first = shard(0, false);
    deal(&mut first, &[], 50);
    assert_eq!(first.take_records(0, None).len(), 1);
    deal(&mut first, &[], 50);
    assert!(!first.is_due() && first.take_records(0, None).is_empty());
}

#[test]
fn many_rows_become_several_records_and_the_watermark_comes_with_the_last() {
    let [_, other] = keys();
    let (mut first, mut second) = (shard(0, false), shard(1, false));
    let many = vec![other.as_str(); 200_000];
    deal(&mut first, &many, 50);
    let records = first.take_records(0, None);
    assert!(records.len() > 2, "{} records", records.len());
    assert!(records.iter().all(|(_, record)| record.len() < 4 * RECORD_BYTES));
    deal(&mut second, &[], 40);
    let mut n_rows = 0;
    for (i, (_, record)) in records.iter().enumerate() {
        let came = second.arrive(record, 0).unwrap().unwrap().parts.remove(0);
        n_rows += came.n_rows();
        let is_last = i + 1 == records.len();
        assert_eq!(came.watermark == 40, is_last, "record {i}");
    }
    assert_eq!(n_rows, many.len());
}

#[test]
fn who_sends_what_is_misplaced_is_waited_for_until_it_has_been_right_for_a_time() {
    let [_, other] = keys();
    let (mut first, mut second) = (shard(0, true), shard(1, true));
    assert_eq!(deal(&mut first, &[], 50).watermark, 50, "nobody is waited for");
    assert_eq!(first.elsewhere(), END);
    assert!(!first.is_due());
    deal(&mut first, &[&other], 60);
    assert_eq!(first.n_misplaced(), Some(1));
    let mut tell = |watermark: Micros, second: &mut Repartition| {
        deal(&mut first, &[], watermark);
        let records = first.take_records(0, None);
        for (_, record) in &records {
            second.arrive(record, 0).unwrap();
        }
        records.len()
    };
    assert_eq!(tell(60, &mut second), 1);
    assert_eq!(deal(&mut second, &[], 100).watermark, 60);
    assert_eq!(tell(61 + IDLE, &mut second), 1);
    assert_eq!(deal(&mut second, &[], 110).watermark, 110);
    assert_eq!(tell(200, &mut second), 0);
}

#[test]
fn who_is_idle_is_not_waited_for_until_it_gives_something() {
    let [own, _] = keys();
    let (mut first, mut second) = (shard(0, false), shard(1, false));
    let tell = |second: &mut Repartition, first: &mut Repartition| {
        let records = second.take_records(0, None);
        let told = records
            .iter()
            .map(|(_, record)| first.arrive(record, 0).unwrap().unwrap());
        told.map(|dealt| dealt.parts[0].n_rows()).sum::<usize>()
    };
    deal(&mut second, &[], 40);
    tell(&mut second, &mut first);
    assert_eq!(deal(&mut first, &[], 50).watermark, 40);
    assert_eq!(first.active_elsewhere(), Some(40));
    second.set_idle(true);
    assert!(second.is_due());
    tell(&mut second, &mut first);
    assert_eq!(deal(&mut first, &[], 70).watermark, 70);
    assert_eq!(first.active_elsewhere(), None);
    // How far it goes with the others is nobody's business.
    deal(&mut second, &[], 60);
    assert!(!second.is_due());
    second.set_idle(false);
    deal(&mut second, &[&own], 75);
    assert_eq!(tell(&mut second, &mut first), 1);
    assert_eq!(deal(&mut first, &[], 90).watermark, 75);
}

#[test]
fn who_is_known_to_be_idle_is_so_when_its_state_is_taken_back() {
    let mut before = shard(0, false);
    deal(&mut before, &[], 50);
    before.set_idle(true);
    before.take_records(0, None);
    let mut after = shard(0, false);
    after.load(&before.save()).unwrap();
    assert!(after.is_due(), "it is not idle, as far as it knows");
    after.set_idle(true);
    assert!(!after.is_due());
}

#[test]
fn what_was_late_where_it_was_read_goes_nowhere() {
    let [own, other] = keys();
    let mut first = shard(0, false);
    let mut late = part(&first, &[&own, &other], 50);
    late.watermarks = vec![60; 2];
    let dealt = first.deal(vec![late]);
    assert_eq!(
        (dealt.parts[0].n_rows(), dealt.late[0].n_rows(), first.pending_bytes()),
        (0, 2, 0)
    );
}

#[test]
fn what_an_earlier_version_wrote_is_read() {
    let [_, other] = keys();
    let (mut first, mut second) = (shard(0, false), shard(1, false));
    deal(&mut first, &[&other], 50);
    let (_, record) = first.take_records(0, None).remove(0);
    let record = DealtRecord {
        form: None,
        ..DealtRecord::decode(&record).unwrap()
    };
    let without_end = [vec![1], encode(&record)].concat();
    let without_form = [vec![2], encode(&(&record, record.end))].concat();
    for earlier in [without_end, without_form] {
        assert_eq!(DealtRecord::decode(&earlier), Ok(record.clone()));
        second.arrive(&earlier, 0).unwrap();
    }
    let states: Vec<&State> = second.inputs.iter().map(|input| &input.state).collect();
    let first = (second.identity(), states);
    let with_ends = (&first, &second.ends);
    for saved in [
        encode(&first),
        encode(&with_ends),
        encode(&(&with_ends, false)),
        second.save(),
    ] {
        let mut loaded = shard(1, false);
        loaded.load(&saved).unwrap();
        assert_eq!(deal(&mut loaded, &[], 60).watermark, 50);
    }
}

#[test]
fn an_end_counts_until_more_comes() {
    let [_, other] = keys();
    let (mut first, mut second) = (shard(0, true), shard(1, true));
    let (_, end) = first.take_records(0, Some(3)).remove(0);
    assert!(!second.are_ended() && !first.end_is_due());
    second.arrive(&end, 0).unwrap();
    assert!(second.are_ended());
    first.go_on();
    deal(&mut first, &[&other], 50);
    let (_, more) = first.take_records(0, None).remove(0);
    second.arrive(&more, 0).unwrap();
    assert!(!second.are_ended() && first.end_is_due());
}

#[test]
fn a_record_of_somebody_else_is_told_and_changes_nothing() {
    let [_, other] = keys();
    let (mut first, mut second) = (shard(0, false), shard(1, false));
    deal(&mut first, &[&other], 50);
    let (_, record) = first.take_records(0, None).remove(0);
    for cut in 0..record.len() {
        assert!(second.arrive(&record[..cut], 0).is_err(), "{cut} bytes");
    }
    assert!(matches!(second.arrive(b"hello", 0), Err(NotTaken::Corrupt(_))));
    assert!(
        matches!(second.arrive(b"\x04hello", 0), Err(NotTaken::Otherwise(_))),
        "of a newer version"
    );
    let own = DealtRecord {
        from: 1,
        ..DealtRecord::decode(&record).unwrap()
    };
    assert!(second.arrive(&own.encode(), 0).is_err(), "its own");
    assert!(second.arrive(&record, 1).unwrap().is_none(), "of an earlier run epoch");
    deal(&mut second, &[], 40);
    assert_eq!(deal(&mut second, &[], 45).watermark, NO_WATERMARK);
}

/// Another text, and no pipeline could go on with what is on its way: it never changes.
#[test]
fn a_form_is_the_same_in_each_build() {
    let of = |data_type: DataType| {
        let mut shard = shard(0, false);
        let fields = vec![Field::new("k", DataType::Utf8, true), Field::new("v", data_type, true)];
        shard.plan.columns = Arc::new(Schema::new(fields));
        format!("{} {:016x}", shard.plan.form(), shard.plan.form_number())
    };
    let micros = DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("UTC".into()));
    let types = [
        DataType::Utf8,
        DataType::Int64,
        DataType::UInt64,
        DataType::Float64,
        DataType::Boolean,
        micros,
    ];
    let forms: Vec<String> = types.into_iter().map(of).collect();
    expect_test::expect![[r#"
        [k] by Murmur2 of (k: Utf8, v: Utf8) 2fdc83d973867e81
        [k] by Murmur2 of (k: Utf8, v: Int64) cab1fcca1d471b64
        [k] by Murmur2 of (k: Utf8, v: UInt64) b6d732cf33c1c507
        [k] by Murmur2 of (k: Utf8, v: Float64) e862837e87f071ca
        [k] by Murmur2 of (k: Utf8, v: Boolean) b083e36f9890881f
        [k] by Murmur2 of (k: Utf8, v: Timestamp(µs, "UTC")) 184c53a2562fc546"#]]
    .assert_eq(&forms.join("\n"));
}
