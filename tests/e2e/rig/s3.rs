//! An S3 server: versitygw over a temporary folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use ring::{digest, hmac};

use crate::http::{self, Message};
use crate::process::Process;
use crate::{RigError, home, install, ports};

/// A running server. Dropping it ends it and removes its files.
#[derive(Debug)]
pub struct S3 {
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
}

impl S3 {
    /// The only user's key.
    pub const ACCESS_KEY: &str = "rig-access";
    /// And its secret.
    pub const SECRET_KEY: &str = "rig-secret-key";
    /// The server's region.
    pub const REGION: &str = "us-east-1";

    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, ends, or does not answer.
    pub fn start() -> Result<Self, RigError> {
        let program = install::folder("s3-server", "S3_SERVER_VERSION", "scripts/s3-server.sh")?.join("versitygw");
        let folder = home::new_folder("s3")?;
        for part in ["data", "attributes"] {
            std::fs::create_dir_all(folder.join(part)).map_err(RigError::io("making a folder of the S3 server"))?;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::reserve()?));
        let mut command = Command::new(program);
        command
            .args([
                "--access",
                Self::ACCESS_KEY,
                "--secret",
                Self::SECRET_KEY,
                "--region",
                Self::REGION,
            ])
            .args([
                "--port",
                &address.to_string(),
                "--health",
                "/healthz",
                "--quiet",
                "--keep-alive",
            ])
            .arg("posix")
            // Not every file system of temporary folders has attributes.
            .arg("--sidecar")
            .arg(folder.join("attributes"))
            .arg(folder.join("data"));
        let process = Process::start("the S3 server", &command, &folder.join("log"))?;
        let answers = || {
            let answer = http::request(address, "GET", "/healthz", &[], &[]).ok()?;
            (answer.status() == 200).then_some(())
        };
        process.ready("an answer", Duration::from_secs(20), answers)?;
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

    /// Variables by which a program comes to its buckets at an address: its own, or that of a proxy before it.
    pub fn variables(endpoint: &str) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ACCESS_KEY_ID", Self::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", Self::SECRET_KEY),
            ("AWS_REGION", Self::REGION),
            ("AWS_ENDPOINT", endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    /// `http://127.0.0.1:PORT`. Buckets are in the path, not in the host.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn create_bucket(&self, bucket: &str) -> Result<(), RigError> {
        self.ask("PUT", &format!("/{bucket}"), "", &[]).map(drop)
    }

    /// Writes an object.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<(), RigError> {
        self.ask("PUT", &format!("/{bucket}/{key}"), "", bytes).map(drop)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>, RigError> {
        Ok(self.ask("GET", &format!("/{bucket}/{key}"), "", &[])?.body)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn delete(&self, bucket: &str, key: &str) -> Result<(), RigError> {
        self.ask("DELETE", &format!("/{bucket}/{key}"), "", &[]).map(drop)
    }

    /// The first thousand keys of a bucket that begin so.
    ///
    /// # Errors
    /// When there is no such bucket.
    pub fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, RigError> {
        let query = format!("list-type=2&prefix={}", escaped(prefix, false));
        let text = self.ask("GET", &format!("/{bucket}"), &query, &[])?.text();
        let keys = text
            .split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split("</Key>").next());
        Ok(keys.map(str::to_owned).collect())
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Kills the server; its files stay.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> Result<(), RigError> {
        self.process.kill()
    }

    /// A signed request (AWS Signature, version 4).
    fn ask(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Result<Message, RigError> {
        let path = escaped(path, true);
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &time[..8];
        let content = hex(digest::digest(&digest::SHA256, body).as_ref());
        let host = self.address.to_string();
        let signed = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{content}\nx-amz-date:{time}\n\n{signed}\n{content}"
        );
        let scope = format!("{day}/{}/s3/aws4_request", Self::REGION);
        let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");
        let sign = |key: &[u8], text: &str| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
                .as_ref()
                .to_owned()
        };
        let key = sign(format!("AWS4{}", Self::SECRET_KEY).as_bytes(), day);
        let key = ["s3", "aws4_request"]
            .iter()
            .fold(sign(&key, Self::REGION), |key, part| sign(&key, part));
        let signature = hex(&sign(&key, &text));
        let credential = format!("{}/{scope}", Self::ACCESS_KEY);
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}");
        let headers = [
            ("x-amz-date", time.as_str()),
            ("x-amz-content-sha256", content.as_str()),
            ("Authorization", authorization.as_str()),
        ];
        let target = if query.is_empty() {
            path
        } else {
            format!("{path}?{query}")
        };
        let answer = http::request(self.address, method, &target, &headers, body)?;
        if answer.status() >= 300 {
            return Err(RigError::Refused {
                what: format!("{method} {target}"),
                answer: format!("{} {}", answer.first, answer.text()),
            });
        }
        Ok(answer)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As a signature wants it: all but letters, digits and `-._~`, and `/` in a path.
fn escaped(text: &str, is_path: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (is_path && byte == b'/');
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
