//! Sums, means and variances against exact arithmetic.

use num_bigint::BigInt;
use proptest::prelude::*;

use super::super::exact_product::ProductSums;
use super::super::exact_sum::ExactSums;
use super::oracle;

/// Doubles of all magnitudes, and such as they occur in records.
pub(super) fn double() -> BoxedStrategy<f64> {
    prop_oneof![
        (-100_000i32..100_000).prop_map(|hundredths| f64::from(hundredths) / 100.0),
        (-1000i32..1000).prop_map(f64::from),
        (-1e16..1e16f64),
        (1e-12..1e-3f64),
        any::<f64>().prop_filter("finite", |value| value.is_finite()),
        Just(f64::MAX),
        Just(-f64::MAX),
        Just(f64::from_bits(1)),
        Just(0.0),
    ]
    .boxed()
}

/// Doubles whose squares and sums of squares are doubles.
fn moderate() -> BoxedStrategy<f64> {
    prop_oneof![
        (-100_000i32..100_000).prop_map(|hundredths| f64::from(hundredths) / 100.0),
        (1e12..1.000_000_1e12f64),
        (-1e-9..1e-9f64),
        (-1e150..1e150f64),
        (1e-170..1e-140f64),
        Just(0.0),
    ]
    .boxed()
}

fn sums_of(values: &[f64]) -> ExactSums {
    let mut sums = ExactSums::of_floats();
    sums.grow(1);
    let mut add = sums.float_adder();
    values.iter().for_each(|value| add(0, *value));
    drop(add);
    sums
}

fn squares_of(values: &[f64]) -> ProductSums {
    let mut squares = ProductSums::new();
    squares.grow(1);
    let mut add = squares.adder();
    values.iter().for_each(|value| add(0, *value, *value));
    drop(add);
    squares
}

fn saved(sums: &ExactSums) -> Vec<u8> {
    let mut out = Vec::new();
    sums.save(0, &mut out);
    out
}

