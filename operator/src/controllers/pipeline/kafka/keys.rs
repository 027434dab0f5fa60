//! Who is who in a Kafka that the operator runs: its authority, the certificates of its nodes and of the operator, and the
//! pipeline's login. Made once, and kept in Secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use tocsin_contract::pipeline::status::IncidentPipelineStatus;
use tocsin_kafka::{Identity, Tls};
use tocsin_operator_core::build::admin::ENDS;
use tocsin_operator_core::build::kafka::nodes::RecordedPool;
use tocsin_operator_core::build::kafka::secrets;
use tocsin_operator_core::build::manifest::Manifest;
use tocsin_operator_core::hash::hash_of;
use tocsin_operator_core::pipeline::Pipeline;

use super::Look;
use crate::api::ApiError;
use crate::api::apply::Others;
use crate::authority::{Authority, Certificate, Holder, is_good};

/// Name of a Kafka's authority.
const AUTHORITY: &str = "Tocsin Kafka";

/// Bytes of a password, of which each becomes two letters.
const PASSWORD_LENGTH: usize = 24;

/// Why a Kafka stands still whose authority is gone.
const GONE: &str = "it is gone, and with it the authority by which the nodes of this Kafka know one another: put it back from a \
     backup, or delete the pipeline with spec.deletionPolicy.kafka Delete and apply it again";

/// Before the first pool is made.
const NO_POOLS: &str = "{}";

/// Who is who in a Kafka that the operator runs.
pub struct KafkaKeys {
    /// The id of the cluster.
    pub cluster_id: String,
    /// Of the nodes' certificate.
    pub certificate_hash: String,
    /// The pipeline's password.
    pub password: SecretString,
    /// The password of those who write what it reads, and read what it writes.
    pub client_password: SecretString,
    /// What is written down of its pools.
    pub pools: BTreeMap<String, RecordedPool>,
    authority: String,
    operator: Certificate,
    ends: Timestamp,
}

impl KafkaKeys {
    /// How the operator shows who it is.
    pub fn tls(&self) -> Tls {
        Tls {
            authorities: Some(self.authority.as_bytes().to_vec()),
            identity: Some(Identity {
                chain: self.operator.chain.as_bytes().to_vec(),
                key: self.operator.key.clone(),
            }),
        }
    }
}

