//! What must not change a result: neighbours, batches, what was read before, the filter.

use proptest::prelude::*;

use super::generate::{Random, Style, record};
use super::mutation::mutate;
use super::oracle::columns;
use super::{decode, decode_between, rows, schema, with_filter};
use crate::decode::predicate::{CompareOp, Literal, Predicate};
use crate::decode::{Cause, Decoded, RecordSchema};
use crate::json::JsonDecoder;

/// What became of each record: its time and, if it is a row, its cells; or why it is dead.
type Fates = Vec<Result<(i64, Option<Vec<String>>), Cause>>;

fn fates(decoded: &Decoded) -> Fates {
    let mut fates: Vec<_> = (0..decoded.spans.len() + decoded.dead.len()).map(|_| None).collect();
    let mut cells: Vec<_> = decoded.spans.iter().map(|_| None).collect();
    for (record, row) in decoded.row_records.iter().zip(rows(decoded)) {
        cells[*record as usize] = Some(row);
    }
    for ((span, time), cells) in decoded.spans.iter().zip(&decoded.event_times).zip(cells) {
        fates[*span as usize] = Some(Ok((*time, cells)));
    }
    for dead in &decoded.dead {
        fates[dead.span as usize] = Some(Err(dead.cause.clone()));
    }
    fates
        .into_iter()
        .map(|fate| fate.expect("each record has a fate"))
        .collect()
}

/// Records of which some are broken.
fn records(seed: u64, style: Style, broken: u64) -> Vec<Vec<u8>> {
    let random = &mut Random::new(seed);
    let one = |_| {
        let text = record(random, style).text.into_bytes();
        if random.percent(broken) {
            mutate(random, text)
        } else {
            text
        }
    };
    (0..30).map(one).collect()
}

fn a_schema(seed: u64, strict: bool) -> RecordSchema {
    let mut schema = RecordSchema {
        strict,
        ..schema(columns(seed.is_multiple_of(2)))
    };
    schema.whole_record = seed.is_multiple_of(3);
    schema
}

fn filter(seed: u64) -> Predicate {
    let text = |column, op, text: &str| Predicate::Compare {
        column,
        op,
        literal: Literal::Utf8(text.to_owned()),
    };
    let int = |column, op, number| Predicate::Compare {
        column,
        op,
        literal: Literal::Int64(number),
    };
    match seed % 6 {
        0 => text(0, CompareOp::Eq, "CRITICAL"),
        1 => Predicate::And(vec![text(0, CompareOp::Eq, "CRITICAL"), int(1, CompareOp::Gt, 1 << 30)]),
        2 => Predicate::Or(vec![text(9, CompareOp::Eq, "MAJOR"), int(1, CompareOp::LtEq, 1 << 38)]),
        3 => Predicate::IsNull {
            column: 10,
            negated: true,
        },
        4 => text(13, CompareOp::Lt, "5"),
        _ => Predicate::And(vec![text(0, CompareOp::Eq, "CRITICAL"), text(7, CompareOp::Eq, "a")]),
    }
}

/// The filter's answer from the cells of a row, with NULL as the test shows it.
fn is_true(predicate: &Predicate, row: &[String]) -> bool {
    match predicate {
        Predicate::And(parts) => parts.iter().all(|part| is_true(part, row)),
        Predicate::Or(parts) => parts.iter().any(|part| is_true(part, row)),
        Predicate::IsNull { column, negated } => (row[*column] == super::NULL) != *negated,
        Predicate::Compare { column, op, literal } => {
            let cell = &row[*column];
            if cell == super::NULL {
                return false;
            }
            let ordering = match literal {
                Literal::Utf8(text) => cell.as_bytes().cmp(text.as_bytes()),
                Literal::Int64(number) => cell.parse::<i64>().unwrap().cmp(number),
                _ => unreachable!("no other literals here"),
            };
            match op {
                CompareOp::Eq => ordering.is_eq(),
                CompareOp::Lt => ordering.is_lt(),
                CompareOp::LtEq => ordering.is_le(),
                CompareOp::Gt => ordering.is_gt(),
                _ => unreachable!("no other comparisons here"),
            }
        }
    }
}

