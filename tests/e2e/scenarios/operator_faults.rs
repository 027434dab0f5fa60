//! The operator beside an API server that fails it, is slow, or tells it nothing; and beside others who write, too.
//!
//! What it comes to is always what it comes to where nothing goes wrong.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;
#[path = "support/oracles.rs"]
mod oracles;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use operating::{Bench, CHILDREN, PATIENCE, STATEFUL_SETS, kubernetes, spec};
use oracles::{State, changes_within, children, comes_to, keeps_still, state};
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use tocsin_e2e::wait::until;
use tocsin_e2e::{FaultyApi, HttpRule, User};

/// What it comes to where nothing goes wrong: with two workers, and with three.
fn undisturbed(namespace: &str) -> (State, State) {
    let bench = Bench::new(namespace);
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    let two = state(&bench, "noc").unwrap();
    bench.change("noc", json!({"workers": {"replicas": 3}}));
    bench.wait_seen("noc");
    (two, state(&bench, "noc").unwrap())
}

/// All of the short form, or of the long.
fn rounds(short: &[u64], most: u64) -> Vec<u64> {
    if std::env::var("TOCSIN_TEST").is_ok_and(|form| form == "full") {
        (1..=most).collect()
    } else {
        short.to_vec()
    }
}

/// Rules for what changes something of the pipeline.
fn writes(n: u64) -> [HttpRule; 1] {
    [HttpRule::nth(n).method("PATCH")]
}

#[test]
fn an_operator_that_is_killed_behind_any_write_is_gone_on_for_by_the_next() {
    let (two, three) = undisturbed("undisturbed-kills");
    for n in rounds(&[1, 4, 8, 11, 14], 16) {
        let api = FaultyApi::before(kubernetes(), User::Operator).unwrap();
        let mut bench = Bench::through(&format!("kill-{n}"), Some(api.kubeconfig()));
        let [rule] = writes(n).map(|rule| api.proxy().add(rule.drop_answer_silently()));
        bench.apply("noc", spec());
        let second = bench.client.clone();
        // The write was done, and the operator never hears of it.
        let hit = until("the write", Duration::from_secs(5), || {
            Ok((rule.hits() > 0).then_some(()))
        });
        if hit.is_err() {
            bench.change("noc", json!({"workers": {"replicas": 3}}));
            rule.wait_for(1, PATIENCE).unwrap();
        }
        bench.operator.process().kill().unwrap();
        api.proxy().remove_rules();
        drop(second);
        bench.operator = Bench::operator(&bench.namespace, "operator-1", None);
        if hit.is_ok() {
            comes_to(&bench, "noc", &format!("two workers behind write {n}"), &two);
            bench.change("noc", json!({"workers": {"replicas": 3}}));
        }
        comes_to(&bench, "noc", &format!("three workers behind write {n}"), &three);
        // Once by each operator, and once more for the change.
        changes_within(&bench, User::Operator.name(), 3);
    }
}

#[test]
fn an_operator_that_is_killed_while_it_takes_workers_away_is_gone_on_for_by_the_next() {
    let (two, three) = undisturbed("undisturbed-fewer");
    for n in rounds(&[1, 2], 2) {
        let api = FaultyApi::before(kubernetes(), User::Operator).unwrap();
        let mut bench = Bench::through(&format!("fewer-{n}"), Some(api.kubeconfig()));
        let mut wanted = spec();
        wanted["workers"]["replicas"] = 3.into();
        bench.apply("noc", wanted);
        comes_to(&bench, "noc", "three workers", &three);
        keeps_still(&bench, "noc");
        let [write] = writes(n);
        let write = write.containing(&format!("/namespaces/{}/", bench.namespace));
        let rule = api.proxy().add(write.drop_answer_silently());
        bench.change("noc", json!({"workers": {"replicas": 2}}));
        rule.wait_for(1, PATIENCE).unwrap();
        bench.operator.process().kill().unwrap();
        api.proxy().remove_rules();
        bench.operator = Bench::operator(&bench.namespace, "operator-1", None);
        comes_to(&bench, "noc", &format!("two workers behind write {n}"), &two);
    }
}

