//! Which sources are merged, and which lead to stages that bring other shards' rows together with theirs.

use std::collections::BTreeSet;

use super::{Plan, StagePlan, StreamId};

/// A stage whose rows are dealt out by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealtStage {
    /// Its number.
    pub number: usize,
    /// The sources that lead to it, directly or through other stages.
    pub sources: BTreeSet<usize>,
    /// Whether nothing before it is dealt out.
    pub is_first: bool,
}

impl Plan {
    /// The stages whose rows are dealt out by key.
    pub fn dealt_stages(&self) -> Vec<DealtStage> {
        let mut dealt = Vec::new();
        let mut leads: Vec<DealtStage> = Vec::with_capacity(self.stages.len());
        for (number, stage) in self.stages.iter().enumerate() {
            let mut of_stage = DealtStage {
                number,
                sources: BTreeSet::new(),
                is_first: true,
            };
            for input in &stage.inputs {
                match input.stream {
                    StreamId::Source(i) => of_stage.sources.extend([i]),
                    StreamId::Stage(i) | StreamId::Late(i) => {
                        let before = &leads[i];
                        of_stage.sources.extend(&before.sources);
                        of_stage.is_first &= before.is_first && self.stages[i].repartition.is_none();
                    }
                }
            }
            if stage.repartition.is_some() {
                dealt.push(of_stage.clone());
            }
            leads.push(of_stage);
        }
        dealt
    }

    /// A number for each source, the same for those that have a stage in common whose rows are put into one order, directly or
    /// through others.
    pub fn merged_sources(&self) -> Vec<usize> {
        let mut groups: Vec<usize> = (0..self.sources.len()).collect();
        for stage in &self.stages {
            for order in 0..stage.inputs.len() {
                let inputs = stage.inputs.iter().zip(&stage.orders);
                let of_order = inputs.filter(|(_, of)| **of == order).map(|(input, _)| input.stream);
                let mut joined: Vec<usize> = of_order
                    .flat_map(|stream| sources_of(stream, &self.stages))
                    .filter_map(|source| groups.get(source).copied())
                    .collect();
                joined.dedup();
                // One input's rows stand in one order already, whatever it is made of.
                let n_inputs = stage.orders.iter().filter(|of| **of == order).count();
                if let (Some(into), true) = (joined.first().copied(), n_inputs > 1) {
                    let same = groups.iter_mut().filter(|group| joined.contains(group));
                    same.for_each(|group| *group = into);
                }
            }
        }
        groups
    }

    /// Whether a stage takes rows of several sources as they come: its results are the same only by the journal. (Those of one
    /// source have one order, in which they come.)
    pub fn mixes_sources(&self, stage: usize) -> bool {
        self.stages[stage].orders.iter().any(|order| *order > 0)
    }
}

/// In which order each of these inputs is put: all in one; or, where they are taken as they come, only those in one that have a
/// source in common. (Rows of one source would else come in an order that hangs on how they were batched.)
pub(super) fn orders(inputs: &[StreamId], stages: &[StagePlan], as_they_come: bool) -> Vec<usize> {
    let mut orders: Vec<usize> = vec![0; inputs.len()];
    if !as_they_come {
        return orders;
    }
    let sources: Vec<BTreeSet<usize>> = inputs.iter().map(|stream| sources_of(*stream, stages)).collect();
    let mut n_orders = 0;
    let mut known: Vec<(BTreeSet<usize>, Vec<usize>)> = Vec::new();
    for (input, of_input) in sources.into_iter().enumerate() {
        let (same, others): (Vec<_>, Vec<_>) = known.into_iter().partition(|(of, _)| !of.is_disjoint(&of_input));
        let mut joined = (of_input, vec![input]);
        for (of, inputs) in same {
            joined.0.extend(of);
            joined.1.extend(inputs);
        }
        known = others;
        known.push(joined);
    }
    known.sort_by_key(|(_, inputs)| inputs.iter().min().copied());
    for (_, inputs) in known {
        for input in inputs {
            orders[input] = n_orders;
        }
        n_orders += 1;
    }
    orders
}

/// The sources that lead to a stream.
fn sources_of(stream: StreamId, stages: &[StagePlan]) -> BTreeSet<usize> {
    match stream {
        StreamId::Source(i) => BTreeSet::from([i]),
        StreamId::Stage(i) | StreamId::Late(i) => {
            let inputs = stages.get(i).into_iter().flat_map(|stage| &stage.inputs);
            inputs.flat_map(|input| sources_of(input.stream, stages)).collect()
        }
    }
}
