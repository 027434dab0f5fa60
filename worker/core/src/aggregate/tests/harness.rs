//! The rules that every function keeps, checked on random rows.

use std::sync::{Arc, OnceLock};

use arrow_array::*;
use arrow_schema::{DataType, Field, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::NullTreatment;
use proptest::prelude::*;

use super::super::{Accumulators, Aggregate, Call, resolve};

/// A call and what is to be expected of it.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) distinct: bool,
    pub(super) nulls: Option<NullTreatment>,
    pub(super) types: Vec<DataType>,
    pub(super) literals: Vec<Option<ScalarValue>>,
    /// Whether the order of records matters, so that splits must keep it.
    pub(super) ordered: bool,
    pub(super) invertible: bool,
    /// The call resolved, once it was needed.
    pub(super) resolved: OnceLock<Aggregate>,
}

impl Spec {
    pub(super) fn aggregate(&self) -> &Aggregate {
        self.resolved.get_or_init(|| self.resolve())
    }

    fn resolve(&self) -> Aggregate {
        let (name, distinct, nulls) = (self.name, self.distinct, self.nulls);
        let call = Call {
            name,
            distinct,
            nulls,
            order_by: None,
            arg_types: &self.types,
            literals: &self.literals,
        };
        resolve(&call).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A row with a value of each kind for each of two arguments.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: u32,
    pub(super) time: i64,
    pub(super) values: [Option<Value>; 2],
}

/// A value as each type may see it.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) int: i64,
    pub(super) float: f64,
    pub(super) text: String,
}

fn value() -> BoxedStrategy<Value> {
    let int = prop_oneof![4 => -3..4i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let float = prop_oneof![
        6 => super::exact::double(),
        3 => (-3..4i32).prop_map(f64::from),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]),
    ];
    let letter = prop::sample::select(vec!["", "a", "b", "c", "ä", "€", "a longer text "]);
    let text = prop_oneof![3 => letter.clone().prop_map(str::to_owned), 1 => (letter.clone(), letter).prop_map(|(a, b)| a.repeat(3) + b)];
    (int, float, text)
        .prop_map(|(int, float, text)| Value { int, float, text })
        .boxed()
}

/// Rows of few keys, far apart, with many equal times and values.
pub(super) fn rows(most: usize) -> BoxedStrategy<Vec<Row>> {
    let id = prop::sample::select(vec![0u32, 1, 2, 7, 100]);
    let time = prop_oneof![6 => -3..4i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let value = || prop::option::weighted(0.8, value());
    let row = (id, time, value(), value()).prop_map(|(id, time, a, b)| Row {
        id,
        time,
        values: [a, b],
    });
    prop::collection::vec(row.boxed(), 0..most).boxed()
}

/// The rows' values of an argument as an array.
pub(super) fn array(rows: &[Row], argument: usize, data_type: &DataType) -> ArrayRef {
    let values = || rows.iter().map(|row| row.values[argument].as_ref());
    let ints = || {
        values()
            .map(|value| value.map(|value| value.int))
            .collect::<Int64Array>()
    };
    match data_type {
        DataType::Float64 => Arc::new(
            values()
                .map(|value| value.map(|value| value.float))
                .collect::<Float64Array>(),
        ),
        DataType::Utf8 => Arc::new(
            values()
                .map(|value| value.map(|value| value.text.clone()))
                .collect::<StringArray>(),
        ),
        DataType::Utf8View => Arc::new(
            values()
                .map(|value| value.map(|value| value.text.clone()))
                .collect::<StringViewArray>(),
        ),
        DataType::LargeUtf8 => Arc::new(
            values()
                .map(|value| value.map(|value| value.text.clone()))
                .collect::<LargeStringArray>(),
        ),
        DataType::Boolean => Arc::new(
            values()
                .map(|value| value.map(|value| value.int % 2 == 0))
                .collect::<BooleanArray>(),
        ),
        DataType::Decimal128(precision, scale) => {
            let decimals = values().map(|value| value.map(|value| i128::from(value.int) * 1_000_000_007_000_000_000));
            let decimals = decimals.collect::<Decimal128Array>();
            Arc::new(decimals.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::UInt64 => Arc::new(
            values()
                .map(|value| value.map(|value| value.int as u64))
                .collect::<UInt64Array>(),
        ),
        DataType::Int32 => Arc::new(
            values()
                .map(|value| value.map(|value| value.int as i32))
                .collect::<Int32Array>(),
        ),
        DataType::Date32 => Arc::new(
            values()
                .map(|value| value.map(|value| value.int as i32))
                .collect::<Date32Array>(),
        ),
        DataType::Float32 => Arc::new(
            values()
                .map(|value| value.map(|value| value.float as f32))
                .collect::<Float32Array>(),
        ),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let times = values()
                .map(|value| value.map(|value| value.int))
                .collect::<TimestampMicrosecondArray>();
            Arc::new(times.with_timezone_opt(zone.clone()))
        }
        DataType::Duration(TimeUnit::Microsecond) => Arc::new(
            values()
                .map(|value| value.map(|value| value.int))
                .collect::<DurationMicrosecondArray>(),
        ),
        DataType::List(_) => {
            let lists = values().map(|value| value.map(|value| vec![Some(value.int), None]));
            Arc::new(ListArray::from_iter_primitive::<types::Int64Type, _, _>(lists))
        }
        _ => Arc::new(ints()),
    }
}

/// A list type.
pub(super) fn list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)))
}

