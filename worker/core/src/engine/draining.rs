//! How what is dealt out by key comes to an end while a pipeline is held: see [`crate::shard::Shard::hold`].

use std::collections::BTreeMap;

use super::Engine;
use crate::plan::StreamId;
use crate::repartition::{Ends, Repartition};

impl Engine {
    /// No source gives anything from here on, until [`Engine::go_on`].
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Sources give something again.
    pub fn go_on(&mut self) {
        self.held = false;
        self.repartitions.iter_mut().flatten().for_each(Repartition::go_on);
    }

    /// A run epoch begins: what was said of ends before does not count.
    pub fn begin_epoch(&mut self) {
        self.repartitions
            .iter_mut()
            .flatten()
            .for_each(Repartition::begin_epoch);
    }

    /// Whether others must be told that nothing follows.
    pub(super) fn end_is_due(&self) -> bool {
        self.held && self.ends_due().contains(&true)
    }

    /// Of each stage, whether others must be told that nothing follows.
    pub(super) fn ends_due(&self) -> Vec<bool> {
        let stages = self.repartitions.iter().zip(self.inputs_ended());
        let is_due = |dealt: &Option<Repartition>| dealt.as_ref().is_some_and(Repartition::end_is_due);
        stages
            .map(|(dealt, ended)| self.held && ended && is_due(dealt))
            .collect()
    }

    /// Of each stage, whether nothing more comes to it in this shard, what others send to it apart.
    fn inputs_ended(&self) -> Vec<bool> {
        let mut inputs_ended: Vec<bool> = Vec::new();
        for stage in &self.plan.stages {
            let is_ended = |stream: StreamId| match stream {
                StreamId::Source(_) => true,
                StreamId::Stage(i) | StreamId::Late(i) => {
                    let dealt = self.repartitions.get(i).and_then(Option::as_ref);
                    inputs_ended.get(i) == Some(&true) && dealt.is_none_or(Repartition::are_ended)
                }
            };
            inputs_ended.push(stage.inputs.iter().all(|input| is_ended(input.stream)));
        }
        inputs_ended
    }

    /// What was said of ends, by name of the input, once all has been said and heard.
    pub(crate) fn drained(&self) -> Option<BTreeMap<String, Ends>> {
        let names = self.plan.input_names().into_iter().skip(self.sources.len());
        let dealt = names.zip(self.repartitions.iter().flatten());
        let dealt = dealt.filter_map(|(name, dealt)| Some((name, dealt, dealt.ends()?)));
        let is_open = |dealt: &Repartition, ends: &Ends| ends.own.is_none() || !dealt.are_ended() || dealt.is_due();
        let ends: Option<BTreeMap<String, Ends>> = dealt
            .map(|(name, dealt, ends)| (!is_open(dealt, ends)).then(|| (name, ends.clone())))
            .collect();
        ends
    }
}
