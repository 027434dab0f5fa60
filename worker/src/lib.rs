//! The shell around Tocsin's engine: sources, sinks, dead letters.
//!
//! All IO and every clock of the worker are here; what happens to records is decided in the core.

pub mod dead_letter;
pub mod sink;
pub mod source;