/// Column arguments of the rows.
pub(super) fn arguments(spec: &Spec, rows: &[Row]) -> Vec<ArrayRef> {
    (0..spec.aggregate().columns())
        .map(|i| array(rows, i, &spec.types[i]))
        .collect()
}

pub(super) fn feed(column: &mut dyn Accumulators, spec: &Spec, rows: &[Row]) {
    let ids: Vec<u32> = rows.iter().map(|row| row.id).collect();
    let times: Vec<i64> = rows.iter().map(|row| row.time).collect();
    column.update(&ids, &times, &arguments(spec, rows));
}

fn column_of(spec: &Spec, rows: &[Row]) -> Box<dyn Accumulators> {
    let mut column = spec.aggregate().accumulators();
    feed(&mut *column, spec, rows);
    column
}

/// Ids in use, and some that never are.
pub(super) const IDS: [u32; 8] = [0, 1, 2, 3, 7, 99, 100, 200];

/// Results and saved states of all keys.
pub(super) fn outcome(column: &dyn Accumulators) -> (ArrayRef, Vec<Vec<u8>>) {
    let results = column.results(&IDS);
    assert_eq!(results.data_type(), &column.data_type());
    (results, IDS.iter().map(|id| saved(column, *id)).collect())
}

pub(super) fn saved(column: &dyn Accumulators, id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    column.save(id, &mut out);
    out
}

