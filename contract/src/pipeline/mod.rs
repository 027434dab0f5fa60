//! `IncidentPipeline`: the file that users write.

mod inputs;
pub mod sink;
pub mod source;
pub mod stage;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use sink::Sink;
use source::{Source, Table};
use stage::Stage;

/// What a user wants to have run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentPipelineSpec {
    /// Streams from outside.
    pub sources: Vec<Source>,
    /// Tables that change slowly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// Steps that turn streams into streams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Ways out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<Sink>,
    /// Zone of calendar functions and of windows of a day. `UTC` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}
