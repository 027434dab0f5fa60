//! What must come out, worked out from what went in.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Value, json};

use super::Ids;
use crate::RigError;
use crate::kafka::{Isolation, Record};

/// Different services of the stream.
pub const SERVICES: i64 = 13;

/// Every so many events of a service that passed escalate.
const ESCALATES: usize = 5;

/// Length of a window, in milliseconds.
const WINDOW: i64 = 1_000;

/// How far events may be out of order, in milliseconds.
const OUT_OF_ORDER: i64 = 1_000;

/// So many differences are shown.
const SHOWN: usize = 12;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub id: i64,
    /// Its time, in milliseconds since 1970.
    pub time: i64,
    /// Its key.
    pub service: String,
    /// Whether it passes the filter.
    pub passes: bool,
}

impl Event {
    /// An event of the stream: service and severity follow from the number.
    pub fn of(id: i64, time: i64) -> Self {
        Self {
            id,
            time,
            service: format!("s{}", id * 7 % SERVICES),
            passes: id % 6 != 1,
        }
    }

    /// As [`Event::of`], and it passes.
    pub fn closing(id: i64, time: i64) -> Self {
        Self {
            passes: true,
            ..Self::of(id, time)
        }
    }

    /// As it is written.
    pub fn record(&self) -> Record {
        let severity = if self.passes { "CRITICAL" } else { "MINOR" };
        let value = json!({"ts": self.time, "service": self.service, "id": self.id, "severity": severity});
        Record::new(value.to_string()).key(&self.service)
    }

    /// Reads an event; none if it is not one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        Some(Self {
            id: value.get("id")?.as_i64()?,
            time: value.get("ts")?.as_i64()?,
            service: value.get("service")?.as_str()?.to_owned(),
            passes: value.get("severity")?.as_str()? == "CRITICAL",
        })
    }
}

/// What must come out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Ids that pass, each with how often.
    passed: BTreeMap<String, u32>,
    /// Ids at which a service escalates.
    escalations: BTreeMap<String, u32>,
    /// Service, window, number of events, sum of their ids.
    totals: BTreeMap<String, u32>,
}

impl Expected {
    /// Works it out from the events of each partition, in their order. Those behind the watermark pass and count nowhere;
    /// there must be none between a watermark and the beginning of a window that is open.
    pub fn of(partitions: &BTreeMap<i32, Vec<Event>>) -> Self {
        let mut expected = Self::default();
        for events in partitions.values() {
            let newest = events.iter().map(|event| event.time).max().unwrap_or_default();
            let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
            let mut windows: BTreeMap<(&str, i64), (i64, i64)> = BTreeMap::new();
            let mut watermark = i64::MIN;
            for event in events {
                if event.passes {
                    count(&mut expected.passed, event.id.to_string());
                }
                let is_late = event.time < watermark;
                watermark = watermark.max(event.time - OUT_OF_ORDER);
                if is_late {
                    continue;
                }
                let window = windows
                    .entry((&event.service, event.time / WINDOW * WINDOW))
                    .or_default();
                window.0 += 1;
                window.1 += event.id;
                if !event.passes {
                    continue;
                }
                let counted = counted.entry(&event.service).or_default();
                *counted += 1;
                if counted.is_multiple_of(ESCALATES) {
                    count(&mut expected.escalations, escalation(&event.service, event.id));
                }
            }
            for ((service, start), (events, ids)) in windows {
                if start + WINDOW <= newest - OUT_OF_ORDER {
                    count(&mut expected.totals, total(service, start, events, ids));
                }
            }
        }
        expected
    }
}

impl Expected {
    /// The same with those escalations at these events that another has.
    pub fn with_escalations_of(mut self, other: &Self, events: &Range<i64>) -> Self {
        let is_there = |escalation: &String| {
            let id = escalation.rsplit(' ').next().and_then(|id| id.parse().ok());
            id.is_some_and(|id| events.contains(&id))
        };
        self.escalations.retain(|escalation, _| !is_there(escalation));
        let others = other.escalations.iter().filter(|(escalation, _)| is_there(escalation));
        self.escalations
            .extend(others.map(|(escalation, times)| (escalation.clone(), *times)));
        self
    }

