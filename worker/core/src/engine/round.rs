//! One part of the input, brought through all stages.

use super::run::StageRun;
use super::{Engine, Outputs};
use crate::encode::{RecordKeys, encode_rows};
use crate::plan::{Plan, StreamId};
use crate::repartition::Dealt;
use crate::stream::Batch;

/// How many stages and sinks read each stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Readers {
    sources: Vec<usize>,
    stages: Vec<usize>,
    late: Vec<usize>,
}

/// What a round begins with.
pub(super) enum Next {
    /// A part of a source.
    Source(usize, Batch),
    /// Parts of a stage's inputs that another shard sent.
    Dealt(usize, Dealt),
}

/// The parts of all streams in one round.
struct Round {
    sources: Vec<Option<Batch>>,
    stages: Vec<Option<Batch>>,
    late: Vec<Option<Batch>>,
    readers: Readers,
}

impl Engine {
    /// Brings one part of one source through all stages, and what that sets free.
    pub(super) fn round(&mut self, source: usize, batch: Batch, outputs: &mut Outputs) {
        self.rounds(Some(Next::Source(source, batch)), outputs);
    }

    pub(super) fn rounds(&mut self, next: Option<Next>, outputs: &mut Outputs) {
        self.one_round(next, outputs);
        while self.stages.iter().any(StageRun::has_more) {
            self.one_round(None, outputs);
        }
    }

    fn one_round(&mut self, next: Option<Next>, outputs: &mut Outputs) {
        let mut sources: Vec<Option<Batch>> = self.sources.iter().map(|source| Some(source.nothing())).collect();
        let mut arrived = None;
        match next {
            Some(Next::Source(source, batch)) => sources[source] = Some(batch),
            Some(Next::Dealt(stage, dealt)) => arrived = Some((stage, dealt)),
            None => {}
        }
        let mut round = Round {
            sources,
            stages: vec![None; self.stages.len()],
            late: vec![None; self.stages.len()],
            readers: self.n_readers.clone(),
        };
        for number in 0..self.stages.len() {
            let inputs: Vec<Batch> = self.plan.stages[number]
                .inputs
                .iter()
                .filter_map(|input| round.read(input.stream))
                .collect();
            let (main, late) = match &mut self.repartitions[number] {
                None => self.stages[number].process(inputs),
                Some(repartition) => {
                    let parts = self.stages[number].before(inputs);
                    let mut dealt = repartition.deal(parts);
                    if let Some((_, of_other)) = arrived.take_if(|(stage, _)| *stage == number) {
                        // The own shard gives nothing in this round.
                        dealt = of_other;
                    }
                    self.stages[number].behind(dealt)
                }
            };
            self.join_if_level(number);
            if self.observed && main.n_rows() > 0 && is_watched(self.plan.stages[number].kind) {
                outputs.observed.push((number, encode_rows(&main.rows, &[])));
            }
            round.stages[number] = Some(main);
            round.late[number] = Some(late);
        }
        for (number, sink) in self.plan.sinks.iter().enumerate() {
            if let Some(batch) = round.read(sink.stream).filter(|batch| batch.n_rows() > 0) {
                let mut rows = encode_rows(&batch.rows, &sink.changed);
                if self.keyed && !sink.key.is_empty() {
                    rows.keys = Some(RecordKeys::of(&batch.rows, &sink.key));
                }
                outputs.sinks.push((number, rows));
            }
        }
    }
}

impl Round {
    /// The part of a stream, for one of its readers.
    fn read(&mut self, stream: StreamId) -> Option<Batch> {
        let (part, left) = match stream {
            StreamId::Source(i) => (&mut self.sources[i], &mut self.readers.sources[i]),
            StreamId::Stage(i) => (&mut self.stages[i], &mut self.readers.stages[i]),
            StreamId::Late(i) => (&mut self.late[i], &mut self.readers.late[i]),
        };
        *left = left.saturating_sub(1);
        if *left == 0 { part.take() } else { part.clone() }
    }
}

pub(super) fn count_readers(plan: &Plan) -> Readers {
    let mut readers = Readers {
        sources: vec![0; plan.sources.len()],
        stages: vec![0; plan.stages.len()],
        late: vec![0; plan.stages.len()],
    };
    let of_stages = plan
        .stages
        .iter()
        .flat_map(|stage| stage.inputs.iter().map(|input| input.stream));
    for stream in of_stages.chain(plan.sinks.iter().map(|sink| sink.stream)) {
        match stream {
            StreamId::Source(i) => readers.sources[i] += 1,
            StreamId::Stage(i) => readers.stages[i] += 1,
            StreamId::Late(i) => readers.late[i] += 1,
        }
    }
    readers
}

fn is_watched(kind: &str) -> bool {
    matches!(
        kind,
        "aggregate" | "alarm" | "escalate" | "incident" | "sql" | "detect" | "match"
    )
}
