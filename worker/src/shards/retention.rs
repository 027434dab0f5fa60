//! For how long topics keep what a recovery needs: a shard goes on from its newest checkpoint, and reads again what came behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use tocsin_contract::duration::Duration as Told;

use super::start::Layout;
use super::{Settings, ShardsError, SnapshotSettings};
use tocsin_kafka::Cluster;

/// Looks whether topics keep records for as long as a recovery may need them, and tells `settings.measures` which keeps them for
/// the shortest time.
///
/// # Errors
/// If a checkpoint may be older than what a topic keeps.
pub fn check(cluster: &mut Cluster, settings: &Settings, layout: &Layout) -> Result<(), ShardsError> {
    let fetched = layout.fetched();
    let names: Vec<&str> = fetched.iter().map(|topic| topic.name.as_str()).collect();
    let retentions = match cluster.retentions(&names) {
        Ok(retentions) => retentions,
        // The right to look at settings is no condition.
        Err(error) => {
            tracing::debug!(%error, "the settings of topics cannot be looked at");
            return Ok(());
        }
    };
    let shortest = shortest(retentions);
    let Some(snapshots) = &settings.snapshots else {
        if let Some((topic, keeps)) = shortest {
            tracing::warn!(
                "without --state a worker that starts reads again all that the pipeline ever did, and topic {topic} keeps records for {}: later than that none can start",
                told(keeps)
            );
        }
        return Ok(());
    };
    settings.measures.retention(shortest.clone());
    shortest.map_or(Ok(()), |shortest| is_enough(shortest, snapshots))
}

fn shortest(retentions: BTreeMap<String, Duration>) -> Option<(String, Duration)> {
    retentions.into_iter().min_by_key(|(_, keeps)| *keeps)
}

fn is_enough((topic, keeps): (String, Duration), snapshots: &SnapshotSettings) -> Result<(), ShardsError> {
    let needed = oldest(snapshots);
    if keeps > needed {
        return Ok(());
    }
    Err(ShardsError::Retention {
        topic,
        keeps: told(keeps),
        needed: told(needed),
    })
}

/// How old the oldest checkpoint is that is kept, while nothing goes wrong.
fn oldest(snapshots: &SnapshotSettings) -> Duration {
    let between = snapshots.interval.max(snapshots.min_pause);
    between.saturating_mul(u32::try_from(snapshots.retained).unwrap_or(u32::MAX))
}

fn told(time: Duration) -> Told {
    Told::from_micros(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::snapshots::StoreAddress;

    #[test]
    fn a_topic_must_keep_records_for_longer_than_checkpoints_are_kept() {
        let snapshots = SnapshotSettings {
            address: StoreAddress::new("/nowhere".to_owned()),
            interval: Duration::from_secs(60),
            min_pause: Duration::from_secs(10),
            retained: 3,
            incremental: true,
            may_drop: false,
            restore_from: None,
            resume_from: None,
            rewind_to_epoch: None,
        };
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let topics = [("alerts", minutes(600)), ("noc.journal", minutes(4))];
        let topics = topics.map(|(topic, keeps)| (topic.to_owned(), keeps));
        let least = shortest(BTreeMap::from(topics)).unwrap();
        assert_eq!(least.0, "noc.journal");
        assert!(is_enough(least, &snapshots).is_ok());
        let error = is_enough(("alerts".to_owned(), minutes(3)), &snapshots).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("topic alerts keeps records for 3m") && text.contains("3m old"),
            "{text}"
        );
        assert!(shortest(BTreeMap::new()).is_none(), "all is kept");
    }
}