    /// The same where events of a service stand in all partitions. In which order those of two partitions come is open, and so
    /// which event of a service is its fifth: of an escalation only the service counts.
    fn gathered(partitions: &BTreeMap<i32, Vec<Event>>) -> Self {
        let newest = |events: &Vec<Event>| events.iter().map(|event| event.time).max();
        let closed = partitions.values().filter_map(newest).min().unwrap_or_default() - OUT_OF_ORDER;
        let mut gathered = Self::default();
        let mut windows: BTreeMap<(&str, i64), (i64, i64)> = BTreeMap::new();
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        for event in partitions.values().flatten() {
            let start = event.time / WINDOW * WINDOW;
            if start + WINDOW <= closed {
                let window = windows.entry((&event.service, start)).or_default();
                window.0 += 1;
                window.1 += event.id;
            }
            if event.passes {
                count(&mut gathered.passed, event.id.to_string());
                *counted.entry(&event.service).or_default() += 1;
            }
        }
        for (service, passed) in counted {
            for _ in 0..passed / ESCALATES {
                count(&mut gathered.escalations, service.to_owned());
            }
        }
        for ((service, start), (events, ids)) in windows {
            count(&mut gathered.totals, total(service, start, events, ids));
        }
        gathered
    }
}

impl Ids<'_> {
    /// Holds what came out against what went in, where events of a service stand in all partitions, in order.
    ///
    /// # Errors
    /// As [`Ids::check`].
    pub fn check_gathered(&self) -> Result<usize, RigError> {
        let partitions = self.events(|_| false)?;
        let found = self.found(Isolation::Committed, |row| {
            Some(row.get("service")?.as_str()?.to_owned())
        })?;
        self.compare(&Expected::gathered(&partitions), &found)?;
        Ok(partitions.values().map(Vec::len).sum())
    }

    /// Whether each service has escalated as often as it must, wherever its events stand.
    ///
    /// # Errors
    /// When a topic cannot be read.
    pub fn escalations_are_gathered(&self) -> Result<bool, RigError> {
        let mut passed: BTreeMap<String, usize> = BTreeMap::new();
        for record in self.kafka.consume_committed(&self.topic("events"))? {
            let event = record.value.as_deref().and_then(Event::read);
            if let Some(event) = event.filter(|event| event.passes) {
                *passed.entry(event.service).or_default() += 1;
            }
        }
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for record in self.kafka.consume_committed(&self.topic("escalations"))? {
            let row: Value = serde_json::from_str(&record.text()).unwrap_or_default();
            let service = row.get("service").and_then(Value::as_str).unwrap_or_default();
            *found.entry(service.to_owned()).or_default() += 1;
        }
        passed.values_mut().for_each(|n| *n /= ESCALATES);
        Ok(!found.is_empty() && found == passed)
    }

    /// Holds what came out against what went in, both as a committed reader sees them. Records of the input that are
    /// no events are left out.
    ///
    /// # Errors
    /// With what is missing, there twice, or wrong; and when a topic cannot be read.
    pub fn check(&self) -> Result<usize, RigError> {
        self.check_without(|_| false)
    }

    /// The same without records of the input that are dead though they can be read.
    ///
    /// # Errors
    /// As [`Ids::check`].
    pub fn check_without(&self, is_dead: impl Fn(&Record) -> bool) -> Result<usize, RigError> {
        let partitions = self.events(is_dead)?;
        self.check_against(&Expected::of(&partitions))?;
        Ok(partitions.values().map(Vec::len).sum())
    }

    /// As [`Ids::check`], but results may be there again, and so they must be for a reader of uncommitted records too. What
    /// passes may go back to an earlier event of its service, but never skip one. Returns how many results repeat.
    ///
    /// # Errors
    /// As [`Ids::check`], what repeats apart.
    pub fn check_repeating(&self) -> Result<usize, RigError> {
        let expected = Expected::of(&self.events(|_| false)?);
        let mut repeats = 0;
        for isolation in [Isolation::Committed, Isolation::Uncommitted] {
            let found = self.found(isolation, at_event)?;
            repeats = [&found.passed, &found.escalations, &found.totals]
                .into_iter()
                .flat_map(BTreeMap::values)
                .map(|times| *times as usize - 1)
                .sum();
            let once = |found: BTreeMap<String, u32>| found.into_keys().map(|what| (what, 1)).collect();
            let once = Expected {
                passed: once(found.passed),
                escalations: once(found.escalations),
                totals: once(found.totals),
            };
            self.compare(&expected, &once)?;
        }
        let records = self.kafka.consume(&self.topic("passed"), Isolation::Uncommitted)?;
        let mut skipped = skips(
            records
                .iter()
                .filter_map(|record| Event::read(record.value.as_deref()?)),
        );
        skipped.truncate(SHOWN);
        if skipped.is_empty() {
            return Ok(repeats);
        }
        Err(RigError::Refused {
            what: format!("the order of what passes in {}", self.name),
            answer: skipped.join("\n"),
        })
    }

    /// The events of the input, by partition, those left out of which the records are dead though they can be read.
    ///
    /// # Errors
    /// When the topic cannot be read.
    pub fn events(&self, is_dead: impl Fn(&Record) -> bool) -> Result<BTreeMap<i32, Vec<Event>>, RigError> {
        let mut partitions: BTreeMap<i32, Vec<Event>> = BTreeMap::new();
        let records = self.kafka.consume_committed(&self.topic("events"))?;
        for record in records.iter().filter(|record| !is_dead(record)) {
            if let Some(event) = record.value.as_deref().and_then(Event::read) {
                partitions.entry(record.partition).or_default().push(event);
            }
        }
        Ok(partitions)
    }

    /// The same with what must come out.
    ///
    /// # Errors
    /// As [`Ids::check`].
    pub fn check_against(&self, expected: &Expected) -> Result<(), RigError> {
        self.compare(expected, &self.found(Isolation::Committed, at_event)?)
    }

    /// What came out; `escalation` says what of an escalation counts.
    fn found(&self, isolation: Isolation, escalation: fn(&Value) -> Option<String>) -> Result<Expected, RigError> {
        let rows = |part: &str, read: fn(&Value) -> Option<String>| -> Result<BTreeMap<String, u32>, RigError> {
            let mut found = BTreeMap::new();
            for record in self.kafka.consume(&self.topic(part), isolation)? {
                let text = record.text();
                let value = serde_json::from_str(&text).unwrap_or_default();
                count(&mut found, read(&value).unwrap_or(text));
            }
            Ok(found)
        };
        let passed = rows("passed", |row| Some(row.get("id")?.as_i64()?.to_string()))?;
        let escalations = rows("escalations", escalation)?;
        let totals = rows("totals", |row| {
            let start = row.get("window_start")?.as_str()?.parse::<jiff::Timestamp>().ok()?;
            let number = |name: &str| row.get(name).and_then(Value::as_i64);
            let service = row.get("service")?.as_str()?;
            Some(total(
                service,
                start.as_millisecond(),
                number("events")?,
                number("ids")?,
            ))
        })?;
        Ok(Expected {
            passed,
            escalations,
            totals,
        })
    }

    fn compare(&self, expected: &Expected, found: &Expected) -> Result<(), RigError> {
        let mut differences = Vec::new();
        for (part, expected, found) in [
            ("passed", &expected.passed, &found.passed),
            ("escalations", &expected.escalations, &found.escalations),
            ("totals", &expected.totals, &found.totals),
        ] {
            differences.extend(compare(part, expected, found));
        }
        // A comparison with nothing finds nothing.
        if expected.passed.is_empty() || expected.escalations.is_empty() || expected.totals.is_empty() {
            return Err(RigError::Misused("there are too few events to compare".to_owned()));
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(RigError::Refused {
            what: format!("the results of {}", self.name),
            answer: differences.join("\n"),
        })
    }
}

