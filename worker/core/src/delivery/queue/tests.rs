//! A queue against receivers that fail in every way, and against restarts.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const AGAIN: Verdict = Verdict::Again { rest: None };

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn row(partition: i32, offset: i64, key: &str) -> Row {
    Row {
        partition,
        offset,
        key: (!key.is_empty()).then(|| key.as_bytes().to_vec()),
        value: vec![b'x'; 10],
        written_at: offset,
    }
}

fn queue(keys: &[&str]) -> Queue {
    let mut queue = Queue::new(Limits::new(at(3600)), 7);
    let start = Mark {
        offset: 0,
        metadata: String::new(),
    };
    queue.assign(0, start);
    for (offset, key) in keys.iter().enumerate() {
        queue.push(row(0, offset as i64, key), at(0), at(0));
    }
    queue
}

/// Everything that can be sent now, by offset.
fn send(queue: &mut Queue, now: Duration) -> Vec<Ticket> {
    let mut sent = Vec::new();
    while let Next::Send(attempt) = queue.next(now) {
        assert_eq!(attempt.ticket.offset, attempt.row.offset);
        sent.push(attempt.ticket);
    }
    sent
}

fn offsets(tickets: &[Ticket]) -> Vec<i64> {
    tickets.iter().map(|ticket| ticket.offset).collect()
}

#[test]
fn a_row_waits_for_the_one_of_its_key_before_it_and_no_other_does() {
    let mut queue = queue(&["a", "a", "b", "", ""]);
    let sent = send(&mut queue, at(0));
    assert_eq!(offsets(&sent), [0, 2, 3, 4]);
    let Became::Waiting(due) = queue.answered(&sent[0], AGAIN, at(1)) else {
        panic!("it is sent again")
    };
    for ticket in &sent[1..] {
        assert_eq!(queue.answered(ticket, Verdict::Delivered, at(1)), Became::Delivered);
    }
    assert!(matches!(queue.next(at(1)), Next::Wait(Some(until)) if until == due));
    let again = send(&mut queue, due);
    assert_eq!(offsets(&again), [0]);
    queue.answered(&again[0], Verdict::Delivered, due);
    assert_eq!(offsets(&send(&mut queue, due)), [1]);
}

#[test]
fn a_row_that_is_never_taken_is_buried_before_the_next_is_sent() {
    let mut queue = queue(&["a", "a"]);
    let sent = send(&mut queue, at(0));
    assert!(matches!(queue.answered(&sent[0], Verdict::Never, at(0)), Became::Dead(row, 1) if row.offset == 0));
    assert!(send(&mut queue, at(9)).is_empty());
    assert_eq!(queue.marks()[0].1.offset, 0, "it is not among the dead letters yet");
    queue.not_buried(&sent[0], at(9));
    let again = send(&mut queue, at(11));
    assert_eq!(offsets(&again), [0]);
    assert!(matches!(
        queue.answered(&again[0], Verdict::Never, at(11)),
        Became::Dead(_, 2)
    ));
    queue.buried(&again[0], at(11));
    assert_eq!(queue.marks()[0].1.offset, 1);
    assert_eq!(offsets(&send(&mut queue, at(11))), [1]);
}

#[test]
fn a_row_is_given_up_only_by_a_failure_behind_its_time() {
    let mut queue = Queue::new(Limits::new(at(60)), 7);
    queue.assign(
        0,
        Mark {
            offset: 0,
            metadata: String::new(),
        },
    );
    // Written long ago: it is sent all the same, and once.
    queue.push(row(0, 0, "a"), at(0), at(1_000_000));
    queue.push(row(0, 1, "b"), at(0), at(50));
    let sent = send(&mut queue, at(0));
    assert!(matches!(queue.answered(&sent[0], AGAIN, at(0)), Became::Dead(..)));
    assert!(matches!(queue.answered(&sent[1], AGAIN, at(9)), Became::Waiting(_)));
    let again = send(&mut queue, at(11));
    assert!(matches!(queue.answered(&again[0], AGAIN, at(11)), Became::Dead(..)));
}

