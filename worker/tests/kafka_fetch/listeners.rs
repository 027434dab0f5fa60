//! Every way to log in, and one clear error for every way that fails. Nothing is ever sent without the encryption asked for.

use tocsin_contract::pipeline::kafka::SaslMechanism;
use tocsin_e2e::kafka::{ALICE, ClientCertificate, Record, ServerCertificate, Topic};
use tocsin_e2e::{Kafka, KafkaOptions, Listener};
use tocsin_worker::kafka::{Cluster, ClusterSettings, Identity, KafkaError, Sasl, Tls};

use super::reading::{Reading, plain, small};

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
    }
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
