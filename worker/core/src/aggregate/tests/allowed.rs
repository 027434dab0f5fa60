//! DataFusion's aggregates: those that may run pass the test of batch independence, those refused for it fail it.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow_schema::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::AggregateUDF;
use datafusion_functions_aggregate::all_default_aggregate_functions;

use super::super::allowed::{ALLOWED, REFUSED, REFUSED_DISTINCT};
use super::super::datafusion::{Call, DataFusion};
use super::super::{Accumulators, build};
use super::corrupt::check_damage;
use super::functions::check_all;
use super::harness::Spec;

/// Why an aggregate of DataFusion is replaced by one of ours that has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Other batches, other results.
    DependsOnBatches,
    /// Independent of batches, but its state holds every value.
    HoldsEveryValue,
    /// Independent of batches; ours can be merged in event time, retracted, or is faster.
    OursDoesMore,
}

const REPLACED: [(&str, Why); 28] = [
    ("any_value", Why::OursDoesMore),
    ("approx_median", Why::DependsOnBatches),
    ("approx_percentile_cont", Why::DependsOnBatches),
    ("avg", Why::DependsOnBatches),
    ("corr", Why::DependsOnBatches),
    ("count", Why::OursDoesMore),
    ("covar_pop", Why::DependsOnBatches),
    ("covar_samp", Why::DependsOnBatches),
    ("first_value", Why::OursDoesMore),
    ("last_value", Why::OursDoesMore),
    ("max", Why::OursDoesMore),
    ("median", Why::HoldsEveryValue),
    ("min", Why::OursDoesMore),
    ("percentile_cont", Why::HoldsEveryValue),
    ("regr_avgx", Why::DependsOnBatches),
    ("regr_avgy", Why::DependsOnBatches),
    ("regr_count", Why::OursDoesMore),
    ("regr_intercept", Why::DependsOnBatches),
    ("regr_r2", Why::DependsOnBatches),
    ("regr_slope", Why::DependsOnBatches),
    ("regr_sxx", Why::DependsOnBatches),
    ("regr_sxy", Why::DependsOnBatches),
    ("regr_syy", Why::DependsOnBatches),
    ("stddev", Why::DependsOnBatches),
    ("stddev_pop", Why::DependsOnBatches),
    ("sum", Why::DependsOnBatches),
    ("var", Why::DependsOnBatches),
    ("var_pop", Why::DependsOnBatches),
];

fn specs() -> Vec<Spec> {
    let arguments = |name: &str| -> Vec<(Vec<DataType>, Vec<Option<ScalarValue>>)> {
        let plain = |types: &[DataType]| types.iter().map(|ty| (vec![ty.clone()], vec![])).collect();
        match name {
            "bit_and" | "bit_or" | "bit_xor" => plain(&[DataType::Int64, DataType::UInt64]),
            "bool_and" | "bool_or" => plain(&[DataType::Boolean]),
            "string_agg" => {
                vec![(
                    vec![DataType::Utf8; 2],
                    vec![None, Some(ScalarValue::Utf8(Some(", ".into())))],
                )]
            }
            "nth_value" => [2, -2]
                .map(|n| {
                    (
                        vec![DataType::Utf8, DataType::Int64],
                        vec![None, Some(ScalarValue::Int64(Some(n)))],
                    )
                })
                .to_vec(),
            "array_agg" => plain(&[
                DataType::Int64,
                DataType::Utf8,
                DataType::Float64,
                super::harness::list(),
            ]),
            _ => plain(&[DataType::Int64, DataType::Utf8, DataType::Boolean]),
        }
    };
    let mut specs = Vec::new();
    for allowed in &ALLOWED {
        for distinct in [false, true]
            .into_iter()
            .filter(|distinct| !distinct || allowed.distinct)
        {
            for (types, literals) in arguments(allowed.name) {
                let ordered = ["array_agg", "string_agg", "nth_value"].contains(&allowed.name);
                let (name, nulls, invertible, resolved) = (allowed.name, None, false, OnceLock::new());
                specs.push(Spec {
                    name,
                    distinct,
                    nulls,
                    types,
                    literals,
                    ordered,
                    invertible,
                    resolved,
                });
            }
        }
    }
    specs
}

#[test]
fn every_allowed_aggregate_gives_the_same_for_any_batches_and_reloads() {
    check_all(&specs(), 15, 30);
}

#[test]
fn damaged_states_of_allowed_aggregates_are_errors_and_never_panic() {
    check_damage(&specs(), 30);
}

#[test]
fn every_aggregate_of_datafusion_is_allowed_replaced_or_refused() {
    let all = all_default_aggregate_functions();
    let names: HashSet<&str> = all.iter().map(|function| function.name()).collect();
    let allowed = ALLOWED.iter().map(|allowed| allowed.name);
    let listed: Vec<&str> = allowed
        .chain(REPLACED.iter().map(|(name, _)| *name))
        .chain(REFUSED.iter().map(|(name, _)| *name))
        .collect();
    assert_eq!(listed.len(), names.len());
    assert_eq!(listed.into_iter().collect::<HashSet<_>>(), names);
}

