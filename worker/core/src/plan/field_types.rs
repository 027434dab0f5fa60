//! The type of a field: declared, or the one that its uses agree on.

use std::collections::{BTreeMap, BTreeSet};

use tocsin_contract::pipeline::source::{FieldType, Source, TimeUnit};
use tocsin_contract::problem::Problem;

use super::fields::{Collected, Place};
use super::format_columns;
use super::names::source_path;
use super::parsed::{at_use, problem};
use crate::decode::{ColumnSpec, ColumnType, Origin};
use crate::expr::parse::ExpressionError;
use crate::expr::uses::Use;

/// The columns of a source: those that are used, and those that are declared.
pub fn columns(number: usize, source: &Source, collected: &Collected, problems: &mut Vec<Problem>) -> Vec<ColumnSpec> {
    let mut columns: BTreeMap<String, ColumnSpec> = BTreeMap::new();
    let unit = source.time_unit();
    for field in &source.format.fields {
        let path = field
            .path
            .as_deref()
            .unwrap_or(&field.name)
            .split('.')
            .map(str::to_owned)
            .collect();
        let ty = match field.kind {
            FieldType::String => ColumnType::Utf8,
            FieldType::Int64 => ColumnType::Int64,
            FieldType::UInt64 => ColumnType::UInt64,
            FieldType::Float64 => ColumnType::Float64,
            FieldType::Decimal => ColumnType::Decimal,
            FieldType::Boolean => ColumnType::Boolean,
            FieldType::Timestamp => ColumnType::Timestamp(unit),
            FieldType::Json => ColumnType::Json,
        };
        let origin = Origin::Declared {
            required: field.required,
        };
        let column = ColumnSpec {
            name: field.name.clone(),
            path,
            ty,
            origin,
            read: false,
        };
        if columns.insert(field.name.clone(), column).is_some() {
            let path = format!("{}.format.fields[{}]", source_path(&source.name), field.name);
            problems.push(Problem::new(path, "this field is declared twice"));
        }
    }
    let used: BTreeMap<&str, &Vec<Place>> = collected
        .places
        .iter()
        .filter(|((source, _), _)| *source == number)
        .map(|((_, name), places)| (name.as_str(), places))
        .collect();
    for name in used.keys() {
        if let Some(column) = columns.get_mut(*name) {
            column.read = true;
            continue;
        }
        let together = same_type(number, name, collected);
        // Its own places come last: of equal ones, an error shows the last.
        let others = together.iter().filter(|other| other != name);
        let places: Vec<&Place> = others
            .chain([&(*name).to_owned()])
            .filter_map(|name| used.get(name.as_str()))
            .copied()
            .flatten()
            .collect();
        let declared = together.iter().find_map(|name| {
            columns
                .get(name)
                .filter(|column| matches!(column.origin, Origin::Declared { .. }))
        });
        let typed = match declared {
            Some(column) => Ok((column.ty, Origin::Used)),
            None if **name == source.event_time.field => Ok((ColumnType::Timestamp(unit), Origin::Used)),
            None => type_of(name, &places, unit),
        };
        match typed {
            Ok((ty, origin)) => {
                let path = vec![(*name).to_owned()];
                columns.insert(
                    (*name).to_owned(),
                    ColumnSpec {
                        name: (*name).to_owned(),
                        path,
                        ty,
                        origin,
                        read: true,
                    },
                );
            }
            Err((place, error)) => {
                let of_type = |ty: &str| {
                    format!(
                        "add to {}.format.fields: - {{name: {name}, type: {ty}}}",
                        source_path(&source.name)
                    )
                };
                let advice = if error_is_conflict(&places) {
                    of_type("String")
                } else if together.len() > 1 {
                    // Of two names that nothing is known of, one is rather meant as a text.
                    format!(
                        "a text stands in single quotes: '{name}'. For a column, {}",
                        of_type("String")
                    )
                } else {
                    of_type("Float64")
                };
                let error = error.advice(advice);
                let text = place.text.as_ref().map(|(text, _)| text.as_str()).unwrap_or_default();
                problems.push(problem(place.path.clone(), text, &error));
            }
        }
    }
    let place = |name: &str| used.get(name).and_then(|places| places.first());
    format_columns::check(source, columns.values(), place, problems);
    columns.into_values().collect()
}

/// The field, and those that are compared with it, however far around.
fn same_type(number: usize, name: &str, collected: &Collected) -> BTreeSet<String> {
    let mut together: BTreeSet<String> = [name.to_owned()].into();
    loop {
        let n_before = together.len();
        for (_, a, b) in collected.same.iter().filter(|(source, _, _)| *source == number) {
            if together.contains(a) || together.contains(b) {
                together.extend([a.clone(), b.clone()]);
            }
        }
        if together.len() == n_before {
            return together;
        }
    }
}

fn error_is_conflict(places: &[&Place]) -> bool {
    places.iter().any(|place| place.used_as > Use::AsWritten)
}

fn type_of<'a>(
    name: &str,
    places: &[&'a Place],
    unit: TimeUnit,
) -> Result<(ColumnType, Origin), (&'a Place, ExpressionError)> {
    let strongest = places.iter().copied().max_by_key(|place| place.used_as);
    let Some(strongest) = strongest else {
        return Ok((ColumnType::Json, Origin::Used));
    };
    let at = |place: &'a Place, message: String| {
        let error = match &place.text {
            Some((_, column)) => at_use(message, column),
            None => ExpressionError::new(message),
        };
        (place, error)
    };
    // Everything from text on says a type; two that differ contradict one another.
    let other = places
        .iter()
        .copied()
        .find(|place| place.used_as > Use::AsWritten && place.used_as != strongest.used_as);
    if let (Some(other), true) = (other, strongest.used_as > Use::AsWritten) {
        let message = format!(
            "`{name}` is used as {} here and as {} in {}",
            describe(strongest.used_as),
            describe(other.used_as),
            other.path
        );
        return Err(at(strongest, message));
    }
    Ok(match strongest.used_as {
        Use::Text => (ColumnType::Utf8, Origin::Used),
        Use::Number => (ColumnType::Float64, Origin::Used),
        Use::Boolean => (ColumnType::Boolean, Origin::Used),
        Use::Timestamp => (ColumnType::Timestamp(unit), Origin::Used),
        Use::AsWritten if places.iter().all(|place| place.optional) => (ColumnType::Utf8, Origin::IfPresent),
        Use::AsWritten => (ColumnType::Utf8, Origin::Key),
        Use::Passed => (ColumnType::Json, Origin::Used),
        Use::Any => return Err(at(strongest, format!("nothing says what type `{name}` has"))),
    })
}

fn describe(used_as: Use) -> &'static str {
    match used_as {
        Use::Text => "text",
        Use::Number => "a number",
        Use::Boolean => "true or false",
        Use::Timestamp => "a time",
        Use::AsWritten => "a key",
        Use::Passed | Use::Any => "any value",
    }
}
