//! For how long the snapshots of a worker keep it from records.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tocsin_contract::metrics::{CHECKPOINT_PAUSE, CHECKPOINT_PAUSE_CPU};
use tocsin_e2e::http::request;

/// How often it is looked: snapshots come every 2 s.
const LOOK: Duration = Duration::from_millis(100);

/// The longest pause of some snapshots.
#[derive(Clone, Copy, Debug, Default)]
pub struct LongestPause {
    /// By the clock.
    pub wall: Duration,
    /// In processor time of the thread.
    pub cpu: Duration,
}

/// The longest pause of the snapshots that are written until a moment, of those that any is known of.
pub fn longest_pause(admin: SocketAddr, until: Instant) -> anyhow::Result<Option<LongestPause>> {
    let mut longest: Option<LongestPause> = None;
    loop {
        let metrics = request(admin, "GET", "/metrics", &[], &[])?.text();
        let pause = |metric| pause(&metrics, metric);
        if let (Some(wall), Some(cpu)) = (pause(CHECKPOINT_PAUSE.name)?, pause(CHECKPOINT_PAUSE_CPU.name)?) {
            let before = longest.unwrap_or_default();
            longest = Some(LongestPause {
                wall: before.wall.max(wall),
                cpu: before.cpu.max(cpu),
            });
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(longest);
        }
        std::thread::park_timeout(left.min(LOOK));
    }
}

fn pause(metrics: &str, metric: &str) -> anyhow::Result<Option<Duration>> {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.map(|seconds| {
        Ok(Duration::try_from_secs_f64(
            seconds.parse().context("the pause of a snapshot")?,
        )?)
    })
    .transpose()
}
