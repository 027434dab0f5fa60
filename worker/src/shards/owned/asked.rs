//! Where the pipeline has come to: what the group's offsets say of a shard, and where its journal stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use super::{ASK_AGAIN, Common, Owned, Phase};
use crate::shards::restoring::Restoring;
use crate::shards::{ShardsError, abandoned, sequence};
use tocsin_kafka::{CommittedNow, Time};

/// Where the pipeline has come to.
#[derive(Clone)]
pub(super) struct Asked {
    /// The last cut that is committed. Not known where the group's offsets are gone: then it is the journal's last.
    pub until: Option<u64>,
    /// Its run epoch; 0 where that is not known.
    pub epoch: u32,
    /// The offsets that are committed, by topic.
    pub committed: BTreeMap<String, i64>,
    /// Where the journal begins, and where it ended when it was looked at.
    pub journal: Range<i64>,
}

impl Asked {
    /// Whether nobody has been here: the journal has nothing, and nothing is committed.
    pub fn is_new(&self) -> bool {
        self.until.is_none() && self.journal.is_empty()
    }
}

impl Owned {
    /// Asks where the pipeline has come to.
    pub(super) fn ask(&mut self, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let layout = common.layout;
        let there = (0..self.inputs.len()).filter(|&source| layout.has_partition(source, self.number));
        let partitions: Vec<(String, u32)> = there
            .map(|source| (layout.inputs[source].name.clone(), self.number))
            .collect();
        let later = Phase::Asking {
            not_before: Instant::now() + ASK_AGAIN,
        };
        // The group may have dealt anew meanwhile: it will be heard.
        let Some(grant) = common.ownership.grant(&[(self.number, self.term)]) else {
            self.phase = later;
            return Ok(());
        };
        let journal = (layout.journal.name.as_str(), self.number);
        let asked = (common.ownership).committed_now(common.cluster, &grant, &mut self.asking, journal, &partitions);
        let committed = match asked {
            Ok(CommittedNow::Offsets(committed)) => committed,
            // A transaction that is still open may have committed more.
            Ok(CommittedNow::Unstable) => {
                let since = self.unstable_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= abandoned::LONG {
                    common.abandoned.end();
                }
                self.phase = later;
                return Ok(());
            }
            Ok(CommittedNow::NotShown) => {
                self.phase = later;
                return Ok(());
            }
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, shard = self.number, "what is committed cannot be asked for yet");
                self.phase = later;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.unstable_since = None;
        let mut until: Option<(u64, u32)> = None;
        for ((topic, _), committed) in &committed {
            let cut = sequence::of_metadata(&committed.metadata).ok_or_else(|| ShardsError::ForeignOffset {
                shard: self.number,
                topic: topic.clone(),
                metadata: committed.metadata.clone(),
            })?;
            until = until.max(Some(cut));
        }
        let offsets = self
            .offset(common, self.inputs.len(), Time::Earliest)
            .and_then(|begins| {
                let end = self.offset(common, self.inputs.len(), Time::LatestCommitted)?;
                Ok((begins, end))
            });
        match offsets {
            Ok((begins, end)) => {
                let committed = committed.into_iter();
                let committed = committed.map(|((topic, _), committed)| (topic, committed.offset));
                if let Some((_, epoch)) = until.filter(|(_, epoch)| *epoch > layout.epoch) {
                    let shard = self.number;
                    return Err(ShardsError::LaterEpoch { shard, epoch });
                }
                let asked = Asked {
                    until: until.map(|(sequence, _)| sequence),
                    epoch: until.map_or(0, |(_, epoch)| epoch),
                    committed: committed.collect(),
                    journal: begins..end,
                };
                if self.rewinds(&asked, common)? {
                    return Ok(());
                }
                if let Some(snapshots) = common.snapshots {
                    let cut = (asked.until, asked.epoch);
                    let restoring = Restoring::newest(snapshots, common, self.number, cut);
                    self.phase = Phase::Restoring(restoring, asked);
                } else {
                    self.begin_replay(asked, common)?;
                }
            }
            Err(error) if error.may_pass() => self.phase = later,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
