//! Nothing is lost, nothing is given out twice at a time, and nobody waits for another's five hundred.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Pipeline(String, u32);

impl Item for Pipeline {
    fn tenant(&self) -> &str {
        &self.0
    }
}

fn pipeline(namespace: &str, number: u32) -> Pipeline {
    Pipeline(namespace.to_owned(), number)
}

fn at(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

#[test]
fn an_object_waits_once_and_is_given_out_to_one_worker_at_a_time() {
    let mut queue = Queue::default();
    let noc = pipeline("ops", 1);
    queue.add(noc.clone(), Urgency::Routine);
    queue.add(noc.clone(), Urgency::Changed);
    assert_eq!(queue.depth(), 1);
    assert_eq!(queue.take(at(0)), Some(noc.clone()));
    assert_eq!(queue.take(at(0)), None);
    queue.add(noc.clone(), Urgency::Changed);
    assert_eq!(queue.take(at(0)), None, "a worker has it");
    queue.done(&noc);
    assert_eq!(queue.take(at(0)), Some(noc.clone()), "it was asked for meanwhile");
    queue.done(&noc);
    assert_eq!((queue.take(at(0)), queue.in_hand()), (None, 0));
}

#[test]
fn one_namespace_with_five_hundred_does_not_delay_another_with_one() {
    let mut queue = Queue::default();
    for number in 0..500 {
        queue.add(pipeline("crowd", number), Urgency::Changed);
    }
    for _ in 0..3 {
        assert_eq!(queue.take(at(0)).unwrap().0, "crowd");
    }
    queue.add(pipeline("quiet", 1), Urgency::Changed);
    assert_eq!(queue.take(at(0)).unwrap().0, "quiet");
}

#[test]
fn tenants_whose_looks_never_end_leave_workers_to_others() {
    let mut queue = Queue::of_workers(16);
    let fill = |queue: &mut Queue<Pipeline>, tenant: &str| {
        (0..100).for_each(|number| queue.add(pipeline(tenant, number), Urgency::Changed));
        std::iter::from_fn(|| queue.take(at(0))).count()
    };
    assert_eq!(fill(&mut queue, "slow"), 8);
    assert_eq!(fill(&mut queue, "slower"), 4);
    queue.add(pipeline("quick", 0), Urgency::Routine);
    assert_eq!(queue.take(at(0)), Some(pipeline("quick", 0)));
    // One worker alone serves them all.
    let mut queue = Queue::of_workers(1);
    assert_eq!(fill(&mut queue, "only"), 1);
    queue.done(&pipeline("only", 0));
    assert_eq!(queue.take(at(0)), Some(pipeline("only", 1)));
}

#[test]
fn what_was_changed_goes_first_and_routine_is_not_forgotten() {
    let mut queue = Queue::default();
    for number in 0..20 {
        queue.add(pipeline("ops", 100 + number), Urgency::Routine);
        queue.add(pipeline("ops", number), Urgency::Changed);
    }
    let order: Vec<u32> = std::iter::from_fn(|| queue.take(at(0))).map(|item| item.1).collect();
    assert_eq!(&order[..10], &[0, 1, 2, 3, 4, 5, 6, 7, 100, 8]);
    assert_eq!(order.len(), 40);
}

#[test]
fn what_is_to_come_later_comes_at_the_earliest_moment_asked_for() {
    let mut queue = Queue::default();
    let noc = pipeline("ops", 1);
    queue.add_at(noc.clone(), at(60));
    queue.add_at(noc.clone(), at(5));
    queue.add_at(noc.clone(), at(30));
    assert_eq!((queue.next_due(), queue.take(at(4))), (Some(at(5)), None));
    assert_eq!(queue.take(at(5)), Some(noc.clone()));
    assert_eq!(queue.next_due(), None);
    queue.add_at(noc.clone(), at(9));
    queue.add(noc.clone(), Urgency::Changed);
    queue.done(&noc);
    assert_eq!(queue.next_due(), None, "it comes now");
    assert_eq!(queue.take(at(5)), Some(noc));
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut queue = Queue::default();
    queue.add(pipeline("ops", 1), Urgency::Changed);
    queue.add(pipeline("ops", 2), Urgency::Changed);
    queue.add_at(pipeline("ops", 3), at(1));
    queue.forget(&pipeline("ops", 1));
    queue.forget(&pipeline("ops", 3));
    assert_eq!(queue.take(at(9)), Some(pipeline("ops", 2)));
    assert_eq!((queue.take(at(9)), queue.depth()), (None, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Add(u32, bool),
    Later(u32, u64),
    Take,
    Done(usize),
    Forget(u32),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..12_u32, any::<bool>()).prop_map(|(item, changed)| Step::Add(item, changed)),
        2 => (0..12_u32, 0..20_u64).prop_map(|(item, later)| Step::Later(item, later)),
        5 => Just(Step::Take),
        4 => (0..4_usize).prop_map(Step::Done),
        1 => (0..12_u32).prop_map(Step::Forget),
        2 => (1..10_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn what_is_asked_for_is_given_out_after_the_asking_and_never_twice_at_a_time(steps in steps()) {
        let item = |number: u32| pipeline(["a", "b", "c"][number as usize % 3], number);
        let mut queue = Queue::default();
        let mut hand: Vec<Pipeline> = Vec::new();
        // What must still be given out, and from when on.
        let mut owed: BTreeMap<Pipeline, Moment> = BTreeMap::new();
        let mut now = at(1);
        for step in steps {
            match step {
                Step::Add(number, changed) => {
                    queue.add(item(number), if changed { Urgency::Changed } else { Urgency::Routine });
                    owed.insert(item(number), at(0));
                }
                Step::Later(number, later) => {
                    let when = now + at(later);
                    queue.add_at(item(number), when);
                    let known = owed.entry(item(number)).or_insert(when);
                    *known = (*known).min(when);
                }
                Step::Take => {
                    // What is due by now is as if it was told now.
                    owed.values_mut().filter(|when| **when <= now).for_each(|when| *when = at(0));
                    if let Some(taken) = queue.take(now) {
                        prop_assert!(!hand.contains(&taken), "{:?} is given out twice", taken);
                        prop_assert!(owed.remove(&taken).is_some_and(|when| when <= now), "nobody asked for {:?}", taken);
                        hand.push(taken);
                    } else {
                        let ready = owed.iter().find(|(item, when)| **when <= now && !hand.contains(item));
                        prop_assert_eq!(ready, None);
                    }
                }
                Step::Done(at) if at < hand.len() => {
                    let item = hand.remove(at);
                    queue.done(&item);
                }
                Step::Done(_) => {}
                Step::Forget(number) => {
                    queue.forget(&item(number));
                    let was_told = hand.contains(&item(number)) && owed.get(&item(number)) == Some(&at(0));
                    if !was_told {
                        owed.remove(&item(number));
                    }
                }
                Step::Wait(seconds) => now += at(seconds),
            }
            prop_assert_eq!(queue.in_hand(), hand.len());
        }
        // In the end everything that is owed comes, and nothing stays behind.
        for item in hand.drain(..) {
            queue.done(&item);
        }
        while let Some(taken) = queue.take(at(1_000_000)) {
            prop_assert!(owed.remove(&taken).is_some());
            queue.done(&taken);
        }
        prop_assert!(owed.is_empty(), "{:?} never came", owed);
        prop_assert_eq!((queue.depth(), queue.tenants.len(), queue.next_due()), (0, 0, None));
    }
}