#[test]
fn an_operator_that_is_killed_while_it_takes_a_pipeline_down_is_gone_on_for_by_the_next() {
    for (method, n) in [("PATCH", 1), ("PATCH", 2), ("POST", 1), ("DELETE", 1)] {
        // With its snapshots there is more to remove.
        let (takes_all, left) = if method == "DELETE" {
            ("Delete", None)
        } else {
            ("Retain", Some("persistentvolumeclaims/noc-state"))
        };
        let api = FaultyApi::before(kubernetes(), User::Operator).unwrap();
        let mut bench = Bench::through(&format!("down-{}-{n}", method.to_lowercase()), Some(api.kubeconfig()));
        let mut wanted = spec();
        wanted["deletionPolicy"] = json!({"snapshots": takes_all});
        bench.apply("noc", wanted);
        bench.wait_seen("noc");
        keeps_still(&bench, "noc");
        let write = HttpRule::nth(n)
            .method(method)
            .containing(&format!("/namespaces/{}/", bench.namespace));
        let rule = api.proxy().add(write.drop_answer_silently());
        let pipeline = format!("{}/noc", bench.path("incidentpipelines"));
        bench.client.delete(&pipeline).unwrap();
        let ended = until("the write, or the end", PATIENCE, || {
            let is_gone = bench.client.find(&pipeline)?.is_none();
            Ok((rule.hits() > 0 || is_gone).then_some(is_gone))
        });
        // The second change may be one that there is none of; every other is there.
        assert!(!ended.unwrap() || n == 2, "{method} {n}: it was down before");
        bench.operator.process().kill().unwrap();
        api.proxy().remove_rules();
        bench.operator = Bench::operator(&bench.namespace, "operator-1", None);
        let down = until("nothing but what stays by policy", PATIENCE, || {
            let there = children(&bench, "noc")?;
            let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
            let is_down = names == left.into_iter().collect::<Vec<_>>();
            Ok((is_down && bench.client.find(&pipeline)?.is_none()).then_some(()))
        });
        down.unwrap_or_else(|error| panic!("{method} {n}: {error}\n{}", bench.operator.process().last_lines()));
    }
}

#[test]
fn what_was_done_to_a_pipeline_while_no_operator_was_there_is_put_right() {
    let (two, _) = undisturbed("undisturbed-absent");
    let mut bench = Bench::new("absent");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    bench.operator.process().kill().unwrap();
    let object = |collection: &str, name: &str| {
        let (api, plural) = collection.rsplit_once('/').unwrap();
        format!("{api}/namespaces/absent/{plural}/{name}")
    };
    for (collection, name) in CHILDREN {
        // What snapshots are on nobody removes by mistake.
        if name != "noc-state" && name != "noc-workers" {
            bench.client.delete(&object(collection, name)).unwrap();
        }
    }
    let change = json!({"spec": {"replicas": 9}, "metadata": {"labels": {"tocsin.dev/pipeline": "other"}}});
    bench
        .client
        .merge(&object(STATEFUL_SETS, "noc-workers"), &change)
        .unwrap();
    bench.operator = Bench::operator("absent", "operator-1", None);
    comes_to(&bench, "noc", "two workers", &two);
}

#[test]
fn a_first_word_comes_before_all_is_done_that_is_slow() {
    let api = FaultyApi::before(kubernetes(), User::Operator).unwrap();
    let bench = Bench::through("first-word", Some(api.kubeconfig()));
    for kind in ["configmaps", "networkpolicies", "statefulsets"] {
        let slow = HttpRule::every().method("PATCH");
        let slow = slow.containing(&format!("/namespaces/first-word/{kind}"));
        api.proxy().add(slow.delay(Duration::from_millis(700)));
    }
    let reconciling = |pipeline: &Json| operating::condition(pipeline, "Reconciling").clone();
    let first_word = |generation: i64| {
        let said = bench.wait("noc", "a first word", |pipeline| {
            pipeline["status"]["observedGeneration"] == generation
        });
        assert_eq!(reconciling(&said)["reason"], "SpecChanged", "it came when all was done");
        said
    };
    bench.apply("noc", spec());
    first_word(1);
    bench.wait("noc", "the last word", |pipeline| {
        reconciling(pipeline)["reason"] != "SpecChanged"
    });
    // What is known of all else stays.
    let before = bench.pipeline("noc")["status"]["conditions"].as_array().unwrap().len();
    bench.change("noc", json!({"workers": {"threads": 2}}));
    let again = first_word(2);
    assert_eq!(again["status"]["conditions"].as_array().unwrap().len(), before);
}

