//! What the API server wrote down of each request: who asked for what, and what came of it.

use std::path::Path;

use serde_json::Value;

use crate::RigError;

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// Who asked.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Group of the resource; empty for the core's.
    pub group: String,
    /// `pods`, or `incidentpipelines/status`. Empty for what is no resource.
    pub resource: String,
    /// Empty for what belongs to no namespace, and for requests that ask for all.
    pub namespace: String,
    /// Name of the object, if one was named.
    pub name: String,
    /// Status of the answer.
    pub code: u16,
}

impl Asked {
    /// Whether it asked for a change.
    pub fn changes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    fn read(line: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        if event["stage"] == "ResponseStarted" {
            return None;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &event["objectRef"];
        let mut resource = text(&object["resource"]);
        if let Some(subresource) = object["subresource"].as_str() {
            resource = format!("{resource}/{subresource}");
        }
        Some(Self {
            user: text(&event["user"]["username"]),
            verb: text(&event["verb"]),
            group: text(&object["apiGroup"]),
            resource,
            namespace: text(&object["namespace"]),
            name: text(&object["name"]),
            code: event["responseStatus"]["code"]
                .as_u64()
                .and_then(|code| code.try_into().ok())
                .unwrap_or(0),
        })
    }
}

/// All that was written down so far. The API server writes in batches, so the last requests may be missing for a second.
pub(super) fn read(file: &Path) -> Result<Vec<Asked>, RigError> {
    let text = std::fs::read_to_string(file).map_err(RigError::io(format!("reading {}", file.display())))?;
    // A line that is being written is none.
    Ok(text.lines().filter_map(Asked::read).collect())
}
