//! The operator's own keys: the authority that signs the workers' certificates and the webhook's, the key that signs what workers
//! are told, and the secret from which each pipeline's token comes.
//!
//! They are in one Secret of the operator's namespace, made at the first start. A pipeline's token is derived from its UID, so
//! that none has to be stored, and nobody who knows one knows another.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use thiserror::Error;
use tocsin_contract::control::ControlRecord;
use tocsin_contract::labels::{FIELD_MANAGER, MANAGED_BY, PART_OF};

use crate::api::error::Kind;
use crate::api::{ApiError, ApiServer};
use crate::authority::{Authority, Certificate, Holder};

/// Name of the Secret.
const NAME: &str = "tocsin-operator-keys";

const AUTHORITY: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const TOKENS: &str = "tokens";
const SIGNING: &str = "signing.key";

/// Bytes of the secret from which tokens come.
const TOKENS_LENGTH: usize = 32;

/// Name of the operator's own authority.
const OPERATOR: &str = "Tocsin operator";

/// Name in the certificates of workers and of the webhook: their host names say which they are.
const SERVER: &str = "tocsin";

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The Secret cannot be read or made.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What is in it is no key.
    #[error(
        "Secret {namespace}/{NAME}: {what} cannot be read: {why}; delete the Secret, and the operator makes a new one"
    )]
    Broken {
        /// The operator's namespace.
        namespace: String,
        /// Which part.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A key or certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
    /// A certificate that was made is not taken.
    #[error("a certificate that was made cannot be used: {0}")]
    Unfit(String),
    /// The machine has no randomness.
    #[error("there are no random numbers to be had")]
    Random,
}