#[test]
fn answers_that_get_lost_and_servers_that_are_busy_only_cost_time() {
    let (two, three) = undisturbed("undisturbed-answers");
    let api = FaultyApi::before(kubernetes(), User::Operator).unwrap();
    let bench = Bench::through("lossy", Some(api.kubeconfig()));
    for n in [2, 5, 9] {
        api.proxy().add(HttpRule::nth(n).method("PATCH").drop_answer());
    }
    api.proxy().add(
        HttpRule::nth(4)
            .method("PATCH")
            .answer(429, &[("Retry-After", "1")], b"{}"),
    );
    api.proxy()
        .add(HttpRule::nth(6).method("PATCH").answer(503, &[], b"<html>"));
    api.proxy().add(HttpRule::nth(3).method("GET").answer(500, &[], b"{}"));
    bench.apply("noc", spec());
    comes_to(&bench, "noc", "two workers", &two);
    // Nobody answers for a while. The operator stops leading, and leads again.
    let blackout = api.proxy().add(HttpRule::every().cut_before());
    bench.change("noc", json!({"workers": {"replicas": 3}}));
    blackout.wait_for(10, PATIENCE).unwrap();
    blackout.remove();
    comes_to(&bench, "noc", "three workers", &three);
}

#[test]
fn what_a_watch_does_not_tell_is_found_all_the_same() {
    let (two, three) = undisturbed("undisturbed-watches");
    let api = FaultyApi::before(kubernetes(), User::Operator).unwrap();
    let bench = Bench::through("unseen", Some(api.kubeconfig()));
    bench.apply("noc", spec());
    comes_to(&bench, "noc", "two workers", &two);
    // Deletions of children are kept from it.
    let silent = api.proxy().add(
        HttpRule::every()
            .containing("watch=true")
            .drop_events("\"type\":\"DELETED\""),
    );
    for (collection, name) in [("/api/v1/services", "noc-workers"), ("/api/v1/configmaps", "noc-live")] {
        let (group, plural) = collection.rsplit_once('/').unwrap();
        bench
            .client
            .delete(&format!("{group}/namespaces/unseen/{plural}/{name}"))
            .unwrap();
    }
    silent.wait_for(1, PATIENCE).unwrap();
    comes_to(&bench, "noc", "what was removed", &two);
    silent.remove();
    // Changes of the pipeline itself are kept from it.
    let changes = HttpRule::every().containing("watch=true");
    let silent = api.proxy().add(changes.drop_events("\"type\":\"MODIFIED\""));
    for (replicas, expected) in [(3, &three), (2, &two)] {
        bench.change("noc", json!({"workers": {"replicas": replicas}}));
        comes_to(&bench, "noc", &format!("{replicas} workers"), expected);
    }
    assert!(silent.hits() > 0, "nothing was kept from it");
    silent.remove();
    // Watches that have become too old, as they are begun or later, are begun anew; a change is found meanwhile, too.
    let gone =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old"}"#;
    let in_stream = format!("{{\"type\":\"ERROR\",\"object\":{gone}}}\n");
    for (threads, status, body) in [(2, 410, gone), (3, 200, &in_stream)] {
        let watch = HttpRule::every().containing("watch=true");
        let expired = watch.answer(status, &[("Content-Type", "application/json")], body.as_bytes());
        let expired = api.proxy().add(expired);
        expired.wait_for(3, PATIENCE).unwrap();
        bench.change("noc", json!({"workers": {"threads": threads}}));
        bench.wait_seen("noc");
        expired.remove();
    }
    bench.change("noc", json!({"workers": {"threads": null}}));
    comes_to(&bench, "noc", "as before", &two);
}

