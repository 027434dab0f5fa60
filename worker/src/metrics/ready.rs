//! Whether a worker lives, and whether it does its part.

use std::time::Duration;

use tocsin_contract::worker::ShardPhase;

use super::View;

/// A thread that has made no progress for so long is stuck. All its waits are shorter, also while Kafka is away.
const STUCK: Duration = Duration::from_secs(60);

/// Brokers answer ten times a second, even when there is nothing; of one that has not for so long, nothing is known.
pub(super) const UNANSWERED: Duration = Duration::from_secs(10);

/// So many of a kind are named.
const NAMED: usize = 8;

/// Threads that make no progress, each with how long. A worker with one of them helps nobody and is better begun anew.
pub fn stuck(view: &View) -> Vec<String> {
    let stuck = view.beats.iter().filter_map(|beat| {
        let age = beat.value.filter(|age| *age > STUCK)?;
        Some(format!(
            "thread {} has made no progress for {} s",
            beat.name,
            age.as_secs()
        ))
    });
    stuck.collect()
}

/// Why the worker does not do its part; nothing when it does.
pub fn not_ready(view: &View) -> Vec<String> {
    let group = &view.group;
    if !group.joined {
        return vec!["the consumer group has not said yet which shards are this worker's".to_owned()];
    }
    let mut reasons = Vec::new();
    let shards = view.shards();
    let phase = |number: u32| {
        let sample = shards.iter().find(|sample| sample.shard == number);
        sample.map_or(ShardPhase::Asking, |sample| sample.phase)
    };
    let behind = group.shards.iter().map(|number| (*number, phase(*number)));
    let behind: Vec<String> = behind
        .filter(|(_, phase)| *phase != ShardPhase::Running)
        .map(|(number, phase)| format!("{number} ({})", phase.as_str()))
        .collect();
    if !behind.is_empty() {
        reasons.push(format!("shards are not recovered yet: {}", some_of(&behind)));
    }
    let mut silent = Vec::new();
    for shard in shards.iter().filter(|shard| shard.phase == ShardPhase::Running) {
        for (input, (_, topic)) in shard.inputs.iter().zip(&view.about.sources) {
            let is_silent = input
                .is_some_and(|input| !input.waits && view.now.saturating_duration_since(input.answered) > UNANSWERED);
            if is_silent {
                silent.push(format!("{topic}-{}", shard.shard));
            }
        }
    }
    if !silent.is_empty() {
        let seconds = UNANSWERED.as_secs();
        reasons.push(format!(
            "no broker has answered for {seconds} s for {}",
            some_of(&silent)
        ));
    }
    if group.shards.is_empty() && group.has_trouble(view.now) {
        reasons.push("the consumer group's brokers cannot be reached".to_owned());
    }
    reasons
}

fn some_of(names: &[String]) -> String {
    let (named, others) = names.split_at(names.len().min(NAMED));
    let mut text = named.join(", ");
    if !others.is_empty() {
        text.push_str(&format!(" and {} more", others.len()));
    }
    text
}
