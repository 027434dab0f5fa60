//! What the page is told about the pipeline before its first event: the nodes, and how they hang together.

use serde::Serialize;

/// A pipeline as the page draws it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Sources, tables, stages and sinks, in the order of the user's file.
    pub nodes: Vec<Node>,
}

/// A source, table, stage or sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Name in the user's file. A sink may have the name of a stage.
    pub name: String,
    /// Its place in the pipeline.
    pub role: Role,
    /// What it is, as the file says it: `stdin`, `filter`, `aggregate`, `kafka`.
    pub kind: String,
    /// A few words more, if there are any: the window, the condition, the path.
    pub detail: String,
    /// Names of the sources, tables and stages that it reads.
    pub from: Vec<String>,
    /// The columns that make the key of its rows.
    pub key: Vec<String>,
}

/// The place of a node in the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Brings events in.
    Source,
    /// Is looked up by stages.
    Table,
    /// Turns streams into a stream.
    Stage,
    /// Takes a stream out.
    Sink,
}

impl Description {
    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&Node> {
        self.nodes
            .iter()
            .find(|node| node.role == Role::Stage && node.name == name)
    }

    /// The key columns of a stage's rows; none for a stage that is not in the description.
    pub fn key_of(&self, stage: &str) -> &[String] {
        self.stage(stage).map_or(&[], |node| &node.key)
    }
}
