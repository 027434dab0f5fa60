//! Lowers sources, and brings the streams that a stage reads to one shape.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use tocsin_contract::pipeline::source::Source;
use tocsin_contract::problem::Problem;

use super::context::Stream;
use super::fields::Fields;
use super::graph::Graph;
use super::signature::Shape;
use super::{Adapt, SourcePlan};
use crate::decode::{ColumnSpec, ColumnType, EventTimeSpec, RecordSchema};
use crate::encode::{RECORD, json_field};
use crate::expr::compile::type_name;

/// The sources whose whole records some sink writes.
pub fn sources_with_record(graph: &Graph, fields: &Fields) -> Vec<bool> {
    let mut with_record = vec![false; fields.columns.len()];
    for stream in &graph.sinks {
        if let Some(Shape::Open { sources, .. }) = fields.shapes.of(*stream) {
            for source in sources {
                with_record[source] = true;
            }
        }
    }
    with_record
}

/// A source that reads these columns.
pub fn lower_source(source: &Source, columns: &[ColumnSpec], whole_record: bool) -> SourcePlan {
    let read = columns.iter().filter(|column| column.read);
    let mut fields: Vec<Field> = read.map(field_of).collect();
    if whole_record {
        fields.push(Field::new(RECORD, DataType::Utf8, true));
    }
    let event_time = &source.event_time;
    // A declared path says where the field stands, for the event time as well.
    let path = columns
        .iter()
        .find(|column| column.name == event_time.field)
        .map(|column| column.path.clone());
    SourcePlan {
        name: source.name.clone(),
        format: source.format.kind,
        year: source.format.year,
        registry: source.format.registry.as_ref().map(|registry| registry.url.clone()),
        record: RecordSchema {
            columns: columns.to_vec(),
            event_time: EventTimeSpec {
                path: path.unwrap_or_else(|| vec![event_time.field.clone()]),
                unit: source.time_unit(),
            },
            whole_record,
            strict: source.format.strict,
            predicate: None,
        },
        columns: Arc::new(Schema::new(fields)),
        max_out_of_orderness: event_time.max_out_of_orderness.as_micros(),
        max_ahead: event_time.max_ahead.as_micros(),
        idle_timeout: event_time.idle_timeout.as_micros(),
        alignment: event_time.alignment.as_micros(),
    }
}

fn field_of(column: &ColumnSpec) -> Field {
    if column.ty == ColumnType::Json {
        return json_field(&column.name);
    }
    Field::new(&column.name, column.ty.data_type(), true)
}

/// The stream of a source.
pub fn source_stream(source: &Source, plan: &SourcePlan) -> Stream {
    Stream {
        schema: Arc::clone(&plan.columns),
        changed: Vec::new(),
        lateness: source.event_time.allowed_lateness.as_micros(),
        key: Vec::new(),
        alarms: false,
    }
}

/// Brings several streams to one shape: all their columns by name.
pub fn merge(streams: Vec<Stream>, path: &str, problems: &mut Vec<Problem>) -> Option<(Stream, Vec<Adapt>)> {
    if streams.len() == 1 {
        return streams.into_iter().next().map(|stream| (stream, vec![Adapt::Same]));
    }
    let mut fields: Vec<Field> = Vec::new();
    for stream in &streams {
        for field in stream.schema.fields() {
            match fields.iter().find(|known| known.name() == field.name()) {
                None => fields.push(field.as_ref().clone()),
                Some(known) if known.data_type() == field.data_type() => {}
                Some(known) => problems.push(Problem::new(
                    format!("{path}.from"),
                    format!(
                        "`{}` is {} in one input and {} in another",
                        field.name(),
                        type_name(known.data_type()),
                        type_name(field.data_type())
                    ),
                )),
            }
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let adapts = streams
        .iter()
        .map(|stream| {
            Adapt::Columns(
                schema
                    .fields()
                    .iter()
                    .map(|field| stream.schema.index_of(field.name()).ok())
                    .collect(),
            )
        })
        .collect();
    let mut changed: Vec<String> = streams.iter().flat_map(|stream| stream.changed.clone()).collect();
    changed.sort();
    changed.dedup();
    let lateness = streams.iter().map(|stream| stream.lateness).max().unwrap_or(0);
    Some((
        Stream {
            schema,
            changed,
            lateness,
            key: Vec::new(),
            alarms: false,
        },
        adapts,
    ))
}
