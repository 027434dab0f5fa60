//! Runs of keys, in the order in which they came: new keys are numbered one after the other, and so are those that take the
//! numbers of keys that are gone, the last first.

use crate::aggregate::CorruptState;
use crate::aggregate::bytes::{put_i64, take_i64};
use crate::capture::Row;
use crate::key::KeyId;

/// Keys with neighbouring numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub first: KeyId,
    /// How many more there are; below zero where the numbers fall.
    further: i64,
}

impl Run {
    /// The runs of these keys, as long as they get.
    pub fn all(mut ids: &[KeyId]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let first = *ids.first()?;
            let step = |one: KeyId, next: KeyId| i64::from(next) - i64::from(one);
            let direction = ids.get(1).map_or(0, |second| step(first, *second));
            let goes_on = |pair: &&[KeyId]| direction.abs() == 1 && step(pair[0], pair[1]) == direction;
            let n_further = ids.windows(2).take_while(goes_on).count();
            ids = &ids[n_further + 1..];
            let further = n_further as i64 * direction;
            Some(Self { first, further })
        })
    }

    /// The keys.
    pub fn ids(self) -> impl Iterator<Item = KeyId> {
        let direction = self.further.signum();
        (0..=self.further.abs()).map(move |at| (i64::from(self.first) + at * direction) as KeyId)
    }

    /// Appends what stands in a row beside the first key.
    pub fn save(self, out: &mut Vec<u8>) {
        if self.further != 0 {
            put_i64(out, self.further);
        }
    }

    /// The run of a row.
    pub fn load(row: &Row<'_>) -> Result<Self, CorruptState> {
        let (first, mut state) = (row.id, row.state);
        let what = "the order of keys";
        let further = match state {
            [] => 0,
            _ => take_i64(&mut state, what)?,
        };
        let last = i64::from(first).checked_add(further);
        let is_sound =
            further.unsigned_abs() < super::SEGMENT as u64 && last.is_some_and(|last| KeyId::try_from(last).is_ok());
        let run = Self { first, further };
        (is_sound && state.is_empty())
            .then_some(run)
            .ok_or(CorruptState { what })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::capture::{BlockId, RowWriter, rows};

    fn saved(ids: &[KeyId]) -> Vec<u8> {
        let mut writer = RowWriter::default();
        Run::all(ids).for_each(|run| writer.row(run.first, &[], |out| run.save(out)));
        let id = BlockId {
            table: 1,
            window: 0,
            number: 0,
        };
        writer.into_block(id).bytes
    }

    fn loaded(bytes: &[u8]) -> Result<Vec<KeyId>, CorruptState> {
        let runs = rows(bytes)?.iter().map(Run::load).collect::<Result<Vec<_>, _>>()?;
        Ok(runs.into_iter().flat_map(Run::ids).collect())
    }

    #[test]
    fn numbers_that_rise_or_fall_by_one_are_a_run() {
        type Runs<'a> = &'a [(KeyId, i64)];
        let cases: [(&[KeyId], Runs<'_>); 6] = [
            (&[], &[]),
            (&[7], &[(7, 0)]),
            (&[7, 9], &[(7, 0), (9, 0)]),
            (&[0, 1, 2, 3], &[(0, 3)]),
            (&[3, 2, 1, 0, 8], &[(3, -3), (8, 0)]),
            (&[KeyId::MAX, 0, 1, 1], &[(KeyId::MAX, 0), (0, 1), (1, 0)]),
        ];
        for (ids, runs) in cases {
            let found: Vec<(KeyId, i64)> = Run::all(ids).map(|run| (run.first, run.further)).collect();
            assert_eq!(found, runs, "{ids:?}");
        }
    }

    proptest! {
        #[test]
        fn an_order_that_was_saved_is_loaded(runs in prop::collection::vec((any::<KeyId>(), 1i64..50, any::<bool>()), 0..20)) {
            let numbers = |(first, n, falls): (KeyId, i64, bool)| {
                (0..n).filter_map(move |at| KeyId::try_from(i64::from(first) + if falls { -at } else { at }).ok())
            };
            let ids: Vec<KeyId> = runs.into_iter().flat_map(numbers).collect();
            prop_assert_eq!(loaded(&saved(&ids)).unwrap(), ids);
        }

        #[test]
        fn any_row_is_a_run_or_an_error(id: KeyId, state: Vec<u8>) {
            if let Ok(run) = Run::load(&Row { id, key: &[], state: &state }) {
                prop_assert!(run.ids().count() <= super::super::SEGMENT);
            }
        }
    }

    #[test]
    fn an_order_without_runs_is_one_of_single_keys() {
        let mut writer = RowWriter::default();
        [4, 5, 2].into_iter().for_each(|id| writer.row(id, &[], |_| ()));
        let id = BlockId {
            table: 1,
            window: 0,
            number: 0,
        };
        assert_eq!(loaded(&writer.into_block(id).bytes).unwrap(), [4, 5, 2]);
    }
}
