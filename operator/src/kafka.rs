//! A pipeline's Kafka, asked in threads that may wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use tocsin_kafka::{AccessRule, Operation, Resource};
use tocsin_kafka::{Brokers, Cluster, ClusterSettings, Identity, KafkaError, NewTopic, Sasl, Tls, Tokens};
use tocsin_operator_core::pipeline::KafkaAccess;
use tocsin_operator_core::plan::kafka::access;
use tocsin_operator_core::plan::kafka::roll::Health;
use tocsin_operator_core::plan::topics::{Seen, Step};

/// The longest that the operator waits for brokers.
const TIME_OUT: Duration = Duration::from_secs(5);

/// Why a Kafka cannot be asked.
#[derive(Debug, Error)]
pub enum AccessError {
    /// It could not be reached, or says no.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// What the spec says of it cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// The values of Secrets: `name`, `key`.
pub type SecretValues = BTreeMap<(String, String), SecretString>;

/// How a pipeline's Kafka is reached, with the values of the Secrets that it refers to.
///
/// # Errors
/// If a value is missing, or is no certificate.
pub fn settings(access: &KafkaAccess, client_id: &str, values: &SecretValues) -> Result<ClusterSettings, AccessError> {
    let brokers = Brokers::parse(&access.bootstrap_servers).map_err(|error| unusable(&error))?;
    let value = |name: &str, key: &str| {
        let found = values.get(&(name.to_owned(), key.to_owned()));
        found
            .cloned()
            .ok_or_else(|| AccessError::Unusable(format!("the Secret {name} has no key {key}")))
    };
    let mut settings = ClusterSettings::plain(brokers);
    settings.client_id = client_id.to_owned();
    (settings.connect_timeout, settings.request_timeout) = (TIME_OUT, TIME_OUT);
    if let Some(tls) = &access.tls {
        let authorities = tls.ca_secret_ref.as_ref();
        let identity = tls.certificate_secret_ref.as_ref();
        settings.tls = Some(Tls {
            authorities: authorities.map(|at| value(&at.name, &at.key).map(bytes)).transpose()?,
            identity: identity
                .map(|at| -> Result<Identity, AccessError> {
                    Ok(Identity {
                        chain: bytes(value(&at.name, "tls.crt")?),
                        key: value(&at.name, "tls.key")?,
                    })
                })
                .transpose()?,
        });
    }
    if let Some(sasl) = &access.sasl {
        let at = &sasl.password_secret_ref;
        let password = value(&at.name, &at.key)?;
        let tokens = sasl.token_endpoint.as_ref().map(|endpoint| {
            let tokens = Tokens::new(endpoint, &sasl.username, password.clone(), sasl.scope.as_deref());
            tokens.map(Arc::new).map_err(|error| unusable(&error))
        });
        settings.sasl = Some(Sasl {
            mechanism: sasl.mechanism,
            username: sasl.username.clone(),
            password,
            tokens: tokens.transpose()?,
            ticket: None,
        });
    }
    Ok(settings)
}

fn unusable(error: &dyn std::fmt::Display) -> AccessError {
    AccessError::Unusable(error.to_string())
}

fn bytes(value: SecretString) -> Vec<u8> {
    use secrecy::ExposeSecret as _;
    value.expose_secret().as_bytes().to_vec()
}

/// Asks a cluster, in a thread of its own.
///
/// # Errors
/// As `ask`, and if the settings cannot be used.
pub async fn with_cluster<T: Send + 'static>(
    settings: ClusterSettings,
    ask: impl FnOnce(&mut Cluster) -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, AccessError> {
    let asked = tokio::task::spawn_blocking(move || ask(&mut Cluster::new(settings)?)).await;
    match asked {
        Ok(answer) => Ok(answer?),
        Err(error) => Err(unusable(&error)),
    }
}

/// Topics as they are; one that is not there is left out.
///
/// # Errors
/// If no broker answers.
pub fn topics(cluster: &mut Cluster, names: &[String]) -> Result<BTreeMap<String, Seen>, KafkaError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let described = cluster.describe_topics(&names)?.into_iter();
    let seen = described.map(|(name, topic)| {
        let seen = Seen {
            partitions: topic.partitions,
            replication: topic.replication,
            config: topic.config,
        };
        (name, seen)
    });
    Ok(seen.collect())
}

/// Does what is to be done about a topic.
///
/// # Errors
/// If the cluster refuses that.
pub fn carry_out(cluster: &mut Cluster, step: &Step) -> Result<(), KafkaError> {
    match step {
        Step::Create(topic) => cluster.create_topics(&[NewTopic {
            name: topic.name.clone(),
            partitions: topic.partitions,
            replication: u16::try_from(topic.replication).ok(),
            config: topic.config.clone().into_iter().collect(),
        }]),
        Step::Grow { name, partitions } => cluster.create_partitions(name, *partitions),
        Step::Configure { name, config } => cluster.configure_topic(name, config),
    }
}

/// How a cluster is.
///
/// # Errors
/// If no broker answers.
pub fn health(cluster: &mut Cluster) -> Result<Health, KafkaError> {
    let seen = cluster.vitality()?;
    let id = |id: i32| u32::try_from(id).unwrap_or(u32::MAX);
    Ok(Health {
        out_of_step: seen.out_of_step,
        leader: seen.leader.map(id),
        lagging_controllers: seen.lagging_controllers,
        copies: seen
            .copies
            .into_iter()
            .map(|(broker, copies)| (id(broker), copies))
            .collect(),
    })
}

/// Makes what a user may do so: all of this, and nothing besides.
///
/// # Errors
/// If the cluster refuses that.
pub fn allow(cluster: &mut Cluster, user: &str, rules: &[access::Rule]) -> Result<(), KafkaError> {
    let wanted: BTreeSet<AccessRule> = rules.iter().map(as_kafka_has_it).collect();
    let known = cluster.access_rules(user)?;
    let missing: Vec<AccessRule> = wanted.difference(&known).cloned().collect();
    let excess: Vec<AccessRule> = known.difference(&wanted).cloned().collect();
    if !missing.is_empty() {
        cluster.allow(user, &missing)?;
        tracing::info!(user, n = missing.len(), "gave rights in Kafka");
    }
    if !excess.is_empty() {
        cluster.disallow(user, &excess)?;
        tracing::info!(user, n = excess.len(), "took rights in Kafka away");
    }
    Ok(())
}

fn as_kafka_has_it(rule: &access::Rule) -> AccessRule {
    AccessRule {
        resource: match rule.resource {
            access::Resource::Topic => Resource::Topic,
            access::Resource::Group => Resource::Group,
            access::Resource::TransactionalId => Resource::TransactionalId,
        },
        name: rule.name.clone(),
        is_prefix: rule.is_prefix,
        operation: match rule.operation {
            access::Operation::All => Operation::All,
            access::Operation::Read => Operation::Read,
            access::Operation::Write => Operation::Write,
            access::Operation::DescribeConfigs => Operation::DescribeConfigs,
        },
    }
}
