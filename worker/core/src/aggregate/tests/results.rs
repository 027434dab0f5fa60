//! Results of single calls on rows written out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::*;
use arrow_schema::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::NullTreatment;

use super::super::{Aggregate, AggregateError, Call, Order, build, resolve};

fn floats(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

/// The result of a function on one key's rows, as text.
fn result(name: &str, distinct: bool, args: &[ArrayRef], literals: &[Option<ScalarValue>], times: &[i64]) -> String {
    let types: Vec<DataType> = args.iter().map(|array| array.data_type().clone()).collect();
    let mut column = build(name, distinct, &types, literals).unwrap();
    column.update(&vec![0; times.len()], times, args);
    let results = column.results(&[0]);
    ScalarValue::try_from_array(&results, 0).unwrap().to_string()
}

#[test]
fn functions_of_doubles_give_their_values() {
    let x = floats(&[Some(1.0), None, Some(4.0), Some(f64::NAN), Some(1.0), Some(-0.0)]);
    let y = floats(&[Some(2.0), Some(9.0), Some(8.0), Some(1.0), Some(2.0), Some(0.0)]);
    let cases = [
        ("count", false, "4"),
        ("sum", false, "6"),
        ("avg", false, "1.5"),
        ("min", false, "0"),
        ("max", false, "4"),
        ("distinct", false, "3"),
        ("count", true, "3"),
        ("sum", true, "5"),
        ("var", false, "3"),
        ("var_pop", false, "2.25"),
        ("stddev_pop", false, "1.5"),
        ("median", false, "1"),
        ("first", false, "1"),
        ("last", false, "0"),
    ];
    for (name, distinct, expected) in cases {
        assert_eq!(
            result(name, distinct, &[Arc::clone(&x)], &[], &[0; 6]),
            expected,
            "{name}"
        );
    }
    // y = 2x without the rows in which x is no number.
    let pairs = [
        ("regr_slope", "2"),
        ("regr_intercept", "0"),
        ("corr", "1"),
        ("regr_count", "4"),
        ("regr_r2", "1"),
    ];
    for (name, expected) in pairs
        .into_iter()
        .chain([("covar_pop", "4.5"), ("covar_samp", "6"), ("regr_avgx", "1.5")])
    {
        let args = [Arc::clone(&y), Arc::clone(&x)];
        assert_eq!(result(name, false, &args, &[], &[0; 6]), expected, "{name}");
    }
}

#[test]
fn a_key_without_values_has_null_or_a_count_of_zero() {
    let none = [floats(&[None, Some(f64::INFINITY)])];
    for name in [
        "sum",
        "avg",
        "min",
        "max",
        "var",
        "stddev_pop",
        "first",
        "last",
        "median",
        "p99",
    ] {
        assert_eq!(result(name, false, &none, &[], &[0; 2]), "NULL", "{name}");
    }
    assert_eq!(result("count", false, &none, &[], &[0; 2]), "0");
    assert_eq!(result("distinct", false, &none, &[], &[0; 2]), "0");
    assert_eq!(result("var", false, &[floats(&[Some(1.0)])], &[], &[0]), "NULL");
    assert_eq!(result("var_pop", false, &[floats(&[Some(1.0)])], &[], &[0]), "0");
}

#[test]
fn a_large_mean_does_not_cancel_a_small_variance() {
    let values: Vec<Option<f64>> = [4.0, 7.0, 13.0, 16.0].iter().map(|value| Some(1e15 + value)).collect();
    assert_eq!(result("var", false, &[floats(&values)], &[], &[0; 4]), "30");
}

#[test]
fn integers_beyond_their_type_are_null_and_decimals_keep_their_digits() {
    let large: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
    assert_eq!(result("sum", false, &[Arc::clone(&large)], &[], &[0; 2]), "NULL");
    assert_eq!(
        result("sum", false, &[large.slice(0, 1)], &[], &[0]),
        i64::MAX.to_string()
    );
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX - 1, 1]));
    assert_eq!(result("sum", false, &[unsigned], &[], &[0; 2]), u64::MAX.to_string());
    let decimal = |values: Vec<i128>, precision| -> ArrayRef {
        Arc::new(
            Decimal128Array::from(values)
                .with_precision_and_scale(precision, 2)
                .unwrap(),
        )
    };
    let cents = decimal(vec![100, 100, 101], 10);
    let mut column = build("avg", false, &[cents.data_type().clone()], &[]).unwrap();
    assert_eq!(column.data_type(), DataType::Decimal128(14, 6));
    column.update(&[0; 3], &[0; 3], &[cents]);
    assert_eq!(
        column.results(&[0]).as_primitive::<Decimal128Type>().value(0),
        1_003_333
    );
    let nines = 10i128.pow(38) - 1;
    assert_eq!(
        result("sum", false, &[decimal(vec![nines, nines, -nines], 38)], &[], &[0; 3]),
        "999999999999999999999999999999999999.99"
    );
    assert_eq!(
        result("sum", false, &[decimal(vec![nines, 1], 38)], &[], &[0; 2]),
        "NULL"
    );
}

#[test]
fn first_and_last_go_by_event_time_and_ties_by_the_order_of_records() {
    let names: ArrayRef = Arc::new(StringArray::from(vec![
        Some("c"),
        Some("a"),
        None,
        Some("b"),
        Some("d"),
        None,
    ]));
    let times = [5, 2, 1, 2, 5, 9];
    assert_eq!(result("first", false, &[Arc::clone(&names)], &[], &times), "a");
    assert_eq!(result("last", false, &[Arc::clone(&names)], &[], &times), "d");
    let types = [DataType::Utf8];
    let nulls = Some(NullTreatment::RespectNulls);
    let call = Call {
        name: "last",
        distinct: false,
        nulls,
        order_by: None,
        arg_types: &types,
        literals: &[],
    };
    let mut column = resolve(&call).unwrap().accumulators();
    column.update(&[0; 6], &times, &[names]);
    assert!(column.results(&[0]).is_null(0));
}

