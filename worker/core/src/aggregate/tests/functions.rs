//! Every function of ours, for the types that it takes, through the harness.

use std::sync::OnceLock;

use arrow_schema::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::NullTreatment;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::harness::{Spec, check, list, rows};

fn spec(name: &'static str, types: Vec<DataType>, invertible: bool) -> Spec {
    let (literals, resolved) = (Vec::new(), OnceLock::new());
    Spec {
        name,
        distinct: false,
        nulls: None,
        types,
        literals,
        ordered: false,
        invertible,
        resolved,
    }
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn decimal() -> DataType {
    DataType::Decimal128(38, 9)
}

/// Types of all forms.
fn every_type() -> Vec<DataType> {
    use DataType::*;
    let micros = Duration(TimeUnit::Microsecond);
    vec![
        Int64,
        UInt64,
        Float64,
        decimal(),
        Utf8,
        Boolean,
        timestamp(),
        Int32,
        Date32,
        Float32,
        Utf8View,
        micros,
    ]
}

pub(super) fn ours() -> Vec<Spec> {
    let mut specs = Vec::new();
    let one = Some(ScalarValue::Int64(Some(1)));
    specs.push(Spec {
        literals: vec![one],
        ..spec("count", vec![DataType::Int64], true)
    });
    specs.push(spec("count", vec![], true));
    specs.push(spec("count", vec![DataType::Float64, DataType::Utf8], true));
    let distinct_pair = spec("count", vec![DataType::Utf8, DataType::Int64], true);
    specs.push(Spec {
        distinct: true,
        ..distinct_pair
    });
    for data_type in every_type().into_iter().chain([list(), DataType::LargeUtf8]) {
        specs.push(spec("count", vec![data_type.clone()], true));
        specs.push(spec("distinct", vec![data_type.clone()], true));
        for name in ["first", "last"] {
            let first = Spec {
                ordered: true,
                ..spec(name, vec![data_type.clone()], false)
            };
            specs.push(Spec {
                nulls: Some(NullTreatment::RespectNulls),
                ..first.clone()
            });
            specs.push(first);
        }
        if data_type != list() {
            specs.push(spec("min", vec![data_type.clone()], false));
            specs.push(spec("max", vec![data_type], false));
        }
    }
    let durations = DataType::Duration(TimeUnit::Microsecond);
    for data_type in [
        DataType::Int64,
        DataType::UInt64,
        DataType::Float64,
        decimal(),
        durations,
    ] {
        let summed = data_type.clone();
        specs.push(spec("sum", vec![summed.clone()], true));
        specs.push(Spec {
            distinct: true,
            ..spec("sum", vec![summed.clone()], true)
        });
        if !matches!(data_type, DataType::Int64 | DataType::UInt64) {
            specs.push(spec("avg", vec![summed.clone()], true));
            specs.push(Spec {
                distinct: true,
                ..spec("avg", vec![summed], true)
            });
        }
    }
    for name in ["var", "var_pop", "stddev", "stddev_pop", "median", "p95", "p99"] {
        specs.push(spec(name, vec![DataType::Float64], true));
    }
    let q = vec![None, Some(ScalarValue::Float64(Some(0.3)))];
    specs.push(Spec {
        literals: q,
        ..spec("percentile", vec![DataType::Float64, DataType::Float64], true)
    });
    let pairs = [
        "covar_samp",
        "covar_pop",
        "corr",
        "regr_slope",
        "regr_intercept",
        "regr_r2",
        "regr_count",
    ];
    for name in pairs
        .into_iter()
        .chain(["regr_avgx", "regr_avgy", "regr_sxx", "regr_syy", "regr_sxy"])
    {
        specs.push(spec(name, vec![DataType::Float64, DataType::Float64], true));
    }
    specs
}

pub(super) fn check_all(specs: &[Spec], cases: u32, most_rows: usize) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let input = (rows(most_rows), prop::collection::vec(any::<usize>(), 0..4));
    let result = TestRunner::new(config).run(&input, |(rows, cuts)| {
        specs.iter().for_each(|spec| check(spec, &rows, &cuts));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_function_of_ours_gives_the_same_for_any_batches_splits_retractions_and_reloads() {
    check_all(&ours(), 40, 40);
}