#[test]
fn others_who_write_all_the_time_neither_win_nor_lose() {
    let (two, _) = undisturbed("undisturbed-others");
    let bench = Bench::new("contended");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !is_over.load(Ordering::Relaxed) {
                n += 1;
                let theirs = json!({"metadata": {"annotations": {"example.com/n": n.to_string()}}});
                let pipeline = format!("{}/noc", bench.path("incidentpipelines"));
                bench.client.merge(&pipeline, &theirs).unwrap();
                let set = format!("/apis/apps/v1/namespaces/{}/statefulsets/noc-workers", bench.namespace);
                bench.client.merge(&set, &theirs).unwrap();
                // What is the operator's is put back.
                bench.client.merge(&set, &json!({"spec": {"replicas": 7}})).unwrap();
                std::thread::park_timeout(Duration::from_millis(50));
            }
        });
        bench.change("noc", json!({"workers": {"threads": 2}}));
        bench.wait_seen("noc");
        is_over.store(true, Ordering::Relaxed);
    });
    bench.change("noc", json!({"workers": {"threads": null}}));
    comes_to(&bench, "noc", "what was asked for", &two);
    let conflicts = "tocsin_operator_reconciles_total{kind=\"IncidentPipeline\",outcome=\"conflict\"}";
    assert!(
        bench.operator.metric(conflicts).unwrap() > Some(0.0),
        "nobody was in its way"
    );
    let set = bench.find(STATEFUL_SETS, "noc-workers").unwrap();
    assert!(
        set["metadata"]["annotations"]["example.com/n"].is_string(),
        "theirs stays"
    );
}

#[test]
fn a_leader_that_slept_writes_nothing_when_it_wakes() {
    let (_, three) = undisturbed("undisturbed-leaders");
    let bench = Bench::new("leaders");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    bench.operator.process().signal(Signal::STOP).unwrap();
    let second = Bench::operator("leaders", "operator-1", None);
    let leads = |operator: &tocsin_e2e::Operator| operator.metric("tocsin_operator_leader").ok().flatten() == Some(1.0);
    until("another leader", PATIENCE, || Ok(leads(&second).then_some(()))).unwrap();
    bench.change("noc", json!({"workers": {"replicas": 3}}));
    until("what the other does", PATIENCE, || {
        Ok((state(&bench, "noc")? == three).then_some(()))
    })
    .unwrap();
    let before = second.writes().unwrap();
    bench.operator.process().signal(Signal::CONT).unwrap();
    until("one that knows", PATIENCE, || {
        Ok((!leads(&bench.operator)).then_some(()))
    })
    .unwrap();
    let slept = bench.operator.writes().unwrap();
    bench.change("noc", json!({"workers": {"replicas": 2}}));
    until("a change of the leader", PATIENCE, || {
        Ok((second.writes().unwrap() > before).then_some(()))
    })
    .unwrap();
    assert_eq!(bench.operator.writes().unwrap(), slept, "who slept wrote");
}

#[test]
fn an_operator_that_hears_nothing_any_more_says_so_to_the_probe() {
    let api = FaultyApi::before(kubernetes(), User::Operator).unwrap();
    let bench = Bench::through("deaf", Some(api.kubeconfig()));
    let healthy = |wanted: u16| {
        let health = until(&format!("health {wanted}"), PATIENCE, || {
            let (status, text) = bench.operator.get("/healthz")?;
            Ok((status == wanted).then_some(text))
        });
        health.unwrap()
    };
    healthy(200);
    // Neither watch nor list of the lease; asked for by its name it is there.
    let deaf = api.proxy().add(
        HttpRule::every()
            .path("/apis/coordination.k8s.io/v1/namespaces/deaf/leases?")
            .hold(),
    );
    let silent = api.proxy().add(HttpRule::every().containing("leases?").stall_events());
    let trouble = healthy(503);
    assert!(trouble.contains("its watch has told nothing for"), "{trouble}");
    deaf.remove();
    silent.remove();
    healthy(200);
}
