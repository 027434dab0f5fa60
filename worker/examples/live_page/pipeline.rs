//! The pipeline of the made-up centre, as the page is told about it.

use tocsin_worker::live::{Description, Node, Role};

/// Sources, stages and sinks.
pub fn description() -> Description {
    use Role::{Sink, Source, Stage, Table};
    let node = |role, name: &str, kind: &str, detail: &str, from: &[&str], key: &[&str]| {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Node {
            name: name.to_owned(),
            role,
            kind: kind.to_owned(),
            detail: detail.to_owned(),
            from: texts(from),
            key: texts(key),
        }
    };
    Description {
        pipeline: "noc".to_owned(),
        nodes: vec![
            node(Source, "alerts", "generator", "4,000 events/s of event time", &[], &[]),
            node(Source, "metrics", "file", "cpu.csv", &[], &[]),
            node(Table, "services", "table", "service_directory", &[], &["service"]),
            node(
                Stage,
                "known",
                "enrich",
                "owner, sla_tier, region",
                &["alerts", "services"],
                &[],
            ),
            node(Stage, "critical", "filter", "severity = 'CRITICAL'", &["known"], &[]),
            node(
                Stage,
                "escalated",
                "escalate",
                "3 within 1h",
                &["critical"],
                &["service"],
            ),
            node(Stage, "kpis", "aggregate", "1m tumbling", &["known"], &["service"]),
            node(Stage, "hosts", "aggregate", "5m tumbling", &["metrics"], &["service"]),
            node(Stage, "hot_cpu", "alarm", "cpu > 80 for 5m", &["hosts"], &["service"]),
            node(Stage, "slow", "alarm", "3 sigma above 24h", &["kpis"], &["service"]),
            node(
                Stage,
                "critical_burst",
                "alarm",
                "critical_ratio > 0.4",
                &["kpis"],
                &["service"],
            ),
            node(
                Stage,
                "incidents",
                "incident",
                "open for 30m",
                &["escalated", "hot_cpu", "slow", "critical_burst"],
                &["service"],
            ),
            node(Sink, "escalations", "file", "escalations.jsonl", &["escalated"], &[]),
            node(Sink, "kpi_store", "file", "kpis.jsonl", &["kpis"], &[]),
            node(Sink, "pager", "stdout", "", &["incidents"], &[]),
        ],
    }
}
