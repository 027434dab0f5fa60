//! Late rows of sliding windows: they go into panes that windows given out before hold, so these are given out again.

use super::Sliding;
use crate::key::KeyId;
use crate::stage::aggregate::results::{Part, Results, before};
use crate::stage::aggregate::{Rows, new_accumulators};
use crate::stream::Micros;

impl Sliding {
    /// Gives out windows that late rows changed, once the watermark has moved on.
    pub(super) fn revise(&mut self, results: &mut Results) {
        let Some(watermark) = self.revised_at.take() else {
            return;
        };
        let revised = std::mem::take(&mut self.revised);
        let mut ends: Vec<Micros> = revised.iter().map(|(end, _)| *end).collect();
        ends.dedup();
        for end in ends {
            let mut ids: Vec<KeyId> = revised.range((end, 0)..=(end, KeyId::MAX)).map(|(_, id)| *id).collect();
            ids.sort_unstable_by(|a, b| self.keys.table().key(*a).cmp(self.keys.table().key(*b)));
            let mut states = new_accumulators(&self.plan);
            for (i, state) in states.iter_mut().enumerate() {
                state.grow(self.keys.capacity());
                for (_, pane) in self.panes.range(end.saturating_sub(self.size)..end) {
                    for &id in ids.iter().filter(|id| pane.keys.contains(**id)) {
                        state.merge(id, pane.accumulators[i].as_ref());
                    }
                }
            }
            let revisions = ids
                .iter()
                .map(|id| *self.revisions.entry((end, *id)).and_modify(|n| *n += 1).or_insert(1))
                .collect();
            let window = Some((end - self.size, end));
            results.push(
                self.keys.table(),
                &states,
                Part {
                    window,
                    watermark,
                    time: before(end),
                    ids: &ids,
                    revisions,
                    last: false,
                },
            );
        }
    }

    /// Adds a row whose pane is already in windows that were given out.
    pub(super) fn add_late(&mut self, rows: &Rows<'_>, start: Micros, row: usize, watermark: Micros) {
        let known = self.panes.get(&start).map(|pane| pane.keys.as_slice().len());
        let ids = self.add(rows, start, row, row + 1);
        let Some(&id) = ids.first() else { return };
        let pane_entered = self.panes.get(&start).map(|pane| pane.keys.as_slice().len()) != known;
        // The totals hold this pane, so they take the row as well.
        if start < self.slid_to && start.saturating_add(self.size) >= self.slid_to {
            self.n_in_window.resize(self.keys.capacity(), 0);
            if pane_entered {
                if self.n_in_window[id as usize] == 0 {
                    self.n_live += 1;
                }
                self.n_in_window[id as usize] += 1;
            }
            let n_keys = self.keys.capacity();
            let mut totals = std::mem::take(&mut self.totals);
            rows.update(&mut totals, row, &ids, n_keys);
            self.totals = totals;
            let window = self.window();
            self.stacks.change(&self.plan, &self.panes, &window, id, start);
        }
        let mut end = start.saturating_add(self.every);
        while end <= start.saturating_add(self.size) {
            let given_out = self.due(end) <= watermark;
            let open = end.saturating_add(self.plan.lateness) > watermark;
            if given_out && open {
                let n_before = self.n_in_other_panes(end, id, start);
                if n_before == 0 && pane_entered {
                    self.revisions.entry((end, id)).or_insert(-1);
                }
                self.revised.insert((end, id));
                self.revised_at = Some(watermark);
            }
            end += self.every;
        }
    }

    fn n_in_other_panes(&self, end: Micros, id: KeyId, but: Micros) -> usize {
        self.panes
            .range(end.saturating_sub(self.size)..end)
            .filter(|(start, pane)| **start != but && pane.keys.contains(id))
            .count()
    }
}
