//! One leader at a time, whatever is slow, lost or stopped.

#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

const TERMS: Terms = Terms {
    duration: Duration::from_secs(10),
    renew_every: Duration::from_secs(2),
    request_time_out: Duration::from_secs(3),
};

fn at(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

fn lease(holder: &str, version: u64) -> Lease {
    Lease {
        holder: holder.to_owned(),
        version: version.to_string(),
        transitions: 0,
        duration: TERMS.duration,
    }
}

#[test]
fn who_finds_no_lease_makes_it_and_may_write() {
    let mut election = Election::new("a", TERMS);
    assert_eq!(election.next(at(0)), Act::Look(at(0)));
    election.saw(None, at(1));
    assert_eq!(election.next(at(1)), Act::Create);
    assert!(!election.may_write(at(1)));
    election.wrote(lease("a", 1), at(1), at(2));
    assert!(
        election.may_write(at(7)) && !election.may_write(at(8)),
        "the term counts from when it was sent"
    );
    assert_eq!(election.next(at(2)), Act::Look(at(3)));
    assert_eq!(
        election.next(at(3)),
        Act::Renew {
            version: "1".to_owned(),
            transitions: 0
        }
    );
}

#[test]
fn another_waits_a_whole_duration_by_its_own_clock() {
    let mut other = Election::new("b", TERMS);
    other.saw(Some(lease("a", 1)), at(100));
    assert_eq!(other.next(at(100)), Act::Look(at(102)));
    other.saw(Some(lease("a", 1)), at(109));
    assert_eq!(other.next(at(109)), Act::Look(at(110)));
    other.saw(Some(lease("a", 1)), at(110));
    assert_eq!(
        other.next(at(110)),
        Act::Take {
            version: "1".to_owned(),
            transitions: 1
        }
    );
    other.saw(Some(lease("a", 2)), at(111));
    assert_eq!(other.next(at(111)), Act::Look(at(113)), "it was renewed meanwhile");
}

#[test]
fn a_lease_that_was_given_up_is_taken_at_once() {
    let mut election = Election::new("a", TERMS);
    election.wrote(lease("a", 1), at(0), at(0));
    let given_up = election.give_up().unwrap();
    assert_eq!(given_up.holder, "");
    assert!(!election.may_write(at(0)), "others may have it by now");
    let mut other = Election::new("b", TERMS);
    other.saw(Some(given_up), at(50));
    assert!(matches!(other.next(at(50)), Act::Take { .. }));
}

#[test]
fn who_loses_the_lease_stops_writing_at_once() {
    let mut election = Election::new("a", TERMS);
    election.wrote(lease("a", 1), at(0), at(0));
    election.saw(Some(lease("b", 2)), at(1));
    assert!(!election.may_write(at(1)));
    assert_eq!(election.give_up(), None);
}

#[test]
fn terms_that_leave_no_time_to_write_are_refused() {
    assert_eq!(TERMS.problem(), None);
    let short = Terms {
        duration: Duration::from_secs(8),
        ..TERMS
    };
    assert!(short.problem().unwrap().contains("8s"), "{:?}", short.problem());
}

/// A thing that happens to one of two operators.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It looks at the lease.
    Look(usize),
    /// It does what it should; its request takes so many tenths of a second to arrive.
    Act(usize, u64),
    /// It gives the lease up, if it has it; nobody may hear of that.
    GiveUp(usize, bool),
    /// Time passes, in tenths of a second.
    Wait(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0..2_usize).prop_map(Event::Look),
        (0..2_usize, 0..29_u64).prop_map(|(who, late)| Event::Act(who, late)),
        (0..2_usize, any::<bool>()).prop_map(|(who, arrives)| Event::GiveUp(who, arrives)),
        (1..60_u64).prop_map(Event::Wait),
    ];
    proptest::collection::vec(event, 0..120)
}

proptest! {
    /// The API server takes a write only for the version that it has. Whoever may write then does so alone.
    #[test]
    fn two_never_write_at_the_same_time(events in events()) {
        let tenths = |n: u64| Duration::from_millis(100 * n);
        let mut stored: Option<Lease> = None;
        let mut version = 0;
        let mut now = 0_u64;
        let mut operators = [Election::new("a", TERMS), Election::new("b", TERMS)];
        for event in events {
            match event {
                Event::Wait(time) => now += time,
                Event::GiveUp(who, arrives) => {
                    if let Some(given_up) = operators[who].give_up()
                        && arrives
                        && stored.as_ref().is_some_and(|lease| lease.version == given_up.version)
                    {
                        version += 1;
                        stored = Some(Lease { version: version.to_string(), ..given_up });
                    }
                }
                Event::Look(who) => operators[who].saw(stored.clone(), tenths(now)),
                Event::Act(who, late) => {
                    let sent = now;
                    let act = operators[who].next(tenths(now));
                    now += late;
                    let mut write = |based_on: Option<String>, transitions| {
                        let fits = stored.as_ref().map(|lease| lease.version.clone()) == based_on;
                        if fits {
                            version += 1;
                            let written = Lease { transitions, ..lease(["a", "b"][who], version) };
                            stored = Some(written.clone());
                            operators[who].wrote(written, tenths(sent), tenths(now));
                        }
                    };
                    match act {
                        Act::Create => write(None, 0),
                        Act::Take { version, transitions } | Act::Renew { version, transitions } => {
                            write(Some(version), transitions);
                        }
                        Act::Look(_) => {}
                    }
                }
            }
            let writing = operators.iter().filter(|operator| operator.may_write(tenths(now))).count();
            prop_assert!(writing <= 1, "both may write at {}", now);
        }
    }
}
