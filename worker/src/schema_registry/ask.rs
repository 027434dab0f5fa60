//! Asks a registry one question, and judges the answer: a schema, surely none, or nothing that counts.

use std::io::Read as _;
use std::time::Duration;

use serde::Deserialize;
use tocsin_worker_core::avro::{SchemaAnswer, SchemaId};
use ureq::Agent;
use url::Url;

use super::error::{RegistryError, Unanswered};
use tocsin_kafka::https::by_system_authorities;

/// An answer comes within this time, or is asked for again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer that is read.
const LARGEST: u64 = 8 << 20;

/// Most schemas that one may name, however far around.
const MOST_REFERENCES: usize = 256;

/// What Confluent's API says of a number, of a subject and of a version that there are not.
const NOT_THERE: std::ops::RangeInclusive<u32> = 40_401..=40_403;

/// Asks one registry.
pub(super) struct Asker {
    agent: Agent,
    url: Url,
}

/// A schema as the registry gives it.
#[derive(Deserialize)]
struct Registered {
    schema: String,
    /// Left out if it is AVRO.
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// A schema that another names.
#[derive(Clone, Deserialize, PartialEq)]
struct Reference {
    subject: String,
    version: i64,
}

/// What a registry says beside a status that is no success.
#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
    message: Option<String>,
}

impl Asker {
    /// For the registry at an address.
    ///
    /// # Errors
    /// If it is invalid, or holds a name and a password.
    pub(super) fn new(url: &str) -> Result<Self, RegistryError> {
        let mut url = Url::parse(url).map_err(|error| RegistryError::Address(error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RegistryError::Credentials);
        }
        // What is joined stands behind the last slash.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // A registry elsewhere is another one: who runs the pipeline says which it is.
            .max_redirects(0)
            .user_agent("tocsin");
        let config = match url.scheme() {
            "https" => config.tls_config(by_system_authorities().ok_or(RegistryError::NoAuthorities)?),
            _ => config,
        };
        Ok(Self {
            agent: config.build().new_agent(),
            url,
        })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Asks for a schema by its number.
    pub(super) fn schema(&self, id: SchemaId) -> Result<SchemaAnswer, Unanswered> {
        let Some(registered) = self.get(&["schemas", "ids", &id.to_string()])? else {
            return Ok(SchemaAnswer::Absent);
        };
        if let Some(kind) = registered.kind.filter(|kind| kind != "AVRO") {
            return Ok(SchemaAnswer::Other(kind));
        }
        let mut references = Vec::new();
        self.references(&registered.references, &mut Vec::new(), &mut references)?;
        Ok(SchemaAnswer::Avro {
            text: registered.schema,
            references,
        })
    }

    /// The texts of the schemas that are named, each behind those that it names itself.
    fn references(
        &self,
        named: &[Reference],
        seen: &mut Vec<Reference>,
        texts: &mut Vec<String>,
    ) -> Result<(), Unanswered> {
        for reference in named {
            if seen.contains(reference) {
                continue;
            }
            if seen.len() == MOST_REFERENCES {
                return Err(Unanswered::Strange("a schema names more than 256 others".to_owned()));
            }
            seen.push(reference.clone());
            let version = reference.version.to_string();
            let registered = self.get(&["subjects", &reference.subject, "versions", &version])?;
            // It was there when the schema was registered, and records of it are there still.
            let Some(registered) = registered else {
                let what = format!(
                    "version {version} of subject {}, which a schema names, is not there",
                    reference.subject
                );
                return Err(Unanswered::Strange(what));
            };
            self.references(&registered.references, seen, texts)?;
            texts.push(registered.schema);
        }
        Ok(())
    }

    /// What stands at a path; nothing if the registry itself says that there is nothing. A 404 of anyone else may come
    /// from a wrong address or a proxy, and must not make records dead.
    fn get(&self, path: &[&str]) -> Result<Option<Registered>, Unanswered> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        // A subject that was deleted is still named by schemas and records.
        url.set_query(Some("deleted=true"));
        let request = self.agent.get(url.as_str()).header("Accept", ACCEPT);
        let mut answer = request
            .call()
            .map_err(|error| Unanswered::Unreachable(error.to_string()))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let read = answer.body_mut().as_reader().take(LARGEST + 1).read_to_end(&mut body);
        read.map_err(|error| Unanswered::Unreachable(error.to_string()))?;
        if body.len() as u64 > LARGEST {
            return Err(Unanswered::Strange("its answer is larger than 8 MiB".to_owned()));
        }
        if (200..300).contains(&status) {
            let strange = |error: serde_json::Error| Unanswered::Strange(format!("its answer is no schema: {error}"));
            return serde_json::from_slice(&body).map(Some).map_err(strange);
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
        match refusal {
            Some(refusal) if status == 404 && NOT_THERE.contains(&refusal.error_code) => Ok(None),
            refusal => Err(Unanswered::Status {
                status,
                said: refusal.and_then(|refusal| refusal.message).unwrap_or_default(),
            }),
        }
    }
}

const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, application/json";
