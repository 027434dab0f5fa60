//! Workers that log in by each mechanism, and those that show a certificate: records, transactions, the group and the making of
//! topics all go through the same door.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::PathBuf;

use support::{END, PATIENCE, all_are_right, or_tell};
use tocsin_e2e::ids::{Ids, Pace};
use tocsin_e2e::kafka::{ALICE, ClientCertificate};
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, KafkaOptions, Listener, home};

/// A way in: its name, its door, and what stands in `spec.kafka` beside the authority.
const WAYS: [(&str, Listener, &str); 5] = [
    (
        "plain",
        Listener::SaslTls,
        "tls: {caSecretRef: {name: authority, key: ca.crt}}, sasl: {mechanism: Plain, LOGIN}",
    ),
    (
        "scram-256",
        Listener::SaslTls,
        "tls: {caSecretRef: {name: authority, key: ca.crt}}, sasl: {mechanism: ScramSha256, LOGIN}",
    ),
    (
        "scram-512",
        Listener::SaslTls,
        "tls: {caSecretRef: {name: authority, key: ca.crt}}, sasl: {mechanism: ScramSha512, LOGIN}",
    ),
    ("scram-bare", Listener::Sasl, "sasl: {LOGIN}"),
    (
        "certificate",
        Listener::MutualTls,
        "tls: {caSecretRef: {name: authority, key: ca.crt}, certificateSecretRef: {name: client}}",
    ),
];

fn kafka() -> Kafka {
    let options = KafkaOptions::default()
        .listener(Listener::Sasl)
        .listener(Listener::SaslTls)
        .listener(Listener::MutualTls);
    Kafka::start(options).unwrap()
}

/// A folder with the authority's certificate, Alice's password, and a client's certificate.
fn secrets(kafka: &Kafka, certificate: ClientCertificate) -> PathBuf {
    let folder = home::new_folder("secrets").unwrap();
    let certificates = kafka.certificates().unwrap();
    let (chain, key) = certificates.client(certificate);
    for (name, contents) in [
        ("authority/ca.crt", std::fs::read(certificates.authority()).unwrap()),
        ("alice/password", ALICE.password.into()),
        ("client/tls.crt", std::fs::read(chain).unwrap()),
        ("client/tls.key", std::fs::read(key).unwrap()),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    folder
}

fn ids<'a>(kafka: &'a Kafka, name: &str, listener: Listener, settings: &str, secrets: PathBuf) -> Ids<'a> {
    let login = "username: alice, passwordSecretRef: {name: alice, key: password}";
    let settings = format!(
        "mode: External, bootstrapServers: 'kafka.example:9093', {}",
        settings.replace("LOGIN", login)
    );
    let mut ids = Ids::with(kafka, name, listener, &settings, &[]).unwrap();
    ids.secrets = Some(secrets);
    ids
}

#[test]
fn a_worker_works_by_each_way_to_log_in_and_its_secrets_are_never_shown() {
    let kafka = kafka();
    for (name, listener, settings) in WAYS {
        let ids = ids(
            &kafka,
            name,
            listener,
            settings,
            secrets(&kafka, ClientCertificate::Good),
        );
        let (stream, mut tail) = (ids.stream(Pace::default()).unwrap(), ids.tail().unwrap());
        let worker = ids.worker("w").unwrap();
        or_tell(name, &[&worker], tail.wait_for(stream.written() + 200, PATIENCE));
        let n_events = stream.end().unwrap();
        or_tell(name, &[&worker], tail.wait_for_all_passed(n_events, PATIENCE));
        worker.end(END).unwrap();
        let checked = or_tell(name, &[&worker], ids.check());
        assert_eq!(i64::try_from(checked), Ok(n_events), "{name}");
        assert!(!worker.said().contains(ALICE.password), "{name}");
    }
}

/// Brokers hang up on who stays longer than a login counts, unless it logs in again before.
#[test]
fn a_worker_whose_login_counts_for_seconds_logs_in_again_and_again() {
    let options = KafkaOptions::default().listener(Listener::SaslTls);
    let kafka = Kafka::start(options.setting("connections.max.reauth.ms", "4000")).unwrap();
    for client in ["own", "librdkafka"] {
        let (_, listener, settings) = WAYS[2];
        let name = format!("again-{client}");
        let secrets = secrets(&kafka, ClientCertificate::Good);
        let mut ids = ids(&kafka, &name, listener, settings, secrets);
        ids.further = vec!["--client".to_owned(), client.to_owned()];
        let (stream, mut tail) = (ids.stream(Pace::default()).unwrap(), ids.tail().unwrap());
        let worker = ids.worker("w").unwrap();
        or_tell(&name, &[&worker], tail.wait_for(stream.written() + 200, PATIENCE));
        // Three lengths of a login.
        let until_then = stream.written() + 12_000;
        let written = until(
            "events",
            PATIENCE,
            || Ok((stream.written() >= until_then).then_some(())),
        );
        or_tell(&name, &[&worker], written);
        all_are_right(&name, &ids, stream, tail, &[&worker]);
        let said = worker.said();
        let warnings = said.lines().filter(|line| line.contains(" WARN "));
        // Without snapshots it warns of that.
        let trouble: Vec<&str> = warnings.filter(|line| !line.contains("without --state")).collect();
        assert_eq!(trouble, [""; 0], "{name}");
    }
}

#[test]
fn a_worker_whose_certificate_is_not_to_be_believed_ends_at_its_start() {
    let kafka = kafka();
    for certificate in [ClientCertificate::Expired, ClientCertificate::Foreign] {
        let (_, listener, settings) = WAYS[4];
        let name = format!("{certificate:?}").to_lowercase();
        let ids = ids(&kafka, &name, listener, settings, secrets(&kafka, certificate));
        let worker = ids.worker("w").unwrap();
        let status = or_tell(&name, &[&worker], worker.wait(PATIENCE));
        assert_eq!(status.code(), Some(4), "{}", worker.said());
        assert_eq!(worker.lines_with("error: "), 1, "{}", worker.said());
        assert!(worker.lines_with("certificate") > 0, "{}", worker.said());
    }
}
