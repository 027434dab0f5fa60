//! Sinks that post to a webhook, as far as neither a broker nor a receiver is needed.
#![cfg(feature = "kafka")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{Folder, PIPELINE, RUN, alerts, text};

/// A folder whose pipeline posts its incidents; what stands in the secret.
fn folder(webhook: &str, url: &str) -> Folder {
    let folder = Folder::new();
    let posted = format!("webhook: {{urlSecretRef: {{name: pager, key: url}}{webhook}}}");
    folder.write("p.yaml", PIPELINE.replace("kafka: {topic: incidents}", &posted));
    folder.write("a.jsonl", alerts().join("\n"));
    std::fs::create_dir_all(folder.path("secrets/pager")).unwrap();
    folder.write("secrets/pager/url", url);
    folder
}

#[test]
fn a_run_over_files_says_that_a_webhook_needs_a_kafka() {
    let folder = folder("", "https://receiver.example/canary");
    let output = folder.output(&[&RUN[..], &["alerts=a.jsonl"]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["sink `pager` posts to a webhook", "--bootstrap", "--output pager=PATH"] {
        assert!(said.contains(part), "{said}");
    }
    let output = folder.output(&[&RUN[..], &["alerts=a.jsonl", "--output", "pager=out.jsonl"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(folder.read("out.jsonl").contains("\"transition\":0"));
}

#[test]
fn a_webhook_is_checked_without_its_secret() {
    let folder = folder("", "");
    let output = folder.output(&["check", "p.yaml"]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.ends_with("p.yaml: ok\n"), "{said}");
}

#[test]
fn what_is_wrong_with_a_webhook_is_said_before_a_broker_is_asked() {
    let check = |webhook: &str, url: &str, further: &[&str], parts: &[&str]| {
        let folder = folder(webhook, url);
        let output = folder.output(&[&["run", "p.yaml", "--bootstrap", "127.0.0.1:1"], further].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!said.contains("canary"), "{said}");
    };
    let secrets = ["--secrets", "secrets"];
    let good = "https://receiver.example/canary";
    check("", good, &[], &["pager/url", "--secrets DIR"]);
    check(
        "",
        "http://receiver.example/canary",
        &secrets,
        &["sink `pager`", "https", "--allow-address"],
    );
    check(
        "",
        "https://10.0.0.1/canary",
        &secrets,
        &["sink `pager`", "10.0.0.1 is private", "--allow-address"],
    );
    check("", "canary", &secrets, &["sink `pager`", "not a URL"]);
    check("", good, &["--allow-address", "10.0.0.0/99"], &["a range of addresses"]);
}
