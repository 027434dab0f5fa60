//! The command line.

use clap::Parser;

/// Measures Tocsin's operator on a real etcd and API server, beside a client that writes the same objects and knows them in
/// advance.
#[derive(Debug, Clone, Copy, Parser)]
pub struct Args {
    /// Pipelines that are there
    #[arg(long, default_value_t = 1_000)]
    pub pipelines: usize,
    /// Namespaces that they are in
    #[arg(long, default_value_t = 100)]
    pub namespaces: usize,
    /// Rounds; each has an API server of its own for the operator and for the client
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Pipelines that are written at the same time, by the operator as by the client
    #[arg(long, default_value_t = 16)]
    pub concurrency: usize,
    /// Specs that are changed once all is there, one after the other
    #[arg(long, default_value_t = 300)]
    pub changes: usize,
}
