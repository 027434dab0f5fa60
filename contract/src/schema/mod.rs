//! What the schemas of the custom resources are made of: bounded texts, lists and maps, and the last touch that makes
//! a derived schema structural.
//!
//! The types of [`text`] and [`list`] exist for `#[schemars(with = ...)]` alone: they stand beside a field of a plain
//! Rust type and say how long it may be. No value of them is ever made.

pub mod list;
pub mod text;
mod tidy;

pub use tidy::{tidy, tidy_status};

use schemars::{Schema, SchemaGenerator, json_schema};

/// The schema of an object whose fields are not ours to name, such as a pod template: kept as it is written.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
