//! What records that a sink writes to Kafka are keyed by.

use tocsin_contract::pipeline::source::Source;

use super::{Plan, StreamId};

/// Names of the columns that rows of a stream are keyed by: the key by which a reader replaces them, else what they are
/// about, else what the records that they keep were keyed by. Where inputs differ there is none.
pub fn record_key(plan: &Plan, sources: &[Source], stream: StreamId) -> Vec<String> {
    match stream {
        StreamId::Source(i) => {
            let claim = sources.get(i).and_then(|source| source.partitioned_by.as_ref());
            claim.map(|claim| claim.key.clone()).unwrap_or_default()
        }
        StreamId::Stage(i) => {
            let stage = &plan.stages[i];
            let own = [&stage.key, &stage.shown_key].into_iter().find(|key| !key.is_empty());
            match own {
                Some(own) => own.clone(),
                None if stage.kind == "filter" => of_inputs(plan, sources, i),
                None => Vec::new(),
            }
        }
        StreamId::Late(i) => of_inputs(plan, sources, i),
    }
}

fn of_inputs(plan: &Plan, sources: &[Source], stage: usize) -> Vec<String> {
    let inputs = plan.stages[stage].inputs.iter();
    let mut keys = inputs.map(|input| record_key(plan, sources, input.stream));
    let first = keys.next().unwrap_or_default();
    if keys.all(|key| key == first) {
        first
    } else {
        Vec::new()
    }
}