impl Look<'_> {
    /// The keys of the pipeline's Kafka; makes what is missing, and what ends soon.
    pub(super) async fn kafka_keys(&self, pipeline: &Pipeline) -> Result<Arc<KafkaKeys>, ApiError> {
        let now = self.context.clock.now();
        if let Some(known) = self.known_keys().filter(|known| is_good(known.ends, now)) {
            return Ok(known);
        }
        let names = pipeline.names();
        let (authority, cluster_id, pools) = self.authority(pipeline).await?;
        let pem = authority.pem().to_owned();
        let trusted = secrets::trusted(pipeline, &pem);
        self.see_to_secret(&names.kafka_trusted(), |_| Ok(trusted)).await?;
        let (tls_name, user_name) = (names.kafka_tls(), names.kafka_user());
        let node = self.see_to_secret(&tls_name, |known| {
            let is_ours = |known: &&Secret| {
                text(known, secrets::AUTHORITY).as_deref() == Some(&*pem)
                    && ends(known).is_some_and(|ends| is_good(ends, now))
            };
            let kept = known.filter(is_ours);
            if let Some((keystore, ends)) = kept.and_then(|kept| text(kept, secrets::KEYSTORE).zip(ends(kept))) {
                return Ok(secrets::tls(pipeline, &keystore, &pem, ends));
            }
            let holder = Holder {
                name: secrets::NODES,
                hosts: secrets::server_names(&self.key.namespace, &names),
            };
            let certificate = authority.sign(holder, now).map_err(|error| unmade(&error))?;
            let keystore = format!("{}{}", certificate.key.expose_secret(), certificate.chain);
            Ok(secrets::tls(pipeline, &keystore, &pem, certificate.ends))
        });
        let node = node.await?;
        let user = self.see_to_secret(&user_name, |known| {
            let password = known.and_then(password).map_or_else(random_text, Ok)?;
            Ok(secrets::user(pipeline, password.expose_secret()))
        });
        let user = user.await?;
        let client_name = names.kafka_client();
        let client = self.see_to_secret(&client_name, |known| {
            let password = known.and_then(password).map_or_else(random_text, Ok)?;
            Ok(secrets::client(pipeline, password.expose_secret(), &pem))
        });
        let client = client.await?;
        let operator = Holder {
            name: secrets::OPERATOR,
            hosts: Vec::new(),
        };
        let operator = authority.sign(operator, now).map_err(|error| unmade(&error))?;
        let keystore = text(&node, secrets::KEYSTORE).unwrap_or_default();
        let keys = Arc::new(KafkaKeys {
            cluster_id,
            certificate_hash: hash_of(&keystore),
            password: password(&user).unwrap_or_default(),
            client_password: password(&client).unwrap_or_default(),
            pools,
            authority: pem,
            operator,
            ends: ends(&node).unwrap_or(now),
        });
        let mut all = self.context.kafka_keys.lock();
        all.insert(self.kept.uid.clone(), Arc::clone(&keys));
        Ok(keys)
    }

    /// Writes down what the pools are, before they are made so.
    pub(super) async fn record_pools(
        &self,
        pipeline: &Pipeline,
        pools: &BTreeMap<String, RecordedPool>,
    ) -> Result<(), ApiError> {
        let text = serde_json::to_string(pools).map_err(|error| unmade(&error))?;
        let name = pipeline.names().kafka_authority();
        self.see_to_secret(&name, |known| {
            let gone = || ApiError::refused(&format!("Secret {name}"), GONE.to_owned());
            let known = known.ok_or_else(gone)?;
            let part = |key| self::text(known, key).unwrap_or_default();
            let [certificate, key, id] = [secrets::AUTHORITY, secrets::AUTHORITY_KEY, secrets::CLUSTER_ID].map(part);
            Ok(secrets::authority(pipeline, &certificate, &key, &id, &text))
        })
        .await?;
        // What is known of the keys is older than that.
        self.context.kafka_keys.lock().remove(&self.kept.uid);
        Ok(())
    }

    /// The authority, the cluster's id, and what is written down of its pools.
    async fn authority(
        &self,
        pipeline: &Pipeline,
    ) -> Result<(Authority, String, BTreeMap<String, RecordedPool>), ApiError> {
        let name = pipeline.names().kafka_authority();
        let said: IncidentPipelineStatus = self.kept.status();
        let has_nodes = said.kafka.is_some_and(|kafka| !kafka.cluster_id.is_empty());
        let secret = self.see_to_secret(&name, |known| {
            let part = |key| known.and_then(|known| text(known, key)).unwrap_or_default();
            if known.is_some() {
                let (certificate, key) = (part(secrets::AUTHORITY), part(secrets::AUTHORITY_KEY));
                return Ok(secrets::authority(
                    pipeline,
                    &certificate,
                    &key,
                    &part(secrets::CLUSTER_ID),
                    &part(secrets::POOLS),
                ));
            }
            if has_nodes {
                // Another authority, and another id of the cluster: no node that starts anew would be let in again.
                return Err(ApiError::refused(&format!("Secret {name}"), GONE.to_owned()));
            }
            let made = Authority::make(AUTHORITY, self.context.clock.now());
            let (certificate, key) = made.map_err(|error| unmade(&error))?;
            Ok(secrets::authority(
                pipeline,
                &certificate,
                key.expose_secret(),
                &cluster_id()?,
                NO_POOLS,
            ))
        });
        let secret = secret.await?;
        let part = |key| text(&secret, key).unwrap_or_default();
        let key = SecretString::from(part(secrets::AUTHORITY_KEY));
        let authority = Authority::read(AUTHORITY, part(secrets::AUTHORITY), &key);
        let authority = authority.map_err(|error| unmade(&format!("Secret {name}: {error}")))?;
        let pools = serde_json::from_str(&part(secrets::POOLS)).map_err(|error| {
            let why = format!(
                "its {} cannot be read: {error}; put it back from a backup",
                secrets::POOLS
            );
            ApiError::refused(&format!("Secret {name}"), why)
        })?;
        Ok((authority, part(secrets::CLUSTER_ID), pools))
    }

    /// Makes a Secret so, of what it holds; nothing is written if it is so already. One that is there was made by this
    /// operator, for this pipeline or one of its name that is gone.
    async fn see_to_secret(
        &self,
        name: &str,
        make: impl FnOnce(Option<&Secret>) -> Result<Secret, ApiError>,
    ) -> Result<Secret, ApiError> {
        let namespace = &*self.key.namespace;
        let known = self.secret(namespace, name).await?;
        let wanted = make(known.as_ref())?;
        if known.as_ref().is_some_and(|known| is_as(known, &wanted)) {
            return Ok(wanted);
        }
        let others = if known.is_some() {
            Others::TakeOver
        } else {
            Others::Respect
        };
        let manifest = Manifest::new(&wanted);
        self.context.api.apply_unread(namespace, &manifest, others).await?;
        let done = if known.is_some() {
            "changed a Secret"
        } else {
            "made a Secret"
        };
        tracing::info!(namespace, pipeline = &*self.key.name, object = name, "{done}");
        Ok(wanted)
    }
}

/// Whether a Secret is as it is wanted, as far as anything is wanted of it.
fn is_as(known: &Secret, wanted: &Secret) -> bool {
    let has_all = |known: &Option<BTreeMap<String, String>>, wanted: &Option<BTreeMap<String, String>>| {
        let mut wanted = wanted.iter().flatten();
        wanted.all(|(name, value)| known.as_ref().and_then(|known| known.get(name)) == Some(value))
    };
    let owners = |secret: &Secret| {
        let owners = secret.metadata.owner_references.iter().flatten();
        owners.map(|owner| owner.uid.clone()).collect::<Vec<_>>()
    };
    known.data == wanted.data
        && owners(known) == owners(wanted)
        && has_all(&known.metadata.labels, &wanted.metadata.labels)
        && has_all(&known.metadata.annotations, &wanted.metadata.annotations)
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = &secret.data.as_ref()?.get(key)?.0;
    String::from_utf8(bytes.clone()).ok()
}

fn password(secret: &Secret) -> Option<SecretString> {
    let text = text(secret, secrets::PASSWORD).filter(|text| !text.is_empty())?;
    Some(SecretString::from(text))
}

fn ends(secret: &Secret) -> Option<Timestamp> {
    secret.metadata.annotations.as_ref()?.get(ENDS)?.parse().ok()
}

/// Sixteen bytes in base64, as Kafka writes its ids. One that begins with a dash would be an option of its tools.
fn cluster_id() -> Result<String, ApiError> {
    let mut bytes = random::<16>()?;
    bytes[0] &= 0x7f;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn random_text() -> Result<SecretString, ApiError> {
    let bytes = random::<PASSWORD_LENGTH>()?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(SecretString::from(text))
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| ApiError::unmade("a key", &"there are no random numbers to be had"))?;
    Ok(bytes)
}

fn unmade(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::unmade("a certificate", why)
}