fn saved_squares(sums: &ProductSums) -> Vec<u8> {
    let mut out = Vec::new();
    sums.save(0, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 4))]

    #[test]
    fn a_sum_is_the_exact_sum_rounded_once(values in prop::collection::vec(double(), 1..40)) {
        let sums = sums_of(&values);
        prop_assert_eq!(sums.count(0), values.len() as u64);
        prop_assert_eq!(sums.sum_f64(0), oracle::nearest(&oracle::sum(&values)));
    }

    #[test]
    fn a_mean_is_the_exact_mean_rounded_once(values in prop::collection::vec(double(), 1..40)) {
        let mean = sums_of(&values).mean_f64(0).unwrap();
        let total: BigInt = oracle::sum(&values) << oracle::UNIT;
        prop_assert!(oracle::is_nearest_quotient(mean, &total, &BigInt::from(values.len())), "{mean}");
    }

    #[test]
    fn a_sum_does_not_depend_on_the_order_or_on_how_values_were_split(
        values in prop::collection::vec((double(), 0usize..3), 0..40),
    ) {
        let whole: Vec<f64> = values.iter().map(|(value, _)| *value).collect();
        let mut joined = ExactSums::of_floats();
        for part in [2, 0, 1] {
            let part: Vec<f64> = values.iter().filter(|(_, of)| *of == part).map(|(value, _)| *value).collect();
            joined.combine(0, &sums_of(&part), false);
        }
        let mut reversed = whole.clone();
        reversed.reverse();
        prop_assert_eq!(saved(&joined), saved(&sums_of(&whole)));
        prop_assert_eq!(saved(&sums_of(&reversed)), saved(&sums_of(&whole)));
    }

    #[test]
    fn what_was_added_and_taken_away_leaves_no_trace(
        kept in prop::collection::vec(double(), 0..20),
        passing in prop::collection::vec(double(), 0..20),
    ) {
        let mut sums = sums_of(&kept);
        sums.combine(0, &sums_of(&passing), false);
        sums.combine(0, &sums_of(&passing), true);
        prop_assert_eq!(saved(&sums), saved(&sums_of(&kept)));
        prop_assert_eq!(sums.sum_f64(0), sums_of(&kept).sum_f64(0));
        let mut squares = squares_of(&kept);
        squares.combine(0, &squares_of(&passing), false);
        squares.combine(0, &squares_of(&passing), true);
        prop_assert_eq!(saved_squares(&squares), saved_squares(&squares_of(&kept)));
    }

    #[test]
    fn a_saved_sum_is_loaded_as_it_was(values in prop::collection::vec(double(), 0..20)) {
        let bytes = saved(&sums_of(&values));
        let mut sums = sums_of(&[1.5]);
        let rest = &mut bytes.as_slice();
        sums.load(0, rest).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(saved(&sums), bytes);
        prop_assert_eq!(sums.sum_f64(0), sums_of(&values).sum_f64(0));
        let bytes = saved_squares(&squares_of(&values));
        let mut squares = squares_of(&[1.5]);
        squares.load(0, &mut bytes.as_slice()).unwrap();
        prop_assert_eq!(saved_squares(&squares), bytes);
    }

    #[test]
    fn a_sum_of_products_is_exact(pairs in prop::collection::vec((double(), double()), 1..30)) {
        let mut sums = ProductSums::new();
        sums.grow(1);
        pairs.iter().for_each(|(a, b)| sums.adder()(0, *a, *b));
        let expected: BigInt = pairs.iter().map(|(a, b)| oracle::exact(*a) * oracle::exact(*b)).sum();
        let rounded = sums.total(0).to_f64();
        match rounded {
            Some(value) => prop_assert!(oracle::is_nearest_quotient(value, &expected, &BigInt::from(1)), "{value}"),
            None => prop_assert_eq!(oracle::nearest(&(expected >> oracle::UNIT)), None),
        }
    }

    #[test]
    fn a_sum_of_integers_is_exact_beyond_128_bits(values in prop::collection::vec(any::<i128>(), 1..20)) {
        let mut sums = ExactSums::of_integers();
        sums.grow(1);
        values.iter().for_each(|value| sums.unit_adder()(0, *value));
        let expected: BigInt = values.iter().map(|value| BigInt::from(*value)).sum();
        prop_assert_eq!(sums.sum_i128(0), i128::try_from(&expected).ok());
        let mut bytes = Vec::new();
        sums.save(0, &mut bytes);
        let mut loaded = ExactSums::of_integers();
        loaded.load(0, &mut bytes.as_slice()).unwrap();
        prop_assert_eq!(loaded.sum_i128(0), i128::try_from(&expected).ok());
    }

    #[test]
    fn a_variance_is_the_exact_variance_rounded_once(values in prop::collection::vec(moderate(), 2..30)) {
        use super::super::variance::{Spread, Variances};
        use super::super::Accumulators;
        use arrow_array::{ArrayRef, Float64Array, cast::AsArray, types::Float64Type};
        let mut column = Variances::new(Spread { population: false, root: false });
        let ids = vec![0; values.len()];
        let times = vec![0; values.len()];
        let array: ArrayRef = std::sync::Arc::new(Float64Array::from(values.clone()));
        column.update(&ids, &times, &[array]);
        let variance = column.results(&[0]).as_primitive::<Float64Type>().value(0);
        let n = BigInt::from(values.len());
        let squares: BigInt = values.iter().map(|value| oracle::exact(*value).pow(2)).sum();
        let dividend = &n * squares - oracle::sum(&values).pow(2);
        let divisor = &n * (&n - 1);
        prop_assert!(oracle::is_nearest_quotient(variance, &dividend, &divisor), "{variance}");
    }
}

#[test]
fn sums_at_the_ends_of_the_range_are_right() {
    let cases: [(&[f64], Option<f64>); 10] = [
        (&[], None),
        (&[-0.0], Some(0.0)),
        (&[f64::MAX, f64::MAX], None),
        (&[f64::MAX, f64::MAX, -f64::MAX], Some(f64::MAX)),
        (&[f64::MAX, f64::MAX / 2f64.powi(54)], Some(f64::MAX)),
        (&[f64::MAX, f64::MAX / 2f64.powi(53)], None),
        (&[f64::from_bits(1), f64::from_bits(1)], Some(f64::from_bits(2))),
        (&[1e300, 1.0, 1e-300, -1e300, -1.0], Some(1e-300)),
        (&[f64::NAN, f64::INFINITY, 1.0, f64::NEG_INFINITY], Some(1.0)),
        (&[0.1; 10], Some(1.0)),
    ];
    for (values, expected) in cases {
        let sum = sums_of(values).sum_f64(0);
        assert_eq!(sum.map(f64::to_bits), expected.map(f64::to_bits), "{values:?}: {sum:?}");
    }
}

#[test]
fn a_key_with_usual_values_takes_24_bytes_and_a_spilled_one_comes_back() {
    let mut sums = sums_of(&[0.1, 1e-7, 123_456.789, 1e15, 0.25]);
    sums.grow(1000);
    assert_eq!(sums.memory(), 24_000);
    let extreme = sums_of(&[1e200, 1e-200]);
    sums.combine(0, &extreme, false);
    assert!(sums.memory() > 24_000 + 272);
    sums.combine(0, &extreme, true);
    let mut out = Vec::new();
    sums.save(0, &mut out);
    assert_eq!(out, saved(&sums_of(&[0.1, 1e-7, 123_456.789, 1e15, 0.25])));
}