/// Checks all rules on rows that are split into parts at `cuts`.
pub(super) fn check(spec: &Spec, rows: &[Row], cuts: &[usize]) {
    let mut one_by_one = spec.aggregate().accumulators();
    rows.iter()
        .for_each(|row| feed(&mut *one_by_one, spec, std::slice::from_ref(row)));
    let expected = outcome(&*one_by_one);
    let same = |column: &dyn Accumulators, rule: &str| {
        let found = outcome(column);
        assert_eq!(found.0.to_data(), expected.0.to_data(), "{rule}: {spec:?}");
        // The bytes of DataFusion's states may differ for equal results (hash sets).
        if !spec.is_datafusion() {
            assert_eq!(found.1, expected.1, "{rule}, state: {spec:?}");
        }
    };
    let parts = split(rows, cuts);

    let mut batched = spec.aggregate().accumulators();
    batched.grow(3);
    parts.iter().for_each(|part| feed(&mut *batched, spec, part));
    same(&*batched, "batches");

    let columns: Vec<_> = parts.iter().map(|part| column_of(spec, part)).collect();
    same(&*merged(spec, columns.iter()), "merge");
    let mut backwards = spec.aggregate().accumulators();
    for part in columns.iter().rev() {
        let mut front = merged(spec, [part]);
        IDS.iter().for_each(|id| front.merge(*id, &*backwards));
        backwards = front;
    }
    same(&*backwards, "merge from the right");
    if !spec.ordered {
        same(&*merged(spec, columns.iter().rev()), "merge in another order");
    }

    assert_eq!(one_by_one.invertible(), spec.invertible);
    if spec.invertible {
        let mut column = column_of(spec, rows);
        let passing: Vec<_> = parts.iter().rev().map(|part| column_of(spec, part)).collect();
        passing
            .iter()
            .for_each(|part| IDS.iter().for_each(|id| column.merge(*id, &**part)));
        passing
            .iter()
            .rev()
            .for_each(|part| IDS.iter().for_each(|id| column.retract(*id, &**part)));
        same(&*column, "retract");
        columns
            .iter()
            .for_each(|part| IDS.iter().for_each(|id| column.retract(*id, &**part)));
        assert_eq!(
            outcome(&*column).1,
            outcome(&*spec.aggregate().accumulators()).1,
            "all retracted: {spec:?}"
        );
    }

    let mut reloaded = spec.aggregate().accumulators();
    for part in &parts {
        reloaded = load_again(spec, &*reloaded);
        feed(&mut *reloaded, spec, part);
    }
    same(&*load_again(spec, &*reloaded), "save and load");

    let mut cleared = column_of(spec, rows);
    IDS.iter().for_each(|id| cleared.clear(*id));
    let new = outcome(&*spec.aggregate().accumulators());
    assert_eq!(outcome(&*cleared).0.to_data(), new.0.to_data(), "clear: {spec:?}");
    assert_eq!(outcome(&*cleared).1, new.1, "clear: {spec:?}");
    feed(&mut *cleared, spec, rows);
    same(&*cleared, "after clear");

    let without_words: Vec<Row> = rows.iter().map(|row| without_words(spec, row)).collect();
    same(
        &*column_of(spec, &without_words),
        "NaN and infinities are NULL, -0.0 is 0.0",
    );
}

impl Spec {
    fn is_datafusion(&self) -> bool {
        super::super::allowed::ALLOWED
            .iter()
            .any(|allowed| allowed.name == self.name)
    }
}

fn without_words(spec: &Spec, row: &Row) -> Row {
    let mut row = row.clone();
    let arguments = spec.types.iter().take(spec.aggregate().columns());
    for (value, _) in row
        .values
        .iter_mut()
        .zip(arguments)
        .filter(|(_, ty)| **ty == DataType::Float64)
    {
        match value {
            Some(held) if !held.float.is_finite() => *value = None,
            Some(held) => held.float += 0.0,
            None => {}
        }
    }
    row
}

fn split<'a>(rows: &'a [Row], cuts: &[usize]) -> Vec<&'a [Row]> {
    let mut at: Vec<usize> = cuts
        .iter()
        .map(|cut| cut % (rows.len() + 1))
        .chain([0, rows.len()])
        .collect();
    at.sort_unstable();
    at.windows(2).map(|pair| &rows[pair[0]..pair[1]]).collect()
}

fn merged<'a>(spec: &Spec, parts: impl IntoIterator<Item = &'a Box<dyn Accumulators>>) -> Box<dyn Accumulators> {
    let mut column = spec.aggregate().accumulators();
    parts
        .into_iter()
        .for_each(|part| IDS.iter().for_each(|id| column.merge(*id, &**part)));
    column
}

fn load_again(spec: &Spec, column: &dyn Accumulators) -> Box<dyn Accumulators> {
    let mut loaded = spec.aggregate().accumulators();
    for id in IDS {
        let bytes = saved(column, id);
        let rest = &mut bytes.as_slice();
        loaded.load(id, rest).unwrap();
        assert!(rest.is_empty(), "{spec:?}");
    }
    loaded
}
