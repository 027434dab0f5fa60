//! Who of several operators leads: decided over a Lease, with fencing.
//!
//! The rules are those of Kubernetes' own components. A lease counts as expired when it has not changed for its duration
//! *by this process's own clock, since this process saw it*, so clocks of machines are never compared. The holder counts
//! its own term from the moment at which it *sent* the request that renewed the lease, which no other can have seen
//! earlier, and stops writing one request's time-out before the term ends: what it sent last is then answered or given up.

use std::time::Duration;

/// A moment, as the time since this process started. Moments of two processes are never compared.
pub type Moment = Duration;

/// How long a lease lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// For so long a lease is its holder's without being renewed.
    pub duration: Duration,
    /// How often the holder renews it, and how often others look at it.
    pub renew_every: Duration,
    /// The longest that one request may take.
    pub request_time_out: Duration,
}

impl Terms {
    /// Why these terms cannot work, if they cannot.
    pub fn problem(&self) -> Option<String> {
        let needed = self.renew_every + 2 * self.request_time_out;
        (self.duration <= needed).then(|| {
            format!(
                "the lease lasts {:?}; it must last longer than {needed:?}: the time between two renewals and two \
                 requests' time-outs",
                self.duration
            )
        })
    }
}

/// A Lease as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it; empty when it was given up.
    pub holder: String,
    /// Its `resourceVersion`: changes whenever it is written.
    pub version: String,
    /// How often it has changed hands.
    pub transitions: u32,
    /// How long it lasts without being renewed, as its holder says.
    pub duration: Duration,
}

/// What to do about the lease now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make the lease, in our name. If it exists meanwhile, look at it again.
    Create,
    /// Write our name into the lease, if it still has this version.
    Take {
        /// The version.
        version: String,
        /// How often it has changed hands then.
        transitions: u32,
    },
    /// Renew the lease, if it still has this version.
    Renew {
        /// The version.
        version: String,
        /// How often it has changed hands.
        transitions: u32,
    },
    /// Look at the lease again at this moment.
    Look(Moment),
}

/// What one operator knows of the lease.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    terms: Terms,
    seen: Option<Seen>,
    /// When the last renewal that succeeded was sent.
    renewed: Option<Moment>,
}

#[derive(Clone, Debug)]
struct Seen {
    lease: Option<Lease>,
    /// When this process first saw it so.
    since: Moment,
    /// When it last looked.
    looked: Moment,
}

impl Election {
    /// An operator that has not looked yet. `identity` is of its own in the cluster, and of this start: an operator that
    /// starts anew is another one.
    pub fn new(identity: impl Into<String>, terms: Terms) -> Self {
        Self {
            identity: identity.into(),
            terms,
            seen: None,
            renewed: None,
        }
    }

    /// The lease was looked at, or written, and is so now. `None`: there is none.
    pub fn saw(&mut self, lease: Option<Lease>, now: Moment) {
        if lease.as_ref().is_none_or(|lease| lease.holder != self.identity) {
            self.renewed = None;
        }
        let since = match &self.seen {
            Some(seen) if seen.lease == lease => seen.since,
            _ => now,
        };
        self.seen = Some(Seen {
            lease,
            since,
            looked: now,
        });
    }

    /// A request of ours that wrote the lease succeeded: it was sent at `sent`, and left the lease so.
    pub fn wrote(&mut self, lease: Lease, sent: Moment, now: Moment) {
        self.saw(Some(lease), now);
        self.renewed = Some(sent);
    }

    /// What to do now.
    pub fn next(&self, now: Moment) -> Act {
        let Some(seen) = &self.seen else {
            return Act::Look(now);
        };
        let Some(lease) = &seen.lease else {
            return Act::Create;
        };
        let (version, transitions) = (lease.version.clone(), lease.transitions);
        if lease.holder == self.identity {
            // Whether it counts or not: nobody else has taken it.
            let due = self.renewed.map_or(now, |sent| sent + self.terms.renew_every);
            return if due <= now {
                Act::Renew { version, transitions }
            } else {
                Act::Look(due)
            };
        }
        let expires = seen.since + lease.duration;
        if lease.holder.is_empty() || expires <= now {
            return Act::Take {
                version,
                transitions: transitions.saturating_add(1),
            };
        }
        Act::Look((seen.looked + self.terms.renew_every).min(expires).max(now))
    }

    /// Until when this operator may send requests that change something. None if it does not lead.
    pub fn may_write_until(&self) -> Option<Moment> {
        let term = self.terms.duration.saturating_sub(self.terms.request_time_out);
        self.renewed.map(|sent| sent + term)
    }

    /// Whether this operator may send a request that changes something.
    pub fn may_write(&self, now: Moment) -> bool {
        self.may_write_until().is_some_and(|until| now < until)
    }

    /// Gives the lease up, from now on: the next operator need not wait. Returns it as it is to be written; none if it is not
    /// ours.
    pub fn give_up(&mut self) -> Option<Lease> {
        // Whether the write succeeds or not, and whether anybody hears of it.
        self.renewed = None;
        let lease = self.seen.as_ref()?.lease.as_ref()?;
        (lease.holder == self.identity).then(|| Lease {
            holder: String::new(),
            ..lease.clone()
        })
    }
}

#[cfg(test)]
mod tests;
