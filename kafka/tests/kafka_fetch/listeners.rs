//! Every way to log in, and one clear error for every way that fails. Nothing is ever sent without the encryption asked for.

use std::sync::Arc;
use tocsin_contract::pipeline::kafka::SaslMechanism;

use tocsin_e2e::kafka::{ALICE, ClientCertificate, Record, SCOPE, ServerCertificate, Topic, unsigned_token};
use tocsin_e2e::{HttpProxy, HttpRule, Kafka, KafkaOptions, Listener};
use tocsin_kafka::{Cluster, ClusterSettings, Identity, KafkaError, Sasl, Tls, Tokens};

use super::reading::{Reading, SOURCES, plain, small};

fn authorities(kafka: &Kafka) -> Tls {
    let authority = kafka.certificates().unwrap().authority();
    Tls {
        authorities: Some(std::fs::read(authority).unwrap()),
        identity: None,
    }
}

fn identity(kafka: &Kafka, certificate: ClientCertificate) -> Identity {
    let (chain, key) = kafka.certificates().unwrap().client(certificate);
    Identity {
        chain: std::fs::read(chain).unwrap(),
        key: std::fs::read_to_string(key).unwrap().into(),
    }
}

fn alice(mechanism: SaslMechanism, password: &str) -> Sasl {
    Sasl {
        mechanism,
        username: ALICE.name.to_owned(),
        password: password.to_owned().into(),
        tokens: None,
        ticket: None,
    }
}

/// A token endpoint that gives tokens of a scope, which nobody signed.
fn token_endpoint(scope: &str) -> HttpProxy {
    let endpoint = HttpProxy::receiver().unwrap();
    let answer = serde_json::json!({"access_token": unsigned_token(ALICE.name, scope), "expires_in": 3600});
    endpoint.add(HttpRule::every().answer(200, &[], answer.to_string().as_bytes()));
    endpoint
}

fn by_token(endpoint: &HttpProxy) -> Sasl {
    let url = format!("{}/token", endpoint.url());
    let tokens = Tokens::new(&url, "tocsin client", "wrong-password".to_owned().into(), Some(SCOPE)).unwrap();
    Sasl {
        tokens: Some(Arc::new(tokens)),
        ..alice(SaslMechanism::OAuthBearer, "wrong-password")
    }
}

