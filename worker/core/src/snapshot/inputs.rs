//! The inputs of a shard that goes on from a snapshot, by those that it had: which are read on, and which are new.

use super::dealing::TopicNow;
use super::manifest::Manifest;
use crate::kafka::fetching::Position;

/// How an input is read that a shard goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputNow {
    /// From here on.
    Position(Position),
    /// The pipeline had none of that name.
    New,
    /// It has no partition for the shard.
    Nowhere,
}

/// Inputs with which a shard cannot go on where it stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangedInput {
    /// What was read of one topic says nothing of another.
    #[error(
        "{input} read topic {then}, and reads {now} now: give the source another name, so that it begins anew, or the topic back"
    )]
    Topic {
        /// Name of the input.
        input: String,
        /// Its topic when the snapshot was taken.
        then: String,
        /// Its topic now.
        now: String,
    },
    /// A topic of the same name is another one.
    #[error(
        "topic {topic} was deleted and made again (TopicRecreated), and what was read of it says nothing of the new one: give the source another name, so that it begins anew, or begin under another name (metadata.name)"
    )]
    Recreated {
        /// The topic.
        topic: String,
    },
    /// Partitions were added to a topic, and keys have moved.
    #[error(
        "topic {topic} got partitions while no worker ran, so that keys have moved: go on from the last savepoint (`--restore-from`) in a later run epoch (`--rewind-to-epoch`)"
    )]
    Grown {
        /// The topic.
        topic: String,
    },
    /// The journal behind the snapshot speaks of inputs by number.
    #[error(
        "the inputs were [{}] and are [{}] now, and the journal goes on behind the last snapshot: run the pipeline as it was until a snapshot has all, or take a savepoint that drains (`\"drain\": true`) and begin a later run epoch with that (`--restore-from`, `--rewind-to-epoch`)",
        .then.join(", "), .now.join(", ")
    )]
    Order {
        /// Names of the inputs when the snapshot was taken.
        then: Vec<String>,
        /// Their names now.
        now: Vec<String>,
    },
}

/// Whether a topic is another one than it was, by its ids; old brokers give none.
pub fn is_another(then: Option<&String>, now: Option<&String>) -> bool {
    then.zip(now).is_some_and(|(then, now)| then != now)
}

/// How the inputs of these names and topics are read. `is_last` says whether nothing is done again behind the snapshot.
///
/// # Errors
/// If the shard cannot go on with them.
pub fn inputs_now(
    manifest: &Manifest,
    names: &[String],
    topics: &[TopicNow],
    is_last: bool,
) -> Result<Vec<InputNow>, ChangedInput> {
    let then: Vec<String> = manifest.positions.iter().map(|input| input.source.clone()).collect();
    if !is_last && !names.starts_with(&then) {
        let now = names.to_vec();
        return Err(ChangedInput::Order { then, now });
    }
    let input = |(name, topic): (&String, &TopicNow)| {
        let has_partition = manifest.shard < topic.n_partitions;
        let Some(known) = manifest.positions.iter().find(|input| input.source == *name) else {
            return Ok(if has_partition {
                InputNow::New
            } else {
                InputNow::Nowhere
            });
        };
        if let Some(then) = known.topic.as_ref().filter(|then| **then != topic.name) {
            return Err(ChangedInput::Topic {
                input: name.clone(),
                then: then.clone(),
                now: topic.name.clone(),
            });
        }
        if known.position.is_some() && is_another(known.topic_id.as_ref(), topic.id.as_ref()) {
            return Err(ChangedInput::Recreated {
                topic: topic.name.clone(),
            });
        }
        match known.position {
            Some((offset, epoch)) => Ok(InputNow::Position(Position { offset, epoch })),
            None if has_partition => Err(ChangedInput::Grown {
                topic: topic.name.clone(),
            }),
            None => Ok(InputNow::Nowhere),
        }
    };
    names.iter().zip(topics).map(input).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::super::manifest::{FORMAT, File, SourcePosition};
    use super::*;

    /// Inputs as name, topic and offset.
    fn manifest(inputs: &[(&str, &str, Option<i64>)]) -> Manifest {
        let positions = inputs.iter().map(|(source, topic, offset)| SourcePosition {
            source: (*source).to_owned(),
            position: offset.map(|offset| (offset, 0)),
            topic: Some((*topic).to_owned()),
            topic_id: None,
        });
        Manifest {
            format: FORMAT,
            pipeline: "noc".to_owned(),
            shard: 2,
            n_shards: 4,
            sequence: 7,
            epoch: 0,
            drained: None,
            restored_from: None,
            resumed_from: None,
            revisions: std::collections::BTreeMap::new(),
            journal_offset: 9,
            positions: positions.collect(),
            stages: Vec::new(),
            head: File::default(),
            files: Vec::new(),
        }
    }

    /// The outcome for inputs as name, topic and partitions.
    fn check(
        then: &[(&str, &str, Option<i64>)],
        now: &[(&str, &str, u32)],
        is_last: bool,
    ) -> Result<Vec<InputNow>, ChangedInput> {
        let names: Vec<String> = now.iter().map(|(name, _, _)| (*name).to_owned()).collect();
        let topic = |(_, topic, n_partitions): &(&str, &str, u32)| TopicNow {
            name: (*topic).to_owned(),
            id: None,
            n_partitions: *n_partitions,
        };
        let topics: Vec<TopicNow> = now.iter().map(topic).collect();
        inputs_now(&manifest(then), &names, &topics, is_last)
    }

    fn at(offset: i64) -> InputNow {
        InputNow::Position(Position { offset, epoch: 0 })
    }

    #[test]
    fn an_input_is_read_on_and_one_that_is_added_begins() {
        let then = [("a", "alerts", Some(5)), ("m", "metrics", None)];
        let now = [
            ("a", "alerts", 4),
            ("m", "metrics", 2),
            ("n", "news", 4),
            ("o", "old", 1),
        ];
        let expected = vec![at(5), InputNow::Nowhere, InputNow::New, InputNow::Nowhere];
        assert_eq!(check(&then, &now, false), Ok(expected));
    }

    #[test]
    fn another_topic_is_not_read_from_the_offset_of_the_first() {
        let found = check(&[("a", "alerts", Some(5))], &[("a", "other", 4)], true);
        assert!(matches!(found, Err(ChangedInput::Topic { .. })), "{found:?}");
    }

    #[test]
    fn a_partition_that_was_added_is_not_passed_over() {
        let found = check(&[("m", "metrics", None)], &[("m", "metrics", 3)], true);
        assert!(matches!(found, Err(ChangedInput::Grown { .. })), "{found:?}");
    }

    #[test]
    fn inputs_in_another_order_are_taken_only_where_nothing_is_done_again() {
        let then = [("a", "alerts", Some(5)), ("kpis.by", "noc.kpis.by", Some(3))];
        let now = [("a", "alerts", 4), ("b", "more", 4), ("kpis.by", "noc.kpis.by", 4)];
        assert!(matches!(check(&then, &now, false), Err(ChangedInput::Order { .. })));
        assert_eq!(check(&then, &now, true), Ok(vec![at(5), InputNow::New, at(3)]));
    }
}
