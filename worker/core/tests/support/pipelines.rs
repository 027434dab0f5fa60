//! Pipelines of every kind, and records for them.

use proptest::prelude::*;

use super::alerts::words;

/// A source of a field `ts` in seconds, 5 s out of order.
const SOURCE: &str = "{name: alerts, kafka: {topic: alerts}, eventTime: {field: ts, unit: Seconds, \
                      maxOutOfOrderness: 5s, allowedLateness: 20s}}";
const OTHER: &str = "{name: metrics, kafka: {topic: metrics}, eventTime: {field: ts, unit: Seconds, \
                     maxOutOfOrderness: 10s}}";

/// Stages, and the streams that are looked at.
pub const PIPELINES: &[(&str, &[&str])] = &[
    (
        "{name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}, \
         {name: kpis, from: critical, aggregate: {by: [service], window: {tumbling: 30s}, \
          select: {'n': count(*), total: sum(ms), mean: avg(ms), spread: var(ms), p: 'p95(ms)', \
                   low: 'min(ms + 0)', high: 'max(ms + 0)', one: first(host), end: last(host), hosts: 'count(DISTINCT host)'}}}",
        &["critical", "kpis", "kpis.late"],
    ),
    (
        "{name: kpis, from: alerts, emit: Final, aggregate: {by: [service, host], window: {tumbling: 10s}, \
          select: {'n': count(*), slow: 'count(*) FILTER (WHERE ms > 50)'}}}",
        &["kpis", "kpis.late"],
    ),
    (
        "{name: slide, from: alerts, aggregate: {by: [service], window: {sliding: {size: 40s, every: 10s}}, \
          select: {'n': count(*), total: sum(ms), high: 'max(ms + 0)', end: last(host)}}}",
        &["slide", "slide.late"],
    ),
    (
        "{name: slide, from: alerts, emit: OnChange, aggregate: {by: [service], window: {sliding: {size: 30s, every: 5s}}, \
          select: {'n': count(*), low: 'min(ms + 0)'}}}",
        &["slide"],
    ),
    (
        "{name: visits, from: alerts, aggregate: {by: [host], window: {session: {gap: 15s}}, \
          select: {'n': count(*), total: sum(ms)}}}",
        &["visits", "visits.late"],
    ),
    (
        "{name: totals, from: alerts, ttl: 1m, emit: {every: 7s}, aggregate: {by: [service], \
          select: {'n': count(*), mean: avg(ms)}}}",
        &["totals", "totals.late"],
    ),
    (
        "{name: critical, from: alerts, filter: \"severity = 'CRITICAL' AND ms > 10\"}, \
         {name: minor, from: alerts, filter: \"severity <> 'CRITICAL'\"}, \
         {name: sliding, from: critical, escalate: {by: [service], count: 3, within: 20s}}, \
         {name: first, from: minor, escalate: {by: [service], count: 2, within: 30s, ttl: FromFirst}}, \
         {name: write, from: alerts, escalate: {by: [host], count: 4, within: 10s, ttl: OnWrite}}",
        &["sliding", "first", "write", "write.late"],
    ),
    (
        "{name: hot, from: alerts, alarm: {by: [service], when: 'ms > 50', for: 20s, maxGap: 30s, clear: 'ms < 30', \
          keepFiringFor: 10s, severity: MAJOR, summary: 'slow {ms}'}}, \
         {name: now, from: alerts, alarm: {by: [host], when: 'ms > 90', onNoData: Ok, maxGap: 15s}}",
        &["hot", "now", "hot.late"],
    ),
    (
        "{name: hot, from: metrics, alarm: {by: [service], when: 'cpu > 50', for: 15s, maxGap: 40s, severity: MAJOR}}, \
         {name: escalated, from: alerts, escalate: {by: [service], count: 2, within: 30s}}, \
         {name: kpis, from: alerts, aggregate: {by: [service], window: {tumbling: 20s}, select: {'n': count(*)}}}, \
         {name: busy, from: kpis, alarm: {by: [service], when: 'n > 2', severity: MINOR}}, \
         {name: incidents, from: [hot, escalated, busy], incident: {by: [service], openFor: 40s}}",
        &["incidents", "incidents.late"],
    ),
    (
        "{name: unusual, from: alerts, alarm: {by: [service], baseline: {value: 'ms + 0', over: 96s, sigmas: 1, \
          minSamples: 3}, maxGap: 60s, severity: MINOR}}, \
         {name: held, from: alerts, alarm: {by: [host], baseline: {value: ms, over: 48s, sigmas: 0.5, minSamples: 2}, \
          for: 5s, maxGap: 30s, clear: 'ms < 20', keepFiringFor: 10s}}",
        &["unusual", "held", "unusual.late"],
    ),
    (
        "{name: slide, from: alerts, emit: OnChange, aggregate: {by: [host], window: {sliding: {size: 50s, every: 5s}}, \
          select: {low: 'min(ms + 0)', high: 'max(ms + 0)', one: first(service), services: 'count(DISTINCT service)', \
                   p50: 'p50(ms)', p90: 'p90(ms)', total: sum(ms), mean: avg(ms)}}}",
        &["slide", "slide.late"],
    ),
    (
        "{name: both, from: [alerts, metrics], filter: \"service <> 'c'\"}, \
         {name: q, sql: \"SELECT service, upper(service) AS name, sum(coalesce(ms, cpu)) / count(*) AS mean, window_end \
          FROM both GROUP BY service, HOP(event_time, INTERVAL '10' SECOND, INTERVAL '20' SECOND) HAVING count(*) > 1\"}",
        &["both", "q"],
    ),
];

