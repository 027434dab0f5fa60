//! Workers whose records librdkafka reads, and workers that log in by a token.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::{or_tell, survives_kills};
use tocsin_e2e::http::request;
use tocsin_e2e::ids::{Ids, Pace, rounds};
use tocsin_e2e::kafka::{ALICE, Kerberos, Record, SCOPE, unsigned_token};
use tocsin_e2e::wait::until;
use tocsin_e2e::{HttpProxy, HttpRule, Kafka, KafkaOptions, Listener, Worker, home};

const PATIENCE: Duration = Duration::from_secs(30);

/// A worker that nobody disturbs ends within this.
const END: Duration = Duration::from_secs(12);

/// What a worker says at its start.
const BY_LIBRDKAFKA: &str = "records are read and written by librdkafka";
const BY_ITSELF: &str = "records are read and written by Tocsin's own client";

#[test]
fn a_worker_that_reads_by_librdkafka_loses_and_repeats_nothing_when_it_is_killed() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    let mut ids = Ids::new(&kafka, "other-source", Listener::Plain).unwrap();
    ids.further = vec!["--client".to_owned(), "librdkafka".to_owned()];
    let worker = ids.worker("w").unwrap();
    worker.wait_for_line(BY_LIBRDKAFKA, PATIENCE).unwrap();
    survives_kills(&ids, worker, 3 * rounds());
}

/// Milliseconds since 1970.
fn now() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_millis()
}

/// An event of the one service.
fn event(id: u32, time: u128) -> Record {
    let value = format!(r#"{{"ts": {time}, "service": "s", "id": {id}, "severity": "CRITICAL"}}"#);
    Record::new(value).key("s")
}

/// Waits until the first window is closed, and answers how many events were in it.
fn closed_window(ids: &Ids<'_>, worker: &Worker) -> u64 {
    let row = until("the window closes", PATIENCE, || {
        worker.check()?;
        let found = ids.kafka.consume_committed(&ids.topic("totals"));
        Ok(found.ok().and_then(|rows| rows.into_iter().next()))
    });
    let row = or_tell(&ids.name, &[worker], row);
    let row: serde_json::Value = serde_json::from_str(&row.text()).unwrap();
    row["events"].as_u64().unwrap()
}

#[test]
fn an_input_that_is_silent_goes_idle_also_behind_the_marker_of_a_transaction() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    for source in ["own", "librdkafka"] {
        let mut ids = Ids::new(&kafka, &format!("idle-{source}"), Listener::Plain).unwrap();
        ids.further = vec!["--client".to_owned(), source.to_owned()];
        let text = std::fs::read_to_string(&ids.pipeline).unwrap();
        std::fs::write(&ids.pipeline, text.replace("idleTimeout: 1h", "idleTimeout: 2s")).unwrap();
        let now = now();
        let event = |id| event(id, now);
        // What is committed is followed by a marker, and what is aborted by records that nobody reads.
        let producer = kafka.transactional(&format!("idle-{source}"), Listener::Plain).unwrap();
        producer.begin().unwrap();
        producer.produce(&ids.topic("events"), 0, &[event(1)]).unwrap();
        producer.commit().unwrap();
        producer.begin().unwrap();
        producer.produce(&ids.topic("events"), 0, &[event(2)]).unwrap();
        producer.abort().unwrap();
        let worker = ids.worker("w").unwrap();
        // Only the clock can close the window.
        assert_eq!(closed_window(&ids, &worker), 1, "{source}");
        worker.end(END).unwrap();
    }
}

