//! A folder to run the program in.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A small pipeline.
pub const PIPELINE: &str = "\
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: shop}
spec:
  sources:
  - name: alerts
    kafka: {topic: incident_alerts}
    eventTime: {field: ts, unit: Seconds, maxOutOfOrderness: 5s}
  stages:
  - {name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}
  - {name: escalated, from: critical, escalate: {by: [service], count: 3, within: 1h}}
  - {name: incidents, from: escalated, incident: {by: [service], openFor: 30m}}
  sinks:
  - {name: pager, from: incidents, kafka: {topic: incidents}}
  - {name: escalations, from: escalated, kafka: {topic: incident_escalations}}
";

/// A folder of its own, with `p.yaml`.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.write("p.yaml", PIPELINE);
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn tocsin(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tocsin"));
        command.current_dir(self.0.path()).args(args);
        command
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.tocsin(args).stdin(Stdio::null()).output().unwrap()
    }
}

/// Alerts of one service, one a second, all critical; with what is wrong between them.
pub fn alerts() -> Vec<String> {
    (0..9)
        .map(|i| format!("{{\"ts\":{i},\"service\":\"api\",\"severity\":\"CRITICAL\",\"id\":{i}}}"))
        .collect()
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Rows by sink: sinks share standard output, and which comes first is left open.
pub fn by_sink(out: &str) -> BTreeMap<String, Vec<serde_json::Value>> {
    let mut rows: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    for line in out.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        rows.entry(row["_sink"].as_str().unwrap().to_owned())
            .or_default()
            .push(row);
    }
    assert!(!rows.is_empty());
    rows
}

/// How most runs begin.
pub const RUN: [&str; 4] = ["run", "p.yaml", "--no-page", "--input"];
