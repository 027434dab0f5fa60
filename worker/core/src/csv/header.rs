//! The header line: which column of the file each column of the plan is.
//!
//! A field `host.name` of the plan is the column with the name `host.name`.

use std::fmt;

use crate::decode::{ColumnSpec, Origin, RecordSchema};

/// Why a header does not suit the plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header is not UTF-8.
    #[error("the header line is not UTF-8 (byte {at}); save the file as UTF-8")]
    InvalidUtf8 {
        /// Byte in the line, from 0.
        at: usize,
    },
    /// A quote in the header is not closed.
    #[error("the header line has a quote that is not closed")]
    OpenQuote,
    /// Two columns have one name.
    #[error("the header names column `{name}` twice; give each column a name of its own")]
    Twice {
        /// The name.
        name: String,
    },
    /// The plan reads columns that the file does not have.
    #[error("{0}")]
    Missing(MissingColumns),
}

/// Columns that the plan reads and the file does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingColumns {
    /// Each missing name, with the nearest name of the header.
    pub missing: Vec<(String, Option<String>)>,
    /// The names of the header.
    pub header: Vec<String>,
}

impl fmt::Display for MissingColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header has no column ")?;
        for (i, (name, nearest)) in self.missing.iter().enumerate() {
            write!(f, "{}`{name}`", if i == 0 { "" } else { ", " })?;
            if let Some(nearest) = nearest {
                write!(f, " (did you mean `{nearest}`?)")?;
            }
        }
        let shown = self
            .header
            .iter()
            .take(MOST_SHOWN)
            .map(|name| format!("`{}`", short(name)));
        write!(f, "; it has {}", shown.collect::<Vec<_>>().join(", "))?;
        if self.header.len() > MOST_SHOWN {
            write!(f, " and {} more", self.header.len() - MOST_SHOWN)?;
        }
        if self.header.first().is_some_and(|name| name.starts_with('{')) {
            f.write_str(". It looks like JSON: say `format: {type: Json}`")?;
        }
        if let [only] = self.header.as_slice()
            && let Some(separator) = [';', '\t', '|'].into_iter().find(|c| only.contains(*c))
        {
            write!(
                f,
                ". Its names seem to be separated by {separator:?}; only commas are read"
            )?;
        }
        Ok(())
    }
}

/// How many names of a header, and how much of each, a message shows.
const MOST_SHOWN: usize = 50;

fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

/// The names in a header line. A column without a name is called by its number: `column_1`.
pub(super) fn names(header: &[u8]) -> Result<Vec<String>, HeaderError> {
    let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(header);
    let text = std::str::from_utf8(header).map_err(|e| HeaderError::InvalidUtf8 { at: e.valid_up_to() })?;
    let mut cells = super::cells::Cells::default();
    // A header has as many columns as it has: no bound but that of the line itself.
    let n_columns = cells
        .split(text.trim_end_matches(['\r', '\n']), usize::MAX)
        .map_err(|_| HeaderError::OpenQuote)?;
    let mut names: Vec<String> = Vec::with_capacity(n_columns);
    let mut seen = hashbrown::HashSet::new();
    for column in 0..n_columns {
        let name = match cells.get(column).trim() {
            "" => format!("column_{}", column + 1),
            name => name.to_owned(),
        };
        if !seen.insert(name.clone()) {
            return Err(HeaderError::Twice { name });
        }
        names.push(name);
    }
    Ok(names)
}

/// Where the plan's columns and its event time stand in the file.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// For each column of the schema its place in the file; `None` for one that is neither read nor checked, or that
    /// may be missing and is.
    pub(super) columns: Vec<Option<usize>>,
    /// The event time's place.
    pub(super) event_time: usize,
}

/// Finds the schema's columns among the names: those that are read, checked, or `asked` for by the predicate.
pub(super) fn places(schema: &RecordSchema, asked: &[usize], names: &[String]) -> Result<Places, HeaderError> {
    let mut missing = Vec::new();
    let mut find = |path: &[String], optional: bool| {
        let wanted = path.join(".");
        let found = names.iter().position(|name| *name == wanted);
        if found.is_none() && !optional && !missing.contains(&wanted) {
            missing.push(wanted);
        }
        found
    };
    let event_time = find(&schema.event_time.path, false);
    let is_needed = |i: usize, column: &ColumnSpec| column.read || schema.strict || asked.contains(&i);
    let columns: Vec<Option<usize>> = (0..)
        .zip(&schema.columns)
        .map(|(i, column)| {
            let optional = column.origin == Origin::IfPresent;
            if is_needed(i, column) {
                find(&column.path, optional)
            } else {
                None
            }
        })
        .collect();
    match event_time {
        Some(event_time) if missing.is_empty() => Ok(Places { columns, event_time }),
        _ => Err(HeaderError::Missing(MissingColumns {
            missing: missing.into_iter().map(|name| with_nearest(name, names)).collect(),
            header: names.to_vec(),
        })),
    }
}

fn with_nearest(wanted: String, names: &[String]) -> (String, Option<String>) {
    // A lone name is not a name but a line with another separator, or not CSV at all.
    let nearest = names
        .iter()
        .filter(|_| names.len() > 1)
        .map(|name| (strsim::jaro_winkler(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name.clone());
    (wanted, nearest)
}