#[test]
fn a_receiver_that_is_away_is_asked_by_one_row_at_a_time_and_all_go_out_when_it_is_back() {
    let keys: Vec<String> = (0..20).map(|key| format!("k{key}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut queue = queue(&keys);
    let sent = send(&mut queue, at(0));
    assert_eq!(sent.len(), 8);
    for ticket in &sent {
        queue.answered(ticket, AGAIN, at(0));
    }
    assert_eq!(queue.circuit(), CircuitState::Open);
    assert!(send(&mut queue, at(0)).is_empty());
    let mut now = at(0);
    let mut asked = Vec::new();
    for _ in 0..12 {
        let Next::Wait(Some(until)) = queue.next(now) else {
            panic!("the circuit is open")
        };
        now = until;
        let probe = send(&mut queue, now);
        assert_eq!(probe.len(), 1);
        asked.push(probe[0].offset);
        queue.answered(&probe[0], AGAIN, now);
    }
    // Those that were never tried come first: a row that is at fault itself must not keep the circuit open.
    assert_eq!(asked, (8..20).collect::<Vec<_>>());
    let Next::Wait(Some(until)) = queue.next(now) else {
        panic!("the circuit is open")
    };
    let probe = send(&mut queue, until);
    queue.answered(&probe[0], Verdict::Delivered, until);
    assert_eq!(send(&mut queue, until).len(), 8, "none waits for a time of its own");
}

#[test]
fn a_receiver_that_asks_for_rest_has_it() {
    let mut queue = queue(&["a", "b"]);
    let sent = send(&mut queue, at(0));
    queue.answered(&sent[0], Verdict::Again { rest: Some(at(90)) }, at(0));
    assert_eq!(queue.answered(&sent[1], Verdict::Delivered, at(1)), Became::Delivered);
    assert!(matches!(queue.next(at(89)), Next::Wait(Some(until)) if until == at(90)));
    assert_eq!(offsets(&send(&mut queue, at(90))), [0]);
}

#[test]
fn a_partition_that_went_to_another_worker_is_forgotten() {
    let mut queue = queue(&["a", "b", "c"]);
    let sent = send(&mut queue, at(0));
    queue.answered(&sent[0], Verdict::Delivered, at(0));
    queue.revoke(0);
    assert_eq!(queue.answered(&sent[1], Verdict::Delivered, at(0)), Became::Forgotten);
    queue.not_buried(&sent[2], at(0));
    assert!(queue.marks().is_empty() && queue.n_rows() == 0 && queue.n_under_way(None) == 0);
    assert_eq!((queue.n_bytes, queue.n_under_way), (0, 0));
}

/// What a run does next.
#[derive(Clone, Debug)]
enum Step {
    Read,
    Answer(prop::sample::Index, Verdict),
    Wait(u64),
    Commit,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![
        4 => Just(Verdict::Delivered),
        3 => Just(AGAIN),
        1 => (0u64..20).prop_map(|rest| Verdict::Again { rest: Some(at(rest)) }),
        1 => Just(Verdict::Never),
    ];
    let step = prop_oneof![
        4 => Just(Step::Read),
        5 => (any::<prop::sample::Index>(), verdict).prop_map(|(index, verdict)| Step::Answer(index, verdict)),
        2 => (0u64..40).prop_map(Step::Wait),
        1 => Just(Step::Commit),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..300)
}

/// A buffer of two partitions, its deliverer, and what became of each row.
struct Run {
    rows: Vec<Row>,
    queue: Queue,
    now: Duration,
    next: [usize; 2],
    committed: [Mark; 2],
    under_way: Vec<Attempt>,
    done: BTreeSet<(i32, i64)>,
    /// What was done when it was committed.
    kept: BTreeSet<(i32, i64)>,
}

impl Run {
    fn start(&mut self) {
        self.queue = Queue::new(Limits::new(at(30)), 7);
        self.under_way.clear();
        self.done.clone_from(&self.kept);
        for partition in 0..2 {
            let mark = self.committed[partition].clone();
            self.next[partition] = self.of(partition).iter().filter(|row| row.offset < mark.offset).count();
            self.queue.assign(partition as i32, mark);
        }
    }

    fn of(&self, partition: usize) -> Vec<Row> {
        let rows = self.rows.iter().filter(|row| row.partition == partition as i32);
        rows.cloned().collect()
    }

    fn read(&mut self) {
        for partition in 0..2 {
            if let Some(row) = self.of(partition).get(self.next[partition]) {
                self.next[partition] += 1;
                self.queue.push(row.clone(), self.now, at(0));
            }
        }
    }

    /// Sends what can be sent, and looks whether it may.
    fn send(&mut self) {
        while let Next::Send(attempt) = self.queue.next(self.now) {
            let place = (attempt.row.partition, attempt.row.offset);
            assert!(!self.kept.contains(&place), "{place:?} was committed as done");
            let before = self.rows.iter().filter(|row| {
                row.key.is_some() && row.key == attempt.row.key && row.partition == place.0 && row.offset < place.1
            });
            for before in before {
                assert!(
                    self.done.contains(&(before.partition, before.offset)),
                    "{place:?} overtook"
                );
            }
            self.under_way.push(attempt);
        }
        assert!(self.under_way.len() <= 8);
        assert_eq!(self.queue.n_under_way(None), self.under_way.len());
    }

    fn answer(&mut self, index: usize, verdict: Verdict) {
        let attempt = self.under_way.swap_remove(index);
        match self.queue.answered(&attempt.ticket, verdict, self.now) {
            Became::Delivered => assert_eq!(verdict, Verdict::Delivered),
            Became::Waiting(due) => {
                assert!(due >= self.now);
                return;
            }
            Became::Dead(..) => self.queue.buried(&attempt.ticket, self.now),
            Became::Forgotten => panic!("nothing was revoked"),
        }
        self.done.insert((attempt.row.partition, attempt.row.offset));
    }

    fn commit(&mut self) {
        for (partition, mark) in self.queue.marks() {
            let passed = self.of(partition as usize);
            let mut passed = passed.iter().filter(|row| row.offset < mark.offset);
            assert!(
                passed.all(|row| self.done.contains(&(partition, row.offset))),
                "a row was passed over"
            );
            self.committed[partition as usize] = mark.clone();
            self.queue.committed(partition, mark);
        }
        self.kept.clone_from(&self.done);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 2))]

    #[test]
    fn every_row_is_delivered_or_buried_in_the_order_of_its_key(
        keys in prop::collection::vec((0i32..2, prop::sample::select(vec!["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", ""])), 1..60),
        steps in steps(),
    ) {
        let rows: Vec<Row> = keys.iter().enumerate().map(|(i, (partition, key))| row(*partition, 2 * i as i64, key)).collect();
        let nothing = Mark { offset: 0, metadata: String::new() };
        let mut run = Run {
            rows,
            queue: Queue::new(Limits::new(at(30)), 7),
            now: at(0),
            next: [0, 0],
            committed: [nothing.clone(), nothing],
            under_way: Vec::new(),
            done: BTreeSet::new(),
            kept: BTreeSet::new(),
        };
        run.start();
        for step in steps {
            match step {
                Step::Read => run.read(),
                Step::Answer(index, verdict) if !run.under_way.is_empty() => run.answer(index.index(run.under_way.len()), verdict),
                Step::Answer(..) => {}
                Step::Wait(seconds) => run.now += at(seconds),
                Step::Commit => run.commit(),
                Step::Restart => run.start(),
            }
            run.send();
        }
        // The receiver is well from now on: everything comes to its end.
        for _ in 0..10 * run.rows.len() + 10 {
            run.read();
            run.now += at(3600);
            run.send();
            while !run.under_way.is_empty() {
                run.answer(0, Verdict::Delivered);
            }
        }
        run.commit();
        prop_assert_eq!(run.done.len(), run.rows.len());
        prop_assert_eq!((run.queue.n_rows(), run.queue.n_bytes, run.queue.n_under_way), (0, 0, 0));
    }
}
