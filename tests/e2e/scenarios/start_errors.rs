//! What a worker says that cannot start, or may not go on: one clear line, a code that is not 0, and soon. Never a hang, never a way
//! around.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tocsin_e2e::ids::{Ids, Pace};
use tocsin_e2e::kafka::{ALICE, Rights, ServerCertificate};
use tocsin_e2e::{Kafka, KafkaOptions, Listener, Worker, WorkerOptions, home};

/// Within this a worker that cannot start has ended.
const END: Duration = Duration::from_secs(15);

/// So many of its last lines are shown.
const SHOWN: usize = 4;

/// Encryption, with the rig's authority, for brokers of somebody else's; which they are, the command line says.
const TLS: &str =
    "mode: External, bootstrapServers: 'kafka.example:9093', tls: {caSecretRef: {name: authority, key: ca.crt}}";

/// Alice's name and password.
const SASL: &str = "sasl: {username: alice, passwordSecretRef: {name: alice, key: password}}";

/// One broker with TLS and logins, and with authorisation.
fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(|| {
        let options = KafkaOptions::default()
            .listener(Listener::Tls)
            .listener(Listener::SaslTls)
            .acls();
        Kafka::start(options).unwrap()
    })
}

/// A folder with secrets: the authority's certificate, and a password of Alice's.
fn secrets(kafka: &Kafka, password: &str) -> PathBuf {
    let folder = home::new_folder("secrets").unwrap();
    let write = |name: &str, key: &str, contents: &[u8]| {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join(key), contents).unwrap();
    };
    let authority = kafka.certificates().unwrap().authority();
    write("authority", "ca.crt", &std::fs::read(authority).unwrap());
    write("alice", "password", password.as_bytes());
    folder
}

/// Starts a worker that cannot start. It must say one error, with all of these words.
fn check(what: &str, options: &WorkerOptions, words: &[&str]) -> Result<(), String> {
    check_end(what, &Worker::start(options).unwrap(), words)
}

/// A worker must end, and say one error, with all of these words.
fn check_end(what: &str, worker: &Worker, words: &[&str]) -> Result<(), String> {
    let started = Instant::now();
    let ended = worker.wait(END);
    let said = worker.said();
    let said: Vec<&str> = said.lines().collect();
    let shown = said[said.len().saturating_sub(SHOWN)..].join("\n");
    println!(
        "{what}: {:?} after {:?}\n{shown}",
        ended.as_ref().ok(),
        started.elapsed()
    );
    let status = ended.map_err(|_| format!("{what}: it still runs after {END:?}:\n{shown}"))?;
    if status.success() || status.code().is_none() {
        return Err(format!("{what}: it ended with {status}"));
    }
    let errors: Vec<&&str> = said.iter().filter(|line| line.starts_with("error: ")).collect();
    match errors.as_slice() {
        // A line that ends in the middle lacks what it was to say.
        [error] if !error.ends_with(' ') && words.iter().all(|word| error.contains(word)) => Ok(()),
        _ => Err(format!("{what}: not one line with {words:?}:\n{shown}")),
    }
}

fn options(pipeline: &Path, bootstrap: String, secrets: Option<PathBuf>) -> WorkerOptions {
    WorkerOptions {
        pipeline: pipeline.to_owned(),
        bootstrap,
        name: "w".to_owned(),
        threads: 2,
        secrets,
        ..WorkerOptions::default()
    }
}

