//! What apache-avro writes is read back, and changed bytes harm no neighbour.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use proptest::prelude::*;

use super::{Alert, all_columns, decode, schema};
use crate::decode::RecordSchema;

fn alerts() -> impl Strategy<Value = Alert> {
    let text = || "[a-zé\"\\\\]{0,4}";
    let first = (
        0_i64..4_000_000_000_000,
        text(),
        0_u32..2,
        any::<Option<i32>>(),
        prop::num::f64::NORMAL,
        any::<bool>(),
    );
    let second = (
        prop::option::of((text(), 0_u32..2)),
        any::<i64>(),
        -999_999_i64..999_999,
        any::<i16>(),
        any::<[u8; 4]>(),
    );
    let third = (
        prop::collection::vec(text(), 0..3),
        prop::option::of(any::<Option<i64>>()),
    );
    (first, second, third).prop_map(|(first, second, third)| {
        let (ts, service, severity, count, latency, ok) = first;
        let (host, price, fee, day, sum) = second;
        let (tags, team) = third;
        let labels = team.into_iter().map(|team| ("team".to_owned(), team)).collect();
        let (day, ratio) = (day.into(), 0.25);
        Alert {
            ts,
            service,
            severity,
            count,
            latency,
            ratio,
            ok,
            host,
            price,
            fee,
            day,
            sum,
            tags,
            labels,
        }
    })
}

proptest! {
    #[test]
    fn what_apache_avro_writes_is_read_back(alert in alerts()) {
        let decoded = decode(schema(all_columns()), &[alert.encoded()]);
        prop_assert_eq!(&decoded.dead, &[]);
        prop_assert_eq!(decoded.event_times[0], alert.ts * 1_000);
        let text = |column: usize| decoded.rows.column(column).as_string::<i32>();
        prop_assert_eq!(text(0).value(0), alert.service);
        prop_assert_eq!(text(4).is_valid(0).then(|| text(4).value(0).to_owned()), alert.host.map(|(name, _)| name));
        let count = decoded.rows.column(2).as_primitive::<Int64Type>();
        prop_assert_eq!(count.is_valid(0).then(|| count.value(0)), alert.count.map(i64::from));
        prop_assert_eq!(decoded.rows.column(3).as_primitive::<Float64Type>().value(0), alert.latency);
        let price = i128::from(alert.price) * 10_000_000;
        prop_assert_eq!(decoded.rows.column(6).as_primitive::<Decimal128Type>().value(0), price);
        prop_assert_eq!(serde_json::from_str::<Vec<String>>(text(10).value(0)).unwrap(), alert.tags);
        let team = decoded.rows.column(11).as_primitive::<Int64Type>();
        prop_assert_eq!(team.is_valid(0).then(|| team.value(0)), alert.labels.first().and_then(|label| label.1));
        prop_assert!(serde_json::from_str::<serde_json::Value>(text(12).value(0)).unwrap().is_object());
    }

    #[test]
    fn a_changed_record_harms_neither_the_decoder_nor_its_neighbours(
        alerts in prop::collection::vec(alerts(), 1..5), changes in prop::collection::vec((any::<u16>(), any::<u8>()), 1..6), strict: bool,
    ) {
        let mut records: Vec<Vec<u8>> = alerts.iter().map(Alert::encoded).collect();
        for (at, byte) in changes {
            let record = usize::from(at) % records.len();
            // An earlier change may have left nothing of it.
            if records[record].is_empty() {
                continue;
            }
            let place = usize::from(at) / 7 % records[record].len();
            if byte == 0 { records[record].truncate(place) } else { records[record][place] ^= byte }
        }
        records.retain(|record| !record.is_empty());
        let wanted = || RecordSchema { strict, ..schema(all_columns()) };
        let together = decode(wanted(), &records);
        let (mut n_good, mut n_dead) = (0, 0);
        for record in &records {
            let alone = decode(wanted(), std::slice::from_ref(record));
            if alone.dead.is_empty() {
                prop_assert_eq!(together.rows.slice(n_good, 1), alone.rows);
                let object = together.rows.column(12).as_string::<i32>().value(n_good);
                prop_assert!(serde_json::from_str::<serde_json::Value>(object).is_ok(), "{}", object);
                n_good += 1;
            } else {
                prop_assert_eq!(&together.dead[n_dead].cause, &alone.dead[0].cause);
                n_dead += 1;
            }
        }
        prop_assert_eq!((n_good, n_dead), (together.spans.len(), together.dead.len()));
    }

    #[test]
    fn no_bytes_are_too_odd(values in prop::collection::vec(any::<u8>(), 0..80)) {
        let record = [&[0, 0, 0, 0, 1], values.as_slice()].concat();
        decode(schema(all_columns()), &[record]);
    }
}
