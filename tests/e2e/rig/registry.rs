//! A schema registry with Confluent's API: Apicurio, which keeps everything in memory.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{self, Message};
use crate::process::Process;
use crate::{RigError, home, install, ports};

const API: &str = "/apis/ccompat/v7";

/// A running registry. Dropping it ends it.
#[derive(Debug)]
pub struct SchemaRegistry {
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
}

impl SchemaRegistry {
    /// Starts a registry and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, ends, or does not answer.
    pub fn start() -> Result<Self, RigError> {
        let home = install::folder(
            "schema-registry",
            "SCHEMA_REGISTRY_VERSION",
            "scripts/schema-registry.sh",
        )?;
        let jar = std::fs::read_dir(&home)
            .map_err(RigError::io(format!("reading {}", home.display())))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().ends_with("-runner.jar"));
        let jar = jar.ok_or_else(|| RigError::Misused(format!("there is no runner in {}", home.display())))?;
        let folder = home::new_folder("schema-registry")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::reserve()?));
        let mut command = Command::new("java");
        command
            .args([
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
                "-jar",
            ])
            .arg(jar)
            .current_dir(&folder)
            .env("QUARKUS_HTTP_HOST", address.ip().to_string())
            .env("QUARKUS_HTTP_PORT", address.port().to_string())
            // It would listen on a port of its own otherwise, the same for all.
            .env("QUARKUS_HTTP_TEST_PORT", "0");
        let process = Process::start("the schema registry", &command, &folder.join("log"))?;
        let answers = || {
            let answer = http::request(address, "GET", &format!("{API}/subjects"), &[], &[]).ok()?;
            (answer.status() == 200).then_some(())
        };
        process.ready("an answer", Duration::from_secs(60), answers)?;
        Ok(Self {
            process,
            address,
            folder,
        })
    }

    /// Where it listens; for an [`HttpProxy`](crate::http::HttpProxy).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client of Confluent's registry is given.
    pub fn url(&self) -> String {
        format!("http://{}{API}", self.address)
    }

    /// Registers an Avro schema under a subject; returns its id.
    ///
    /// # Errors
    /// When the registry refuses.
    pub fn register(&self, subject: &str, schema: &str) -> Result<i32, RigError> {
        self.register_typed(subject, "AVRO", schema)
    }

    /// Registers a schema of a type: `AVRO`, `JSON` or `PROTOBUF`.
    ///
    /// # Errors
    /// When the registry refuses.
    pub fn register_typed(&self, subject: &str, kind: &str, schema: &str) -> Result<i32, RigError> {
        let body = json!({ "schema": schema, "schemaType": kind }).to_string();
        let answer = self.ask("POST", &format!("/subjects/{subject}/versions"), body.as_bytes())?;
        let id = answer["id"].as_i64().and_then(|id| i32::try_from(id).ok());
        id.ok_or_else(|| RigError::Refused {
            what: format!("registering {subject}"),
            answer: answer.to_string(),
        })
    }

    /// The text of a schema.
    ///
    /// # Errors
    /// When there is none with this id.
    pub fn schema(&self, id: i32) -> Result<String, RigError> {
        let answer = self.ask("GET", &format!("/schemas/ids/{id}"), &[])?;
        Ok(answer["schema"].as_str().unwrap_or_default().to_owned())
    }

    /// Kills the registry; it forgets everything.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> Result<(), RigError> {
        self.process.kill()
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<Value, RigError> {
        let headers = [("Content-Type", "application/vnd.schemaregistry.v1+json")];
        let answer: Message = http::request(self.address, method, &format!("{API}{path}"), &headers, body)?;
        let refused = |answer: &Message| RigError::Refused {
            what: format!("{method} {path}"),
            answer: format!("{} {}", answer.first, answer.text()),
        };
        if answer.status() >= 300 {
            return Err(refused(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|_| refused(&answer))
    }
}

impl Drop for SchemaRegistry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
