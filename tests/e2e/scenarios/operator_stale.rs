//! An operator that starts beside an API server whose answers are old: what has been made since is not taken for what was.
//!
//! The old answers are real ones, kept and given again; a real server gives such when its watch cache is behind.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;
#[path = "support/oracles.rs"]
mod oracles;

use std::collections::BTreeMap;

use operating::{Bench, PATIENCE, kubernetes, spec};
use oracles::{COLLECTIONS, children, comes_to, keeps_still, state};
use serde_json::Value as Json;
use tocsin_e2e::wait::until;
use tocsin_e2e::{FaultyApi, HttpRule, User};

/// The path of a collection in a namespace, and what is there now, as the operator asks for it.
fn listed(bench: &Bench) -> Vec<(String, String)> {
    let selected = "?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dtocsin-operator";
    let own = COLLECTIONS
        .iter()
        .filter(|collection| !collection.ends_with("/secrets"));
    let mut all: Vec<(String, String)> = Vec::new();
    for collection in own {
        let (api, plural) = collection.rsplit_once('/').unwrap();
        let path = format!("{api}/namespaces/{}/{plural}", bench.namespace);
        let list = bench.client.get(&format!("{path}{selected}")).unwrap();
        all.push((path, list.to_string()));
    }
    let path = bench.path("incidentpipelines");
    let list = bench.client.get(&path).unwrap();
    all.push((path, list.to_string()));
    all
}

/// UIDs of all that a pipeline is made of, with its own.
fn uids(bench: &Bench) -> BTreeMap<String, Json> {
    let uid = |object: &Json| object["metadata"]["uid"].clone();
    let children = children(bench, "noc").unwrap();
    let all = children.iter().map(|(name, child)| (name.clone(), uid(child)));
    all.chain([("noc".to_owned(), uid(&bench.pipeline("noc")))]).collect()
}

#[test]
fn what_was_deleted_long_ago_does_not_take_its_successor_with_it() {
    let mut bench = Bench::new("stale");
    bench.apply("noc", spec());
    bench.wait_seen("noc");

    // It is being deleted, and nobody sees to that yet: so it will look to those who are behind.
    bench.operator.process().kill().unwrap();
    bench
        .client
        .delete(&format!("{}/noc", bench.path("incidentpipelines")))
        .unwrap();
    let old = listed(&bench);
    assert!(old.last().unwrap().1.contains("deletionTimestamp"));

    // It goes, and another of its name comes.
    bench.operator = Bench::operator("stale", "operator-1", None);
    let gone = until("no pipeline", PATIENCE, || {
        let all = bench.client.get(&bench.path("incidentpipelines"))?;
        Ok(all["items"].as_array().unwrap().is_empty().then_some(()))
    });
    gone.unwrap();
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    let (successor, expected) = (uids(&bench), state(&bench, "noc").unwrap());
    bench.operator.stop().unwrap();

    // An operator that starts now, and is told what was then.
    let api = FaultyApi::before(kubernetes(), User::Operator).unwrap();
    let told: Vec<_> = old
        .iter()
        .map(|(path, list)| {
            let rule = HttpRule::every().method("GET").path(path).containing("limit=");
            let kind = [("Content-Type", "application/json")];
            api.proxy().add(rule.answer(200, &kind, list.as_bytes()))
        })
        .collect();
    let news = api.proxy().add(HttpRule::every().containing("watch=true").hold());
    bench.operator = Bench::operator_with("stale", "operator-2", Some(api.kubeconfig()), &[]);
    // It sets out to take the old one down, and the API server knows better.
    let refused = until("three changes that are refused", PATIENCE, || {
        let seen = api.proxy().seen();
        let changes = seen
            .iter()
            .filter(|seen| matches!(seen.request.method(), "DELETE" | "PATCH"));
        let refused = changes.filter(|seen| matches!(seen.status, Some(404 | 409)));
        Ok((refused.count() >= 3).then_some(()))
    });
    refused.unwrap_or_else(|error| panic!("{error}\n{}", bench.operator.process().last_lines()));
    assert!(told.iter().all(|rule| rule.hits() > 0), "not all that was told was old");
    assert_eq!(uids(&bench), successor, "behind the times");

    told.iter().chain([&news]).for_each(|rule| rule.remove());
    comes_to(&bench, "noc", "the present", &expected);
    keeps_still(&bench, "noc");
    assert_eq!(uids(&bench), successor, "at the present");
}
