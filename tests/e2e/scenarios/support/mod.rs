//! What scenarios have in common.
#![allow(dead_code, clippy::panic)]

use std::time::Duration;

use tocsin_e2e::ids::{Ids, Pace};
use tocsin_e2e::{RigError, Worker};

/// A result is there within this.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A worker that nobody disturbs ends within this.
pub const END: Duration = Duration::from_secs(12);

/// What came out, or a panic that says what the workers said last.
pub fn or_tell<T>(when: &str, workers: &[&Worker], outcome: Result<T, RigError>) -> T {
    outcome.unwrap_or_else(|error| {
        let said: Vec<String> = workers.iter().map(|worker| worker.last_lines()).collect();
        panic!("{when}: {error}\n{}", said.join("\n----\n"))
    })
}

/// Kills a worker under load so many times, each time after all that was written is through, and compares all results.
pub fn survives_kills(ids: &Ids<'_>, worker: Worker, kills: u64) {
    let mut worker = worker;
    let stream = or_tell("the stream", &[&worker], ids.stream(Pace::default()));
    let mut tail = or_tell("the tail", &[&worker], ids.tail());
    for kill in 0..kills {
        let through = tail.wait_for(stream.written(), PATIENCE);
        or_tell(&format!("before kill {kill}"), &[&worker], through);
        or_tell("the kill", &[&worker], worker.kill());
        worker = or_tell("the next one", &[], ids.worker("w"));
    }
    let n_events = or_tell("the end of the stream", &[&worker], stream.end());
    or_tell("at the end", &[&worker], tail.wait_for_all_passed(n_events, PATIENCE));
    or_tell("it ends", &[&worker], worker.end(END));
    let checked = or_tell("compared", &[&worker], ids.check());
    assert_eq!(i64::try_from(checked), Ok(n_events));
}
