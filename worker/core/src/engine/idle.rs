//! Sources that have been silent for long: nobody waits for them, and event time goes on without them.
//!
//! An idle source goes with the slowest of those that it is merged with here and that are not idle. Where all are, it goes with
//! other shards, who are told not to wait for it; only where all are idle there too, event time goes with the clock. (Whoever
//! has one that is not idle looks at nobody else: else two shards could wait for what each has told the other.)

use super::Engine;
use crate::plan::DealtStage;
use crate::repartition::Repartition;
use crate::stream::{END, Micros};

const SECOND: Micros = 1_000_000;

impl Engine {
    /// Says whether a source is idle; what it gives says that it is not. Answers whether that is new.
    pub fn set_idle(&mut self, source: usize, is_idle: bool) -> bool {
        let Some(ingest) = self.sources.get_mut(source).filter(|ingest| ingest.idle != is_idle) else {
            return false;
        };
        ingest.idle = is_idle;
        self.tell_idle();
        true
    }

    /// Lets each stage whose rows are dealt out know whether all that leads to it is idle. What comes through other shards
    /// may come from any of them.
    pub(super) fn tell_idle(&mut self) {
        for DealtStage {
            number,
            sources,
            is_first,
        } in &self.dealt_stages
        {
            let Some(Some(repartition)) = self.repartitions.get_mut(*number) else {
                continue;
            };
            let mut open = sources
                .iter()
                .map(|source| &self.sources[*source])
                .filter(|source| source.is_open());
            let (first, all_others) = (open.next(), open.all(|source| source.idle));
            repartition.set_idle(*is_first && all_others && first.is_some_and(|source| source.idle));
        }
    }

    /// Whether nobody waits for a source.
    pub fn is_idle(&self, source: usize) -> bool {
        self.sources.get(source).is_some_and(|ingest| ingest.idle)
    }

    /// The time that an idle source ticks to, less its bound, where the clock says `now`: a whole second, unless it is to be
    /// `exact`.
    pub fn idle_time(&self, source: usize, now: Micros, exact: bool) -> Micros {
        let (Some(ingest), Some(group)) = (self.sources.get(source), self.groups.get(source)) else {
            return now;
        };
        let others = self.sources.iter().zip(&self.groups).enumerate();
        let here = others
            .filter(|(other, (of, in_group))| *other != source && *in_group == group && of.is_open() && !of.idle)
            .map(|(_, (of, _))| of.watermark());
        let dealt = self.dealt_from(source).filter(|(stage, _)| stage.is_first);
        let elsewhere = dealt.filter_map(|(_, repartition)| repartition.active_elsewhere());
        match here.min().or_else(|| elsewhere.min()) {
            None => now,
            Some(least) => {
                let least = least.saturating_add(ingest.bound());
                let part = if exact { 0 } else { least.rem_euclid(SECOND) };
                now.min(least.saturating_sub(part))
            }
        }
    }

    /// How far other shards have come that rows of a source are merged with; the end of time if there are none.
    pub fn watermark_elsewhere(&self, source: usize) -> Micros {
        // Behind a stage that deals out itself nobody says whether he is idle.
        let first = self.dealt_from(source).filter(|(stage, _)| stage.is_first);
        first
            .map(|(_, repartition)| repartition.elsewhere())
            .min()
            .unwrap_or(END)
    }

    /// The stages that a source leads to whose rows are dealt out.
    fn dealt_from(&self, source: usize) -> impl Iterator<Item = (&DealtStage, &Repartition)> {
        let stages = self
            .dealt_stages
            .iter()
            .filter(move |stage| stage.sources.contains(&source));
        stages.filter_map(|stage| Some((stage, self.repartitions.get(stage.number)?.as_ref()?)))
    }
}
