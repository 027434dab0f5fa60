//! The client of a schema registry against a real one, and one that breaks.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tocsin_e2e::{HttpProxy, HttpRule, SchemaRegistry as RealRegistry, http};
use tocsin_worker::schema_registry::{Lookup, RegistryError, SchemaRegistry, Unanswered};
use tocsin_worker_core::avro::SchemaAnswer;

const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const A_MOMENT: Duration = Duration::from_millis(5);

const ALERT: &str = r#"{"type":"record","name":"Alert","fields":[{"name":"service","type":"string"}]}"#;

/// Looks until something is known. That there is no schema may count no more by the time that it is looked for.
fn known(registry: &SchemaRegistry, id: u32) -> Arc<SchemaAnswer> {
    let until = Instant::now() + PATIENCE;
    loop {
        match registry.lookup(id) {
            Lookup::Known(answer) => return answer,
            waiting => assert!(Instant::now() < until, "{waiting:?}"),
        }
        registry.wait(&[id].into(), A_MOMENT);
    }
}

/// Looks until it is heard why there is no answer.
fn unanswered(registry: &SchemaRegistry, id: u32) -> Unanswered {
    let until = Instant::now() + PATIENCE;
    loop {
        match registry.lookup(id) {
            Lookup::Waiting(Some(why)) => return why,
            Lookup::Known(answer) => panic!("{answer:?}"),
            Lookup::Waiting(None) => assert!(Instant::now() < until, "nothing is heard"),
        }
        registry.wait(&[id].into(), A_MOMENT);
    }
}

fn text_of(answer: &SchemaAnswer) -> &str {
    match answer {
        SchemaAnswer::Avro { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_real_registry_is_asked_once_for_each_schema_and_believed_when_it_has_none() {
    let real = RealRegistry::start().unwrap();
    let proxy = HttpProxy::before(real.address()).unwrap();
    let url = real
        .url()
        .replace(&real.address().to_string(), &proxy.address().to_string());
    let registry = SchemaRegistry::with_absent_for(&url, Duration::from_millis(300)).unwrap();

    let id = real.register("alerts-value", ALERT).unwrap() as u32;
    assert!(
        matches!(registry.lookup(id), Lookup::Waiting(None)),
        "nothing was known"
    );
    let answer = known(&registry, id);
    assert!(text_of(&answer).contains("service"));
    assert_eq!(known(&registry.clone(), id), answer);
    assert_eq!(proxy.seen().len(), 1, "a schema is asked for once");

    // There is none; later there is.
    let later = id + 1;
    assert_eq!(*known(&registry, later), SchemaAnswer::Absent);
    let other = ALERT.replace("service", "host");
    assert_eq!(real.register("hosts-value", &other).unwrap() as u32, later);
    let until = Instant::now() + PATIENCE;
    while *known(&registry, later) == SchemaAnswer::Absent {
        assert!(Instant::now() < until, "what was not there is never asked for again");
    }
    assert!(text_of(&known(&registry, later)).contains("host"));

    // Of another kind.
    let text = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}"#;
    let json = real.register_typed("json-value", "JSON", text).unwrap() as u32;
    assert_eq!(*known(&registry, json), SchemaAnswer::Other("JSON".to_owned()));

    // What it refers to comes with it.
    let body = serde_json::json!({
        "schema": r#"{"type":"record","name":"Pair","fields":[{"name":"first","type":"Alert"}]}"#,
        "references": [{"name": "Alert", "subject": "alerts-value", "version": 1}],
    });
    let headers = [("Content-Type", "application/vnd.schemaregistry.v1+json")];
    let path = "/apis/ccompat/v7/subjects/pairs-value/versions";
    let made = http::request(real.address(), "POST", path, &headers, body.to_string().as_bytes()).unwrap();
    assert_eq!(made.status(), 200, "{}", made.text());
    let made: serde_json::Value = serde_json::from_slice(&made.body).unwrap();
    let pair = known(&registry, made["id"].as_u64().unwrap() as u32);
    let SchemaAnswer::Avro { references, .. } = &*pair else {
        panic!("{pair:?}")
    };
    assert!(
        references.len() == 1 && references[0].contains("\"Alert\""),
        "{references:?}"
    );
}

#[test]
fn what_is_no_word_of_the_registry_is_waited_out() {
    let proxy = HttpProxy::receiver().unwrap();
    let registry = SchemaRegistry::new(&format!("http://{}", proxy.address())).unwrap();
    let path = |id: u32| format!("/schemas/ids/{id}?deleted=true");
    let answers: [(u32, u16, &str, &str); 6] = [
        (1, 503, "", "it answers with status 503"),
        (
            2,
            404,
            "<html>",
            "it answers with status 404; is format.registry.url that of Confluent's API?",
        ),
        (
            3,
            404,
            r#"{"error_code": 404, "message": "HTTP 404 Not Found"}"#,
            "it answers with status 404: HTTP 404 Not Found; is format.registry.url that of Confluent's API?",
        ),
        (
            4,
            401,
            "",
            "it answers with status 401; it wants credentials, which are not supported yet",
        ),
        (
            5,
            500,
            r#"{"error_code": 50001, "message": "backend"}"#,
            "it answers with status 500: backend",
        ),
        (
            6,
            200,
            "{}",
            "its answer is no schema: missing field `schema` at line 1 column 2",
        ),
    ];
    for (id, status, body, expected) in answers {
        let wrong = proxy.add(HttpRule::every().path(&path(id)).answer(status, &[], body.as_bytes()));
        assert_eq!(unanswered(&registry, id).to_string(), expected);
        wrong.remove();
        let schema = serde_json::json!({ "schema": ALERT }).to_string();
        proxy.add(HttpRule::every().path(&path(id)).answer(200, &[], schema.as_bytes()));
        assert_eq!(text_of(&known(&registry, id)), ALERT);
    }
}

#[test]
fn a_registry_that_is_away_is_waited_for() {
    let proxy = HttpProxy::receiver().unwrap();
    proxy.add(HttpRule::every().path("/schemas/ids/1?deleted=true").cut_before());
    let registry = SchemaRegistry::new(&format!("http://{}/", proxy.address())).unwrap();
    let why = unanswered(&registry, 1);
    assert!(matches!(why, Unanswered::Unreachable(_)), "{why}");
    // Others get their answers meanwhile.
    let schema = serde_json::json!({ "schema": ALERT }).to_string();
    proxy.add(
        HttpRule::every()
            .path("/schemas/ids/2?deleted=true")
            .answer(200, &[], schema.as_bytes()),
    );
    assert_eq!(text_of(&known(&registry, 2)), ALERT);
    assert!(matches!(registry.lookup(1), Lookup::Waiting(_)));
}

#[test]
fn an_address_is_checked_at_the_start_and_shows_no_secret() {
    assert!(matches!(
        SchemaRegistry::new("registry"),
        Err(RegistryError::Address(_))
    ));
    let error = SchemaRegistry::new("http://me:hush@registry:8081")
        .unwrap_err()
        .to_string();
    assert!(!error.contains("hush"), "{error}");
}
