//! Whether the operator still hears and still works, told by one object that changes all the time: the lease.
//!
//! Whoever leads writes the lease every few seconds, and each operator asks for it by itself. The same object is watched, and
//! what the watch tells goes through the work queue like any other object. What was written and is not heard of, or heard of
//! and not looked at, shows an operator that only a new start helps. While the API server does not answer, nothing is
//! written, so nothing is missed.

use std::time::Duration;

use crate::lease::Moment;

/// What is known of the lease as a canary.
#[derive(Clone, Debug, Default)]
pub struct Canary {
    /// Since when each change that is known of waits to be heard of.
    unheard_since: Option<Moment>,
    /// Since when what was heard of waits to be looked at.
    unseen_since: Option<Moment>,
}

impl Canary {
    /// The lease was found changed, by asking or by writing.
    pub fn changed(&mut self, now: Moment) {
        self.unheard_since.get_or_insert(now);
    }

    /// The watch told of it. Only who leads looks at anything.
    pub fn heard(&mut self, now: Moment, leads: bool) {
        self.unheard_since = None;
        if leads {
            self.unseen_since.get_or_insert(now);
        } else {
            self.unseen_since = None;
        }
    }

    /// It had its turn in the work queue.
    pub fn looked_at(&mut self) {
        self.unseen_since = None;
    }

    /// Why the operator is of no use any more, if it is not: something has waited for longer than this.
    pub fn trouble(&self, now: Moment, patience: Duration) -> Option<String> {
        let waits = |since: Option<Moment>| {
            since
                .map(|since| now.saturating_sub(since))
                .filter(|waits| *waits > patience)
        };
        if let Some(waits) = waits(self.unheard_since) {
            let seconds = waits.as_secs();
            return Some(format!(
                "the lease changes, and its watch has told nothing for {seconds} s"
            ));
        }
        let waits = waits(self.unseen_since)?;
        let seconds = waits.as_secs();
        Some(format!("the work queue has not come to the lease for {seconds} s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(40);

    /// What is said at a moment.
    fn said(canary: &Canary, at: u64) -> Option<String> {
        canary.trouble(Moment::from_secs(at), PATIENCE)
    }

    #[test]
    fn what_is_heard_and_looked_at_is_well_however_long_nothing_changes() {
        let mut canary = Canary::default();
        assert_eq!(said(&canary, 1_000), None);
        canary.changed(Moment::from_secs(1_000));
        canary.heard(Moment::from_secs(1_001), true);
        canary.looked_at();
        assert_eq!(said(&canary, 9_000), None);
    }

    #[test]
    fn a_watch_that_tells_nothing_is_found() {
        let mut canary = Canary::default();
        // It goes on changing, and the first change counts.
        for second in [10, 30, 50] {
            canary.changed(Moment::from_secs(second));
        }
        assert_eq!(said(&canary, 50), None);
        assert!(said(&canary, 51).is_some_and(|why| why.contains("told nothing for 41 s")));
        canary.heard(Moment::from_secs(52), true);
        canary.looked_at();
        assert_eq!(said(&canary, 60), None);
    }

    #[test]
    fn a_queue_that_stands_still_is_found_in_who_leads() {
        let mut canary = Canary::default();
        for second in [10, 12, 14] {
            canary.heard(Moment::from_secs(second), true);
        }
        assert!(said(&canary, 51).is_some_and(|why| why.contains("has not come to the lease for 41 s")));
        // It leads no longer, and looks at nothing.
        canary.heard(Moment::from_secs(52), false);
        assert_eq!(said(&canary, 99), None);
    }
}
