//! Tests of the aggregate functions: one harness for the rules that all of them keep, and exact arithmetic to compare
//! with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod allowed;
mod corrupt;
mod exact;
mod functions;
mod harness;
mod oracle;
mod planning;
mod quantile;
mod results;