fn all_right(outcomes: Vec<Result<(), String>>) {
    let wrong: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_cannot_be_reached_or_is_not_there_is_named() {
    let kafka = kafka();
    let bootstrap = |listener| kafka.bootstrap(listener).unwrap();
    let ids = |name: &str, settings: &str| Ids::with(kafka, name, Listener::Plain, settings, &[]).unwrap().pipeline;
    let (plain, tls, both) = (
        ids("plain", ""),
        ids("with-tls", TLS),
        ids("with-login", &format!("{TLS}, {SASL}")),
    );
    let gone = ids("gone", "");
    kafka.delete("gone-events").unwrap();
    let (good, bad) = (secrets(kafka, ALICE.password), secrets(kafka, "wrong"));
    let nobody = format!("127.0.0.1:{}", tocsin_e2e::ports::reserve().unwrap());
    let cases: [(&str, &Path, String, &PathBuf, &[&str]); 7] = [
        (
            "no topic",
            &gone,
            bootstrap(Listener::Plain),
            &good,
            &["no topic gone-events"],
        ),
        ("nobody there", &plain, nobody, &good, &["cannot be reached", "refused"]),
        (
            "a wrong password",
            &both,
            bootstrap(Listener::SaslTls),
            &bad,
            &["refuses user alice", "SCRAM-SHA-512"],
        ),
        (
            "TLS to a port without",
            &tls,
            bootstrap(Listener::Plain),
            &good,
            &["TLS", "speak TLS"],
        ),
        (
            "no TLS to a port with",
            &plain,
            bootstrap(Listener::Tls),
            &good,
            &["TLS", "kafka.tls"],
        ),
        (
            "no login to a port with",
            &tls,
            bootstrap(Listener::SaslTls),
            &good,
            &["kafka.sasl"],
        ),
        (
            "a login to a port without",
            &both,
            bootstrap(Listener::Tls),
            &good,
            &["SCRAM-SHA-512"],
        ),
    ];
    let check_case = |(what, pipeline, bootstrap, secrets, words): (&str, &Path, String, &PathBuf, &[&str]),
                      client: &str| {
        let options = WorkerOptions {
            further: vec!["--client".to_owned(), client.to_owned()],
            ..options(pipeline, bootstrap, Some(secrets.clone()))
        };
        check(&format!("{what}, {client}"), &options, words)
    };
    let mut outcomes = Vec::new();
    for case in cases {
        // Some wait for a moment before they give up: the two wait together.
        let of_both = std::thread::scope(|scope| {
            let own = scope.spawn(|| check_case(case.clone(), "own"));
            let librdkafka = check_case(case.clone(), "librdkafka");
            [own.join().unwrap(), librdkafka]
        });
        outcomes.extend(of_both);
    }
    let without = options(&both, bootstrap(Listener::SaslTls), None);
    outcomes.push(check("no secrets", &without, &["authority/ca.crt", "--secrets"]));
    all_right(outcomes);
}

#[test]
fn a_broker_whose_certificate_is_not_to_be_believed_is_refused() {
    let certificates = [
        (ServerCertificate::Expired, "xpired"),
        (ServerCertificate::Foreign, "UnknownIssuer"),
        (ServerCertificate::OtherHost, "name"),
    ];
    let check = |(certificate, word)| {
        let kafka = Kafka::start(
            KafkaOptions::default()
                .listener(Listener::Tls)
                .server_certificate(certificate),
        );
        let kafka = kafka.unwrap();
        let pipeline = Ids::with(&kafka, "refused", Listener::Plain, TLS, &[])
            .unwrap()
            .pipeline;
        let options = options(
            &pipeline,
            kafka.bootstrap(Listener::Tls).unwrap(),
            Some(secrets(&kafka, "")),
        );
        let what = format!("{certificate:?}");
        check(&what, &options, &["certificate", word])
    };
    all_right(certificates.into_iter().map(check).collect());
}

#[test]
fn a_broker_that_does_not_let_transactions_last_long_enough_is_named() {
    let kafka = Kafka::start(KafkaOptions::default().setting("transaction.max.timeout.ms", "5000")).unwrap();
    let ids = Ids::new(&kafka, "hasty", Listener::Plain).unwrap();
    let options = options(&ids.pipeline, kafka.bootstrap(Listener::Plain).unwrap(), None);
    all_right(vec![check(
        "transactions of 5 s",
        &options,
        &["transaction.max.timeout.ms", "10 s"],
    )]);
}

#[test]
fn a_topic_that_keeps_records_for_less_long_than_checkpoints_are_kept_is_named() {
    let kafka = kafka();
    let kept = [("retention.ms", "1500")];
    let mut outcomes = Vec::new();
    let mut ids = Ids::with(kafka, "short-kept", Listener::Plain, "", &kept).unwrap();
    ids.state = Some(home::new_folder("state").unwrap().display().to_string());
    let options = WorkerOptions {
        state: ids.state.clone(),
        ..options(&ids.pipeline, kafka.bootstrap(Listener::Plain).unwrap(), None)
    };
    let words = [
        "short-kept-events keeps records for 1s500ms",
        "may be 2s old",
        "retention.ms",
    ];
    outcomes.push(check("an input", &options, &words));
    // Compacted, so that nothing is deleted for its age.
    kafka
        .configure(
            "short-kept-events",
            &[("retention.ms", "1500"), ("cleanup.policy", "compact")],
        )
        .unwrap();
    let worker = ids.worker("w").unwrap();
    let runs = worker.wait_for_line("the shard runs", END);
    runs.unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
    worker.end(END).unwrap();
    all_right(outcomes);
}

/// What a worker of a pipeline needs, under the names of its topics; each without what is left out.
fn rights(name: &str) -> [(&'static str, Vec<Rights>); 10] {
    [
        ("read events", vec![Rights::Read(format!("{name}-events"))]),
        ("write passed", vec![Rights::Write(format!("{name}-passed"))]),
        ("write escalations", vec![Rights::Write(format!("{name}-escalations"))]),
        ("write totals", vec![Rights::Write(format!("{name}-totals"))]),
        ("write dead letters", vec![Rights::Write(format!("{name}.dead-letter"))]),
        (
            "what shards send one another",
            ["escalated", "totals"]
                .map(|stage| format!("{name}.{stage}.by"))
                .into_iter()
                .flat_map(|topic| [Rights::Read(topic.clone()), Rights::Write(topic)])
                .collect(),
        ),
        ("read the journal", vec![Rights::Read(format!("{name}.journal"))]),
        ("write the journal", vec![Rights::Write(format!("{name}.journal"))]),
        ("the group", vec![Rights::Group(name.to_owned())]),
        ("transactions", vec![Rights::Transactions(format!("{name}.*"))]),
    ]
}

/// A pipeline of Alice's and its topics, with all rights but one.
fn prepared(name: &str, without: Option<&str>) -> Ids<'static> {
    let kafka = kafka();
    let settings = format!("{TLS}, {SASL}, manageTopics: false");
    let mut ids = Ids::with(kafka, name, Listener::SaslTls, &settings, &[]).unwrap();
    for topic in [
        "-escalations",
        "-totals",
        ".dead-letter",
        ".journal",
        ".escalated.by",
        ".totals.by",
    ] {
        let topic = tocsin_e2e::kafka::Topic::new(&format!("{name}{topic}")).partitions(4);
        kafka.create(&topic).unwrap();
    }
    let given = rights(name).into_iter().filter(|(right, _)| Some(*right) != without);
    let given: Vec<Rights> = given.flat_map(|(_, rights)| rights).collect();
    kafka.allow(ALICE.name, &given).unwrap();
    ids.secrets = Some(secrets(kafka, ALICE.password));
    ids
}

#[test]
fn a_right_that_is_taken_away_ends_the_worker_and_is_named() {
    let cases = [
        ("taken-topic", "write passed", "taken-topic-passed"),
        ("taken-journal", "write the journal", "taken-journal.journal"),
        ("taken-id", "transactions", "TransactionalIdAuthorizationFailed"),
    ];
    let check = |(name, right, word)| {
        let ids = prepared(name, None);
        let stream = ids.stream(Pace::default()).unwrap();
        let worker = ids.worker("w").unwrap();
        let runs = ids.tail().unwrap().wait_for(stream.written() + 200, 2 * END);
        runs.unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
        let taken = rights(name).into_iter().filter(|(named, _)| *named == right);
        let taken: Vec<Rights> = taken.flat_map(|(_, rights)| rights).collect();
        kafka().revoke(ALICE.name, &taken).unwrap();
        check_end(right, &worker, &[word])
    };
    all_right(cases.into_iter().map(check).collect());
}

#[test]
fn a_right_that_is_missing_is_named_and_with_all_of_them_it_runs() {
    let ids = prepared("allowed", None);
    let stream = ids.stream(Pace::default()).unwrap();
    let worker = ids.worker("w").unwrap();
    let runs = ids.tail().unwrap().wait_for(stream.written() + 200, 2 * END);
    runs.unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
    worker.end(END).unwrap();
    drop(stream);

    let missing: [(&str, &[&str]); 10] = [
        ("read events", &["-events"]),
        ("write passed", &["-passed"]),
        ("write escalations", &["-escalations"]),
        ("write totals", &["-totals"]),
        ("write dead letters", &[".dead-letter"]),
        ("what shards send one another", &[".by"]),
        ("read the journal", &[".journal"]),
        ("write the journal", &[".journal"]),
        ("the group", &["group"]),
        ("transactions", &["ransactional"]),
    ];
    // Nothing comes, and it shows all the same.
    let run = |(right, words): (&str, &[&str])| {
        let ids = prepared(&right.replace(' ', "-"), Some(right));
        let bootstrap = kafka().bootstrap(Listener::SaslTls).unwrap();
        let options = options(&ids.pipeline, bootstrap, ids.secrets.clone());
        check(&format!("without {right}"), &options, words)
    };
    all_right(missing.into_iter().map(run).collect());
}

#[test]
fn who_may_make_no_topics_is_told_which_could_not_be_made() {
    let (kafka, name) = (kafka(), "makes-topics");
    let settings = format!("{TLS}, {SASL}");
    let ids = Ids::with(kafka, name, Listener::SaslTls, &settings, &[]).unwrap();
    let given: Vec<Rights> = rights(name).into_iter().flat_map(|(_, rights)| rights).collect();
    kafka.allow(ALICE.name, &given).unwrap();
    let secrets = secrets(kafka, ALICE.password);
    let options = options(
        &ids.pipeline,
        kafka.bootstrap(Listener::SaslTls).unwrap(),
        Some(secrets),
    );
    all_right(vec![check(
        "no right to make topics",
        &options,
        &[name, "uthorization"],
    )]);
}
