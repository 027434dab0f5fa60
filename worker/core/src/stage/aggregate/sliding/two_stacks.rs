//! Totals over a sliding window of states that cannot be taken away again (min, max, first, last, distinct).
//!
//! The panes of the window stand on two stacks. The back takes panes that enter, as one total a key. The front gives
//! panes that leave: each holds, for its keys, the total from itself to the front's newest pane. A window's total is that
//! of its oldest pane in the front, and that of the back. When the front is used up, the back is turned over onto it. So
//! each pane is folded twice, however many windows it is in (Tangwongsan, Hirzel, Schneider, "Low-latency sliding-window
//! aggregation in worst-case constant time", DEBS 2017, section 2).

use std::collections::BTreeMap;
use std::ops::Range;

use super::{AggregatePlan, Pane};
use crate::aggregate::Accumulators;
use crate::key::KeyId;
use crate::stream::{Micros, NO_WATERMARK};

type States = Vec<Box<dyn Accumulators>>;

/// Two stacks of panes, for those states that need them.
pub(super) struct TwoStacks {
    /// Numbers of those states.
    states: Vec<usize>,
    /// Panes that start before this are in the front.
    turned_at: Micros,
    /// By start of the pane: the total from there on, for keys of that pane.
    front: BTreeMap<Micros, States>,
    back: States,
}

impl TwoStacks {
    pub fn new(plan: &AggregatePlan, totals: &[Box<dyn Accumulators>]) -> Self {
        let states: Vec<usize> = (0..totals.len()).filter(|&i| !totals[i].invertible()).collect();
        Self {
            back: new_states(plan, &states),
            states,
            turned_at: NO_WATERMARK,
            front: BTreeMap::new(),
        }
    }

    /// Whether there is anything to do.
    pub fn is_needed(&self) -> bool {
        !self.states.is_empty()
    }

    /// Moves on to `window`, whose newest pane is the one that starts at `entering`.
    pub fn slide(
        &mut self,
        plan: &AggregatePlan,
        panes: &BTreeMap<Micros, Pane>,
        window: &Range<Micros>,
        entering: Micros,
    ) {
        if window.start >= self.turned_at {
            self.turn(plan, panes, window);
            return;
        }
        self.front = self.front.split_off(&window.start);
        let Some(pane) = panes.get(&entering) else { return };
        for (back, &i) in self.back.iter_mut().zip(&self.states) {
            back.grow(pane.keys.bound());
            for &id in pane.keys.as_slice() {
                back.merge(id, pane.accumulators[i].as_ref());
            }
        }
    }

    /// Puts all panes of `window` onto the front.
    pub fn turn(&mut self, plan: &AggregatePlan, panes: &BTreeMap<Micros, Pane>, window: &Range<Micros>) {
        self.front.clear();
        self.back = new_states(plan, &self.states);
        self.turned_at = window.end;
        let mut newest_first: Vec<(Micros, &Pane)> = panes
            .range(window.clone())
            .map(|(start, pane)| (*start, pane))
            .collect();
        newest_first.reverse();
        // The oldest pane so far that has each key.
        let mut oldest: Vec<Option<Micros>> = Vec::new();
        for (start, pane) in newest_first {
            let mut totals = new_states(plan, &self.states);
            totals.iter_mut().for_each(|total| total.grow(pane.keys.bound()));
            oldest.resize(oldest.len().max(pane.keys.bound()), None);
            for &id in pane.keys.as_slice() {
                let at = id as usize;
                let behind = oldest[at].replace(start).and_then(|start| self.front.get(&start));
                add(&mut totals, id, pane, &self.states, behind);
            }
            self.front.insert(start, totals);
        }
    }

    /// Sets the totals of `id` over `window`.
    pub fn total(
        &self,
        id: KeyId,
        panes: &BTreeMap<Micros, Pane>,
        window: &Range<Micros>,
        totals: &mut [Box<dyn Accumulators>],
    ) {
        let front = self
            .front
            .range(window.start..)
            .find(|(start, _)| panes.get(start).is_some_and(|pane| pane.keys.contains(id)));
        for (n, &i) in self.states.iter().enumerate() {
            totals[i].clear(id);
            if let Some((_, states)) = front {
                totals[i].merge(id, states[n].as_ref());
            }
            totals[i].merge(id, self.back[n].as_ref());
        }
    }

    /// Takes up that a late row of `id` changed the pane at `start`.
    pub fn change(
        &mut self,
        plan: &AggregatePlan,
        panes: &BTreeMap<Micros, Pane>,
        window: &Range<Micros>,
        id: KeyId,
        start: Micros,
    ) {
        if start >= self.turned_at {
            for (back, &i) in self.back.iter_mut().zip(&self.states) {
                back.grow(id as usize + 1);
                back.clear(id);
                for (_, pane) in panes
                    .range(self.turned_at..window.end)
                    .filter(|(_, pane)| pane.keys.contains(id))
                {
                    back.merge(id, pane.accumulators[i].as_ref());
                }
            }
            return;
        }
        let mut behind: Option<Micros> = None;
        for (&at, pane) in panes
            .range(window.start..self.turned_at)
            .rev()
            .filter(|(_, pane)| pane.keys.contains(id))
        {
            let mut totals = self.front.remove(&at).unwrap_or_else(|| new_states(plan, &self.states));
            for total in &mut totals {
                total.grow(id as usize + 1);
                total.clear(id);
            }
            add(
                &mut totals,
                id,
                pane,
                &self.states,
                behind.and_then(|start| self.front.get(&start)),
            );
            self.front.insert(at, totals);
            behind = Some(at);
        }
    }

    /// Bytes of memory held, about.
    pub fn memory(&self) -> usize {
        let states = self.front.values().flatten().chain(&self.back);
        states.map(|states| states.memory()).sum()
    }
}

fn new_states(plan: &AggregatePlan, states: &[usize]) -> States {
    states.iter().map(|&i| plan.states[i].function.accumulators()).collect()
}

/// Adds to the empty totals of `id` those of its pane, and those behind it.
fn add(totals: &mut [Box<dyn Accumulators>], id: KeyId, pane: &Pane, states: &[usize], behind: Option<&States>) {
    for (n, (total, &i)) in totals.iter_mut().zip(states).enumerate() {
        total.merge(id, pane.accumulators[i].as_ref());
        if let Some(behind) = behind {
            total.merge(id, behind[n].as_ref());
        }
    }
}
