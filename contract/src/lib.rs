//! What operator, workers and CLI agree on: the resources that users write, and what passes between the parts.
//!
//! Types and their checks only. No IO, no clock, no client.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column has a type and a path of its own"
)]

pub mod conditions;
pub mod control;
pub mod crds;
pub mod document;
pub mod duration;
pub mod identity;
pub mod labels;
pub mod metrics;
pub mod model;
pub mod names;
pub mod pipeline;
pub mod ports;
pub mod problem;
pub mod quantity;
pub mod reach;
pub mod rule;
pub mod rule_set;
pub mod schema;
pub mod snapshot;
pub mod status;
pub mod topics;
pub mod worker;
