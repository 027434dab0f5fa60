//! What of a partition of a buffer is delivered, and how that is written beside the committed offset.
//!
//! Rows of different keys overtake each other, so what is done is no plain position. All that lies before the offset is done;
//! of what lies behind it, the offset's metadata names how far it was read, and which rows of that are not done. So a row that
//! cannot be delivered for hours does not make a restart repeat all that were delivered since.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Brokers keep 4,096 bytes of metadata by default.
const MOST_METADATA: usize = 4000;

/// With what the metadata begins.
const VERSION: &str = "1";

/// What of a partition is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// One behind the furthest offset that was ever read.
    read: i64,
    /// One behind the last offset that was read this time.
    cursor: i64,
    /// What was read and is not done.
    open: BTreeSet<i64>,
}

/// What is committed of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Where reading begins again.
    pub offset: i64,
    /// What is known of the rows from there on.
    pub metadata: String,
}

impl Progress {
    /// Goes on from what is committed. Metadata of somebody else says nothing.
    pub fn resume(mark: &Mark) -> Self {
        let known = parse(mark).unwrap_or((mark.offset, BTreeSet::new()));
        Self {
            read: known.0,
            cursor: mark.offset,
            open: known.1,
        }
    }

    /// Takes the next row that is read; false if it is done already.
    pub fn take(&mut self, offset: i64) -> bool {
        // A row that was open and is not there any more was deleted by the topic's retention.
        let gone: Vec<i64> = self.open.range(self.cursor..offset.max(self.cursor)).copied().collect();
        for gone in gone {
            self.open.remove(&gone);
        }
        self.cursor = offset + 1;
        if offset < self.read {
            return self.open.contains(&offset);
        }
        self.read = offset + 1;
        self.open.insert(offset)
    }

    /// Hears that a row is done.
    pub fn done(&mut self, offset: i64) {
        self.open.remove(&offset);
    }

    /// What can be committed now.
    pub fn mark(&self) -> Mark {
        let Some(&offset) = self.open.first() else {
            return Mark {
                offset: self.read,
                metadata: String::new(),
            };
        };
        // Each as the distance from the one before; those that find no place are read again with all behind them.
        let mut open = String::new();
        let (mut before, mut read) = (offset, self.read);
        for &next in self.open.iter().skip(1) {
            let length = open.len();
            // Writing to a text does not fail.
            let _ = write!(open, " {}", next - before);
            if open.len() > MOST_METADATA - 32 {
                open.truncate(length);
                read = next;
                break;
            }
            before = next;
        }
        Mark {
            offset,
            metadata: format!("{VERSION} {}{open}", read - offset),
        }
    }
}

/// How far was read, and what is open of it.
fn parse(mark: &Mark) -> Option<(i64, BTreeSet<i64>)> {
    let mut words = mark.metadata.split(' ');
    if words.next() != Some(VERSION) {
        return None;
    }
    let read = mark.offset.checked_add(words.next()?.parse().ok()?)?;
    let mut open = BTreeSet::from([mark.offset]);
    let mut before = mark.offset;
    for word in words {
        let distance: i64 = word.parse().ok()?;
        before = before.checked_add(distance).filter(|_| distance > 0)?;
        open.insert(before);
    }
    (before < read).then_some((read, open))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(offset: i64, metadata: &str) -> Mark {
        Mark {
            offset,
            metadata: metadata.to_owned(),
        }
    }

    #[test]
    fn what_is_open_is_named_and_what_is_done_is_not_repeated() {
        let mut progress = Progress::resume(&mark(10, ""));
        for offset in [10, 11, 13, 14, 20] {
            assert!(progress.take(offset));
        }
        for offset in [11, 14] {
            progress.done(offset);
        }
        assert_eq!(progress.mark(), mark(10, "1 11 3 7"));
        let mut again = Progress::resume(&progress.mark());
        let taken: Vec<i64> = [10, 11, 13, 14, 20, 21]
            .into_iter()
            .filter(|offset| again.take(*offset))
            .collect();
        assert_eq!(taken, [10, 13, 20, 21]);
    }

    #[test]
    fn metadata_that_is_none_of_ours_says_nothing() {
        for metadata in [
            "",
            "2 5",
            "1",
            "1 x",
            "1 5 0",
            "1 5 -1",
            "1 3 3",
            "1 9223372036854775807",
            "sequence=5",
        ] {
            let mut progress = Progress::resume(&mark(100, metadata));
            assert!((100..105).all(|offset| progress.take(offset)), "{metadata}");
        }
    }

    #[test]
    fn a_row_that_was_deleted_is_not_waited_for() {
        let mut progress = Progress::resume(&mark(5, "1 10 3"));
        assert!(!progress.take(9));
        assert!(progress.take(15));
        progress.done(15);
        assert_eq!(progress.mark(), mark(16, ""));
    }

    proptest! {
        /// Rows are taken in order, done in any order; sometimes the process is gone and begins at its last mark.
        #[test]
        fn nothing_is_lost_and_only_what_was_not_marked_is_repeated(
            gaps in prop::collection::vec(1i64..4, 1..60),
            steps in prop::collection::vec((0u8..5, any::<prop::sample::Index>()), 0..200),
        ) {
            let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut progress = Progress::resume(&mark(0, ""));
            let mut committed = progress.mark();
            let (mut next, mut open) = (0, Vec::new());
            let (mut done, mut marked) = (BTreeSet::new(), BTreeSet::new());
            for (step, index) in steps {
                match step {
                    0 | 1 if next < offsets.len() => {
                        if progress.take(offsets[next]) {
                            prop_assert!(!marked.contains(&offsets[next]), "{} was done", offsets[next]);
                            open.push(offsets[next]);
                        }
                        next += 1;
                    }
                    2 if !open.is_empty() => {
                        let offset = open.swap_remove(index.index(open.len()));
                        progress.done(offset);
                        done.insert(offset);
                    }
                    3 => {
                        committed = progress.mark();
                        marked.clone_from(&done);
                    }
                    4 => {
                        progress = Progress::resume(&committed);
                        next = offsets.partition_point(|offset| *offset < committed.offset);
                        open.clear();
                        done.clone_from(&marked);
                    }
                    _ => {}
                }
                let passed = offsets.iter().filter(|offset| **offset < progress.mark().offset);
                prop_assert!(passed.into_iter().all(|offset| done.contains(offset)));
                prop_assert!(progress.mark().metadata.len() <= MOST_METADATA);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 8))]

        #[test]
        fn metadata_never_outgrows_what_brokers_keep(offsets in prop::collection::btree_set(0i64..1_000_000_000, 1..2000)) {
            let mut progress = Progress::default();
            for offset in &offsets {
                progress.take(*offset);
            }
            let mark = progress.mark();
            prop_assert!(mark.metadata.len() <= MOST_METADATA);
            let mut again = Progress::resume(&mark);
            prop_assert!(offsets.iter().all(|offset| again.take(*offset)));
        }
    }
}
