//! Any bytes: records do not harm their neighbours, and messages are read as another parser reads them.

use arrow_array::cast::AsArray;
use proptest::prelude::*;

use super::{column, decode, decode_with, schema};
use crate::decode::{Arrived, ColumnType, Origin};

fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let new = "<[0-9]{1,3}>1 (-|2003-10-1[0-9]T22:14:15(\\.5)?Z) [a-z-]{1,3} [a-z-]{1,3} (-|7) - (-|\\[a b=\"[a-z\\\\\\]]{0,3}\"\\])( [ -~é]{0,9})?";
    // The other parser takes `-` and `[` at the beginning of a text for structured data, which RFC 3164 does not have.
    let old = "(<[0-9]{1,3}>)?Oct [ 12][0-9] 22:14:15 [a-z]{1,3} [a-z]{1,3}(\\[[0-9]\\])?: ([a-z][ -~é]{0,8})?";
    let odd = prop::collection::vec(
        prop::sample::select(b"<134>Oct 11 22:14:15 []:=-\"\\\xff\n".to_vec()),
        0..40,
    );
    let one = prop_oneof![
        3 => new.prop_map(String::into_bytes),
        3 => old.prop_map(String::into_bytes),
        1 => odd,
    ];
    prop::collection::vec(one, 1..12)
}

proptest! {
    #[test]
    fn what_becomes_of_a_record_does_not_depend_on_its_neighbours(records in records()) {
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let wanted = || schema(vec![column("hostname", ColumnType::Utf8, Origin::Key)]);
        let together = decode(wanted(), &records);
        let (mut n_good, mut n_dead) = (0, 0);
        for record in &records {
            let alone = decode(wanted(), &[record]);
            if alone.dead.is_empty() {
                prop_assert_eq!(together.event_times[n_good], alone.event_times[0]);
                prop_assert_eq!(together.rows.slice(n_good, 1), alone.rows);
                n_good += 1;
            } else {
                prop_assert_eq!(&together.dead[n_dead].cause, &alone.dead[0].cause);
                n_dead += 1;
            }
        }
        prop_assert_eq!((n_good, n_dead), (together.spans.len(), together.dead.len()));
    }

    #[test]
    fn messages_are_read_as_another_parser_reads_them(records in records()) {
        use syslog_loose::{ProcId, Variant};
        for record in &records {
            let Ok(text) = std::str::from_utf8(record) else { continue };
            let decoded = decode_with(schema(vec![]), Some(2003), Arrived::Unknown, &[record]);
            let Ok(theirs) = syslog_loose::parse_message_with_year_exact(text, |_| 2003, Variant::Either) else { continue };
            let (Some(time), Some(ours)) = (theirs.timestamp, decoded.event_times.first()) else { continue };
            if text.starts_with("Oct") || text.contains(['\n', '\0', '\\']) {
                continue;
            }
            prop_assert_eq!(*ours, time.timestamp_micros(), "{}", text);
            let object = decoded.rows.column(0).as_string::<i32>().value(0);
            let ours: serde_json::Value = serde_json::from_str(object).unwrap();
            prop_assert_eq!(ours["hostname"].as_str(), theirs.hostname, "{}", text);
            prop_assert_eq!(ours["app_name"].as_str(), theirs.appname, "{}", text);
            let theirs_id = theirs.procid.map(|id| match id {
                ProcId::PID(id) => id.to_string(),
                ProcId::Name(name) => name.to_owned(),
            });
            prop_assert_eq!(ours["proc_id"].as_str(), theirs_id.as_deref(), "{}", text);
            prop_assert_eq!(ours["message"].as_str().unwrap_or_default().trim(), theirs.msg.trim(), "{}", text);
        }
    }

    #[test]
    fn no_bytes_are_too_odd(record in prop::collection::vec(any::<u8>(), 0..80), year: Option<i32>, arrived: i64) {
        decode_with(schema(vec![]), year, Arrived::At(arrived), &[&record]);
        decode_with(schema(vec![]), year, Arrived::Unknown, &[&record]);
    }
}
