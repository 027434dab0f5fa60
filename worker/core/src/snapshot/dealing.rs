//! A savepoint as the beginning of a shard: which of its parts come together there, and where each source is read on.

use tocsin_contract::pipeline::source::{Partitioner, Source};

use super::manifest::Manifest;
use crate::kafka::fetching::Position;
use crate::plan::Plan;
use crate::plan::dealing::{Deal, Routing, StageDeal, stage_deals};

/// A source's topic as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicNow {
    /// Its name.
    pub name: String,
    /// Its id, if the brokers give one.
    pub id: Option<String>,
    /// How many partitions it has.
    pub n_partitions: u32,
}

/// Where a shard begins to read a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The source has no partition for it.
    Nowhere,
    /// Where the savepoint was taken.
    Position(Position),
    /// The first record: the partition is a new one of the same topic.
    First,
    /// Where a pipeline begins that has never run: nothing is known of the topic.
    Start,
}

/// What a shard begins with.
#[derive(Clone, Debug)]
pub struct Dealt {
    /// The parts of the savepoint that it takes, by number.
    pub parts: Vec<usize>,
    /// What of them comes here; all of the only part if nothing says so.
    pub deal: Option<Deal>,
    /// For each input of the plan: the sources, then what shards send to one another.
    pub read_from: Vec<ReadFrom>,
    /// Sources whose topics are others than when the savepoint was taken, so that its positions say nothing.
    pub others: Vec<String>,
}

/// What is known of a source.
struct Known {
    /// Partitions that it had.
    before: u32,
    now: u32,
    /// Whether the savepoint's positions are of this topic.
    same: bool,
}

/// What shard `shard` of `n_shards` begins with, by the parts of a savepoint.
pub fn dealt(
    parts: &[Manifest],
    plan: &Plan,
    sources: &[Source],
    topics: &[TopicNow],
    (shard, n_shards): (u32, u32),
) -> Dealt {
    let (whole, n_parts) = (parts, parts.len() as u32);
    let all: Vec<Option<Known>> = plan
        .sources
        .iter()
        .zip(topics)
        .map(|(source, topic)| known(parts, &source.name, topic))
        .collect();
    let read_from = plan.sources.iter().zip(topics).zip(&all);
    let mut read_from: Vec<ReadFrom> = read_from
        .map(|((source, topic), known)| match known {
            _ if shard >= topic.n_partitions => ReadFrom::Nowhere,
            Some(known) if known.same => {
                let part = parts.get(shard as usize);
                let position =
                    part.and_then(|part| part.positions(&[&source.name]).into_iter().flatten().next().flatten());
                position.map_or(ReadFrom::First, ReadFrom::Position)
            }
            _ => ReadFrom::Start,
        })
        .collect();
    let reads_on = read_from.iter().map(|from| matches!(from, ReadFrom::Position(_)));
    let reads_on: Vec<bool> = reads_on.collect();
    let known = || all.iter().flatten();
    let is_aligned = n_parts == n_shards && known().all(|known| known.before == known.now);
    let (parts, deal) = if is_aligned && known().all(|known| known.same) {
        (vec![shard as usize], None)
    } else if is_aligned {
        // Each shard has its keys; only the logs are others.
        let stage = StageDeal {
            routing: Routing {
                partitioner: Partitioner::Murmur2,
                columns: Vec::new(),
            },
            before: 1,
            now: 1,
        };
        let deal = Deal {
            shard: 0,
            n_shards: 1,
            reads_on,
            stages: vec![Some(stage); plan.stages.len()],
        };
        (vec![shard as usize], Some(deal))
    } else {
        let of = |count: fn(&Known) -> u32| -> Vec<u32> {
            let of_source = |known: &Option<Known>| known.as_ref().map_or(n_parts, count);
            all.iter().map(of_source).collect()
        };
        let of_sources = topics.iter().take(plan.sources.len());
        let now: Vec<u32> = of_sources.map(|topic| topic.n_partitions).collect();
        let deal = Deal {
            shard,
            n_shards,
            reads_on,
            stages: stage_deals(plan, sources, &of(|known| known.before), &now),
        };
        ((0..parts.len()).collect(), Some(deal))
    };
    let names = plan.input_names().into_iter().zip(topics).skip(plan.sources.len());
    read_from.extend(names.map(|(name, topic)| sent_from(whole, shard, &name, topic)));
    let others = plan.sources.iter().zip(&all);
    let others = others.filter(|(_, known)| known.as_ref().is_some_and(|known| !known.same));
    Dealt {
        parts,
        deal,
        read_from,
        others: others.map(|(source, _)| source.name.clone()).collect(),
    }
}

/// Where a shard begins to read what others send it: behind what was there when the savepoint was taken, which is of an
/// earlier run epoch. In a topic that may be another one nothing is.
fn sent_from(parts: &[Manifest], shard: u32, input: &str, topic: &TopicNow) -> ReadFrom {
    let saved = parts.get(shard as usize).into_iter().flat_map(|part| &part.positions);
    let mut same = saved.filter(|saved| saved.source == input && topic.id.is_some() && saved.topic_id == topic.id);
    let position = same.next().and_then(|saved| saved.position);
    position.map_or(ReadFrom::First, |(offset, epoch)| {
        ReadFrom::Position(Position { offset, epoch })
    })
}

/// What is known of a source; nothing if the savepoint is of a pipeline without it.
fn known(parts: &[Manifest], source: &str, topic: &TopicNow) -> Option<Known> {
    let of_source = |part: &'_ Manifest| {
        part.positions
            .iter()
            .find(|position| position.source == source)
            .cloned()
    };
    let positions: Vec<_> = parts.iter().filter_map(of_source).collect();
    let first = positions.first()?;
    let before = positions.iter().filter(|position| position.position.is_some()).count() as u32;
    // What is not known does not differ.
    let agrees =
        |then: &Option<String>, now: Option<&String>| then.as_ref().zip(now).is_none_or(|(then, now)| then == now);
    let same_name = agrees(&first.topic, Some(&topic.name));
    let same = same_name && agrees(&first.topic_id, topic.id.as_ref()) && before <= topic.n_partitions;
    let now = topic.n_partitions;
    Some(Known { before, now, same })
}
