//! How much the CPU quota of the worker's control group holds it back.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How much the CPU quota holds the worker back. Somebody must look about once a second.
#[derive(Debug, Default)]
pub struct Throttling {
    /// When it was last looked at, and the time that was lost by then.
    last: Mutex<Option<(Instant, Duration)>>,
    /// Of the time since then, in millionths.
    ratio: AtomicU32,
}

impl Throttling {
    /// Looks at the control group of this process; `n_threads` are to run at a time.
    pub fn look(&self, n_threads: usize) {
        if let Some(lost) = of_this_process() {
            self.take(Instant::now(), lost, n_threads);
        }
    }

    fn take(&self, now: Instant, lost: Duration, n_threads: usize) {
        let mut last = self.last.lock();
        if let Some((at, before)) = *last {
            // The kernel counts each processor that is held back.
            let could_run = now.saturating_duration_since(at).mul_f64(n_threads.max(1) as f64);
            let share = lost.saturating_sub(before).as_secs_f64() / could_run.as_secs_f64().max(1e-6);
            self.ratio.store((share.min(1.0) * 1e6) as u32, Ordering::Relaxed);
        }
        *last = Some((now, lost));
    }

    /// Share of the time that it is held back, between 0 and 1.
    pub fn ratio(&self) -> f64 {
        f64::from(self.ratio.load(Ordering::Relaxed)) / 1e6
    }

    /// The time that was lost since the control group began; nothing without a quota.
    pub(super) fn total(&self) -> Option<Duration> {
        self.last.lock().map(|(_, lost)| lost)
    }
}

#[cfg(test)]
impl Throttling {
    /// As if the quota had held everything back for a second and a half.
    pub(super) fn throttle_for_test(&self) {
        let now = Instant::now();
        *self.last.lock() = Some((now, Duration::from_millis(1_500)));
        self.ratio.store(1_000_000, Ordering::Relaxed);
    }
}

fn of_this_process() -> Option<Duration> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    files(&groups)
        .iter()
        .find_map(|path| lost(&std::fs::read_to_string(path).ok()?))
}

/// Where the group's figures may be. In a container the path of the group may be that of the host, and then leads nowhere.
fn files(groups: &str) -> Vec<PathBuf> {
    let path_of = |is_it: fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            parts.next().filter(|controllers| is_it(controllers))?;
            parts.next().map(|path| path.trim_start_matches('/').to_owned())
        })
    };
    let mut found = Vec::new();
    if let Some(path) = path_of(str::is_empty) {
        found.push(PathBuf::from("/sys/fs/cgroup").join(path));
    }
    if let Some(path) = path_of(|controllers| controllers.split(',').any(|name| name == "cpu")) {
        found.push(PathBuf::from("/sys/fs/cgroup/cpu").join(path));
    }
    found.extend(["/sys/fs/cgroup", "/sys/fs/cgroup/cpu"].map(PathBuf::from));
    found.iter().map(|folder| folder.join("cpu.stat")).collect()
}

/// The time that a group lost, by its `cpu.stat`: in microseconds (version 2), or nanoseconds (version 1).
fn lost(stat: &str) -> Option<Duration> {
    stat.lines().find_map(|line| match line.split_once(' ')? {
        ("throttled_usec", micros) => micros.trim().parse().ok().map(Duration::from_micros),
        ("throttled_time", nanos) => nanos.trim().parse().ok().map(Duration::from_nanos),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let second = "usage_usec 9\nnr_periods 4\nnr_throttled 2\nthrottled_usec 1500\n";
        assert_eq!(lost(second), Some(Duration::from_micros(1_500)));
        let first = "nr_periods 4\nnr_throttled 2\nthrottled_time 1500000\n";
        assert_eq!(lost(first), Some(Duration::from_micros(1_500)));
        for none in ["", "usage_usec 9\n", "throttled_usec soon\n"] {
            assert_eq!(lost(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_group_of_the_process_is_looked_at_first() {
        let first = |groups: &str| files(groups)[0].to_str().unwrap().to_owned();
        assert_eq!(
            first("0::/kubepods/pod1/worker\n"),
            "/sys/fs/cgroup/kubepods/pod1/worker/cpu.stat"
        );
        assert_eq!(first("0::/\n"), "/sys/fs/cgroup/cpu.stat");
        assert_eq!(
            first("7:memory:/a\n4:cpu,cpuacct:/b\n"),
            "/sys/fs/cgroup/cpu/b/cpu.stat"
        );
    }

    #[test]
    fn the_share_is_that_of_the_threads_that_could_run() {
        let throttling = Throttling::default();
        let begin = Instant::now();
        throttling.take(begin, Duration::from_secs(5), 2);
        assert_eq!(throttling.ratio(), 0.0);
        throttling.take(begin + Duration::from_secs(1), Duration::from_millis(5_500), 2);
        assert!((throttling.ratio() - 0.25).abs() < 1e-3);
        throttling.take(begin + Duration::from_secs(2), Duration::from_secs(60), 2);
        assert_eq!(throttling.ratio(), 1.0);
        assert_eq!(throttling.total(), Some(Duration::from_secs(60)));
    }
}
