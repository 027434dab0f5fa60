//! A savepoint of some shards, in memory: what is stored of it, and what begins with it.

use tocsin_contract::pipeline::source::Source;
use tocsin_worker_core::capture::Extent;
use tocsin_worker_core::engine::{Engine, SavedHead};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::placement::placements;
use tocsin_worker_core::shard::Shard;
use tocsin_worker_core::snapshot::{FORMAT, File, Manifest, ReadFrom, Restore, SourcePosition, TopicNow, dealt};

use super::captured::file_of_blocks;

/// A savepoint.
#[derive(Debug)]
pub struct Savepoint {
    /// Its parts, a shard each.
    pub parts: Vec<Manifest>,
    heads: Vec<SavedHead>,
    files: Vec<Vec<u8>>,
}

impl Savepoint {
    /// Of shards at their cuts, whose inputs have these topics.
    pub fn of(plan: &Plan, sources: &[Source], topics: &[TopicNow], shards: &mut [Shard]) -> Self {
        let (placements, n_shards) = (placements(plan, sources), shards.len() as u32);
        let mut savepoint = Self {
            parts: Vec::new(),
            heads: Vec::new(),
            files: Vec::new(),
        };
        for (number, shard) in (0..).zip(shards) {
            let inputs = plan.input_names().into_iter().zip(topics).zip(shard.positions());
            let positions = inputs.map(|((source, topic), position)| SourcePosition {
                source,
                position: position.map(|at| (at.offset, at.epoch)),
                topic: Some(topic.name.clone()),
                topic_id: topic.id.clone(),
            });
            let manifest = Manifest {
                format: FORMAT,
                pipeline: "test".to_owned(),
                shard: number,
                n_shards,
                sequence: shard.sequence(),
                epoch: shard.epoch(),
                journal_offset: 0,
                restored_from: None,
                resumed_from: None,
                revisions: shard.revisions().clone(),
                drained: shard.drained(),
                positions: positions.collect(),
                stages: Vec::new(),
                head: File::default(),
                files: Vec::new(),
            };
            savepoint.parts.push(Manifest::decode(&manifest.encode()).unwrap());
            let head = shard.begin_capture(Extent::Whole).save().encode();
            savepoint.heads.push(SavedHead::decode(&head).unwrap());
            savepoint.files.push(file_of_blocks(&placements, || shard.next_block()));
        }
        savepoint
    }

    /// A shard that begins with it, and where it reads on.
    pub fn begin(
        &self,
        mut engine: Engine,
        sources: &[Source],
        topics: &[TopicNow],
        place: (u32, u32),
    ) -> (Engine, Vec<ReadFrom>) {
        let dealt = dealt(&self.parts, engine.plan(), sources, topics, place);
        let heads: Vec<SavedHead> = dealt.parts.iter().map(|part| self.heads[*part].clone()).collect();
        let mut restore = Restore::begin(&mut engine, &heads, dealt.deal, false).unwrap();
        for (from, part) in dealt.parts.iter().enumerate() {
            restore.file(from, &self.files[*part]).unwrap();
        }
        let fit = restore.end().unwrap();
        assert!(fit.dropped.is_empty() && fit.new.is_empty(), "{fit:?}");
        (engine, dealt.read_from)
    }
}
