//! Brokers that want to be left alone for a while: what a quota lets their clients take is used up.
//!
//! A broker does what it is asked, says with its answer for how long it does not listen to the connection any more, and
//! expects that nobody asks there meanwhile. Source: KIP-219.

use std::collections::BTreeMap;

use super::fetching::Millis;

/// Until when brokers do not listen.
#[derive(Clone, Debug, Default)]
pub struct Throttling(BTreeMap<i32, Millis>);

impl Throttling {
    /// A broker does not listen until then.
    pub fn note(&mut self, broker: i32, until: Millis) {
        let known = self.0.entry(broker).or_default();
        *known = until.max(*known);
    }

    /// When a broker listens again that does not now.
    pub fn until(&self, broker: i32, now: Millis) -> Option<Millis> {
        self.0.get(&broker).copied().filter(|until| *until > now)
    }

    /// When all brokers listen again, if one does not now.
    pub fn latest(&self, now: Millis) -> Option<Millis> {
        self.0.values().copied().max().filter(|until| *until > now)
    }

    /// Forgets what brokers said; answers which.
    pub fn forget(&mut self) -> Vec<i32> {
        std::mem::take(&mut self.0).into_keys().collect()
    }
}