#[test]
fn a_token_lets_both_sources_in_and_one_of_another_scope_is_refused() {
    let options = KafkaOptions::default()
        .listener(Listener::Sasl)
        .listener(Listener::SaslTls);
    let kafka = Kafka::start(options).unwrap();
    kafka.create(&Topic::new("logins")).unwrap();
    kafka.produce("logins", Some(0), &[Record::new("let in")]).unwrap();
    let endpoint = token_endpoint(SCOPE);
    for listener in [Listener::Sasl, Listener::SaslTls] {
        for source in SOURCES {
            let settings = match listener {
                Listener::Sasl => plain(&kafka, listener),
                _ => over_tls(&kafka, listener),
            };
            let settings = ClusterSettings {
                client: source,
                ..with(settings, by_token(&endpoint))
            };
            let mut reading = Reading::start(settings, "logins", small());
            reading.to(&[1]);
            assert_eq!(reading.records[0].text(), "let in", "{source}");
        }
    }
    let asked = endpoint.seen();
    assert_eq!(asked.len(), 4, "a token is kept as long as it is good");
    let body = String::from_utf8_lossy(&asked[0].request.body).into_owned();
    assert_eq!(body, format!("grant_type=client_credentials&scope={SCOPE}"));

    let scopeless = token_endpoint("something-else");
    check_refused(
        with(over_tls(&kafka, Listener::SaslTls), by_token(&scopeless)),
        "authentication",
    );
    let refusing = HttpProxy::receiver().unwrap();
    refusing.add(HttpRule::every().answer(401, &[], br#"{"error": "invalid_client"}"#));
    check_refused(with(over_tls(&kafka, Listener::SaslTls), by_token(&refusing)), "token");
}

fn over_tls(kafka: &Kafka, listener: Listener) -> ClusterSettings {
    ClusterSettings {
        tls: Some(authorities(kafka)),
        ..plain(kafka, listener)
    }
}

fn with(settings: ClusterSettings, sasl: Sasl) -> ClusterSettings {
    ClusterSettings {
        sasl: Some(sasl),
        ..settings
    }
}

fn check_refused(settings: ClusterSettings, kind: &str) {
    let error = Cluster::new(settings)
        .and_then(|mut cluster| cluster.topic("logins"))
        .unwrap_err();
    let found = match &error {
        KafkaError::Authentication { .. } => "authentication",
        KafkaError::Tls { .. } => "tls",
        KafkaError::Closed { .. } => "closed",
        KafkaError::Token { .. } => "token",
        KafkaError::Mechanism { .. } => "mechanism",
        _ => "another",
    };
    assert_eq!(found, kind, "{error}");
    assert!(!error.is_transient(), "another try would not do: {error}");
    let (said, shown) = (error.to_string(), format!("{error:?}"));
    assert!(
        !said.contains("wrong-password") && !shown.contains("wrong-password"),
        "{said}"
    );
}

#[test]
fn each_listener_takes_a_good_client_and_refuses_a_bad_one() {
    let options = KafkaOptions::default()
        .listener(Listener::Tls)
        .listener(Listener::MutualTls)
        .listener(Listener::Sasl)
        .listener(Listener::SaslTls);
    let kafka = Kafka::start(options).unwrap();
    kafka.create(&Topic::new("logins")).unwrap();
    kafka.produce("logins", Some(0), &[Record::new("let in")]).unwrap();
    kafka.set_scram_password(ALICE.name, ALICE.password).unwrap();

    let mutual = |certificate| {
        let mut settings = over_tls(&kafka, Listener::MutualTls);
        if let Some(tls) = &mut settings.tls {
            tls.identity = Some(identity(&kafka, certificate));
        }
        settings
    };
    let mechanisms = [
        SaslMechanism::Plain,
        SaslMechanism::ScramSha256,
        SaslMechanism::ScramSha512,
    ];
    let mut good = vec![over_tls(&kafka, Listener::Tls), mutual(ClientCertificate::Good)];
    for mechanism in mechanisms {
        good.push(with(plain(&kafka, Listener::Sasl), alice(mechanism, ALICE.password)));
        good.push(with(
            over_tls(&kafka, Listener::SaslTls),
            alice(mechanism, ALICE.password),
        ));
        let wrong = alice(mechanism, "wrong-password");
        check_refused(with(over_tls(&kafka, Listener::SaslTls), wrong), "authentication");
    }
    for settings in good {
        let mut reading = Reading::start(settings, "logins", small());
        reading.to(&[1]);
        assert_eq!(reading.records[0].text(), "let in");
    }

    let foreign = std::fs::read(kafka.certificates().unwrap().foreign_authority()).unwrap();
    let mut distrustful = over_tls(&kafka, Listener::Tls);
    distrustful.tls = Some(Tls {
        authorities: Some(foreign),
        identity: None,
    });
    check_refused(distrustful, "tls");
    check_refused(over_tls(&kafka, Listener::Plain), "tls");
    check_refused(plain(&kafka, Listener::Tls), "closed");
    check_refused(plain(&kafka, Listener::SaslTls), "closed");
}

#[test]
fn a_broker_with_a_bad_certificate_is_refused() {
    for certificate in [
        ServerCertificate::Expired,
        ServerCertificate::OtherHost,
        ServerCertificate::Foreign,
    ] {
        let options = KafkaOptions::default()
            .listener(Listener::Tls)
            .server_certificate(certificate);
        let kafka = Kafka::start(options).unwrap();
        check_refused(over_tls(&kafka, Listener::Tls), "tls");
    }
}