#[test]
fn replaced_and_refused_aggregates_depend_on_batches_or_have_another_named_reason() {
    let t_digest = REFUSED
        .iter()
        .filter(|(_, reason)| reason.contains("batched"))
        .map(|(name, _)| *name);
    let dependent = t_digest.map(|name| (name, Why::DependsOnBatches));
    for (name, why) in REPLACED.iter().copied().chain(dependent) {
        let function = all_default_aggregate_functions()
            .into_iter()
            .find(|function| function.name() == name)
            .unwrap();
        let (depends, grows) = behaviour(&function, false);
        assert_eq!(depends, why == Why::DependsOnBatches, "{name} depends on batches");
        if why != Why::DependsOnBatches {
            assert_eq!(grows, why == Why::HoldsEveryValue, "{name} holds every value");
        }
    }
    for (name, _) in REFUSED_DISTINCT {
        let function = all_default_aggregate_functions()
            .into_iter()
            .find(|function| function.name() == name)
            .unwrap();
        assert!(behaviour(&function, true).0, "{name}(DISTINCT) depends on batches");
    }
    // What is refused for another reason cannot run at all.
    let grouping = all_default_aggregate_functions()
        .into_iter()
        .find(|function| function.name() == "grouping");
    assert!(Call::new(grouping.unwrap(), &[DataType::Int64], &[], false, false).is_err());
    assert!(build("grouping", false, &[DataType::Int64], &[]).is_err());
}

/// Whether a function's result depends on batches, and whether its state grows with each value.
fn behaviour(function: &Arc<AggregateUDF>, distinct: bool) -> (bool, bool) {
    const ROWS: usize = 500;
    let quantile = Some(ScalarValue::Float64(Some(0.9)));
    let float = DataType::Float64;
    let (types, literals) = match function.name() {
        "approx_percentile_cont" | "percentile_cont" => (vec![float; 2], vec![None, quantile]),
        "approx_percentile_cont_with_weight" => (vec![float; 3], vec![None, None, quantile]),
        "string_agg" => (
            vec![DataType::Utf8; 2],
            vec![None, Some(ScalarValue::Utf8(Some(",".into())))],
        ),
        name if name.starts_with("regr") || name.starts_with("cov") || name == "corr" => (vec![float; 2], vec![]),
        _ => (vec![float], vec![]),
    };
    let call = Arc::new(Call::new(Arc::clone(function), &types, &literals, distinct, false).unwrap());
    let mut state = 1u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((state >> 11) as f64 / (1u64 << 53) as f64 * 1000.0)
    };
    let (mut depends, mut grows) = (false, false);
    for _ in 0..10 {
        if depends {
            break;
        }
        let columns = types.iter().map(|data_type| {
            let floats: ArrayRef = Arc::new((0..ROWS).map(|_| random()).collect::<Float64Array>());
            arrow_cast::cast(&floats, data_type).unwrap()
        });
        let columns: Vec<ArrayRef> = columns.collect();
        let run = |batch: usize| {
            let mut column = DataFusion::new(Arc::clone(&call));
            for start in (0..ROWS).step_by(batch) {
                let rows = batch.min(ROWS - start);
                let part: Vec<ArrayRef> = columns.iter().map(|array| array.slice(start, rows)).collect();
                column.update(&vec![0; rows], &vec![0; rows], &part);
            }
            let mut bytes = Vec::new();
            column.save(0, &mut bytes);
            (column.results(&[0]).to_data(), bytes.len())
        };
        let results = [ROWS, 1, 7, 64].map(run);
        depends |= results.iter().any(|(result, _)| result != &results[0].0);
        grows |= results[0].1 > 6 * ROWS;
    }
    (depends, grows)
}

#[test]
fn a_call_that_datafusion_fails_on_gives_null_until_it_is_cleared() {
    let literals = [None, Some(ScalarValue::Utf8(Some(",".into())))];
    let mut column = build("string_agg", false, &[DataType::Utf8, DataType::Utf8], &literals).unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    // Not of the type that the call was built for, which no plan does.
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    column.update(&[0, 1], &[0; 2], &[Arc::clone(&texts)]);
    column.update(&[1, 1], &[0; 2], &[numbers]);
    column.update(&[0, 1], &[0; 2], &[Arc::clone(&texts)]);
    let mut bytes = Vec::new();
    column.save(1, &mut bytes);
    column.load(2, &mut bytes.as_slice()).unwrap();
    let results = column.results(&[0, 1, 2]);
    assert_eq!(
        results.as_string::<i64>().iter().collect::<Vec<_>>(),
        [Some("a,a"), None, None]
    );
    column.clear(1);
    column.update(&[1, 1], &[0; 2], &[texts]);
    assert_eq!(column.results(&[1]).as_string::<i64>().value(0), "a,b");
}
