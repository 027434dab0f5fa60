//! A row as a JSON object, and a cell as a JSON value.
//!
//! What is written as JSON writes a number or a boolean stays one; an empty cell is null; everything else is a string,
//! so that nothing is lost (`007` stays `"007"`).

use std::borrow::Cow;

use super::cells::Cells;
use crate::decode::plain_number::is_json_number;

/// The JSON text of a cell.
pub(super) fn cell(text: &str) -> Cow<'_, str> {
    match text {
        "" => Cow::Borrowed("null"),
        "true" | "false" => Cow::Borrowed(text),
        number if is_json_number(number) => Cow::Borrowed(number),
        text => Cow::Owned(serde_json::Value::from(text).to_string()),
    }
}

/// Writes rows as JSON objects.
#[derive(Clone, Debug)]
pub(super) struct RowWriter {
    /// For each column what stands in front of its value: `{"name":` or `,"name":`.
    keys: Vec<String>,
}

impl RowWriter {
    pub(super) fn new(names: &[String]) -> Self {
        let key = |(i, name): (usize, &String)| {
            format!(
                "{}{}:",
                if i == 0 { '{' } else { ',' },
                serde_json::Value::from(name.as_str())
            )
        };
        Self {
            keys: names.iter().enumerate().map(key).collect(),
        }
    }

    /// Replaces `out` by the object of a record.
    pub(super) fn write(&self, cells: &Cells, out: &mut String) {
        out.clear();
        for (i, key) in self.keys.iter().enumerate() {
            out.push_str(key);
            out.push_str(&cell(cells.get(i)));
        }
        out.push('}');
    }
}

/// The rows of a CSV input as JSON objects, for a look at what there is; rows that do not fit the header are left out.
pub fn records_as_json(header: &[u8], rows: &[&[u8]]) -> Vec<String> {
    let Ok(names) = super::header::names(header) else {
        return Vec::new();
    };
    let writer = RowWriter::new(&names);
    let (mut cells, mut out) = (Cells::default(), String::new());
    rows.iter()
        .filter_map(|row| {
            let text = std::str::from_utf8(row).ok()?;
            let n_cells = cells.split(text, names.len()).ok()?;
            (n_cells == names.len()).then(|| {
                writer.write(&cells, &mut out);
                out.clone()
            })
        })
        .collect()
}
