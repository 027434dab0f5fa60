//! Formats whose records have the same columns always: a name that none of them has is a mistake in the file.

use tocsin_contract::pipeline::source::{FormatKind, Source};
use tocsin_contract::problem::Problem;

use super::fields::Place;
use super::names::source_path;
use super::parsed::{at_use, no_such_column, problem};
use crate::decode::{ColumnSpec, Origin};
use crate::expr::parse::ExpressionError;
use crate::syslog;

/// Reports columns that records of the source's format cannot have. `places` says where a column is used.
pub fn check<'a>(
    source: &Source,
    columns: impl Iterator<Item = &'a ColumnSpec>,
    places: impl Fn(&str) -> Option<&'a Place>,
    problems: &mut Vec<Problem>,
) {
    if source.format.kind != FormatKind::Syslog {
        return;
    }
    let path = source_path(&source.name);
    let mut time = source.event_time.field.clone();
    for column in columns {
        let stands_at = column.path.join(".");
        if column.name == time {
            time.clone_from(&stands_at);
        }
        if is_of_syslog(&stands_at) || column.origin == Origin::IfPresent || column.name == source.event_time.field {
            continue;
        }
        let message = no_such_column(&stands_at, syslog::COLUMNS.iter().copied());
        match (column.origin, places(&column.name)) {
            (Origin::Used | Origin::Key, Some(place)) => {
                let (text, error) = match &place.text {
                    Some((text, used)) => (text.as_str(), at_use(message, used)),
                    None => ("", ExpressionError::new(message)),
                };
                problems.push(problem(place.path.clone(), text, &error));
            }
            _ => problems.push(Problem::new(format!("{path}.format.fields[{}]", column.name), message)),
        }
    }
    if !is_of_syslog(&time) {
        let message = no_such_column(&time, syslog::COLUMNS.iter().copied());
        problems.push(Problem::new(format!("{path}.eventTime.field"), message));
    }
}

fn is_of_syslog(path: &str) -> bool {
    let is_param = |path: &str| {
        path.strip_prefix(syslog::STRUCTURED_DATA)
            .is_some_and(|path| path.contains('.'))
    };
    syslog::COLUMNS.contains(&path) || is_param(path)
}
