//! The rig's listeners: each takes a good client and refuses a bad one.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::OnceLock;

use rdkafka::ClientConfig;
use tocsin_e2e::kafka::{
    ADMIN, ALICE, ClientCertificate, Login, Record, Rights, ServerCertificate, Topic, connects, produce_with,
};
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, KafkaOptions, Listener, RigError};

/// One broker with every listener, and with authorisation.
fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(|| {
        let options = Listener::ALL
            .into_iter()
            .fold(KafkaOptions::default().acls(), KafkaOptions::listener);
        Kafka::start(options).unwrap()
    })
}

fn is_refused(config: &ClientConfig) {
    match connects(config) {
        Err(RigError::Refused { answer, .. }) => println!("refused: {answer}"),
        other => panic!("not refused but {other:?}"),
    }
}

fn logins(password: &str) -> [Login; 3] {
    let (user, password) = (ALICE.name.to_owned(), password.to_owned());
    [
        Login::Plain {
            user: user.clone(),
            password: password.clone(),
        },
        Login::Scram256 {
            user: user.clone(),
            password: password.clone(),
        },
        Login::Scram512 { user, password },
    ]
}

#[test]
fn each_listener_takes_a_good_client() {
    for listener in Listener::ALL {
        connects(&kafka().client(listener).unwrap()).unwrap_or_else(|error| panic!("{listener:?}: {error}"));
    }
}

#[test]
fn each_login_takes_the_right_password_and_refuses_a_wrong_one() {
    for listener in [Listener::Sasl, Listener::SaslTls] {
        let with = |login: &Login| {
            let mut config = kafka().client(listener).unwrap();
            login.apply(&mut config);
            config
        };
        for login in logins(ALICE.password).iter().chain([&Login::oauth_bearer(ALICE)]) {
            connects(&with(login)).unwrap_or_else(|error| panic!("{listener:?} {login:?}: {error}"));
        }
    }
    let mut config = kafka().client(Listener::Sasl).unwrap();
    for login in logins("wrong") {
        login.apply(&mut config);
        is_refused(&config);
    }
    let scopeless = Login::OAuthBearer {
        principal: ALICE.name.to_owned(),
        scope: "other".to_owned(),
    };
    scopeless.apply(&mut config);
    is_refused(&config);
}

#[test]
fn a_foreign_an_expired_and_a_missing_certificate_are_refused() {
    let kafka = kafka();
    let mut config = kafka.client(Listener::MutualTls).unwrap();
    for certificate in [ClientCertificate::Foreign, ClientCertificate::Expired] {
        kafka.show_certificate(&mut config, certificate).unwrap();
        is_refused(&config);
    }
    let mut without = kafka.client(Listener::Tls).unwrap();
    without.set("bootstrap.servers", kafka.bootstrap(Listener::MutualTls).unwrap());
    is_refused(&without);

    let mut distrusting = kafka.client(Listener::Tls).unwrap();
    let foreign = kafka.certificates().unwrap().foreign_authority();
    distrusting.set("ssl.ca.location", foreign.to_string_lossy());
    is_refused(&distrusting);
}

#[test]
fn a_broker_with_an_expired_certificate_is_refused_by_the_client() {
    let options = KafkaOptions::default()
        .listener(Listener::Tls)
        .server_certificate(ServerCertificate::Expired);
    let kafka = Kafka::start(options).unwrap();
    is_refused(&kafka.client(Listener::Tls).unwrap());
    connects(&kafka.client(Listener::Plain).unwrap()).unwrap();
}

#[test]
fn a_user_may_do_what_was_allowed_and_no_more() {
    let kafka = kafka();
    kafka.create(&Topic::new("guarded")).unwrap();
    let write = |login: Login| {
        let mut config = kafka.client(Listener::Sasl).unwrap();
        config
            .set("message.timeout.ms", "5000")
            .set("enable.idempotence", "false");
        login.apply(&mut config);
        produce_with(config, "guarded", 0, &[Record::new("x")])
    };
    write(Login::plain(ADMIN)).unwrap();
    write(Login::scram_512(ALICE)).unwrap_err();
    let rights = [Rights::Write("guard*".to_owned())];
    kafka.allow(ALICE.name, &rights).unwrap();
    until("the right to be told", std::time::Duration::from_secs(20), || {
        Ok(write(Login::scram_512(ALICE)).ok())
    })
    .unwrap();
    kafka.revoke(ALICE.name, &rights).unwrap();
    until("the right to be taken", std::time::Duration::from_secs(20), || {
        Ok(write(Login::scram_512(ALICE)).err())
    })
    .unwrap();

    kafka.set_scram_password("bob", "first").unwrap();
    let login = |password: &str| Login::Scram512 {
        user: "bob".to_owned(),
        password: password.to_owned(),
    };
    let mut config = kafka.client(Listener::Sasl).unwrap();
    login("first").apply(&mut config);
    connects(&config).unwrap();
}

#[test]
fn kerberos_takes_a_key_and_refuses_the_one_before_it() {
    let kafka = Kafka::start(KafkaOptions::default().listener(Listener::Kerberos)).unwrap();
    let kerberos = kafka.kerberos().unwrap();
    kafka.connects_by_kerberos(&kerberos.client_keytab()).unwrap();
    let error = kafka.connects_by_kerberos(&kerberos.stale_keytab()).unwrap_err();
    assert!(matches!(error, RigError::Refused { .. }), "{error}");
    println!("refused: {error}");
}
