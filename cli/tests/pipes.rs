//! Readers that go away, and Ctrl-C: what was read is processed, and nothing panics.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use support::{Folder, RUN, alerts, text};

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_closed_standard_output_is_no_error() {
    let folder = Folder::new();
    for args in [
        &["completions", "bash"][..],
        &["completions", "fish"],
        &["check", "p.yaml"],
        &["--help"],
    ] {
        let output = folder
            .tocsin(args)
            .stdout(closed())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_closed_standard_error_changes_neither_results_nor_exit_codes() {
    let folder = Folder::new();
    folder.write("a.jsonl", alerts().join("\n") + "\nbad\n");
    folder.write("log.jsonl", "{\"ts\":1700000000}");
    let run = [&RUN[..], &["alerts=a.jsonl"]].concat();
    let stop = [&run[..], &["--on-error", "stop"]].concat();
    let page = ["run", "p.yaml", "--port", "0", "--input", "alerts=a.jsonl"];
    for (args, code) in [
        (&run[..], 0),
        (&stop, 5),
        (&page, 0),
        (&["run", "q.yaml"], 4),
        (&["run"], 2),
        (&["init", "log.jsonl", "-o", "mine.yaml"], 0),
    ] {
        let seen = folder.output(args);
        let _ = std::fs::remove_file(folder.path("mine.yaml"));
        let unseen = folder
            .tocsin(args)
            .stdin(Stdio::null())
            .stderr(closed())
            .output()
            .unwrap();
        assert_eq!(unseen.status.code(), Some(code), "{args:?}");
        assert_eq!(text(&unseen.stdout), text(&seen.stdout), "{args:?}");
    }
}

fn interrupt(child: &Child) {
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
}

/// Ctrl-C while standard input stays open.
fn check_ctrl_c(stderr: Stdio) -> String {
    let folder = Folder::new();
    let mut child = folder
        .tocsin(&[&RUN[..], &["alerts=-"]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all((alerts().join("\n") + "\n").as_bytes()).unwrap();
    stdin.flush().unwrap();
    // The escalation is printed as soon as it is there: then the records have been read.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut all = String::new();
    stdout.read_line(&mut all).unwrap();
    assert!(all.contains("ESCALATED"), "{all}");
    interrupt(&child);
    stdout.read_to_string(&mut all).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let escalations = all.lines().filter(|line| line.contains("\"_sink\":\"escalations\""));
    assert_eq!(escalations.count(), 3, "{all}");
    assert!(all.contains("\"_sink\":\"pager\""), "the incident is written: {all}");
    drop(stdin);
    text(&output.stderr)
}

#[test]
fn ctrl_c_processes_what_was_read_and_ends() {
    assert!(check_ctrl_c(Stdio::piped()).contains("interrupted"));
}

#[test]
fn ctrl_c_is_heard_where_nobody_reads_what_is_said_of_it() {
    check_ctrl_c(closed());
}

#[test]
fn a_second_ctrl_c_ends_a_run_that_hangs_with_the_code_that_the_help_names() {
    let folder = Folder::new();
    for pipe in ["in", "out"] {
        assert!(
            Command::new("mkfifo")
                .arg(folder.path(pipe))
                .status()
                .unwrap()
                .success()
        );
    }
    // Nobody opens `out` for reading, so the run hangs where it opens it, at the latest.
    let mut child = folder
        .tocsin(&[&RUN[..], &["alerts=in", "--output", "pager=out"]].concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Returns when the run opens its input: then it listens to signals.
    let input = std::fs::OpenOptions::new().write(true).open(folder.path("in")).unwrap();
    interrupt(&child);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("once more ends at once") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(input);
    for help in [&["run", "--help"][..], &["--help"]] {
        assert!(text(&folder.output(help).stdout).contains("\n  130  "), "{help:?}");
    }
}