#[test]
fn extremes_and_firsts_keep_the_type_of_their_argument() {
    let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![5, -3]).with_timezone("UTC"));
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![3, 2]));
    let limits: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, i64::MIN]));
    let names: ArrayRef = Arc::new(StringViewArray::from(vec!["b", "a"]));
    for (array, data_type) in [
        (times, zone),
        (flags, DataType::Boolean),
        (dates, DataType::Date32),
        (limits, DataType::Int64),
        (names, DataType::Utf8View),
    ] {
        for (name, row) in [("min", 1), ("max", 0), ("first", 0), ("last", 1)] {
            let mut column = build(name, false, std::slice::from_ref(&data_type), &[]).unwrap();
            column.update(&[4, 4], &[0, 0], &[Arc::clone(&array)]);
            assert_eq!(
                column.results(&[4]).to_data(),
                array.slice(row, 1).to_data(),
                "{name} of {data_type}"
            );
        }
    }
}

#[test]
fn a_descending_percentile_counts_from_the_other_end() {
    let types = [DataType::Float64, DataType::Float64];
    let literals = [None, Some(ScalarValue::Float64(Some(0.25)))];
    for (order, expected) in [(Order::Ascending, 20.0), (Order::Descending, 40.0)] {
        let (name, order_by) = ("percentile_cont", Some(order));
        let call = Call {
            name,
            distinct: false,
            nulls: None,
            order_by,
            arg_types: &types,
            literals: &literals,
        };
        let mut column = resolve(&call).unwrap().accumulators();
        column.update(&[0; 5], &[0; 5], &[floats(&[10.0, 20.0, 30.0, 40.0, 50.0].map(Some))]);
        assert_eq!(column.results(&[0]).as_primitive::<Float64Type>().value(0), expected);
    }
    let call = Call {
        name: "max",
        distinct: false,
        nulls: None,
        order_by: Some(Order::Ascending),
        arg_types: &types[..1],
        literals: &[],
    };
    assert_eq!(resolve(&call).unwrap_err().to_string(), "`max` does not take ORDER BY");
}

#[test]
fn calls_that_share_their_state_read_their_results_from_one_column() {
    let aggregate = |name: &str, data_type: DataType| -> Aggregate {
        let types = vec![
            data_type;
            if name.starts_with("regr") || name == "corr" {
                2
            } else {
                1
            }
        ];
        let call = Call {
            name,
            distinct: false,
            nulls: None,
            order_by: None,
            arg_types: &types,
            literals: &[],
        };
        resolve(&call).unwrap()
    };
    let floats = [
        floats(&[Some(1.0), Some(2.5), Some(7.0)]),
        floats(&[Some(3.0), Some(1.0), Some(2.0)]),
    ];
    for family in [
        &["sum", "avg"][..],
        &["p50", "p95", "p99"],
        &["var", "stddev", "var_pop"],
        &["corr", "regr_count"],
    ] {
        for (a, b) in family.iter().flat_map(|a| family.iter().map(move |b| (a, b))) {
            let (a, b) = (aggregate(a, DataType::Float64), aggregate(b, DataType::Float64));
            assert!(a.shares_state(&b));
            let [mut held, mut own] = [&a, &b].map(Aggregate::accumulators);
            held.update(&[0; 3], &[0; 3], &floats[..a.columns()]);
            own.update(&[0; 3], &[0; 3], &floats[..a.columns()]);
            assert_eq!(b.results(&*held, &[0, 1]).to_data(), own.results(&[0, 1]).to_data());
        }
    }
    let sum = aggregate("sum", DataType::Float64);
    for other in [
        aggregate("sum", DataType::Int64),
        aggregate("p50", DataType::Float64),
        aggregate("min", DataType::Float64),
    ] {
        assert!(!sum.shares_state(&other));
    }
}

#[test]
fn calls_that_cannot_be_built_say_why() {
    let check = |name: &str, distinct: bool, types: &[DataType], literals: &[Option<ScalarValue>], expected: &str| {
        let error: AggregateError = build(name, distinct, types, literals).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    use DataType::*;
    check(
        "medain",
        false,
        &[Float64],
        &[],
        "no aggregate function `medain`; did you mean `median`?",
    );
    check(
        "frobnicate",
        false,
        &[Float64],
        &[],
        "no aggregate function `frobnicate`",
    );
    check(
        "sum",
        false,
        &[Utf8],
        &[],
        "`sum` cannot work on Utf8; it takes Int64, UInt64, Float64, Decimal128 or a duration",
    );
    check("sum", false, &[], &[], "`sum` takes one argument, found 0");
    check("var", true, &[Float64], &[], "`var` does not take DISTINCT");
    let q = "`percentile`: the second argument must be a number from 0 to 1, such as 0.95";
    check("percentile", false, &[Float64], &[], q);
    check(
        "percentile",
        false,
        &[Float64, Int64],
        &[None, Some(ScalarValue::Int64(Some(95)))],
        q,
    );
    check(
        "grouping",
        false,
        &[Utf8],
        &[],
        "`grouping` is not available: it belongs to GROUPING SETS, ROLLUP and CUBE, which streams do not have",
    );
    check(
        "array_agg",
        true,
        &[Utf8],
        &[],
        "`array_agg` is not available: the order of its distinct values is that of a hash table; use distinct(x) to count them",
    );
    check(
        "string_agg",
        false,
        &[Utf8],
        &[],
        "`string_agg` takes two arguments, found 1",
    );
}