/// The operator's own keys.
pub struct Keys {
    authority: Authority,
    tokens: hmac::Key,
    signing: Ed25519KeyPair,
    key_id: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Reads the keys; makes them, if there are none. Only the leader may make them.
    ///
    /// # Errors
    /// `NotFound` if there are none, and this operator does not lead.
    pub async fn open(api: &ApiServer, namespace: &str, now: Timestamp) -> Result<Self, KeyError> {
        let secrets: Api<Secret> = Api::namespaced(api.client(), namespace);
        let what = |verb: &'static str| move || format!("{verb} Secret {namespace}/{NAME}");
        if let Some(found) = api.ask(what("get"), secrets.get_opt(NAME)).await? {
            return Self::read(namespace, &found.data.unwrap_or_default());
        }
        let made = make(now)?;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(namespace.to_owned()),
                labels: Some(
                    [(PART_OF, "tocsin"), (MANAGED_BY, FIELD_MANAGER)]
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .into(),
                ),
                ..ObjectMeta::default()
            },
            data: Some(made.clone()),
            ..Secret::default()
        };
        let how = PostParams::default();
        match api.ask(what("create"), secrets.create(&how, &secret)).await {
            Ok(_) => Self::read(namespace, &made),
            // Another operator was faster: its keys count.
            Err(error) if error.kind == Kind::Conflict => {
                let found = api.ask(what("get"), secrets.get(NAME)).await?;
                Self::read(namespace, &found.data.unwrap_or_default())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read(namespace: &str, data: &BTreeMap<String, ByteString>) -> Result<Self, KeyError> {
        let broken = |what, why: String| KeyError::Broken {
            namespace: namespace.to_owned(),
            what,
            why,
        };
        let part = |what: &'static str| data.get(what).ok_or_else(|| broken(what, "it is missing".to_owned()));
        let text = |what: &'static str| {
            let bytes = part(what)?.0.clone();
            String::from_utf8(bytes).map_err(|error| broken(what, error.utf8_error().to_string()))
        };
        let key = SecretString::from(text(AUTHORITY_KEY)?);
        let authority = Authority::read(OPERATOR, text(AUTHORITY)?, &key);
        let authority = authority.map_err(|error| broken(AUTHORITY_KEY, error.to_string()))?;
        let tokens = SecretSlice::from(part(TOKENS)?.0.clone());
        if tokens.expose_secret().len() != TOKENS_LENGTH {
            return Err(broken(TOKENS, format!("it has not {TOKENS_LENGTH} bytes")));
        }
        let signing = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&part(SIGNING)?.0);
        let signing = signing.map_err(|error| broken(SIGNING, error.to_string()))?;
        let digest = digest(&SHA256, signing.public_key().as_ref());
        Ok(Self {
            authority,
            key_id: digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            signing,
            tokens: hmac::Key::new(hmac::HMAC_SHA256, tokens.expose_secret()),
        })
    }

    /// The authority's certificate, in PEM.
    pub fn authority(&self) -> &str {
        self.authority.pem()
    }

    /// The name of the key that signs what workers are told.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Signs what workers are told.
    pub fn sign(&self, mut record: ControlRecord) -> ControlRecord {
        let signature = self.signing.sign(&record.signed_bytes());
        record.signature = ByteString(signature.as_ref().to_vec());
        record
    }

    /// The token of a pipeline's workers.
    pub fn token(&self, pipeline_uid: &str) -> SecretString {
        let tag = hmac::sign(&self.tokens, format!("worker-token/{pipeline_uid}").as_bytes());
        let token: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        SecretString::from(token)
    }

    /// The signature of a note of who changed an object.
    pub fn sign_change(&self, text: &str) -> String {
        let tag = hmac::sign(&self.tokens, text.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What only the API server is told: by it the webhook knows who asks.
    pub fn webhook_secret(&self) -> String {
        self.sign_change("webhook")
    }

    /// A certificate of a server with these names.
    ///
    /// # Errors
    /// If a name is none.
    pub fn certificate(&self, names: Vec<String>, now: Timestamp) -> Result<Certificate, KeyError> {
        let holder = Holder {
            name: SERVER,
            hosts: names,
        };
        Ok(self.authority.sign(holder, now)?)
    }
}

/// New keys.
fn make(now: Timestamp) -> Result<BTreeMap<String, ByteString>, KeyError> {
    let (certificate, key) = Authority::make(OPERATOR, now)?;
    let mut tokens = vec![0; TOKENS_LENGTH];
    SystemRandom::new().fill(&mut tokens).map_err(|_| KeyError::Random)?;
    let signing = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
    Ok([
        (SIGNING, signing.as_ref().to_vec()),
        (AUTHORITY, certificate.into_bytes()),
        (AUTHORITY_KEY, key.expose_secret().as_bytes().to_vec()),
        (TOKENS, tokens),
    ]
    .map(|(name, bytes)| (name.to_owned(), ByteString(bytes)))
    .into())
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub fn keys() -> Keys {
        Keys::read("tocsin-system", &make(Timestamp::UNIX_EPOCH).unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_the_same_at_every_look_and_of_one_pipeline_alone() {
        let keys = keys();
        let token = |uid: &str| keys.token(uid).expose_secret().to_owned();
        assert_eq!(token("5c0e"), token("5c0e"));
        assert_ne!(token("5c0e"), token("77aa"));
        assert_eq!(token("5c0e").len(), 64);
        assert_ne!(token("5c0e"), super::tests::keys().token("5c0e").expose_secret());
    }

    #[test]
    fn what_is_no_key_is_named() {
        let mut data = make(Timestamp::UNIX_EPOCH).unwrap();
        data.insert(AUTHORITY_KEY.to_owned(), ByteString(b"x".to_vec()));
        let error = Keys::read("tocsin-system", &data).unwrap_err().to_string();
        assert!(error.contains("tocsin-system/tocsin-operator-keys: ca.key"), "{error}");
        assert!(
            Keys::read("tocsin-system", &BTreeMap::new())
                .unwrap_err()
                .to_string()
                .contains("missing")
        );
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", keys()), "Keys");
    }

    #[test]
    fn what_workers_are_told_is_signed() {
        use ring::signature::{ED25519, UnparsedPublicKey};
        let keys = keys();
        let record = ControlRecord {
            pipeline_uid: "5c0e".to_owned(),
            revision: 7,
            issued_at: 1_000,
            expires_at: 2_000,
            kind: tocsin_contract::control::ControlKind::Rules,
            name: "core".to_owned(),
            payload: ByteString(b"{}".to_vec()),
            key_id: keys.key_id().to_owned(),
            signature: ByteString(Vec::new()),
        };
        let signed = keys.sign(record);
        let public = UnparsedPublicKey::new(&ED25519, keys.signing.public_key().as_ref().to_vec());
        assert!(public.verify(&signed.signed_bytes(), &signed.signature.0).is_ok());
        assert_eq!(keys.key_id().len(), 16);
    }
}
