//! Stages that are not built yet: what their streams will look like, so that the rest of a file can be checked.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use tocsin_contract::pipeline::stage::Stage;

use super::context::{Context, Lowered, Stream};
use super::parsed::ParsedKind;
use crate::expr::compile::timestamp_type;

/// The stream of a stage that is not built yet, so that the rest can be checked.
pub fn lower(stage: &Stage, kind: &ParsedKind, context: Context<'_>) -> Lowered {
    let text = |name: &String| Field::new(name, DataType::Utf8, true);
    let kept = |names: &[String]| -> Vec<Field> {
        let find = |name: &String| context.input.schema.field_with_name(name).cloned();
        names
            .iter()
            .map(|name| find(name).unwrap_or_else(|_| text(name)))
            .collect()
    };
    let fields: Vec<Field> = match kind {
        ParsedKind::Enrich => {
            let add = stage
                .enrich
                .as_ref()
                .map(|enrich| enrich.add.as_slice())
                .unwrap_or_default();
            let others = context
                .input
                .schema
                .fields()
                .iter()
                .filter(|field| !add.contains(field.name()));
            others
                .map(|field| field.as_ref().clone())
                .chain(add.iter().map(text))
                .collect()
        }
        ParsedKind::Detect => {
            let names = stage
                .detect
                .iter()
                .flat_map(|detect| detect.by.iter().chain(&detect.features))
                .cloned();
            let mut fields = kept(&names.collect::<Vec<_>>());
            fields.extend(["score", "confidence"].map(|name| Field::new(name, DataType::Float64, true)));
            fields.extend(["severity", "summary"].map(|name| Field::new(name, DataType::Utf8, true)));
            fields
        }
        ParsedKind::Match(_, set) => {
            let by = stage
                .pattern
                .as_ref()
                .map(|pattern| pattern.by.clone())
                .unwrap_or_default();
            let mut fields = kept(&by);
            fields.extend(set.iter().map(|(name, _)| text(name)));
            fields.extend(["severity", "summary"].map(|name| Field::new(name, DataType::Utf8, true)));
            fields.extend(["started_at", "ended_at"].map(|name| Field::new(name, timestamp_type(), true)));
            fields
        }
        _ => Vec::new(),
    };
    let output = Stream {
        schema: Arc::new(Schema::new(fields)),
        key: Vec::new(),
        ..context.input
    };
    Lowered {
        steps: Vec::new(),
        output,
        sorted: false,
    }
}
