//! The operator with secrets in its hands: they are in no place where anybody reads, whatever is logged; and new ones are taken up.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;
#[path = "support/oracles.rs"]
mod oracles;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use operating::{Bench, condition, spec};
use oracles::keeps_secrets;
use serde_json::{Value as Json, json};
use tocsin_e2e::kafka::ALICE;
use tocsin_e2e::{Kafka, KafkaOptions, Listener, User};

/// Nobody's password.
const WRONG: &str = "canary-of-a-wrong-password";
const URL: &str = "https://example.com/canary-of-a-webhook";
const ACCESS_KEY: &str = "canary-of-an-access-key";
const SECRET_KEY: &str = "canary-of-a-secret-key";

fn secret(bench: &Bench, name: &str, values: Json) {
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values});
    let path = format!("/api/v1/namespaces/{}/secrets", bench.namespace);
    bench.client.create(&path, &object).unwrap();
}

/// All that is in a Secret.
fn values(bench: &Bench, name: &str) -> Vec<String> {
    let secret = bench
        .client
        .get(&format!("/api/v1/namespaces/{}/secrets/{name}", bench.namespace))
        .unwrap();
    let values = secret["data"].as_object().unwrap().values();
    values
        .map(|value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap())
        .collect()
}

#[test]
fn secrets_are_shown_nowhere_and_new_ones_are_taken_up_without_a_restart() {
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::Sasl)).unwrap();
    let mut bench = Bench::new("secrets");
    bench.operator.stop().unwrap();
    bench.operator = Bench::operator_with("secrets", "operator-1", None, &["--log-level", "trace"]);
    secret(&bench, "login", json!({"password": WRONG}));
    secret(&bench, "pager", json!({"url": URL}));
    secret(
        &bench,
        "store",
        json!({"accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY}),
    );
    let mut with_secrets = spec();
    with_secrets["kafka"] = json!({
        "bootstrapServers": kafka.bootstrap(Listener::Sasl).unwrap(),
        "sasl": {"mechanism": "ScramSha512", "username": ALICE.name, "passwordSecretRef": {"name": "login", "key": "password"}},
    });
    with_secrets["state"] = json!({
        "storage": {"s3": {"bucket": "state", "endpoint": "http://127.0.0.1:1", "secretRef": {"name": "store"}}},
    });
    with_secrets["sinks"].as_array_mut().unwrap().push(
        json!({"name": "pager", "from": "escalated", "webhook": {"urlSecretRef": {"name": "pager", "key": "url"}}}),
    );
    bench.apply("noc", with_secrets);
    bench.wait("noc", "a word on the password", |pipeline| {
        condition(pipeline, "KafkaReady")["reason"] == "AuthenticationFailed"
    });
    let right = json!({"stringData": {"password": ALICE.password}});
    bench
        .client
        .merge("/api/v1/namespaces/secrets/secrets/login", &right)
        .unwrap();
    bench.wait("noc", "a Kafka that lets it in", |pipeline| {
        condition(pipeline, "KafkaReady")["reason"] == "BrokersReady"
    });
    bench.wait_for("workers", || bench.find(operating::STATEFUL_SETS, "noc-workers"));

    let log = bench.operator.process().said();
    assert!(log.contains("TRACE"), "nothing of the most detailed level was logged");
    let token = User::Operator.token();
    let own = values(&bench, "noc-admin");
    // A key's lines are as telling as the whole of it; what is as short as a name is none.
    let own: Vec<&str> = own
        .iter()
        .flat_map(|value| value.lines())
        .filter(|line| line.len() > 20)
        .collect();
    let private = own.into_iter().filter(|line| !line.starts_with("-----"));
    let given = [WRONG, URL, ACCESS_KEY, SECRET_KEY, ALICE.password, &token];
    let all: Vec<&str> = given.into_iter().chain(private).collect();
    assert!(all.len() > given.len(), "the pipeline has no key of its own");
    keeps_secrets(&bench, &all);
}

#[test]
fn certificates_that_end_within_a_month_are_made_anew_and_the_authority_stays() {
    let mut bench = Bench::new("renewal");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    let path = "/api/v1/namespaces/renewal/secrets/noc-admin";
    let before = bench.client.get(path).unwrap();
    let ends = |secret: &Json| -> Timestamp {
        let text = secret["metadata"]["annotations"]["tocsin.dev/certificate-ends"]
            .as_str()
            .unwrap();
        text.parse().unwrap()
    };
    let authority = |bench: &Bench| {
        let keys = "/api/v1/namespaces/renewal/secrets/tocsin-operator-keys";
        let keys = bench.client.get(keys).unwrap()["data"].clone();
        assert!(keys["ca.crt"].is_string(), "{:?}", keys.as_object().unwrap().keys());
        keys
    };
    let of_operator = authority(&bench);
    for (days_later, is_renewed) in [(50, false), (70, true)] {
        bench.operator.stop().unwrap();
        bench.operator = Bench::operator_of_day("renewal", "operator-1", None, &[], days_later);
        bench.change("noc", json!({"workers": {"threads": days_later}}));
        bench.wait_seen("noc");
        let now = bench.client.get(path).unwrap();
        let more = ends(&now).duration_since(ends(&before)).as_hours() / 24;
        assert_eq!(more >= 60, is_renewed, "{days_later} days later: {more} days more");
        assert_eq!(now["data"]["tls.crt"] != before["data"]["tls.crt"], is_renewed);
        assert_eq!(authority(&bench), of_operator);
        assert_eq!(now["data"]["token"], before["data"]["token"]);
    }
}
