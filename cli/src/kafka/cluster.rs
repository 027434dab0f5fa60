//! How the cluster is reached, from the pipeline's file and the folder with secrets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tocsin_contract::pipeline::kafka::{Kafka, KafkaSasl, KafkaTls, SaslMechanism};
use tocsin_contract::pipeline::sink::SecretKeyRef;
use tocsin_kafka::{Brokers, ClusterSettings, Identity, KafkaError, ProduceError, Sasl, Ticket, Tls, Tokens};

use crate::args::AccessArgs;
use crate::failure::Failure;
use crate::files;

/// Settings for the brokers at `bootstrap`.
pub fn settings(bootstrap: &str, kafka: &Kafka, secrets: Option<&Path>) -> Result<ClusterSettings, Failure> {
    let brokers = Brokers::parse(bootstrap).map_err(|error| Failure::Usage(format!("--bootstrap: {error}")))?;
    let mut settings = ClusterSettings::plain(brokers);
    if let Some(tls) = &kafka.tls {
        let authority = tls.ca_secret_ref.as_ref();
        let identity = tls.certificate_secret_ref.as_ref();
        settings.tls = Some(Tls {
            authorities: authority.map(|at| secret(secrets, &at.name, &at.key)).transpose()?,
            identity: identity
                .map(|at| -> Result<Identity, Failure> {
                    Ok(Identity {
                        chain: secret(secrets, &at.name, "tls.crt")?,
                        key: text(secret(secrets, &at.name, "tls.key")?)?.into(),
                    })
                })
                .transpose()?,
        });
    }
    if let Some(sasl) = &kafka.sasl {
        if sasl.mechanism == SaslMechanism::Kerberos {
            settings.sasl = Some(kerberos(sasl, secrets)?);
            return Ok(settings);
        }
        let at = &sasl.password_secret_ref;
        let password = text(secret(secrets, &at.name, &at.key)?)?;
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        // The rules of the file have an endpoint with OAuthBearer, and only there.
        let tokens = sasl.token_endpoint.as_ref().map(|endpoint| {
            let tokens = Tokens::new(endpoint, &sasl.username, password.clone().into(), sasl.scope.as_deref());
            tokens.map_err(|error| Failure::Usage(error.to_string()))
        });
        let tokens = tokens.transpose()?.map(Arc::new);
        settings.sasl = Some(Sasl {
            mechanism: sasl.mechanism,
            username: sasl.username.clone(),
            password: password.into(),
            tokens,
            ticket: None,
        });
    }
    Ok(settings)
}

/// A login by a ticket, if this program can do that.
fn kerberos(sasl: &KafkaSasl, secrets: Option<&Path>) -> Result<Sasl, Failure> {
    if !cfg!(feature = "kerberos") {
        let what = "spec.kafka.sasl: this tocsin was built without Kerberos; build it with the feature `kerberos`";
        return Err(Failure::Usage(what.to_owned()));
    }
    let at = &sasl.password_secret_ref;
    // The library that reads it says less of a file that is not there.
    secret(secrets, &at.name, &at.key)?;
    let keytab = secret_path(secrets, &at.name, &at.key)?;
    let service = sasl.service_name.clone().unwrap_or_else(|| "kafka".to_owned());
    let Some(ticket) = Ticket::new(&sasl.username, keytab, &service) else {
        let what = "spec.kafka.sasl: username and serviceName of Kerberos are letters, digits, `.`, `_`, `-`, `/` and `@`, \
                    and the path of the keytab has no signs of a shell";
        return Err(Failure::Usage(what.to_owned()));
    };
    Ok(Sasl {
        mechanism: sasl.mechanism,
        username: sasl.username.clone(),
        password: String::new().into(),
        tokens: None,
        ticket: Some(ticket),
    })
}

/// `DIR/name/key`.
fn secret_path(folder: Option<&Path>, name: &str, key: &str) -> Result<PathBuf, Failure> {
    let folder = folder.ok_or_else(|| {
        let what =
            format!("the pipeline needs the secret {name}/{key}: give --secrets DIR, with the file DIR/{name}/{key}");
        Failure::Usage(what)
    })?;
    Ok(folder.join(name).join(key))
}

/// The contents of `DIR/name/key`.
pub(super) fn secret(folder: Option<&Path>, name: &str, key: &str) -> Result<Vec<u8>, Failure> {
    let path = secret_path(folder, name, key)?;
    std::fs::read(&path).map_err(|error| Failure::Io(format!("the secret {} cannot be read: {error}", path.display())))
}

/// A secret that is text.
pub(super) fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    // What it is must not show.
    String::from_utf8(bytes).map_err(|_| Failure::Io("a secret of the pipeline is not text in UTF-8".to_owned()))
}

/// Settings for a tool: as a pipeline's file has them, if one is named.
pub fn access(brokers: &str, access: &AccessArgs) -> Result<ClusterSettings, Failure> {
    if let Some(folder) = &access.login {
        return login(brokers, folder);
    }
    let kafka = match &access.as_in {
        Some(path) => files::pipeline(path, &[])?.pipeline.spec.kafka,
        None => Kafka::default(),
    };
    settings(brokers, &kafka, access.secrets.as_deref())
}

/// Settings for a user whose name and password are files of a folder, with the brokers' authority beside them.
fn login(brokers: &str, folder: &Path) -> Result<ClusterSettings, Failure> {
    let of_folder = |key: &str| SecretKeyRef {
        name: String::new(),
        key: key.to_owned(),
    };
    let username = text(secret(Some(folder), "", "username")?)?;
    let kafka = Kafka {
        tls: Some(KafkaTls {
            ca_secret_ref: Some(of_folder("ca.crt")),
            certificate_secret_ref: None,
        }),
        sasl: Some(KafkaSasl {
            mechanism: SaslMechanism::ScramSha512,
            username: username.trim().to_owned(),
            password_secret_ref: of_folder("password"),
            token_endpoint: None,
            scope: None,
            service_name: None,
        }),
        ..Kafka::default()
    };
    settings(brokers, &kafka, Some(folder))
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self::Io(error.to_string())
    }
}

impl From<ProduceError> for Failure {
    fn from(error: ProduceError) -> Self {
        Self::Io(error.to_string())
    }
}
