//! A made-up operations centre: services with alerts, hosts with metrics, some of which go wrong.
//!
//! The same seed gives the same rows. No clock: event time begins at a given moment and goes on by steps.

use serde_json::{Map, Value, json};
use tocsin_worker::live::{LiveState, NodeProgress, Outcome, Progress, StreamKind};

use crate::pipeline::description;

const MINUTE_MS: i64 = 60_000;
/// Minutes of event time that are there when the page is first shown.
const HISTORY_MINUTES: u32 = 240;
/// How far event time is behind the clock when the centre is watched as it goes.
const BEHIND_MS: i64 = 2_100;
const OUT_OF_ORDER_MS: i64 = 5_000;
const SERVICES: [&str; 14] = [
    "checkout",
    "search",
    "payments",
    "login",
    "catalogue",
    "images",
    "cart",
    "mail",
    "ledger",
    "profile",
    "stock",
    "shipping",
    "reviews",
    "quotes",
];
const EVENTS_PER_SECOND: f64 = 4_000.0;
const BYTES_PER_EVENT: u64 = 195;

/// What goes wrong in the history: service, first and last minute, severity, stage, and how much worse it gets.
const TROUBLES: [(&str, u32, u32, &str, &str, f64); 9] = [
    ("mail", 20, 52, "MINOR", "slow", 1.8),
    ("ledger", 60, 84, "MAJOR", "hot_cpu", 1.5),
    ("search", 75, 118, "CRITICAL", "critical_burst", 2.6),
    ("images", 100, 131, "MINOR", "slow", 1.9),
    ("login", 142, 166, "ESCALATED", "escalated", 2.4),
    ("catalogue", 176, 10_000, "MINOR", "slow", 1.7),
    ("payments", 201, 10_000, "CRITICAL", "critical_burst", 2.9),
    ("cart", 214, 10_000, "MAJOR", "hot_cpu", 1.6),
    ("checkout", 226, 10_000, "ESCALATED", "escalated", 3.4),
];

/// The centre at a moment of event time.
pub struct World {
    random: u64,
    began_ms: i64,
    /// Whole minutes that have passed.
    minute: u32,
    event_time_ms: i64,
    kpi_rows: u64,
    alarm_rows: u64,
    incident_rows: u64,
    late: u64,
    dead_letters: u64,
    events: u64,
}

impl World {
    /// A centre from which nothing has come yet.
    pub fn empty(now_ms: i64) -> (Self, LiveState) {
        (Self::beginning(now_ms), LiveState::new(description(), now_ms))
    }

    /// A centre watched as it goes, for some hours until `now_ms`.
    pub fn watched(now_ms: i64) -> (Self, LiveState) {
        let began_ms = now_ms - BEHIND_MS - i64::from(HISTORY_MINUTES) * MINUTE_MS;
        let mut world = Self::beginning(began_ms);
        let mut state = LiveState::new(description(), began_ms);
        for second in 0..HISTORY_MINUTES * 60 {
            world.go_on(&mut state, 1_000);
            // Far in the past a rate a minute is enough.
            if second.is_multiple_of(60) || HISTORY_MINUTES * 60 - second < 700 {
                let then_ms = world.event_time_ms + BEHIND_MS;
                state.observe_progress(then_ms, world.progress());
            }
        }
        (world, state)
    }

    /// The same hours of another day, read from files as fast as it goes.
    pub fn replayed(now_ms: i64) -> (Self, LiveState) {
        const BEGAN_MS: i64 = 1_396_396_800_000;
        const STEP_MS: u32 = 250;
        let steps = HISTORY_MINUTES * 60 / 90;
        let started_ms = now_ms - i64::from(steps * STEP_MS);
        let mut world = Self::beginning(BEGAN_MS);
        let mut state = LiveState::new(description(), started_ms);
        for step in 1..=steps {
            for _ in 0..90 {
                world.go_on(&mut state, 1_000);
            }
            state.observe_progress(started_ms + i64::from(step * STEP_MS), world.progress());
        }
        (world, state)
    }

    fn beginning(began_ms: i64) -> Self {
        Self {
            random: 7,
            began_ms,
            minute: 0,
            event_time_ms: began_ms,
            kpi_rows: 0,
            alarm_rows: 0,
            incident_rows: 0,
            late: 0,
            dead_letters: 0,
            events: 0,
        }
    }

    /// Goes on with the clock.
    pub fn step(&mut self, state: &mut LiveState, now_ms: i64) {
        let passed_ms = now_ms - BEHIND_MS - self.event_time_ms;
        if passed_ms > 0 {
            self.go_on(state, passed_ms);
        }
        state.observe_progress(now_ms, self.progress());
    }