/// Where the events of a service go on behind one that was not there yet, in a line each.
fn skips(events: impl Iterator<Item = Event>) -> Vec<String> {
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    let mut skips = Vec::new();
    for event in events {
        let mut follows = newest.get(&event.service).map_or(0, |newest| newest + 1);
        while !Event::of(follows, 0).passes || Event::of(follows, 0).service != event.service {
            follows += 1;
        }
        if event.id > follows {
            skips.push(format!("{} comes before {follows} of {}", event.id, event.service));
        }
        let newest = newest.entry(event.service).or_insert(event.id);
        *newest = event.id;
    }
    skips
}

fn count(into: &mut BTreeMap<String, u32>, what: String) {
    *into.entry(what).or_default() += 1;
}

/// An escalation by its service and the event at which it came.
fn at_event(row: &Value) -> Option<String> {
    Some(escalation(row.get("service")?.as_str()?, row.get("id")?.as_i64()?))
}

fn escalation(service: &str, id: i64) -> String {
    format!("{service} at {id}")
}

fn total(service: &str, start: i64, events: i64, ids: i64) -> String {
    format!("{service} from {start}: {events} events, ids {ids}")
}

/// What differs, in a line for each kind of difference.
fn compare(part: &str, expected: &BTreeMap<String, u32>, found: &BTreeMap<String, u32>) -> Vec<String> {
    let missing = expected
        .iter()
        .filter(|(what, times)| found.get(*what).copied().unwrap_or_default() < **times);
    let repeated = found
        .iter()
        .filter(|(what, times)| expected.get(*what).is_some_and(|wanted| wanted < times));
    let unknown = found.keys().filter(|what| !expected.contains_key(*what));
    let kinds = [
        ("missing", missing.map(|(what, _)| what).collect::<Vec<_>>()),
        ("repeated", repeated.map(|(what, _)| what).collect()),
        ("unexpected", unknown.collect()),
    ];
    let told = kinds.into_iter().filter(|(_, which)| !which.is_empty());
    told.map(|(kind, which)| {
        let shown: Vec<&str> = which.iter().take(SHOWN).map(|what| what.as_str()).collect();
        format!("{part}: {} {kind}: {}", which.len(), shown.join("; "))
    })
    .collect()
}

#[cfg(test)]
mod tests;
