//! DataFusion's aggregates: those that may run pass the test of batch independence, those refused for it fail it.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_schema::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::AggregateUDF;
use datafusion_functions_aggregate::all_default_aggregate_functions;

use super::super::allowed::{ALLOWED, REFUSED};
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
        let (depends, grows) = behaviour(&function);
        assert_eq!(depends, why == Why::DependsOnBatches, "{name} depends on batches");
        if why != Why::DependsOnBatches {
            assert_eq!(grows, why == Why::HoldsEveryValue, "{name} holds every value");
        }
    }
    // What is refused for another reason cannot run at all.
    let grouping = all_default_aggregate_functions()
        .into_iter()
        .find(|function| function.name() == "grouping");
    assert!(Call::new(grouping.unwrap(), &[DataType::Int64], &[], false, false).is_err());
    assert!(build("grouping", false, &[DataType::Int64], &[]).is_err());
}

/// Whether a function's result depends on batches, and whether its state grows with each value.
fn behaviour(function: &Arc<AggregateUDF>) -> (bool, bool) {
    let quantile = Some(ScalarValue::Float64(Some(0.9)));
    let (types, literals) = match function.name() {
        "approx_percentile_cont" | "percentile_cont" => (2, vec![None, quantile]),
        "approx_percentile_cont_with_weight" => (3, vec![None, None, quantile]),
        name if name.starts_with("regr") || name.starts_with("cov") || name == "corr" => (2, vec![]),
        _ => (1, vec![]),
    };
    let call = Call::new(
        Arc::clone(function),
        &vec![DataType::Float64; types],
        &literals,
        false,
        false,
    )
    .unwrap();
    let call = Arc::new(call);
    let columns = literals
        .iter()
        .take_while(|literal| literal.is_none())
        .count()
        .max(types - literals.len());
    let mut state = 1u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64 * 1000.0
    };
    let mut depends = false;
    let mut grows = false;
    for _ in 0..10 {
        if depends {
            break;
        }
        let args: Vec<ArrayRef> = (0..columns)
            .map(|_| Arc::new((0..500).map(|_| Some(random())).collect::<Float64Array>()) as _)
            .collect();
        let run = |batch: usize| {
            let mut column = DataFusion::new(Arc::clone(&call));
            for start in (0..500).step_by(batch) {
                let part: Vec<ArrayRef> = args
                    .iter()
                    .map(|array| array.slice(start, batch.min(500 - start)))
                    .collect();
                column.update(
                    &vec![0; batch.min(500 - start)],
                    &vec![0; batch.min(500 - start)],
                    &part,
                );
            }
            let mut bytes = Vec::new();
            column.save(0, &mut bytes);
            (column.results(&[0]).to_data(), bytes.len())
        };
        let results = [500, 1, 7, 64].map(run);
        depends |= results.iter().any(|(result, _)| result != &results[0].0);
        grows |= results[0].1 > 3000;
    }
    (depends, grows)
}

#[test]
fn a_call_that_datafusion_fails_on_gives_null_until_it_is_cleared() {
    let all = all_default_aggregate_functions();
    let bits = all.into_iter().find(|function| function.name() == "bit_or").unwrap();
    let mut column = DataFusion::new(Arc::new(
        Call::new(bits, &[DataType::Int64], &[], false, false).unwrap(),
    ));
    // Not the type that the call was built for: bit_or of decimals does not exist.
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    column.update(&[0, 0], &[0, 0], &[Arc::clone(&ints)]);
    assert!(column.results(&[0]).is_valid(0));
    let mut bytes = Vec::new();
    column.save(0, &mut bytes);
    assert!(column.load(1, &mut [2u8].as_slice()).is_ok());
    column.update(&[1, 1], &[0, 0], &[Arc::clone(&ints)]);
    assert!(column.results(&[1]).is_null(0));
    column.clear(1);
    column.update(&[1, 1], &[0, 0], &[ints]);
    assert!(column.results(&[1]).is_valid(0));
}
