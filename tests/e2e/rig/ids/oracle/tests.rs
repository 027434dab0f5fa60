//! What is told of differences, and when a window counts.

use super::*;

fn counts(of: &[(&str, u32)]) -> BTreeMap<String, u32> {
    of.iter().map(|(what, times)| ((*what).to_owned(), *times)).collect()
}

#[test]
fn what_is_missing_repeated_or_unexpected_is_told() {
    let expected = counts(&[("1", 1), ("2", 1)]);
    for (found, told) in [
        (counts(&[("1", 1), ("2", 1)]), vec![]),
        (counts(&[("1", 1)]), vec!["p: 1 missing: 2"]),
        (counts(&[("1", 2), ("2", 1)]), vec!["p: 1 repeated: 1"]),
        (
            counts(&[("1", 1), ("3", 1)]),
            vec!["p: 1 missing: 2", "p: 1 unexpected: 3"],
        ),
    ] {
        assert_eq!(compare("p", &expected, &found), told);
    }
}

#[test]
fn an_event_that_comes_before_one_of_its_service_is_told_and_one_that_comes_again_is_not() {
    let skips = |ids: &[i64]| skips(ids.iter().map(|id| Event::of(*id, 0)));
    // Every thirteenth is of the same service; 13 does not pass.
    assert_eq!(skips(&[0, 26, 39, 0, 26, 39, 39, 52]), [""; 0]);
    assert_eq!(skips(&[0, 39, 26]), ["39 comes before 26 of s0"]);
    assert_eq!(skips(&[26]), ["26 comes before 0 of s0"]);
}

#[test]
fn a_window_counts_when_it_is_closed_and_every_fifth_that_passes_escalates() {
    let event = |id: i64, time| Event {
        service: "s".to_owned(),
        passes: id != 2,
        ..Event::of(id, time)
    };
    let mut events: Vec<Event> = (0..8).map(|id| event(id, id * 300)).collect();
    let of = |events: &[Event]| Expected::of(&BTreeMap::from([(0, events.to_vec())]));
    let before = of(&events);
    assert_eq!(before.passed.len(), 7);
    assert_eq!(before.escalations, counts(&[("s at 5", 1)]));
    assert_eq!(before.totals, counts(&[("s from 0: 4 events, ids 6", 1)]));
    events.push(event(8, 3_000));
    assert_eq!(of(&events).totals.len(), 2);
}