/// A pipeline whose results hang on which source is read first.
pub const AS_THEY_COME: (&str, &[&str]) = (
    "{name: hot, from: metrics, alarm: {by: [service], when: 'cpu > 50', for: 15s, maxGap: 40s, severity: MAJOR}}, \
     {name: escalated, from: alerts, escalate: {by: [service], count: 2, within: 30s}}, \
     {name: kpis, from: alerts, aggregate: {by: [service], window: {tumbling: 20s}, select: {'n': count(*)}}}, \
     {name: busy, from: kpis, alarm: {by: [service], when: 'n > 2', severity: MINOR}}, \
     {name: incidents, from: [hot, escalated, busy], incident: {by: [service], openFor: 40s, order: Arrival}}",
    &["incidents", "incidents.late"],
);

/// The spec of a pipeline with these stages, whose streams are given out.
pub fn spec(stages: &str, streams: &[&str]) -> String {
    let sinks: Vec<String> = streams
        .iter()
        .enumerate()
        .map(|(i, stream)| format!("{{name: s{i}, from: {stream}, stdout: {{}}}}"))
        .collect();
    format!(
        "{{sources: [{SOURCE}, {OTHER}], stages: [{stages}], sinks: [{}]}}",
        sinks.join(", ")
    )
}

/// A step of event time, now and then far back or far ahead, and what the record says.
pub fn records(measure: &'static str) -> impl Strategy<Value = Vec<String>> {
    let step = prop_oneof![20 => -6i64..8, 2 => -60i64..0, 1 => 0i64..120, 1 => 4_000i64..100_000];
    let record = (
        step,
        0..4u8,
        0..3u8,
        prop::option::of(0..100u32),
        any::<bool>(),
        0..40u8,
    );
    prop::collection::vec(record, 1..120).prop_map(move |records| {
        let mut now = 1_000_000i64;
        let line = |(step, service, host, value, critical, broken): (i64, u8, u8, Option<u32>, bool, u8)| {
            let time = now + step;
            // A wild jump does not move the others.
            if step < 1_000 {
                now = now.max(time);
            }
            if broken == 0 {
                return "{\"ts\":".to_owned();
            }
            let (service, value, severity) = words(service, value, critical);
            format!("{{\"ts\":{time},\"service\":{service},\"host\":\"h{host}\",\"{measure}\":{value},\"severity\":\"{severity}\",\"message\":\"m\"}}")
        };
        records.into_iter().map(line).collect()
    })
}
