//! Lowers `escalate` stages.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tocsin_contract::pipeline::stage::Stage;

use super::Step;
use super::context::{Context, Lowered, Stream};
use super::signature::ESCALATED;
use crate::encode::RECORD;
use crate::expr::compile::timestamp_type;
use crate::stage::escalate::EscalatePlan;

/// Lowers an `escalate` stage.
pub fn lower(stage: &Stage, mut context: Context<'_>) -> Option<Lowered> {
    let escalate = stage.escalate.as_ref()?;
    context.first_results_only();
    let input = Arc::clone(&context.input.schema);
    let is_set = |name: &str| ESCALATED.contains(&name);
    let mut fields: Vec<Field> = Vec::new();
    let mut kept = Vec::new();
    for (i, field) in input
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !is_set(field.name()) && field.name() != RECORD)
    {
        fields.push(field.as_ref().clone());
        kept.push(Some(i));
    }
    for (name, data_type) in ESCALATED
        .into_iter()
        .zip([DataType::Utf8, DataType::Int64, timestamp_type()])
    {
        fields.push(Field::new(name, data_type, true));
        kept.push(None);
    }
    if let Ok(i) = input.index_of(RECORD) {
        fields.push(input.field(i).clone());
        kept.push(Some(i));
    }
    let output: SchemaRef = Arc::new(Schema::new(fields));
    let plan = EscalatePlan {
        by: context.columns(&escalate.by),
        count: escalate.count.max(1),
        within: escalate.within.as_micros(),
        ttl: escalate.ttl,
        severity: escalate.severity.clone(),
        lateness: context.input.lateness,
        output: Arc::clone(&output),
        kept,
    };
    context.steps.push(Step::Escalate(plan));
    let mut changed = context.input.changed;
    changed.retain(|name| !is_set(name));
    changed.extend(ESCALATED.map(str::to_owned));
    let output = Stream {
        schema: output,
        changed,
        key: Vec::new(),
        ..context.input
    };
    Some(Lowered {
        steps: context.steps,
        output,
        sorted: false,
    })
}
