//! What the operator measures of itself, in Prometheus' text format.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What the operator measures of itself.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    reconciles: Family<Reconcile, Counter>,
    durations: Family<Kind, Histogram>,
    objects: Family<Kind, Gauge>,
    depth: Gauge,
    in_hand: Gauge,
    leader: Gauge,
    relists: Family<Kind, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    verb: &'static str,
    /// The status; 0 if no answer came.
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconcile {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// What came of a look at an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that was to be done is done.
    Done,
    /// It failed, and is tried again.
    Failed,
    /// Somebody else changed the object meanwhile.
    Conflict,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Conflict => "conflict",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tocsin_operator");
        let requests = Family::default();
        registry.register("apiserver_requests", "Requests to the API server", requests.clone());
        let reconciles = Family::default();
        registry.register(
            "reconciles",
            "Looks at an object, by what came of them",
            reconciles.clone(),
        );
        let durations = Family::new_with_constructor(durations_of as fn() -> Histogram);
        registry.register_with_unit(
            "reconcile_duration",
            "How long a look at an object took",
            Unit::Seconds,
            durations.clone(),
        );
        let objects = Family::default();
        registry.register("objects", "Objects that are looked after", objects.clone());
        let depth = Gauge::default();
        registry.register("queue_depth", "Objects that wait for their turn", depth.clone());
        let in_hand = Gauge::default();
        registry.register("queue_in_hand", "Objects that are being looked at", in_hand.clone());
        let leader = Gauge::default();
        registry.register("leader", "Whether this operator leads", leader.clone());
        let relists = Family::default();
        registry.register(
            "watch_relists",
            "How often all objects of a kind were listed",
            relists.clone(),
        );
        Self {
            registry,
            requests,
            reconciles,
            durations,
            objects,
            depth,
            in_hand,
            leader,
            relists,
        }
    }
}

impl Metrics {
    /// A request was answered; with 0 if no answer came.
    pub fn asked(&self, verb: &'static str, code: u16) {
        self.requests.get_or_create(&Request { verb, code }).inc();
    }

    /// An object was looked at.
    pub fn reconciled(&self, kind: &'static str, outcome: Outcome, took: Duration) {
        let outcome = outcome.as_str();
        self.reconciles.get_or_create(&Reconcile { kind, outcome }).inc();
        self.durations.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// So many objects of a kind are looked after.
    pub fn looks_after(&self, kind: &'static str, n: usize) {
        self.objects.get_or_create(&Kind { kind }).set(whole(n));
    }

    /// So many objects wait, and so many are being looked at.
    pub fn queued(&self, depth: usize, in_hand: usize) {
        self.depth.set(whole(depth));
        self.in_hand.set(whole(in_hand));
    }

    /// Whether this operator leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All objects of a kind were listed.
    pub fn relisted(&self, kind: &'static str) {
        self.relists.get_or_create(&Kind { kind }).inc();
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to memory does not fail.
        text::encode(&mut text, &self.registry).ok();
        text
    }
}

/// From a millisecond to half a minute.
fn durations_of() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

fn whole(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_counted_is_told() {
        let metrics = Metrics::default();
        metrics.asked("patch", 200);
        metrics.reconciled("IncidentPipeline", Outcome::Done, Duration::from_millis(3));
        metrics.looks_after("IncidentPipeline", 2);
        metrics.queued(4, 1);
        metrics.leads(true);
        metrics.relisted("Pod");
        let text = metrics.text();
        for line in [
            r#"tocsin_operator_apiserver_requests_total{verb="patch",code="200"} 1"#,
            r#"tocsin_operator_reconciles_total{kind="IncidentPipeline",outcome="done"} 1"#,
            r#"tocsin_operator_reconcile_duration_seconds_count{kind="IncidentPipeline"} 1"#,
            r#"tocsin_operator_objects{kind="IncidentPipeline"} 2"#,
            "tocsin_operator_queue_depth 4",
            "tocsin_operator_queue_in_hand 1",
            "tocsin_operator_leader 1",
            r#"tocsin_operator_watch_relists_total{kind="Pod"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
