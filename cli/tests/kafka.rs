//! `--bootstrap`, as far as no broker is needed: what it does not go together with, and what is not read from Kafka.
#![cfg(feature = "kafka")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{Folder, PIPELINE, text};

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";

/// Runs with further arguments, and answers with the exit code and what is said.
fn run(folder: &Folder, further: &[&str]) -> (Option<i32>, String) {
    let output = folder.output(&[&["run", "p.yaml", "--bootstrap", NOBODY], further].concat());
    (output.status.code(), text(&output.stderr))
}

#[test]
fn an_option_that_would_have_no_effect_is_refused() {
    let folder = Folder::new();
    for option in [
        &["--input", "alerts=-"][..],
        &["--speed", "1x"],
        &["--on-error", "stop"],
        &["--dead-letters", "dead.jsonl"],
        &["--port", "0"],
        &["--keep-page"],
    ] {
        let (code, said) = run(&folder, option);
        assert_eq!(code, Some(2), "{option:?}: {said}");
        assert!(said.contains(option[0]) && said.contains("--bootstrap"), "{said}");
    }
}

#[test]
fn a_format_that_is_not_read_from_kafka_is_named_with_its_place() {
    let folder = Folder::new();
    let csv = PIPELINE.replace("incident_alerts}", "incident_alerts}\n    format: {type: Csv}");
    folder.write("p.yaml", csv);
    let (code, said) = run(&folder, &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("spec.sources[alerts].format: type Csv must come from a file"),
        "{said}"
    );
}

#[test]
fn sources_that_do_not_go_together_are_named() {
    let folder = Folder::new();
    let source =
        "  - name: twice\n    kafka: {topic: incident_alerts}\n    eventTime: {field: ts, unit: Seconds}\n  stages:\n";
    folder.write("p.yaml", PIPELINE.replace("  stages:\n", source));
    let (code, said) = run(&folder, &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("another source reads topic incident_alerts too"),
        "{said}"
    );
}

#[test]
fn nobody_there_is_said_with_the_address() {
    let (code, said) = run(&Folder::new(), &[]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains(NOBODY), "{said}");
}

#[test]
fn an_admin_server_that_everybody_could_ask_to_act_is_refused() {
    let folder = Folder::new();
    for (given, code_wanted, wanted) in [
        (
            &["--admin", "0.0.0.0:0"][..],
            2,
            "give --admin-token-file or --admin-tls",
        ),
        (&["--admin", "9090"], 2, "expected ADDRESS:PORT"),
        (&["--admin-token-file", "token"], 2, "--admin"),
        (
            &["--admin", "[::]:0", "--admin-token-file", "none"],
            4,
            "none: the token cannot be read",
        ),
        (&["--admin", "0.0.0.0:0", "--admin-tls", "none"], 4, "ca.crt"),
    ] {
        let (code, said) = run(&folder, given);
        assert_eq!(code, Some(code_wanted), "{given:?}: {said}");
        assert!(said.contains(wanted), "{given:?}: {said}");
    }
}
