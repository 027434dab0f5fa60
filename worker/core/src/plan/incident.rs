//! Lowers `incident` stages: each input becomes a stream of reports.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use tocsin_contract::pipeline::stage::Stage;
use tocsin_contract::problem::Problem;

use super::context::{Context, Lowered, Stream};
use super::names::suggestion;
use super::signature::INCIDENT;
use super::{Adapt, Step};
use crate::encode::json_field;
use crate::expr::compile::{timestamp_type, type_name};
use crate::stage::incident::IncidentPlan;
use crate::stage::incident::signal::{self, Reporting};

/// Brings the inputs to the shape of reports.
pub fn merge(
    streams: &[Stream],
    names: &[&str],
    stage: &Stage,
    path: &str,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<(Stream, Vec<Adapt>)> {
    let by = &stage.incident.as_ref()?.by;
    let n_problems = problems.len();
    let mut key: Vec<(String, DataType)> = Vec::new();
    for column in by {
        let mut types = streams.iter().zip(names).filter_map(|(stream, name)| {
            let Ok(field) = stream.schema.field_with_name(column) else {
                let columns: Vec<&str> = stream
                    .schema
                    .fields()
                    .iter()
                    .map(|field| field.name().as_str())
                    .collect();
                problems.push(
                    Problem::new(
                        format!("{path}.incident.by"),
                        format!("the input `{name}` has no column `{column}`"),
                    )
                    .hint(suggestion(column, columns)),
                );
                return None;
            };
            Some((field.data_type().clone(), *name))
        });
        let Some((first, first_name)) = types.next() else {
            continue;
        };
        let others: Vec<(DataType, &str)> = types.collect();
        if let Some((other, name)) = others.into_iter().find(|(other, _)| *other != first) {
            problems.push(Problem::new(
                format!("{path}.incident.by"),
                format!(
                    "`{column}` is {} in `{first_name}` and {} in `{name}`; one key needs one type",
                    type_name(&first),
                    type_name(&other)
                ),
            ));
        }
        key.push((column.clone(), first));
    }
    if problems.len() > n_problems {
        return None;
    }
    let schema = signal::schema(&key);
    let adapts = streams.iter().zip(names).map(|(stream, name)| {
        let index = |column: &str| stream.schema.index_of(column).ok();
        let text = |column: &str| index(column).filter(|&i| stream.schema.field(i).data_type() == &DataType::Utf8);
        let first_only = index("_rev");
        if index("_deleted").is_some() {
            let text = format!("takes only the first row of each key of the running totals `{name}`, and no update");
            warnings.push(Problem::new(format!("{path}.from"), text).hint("put an alarm between them"));
        } else if first_only.is_some() && stream.lateness > 0 {
            warnings.push(Problem::new(
                format!("{path}.from"),
                format!("takes the first result of each window of `{name}`; revisions by late events are passed over"),
            ));
        }
        let alarm = || Some([index("rule")?, index("alarm")?, index("status")?]);
        Adapt::Report(Reporting {
            stage: (*name).to_owned(),
            by: by.iter().filter_map(|column| index(column)).collect(),
            severity: text("severity"),
            summary: text("summary").or_else(|| text("message")),
            alarm: stream.alarms.then(alarm).flatten(),
            first_only,
            schema: Arc::clone(&schema),
        })
    });
    let adapts = adapts.collect();
    let lateness = streams.iter().map(|stream| stream.lateness).max().unwrap_or(0);
    Some((
        Stream {
            schema,
            changed: Vec::new(),
            lateness,
            key: Vec::new(),
            alarms: false,
        },
        adapts,
    ))
}

/// Lowers an `incident` stage.
pub fn lower(stage: &Stage, mut context: Context<'_>) -> Option<Lowered> {
    let incident = stage.incident.as_ref()?;
    let input = Arc::clone(&context.input.schema);
    let mut fields = vec![Field::new("incident", DataType::Utf8, true)];
    fields.extend(
        input
            .fields()
            .iter()
            .take(incident.by.len())
            .map(|field| field.as_ref().clone()),
    );
    fields.extend(INCIDENT.iter().map(|name| match *name {
        "opened_at" | "updated_at" | "resolved_at" => Field::new(*name, timestamp_type(), true),
        "events" | "transition" => Field::new(*name, DataType::Int64, true),
        "causes" => json_field(name),
        _ => Field::new(*name, DataType::Utf8, true),
    }));
    let output = Arc::new(Schema::new(fields));
    context.steps.push(Step::Incident(IncidentPlan {
        stage: format!("{}/{}", context.pipeline, context.name),
        n_by: incident.by.len(),
        open_for: incident.open_for.as_micros(),
        lateness: context.input.lateness,
        input,
        output: Arc::clone(&output),
    }));
    let key = vec!["incident".to_owned()];
    let output = Stream {
        schema: output,
        key,
        ..context.input
    };
    Some(Lowered {
        steps: context.steps,
        output,
        sorted: true,
    })
}