/// A transaction that somebody leaves open in an input hides what comes behind it. That is no silence.
#[test]
fn an_input_that_another_producer_s_transaction_holds_up_does_not_go_idle() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    for source in ["own", "librdkafka"] {
        let mut ids = Ids::new(&kafka, &format!("held-up-{source}"), Listener::Plain).unwrap();
        let text = std::fs::read_to_string(&ids.pipeline).unwrap();
        std::fs::write(&ids.pipeline, text.replace("idleTimeout: 1h", "idleTimeout: 1s")).unwrap();
        let admin = ["--client", source, "--admin", "127.0.0.1:0", "--admin-open-metrics"];
        ids.further = admin.map(str::to_owned).to_vec();
        let now = now();
        let event = |id| event(id, now);
        kafka.produce(&ids.topic("events"), Some(0), &[event(1)]).unwrap();
        let producer = kafka
            .transactional(&format!("held-up-{source}"), Listener::Plain)
            .unwrap();
        producer.begin().unwrap();
        producer.produce(&ids.topic("events"), 0, &[event(2)]).unwrap();
        let worker = ids.worker("w").unwrap();
        let admin = worker.admin(PATIENCE).unwrap();
        // The others are silent and go idle; this one says for how long it has been held up.
        let held_up = until("held up for longer than its idleTimeout", PATIENCE, || {
            worker.check()?;
            let answer = request(admin, "GET", "/status", &[], &[])?;
            let status: serde_json::Value = serde_json::from_str(&answer.text()).unwrap_or_default();
            let input = status["shards"][0]["inputs"][0].clone();
            Ok(input["heldUpSeconds"]
                .as_f64()
                .filter(|held_up| *held_up > 3.0)
                .map(|_| input))
        });
        let input = held_up.unwrap_or_else(|error| panic!("{source}: {error}\n{}", worker.last_lines()));
        assert_eq!(input["idle"], false, "{source}");
        let closed = || {
            kafka
                .consume_committed(&ids.topic("totals"))
                .map_or(0, |rows| rows.len())
        };
        assert_eq!(
            closed(),
            0,
            "{source}: the window was closed though a record of it waits"
        );
        producer.commit().unwrap();
        assert_eq!(closed_window(&ids, &worker), 2, "{source}");
        worker.end(END).unwrap();
    }
}

/// A pipeline whose workers log in by tokens that this endpoint gives.
fn with_tokens<'a>(kafka: &'a Kafka, name: &str, client: &str, endpoint: &HttpProxy) -> Ids<'a> {
    let secrets = home::new_folder("secrets").unwrap();
    let authority = std::fs::read(kafka.certificates().unwrap().authority()).unwrap();
    for (name, key, contents) in [
        ("authority", "ca.crt", authority.as_slice()),
        ("client", "secret", b"the-secret"),
    ] {
        std::fs::create_dir_all(secrets.join(name)).unwrap();
        std::fs::write(secrets.join(name).join(key), contents).unwrap();
    }
    let settings = format!(
        "mode: External, bootstrapServers: 'kafka.example:9093', tls: {{caSecretRef: {{name: authority, key: ca.crt}}}}, \
         sasl: {{mechanism: OAuthBearer, username: tocsin, passwordSecretRef: {{name: client, key: secret}}, \
         tokenEndpoint: '{}/token', scope: {SCOPE}}}",
        endpoint.url()
    );
    let mut ids = Ids::with(kafka, name, Listener::SaslTls, &settings, &[]).unwrap();
    ids.secrets = Some(secrets);
    ids.further = vec!["--client".to_owned(), client.to_owned()];
    ids
}

#[test]
fn a_worker_that_logs_in_by_a_token_works_with_both_sources() {
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::SaslTls)).unwrap();
    let endpoint = HttpProxy::receiver().unwrap();
    // So short that each client asks for several.
    let answer = format!(
        r#"{{"access_token": "{}", "expires_in": 5}}"#,
        unsigned_token(ALICE.name, SCOPE)
    );
    endpoint.add(HttpRule::every().answer(200, &[], answer.as_bytes()));
    for (source, said) in [("own", BY_ITSELF), ("librdkafka", BY_LIBRDKAFKA)] {
        let ids = with_tokens(&kafka, &format!("token-{source}"), source, &endpoint);
        let stream = ids.stream(Pace::default()).unwrap();
        let mut tail = ids.tail().unwrap();
        let worker = ids.worker("w").unwrap();
        worker
            .wait_for_line(said, PATIENCE)
            .unwrap_or_else(|error| panic!("{error}"));
        let before = endpoint.seen().len();
        // So long that tokens were renewed.
        until("a token is renewed", PATIENCE, || {
            worker.check()?;
            Ok((endpoint.seen().len() > before + 1).then_some(()))
        })
        .unwrap();
        let works = tail.wait_for(stream.written(), PATIENCE);
        works.unwrap_or_else(|error| panic!("{source}: {error}\n{}", worker.last_lines()));
        let n_events = stream.end().unwrap();
        let end = tail.wait_for_all_passed(n_events, PATIENCE);
        end.unwrap_or_else(|error| panic!("{source}: {error}\n{}", worker.last_lines()));
        worker.end(END).unwrap();
        assert_eq!(i64::try_from(ids.check().unwrap()).unwrap(), n_events);
        assert!(!worker.said().contains("the-secret"));
    }
}

