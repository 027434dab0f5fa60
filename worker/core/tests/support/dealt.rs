//! Stages by key, whose rows are dealt out.

/// A stream, and what names a row of it.
pub type Named = (&'static str, &'static [&'static str]);

/// Stages by key, and the streams that are looked at, with what names a row of each.
pub const STAGES: &[(&str, &[Named])] = &[
    (
        "{name: kpis, from: alerts, aggregate: {by: [service], window: {tumbling: 30s}, \
          select: {'n': count(*), total: sum(ms), high: 'max(ms + 0)', hosts: 'count(DISTINCT host)'}}}",
        &[("kpis", &["service", "window_start"]), ("kpis.late", &["id"])],
    ),
    (
        "{name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}, \
         {name: all, from: critical, emit: Final, aggregate: {window: {tumbling: 20s}, select: {'n': count(*), p: 'p95(ms)'}}}",
        &[("all", &["window_start"]), ("all.late", &["id"])],
    ),
    (
        "{name: slide, from: alerts, aggregate: {by: [host, service], window: {sliding: {size: 40s, every: 10s}}, \
          select: {'n': count(*), total: sum(ms)}}}",
        &[("slide", &["host", "service", "window_start"]), ("slide.late", &["id"])],
    ),
    (
        "{name: visits, from: alerts, aggregate: {by: [host], window: {session: {gap: 15s}}, select: {'n': count(*)}}}",
        &[("visits", &["host", "window_start"]), ("visits.late", &["id"])],
    ),
    (
        "{name: hosts, from: alerts, emit: Final, aggregate: {by: [host], window: {tumbling: 10s}, select: {'n': count(*)}}}, \
         {name: busiest, from: hosts, emit: Final, aggregate: {window: {tumbling: 60s}, select: {most: max('n'), hosts: count(*)}}}",
        &[("busiest", &["window_start"])],
    ),
    (
        "{name: q, sql: \"SELECT upper(service) AS name, count(*) AS total, window_end FROM alerts \
          GROUP BY upper(service), TUMBLE(event_time, INTERVAL '20' SECOND)\"}",
        &[("q", &["name", "window_end"])],
    ),
    (
        "{name: kpis, from: alerts, skew: TwoPhase, aggregate: {by: [service], window: {tumbling: 30s}, \
          select: {'n': count(*), total: sum(ms), mean: avg(ms), spread: var(ms), p: 'p95(ms)', high: 'max(ms + 0)', \
                   end: last(id), hosts: 'count(DISTINCT host)', slow: 'count(*) FILTER (WHERE ms > 50)'}}}",
        &[("kpis", &["service", "window_start"]), ("kpis.late", &["id"])],
    ),
    (
        "{name: slide, from: alerts, skew: TwoPhase, aggregate: {window: {sliding: {size: 40s, every: 10s}}, \
          select: {'n': count(*), total: sum(ms), low: 'min(ms + 0)'}}}",
        &[("slide", &["window_start"]), ("slide.late", &["id"])],
    ),
    (
        "{name: slow, from: alerts, alarm: {by: [service, host], when: 'ms > 50', for: 20s, maxGap: 300s, severity: MAJOR}}",
        &[("slow", &["service", "host", "event_time", "status"])],
    ),
];
