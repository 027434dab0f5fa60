//! What the rows of a sink are, so that a request can speak of them.

use crate::plan::{Plan, StreamId};

/// What the rows of a sink are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Name of the stream that the sink takes out.
    pub stream: String,
    /// What a row is.
    pub kind: RowKind,
    /// The columns that name what a row is about.
    pub key: Vec<String>,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A transition of an incident.
    Incident,
    /// An alarm that fires, or is resolved.
    Alarm,
    /// Anything else.
    Other,
}

impl Shape {
    /// The shape of the rows of the plan's sink with this number.
    pub fn of(plan: &Plan, sink: usize) -> Option<Self> {
        let sink = plan.sinks.get(sink)?;
        let (kind, key) = seen(plan, sink.stream);
        Some(Self {
            pipeline: plan.name.clone(),
            stream: plan.stream_name(sink.stream),
            kind,
            key,
        })
    }
}

/// What the rows of a stream are, and what names what they are about. A filter leaves rows as they are.
fn seen(plan: &Plan, stream: StreamId) -> (RowKind, Vec<String>) {
    let StreamId::Stage(number) = stream else {
        return (RowKind::Other, Vec::new());
    };
    let Some(stage) = plan.stages.get(number) else {
        return (RowKind::Other, Vec::new());
    };
    let kind = match stage.kind {
        "incident" => RowKind::Incident,
        "alarm" => RowKind::Alarm,
        "filter" => {
            let mut inputs = stage.inputs.iter().map(|input| seen(plan, input.stream));
            let first = inputs.next().unwrap_or((RowKind::Other, Vec::new()));
            let are_equal = inputs.all(|other| other == first);
            return if are_equal { first } else { (RowKind::Other, Vec::new()) };
        }
        _ => RowKind::Other,
    };
    (kind, stage.shown_key.clone())
}
