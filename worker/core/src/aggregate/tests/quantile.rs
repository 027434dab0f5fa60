//! Percentiles against sorted values.

use proptest::prelude::*;

use super::super::quantile_sketch::Sketch;

/// What `percentile_cont` is: the value at rank `q * (n - 1)`, interpolated; and how large the two neighbours are.
fn exact(sorted: &[f64], q: f64) -> (f64, f64) {
    let position = q * (sorted.len() - 1) as f64;
    let (low, fraction) = (position.floor() as usize, position - position.floor());
    let (low, high) = (sorted[low], sorted[(low + 1).min(sorted.len() - 1)]);
    (
        low * (1.0 - fraction) + high * fraction,
        low.abs() * (1.0 - fraction) + high.abs() * fraction,
    )
}

fn sketch_of(values: &[f64]) -> Sketch {
    let mut sketch = Sketch::default();
    values.iter().for_each(|value| sketch.add(*value));
    sketch
}

fn saved(sketch: &Sketch) -> Vec<u8> {
    let mut out = Vec::new();
    sketch.save(&mut out);
    out
}

fn value() -> BoxedStrategy<f64> {
    prop_oneof![
        4 => 0.5..5000.0f64,
        2 => -1e6..1e6f64,
        1 => any::<f64>().prop_filter("finite, half the range", |value| value.is_finite() && value.abs() < 1e307),
        1 => (0..300i32).prop_map(f64::from),
    ]
    .boxed()
}

proptest! {
    #[test]
    fn a_quantile_is_within_four_thousandths_of_the_exact_one(
        values in prop::collection::vec(value(), 1..300),
        q in 0.0..=1.0f64,
    ) {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        for q in [q, 0.0, 0.5, 0.95, 1.0] {
            let (expected, size) = exact(&sorted, q);
            let found = sketch_of(&values).quantile(q).unwrap();
            prop_assert!((found - expected).abs() <= size / 256.9 + 1e-307, "{q}: {found} for {expected}");
        }
    }

    #[test]
    fn sketches_are_the_same_for_any_order_split_and_form(
        values in prop::collection::vec((value(), any::<bool>()), 0..400),
    ) {
        let (a, b): (Vec<_>, Vec<_>) = values.iter().partition(|(_, first)| *first);
        let part = |part: &[&(f64, bool)]| sketch_of(&part.iter().map(|(value, _)| *value).collect::<Vec<_>>());
        let (a, b) = (part(&a.iter().collect::<Vec<_>>()), part(&b.iter().collect::<Vec<_>>()));
        let whole = sketch_of(&values.iter().map(|(value, _)| *value).collect::<Vec<_>>());
        let mut joined = b.clone();
        joined.merge(&a);
        prop_assert_eq!(saved(&joined), saved(&whole));
        joined.retract(&b);
        prop_assert_eq!(saved(&joined), saved(&a));
        joined.retract(&a);
        prop_assert_eq!(saved(&joined), saved(&Sketch::default()));
        let loaded = Sketch::load(&mut saved(&whole).as_slice()).unwrap();
        prop_assert_eq!(saved(&loaded), saved(&whole));
        prop_assert_eq!(loaded.quantile(0.9), whole.quantile(0.9));
    }
}

#[test]
fn small_integers_are_met_exactly() {
    let values: Vec<f64> = (0..=256).map(f64::from).collect();
    let sketch = sketch_of(&values);
    for (percent, expected) in [(0.0, 0.0), (0.25, 64.0), (0.5, 128.0), (1.0, 256.0)] {
        assert_eq!(sketch.quantile(percent), Some(expected));
    }
    assert_eq!(sketch_of(&[120.0; 7]).quantile(0.95), Some(120.0));
    assert_eq!(sketch_of(&[1.0, 2.0]).quantile(0.5), Some(1.5));
    assert_eq!(Sketch::default().quantile(0.5), None);
}

#[test]
fn extreme_values_stay_finite_and_in_order() {
    let values = [
        -f64::MAX,
        -1e-310,
        -f64::from_bits(1),
        0.0,
        f64::from_bits(1),
        1e-308,
        f64::MAX,
    ];
    let sketch = sketch_of(&values);
    let quantiles: Vec<f64> = (0..=60)
        .map(|i| sketch.quantile(f64::from(i) / 60.0).unwrap())
        .collect();
    assert!(quantiles.iter().all(|value| value.is_finite()));
    assert!(quantiles.windows(2).all(|pair| pair[0] <= pair[1]), "{quantiles:?}");
    assert_eq!((quantiles[0], quantiles[60]), (-f64::MAX, f64::MAX));
}

#[test]
fn many_values_in_one_bucket_and_an_outlier_are_counted() {
    let mut sketch = sketch_of(&(0..200).map(|i| 100.0 + f64::from(i)).collect::<Vec<_>>());
    let one = sketch_of(&[100.0]);
    let mut doubled = one.clone();
    // 2^40 values in one bucket: more than 32 bits hold.
    for _ in 0..40 {
        let copy = doubled.clone();
        doubled.merge(&copy);
    }
    sketch.merge(&doubled);
    sketch.add(100.0);
    sketch.add(1e300);
    assert_eq!(sketch.total(), (1 << 40) + 202);
    assert_eq!(sketch.quantile(0.5), Some(100.0));
    let loaded = Sketch::load(&mut saved(&sketch).as_slice()).unwrap();
    assert_eq!(saved(&loaded), saved(&sketch));
    sketch.retract(&doubled);
    assert_eq!(sketch.total(), 202);
    assert!(sketch.quantile(0.5).unwrap() > 190.0);
    assert!(sketch.memory() < 8192, "{}", sketch.memory());
}
