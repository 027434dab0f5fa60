//! For how long the snapshots of a worker keep it from records.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tocsin_e2e::http::request;

/// How often it is looked: snapshots come every 2 s.
const LOOK: Duration = Duration::from_millis(100);

const METRIC: &str = "tocsin_checkpoint_pause_seconds ";

/// The longest pause of the snapshots that are written until a moment, of those that any is known of.
pub fn longest_pause(admin: SocketAddr, until: Instant) -> anyhow::Result<Option<Duration>> {
    let mut longest = None;
    loop {
        let metrics = request(admin, "GET", "/metrics", &[], &[])?.text();
        if let Some(pause) = metrics.lines().find_map(|line| line.strip_prefix(METRIC)) {
            let pause = Duration::try_from_secs_f64(pause.parse().context("the pause of a snapshot")?)?;
            longest = longest.max(Some(pause));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(longest);
        }
        std::thread::park_timeout(left.min(LOOK));
    }
}
