//! The webhook against receivers on this machine, well ones and hostile ones.
#![allow(clippy::unwrap_used, clippy::panic)]

mod hostile;
mod receiver;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use tocsin_contract::pipeline::sink::WebhookTemplate;
use tocsin_worker_core::delivery::address::AddressRules;
use tocsin_worker_core::delivery::answer::Outcome;
use tocsin_worker_core::delivery::identity::Identity;
use tocsin_worker_core::delivery::queue::Row;
use tocsin_worker_core::delivery::shape::{RowKind, Shape};

use super::*;

const ROW: &str = r#"{"incident":"inc-1","service":"api","status":"opened","severity":"MAJOR","transition":0}"#;

/// A webhook to an address; these addresses are allowed.
fn settings(url: &str, allowed: &[&str]) -> WebhookSettings {
    WebhookSettings {
        url: url.to_owned().into(),
        token: None,
        template: WebhookTemplate::Json,
        headers: BTreeMap::new(),
        timeout: Duration::from_secs(10),
        addresses: AddressRules {
            allowed: allowed.iter().map(|network| network.parse().unwrap()).collect(),
            refused: Vec::new(),
        },
        authorities: None,
    }
}

fn parcel() -> Parcel {
    let row = Row {
        value: ROW.as_bytes().to_vec(),
        ..Row::default()
    };
    Parcel {
        shape: Arc::new(Shape {
            pipeline: "noc".to_owned(),
            stream: "incidents".to_owned(),
            kind: RowKind::Incident,
            key: vec!["service".to_owned()],
        }),
        fields: serde_json::from_slice::<Map<_, _>>(&row.value).unwrap(),
        row: Arc::new(row),
        identity: Identity {
            row: "inc-1-0".to_owned(),
            subject: "inc-1".to_owned(),
        },
    }
}

/// Sends rows, one behind the other.
fn send(webhook: &Webhook, rows: usize) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut outcomes = Vec::new();
        for _ in 0..rows {
            outcomes.push(webhook.send(&parcel()).await);
        }
        outcomes
    })
}
