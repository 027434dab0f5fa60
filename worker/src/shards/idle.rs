//! Sources that have been silent for so long that the clock moves their event time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tocsin_worker_core::plan::Plan;

use super::owned::Owned;

/// Lets event time go on with the clock where a source has been silent.
pub fn tick(owned: &mut BTreeMap<u32, Owned>, plan: &Plan) {
    let now = Instant::now();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for owned in owned.values_mut().filter(|owned| owned.is_running()) {
        let Some(shard) = &mut owned.shard else { continue };
        for (source, (input, of)) in owned.inputs.iter().zip(&plan.sources).enumerate() {
            let timeout = Duration::from_micros(of.idle_timeout.unsigned_abs());
            if let Some(age) = input.silent_until(timeout, now) {
                let whole_second = wall.saturating_sub(age).as_secs() as i64 * 1_000_000;
                shard.tick(source, whole_second);
            }
        }
    }
}
