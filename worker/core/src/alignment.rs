//! Holds back a source that is ahead of those that it is merged with, so that what waits to be merged stays small.
//!
//! Only sources with a common stage hold one another back, by event time and by bytes. The one that is furthest behind is
//! never held: it is what the others wait for, so that there is always one that can go on.
//!
//! Where rows are dealt out by key a source is merged with the same source in other shards, too: there by bytes alone. What
//! others have said of their event time is older than they are, by the length of a transaction and more.

use std::collections::VecDeque;

use crate::plan::Plan;
use crate::stream::Micros;

/// How many bytes of records a source may be ahead, whatever their event times.
const MOST_BYTES_AHEAD: u64 = 64 << 20;

/// Who waits for whom.
#[derive(Debug)]
pub struct Alignment {
    /// See [`Plan::merged_sources`].
    groups: Vec<usize>,
    /// How far each source may be ahead, in microseconds.
    most_ahead: Vec<Micros>,
    read: Vec<Read>,
}

/// What was read of a source and may be ahead of others.
#[derive(Clone, Debug, Default)]
struct Read {
    /// The watermark behind each part, and its bytes.
    parts: VecDeque<(Micros, u64)>,
    bytes: u64,
}

impl Alignment {
    /// For the sources of a plan.
    pub fn new(plan: &Plan) -> Self {
        Self {
            groups: plan.merged_sources(),
            most_ahead: plan.sources.iter().map(|source| source.alignment).collect(),
            read: vec![Read::default(); plan.sources.len()],
        }
    }

    /// A source gave records of so many bytes, and its watermark came to `watermark`.
    pub fn note(&mut self, source: usize, bytes: u64, watermark: Micros) {
        let read = &mut self.read[source];
        read.bytes += bytes;
        match read.parts.back_mut() {
            // Many small blocks of one time are one.
            Some((last, sum)) if *last == watermark => *sum += bytes,
            _ => read.parts.push_back((watermark, bytes)),
        }
    }

    /// Whether a source waits for others; `watermarks` has one for each source that has not ended, nobody waits for another that
    /// `is_idle`, and other shards that its records are merged with have come as far as `elsewhere`.
    pub fn holds(
        &mut self,
        source: usize,
        watermarks: &[Option<Micros>],
        is_idle: impl Fn(usize) -> bool,
        elsewhere: Micros,
    ) -> bool {
        let (Some(group), Some(Some(own))) = (self.groups.get(source), watermarks.get(source)) else {
            return false;
        };
        let all = self.groups.iter().zip(watermarks).enumerate();
        let of_group = all.filter(|(other, (of, _))| of == &group && (*other == source || !is_idle(*other)));
        let least = of_group
            .filter_map(|(_, (_, watermark))| *watermark)
            .min()
            .unwrap_or(*own);
        let read = &mut self.read[source];
        let passed = least.min(elsewhere);
        while let Some((_, bytes)) = read.parts.pop_front_if(|(watermark, _)| *watermark <= passed) {
            read.bytes -= bytes;
        }
        *own > least.saturating_add(self.most_ahead[source].max(0)) || read.bytes > MOST_BYTES_AHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{END, NO_WATERMARK};

    #[test]
    fn a_source_waits_that_is_many_bytes_ahead_within_little_event_time() {
        let mut alignment = Alignment {
            groups: vec![0, 0, 1],
            most_ahead: vec![60_000_000; 3],
            read: vec![Read::default(); 3],
        };
        let at = |seconds: i64| Some(seconds * 1_000_000);
        for second in 1..=3 {
            alignment.note(0, MOST_BYTES_AHEAD / 2, second * 1_000_000);
            alignment.note(2, MOST_BYTES_AHEAD, second * 1_000_000);
        }
        // Source 1 stands at 1 s: what source 0 read up to there has no one to wait for.
        let mut holds = |source, watermarks: [Option<Micros>; 3]| alignment.holds(source, &watermarks, |_| false, END);
        assert!(!holds(0, [at(3), at(1), at(3)]));
        alignment.note(0, 1, 3_000_000);
        let mut holds = |source, watermarks: [Option<Micros>; 3]| alignment.holds(source, &watermarks, |_| false, END);
        assert!(holds(0, [at(3), at(1), at(3)]));
        assert!(!holds(1, [at(3), at(1), at(3)]), "the last one never waits");
        assert!(!holds(2, [at(3), at(1), at(3)]), "nobody reads both");
        assert!(!holds(0, [at(3), at(2), at(3)]), "the other follows");
        assert!(!holds(0, [at(3), None, at(3)]), "the other has ended");
        alignment.note(0, MOST_BYTES_AHEAD + 1, 3_000_000);
        assert!(
            !alignment.holds(0, &[at(3), at(1), at(3)], |source| source == 1, END),
            "nobody waits for one that is idle"
        );
    }

    #[test]
    fn a_source_waits_that_is_many_bytes_ahead_of_other_shards() {
        let mut alignment = Alignment {
            groups: vec![0],
            most_ahead: vec![60_000_000],
            read: vec![Read::default()],
        };
        for second in 1..=3 {
            alignment.note(0, MOST_BYTES_AHEAD / 2, second * 1_000_000);
        }
        let own = [Some(3_000_000)];
        assert!(
            alignment.holds(0, &own, |_| false, NO_WATERMARK),
            "of one nothing is known"
        );
        assert!(alignment.holds(0, &own, |_| false, 999_999));
        assert!(!alignment.holds(0, &own, |_| false, 1_000_000), "it follows");
        alignment.note(0, MOST_BYTES_AHEAD, 500_000_000);
        assert!(alignment.holds(0, &[Some(500_000_000)], |_| false, 1_000_000));
        assert!(
            !alignment.holds(0, &[Some(500_000_000)], |_| false, END),
            "nobody is waited for"
        );
    }
}
