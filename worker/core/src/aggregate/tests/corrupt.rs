//! Saved states that were damaged.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::functions::ours;
use super::harness::{IDS, Row, Spec, feed, rows, saved};

/// Loads the bytes; whatever they are, the column can be asked, fed, merged and saved afterwards.
fn load(spec: &Spec, bytes: &[u8]) -> bool {
    let mut column = spec.aggregate().accumulators();
    let rest = &mut { bytes };
    let loaded = column.load(1, rest).is_ok();
    assert!(rest.len() <= bytes.len());
    column.results(&IDS);
    let mut other = spec.aggregate().accumulators();
    other.merge(1, &*column);
    other.merge(1, &*column);
    other.results(&IDS);
    saved(&*other, 1);
    if spec.invertible {
        other.retract(1, &*column);
        other.results(&IDS);
    }
    loaded
}

pub(super) fn check_damage(specs: &[Spec], cases: u32) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let input = (rows(40), any::<Index>(), any::<u8>(), any::<Vec<u8>>());
    let result = TestRunner::new(config).run(&input, |(mut rows, at, byte, noise)| {
        rows.iter_mut().for_each(|row| row.id = 1);
        specs.iter().for_each(|spec| damage(spec, &rows, at, byte, &noise));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn damage(spec: &Spec, rows: &[Row], at: Index, byte: u8, noise: &[u8]) {
    let mut column = spec.aggregate().accumulators();
    feed(&mut *column, spec, rows);
    let bytes = saved(&*column, 1);
    assert!(load(spec, &bytes), "{spec:?}");
    let at = at.index(bytes.len());
    assert!(!load(spec, &bytes[..at]), "cut at {at}: {spec:?}");
    let mut damaged = bytes;
    damaged[at] ^= byte;
    load(spec, &damaged);
    damaged.splice(at..at, noise.iter().copied());
    load(spec, &damaged);
    load(spec, noise);
}

#[test]
fn damaged_states_of_ours_are_errors_and_never_panic() {
    check_damage(&ours(), 60);
}
