//! The circuit to a receiver: closed while it answers; open when it fails again and again, or asks for a rest. Then one
//! request at a time finds out whether it is back, and no other is wasted.

use core::time::Duration;

use super::backoff::Backoff;

/// So many failures in a row open the circuit.
const MOST_FAILURES: u32 = 5;

/// How long the circuit stays open before the next request finds out.
const OPEN_FOR: Backoff = Backoff {
    first: Duration::from_secs(2),
    longest: Duration::from_secs(30),
};

/// How the circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// Rows are sent.
    Closed,
    /// One row is under way, to find out.
    HalfOpen,
    /// Nothing is sent.
    Open,
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admits {
    /// As much as there is.
    All,
    /// One row, to find out.
    One,
    /// Nothing until then.
    NothingUntil(Duration),
    /// Nothing until that row's answer is there.
    Nothing,
}

/// A circuit. Times count from any fixed moment.
#[derive(Clone, Debug)]
pub struct Circuit {
    state: State,
    /// How often it opened in a row.
    openings: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
        /// Whether the receiver asked for it.
        asked: bool,
    },
    HalfOpen,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            state: State::Closed { failures: 0 },
            openings: 0,
        }
    }
}

impl Circuit {
    /// How it stands.
    pub fn state(&self) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen => CircuitState::HalfOpen,
        }
    }

    /// What may be sent at `now`.
    pub fn admits(&self, now: Duration) -> Admits {
        match self.state {
            State::Closed { .. } => Admits::All,
            State::Open { until, .. } if until <= now => Admits::One,
            State::Open { until, .. } => Admits::NothingUntil(until),
            State::HalfOpen => Admits::Nothing,
        }
    }

    /// Hears that the one row is sent that finds out.
    pub fn probe(&mut self) {
        self.state = State::HalfOpen;
    }

    /// Hears that nobody will know what came of the row that was to find out: the next one does.
    pub fn lost(&mut self) {
        if matches!(self.state, State::HalfOpen) {
            self.state = State::Open {
                until: Duration::ZERO,
                asked: false,
            };
        }
    }

    /// Hears that the receiver answers; true if that closes the circuit.
    pub fn succeeded(&mut self) -> bool {
        // An answer to a request from before it asked for a rest does not end the rest.
        if matches!(self.state, State::Open { asked: true, .. }) {
            return false;
        }
        let was_closed = matches!(self.state, State::Closed { .. });
        *self = Self::default();
        !was_closed
    }

    /// Hears of a failure at `now`, and of the rest that the receiver asked for; true if that opens the circuit.
    pub fn failed(&mut self, now: Duration, rest: Option<Duration>, random: u64) -> bool {
        let failures = match self.state {
            State::Closed { failures } => failures + 1,
            // Of a request from before; only what is asked for counts.
            State::Open { until, asked } => {
                if let Some(rest) = rest {
                    self.state = State::Open {
                        until: until.max(now + rest),
                        asked: true,
                    };
                } else {
                    self.state = State::Open { until, asked };
                }
                return false;
            }
            State::HalfOpen => MOST_FAILURES,
        };
        if failures < MOST_FAILURES && rest.is_none() {
            self.state = State::Closed { failures };
            return false;
        }
        self.openings = self.openings.saturating_add(1);
        let wait = rest.unwrap_or_else(|| OPEN_FOR.wait(self.openings, random));
        self.state = State::Open {
            until: now + wait,
            asked: rest.is_some(),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn open() -> Circuit {
        let mut circuit = Circuit::default();
        for _ in 0..MOST_FAILURES {
            circuit.failed(at(0), None, u64::MAX);
        }
        circuit
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_starts_anew() {
        let mut circuit = Circuit::default();
        for _ in 0..3 {
            for _ in 1..MOST_FAILURES {
                assert!(!circuit.failed(at(0), None, 0));
            }
            assert!(!circuit.succeeded());
        }
        assert_eq!(circuit.admits(at(0)), Admits::All);
        assert_eq!(open().admits(at(1)), Admits::NothingUntil(at(2)));
    }

    #[test]
    fn one_row_finds_out_whether_the_receiver_is_back() {
        let mut circuit = open();
        assert_eq!(circuit.admits(at(2)), Admits::One);
        circuit.probe();
        assert_eq!(circuit.admits(at(100)), Admits::Nothing);
        assert!(circuit.failed(at(3), None, u64::MAX));
        assert_eq!(circuit.admits(at(3)), Admits::NothingUntil(at(7)));
        circuit.probe();
        assert!(circuit.succeeded());
        assert_eq!(circuit.admits(at(7)), Admits::All);
    }

    #[test]
    fn a_rest_that_is_asked_for_is_kept() {
        let mut circuit = Circuit::default();
        assert!(circuit.failed(at(10), Some(at(60)), 0));
        assert!(!circuit.succeeded(), "a request from before was answered");
        assert_eq!(circuit.admits(at(69)), Admits::NothingUntil(at(70)));
        assert!(!circuit.failed(at(11), Some(at(120)), 0));
        assert_eq!(circuit.admits(at(130)), Admits::NothingUntil(at(131)));
        assert_eq!(circuit.admits(at(131)), Admits::One);
    }

    #[test]
    fn failures_of_requests_from_before_do_not_keep_it_open_longer() {
        let mut circuit = open();
        assert!(!circuit.failed(at(1), None, u64::MAX));
        assert_eq!(circuit.admits(at(2)), Admits::One);
    }
}
