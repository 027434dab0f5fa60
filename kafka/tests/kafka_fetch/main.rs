//! Our own Fetch path against librdkafka's and against real brokers: the same records, and a name for every loss.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod listeners;
mod losses;
mod reading;
mod records;
mod trouble;
