//! How far a run is in event time, as a person is told.

use super::SourceCounters;
use crate::stream::Micros;

/// The newest event time, and the watermark that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTime {
    /// The newest event time that was read.
    pub newest: Micros,
    /// Up to where results are complete: the least watermark of the sources that are merged with the one that read the
    /// newest event. Other sources may replay another year; their distance says nothing. One that has ended holds nothing
    /// up.
    pub watermark: Option<Micros>,
}

impl EventTime {
    /// `groups` has the same number for sources that are merged.
    pub(super) fn of(groups: &[usize], sources: &[SourceCounters]) -> Option<Self> {
        let (newest, group) = sources
            .iter()
            .zip(groups)
            .filter_map(|(source, group)| Some((source.newest?, *group)))
            .max_by_key(|(newest, _)| *newest)?;
        let merged = || {
            let all = sources.iter().zip(groups);
            all.filter(|(_, other)| **other == group).map(|(source, _)| source)
        };
        let all_ended = merged().all(|source| source.ended);
        let watermark = merged()
            .filter(|source| all_ended || !source.ended)
            .map(|source| source.watermark)
            .min()
            .flatten();
        Some(Self { newest, watermark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sources as newest event, watermark, ended, and their groups.
    fn check(
        sources: &[(Option<Micros>, Option<Micros>, bool)],
        groups: &[usize],
        expected: Option<(Micros, Option<Micros>)>,
    ) {
        let counters = |&(newest, watermark, ended): &(_, _, _)| SourceCounters {
            newest,
            watermark,
            ended,
            ..SourceCounters::default()
        };
        let sources: Vec<SourceCounters> = sources.iter().map(counters).collect();
        let expected = expected.map(|(newest, watermark)| EventTime { newest, watermark });
        assert_eq!(EventTime::of(groups, &sources), expected);
    }

    #[test]
    fn the_watermark_is_that_of_the_sources_that_are_merged_with_the_newest() {
        let (alerts, metrics) = ((Some(90), Some(85), false), (Some(70), Some(65), false));
        check(&[alerts, metrics], &[0, 0], Some((90, Some(65))));
        check(&[alerts, metrics], &[0, 1], Some((90, Some(85))));
    }

    #[test]
    fn a_source_that_has_ended_holds_nothing_up() {
        let (alerts, ended) = ((Some(90), Some(85), false), (Some(70), Some(65), true));
        check(&[alerts, ended], &[0, 0], Some((90, Some(85))));
        check(&[ended, ended], &[0, 0], Some((70, Some(65))));
        check(
            &[(Some(90), Some(85), true), (Some(70), Some(65), false)],
            &[0, 0],
            Some((90, Some(65))),
        );
    }

    #[test]
    fn a_source_without_a_record_leaves_the_watermark_open() {
        check(
            &[(Some(90), Some(85), false), (None, None, false)],
            &[0, 0],
            Some((90, None)),
        );
        check(&[(None, None, false)], &[0], None);
    }
}