#[test]
fn a_worker_that_is_given_no_token_ends_at_its_start_and_says_why() {
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::SaslTls)).unwrap();
    let endpoint = HttpProxy::receiver().unwrap();
    let why = br#"{"error": "invalid_client", "error_description": "the client is locked"}"#;
    endpoint.add(HttpRule::every().answer(401, &[], why));
    for source in ["own", "librdkafka"] {
        let ids = with_tokens(&kafka, &format!("no-token-{source}"), source, &endpoint);
        let worker = ids.worker("w").unwrap();
        let status = or_tell(source, &[&worker], worker.wait(END));
        let said = worker.said();
        assert_eq!(status.code(), Some(4), "{source}: {said}");
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        let words = [&endpoint.url(), "/token", "401", "the client is locked"];
        assert!(
            matches!(errors[..], [error] if words.iter().all(|word| error.contains(word))),
            "{source}: {said}"
        );
        assert!(!said.contains("the-secret"), "{source}");
    }
}

/// A pipeline of a cluster in whose realm a worker logs in with a key.
fn with_kerberos<'a>(kafka: &'a Kafka, name: &str, keytab: &std::path::Path) -> Ids<'a> {
    let kerberos = kafka.kerberos().unwrap();
    let secrets = home::new_folder("secrets").unwrap();
    std::fs::create_dir_all(secrets.join("client")).unwrap();
    std::fs::copy(keytab, secrets.join("client").join("keytab")).unwrap();
    let settings = format!(
        "mode: External, bootstrapServers: 'kafka.example:9093', sasl: {{mechanism: Kerberos, username: {}, \
         passwordSecretRef: {{name: client, key: keytab}}}}",
        Kerberos::CLIENT
    );
    let mut ids = Ids::with(kafka, name, Listener::Kerberos, &settings, &[]).unwrap();
    let tickets = format!("FILE:{}", secrets.join("tickets").display());
    ids.variables = vec![
        ("KRB5_CONFIG".to_owned(), kerberos.configuration().display().to_string()),
        ("KRB5CCNAME".to_owned(), tickets),
    ];
    ids.secrets = Some(secrets);
    ids
}

#[cfg(feature = "kerberos")]
#[test]
fn a_worker_that_logs_in_by_kerberos_reads_by_librdkafka_and_loses_nothing_when_it_is_killed() {
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::Kerberos)).unwrap();
    let keytab = kafka.kerberos().unwrap().client_keytab();
    let ids = with_kerberos(&kafka, "ticket", &keytab);
    let worker = ids.worker("w").unwrap();
    let said = format!("{BY_LIBRDKAFKA}: Tocsin's own client cannot do the login");
    worker
        .wait_for_line(&said, PATIENCE)
        .unwrap_or_else(|error| panic!("{error}"));
    survives_kills(&ids, worker, 2);

    let stale = with_kerberos(&kafka, "stale", &kafka.kerberos().unwrap().stale_keytab());
    let worker = stale.worker("w").unwrap();
    let status = worker.wait(Duration::from_secs(60)).unwrap();
    assert!(!status.success(), "{}", worker.last_lines());
}

#[cfg(not(feature = "kerberos"))]
#[test]
fn a_program_without_kerberos_says_so() {
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::Kerberos)).unwrap();
    let ids = with_kerberos(&kafka, "ticket", &kafka.kerberos().unwrap().client_keytab());
    let worker = ids.worker("w").unwrap();
    assert!(!worker.wait(END).unwrap().success());
    assert!(worker.said().contains("built without Kerberos"), "{}", worker.said());
}