    /// Some event time passes.
    fn go_on(&mut self, state: &mut LiveState, passed_ms: i64) {
        self.event_time_ms += passed_ms;
        let wave = 1.0
            + 0.12 * (self.event_time_ms as f64 / 1_700_000.0).sin()
            + 0.03 * (self.event_time_ms as f64 / 9_000.0).sin();
        self.events += (EVENTS_PER_SECOND * wave * (0.97 + 0.06 * self.random()) * passed_ms as f64 / 1e3) as u64;
        while self.event_time_ms - OUT_OF_ORDER_MS >= self.began_ms + i64::from(self.minute + 1) * MINUTE_MS {
            self.close_minute(state);
        }
    }

    /// Does what a line says; see the example's head.
    pub fn command(&mut self, state: &mut LiveState, line: &str, now_ms: i64) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "incident" => self.incident(state, rest, "opened", "CRITICAL", "critical_burst", self.minute),
            "resolve" => self.incident(state, rest, "resolved", "CRITICAL", "critical_burst", self.minute),
            "alarm" => self.alarm(state, rest, "firing", "MAJOR", "hot_cpu", self.minute),
            "advance" => {
                for _ in 0..rest.parse().unwrap_or(1) {
                    self.go_on(state, MINUTE_MS);
                }
                state.observe_progress(now_ms, self.progress());
            }
            "finish" => state.finish(now_ms, Outcome::Finished),
            "fail" => state.finish(
                now_ms,
                Outcome::Failed {
                    message: rest.to_owned(),
                },
            ),
            _ => eprintln!("unknown command: {line}"),
        }
    }

    /// A minute's windows close: KPIs of every service, and what begins or ends.
    fn close_minute(&mut self, state: &mut LiveState) {
        self.minute += 1;
        let minute = self.minute;
        self.late += u64::from(self.random() < 0.4) * 37;
        self.dead_letters += u64::from(minute.is_multiple_of(60)) * 2;
        for (place, service) in SERVICES.iter().enumerate() {
            self.kpis(state, place, service);
        }
        for (service, from, to, severity, stage, _) in TROUBLES {
            if minute == from {
                self.begin(state, service, severity, stage);
            } else if minute > from && minute <= to && (minute - from).is_multiple_of(6) {
                self.incident(state, service, "updated", severity, stage, from);
            } else if minute == to + 1 {
                if stage != "escalated" {
                    self.alarm(state, service, "resolved", severity, stage, from);
                }
                self.incident(state, service, "resolved", severity, stage, from);
            }
        }
    }

    fn kpis(&mut self, state: &mut LiveState, place: usize, service: &str) {
        let minute = self.minute;
        let worse = TROUBLES
            .iter()
            .find(|(name, from, to, ..)| *name == service && (*from..=*to).contains(&minute));
        let factor = worse.map_or(1.0, |(_, from, .., factor)| {
            1.0 + (factor - 1.0) * f64::from(minute - from + 1).min(8.0) / 8.0
        });
        let size = 1.0 / (1.0 + place as f64 * 0.35);
        let wave = 1.0 + 0.22 * (f64::from(minute) / 38.0 + place as f64).sin();
        let alerts = 41_600.0 * size * wave * (0.95 + 0.1 * self.random()) * factor.sqrt();
        let p95 = (88.0 + place as f64 * 11.0) * (0.95 + 0.1 * self.random()) * factor;
        let critical = ((0.1 + 0.05 * self.random()) * factor).min(0.95);
        let mut row = self.keyed(service);
        row.insert("window_start".to_owned(), self.at(minute - 1));
        row.insert("window_end".to_owned(), self.at(minute));
        row.insert("alerts".to_owned(), json!(alerts as u64));
        row.insert("p95_ms".to_owned(), json!((p95 * 10.0).round() / 10.0));
        row.insert("critical_ratio".to_owned(), json!((critical * 1e4).round() / 1e4));
        row.insert("_rev".to_owned(), json!(0));
        state.observe_row("kpis", StreamKind::Kpi, &row);
        self.kpi_rows += 1;
        if minute.is_multiple_of(5) && place < 6 {
            let cpu = (46.0 + 6.0 * place as f64 * wave / 2.0 + 4.0 * self.random()) * (1.0 + (factor - 1.0) / 2.5);
            let mut row = self.keyed(service);
            row.insert("window_start".to_owned(), self.at(minute - 5));
            row.insert("window_end".to_owned(), self.at(minute));
            row.insert("cpu_percent".to_owned(), json!((cpu.min(99.5) * 10.0).round() / 10.0));
            row.insert("samples".to_owned(), json!(300));
            state.observe_row("hosts", StreamKind::Kpi, &row);
        }
    }

    fn begin(&mut self, state: &mut LiveState, service: &str, severity: &str, stage: &str) {
        if stage == "escalated" {
            let mut row = self.keyed(service);
            row.insert("severity".to_owned(), json!("ESCALATED"));
            row.insert("event_time".to_owned(), self.at(self.minute));
            row.insert(
                "message".to_owned(),
                json!("upstream connect error, 3 critical alerts within 1h"),
            );
            state.observe_row(stage, StreamKind::Escalation, &row);
            self.alarm_rows += 1;
        } else {
            self.alarm(state, service, "firing", severity, stage, self.minute);
        }
        self.incident(state, service, "opened", severity, stage, self.minute);
    }

    fn alarm(&mut self, state: &mut LiveState, service: &str, status: &str, severity: &str, stage: &str, since: u32) {
        let summary = match stage {
            "hot_cpu" => "cpu above 80 % for 5 min",
            "slow" => "p95 latency 3 sigma above its day",
            _ => "more than 40 % of the alerts are critical",
        };
        let mut row = self.keyed(service);
        let columns = json!({"alarm": format!("alm-{stage}-{service}-{since}"), "rule": stage, "status": status, "severity": severity, "since": self.at(since),
            "event_time": self.at(self.minute), "summary": summary});
        extend(&mut row, columns);
        state.observe_row(stage, StreamKind::Alarm, &row);
        self.alarm_rows += 1;
    }

    fn incident(
        &mut self,
        state: &mut LiveState,
        service: &str,
        status: &str,
        severity: &str,
        stage: &str,
        since: u32,
    ) {
        let age = u64::from(self.minute - since);
        let mut causes =
            vec![json!({"stage": stage, "severity": severity, "first_seen": self.at(since), "count": 1 + age / 3})];
        if matches!(severity, "ESCALATED" | "CRITICAL") && age >= 6 {
            causes.push(
                json!({"stage": "slow", "severity": "MINOR", "first_seen": self.at(since + 4), "count": 1 + age / 6}),
            );
        }
        if severity == "ESCALATED" && age >= 12 {
            causes.push(json!({"stage": "critical_burst", "severity": "CRITICAL", "first_seen": self.at(since + 9), "count": 2}));
            causes
                .push(json!({"stage": "hot_cpu", "severity": "MAJOR", "first_seen": self.at(since + 11), "count": 1}));
        }
        let mut row = self.keyed(service);
        let resolved_at = if status == "resolved" {
            self.at(self.minute)
        } else {
            Value::Null
        };
        extend(
            &mut row,
            json!({
                "incident": format!("{service}-{since:04}"), "status": status, "severity": severity, "opened_at": self.at(since),
                "updated_at": self.at(self.minute), "resolved_at": resolved_at, "causes": causes, "events": 3 + age * 17,
                "_rev": u64::from(status != "opened") * (age + 1),
            }),
        );
        state.observe_row("incidents", StreamKind::Incident, &row);
        self.incident_rows += 1;
    }

    fn progress(&self) -> Progress {
        let events = self.events;
        let (alerts, metrics) = (events * 97 / 100, events * 3 / 100);
        let node = |name: &str, is_sink, rows_in, rows_out| NodeProgress {
            name: name.to_owned(),
            is_sink,
            rows_in,
            rows_out,
            late: 0,
            dead_letters: 0,
        };
        let mut nodes = vec![
            node("alerts", false, alerts, alerts - self.dead_letters),
            node("metrics", false, metrics, metrics),
            node("services", false, 14, 14),
            node("known", false, alerts, alerts),
            node("critical", false, alerts, alerts / 4),
            node("escalated", false, alerts / 4, alerts / 96_000),
            node("kpis", false, alerts, self.kpi_rows),
            node("hosts", false, metrics, self.kpi_rows / 12),
            node("hot_cpu", false, self.kpi_rows / 12, self.alarm_rows / 3),
            node("slow", false, self.kpi_rows, self.alarm_rows / 3),
            node("critical_burst", false, self.kpi_rows, self.alarm_rows / 3),
            node(
                "incidents",
                false,
                self.alarm_rows + alerts / 96_000,
                self.incident_rows,
            ),
            node("escalations", true, alerts / 96_000, alerts / 96_000),
            node("kpi_store", true, self.kpi_rows, self.kpi_rows),
            node("pager", true, self.incident_rows, self.incident_rows),
        ];
        nodes[0].dead_letters = self.dead_letters;
        nodes[6].late = self.late;
        Progress {
            events,
            bytes: events * BYTES_PER_EVENT,
            event_time_ms: Some(self.event_time_ms),
            watermark_ms: Some(self.event_time_ms - OUT_OF_ORDER_MS),
            dead_letters: self.dead_letters,
            late: self.late,
            nodes,
        }
    }

    fn keyed(&self, service: &str) -> Map<String, Value> {
        Map::from_iter([("service".to_owned(), json!(service))])
    }

    /// RFC 3339 time of a minute.
    fn at(&self, minute: u32) -> Value {
        let time_ms = self.began_ms + i64::from(minute) * MINUTE_MS;
        jiff::Timestamp::from_millisecond(time_ms).map_or(Value::Null, |time| json!(time.to_string()))
    }

    /// The next random number, from 0 up to 1 (xorshift).
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn extend(row: &mut Map<String, Value>, columns: Value) {
    if let Value::Object(columns) = columns {
        row.extend(columns);
    }
}