fn style() -> impl Strategy<Value = Style> {
    (prop::sample::select(vec![0, 0, 5, 30]), any::<bool>()).prop_map(|(odd, duplicates)| Style { odd, duplicates })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 3))]

    #[test]
    fn neighbours_and_batches_change_nothing(
        seed in any::<u64>(), style in style(), strict in any::<bool>(), size in 1_usize..10, filtered in any::<bool>(),
        between in prop::sample::select(vec!["", "\n", ",", "}", "\"", "1", "\"}\n{\"ts\":1}"]),
    ) {
        let records = records(seed, style, 20);
        let mut schema = a_schema(seed, strict);
        schema.predicate = filtered.then(|| filter(seed));
        let whole = fates(&decode(schema.clone(), &records));

        let mut one_decoder = JsonDecoder::new(schema.clone());
        let batches = records.chunks(size).flat_map(|batch| fates(&decode_between(&mut one_decoder, batch, between)));
        prop_assert_eq!(&batches.collect::<Fates>(), &whole);

        let alone = records.iter().flat_map(|record| fates(&decode(schema.clone(), &[record])));
        prop_assert_eq!(&alone.collect::<Fates>(), &whole);
    }

    #[test]
    fn what_was_read_before_changes_nothing(seed in any::<u64>(), style in style(), strict in any::<bool>()) {
        let records = records(seed, style, 20);
        let mut decoder = JsonDecoder::new(a_schema(seed, strict));
        let learning = fates(&decode_between(&mut decoder, &records, "\n"));
        let again = fates(&decode_between(&mut decoder, &records, "\n"));
        let mut forgetful = JsonDecoder::new(a_schema(seed, strict));
        forgetful.forget_shapes();
        let forgetting = fates(&decode_between(&mut forgetful, &records, "\n"));
        prop_assert_eq!(&learning, &forgetting);
        prop_assert_eq!(&again, &forgetting);
    }

    #[test]
    fn the_filter_changes_only_which_records_are_rows(seed in any::<u64>(), style in style(), read in any::<u16>()) {
        let records = records(seed, style, 20);
        let schema = a_schema(seed, true);
        let all = fates(&decode(schema.clone(), &records));
        let filtered = fates(&decode(with_filter(filter(seed), schema.clone()), &records));
        let expected: Fates = all.iter().cloned().map(|fate| fate.map(|(time, row)| {
            (time, row.filter(|row| is_true(&filter(seed), row)))
        })).collect();
        prop_assert_eq!(&filtered, &expected);

        // Nor does it matter whether the rows have the columns that the filter reads.
        let mut fewer = with_filter(filter(seed), schema);
        for (at, column) in fewer.columns.iter_mut().enumerate() {
            column.read = read >> at & 1 == 1;
        }
        let of_rows = |row: Vec<String>| -> Vec<String> {
            row.into_iter().enumerate().filter(|(at, _)| fewer.columns.get(*at).is_none_or(|c| c.read)).map(|(_, cell)| cell).collect()
        };
        let expected: Fates =
            expected.into_iter().map(|fate| fate.map(|(time, row)| (time, row.map(of_rows)))).collect();
        prop_assert_eq!(&fates(&decode(fewer.clone(), &records)), &expected);
    }

    #[test]
    fn good_records_without_equal_keys_give_the_same_if_not_strict(seed in any::<u64>(), odd in 0_u64..40, filtered in any::<bool>()) {
        let records = records(seed, Style { odd, duplicates: false }, 0);
        let mut schema = a_schema(seed, true);
        schema.predicate = filtered.then(|| filter(seed));
        let strict = fates(&decode(schema.clone(), &records));
        let not_strict = fates(&decode(RecordSchema { strict: false, ..schema }, &records));
        for (strict, not_strict) in strict.into_iter().zip(not_strict) {
            // Declared fields of records that are dropped are not checked.
            if strict.is_ok() || !filtered {
                prop_assert_eq!(not_strict, strict);
            }
        }
    }
}
